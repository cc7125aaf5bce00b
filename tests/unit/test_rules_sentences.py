"""Where one sentence ends: full stops, decimals, list numbers, sections, forgotten stops."""

from __future__ import annotations

import pytest

from kgbuild.extractors._rules.lexicon import load
from kgbuild.extractors._rules.sentences import split


def cut(text: str, breaks: frozenset[int] = frozenset()) -> list[str]:
    tokens = text.split()
    return [" ".join(tokens[a:b]) for a, b in split(tokens, load(), breaks)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Heart is large . No effusion .", ["Heart is large .", "No effusion ."]),
        ("A nodule of 4 . 5 cm is seen .", ["A nodule of 4 . 5 cm is seen ."]),
        ("1 . No effusion . 2 . Clear lungs .", ["1 .", "No effusion .", "2 .", "Clear lungs ."]),
        ("seen by Dr . Smith today .", ["seen by Dr . Smith today ."]),
        ("edema vs . pneumonia", ["edema vs . pneumonia"]),
        ("? pneumonia at the base", ["? pneumonia at the base"]),
        ("No acute process Lungs are clear", ["No acute process", "Lungs are clear"]),
        ("mild Kerley lines", ["mild Kerley lines"]),
        ("", []),
    ],
)
def test_split(text: str, expected: list[str]) -> None:
    assert cut(text) == expected


def test_a_section_ends_a_sentence() -> None:
    assert cut("no effusion opacity at the base", frozenset({2})) == ["no effusion", "opacity at the base"]


def test_sentences_have_a_greatest_length_so_that_time_stays_linear() -> None:
    spans = split(["effusion"] * 1000, load())
    assert max(b - a for a, b in spans) == 250
    assert [a for a, _ in spans[1:]] == [b for _, b in spans[:-1]]
