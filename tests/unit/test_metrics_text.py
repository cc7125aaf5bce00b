"""BLEU and ROUGE-L against pycocoevalcap's own numbers, and the order-free measures by hand."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.rouge.rouge import Rouge

from kgbuild.domain import Annotation
from kgbuild.metrics.bleu import bleu_counts
from kgbuild.metrics.rouge import common_length, rouge_l
from kgbuild.metrics.text import Row, score_text, text_measures
from kgbuild.metrics.text_counting import Written, spaced
from kgbuild.notation.triplets import encode
from tests.unit.test_metrics_triplets import note

# (references, predictions) → BLEU-1 to 4 and ROUGE-L as pycocoevalcap 1.2 computed them (2026-11-25, Python 3.11) on
# the texts with a space round "," and ";" and single spaces: Bleu(4).compute_score, Rouge().compute_score
PUBLISHED: list[tuple[list[str], list[str], list[float]]] = [
    (
        ["effusion , located_at , left ; small , modify , effusion", "opacity , suggestive_of , pneumonia"],
        ["small , modify , effusion ; effusion , located_at , left", "opacity , suggestive_of , edema"],
        [0.9374999998828125, 0.8582582027958803, 0.7889477141611174, 0.7039286926543157, 0.6272727272727273],
    ),
    (
        [
            "effusion , located_at , left ; small , modify , effusion",
            "opacity , suggestive_of , pneumonia",
            "heart , modify , size ; enlarged , modify , heart",
            "clear , located_at , lungs",
        ],
        [
            "effusion , located_at , left",
            "opacity , suggestive_of , pneumonia ; opacity , located_at , left base",
            "",
            "clear , located_at , lungs",
        ],
        [0.43277483105630365, 0.4165254372305955, 0.39566988854733154, 0.3670287455141654, 0.5552073336532309],
    ),
    (
        ["a,b;c , d", ""],
        ["a , b ; c,d", ""],
        [0.9999999997142859, 0.9999999997023811, 0.9999999996873018, 0.9999999996672622, 1.0],
    ),
    (
        ["", ""],
        ["", ""],
        [0.0, 0.0, 0.0, 0.0, 1.0],
    ),
    (
        ["", "effusion , located_at , left ; small , modify , effusion"],
        ["effusion , located_at , left ; small , modify , effusion", ""],
        [9.0909090892562e-17, 9.534625890679017e-17, 1.0033557296557626e-16, 1.0600313377417292e-16, 0.0],
    ),
    (
        ["x y z"],
        ["p q r s t"],
        [1.9999999996000001e-16, 2.2360679769966743e-16, 2.5543647739782093e-16, 3.02137539638741e-16, 0.0],
    ),
    (
        ["the the cat sat", "a"],
        ["the the the the the", "a"],
        [0.4999999999166668, 0.35355339051961704, 3.466806370886476e-06, 1.2014057066919384e-08, 0.7267657992565055],
    ),
    (
        [
            "effusion , located_at , left ; small , modify , effusion",
            "opacity , suggestive_of , pneumonia",
            "heart , modify , size ; enlarged , modify , heart",
            "clear , located_at , lungs",
        ],
        [
            "effusion , located_at , left ; small , modify , effusion ; extra , modify , words",
            "opacity , suggestive_of , pneumonia ; extra , modify , words",
            "heart , modify , size ; enlarged , modify , heart ; extra , modify , words",
            "clear , located_at , lungs ; extra , modify , words",
        ],
        [0.5714285714183673, 0.5547001962149428, 0.535832289826779, 0.5142401604924581, 0.7438128254206209],
    ),
]


def scored(reference: Sequence[str], predicted: Sequence[str], **options: Any) -> dict[str, Any]:
    rows: list[Row] = [(Written(a), Written(b), None) for a, b in zip(reference, predicted, strict=True)]
    return score_text(rows, len(rows), **options)


def five(tree: dict[str, Any]) -> list[float]:
    return [tree[name]["value"] for name in ("bleu1", "bleu2", "bleu3", "bleu4", "rouge_l")]


@pytest.mark.parametrize(("reference", "predicted", "published"), PUBLISHED)
def test_as_pycocoevalcap(reference: list[str], predicted: list[str], published: list[float]) -> None:
    assert five(scored(reference, predicted, resamples=3)) == pytest.approx(published, abs=1e-12)


words = st.lists(st.sampled_from(["effusion", "left", ",", ";", "located_at", "a,b", "c;"]), max_size=12).map(" ".join)


@settings(deadline=None)
@given(st.lists(st.tuples(words, words), min_size=1, max_size=5))
def test_as_pycocoevalcap_on_any_texts(pairs: list[tuple[str, str]]) -> None:
    """The package itself, on the spaced texts."""
    sides = [{n: [" ".join(spaced(pair[side]))] for n, pair in enumerate(pairs)} for side in (0, 1)]
    wanted = [*Bleu(4).compute_score(*sides, verbose=0)[0], Rouge().compute_score(*sides)[0]]
    got = five(scored(*zip(*pairs, strict=True), resamples=0))
    assert got == pytest.approx([float(value) for value in wanted], abs=1e-9)


@settings(deadline=None)
@given(st.lists(st.tuples(words, words), min_size=1, max_size=5))
def test_as_the_formulas_say(pairs: list[tuple[str, str]]) -> None:
    """BLEU (Papineni et al. 2002) and ROUGE-L (Lin 2004) written out anew, the slow way."""
    texts = [(spaced(a), spaced(b)) for a, b in pairs]
    right, said = [0] * 4, [0] * 4
    for gold, guess in texts:
        for k in range(4):
            grams = [[tuple(side[i : i + k + 1]) for i in range(len(side) - k)] for side in (gold, guess)]
            said[k] += len(grams[1])
            right[k] += sum(min(grams[0].count(one), grams[1].count(one)) for one in set(grams[1]))
    long, short = sum(len(a) for a, _ in texts), said[0]
    penalty = 0.0 if not short else min(1.0, math.exp(1 - long / short))
    tree = scored(*zip(*pairs, strict=True), resamples=0)
    for k in range(4):
        if all(right[: k + 1]):
            mean = math.exp(sum(math.log(a / b) for a, b in zip(right[: k + 1], said, strict=False)) / (k + 1))
            assert tree[f"bleu{k + 1}"]["value"] == pytest.approx(penalty * mean, rel=1e-6)
        elif said[k]:  # else 0/0, for which pycocoevalcap's guards give a number; PUBLISHED has it
            assert tree[f"bleu{k + 1}"]["value"] < 1e-3
    assert tree["brevity_penalty"]["value"] == pytest.approx(penalty, abs=1e-6)
    assert tree["length_ratio"]["value"] == (pytest.approx(short / long) if long else None)
    assert tree["rouge_l"]["value"] == pytest.approx(sum(slow_rouge(a, b) for a, b in texts) / len(texts))


def slow_rouge(gold: list[str], guess: list[str], beta: float = 1.2) -> float:
    gold, guess = gold or [""], guess or [""]
    table = [[0] * (len(guess) + 1) for _ in range(len(gold) + 1)]
    for i, a in enumerate(gold):
        for j, b in enumerate(guess):
            table[i + 1][j + 1] = table[i][j] + 1 if a == b else max(table[i][j + 1], table[i + 1][j])
    common = table[-1][-1]
    if not common:
        return 0.0
    p, r = common / len(guess), common / len(gold)
    return (1 + beta**2) * p * r / (r + beta**2 * p)


def test_long_texts_and_beta() -> None:
    """A subsequence longer than a machine word, and beta that moves the score from precision to recall."""
    draw = random.Random(3)
    a, b = ([draw.choice("abcdefg") for _ in range(n)] for n in (300, 170))
    for beta in (0.5, 1.2, 4.0):
        assert rouge_l(a, b, beta) == pytest.approx(slow_rouge(a, b, beta), abs=1e-12)
    assert common_length([], list("ab")) == common_length(list("ab"), []) == 0
    high, low = (scored(["a b c d"], ["a b"], beta=beta, resamples=0)["rouge_l"]["value"] for beta in (0.1, 10.0))
    assert high > 0.9
    assert low < 0.6


def test_ngrams_count_as_often_as_the_reference_has_them() -> None:
    # "the" twice in the reference, "the the" once; lengths 5 and 4
    got = bleu_counts(["the", "the", "cat", "sat"], ["the"] * 5)
    assert got == (2, 1, 0, 0, 5, 4, 3, 2, 4)


def test_nothing_to_score_is_null() -> None:
    tree = scored([], [])
    assert tree["n_studies"] == 0
    for name in ("bleu1", "bleu4", "rouge_l", "brevity_penalty", "length_ratio"):
        assert tree[name] == {"value": None, "n": 0, "low": None, "high": None}


def test_texts_are_scored_as_written() -> None:
    """Space round the signs does not matter; order, case and repeats do."""
    gold = "a , modify , b ; c , modify , d"
    assert five(scored([gold], ["a,modify,b;c,modify,d"])) == pytest.approx([1.0] * 5)
    turned = scored([gold], ["c , modify , d ; a , modify , b"])
    assert turned["triplet"]["f1"]["value"] == 1.0
    assert turned["bleu4"]["value"] < 0.9
    assert turned["rouge_l"]["value"] < 0.8
    assert scored([gold], [gold.upper()])["bleu1"]["value"] < 0.5
    twice = scored([gold], [f"{gold} ; {gold}"])
    assert twice["length_ratio"]["value"] == pytest.approx(23 / 11)
    assert twice["bleu1"]["value"] < 0.5
    assert twice["triplet"]["precision"]["value"] == 0.5
    assert twice["relation"]["precision"]["value"] == 1.0


REPORT = "small left effusion , no edema"
GOLD = "small , modify , effusion ; effusion , located_at , left ; edema (absent)"


def test_order_free_measures() -> None:
    # pieces: 1 of 3 is the reference's ("effusion , located_at , left"), "junk , here" is no triplet, one mark is wrong
    # entities: effusion, left, edema; missed: small; relation: 1 of the reference's 2
    guess = "effusion , located_at , left ; edema ; junk , here"
    rows: list[Row] = [(Written(GOLD, report=REPORT), Written(guess), None)]
    tree = score_text(rows, 1)
    assert {key: tree["triplet"][key]["value"] for key in ("precision", "recall")} == {
        "precision": pytest.approx(1 / 3),
        "recall": pytest.approx(1 / 3),
    }
    assert tree["unparsed"]["value"] == pytest.approx(1 / 3)
    assert tree["entity"]["precision"]["value"] == 1.0
    assert tree["entity"]["recall"]["value"] == 0.75
    assert tree["relation"]["recall"]["value"] == 0.5
    assert tree["invented_entities"] == {"value": 0.0, "n": 3, "low": 0.0, "high": 0.0}
    assert tree["polarity"]["errors"]["value"] is None  # the prediction marks nothing: its form may have no marks
    assert "spans" not in tree


def test_polarity_and_invented_words_of_texts() -> None:
    guess = "effusion (uncertain) , located_at , right-sided lung ; edema ; edema (absent) ; left (absent)"
    rows: list[Row] = [(Written(GOLD, report=REPORT), Written(guess), None)]
    tree = score_text(rows, 1)
    # both name effusion (uncertain for present), edema (present too), left (absent for present): 3 errors, 2 flips
    assert tree["polarity"]["errors"]["value"] == 1.0
    assert tree["polarity"]["flips"]["value"] == pytest.approx(2 / 3)
    assert tree["invented_entities"]["value"] == 0.25  # "right-sided lung"; of effusion, it, edema, left
    unknown = scored([GOLD], [guess])
    assert unknown["invented_entities"]["value"] is None
    held = score_text([(Written("x", report="right - sided lung"), Written("right-sided , modify , lung"), None)], 1)
    assert held["invented_entities"]["value"] == 0.0  # a model need not cut words as the report is cut


def side(annotation: Annotation, certainty: Any = "none") -> Written:
    return Written(encode(annotation, certainty), annotation.text, annotation, encoded=True)


def test_annotated_sides_have_spans_and_presences() -> None:
    gold = note("s", REPORT, "0-1:OBS-DP 1-2:ANAT-DP 2-3:OBS-DP 5-6:OBS-DA", "0>modify>2 2>located_at>1")
    guess = note("s", REPORT, "1-2:ANAT-DP 2-3:OBS-U 5-6:OBS-DP", "1>located_at>0")
    tree = score_text([(side(gold), side(guess), None)], 1)
    assert tree["triplet"]["f1"]["value"] == pytest.approx(2 / 3)  # the paper's form: no marks, no lone entities
    assert tree["spans"]["entity"]["recall"]["value"] == 0.25
    assert tree["spans"]["relation"]["f1"]["value"] == 0.0
    assert tree["spans"]["polarity"]["errors"]["value"] == 1.0
    assert tree["spans"]["polarity"]["flips"]["value"] == 0.5
    assert tree["polarity"]["errors"]["value"] == 0.5  # effusion and left; the annotation knows what the form drops
    missing = score_text([(side(gold), None, None), (side(gold), side(gold), None)], 2)
    assert missing["missing"] == 1
    assert missing["spans"]["entity"]["recall"]["value"] == 0.5
    assert missing["rouge_l"]["value"] == 0.5


def test_intervals_are_paired_with_a_baseline() -> None:
    draw = random.Random(5)
    texts = [" ".join(draw.choice("abcdef") for _ in range(12)) for _ in range(40)]
    worse = [text[:-4] for text in texts]
    rows: list[Row] = [(Written(a), Written(a), Written(b)) for a, b in zip(texts, worse, strict=True)]
    tree = score_text(rows, 40, baseline=True)
    assert tree["bleu1"]["low"] == tree["bleu1"]["high"] == pytest.approx(1.0)
    assert tree["baseline"]["bleu1"]["value"] == pytest.approx(math.exp(1 - 12 / 10))
    assert tree["difference"]["bleu1"]["low"] > 0.1
    assert tree["difference"]["brevity_penalty"]["value"] == pytest.approx(1 - math.exp(1 - 12 / 10))
    interval = scored(texts, [text if n % 2 else "x" for n, text in enumerate(texts)])["rouge_l"]
    assert interval["low"] < interval["value"] < interval["high"]


def test_values_for_lists() -> None:
    found = text_measures([GOLD, ""], [GOLD, ""])
    assert found["triplet_f1"] == found["entity_f1"] == found["relation_f1"] == 1.0
    assert found["bleu4"] == pytest.approx(1.0)
    assert found["unparsed"] == 0.0
    assert text_measures([""], [""])["triplet_f1"] == 1.0
    with pytest.raises(ValueError, match="argument 2"):
        text_measures([""], ["", ""])
