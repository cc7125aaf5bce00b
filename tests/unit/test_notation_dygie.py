"""DyGIE++ lines to annotations and back, and telling the two formats apart."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kgbuild.domain import Annotation, Entity, Failure, Relation, Token
from kgbuild.errors import KgbuildError, StudyError
from kgbuild.labels import EntityType, Presence, RelationType
from kgbuild.notation import from_dygie, read_annotations, read_dygie, read_radgraph, to_dygie, to_radgraph

ANAT, OBS = EntityType.ANATOMY, EntityType.OBSERVATION

DOCUMENT: dict[str, Any] = {
    "dataset": "kgbuild",
    "doc_key": "s1",
    "sentences": [["Lungs", "clear", ".", "No", "large", "effusion"]],
    "ner": [[[0, 0, "ANAT-DP"], [1, 1, "OBS-DP"], [4, 4, "OBS-DA"], [5, 5, "OBS-DA"]]],
    "relations": [[[1, 1, 0, 0, "located_at"], [4, 4, 5, 5, "modify"]]],
}
ANNOTATION = Annotation(
    "s1",
    tuple(Token(word, "", -1, -1) for word in ("Lungs", "clear", ".", "No", "large", "effusion")),
    (
        Entity(0, 1, "Lungs", ANAT, Presence.PRESENT),
        Entity(1, 2, "clear", OBS, Presence.PRESENT),
        Entity(4, 5, "large", OBS, Presence.ABSENT),
        Entity(5, 6, "effusion", OBS, Presence.ABSENT),
    ),
    (Relation(1, 0, RelationType.LOCATED_AT), Relation(2, 3, RelationType.MODIFY)),
    "dygie",
)


def test_both_ways() -> None:
    assert to_dygie(ANNOTATION) == DOCUMENT
    assert from_dygie(DOCUMENT) == ANNOTATION


def test_offsets_count_through_the_document() -> None:
    split = DOCUMENT | {
        "doc_key": "files/p10/p1/s1.txt",
        "sentences": [["Lungs", "clear", "."], ["No", "large", "effusion"]],
        "ner": [DOCUMENT["ner"][0][:2], DOCUMENT["ner"][0][2:]],
        "relations": [DOCUMENT["relations"][0][:1], DOCUMENT["relations"][0][1:]],
    }
    assert from_dygie(split) == ANNOTATION


def test_predictions_carry_their_probability() -> None:
    predicted = {
        "doc_key": "s1",
        "sentences": [["Lungs", "clear"]],
        "predicted_ner": [[[0, 0, "ANAT-DP", 9.5, 0.99], [1, 1, "OBS-DP", 8.5, 0.9]]],
        "predicted_relations": [[[1, 1, 0, 0, "located_at", 7.5, 0.8]]],
    }
    found = from_dygie(predicted)
    assert [entity.score for entity in found.entities] == [0.99, 0.9]
    assert found.relations == (Relation(1, 0, RelationType.LOCATED_AT, score=0.8),)


def test_nothing_in_it() -> None:
    empty = {"dataset": "kgbuild", "doc_key": "s1", "sentences": [], "ner": [], "relations": []}
    assert to_dygie(Annotation("s1", ())) == empty
    assert from_dygie(empty) == Annotation("s1", (), extractor="dygie")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"ner": [[[0, 6, "OBS-DP"]]], "relations": []}, "entity 0-6: span 0-6 lies outside the text of 6 tokens"),
        ({"ner": [[[0, 0]]], "relations": []}, "an item of ner has not 3 parts"),
        ({"ner": 3, "relations": []}, "ner is not a list of lists"),
        ({"relations": [[[1, 1, 3, 3, "modify"]]]}, "entity 1-1: relation to 3-3, but there is no entity 3-3"),
        ({"sentences": [["a", 3]], "ner": [], "relations": []}, "sentences are not lists of strings"),
        ({"doc_key": 3}, "the line is not an object with a doc_key"),
    ],
)
def test_refused(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(StudyError) as caught:
        from_dygie(DOCUMENT | changes)
    assert caught.value.reason == reason


def test_file(tmp_path: Path) -> None:
    path = tmp_path / "graphs.jsonl"
    path.write_text(f"{json.dumps(DOCUMENT)}\n\n{json.dumps(DOCUMENT)}\n[]\n")
    assert list(read_dygie(path)) == [
        ("s1", ANNOTATION),
        ("s1", Failure("s1", "read", "comes twice; the first was kept", "graphs.jsonl, line 3")),
        (
            "graphs.jsonl:4",
            Failure("graphs.jsonl:4", "read", "the line is not an object with a doc_key", "graphs.jsonl, line 4"),
        ),
    ]
    path.write_text(json.dumps(DOCUMENT) + '\n{"doc_key": }\n')
    with pytest.raises(KgbuildError, match="is not JSON Lines") as caught:
        list(read_dygie(path))
    assert caught.value.where == "line 2, character 12"


def test_formats_are_told_apart(tmp_path: Path) -> None:
    dygie, radgraph = tmp_path / "a.json", tmp_path / "b.json"
    dygie.write_text(json.dumps(DOCUMENT))
    radgraph.write_text(json.dumps({"s1": to_radgraph(ANNOTATION)}, indent=2))
    assert list(read_annotations(dygie)) == [("s1", ANNOTATION)]
    assert list(read_annotations(radgraph)) == list(read_radgraph(radgraph))
