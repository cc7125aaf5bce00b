"""The shipped polarity suite is well formed: its marks stand on the tokens they name."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from kgbuild.text import tokenize

SUITE = Path(__file__).resolve().parents[2] / "schemas" / "polarity"
CATEGORIES = {
    "pre-negation",
    "list-negation",
    "post-negation",
    "scope-end",
    "resolution",
    "change-presence",
    "pseudo-negation",
    "hedge-forward",
    "hedge-backward",
    "double-negation",
    "rather-than",
    "conditional-advice",
    "devices",
    "normal-beside",
    "numbered-run-on",
    "all-caps",
    "placeholders",
    "decimals",
    "comparison",
    "long-mixed",
}


@pytest.fixture(scope="module")
def cases() -> list[dict[str, Any]]:
    lines = (SUITE / "polarity.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def test_size_and_keys(cases: list[dict[str, Any]]) -> None:
    assert len(cases) >= 250
    assert sum(len(case["findings"]) for case in cases) >= 600
    for case in cases:
        assert set(case) == {"id", "category", "text", "findings", "never"}, case["id"]
        assert case["findings"] or case["never"], case["id"]


def test_ids_and_texts_are_unique(cases: list[dict[str, Any]]) -> None:
    assert len({case["id"] for case in cases}) == len(cases)
    assert len({case["text"].casefold() for case in cases}) == len(cases)


def test_every_mark_stands_on_its_token(cases: list[dict[str, Any]]) -> None:
    for case in cases:
        words = [token.text for token in tokenize(case["text"])]
        marks = case["findings"] + case["never"]
        for mark in marks:
            assert 0 <= mark["token"] < len(words), case["id"]
            assert words[mark["token"]] == mark["word"], case["id"]
        assert len({mark["token"] for mark in marks}) == len(marks), case["id"]
        assert all(set(mark) == {"token", "word", "presence"} for mark in case["findings"]), case["id"]
        assert all(set(mark) == {"token", "word"} for mark in case["never"]), case["id"]


def test_presence_values(cases: list[dict[str, Any]]) -> None:
    seen = {mark["presence"] for case in cases for mark in case["findings"]}
    assert seen == {"present", "uncertain", "absent"}


def test_each_category_has_enough_and_the_readme_counts_it(cases: list[dict[str, Any]]) -> None:
    counts = Counter(case["category"] for case in cases)
    assert set(counts) == CATEGORIES
    assert min(counts.values()) >= 15
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in (SUITE / "README.md").read_text(encoding="utf-8").splitlines()
        if line.startswith("|")
    ]
    table = {row[0]: row[2:] for row in rows if row[0] in CATEGORIES}
    for category in CATEGORIES:
        mine = [case for case in cases if case["category"] == category]
        marks = Counter(mark["presence"] for case in mine for mark in case["findings"])
        never = sum(len(case["never"]) for case in mine)
        expected = [len(mine), marks["present"], marks["uncertain"], marks["absent"], never]
        assert table[category] == [str(number) for number in expected], category
