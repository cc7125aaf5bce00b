"""Phrases out of tagged words: runs cut into phrases, nouns lent over conjunctions, kinds that depend on others."""

from __future__ import annotations

import pytest

from kgbuild.extractors._rules.chunking import chunk
from kgbuild.extractors._rules.lexicon import load
from kgbuild.extractors._rules.tagging import tag


def phrases(text: str) -> list[str]:
    """Each chunk as ``link[group | group]``."""
    words = text.lower().split()
    chunks, _ = chunk(tag(words, load()), words, load())
    return [
        piece.link
        + "["
        + " | ".join(" ".join("_".join(words[i.start : i.end]) for i in group) for group in piece.groups)
        + "]"
        for piece in chunks
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mild left pleural effusion", ["[mild left pleural effusion]"]),
        ("heart size normal", ["[heart size]", "p[normal]"]),
        ("degenerative changes thoracic spine", ["[degenerative changes]", "j[thoracic spine]"]),
        ("lungs clear bilaterally", ["[lungs]", "p[clear]", "j[bilaterally]"]),
        ("hilar and mediastinal contours", ["[hilar | mediastinal contours]"]),
        ("right and left lungs", ["[right | left lungs]"]),
        ("no acute or active disease", ["[acute | active disease]"]),
        ("cardiac , pulmonary or pleural disease", ["[cardiac | pulmonary | pleural disease]"]),
        ("calcified and tortuous aorta", ["[calcified | tortuous aorta]"]),
        ("heart and mediastinal contours", ["[heart]", "[mediastinal contours]"]),
        ("lungs are clear , mild cardiomegaly", ["[lungs]", "[clear]", "[mild cardiomegaly]"]),
        ("scarring XXXX atelectasis", ["[scarring]", "[atelectasis]"]),
        ("within normal limits", ["[within normal limits]"]),
        ("upper limits of normal", ["[upper limits normal]"]),
        ("nodule in the mid to lower lung", ["[nodule]", "[mid lower lung]"]),
        ("tube tip 4 cm above the carina", ["[tube tip]", "p[4_cm]", "[above carina]"]),
    ],
)
def test_phrases(text: str, expected: list[str]) -> None:
    assert phrases(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("findings suggest edema", ["[edema]"]),
        ("no acute findings", ["[acute findings]"]),
        ("both lungs", ["[both lungs]"]),
        ("both the lung and the heart", ["[lung]", "[heart]"]),
        ("the most recent study shows edema", ["[edema]"]),
        ("two nodules", ["[two nodules]"]),
        ("two views", []),
        ("prior granulomatous disease", ["[prior granulomatous disease]"]),
        ("unchanged from prior", ["[unchanged]"]),
        ("no kinkage", []),
        ("no foldation", ["[foldation]"]),
        ("volume loss", ["[volume loss]"]),
        ("gallbladder absent", ["[gallbladder]", "[absent]"]),
    ],
)
def test_words_in_context(text: str, expected: list[str]) -> None:
    assert phrases(text) == expected
