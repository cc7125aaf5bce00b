"""The MIT-LCP parser's rules on invented reports, its quirks too; offsets always slice back."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kgbuild import sections, sections_mit
from kgbuild.domain import Report, Section
from kgbuild.sections_mit import is_set_by_hand, parse, section_name, selected_text, split_sections
from kgbuild.text import study_tokens

BANNER = " " * 33 + "FINAL REPORT\n"


def split(text: str, study_id: str | None = None) -> list[tuple[str, str]]:
    found = split_sections(text, study_id)
    for section in found:
        assert text[section.offset : section.offset + len(section.text)] == section.text
    return [(section.name, section.text) for section in found]


def test_the_usual_shape() -> None:
    text = (
        f"{BANNER} EXAMINATION:  CHEST (PA AND LAT)\n \n INDICATION:  ___ year old.\n \n COMPARISON:  ___\n \n"
        " FINDINGS: \n \n Lungs are\n clear.\n \n IMPRESSION:  1. Normal.\n 2. No change.\n"
    )
    assert split(text) == [
        ("preamble", "FINAL REPORT"),
        ("examination", "CHEST (PA AND LAT)"),
        ("indication", "___ year old."),
        ("comparison", "___"),
        ("findings", "Lungs are\n clear."),
        ("impression", "1. Normal.\n 2. No change."),
    ]
    assert selected_text(text) == "1. Normal.\n 2. No change."


def test_offsets_count_characters_of_the_file() -> None:
    assert split_sections("x\n FINDINGS:  Çlear.\n") == (
        Section("preamble", "x", 0),
        Section("findings", "Çlear.", 14),
    )


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("FINDINGS", "findings"),
        ("  IMPRESSION ", "impression"),
        ("COMPARISON FILM", "comparison"),
        ("PFI", "history"),
        ("CONCLUSION", "impression"),
        ("FINDINGS AND IMPRESSION", "impression"),
        ("FINDINGS/ IMPRESSION", "impression"),
        ("CHEST, TWO VIEWS", "findings"),
        ("NDICATION", "impression"),  # the quirk
        ("IDICATION", "indication"),
        ("WETREAD", "wet read"),
        ("RECOMMENDATION(S)", "recommendations"),
        ("IMPRESSION AND FINDINGS", "impression"),  # contained, in the order of the rule
        ("OTHER FINDINGS", "findings"),
        ("SOCIAL HISTORY", "history"),
        ("FINAL ADDENDUM", "addendum"),
        ("PORTABLE AP", "findings"),
        ("FRONTAL AND OTHER", "findings"),
        ("RIBS", "findings"),
        ("DISTRIBUTION", "distribution"),
        ("CAPTION (SOME)", "caption (some)"),
    ],
)
def test_section_name(header: str, name: str) -> None:
    assert section_name(header) == name


def test_an_empty_header_swallows_the_next_line_s() -> None:
    text = "x\n FINDINGS:\n IMPRESSION: Normal.\n"
    assert split(text) == [("preamble", "x"), ("findings", "IMPRESSION: Normal.")]
    assert split("x\n FINDINGS:\n \n IMPRESSION: Normal.\n") == [("preamble", "x"), ("impression", "Normal.")]


def test_a_header_within_a_line_is_text() -> None:
    assert split("x\n FINDINGS: Clear. IMPRESSION: Normal.\n COMPARISON: None.\n") == [
        ("preamble", "x"),
        ("findings", "Clear. IMPRESSION: Normal."),
        ("comparison", "None."),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "FINDINGS: Clear.\nIMPRESSION: Normal.",  # column 0
        "x\n CHEST, 2 VIEWS: Clear.\n",  # a digit
        "x\n Findings: Clear.\n",  # lower case
        " FINDINGS: Clear.\n",  # no line before it
        "x\n FINDINGS:",  # nothing after it
    ],
)
def test_what_it_misses(text: str) -> None:
    assert split(text) == [("full report", text.strip())]


def test_the_last_of_repeated_sections_is_used_and_empty_findings_are_none() -> None:
    text = "x\n FINDINGS: One.\n IMPRESSION: A.\n FINDINGS: Two.\n IMPRESSION: \n \n COMPARISON: None.\n COMPARISON: \n"
    assert [part.name for part in parse(text)] == [
        "preamble",
        "findings",
        "impression",
        "findings",
        "comparison",
        "comparison",
    ]
    assert split(text) == [("preamble", "x"), ("impression", "A."), ("findings", "Two.")]
    assert selected_text(text) == "A."
    words = [token.text for token in study_tokens(Report(split_sections(text)))]
    assert words == ["Two", ".", "A", "."]


def test_all_after_the_first_blank_line_is_the_last_paragraph() -> None:
    text = "x\n HISTORY: Cough.\n \n One.\n \n Two.\n"
    assert split(text) == [("preamble", "x"), ("history", "Cough."), ("last_paragraph", "One.\n \n Two.")]
    assert selected_text(text) == "One.\n \n Two."
    assert split("One.\n \n Two.\n \n Three.") == [("full report", "One."), ("last_paragraph", "Two.\n \n Three.")]


def test_comparison_is_the_text_of_last_resort() -> None:
    assert selected_text("x\n COMPARISON: Clear.\n NOTE: y.\n") == "Clear."
    assert selected_text("x\n NOTE: y.\n") == ""


def test_a_section_named_by_hand() -> None:
    text = "x\n FINDINGS: Of another study.\n INDICATION: Cough.\n RECOMMENDATION(S): Clear lungs.\n"
    assert split(text, "s50913680") == [
        ("preamble", "x"),
        ("indication", "Cough."),
        ("last_paragraph", "Clear lungs."),
    ]
    assert selected_text(text, "s50913680") == "Clear lungs."
    words = [token.text for token in study_tokens(Report(split_sections(text, "s50913680")))]
    assert words == ["Clear", "lungs", "."]
    other = "x\n FINDINGS: Clear.\n"
    assert split(other, "s50913680") == split(other)  # the named section is not there


def test_a_range_by_hand() -> None:
    text = f"{BANNER} CHEST:{'.' * 10} Clear lungs. \n NOTE: {'x' * 160}"
    assert split(text, "s56579911") == [("last_paragraph", text[59:218].strip())]
    assert selected_text(text, "s56579911") == text[59:218]
    assert selected_text("short", "s56579911") == ""
    assert split("x\n NOTE: y.\n FINDINGS: Clear.\n", "s58235663") == [("preamble", "x"), ("note", "y.")]


def test_54_studies_are_set_by_hand() -> None:
    rules = sections_mit._rules()
    assert (len(rules.names), len(rules.named), len(rules.ranges)) == (58, 23, 31)
    assert is_set_by_hand("s50913680")
    assert is_set_by_hand("s58235663")
    assert not is_set_by_hand("s50000041")


def test_line_ends_of_other_systems() -> None:
    unix = f"{BANNER} FINDINGS:\n \n Lungs are\n clear.\n \n IMPRESSION: Normal.\n"
    dos = unix.replace("\n", "\r\n")
    assert split(dos) == [(name, text.replace("\n", "\r\n")) for name, text in split(unix)]
    assert split(unix.replace("\n", "\r")) == [(name, text.replace("\n", "\r")) for name, text in split(unix)]
    assert selected_text(dos) == selected_text(unix)


_PIECES = [
    "\n FINDINGS:",
    "\n IMPRESSION: ",
    "\n NOTE:",
    "\n",
    "\n \n",
    "Clear. ",
    " ",
    "\r\n",
    "\r",
    "CHEST:",
    "é",
    "x",
]
_IDS = [None, "s50913680", "s56579911", "s58235663", "s50000041"]


@given(st.lists(st.sampled_from(_PIECES), max_size=14).map("".join), st.sampled_from(_IDS))
def test_sections_are_in_order_disjoint_and_slice_back(text: str, study_id: str | None) -> None:
    end = 0
    for section in split_sections(text, study_id):
        assert section.offset >= end
        assert section.text == section.text.strip() != ""
        end = section.offset + len(section.text)
        assert text[section.offset : end] == section.text


@given(st.text(st.sampled_from("\n :ACEHFINDGS.x\r"), max_size=80))
def test_parts_cover_the_text_in_order(text: str) -> None:
    text = sections_mit.universal_newlines(text)
    parts = parse(text)
    assert parts[0].start == 0 or parts[0].name != "preamble"
    assert all(one.end <= other.start for one, other in pairwise(parts) if one.name != "preamble")


@given(st.text(max_size=200))
def test_tokens_of_any_text_slice_back(text: str) -> None:
    for found in (split_sections(text), sections.split_sections(text)):
        names = tuple({section.name for section in found})
        for token in study_tokens(Report(found), names):
            assert text[token.char_start : token.char_end] == token.text
