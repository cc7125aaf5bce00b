"""Kinds of words and phrases: longest entry, numbers with units, misspellings, endings, denials of seeing."""

from __future__ import annotations

import pytest

from kgbuild.extractors._rules.lexicon import load
from kgbuild.extractors._rules.tagging import tag


def kinds(text: str) -> list[tuple[str, str]]:
    words = text.lower().split()
    return [(" ".join(words[item.start : item.end]), item.kind) for item in tag(words, load())]


def test_the_longest_entry_wins() -> None:
    assert kinds("no evidence of et tube") == [("no evidence of", "neg"), ("et tube", "E")]


@pytest.mark.parametrize(
    "text", ["5 mm", "5mm", "4 . 5 cm", "2 x 3 cm", "2 . 1 x 1 . 8 cm", "2 - 3 cm", "2 cm x 3 cm", "40%"]
)
def test_a_number_with_its_unit_is_one_measurement(text: str) -> None:
    assert kinds(text) == [(text, "X")]


@pytest.mark.parametrize(("word", "kind"), [("3", "num"), ("9th", "S"), ("t9", "S"), ("4 . 5", "num")])
def test_other_numbers(word: str, kind: str) -> None:
    assert kinds(word) == [(word, kind)]


@pytest.mark.parametrize(
    ("word", "kind", "source"),
    [
        ("opactiy", "O", "spelling"),
        ("efusion", "O", "spelling"),
        ("consolidattion", "O", "spelling"),
        ("vesiculitis", "O", "suffix"),
        ("xyloidosis", "O", "suffix"),
        ("banana", "w", "unknown"),
    ],
)
def test_words_no_list_holds(word: str, kind: str, source: str) -> None:
    (item,) = tag([word], load())
    assert (item.kind, item.source) == (kind, source)


@pytest.mark.parametrize("text", ["not seen", "not well seen", "could not be identified", "has not been shown"])
def test_denials_of_seeing_speak_of_what_stands_before(text: str) -> None:
    assert kinds(text)[-1][1] == "negpost"


@pytest.mark.parametrize("text", ["not resolved", "has not yet resolved", "not absent", "partially resolved"])
def test_denials_undone(text: str) -> None:
    assert kinds(text)[-1][1] == "negpostnot"


def test_not_excluded_is_a_doubt() -> None:
    assert kinds("has not been excluded")[-1] == ("not been excluded", "hedgepost")


def test_clear_of_is_a_judgement_and_a_denial() -> None:
    assert kinds("clear of edema") == [("clear", "Q"), ("of", "neg"), ("edema", "O")]


def test_the_chest_of_a_view_is_no_site() -> None:
    assert kinds("lateral views of the chest")[-1] == ("lateral views of the chest", "from")
