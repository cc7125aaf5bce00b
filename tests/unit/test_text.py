"""Tokens and the choice of sections (DESIGN §11)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kgbuild.domain import Report, Section
from kgbuild.text import study_tokens, tokenize


def texts(report: Report, *sections: str) -> str:
    return " ".join(token.text for token in study_tokens(report, sections or ("findings", "impression")))


def test_tokens_split_at_white_space_and_around_marks() -> None:
    found = [token.text for token in tokenize("Chest (AP): no x-ray/CT;\n 4.5 cm, ok?!")]
    assert " ".join(found) == "Chest ( AP ) : no x - ray / CT ; 4 . 5 cm , ok ? !"


@given(st.text(), st.integers(0, 50))
def test_offsets_slice_back(text: str, offset: int) -> None:
    for token in tokenize(text, "findings", offset):
        assert text[token.char_start - offset : token.char_end - offset] == token.text
        assert token.text
        assert not any(c.isspace() for c in token.text)


def test_sections_in_the_order_asked_for_and_parts_in_the_order_of_the_file() -> None:
    report = Report((Section("impression", "C."), Section("findings", "A."), Section("findings", "B.", 40)))
    assert texts(report) == "A . B . C ."
    assert texts(report, "impression", "findings") == "C . A . B ."
    assert [token.char_start for token in study_tokens(report)] == [0, 1, 40, 41, 0, 1]


def test_the_last_paragraph_stands_in_only_where_both_are_missing() -> None:
    last = Section("last_paragraph", "Lungs clear.")
    assert texts(Report((last,))) == "Lungs clear ."
    assert texts(Report((last, Section("findings", "Effusion.")))) == "Effusion ."
    assert texts(Report((last, Section("findings", " \n")))) == "Lungs clear ."
    assert texts(Report((last,)), "indication") == ""
    assert texts(Report((last, Section("findings", "Effusion."))), "impression") == ""
    assert study_tokens(None) == []


@pytest.mark.real
def test_the_annotated_iu_reports_have_these_tokens(real_data: Path) -> None:
    import csv

    with (real_data / "iu_xray" / "reports.csv").open(newline="") as stream:
        rows = {row["uid"]: row for row in csv.DictReader(stream)}
    gold = json.loads((real_data / "iu_gold" / "dev.json").read_text())
    for key, entry in gold.items():
        row = rows[key.removeprefix("CXR")]
        report = Report((Section("findings", row["findings"]), Section("impression", row["impression"])))
        assert texts(report) == entry["text"], key
