"""RadGraph JSON to annotations and back; what is refused; big files in small memory."""

from __future__ import annotations

import gzip
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kgbuild.domain import Annotation, Entity, Failure, Relation, Token
from kgbuild.errors import FileMissing, KgbuildError, StudyError, UsageError
from kgbuild.labels import EntityType, Presence, RelationType
from kgbuild.notation import (
    from_radgraph,
    json_stream,
    read_annotations,
    read_radgraph,
    read_radgraph_entry,
    sorted_annotation,
    study_key,
    to_radgraph,
)

ANAT, OBS = EntityType.ANATOMY, EntityType.OBSERVATION
PRESENT, ABSENT = Presence.PRESENT, Presence.ABSENT


def entry(**changes: Any) -> dict[str, Any]:
    """``no pleural effusion .`` in the ``radgraph`` package's manner: ids as they come, labels mixed."""
    whole: dict[str, Any] = {
        "text": "no pleural effusion .",
        "entities": {
            "7": {
                "tokens": "effusion",
                "label": "OBS-DA",
                "start_ix": 2,
                "end_ix": 2,
                "relations": [["located_at", "9"]],
            },
            "9": {
                "tokens": "pleural",
                "label": "Anatomy::definitely present",
                "start_ix": 1,
                "end_ix": 1,
                "relations": [],
            },
        },
        "data_source": None,
        "data_split": "inference",
    }
    whole["entities"]["7"].update(changes)
    return whole


NO_EFFUSION = Annotation(
    "s1",
    tuple(Token(word, "", -1, -1) for word in ("no", "pleural", "effusion", ".")),
    (Entity(1, 2, "pleural", ANAT, PRESENT), Entity(2, 3, "effusion", OBS, ABSENT)),
    (Relation(1, 0, RelationType.LOCATED_AT),),
    "radgraph",
)


def test_read() -> None:
    assert from_radgraph("s1", entry()) == NO_EFFUSION


def test_write_is_sorted_and_renumbered() -> None:
    assert json.dumps(to_radgraph(NO_EFFUSION)) == json.dumps(
        {
            "text": "no pleural effusion .",
            "entities": {
                "1": {"tokens": "pleural", "label": "ANAT-DP", "start_ix": 1, "end_ix": 1, "relations": []},
                "2": {
                    "tokens": "effusion",
                    "label": "OBS-DA",
                    "start_ix": 2,
                    "end_ix": 2,
                    "relations": [["located_at", "1"]],
                },
            },
        }
    )


def test_write_nothing_found_and_the_source_keys() -> None:
    empty = Annotation("s1", (Token("Clear", "findings", 0, 5),))
    assert to_radgraph(empty) == {"text": "Clear", "entities": {}}
    assert to_radgraph(empty, data_source="IU", data_split="test") == {
        "text": "Clear",
        "entities": {},
        "data_source": "IU",
        "data_split": "test",
    }


def test_measurements_live_in_xl_only() -> None:
    measured = Annotation("s1", (Token("3", "", 0, 1),), (Entity(0, 1, "3", OBS, PRESENT, is_measurement=True),))
    written = to_radgraph(measured, labels="xl")
    assert written["entities"]["1"]["label"] == "Observation::measurement::definitely present"
    assert to_radgraph(measured)["entities"]["1"]["label"] == "OBS-DP"
    assert from_radgraph("s1", written).entities == measured.entities


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"tokens": "effusions"}, "entity 7: its words are not the tokens 2-2"),
        ({"end_ix": 4}, "entity 7: span 2-4 lies outside the text of 4 tokens"),
        ({"start_ix": 3}, "entity 7: span 3-2 lies outside the text of 4 tokens"),
        ({"start_ix": -1}, "entity 7: span -1-2 lies outside the text of 4 tokens"),
        ({"start_ix": "2"}, "entity 7: start and end are not two whole numbers"),
        ({"start_ix": True}, "entity 7: start and end are not two whole numbers"),
        ({"label": "OBS"}, "entity 7: unknown label 'OBS'"),
        ({"label": "no pleural effusion " * 9}, "entity 7: unknown label a str of length 180"),
        ({"label": None}, "entity 7: the label is not a string"),
        ({"tokens": 3}, "entity 7: tokens are absent or not a string"),
        ({"relations": [["near", "9"]]}, "entity 7: unknown relation 'near'"),
        ({"relations": [["located_at", "8"]]}, "entity 7: relation to 8, but there is no entity 8"),
        ({"relations": [["located_at", "7"]]}, "entity 7: relation to itself"),
        ({"relations": [["located_at"]]}, "entity 7: a relation is not [type, id]"),
        ({"relations": {}}, "entity 7: relations are absent or not a list"),
        (
            {"tokens": "pleural", "start_ix": 1, "end_ix": 1},
            "entity 9: has the span 1-1 of entity 7",
        ),
    ],
)
def test_refused(changes: dict[str, Any], problem: str) -> None:
    annotation, problems = read_radgraph_entry("s1", entry(**changes))
    assert problems[0] == problem
    assert len(annotation.entities) + len(annotation.relations) < 3, "the bad part is not kept"
    with pytest.raises(StudyError, match="study s1: ") as caught:
        from_radgraph("s1", entry(**changes))
    assert caught.value.reason.startswith(problem)


