"""Other people's annotations: read, joined to a data set, quarantined where wrong, written back the same."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

import kgbuild
from kgbuild.domain import Section, Token
from kgbuild.errors import FileMissing, KgbuildError, UsageError
from kgbuild.notation.aligning import align
from kgbuild.pipelines import stages
from kgbuild.pipelines.explain import explain
from kgbuild.pipelines.export import export
from kgbuild.pipelines.importing import import_radgraph
from kgbuild.text import tokenize


def entity(words: str, label: str, start: int, *relations: list[str]) -> dict[str, Any]:
    size = len(words.split(" "))
    return {
        "tokens": words,
        "label": label,
        "start_ix": start,
        "end_ix": start + size - 1,
        "relations": list(relations),
    }


ENTRY = {
    "text": "No large pleural effusion .",
    "entities": {
        "1": entity("large", "OBS-DA", 1, ["modify", "3"]),
        "2": entity("pleural", "ANAT-DP", 2),
        "3": entity("effusion", "OBS-DA", 3, ["located_at", "2"]),
    },
}


def write(path: Path, value: Any) -> Path:
    path.write_text(json.dumps(value))
    return path


def test_a_round_trip_is_faithful(tmp_path: Path) -> None:
    given = write(
        tmp_path / "in.json", {"p10/p10000032/s50414267.txt": ENTRY, "CXR7": {"text": "Clear .", "entities": {}}}
    )
    summary = import_radgraph([given], tmp_path / "W")
    assert (summary.counts["studies"], summary.counts["entities"], summary.failures) == (2, 3, ())
    export(tmp_path / "W", "radgraph", tmp_path / "out.json")
    assert json.loads((tmp_path / "out.json").read_text()) == {
        "CXR7": {"text": "Clear .", "entities": {}},
        "s50414267": ENTRY,
    }
    export(tmp_path / "W", "dygie", tmp_path / "out.jsonl")
    import_radgraph([tmp_path / "out.jsonl"], tmp_path / "V")
    export(tmp_path / "V", "radgraph", tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == (tmp_path / "out.json").read_bytes()
    with gzip.open(tmp_path / "in.json.gz", "wt") as stream:
        stream.write(given.read_text())
    import_radgraph([tmp_path / "in.json.gz"], tmp_path / "G")
    export(tmp_path / "G", "radgraph", tmp_path / "gz.json")
    assert (tmp_path / "gz.json").read_bytes() == (tmp_path / "out.json").read_bytes()


def test_xl_labels_measurements_and_scores_are_kept(tmp_path: Path) -> None:
    line = {
        "dataset": "x",
        "doc_key": "a",
        "sentences": [["4", "cm", "mass"]],
        "predicted_ner": [
            [
                [0, 1, "Observation::measurement::definitely present", 9.0, 0.75],
                [2, 2, "Observation::uncertain", 8.0, 0.5],
            ]
        ],
        "predicted_relations": [[[0, 1, 2, 2, "modify", 7.0, 0.25]]],
    }
    import_radgraph([write(tmp_path / "p.jsonl", line)], tmp_path / "W")
    told = explain(tmp_path / "W", "a")
    assert [(e["measurement"], e["presence"], e["score"]) for e in told.entities] == [
        (True, "present", 0.75),
        (False, "uncertain", 0.5),
    ]
    assert [r["score"] for r in told.relations] == [0.25]
    export(tmp_path / "W", "radgraph", tmp_path / "xl.json", labels="xl")
    labels = [e["label"] for e in json.loads((tmp_path / "xl.json").read_text())["a"]["entities"].values()]
    assert labels == ["Observation::measurement::definitely present", "Observation::uncertain"]


def test_joined_to_a_data_set_it_has_images_sections_and_characters(tmp_path: Path) -> None:
    given = write(
        tmp_path / "in.json",
        {
            "examples:ex001": {"text": "FINAL REPORT lungs", "entities": {"1": entity("lungs", "ANAT-DP", 2)}},
            "other": ENTRY,
        },
    )
    source = kgbuild.resolve("examples", limit=3)
    summary = import_radgraph([given], tmp_path / "W", source=source)
    assert summary.counts["studies"] == 3
    assert summary.counts["studies without an entry"] == 2
    assert summary.counts["entries of other studies"] == 1
    assert summary.counts["images"] > 0
    stages.link(tmp_path / "W")
    stages.load(tmp_path / "W")
    rows = kgbuild.query(tmp_path / "W", "study-mentions", {"study": "examples:ex001"}).rows
    study = next(iter(source.open().studies(["examples:ex001"])))
    raw = (Path("schemas/examples/reports") / "ex001.txt").read_text() if Path("schemas/examples").is_dir() else None
    assert len(rows) == 1
    _, mention, text, _, section, start, end, concept, _ = rows[0]
    assert (mention, text, section, concept) == ("examples:ex001:2-3", "lungs", "findings", "C0024109")
    assert study is not None
    if raw is not None:
        assert raw[start:end].lower() == "lungs"


def test_keys_without_the_data_sets_name_are_joined_too(tmp_path: Path) -> None:
    given = write(tmp_path / "in.json", {"ex001": ENTRY})
    summary = import_radgraph([given], tmp_path / "W", source=kgbuild.resolve("examples", limit=1))
    assert (summary.counts["annotated"], summary.counts["entries of other studies"]) == (1, 0)
    assert explain(tmp_path / "W", "examples:ex001").entities[0]["text"] == "large"


def test_what_is_wrong_is_quarantined_by_study_and_the_rest_goes_on(tmp_path: Path) -> None:
    wrong = {
        "good": ENTRY,
        "missing-end": {"text": "a b", "entities": {"1": entity("a", "OBS-DP", 0, ["modify", "9"])}},
        "wrong-words": {"text": "a b", "entities": {"1": entity("c", "OBS-DP", 0)}},
        "outside": {"text": "a b", "entities": {"1": entity("c", "OBS-DP", 5)}},
        "bad-label": {"text": "a b", "entities": {"1": entity("a", "OBS", 0)}},
        "same-span": {"text": "a b", "entities": {"1": entity("a", "OBS-DP", 0), "2": entity("a", "OBS-DA", 0)}},
        "p10/p10000032/s1.txt": ENTRY,
        "files/p10/p10000032/s1.txt": ENTRY,
    }
    summary = import_radgraph([write(tmp_path / "in.json", wrong)], tmp_path / "W")
    assert summary.counts["annotated"] == 2
    assert sorted(f.study_id for f in summary.failures) == [
        "bad-label",
        "missing-end",
        "outside",
        "s1",
        "same-span",
        "wrong-words",
    ]
    assert all(f.where and "in.json" in f.where for f in summary.failures)


def test_malformed_json_names_file_key_and_place(tmp_path: Path) -> None:
    path = tmp_path / "in.json"
    path.write_text('{"CXR1": {"text": "a", "entities": {}}, "CXR2": {"text": nope}}')
    with pytest.raises(KgbuildError, match=r"in\.json is not valid JSON(.|\n)*CXR2"):
        import_radgraph([path], tmp_path / "W")
    assert not list((tmp_path / "W").rglob("*.spool*"))
    with pytest.raises(FileMissing, match="there is no file"):
        import_radgraph([tmp_path / "absent.json"], tmp_path / "W")


def test_two_annotators_are_told_apart(tmp_path: Path) -> None:
    both = {
        "a": {
            "text": "No mass",
            "labeler_1": {"entities": {"1": entity("mass", "OBS-DA", 1)}},
            "labeler_2": {"entities": {}},
        }
    }
    path = write(tmp_path / "test.json", both)
    with pytest.raises(UsageError, match="labeler_1, labeler_2"):
        import_radgraph([path], tmp_path / "W")
    first = import_radgraph([path], tmp_path / "W", labeler=1)
    second = import_radgraph([path], tmp_path / "W", labeler=2)
    assert (first.counts["entities"], second.counts["entities"]) == (1, 0)
    assert first.runs != second.runs


def test_twice_changes_nothing_and_order_of_files_does_not_matter(tmp_path: Path) -> None:
    one, two = write(tmp_path / "1.json", {"a": ENTRY}), write(tmp_path / "2.json", {"b": ENTRY})
    first = import_radgraph([one, two], tmp_path / "W")
    assert import_radgraph([two, one], tmp_path / "W").runs == first.runs
    assert import_radgraph([two, one], tmp_path / "W").done_now == 0


def test_alignment_keeps_to_the_order_of_words() -> None:
    sections = (Section("findings", "The LUNGS are\n clear.", 100), Section("impression", "Clear.", 200))
    tokens = [Token(t.text, "", -1, -1) for t in tokenize("FINDINGS : the lungs are clear . unheard Clear .")]
    found = align(tokens, sections)
    assert [(t.text, t.section, t.char_start, t.char_end) for t in found if t.section] == [
        ("the", "findings", 100, 103),
        ("lungs", "findings", 104, 109),
        ("are", "findings", 110, 113),
        ("clear", "findings", 115, 120),
        (".", "findings", 120, 121),
        ("Clear", "impression", 200, 205),
        (".", "impression", 205, 206),
    ]
    assert align((), sections) == ()
    assert align(tuple(tokens), ()) == tuple(tokens)
