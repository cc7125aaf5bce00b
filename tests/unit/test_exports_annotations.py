"""The annotation exports: exact bytes, any input order, whole or absent."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kgbuild.domain import Annotation, Entity, Relation
from kgbuild.errors import KgbuildError, UsageError
from kgbuild.exports import dygie, radgraph, triplets
from kgbuild.labels import EntityType, Presence, RelationType
from kgbuild.notation import read_annotations, read_radgraph
from kgbuild.text import tokenize

EFFUSION = Annotation(
    "CXR2",
    tuple(tokenize("No pleural effusion")),
    (
        Entity(1, 2, "pleural", EntityType.ANATOMY, Presence.PRESENT),
        Entity(2, 3, "effusion", EntityType.OBSERVATION, Presence.ABSENT),
    ),
    (Relation(1, 0, RelationType.LOCATED_AT),),
    "rules",
)
NOTHING = Annotation("CXR10", tuple(tokenize("Comparison")))
PAIRS: list[tuple[Annotation, str | None]] = [(EFFUSION, "train"), (NOTHING, None)]

RADGRAPH = (
    b"{\n"
    b'"CXR10": {"text": "Comparison", "entities": {}},\n'
    b'"CXR2": {"text": "No pleural effusion", "entities": {'
    b'"1": {"tokens": "pleural", "label": "ANAT-DP", "start_ix": 1, "end_ix": 1, "relations": []}, '
    b'"2": {"tokens": "effusion", "label": "OBS-DA", "start_ix": 2, "end_ix": 2, '
    b'"relations": [["located_at", "1"]]}}}\n'
    b"}\n"
)


def test_radgraph_bytes_in_any_order(tmp_path: Path) -> None:
    path = tmp_path / "new" / "graphs.json"
    assert radgraph.write(path, PAIRS) == 2
    assert path.read_bytes() == RADGRAPH
    assert radgraph.write(path, reversed(PAIRS)) == 2
    assert path.read_bytes() == RADGRAPH
    assert [file.name for file in path.parent.iterdir()] == ["graphs.json"]


def test_radgraph_of_no_study(tmp_path: Path) -> None:
    assert radgraph.write(tmp_path / "graphs.json", []) == 0
    assert json.loads((tmp_path / "graphs.json").read_bytes()) == {}


def test_radgraph_with_source_and_xl_labels(tmp_path: Path) -> None:
    radgraph.write(tmp_path / "graphs.json", PAIRS, labels="xl", data_source="IU")
    whole = json.loads((tmp_path / "graphs.json").read_text())
    assert whole["CXR10"] == {"text": "Comparison", "entities": {}, "data_source": "IU"}
    assert (whole["CXR2"]["data_source"], whole["CXR2"]["data_split"]) == ("IU", "train")
    assert whole["CXR2"]["entities"]["2"]["label"] == "Observation::definitely absent"


def test_any_character_is_written_and_read_back(tmp_path: Path) -> None:
    odd = Annotation("CXR1", tuple(tokenize('37°C "ok" \udce9 \U0001f600 \x01 \u2028')))
    path = tmp_path / "graphs.json"
    radgraph.write(path, [(odd, None)])
    assert b'37\xc2\xb0C \\"ok\\" \\udce9 \xf0\x9f\x98\x80 \\u0001' in path.read_bytes()
    assert [found.text for _, found in read_radgraph(path) if isinstance(found, Annotation)] == [odd.text]


def test_dygie(tmp_path: Path) -> None:
    path = tmp_path / "graphs.jsonl"
    assert dygie.write(path, PAIRS, dataset="iu") == 2
    assert path.read_text().splitlines() == [
        '{"dataset": "iu", "doc_key": "CXR10", "sentences": [["Comparison"]], "ner": [[]], "relations": [[]]}',
        '{"dataset": "iu", "doc_key": "CXR2", "sentences": [["No", "pleural", "effusion"]], '
        '"ner": [[[1, 1, "ANAT-DP"], [2, 2, "OBS-DA"]]], "relations": [[[2, 2, 1, 1, "located_at"]]]}',
    ]
    assert [key for key, found in read_annotations(path) if isinstance(found, Annotation)] == ["CXR10", "CXR2"]


def test_triplets(tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    assert triplets.write(path, PAIRS, template="Report: {report}\nTriplets:\n") == 2
    assert [json.loads(line) for line in path.read_text().splitlines()] == [
        {"study_id": "CXR10", "split": None, "prompt": "Report: Comparison\nTriplets:", "completion": " "},
        {
            "study_id": "CXR2",
            "split": "train",
            "prompt": "Report: No pleural effusion\nTriplets:",
            "completion": " effusion (absent) , located_at , pleural",
        },
    ]


def test_triplets_in_the_papers_form_ask_for_no_marks(tmp_path: Path) -> None:
    full, plain = tmp_path / "full.jsonl", tmp_path / "plain.jsonl"
    triplets.write(full, PAIRS[:1])
    triplets.write(plain, PAIRS[:1], certainty="none")
    assert json.loads(plain.read_text())["completion"] == " effusion , located_at , pleural"
    assert "(absent)" in json.loads(full.read_text())["prompt"]
    assert "(absent)" not in json.loads(plain.read_text())["prompt"]


@pytest.mark.parametrize("write", [radgraph.write, dygie.write, triplets.write])
def test_a_study_twice_writes_nothing(tmp_path: Path, write: Callable[..., int]) -> None:
    path = tmp_path / "out"
    path.write_text("before")
    with pytest.raises(KgbuildError, match="study CXR2 comes twice"):
        write(path, [*PAIRS, *PAIRS])
    assert path.read_text() == "before"
    assert [file.name for file in tmp_path.iterdir()] == ["out"]


def test_a_break_in_the_input_leaves_nothing(tmp_path: Path) -> None:
    def broken() -> Iterator[tuple[Annotation, str | None]]:
        yield PAIRS[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        radgraph.write(tmp_path / "graphs.json", broken())
    assert list(tmp_path.iterdir()) == []


def test_a_useless_template(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        triplets.write(tmp_path / "out", PAIRS, template="no place")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.real
def test_gold_exports_and_reads_back_equal(tmp_path: Path, real_data: Path) -> None:
    gold = dict(read_radgraph(real_data / "iu_gold" / "dev.json"))
    radgraph.write(tmp_path / "g.json", [(found, None) for found in gold.values() if isinstance(found, Annotation)])
    assert dict(read_radgraph(tmp_path / "g.json")) == gold