@pytest.mark.parametrize(
    "obj", [None, [], "x", {"text": 3, "entities": {}}, {"text": "a"}, {"text": "a", "entities": []}]
)
def test_malformed_entries(obj: object) -> None:
    with pytest.raises(StudyError):
        from_radgraph("s1", obj)
    assert read_radgraph_entry("s1", obj)[0].entities == ()


def test_the_good_part_is_kept() -> None:
    annotation, problems = read_radgraph_entry("s1", entry(tokens="other"))
    assert annotation.entities == NO_EFFUSION.entities[:1]
    assert len(problems) == 2, "the entity, and so its relation"


@pytest.mark.parametrize(
    ("key", "study_id"),
    [
        ("p18/p18004941/s58821758.txt", "s58821758"),
        ("files/p18/p18004941/s58821758.txt", "s58821758"),
        ("s58821758", "s58821758"),
        ("CXR12", "CXR12"),
        ("0", "0"),
        ("patient64545/study1/view1_frontal.jpg", "patient64545/study1/view1_frontal.jpg"),
    ],
)
def test_study_key(key: str, study_id: str) -> None:
    assert study_key(key) == study_id


def test_empty_text_and_double_spaces_survive() -> None:
    assert from_radgraph("s1", {"text": "", "entities": {}}).tokens == ()
    assert from_radgraph("s1", {"text": "a  b", "entities": {}}).text == "a  b"


WORD = st.text(st.characters(exclude_characters=" "), min_size=1, max_size=4)


@st.composite
def invented(draw: st.DrawFn) -> Annotation:
    words = draw(st.lists(WORD, max_size=8))
    cuts = sorted(draw(st.sets(st.integers(0, len(words)), max_size=6)))
    entities = []
    for start, end in pairwise(cuts):
        kind, presence = draw(st.sampled_from(EntityType)), draw(st.sampled_from(Presence))
        measured = draw(st.booleans())
        entities.append(Entity(start, end, " ".join(words[start:end]), kind, presence, is_measurement=measured))
    ends = st.integers(0, max(0, len(entities) - 1))
    pairs = draw(st.lists(st.tuples(ends, ends, st.sampled_from(RelationType)), max_size=6)) if entities else []
    relations = tuple(Relation(*link) for link in pairs if link[0] != link[1])
    tokens = tuple(Token(word, "", -1, -1) for word in words)
    return sorted_annotation(Annotation("s1", tokens, tuple(entities), relations, "radgraph"))


@given(invented())
def test_round_trip(annotation: Annotation) -> None:
    assert from_radgraph("s1", json.loads(json.dumps(to_radgraph(annotation, labels="xl")))) == annotation


def test_sorting_moves_the_indexes_and_drops_repeats() -> None:
    loose = Annotation(
        "s1",
        NO_EFFUSION.tokens,
        NO_EFFUSION.entities[::-1],
        (Relation(0, 1, RelationType.LOCATED_AT), Relation(0, 1, RelationType.LOCATED_AT)),
        "radgraph",
    )
    assert sorted_annotation(loose) == NO_EFFUSION
    assert sorted_annotation(NO_EFFUSION) == NO_EFFUSION


