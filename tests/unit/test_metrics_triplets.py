"""Scores of tiny annotations, each number worked out by hand beside it."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kgbuild.domain import Annotation, Entity, Relation
from kgbuild.labels import RelationType, parse_label
from kgbuild.metrics.matching import EntityKey, overlap, relaxed_matches, speller
from kgbuild.metrics.radgraph_f1 import radgraph_f1
from kgbuild.metrics.rows import Row, rows
from kgbuild.metrics.triplets import score_triplets
from kgbuild.metrics.worst import worst
from kgbuild.notation import read_radgraph
from kgbuild.text import tokenize


def note(study_id: str, text: str, entities: str = "", relations: str = "", section: str = "") -> Annotation:
    """Entities as ``0-1:ANAT-DP``, relations as ``source>type>target`` by number of entity."""
    tokens = tuple(tokenize(text, section))
    found = []
    for one in entities.split():
        span, _, label = one.partition(":")
        start, end = map(int, span.split("-"))
        found.append(Entity(start, end, " ".join(token.text for token in tokens[start:end]), *parse_label(label)))
    links = [one.split(">") for one in relations.split()]
    arcs = tuple(Relation(int(a), int(b), RelationType(kind)) for a, kind, b in links)
    return Annotation(study_id, tokens, tuple(found), arcs)


def value(result: dict[str, Any], path: str) -> float | None:
    for key in path.split("/"):
        result = result[key]
    got = result["value"]
    assert got is None or isinstance(got, float)
    return got


# s1: 4 entities, 2 relations. s2: 2 entities, 1 relation. s3: nothing.
GOLD = {
    "s1": note(
        "s1",
        "small left effusion , no edema",
        "0-1:OBS-DP 1-2:ANAT-DP 2-3:OBS-DP 5-6:OBS-DA",
        "0>modify>2 2>located_at>1",
    ),
    "s2": note("s2", "possible pneumonia right base", "1-2:OBS-U 3-4:ANAT-DP", "0>located_at>1"),
    "s3": note("s3", "nothing here"),
}
# s1: `edema` made present (a flip) -> 3 of 4 right, 4 found; both relations right.
# s2: `pneumonia` made present (a certainty error), `right base` too wide -> 0 of 2 right, 2 found; relation wrong.
# s3: missing. s9: extra.
GUESS = {
    "s1": replace(GOLD["s1"], entities=(*GOLD["s1"].entities[:3], Entity(5, 6, "edema", *parse_label("OBS-DP")))),
    "s2": note("s2", "possible pneumonia right base", "1-2:OBS-DP 2-4:ANAT-DP", "0>located_at>1"),
    "s9": note("s9", "more"),
}


@pytest.fixture(scope="module")
def result() -> dict[str, Any]:
    return score_triplets(GOLD, GUESS)


@pytest.mark.parametrize(
    ("path", "expected", "n"),
    [
        ("entity/precision", 3 / 6, 6),
        ("entity/recall", 3 / 6, 6),
        ("entity/f1", 2 * 3 / 12, 6),
        ("entity/by_label/OBS-DP/precision", 2 / 4, 4),
        ("entity/by_label/OBS-DP/recall", 2 / 2, 2),
        ("entity/by_label/OBS-DP/f1", 2 * 2 / 6, 2),
        ("entity/by_label/ANAT-DP/f1", 2 * 1 / 4, 2),
        ("entity/by_label/OBS-DA/f1", 0.0, 1),
        ("entity/by_label/OBS-DA/precision", None, 0),  # none found
        ("entity/macro/f1", (2 / 3 + 1 / 2 + 0 + 0) / 4, 6),
        ("entity/macro/precision", (1 / 2 + 1 / 2) / 2, 6),  # the two labels that were found at all
        ("entity/relaxed/f1", 2 * 4 / 12, 6),  # `base` with `right base`
        ("relation/f1", 2 * 2 / 6, 3),
        ("relation/by_type/located_at/f1", 2 * 1 / 4, 2),
        ("relation/by_type/modify/f1", 1.0, 1),
        ("relation/macro/f1", (1 / 2 + 1) / 2, 3),
        ("relation/relaxed/f1", 2 * 2 / 6, 3),  # pneumonia's label differs
        # s1 in the full form: 2 triplets and the lone `edema (absent)` against `edema`: 2 right of 3 and 3;
        # s2: 0 right of 1 and 1
        ("triplet/f1", 2 * 2 / 8, 4),
        ("triplet/plain/f1", 2 * 2 / 6, 3),  # relations only
        # spans of observations that both have: small, effusion, edema, pneumonia
        ("polarity/errors", 2 / 4, 4),
        ("polarity/flips", 1 / 4, 4),
        ("polarity/certainty_errors", 1 / 4, 4),
        ("invented_entities", 0.0, 6),
        # radgraph: s1 3 right of 4 and 4 = .75; s2 and s3 0
        ("radgraph/simple", 0.75 / 3, 3),
        ("radgraph/partial", 0.75 / 3, 3),
        # complete: {small modify effusion, effusion located_at left, left, edema}: 3 of 4 and 4
        ("radgraph/complete", 0.75 / 3, 3),
    ],
)
def test_by_hand(result: dict[str, Any], path: str, expected: float | None, n: int) -> None:
    assert value(result, path) == (None if expected is None else pytest.approx(expected))
    at: Any = result
    for key in path.split("/"):
        at = at[key]
    assert at["n"] == n


def test_counts(result: dict[str, Any]) -> None:
    assert {key: result[key] for key in ("n_studies", "missing", "extra", "text_differs")} == {
        "n_studies": 3,
        "missing": 1,
        "extra": 1,
        "text_differs": 0,
    }
    assert result["polarity"]["confusion"] == {
        "present": {"present": 2, "uncertain": 0, "absent": 0},
        "uncertain": {"present": 1, "uncertain": 0, "absent": 0},
        "absent": {"present": 1, "uncertain": 0, "absent": 0},
    }
    assert json.loads(json.dumps(result, allow_nan=False)) == result


def test_radgraph_f1_table() -> None:
    """Two reports by hand. Reference: `Effusion` -located_at-> `pleural`, `Edema`. Predicted: the same without case.

    simple:   {Effusion, pleural, Edema} and {effusion, pleural, edema}: 1 of 3 and 3
    partial:  (Effusion, True), pleural, Edema: the same 1 of 3 and 3
    complete: (effusion, located_at, pleural) lower-cased equal, pleural equal, Edema not: 2 of 3 and 3
    """
    spell = speller("v1")
    gold = note("a", "Effusion pleural Edema", "0-1:OBS-DP 1-2:ANAT-DP 2-3:OBS-DP", "0>located_at>1")
    said = note("a", "effusion pleural edema", "0-1:OBS-DP 1-2:ANAT-DP 2-3:OBS-DP", "0>located_at>1")
    third = pytest.approx(1 / 3)
    assert radgraph_f1(gold, said, spell) == {"simple": third, "partial": third, "complete": pytest.approx(2 / 3)}
    # without the relation: simple all 3; partial loses Effusion; complete has pleural and Edema of 3 and 3
    bare = replace(gold, relations=())
    two = pytest.approx(2 / 3)
    assert radgraph_f1(gold, bare, spell) == {"simple": 1.0, "partial": two, "complete": two}
    # words at other places count as equal, repeats once
    moved = note("a", "Edema Edema Effusion pleural", "0-1:OBS-DP 1-2:OBS-DP 2-3:OBS-DP 3-4:ANAT-DP", "2>located_at>3")
    assert radgraph_f1(gold, moved, spell) == {"simple": 1.0, "partial": 1.0, "complete": 1.0}


def test_radgraph_f1_of_two_empty_reports_is_zero() -> None:
    empty = note("a", "clear")
    assert radgraph_f1(empty, empty, speller("v1")) == {"simple": 0.0, "partial": 0.0, "complete": 0.0}


def test_relaxed_pairs_one_to_one() -> None:
    gold = {EntityKey(0, 2, "x"), EntityKey(2, 4, "x")}
    assert relaxed_matches(gold, {EntityKey(1, 3, "x")}, overlap) == 1
    assert relaxed_matches(gold, {EntityKey(0, 1, "x"), EntityKey(1, 3, "x")}, overlap) == 2
    assert relaxed_matches(gold, {EntityKey(0, 2, "y"), EntityKey(4, 5, "x")}, overlap) == 0


def test_measurements_count_only_as_xl() -> None:
    plain = note("a", "3 cm", "0-1:OBS-DP")
    gold = {"a": replace(plain, entities=(replace(plain.entities[0], is_measurement=True),))}
    assert value(score_triplets(gold, {"a": plain}), "entity/f1") == 1.0
    assert value(score_triplets(gold, {"a": plain}, labels="xl"), "entity/f1") == 0.0


def test_sections_from_whichever_side_knows_them() -> None:
    gold = {"a": note("a", "clear lungs edema", "0-1:OBS-DP 1-2:ANAT-DP 2-3:OBS-DP", "0>located_at>1")}
    tokens = (*tokenize("clear lungs", "findings"), *tokenize("edema", "impression"))
    said = {"a": replace(gold["a"], tokens=tuple(tokens), entities=gold["a"].entities[:2])}
    result = score_triplets(gold, said)
    assert sorted(result["by_section"]) == ["findings", "impression"]
    assert value(result, "by_section/findings/entity/f1") == 1.0
    assert value(result, "by_section/findings/relation/f1") == 1.0
    assert value(result, "by_section/impression/entity/recall") == 0.0
    assert score_triplets(gold, gold)["by_section"] == {}


def test_other_text_is_counted_and_invented_words_found() -> None:
    gold = {"a": note("a", "clear lungs", "0-1:OBS-DP")}
    said = {"a": note("a", "clear spleen", "0-1:OBS-DP 1-2:ANAT-DP")}
    result = score_triplets(gold, said)
    assert result["text_differs"] == 1
    assert result["invented_entities"]["value"] == 0.5
    assert result["invented_entities"]["n"] == 2


def test_baseline_difference_is_paired() -> None:
    result = score_triplets(GOLD, GOLD, baseline=GUESS)
    assert result["baseline"]["missing"] == 1
    assert value(result, "difference/entity/f1") == pytest.approx(1 - 0.5)
    assert value(result, "baseline/entity/f1") == pytest.approx(0.5)
    same = score_triplets(GOLD, GUESS, baseline=GUESS)["difference"]["entity"]["f1"]
    assert same == {"value": 0.0, "n": 6, "low": 0.0, "high": 0.0}
    assert "confusion" not in result["difference"]["polarity"]


def test_same_numbers_whatever_the_order() -> None:
    back = {key: GOLD[key] for key in reversed(GOLD)}
    assert score_triplets(back, GUESS) == score_triplets(GOLD, GUESS)


def test_agreement_is_symmetric() -> None:
    one = score_triplets({k: GOLD[k] for k in ("s1", "s2")}, {k: GUESS[k] for k in ("s1", "s2")})
    two = score_triplets({k: GUESS[k] for k in ("s1", "s2")}, {k: GOLD[k] for k in ("s1", "s2")})
    assert one["entity"]["f1"] == two["entity"]["f1"]
    assert one["entity"]["precision"]["value"] == two["entity"]["recall"]["value"]


def test_nothing_at_all() -> None:
    result = score_triplets({}, {})
    assert result["n_studies"] == 0
    assert result["entity"]["f1"] == {"value": None, "n": 0, "low": None, "high": None}
    assert result["radgraph"]["simple"]["value"] is None


def test_rows(result: dict[str, Any]) -> None:
    flat = {row.metric: row for row in rows(result)}
    assert flat["n_studies"] == Row("n_studies", 3)
    assert flat["polarity.confusion.absent.present"] == Row("polarity.confusion.absent.present", 1)
    got = result["entity"]["by_label"]["OBS-DP"]["f1"]
    assert flat["entity.by_label.OBS-DP.f1"] == Row(
        "entity.by_label.OBS-DP.f1", got["value"], got["low"], got["high"], got["n"]
    )
    assert not any(name.startswith("settings") for name in flat)


def test_worst() -> None:
    first, second = worst(GOLD, GUESS, show_text=True)
    assert first == {
        "study_id": "s2",
        "errors": 6,
        "entity_f1": 0.0,
        "relation_f1": 0.0,
        "missed_entities": [
            {"start": 1, "end": 2, "label": "OBS-U", "text": "pneumonia"},
            {"start": 3, "end": 4, "label": "ANAT-DP", "text": "base"},
        ],
        "spurious_entities": [
            {"start": 1, "end": 2, "label": "OBS-DP", "text": "pneumonia"},
            {"start": 2, "end": 4, "label": "ANAT-DP", "text": "right base"},
        ],
        "missed_relations": [
            {
                "source": [1, 2],
                "type": "located_at",
                "target": [3, 4],
                "source_text": "pneumonia",
                "target_text": "base",
            }
        ],
        "spurious_relations": [
            {
                "source": [1, 2],
                "type": "located_at",
                "target": [2, 4],
                "source_text": "pneumonia",
                "target_text": "right base",
            }
        ],
    }
    assert (second["study_id"], second["errors"], second["entity_f1"]) == ("s1", 2, 0.75)
    hidden = json.dumps(worst(GOLD, GUESS))
    assert "text" not in hidden
    assert "pneumonia" not in hidden
    assert [one["study_id"] for one in worst(GOLD, GUESS, limit=1)] == ["s2"]
    assert worst(GOLD, GOLD) == []


@pytest.mark.real
def test_gold_against_itself_is_one_everywhere(real_data: Path) -> None:
    path = real_data / "iu_gold" / "dev.json"
    gold = {key: found for key, found in read_radgraph(path) if isinstance(found, Annotation)}
    source = random.Random(1)
    for row in rows(score_triplets(gold, dict(source.sample(sorted(gold.items()), len(gold))))):
        if row.n is None:
            continue
        expected = 0.0 if row.metric.startswith(("polarity", "invented")) else 1.0
        assert (row.metric, row.value, row.low, row.high) == (row.metric, expected, expected, expected)