def test_file_with_a_bad_entry_and_a_repeated_study(tmp_path: Path) -> None:
    path = tmp_path / "graphs.json"
    good = json.dumps(entry())
    bad = json.dumps(entry(end_ix=9))
    path.write_text(f'{{"p10/p1/s1.txt": {good}, "s2": {bad}, "files/p10/p1/s1.txt": {good}}}')
    assert list(read_radgraph(path)) == [
        ("p10/p1/s1.txt", NO_EFFUSION),
        (
            "s2",
            Failure(
                "s2",
                "read",
                "entity 7: span 2-9 lies outside the text of 4 tokens (and 1 more)",
                "graphs.json, key s2",
            ),
        ),
        (
            "files/p10/p1/s1.txt",
            Failure("s1", "read", "comes twice; the first was kept", "graphs.json, key files/p10/p1/s1.txt"),
        ),
    ]


def test_two_labelers(tmp_path: Path) -> None:
    path = tmp_path / "test.json"
    own = {"entities": entry()["entities"]}
    whole = {"text": entry()["text"], "labeler_1": own, "labeler_2": {"entities": {}}, "data_split": "test"}
    path.write_text(json.dumps({"s1": whole}))
    assert list(read_radgraph(path, labeler=1)) == [("s1", NO_EFFUSION)]
    ((_, second),) = read_radgraph(path, labeler=2)
    assert isinstance(second, Annotation)
    assert (second.text, second.entities) == (NO_EFFUSION.text, ())
    ((_, third),) = read_radgraph(path, labeler=3)
    assert isinstance(third, Failure)
    assert third.reason == "no labeler_3; there is labeler_1, labeler_2"
    with pytest.raises(UsageError, match="labeler_1, labeler_2"):
        list(read_radgraph(path))


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("", "before the first key, character 0"),
        ("[]", "before the first key, character 0"),
        ('{"s1": {"text": "a" "b": 1}}', "at or after key 's1', character 20"),
        ('{"s1": 1, "s2": tru', "at or after key 's2', character 16"),
        ('{"s1": {"text": "a', "at or after key 's1', character 16"),
        ('{"s1": {}', "at or after key 's1', character 9"),
        ('{"s1": {}} {}', "at or after key 's1', character 11"),
        ('{"s1": {},}', "at or after key 's1', character 10"),
        ('{"s1": {"a": ' + "[" * 200_000, "at or after key 's1', character 7"),
    ],
)
def test_malformed_json_says_where(tmp_path: Path, text: str, where: str) -> None:
    path = tmp_path / "bad.json"
    path.write_text(text)
    with pytest.raises(KgbuildError, match=r"bad\.json is not valid JSON") as caught:
        list(json_stream.object_members(path))
    assert caught.value.where == where


def test_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(FileMissing):
        list(read_radgraph(tmp_path / "none.json"))
    (tmp_path / "latin.json").write_bytes(b'{"s1": {"text": "\xe9", "entities": {}}}')
    with pytest.raises(KgbuildError, match="unreadable bytes"):
        list(read_annotations(tmp_path / "latin.json"))


@pytest.mark.parametrize("chunk", [1, 2, 7, 1 << 20])
def test_members_cut_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    whole = {"a": {"x": 'q"\\\u00e9\U0001f600 '}, "b": 1234567, "c": [True, None, -1.5e-7], "d": "text", "é": {}}
    path = tmp_path / "members.json"
    path.write_text(json.dumps(whole, indent=1))
    monkeypatch.setattr(json_stream, "_CHUNK", chunk)
    assert list(json_stream.object_members(path)) == list(whole.items())


def test_gzip_and_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "graphs.json.gz"
    path.write_bytes(gzip.compress(b"\xef\xbb\xbf" + json.dumps({"s1": entry()}).encode()))
    assert list(read_annotations(path)) == [("s1", NO_EFFUSION)]


@pytest.mark.real
def test_gold_reads_and_writes_back(real_data: Path) -> None:
    path = real_data / "iu_gold" / "dev.json"
    raw = json.loads(path.read_text())
    written = {key: to_radgraph(found) for key, found in read_radgraph(path) if isinstance(found, Annotation)}
    assert len(written) == len(raw) == 60
    for key, whole in raw.items():
        wanted = {n: {**one, "relations": sorted(one["relations"])} for n, one in whole["entities"].items()}
        got = {n: {**one, "relations": sorted(one["relations"])} for n, one in written[key]["entities"].items()}
        assert (written[key]["text"], got) == (whole["text"], wanted)
