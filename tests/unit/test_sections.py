"""The tolerant section parser on invented reports: names, texts, and offsets that always slice back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kgbuild.domain import Section
from kgbuild.sections import section_name, split_sections


def split(text: str) -> list[tuple[str, str]]:
    sections = split_sections(text)
    for section in sections:
        assert text[section.offset : section.offset + len(section.text)] == section.text
    return [(section.name, section.text) for section in sections]


def test_mimic_shape() -> None:
    text = (
        "                                 FINAL REPORT\n EXAMINATION:  CHEST (PA AND LAT)\n \n"
        " INDICATION:  ___ year old man, cough.\n \n COMPARISON:  ___\n \n FINDINGS: \n \n The lungs are\n clear.\n \n"
        " IMPRESSION:  1. Normal.\n 2. No change.\n"
    )
    assert split(text) == [
        ("examination", "CHEST (PA AND LAT)"),
        ("indication", "___ year old man, cough."),
        ("comparison", "___"),
        ("findings", "The lungs are\n clear."),
        ("impression", "1. Normal.\n 2. No change."),
    ]


def test_offsets_count_characters_of_the_file() -> None:
    assert split_sections(" FINDINGS:  Çlear.\n") == (Section("findings", "Çlear.", 12),)


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("FINDINGS", "findings"),
        ("Findings", "findings"),
        ("IMPRESSION", "impression"),
        ("CONCLUSION", "impression"),
        ("FINDINGS AND IMPRESSION", "impression"),
        ("FINDINGS / IMPRESSION", "impression"),
        ("CLINICAL INFORMATION", "history"),
        ("Clinical history", "history"),
        ("PREOPERATIVE HISTORY", "history"),
        ("REASON FOR EXAM", "indication"),
        ("COMPARISONS", "comparison"),
        ("TECHNIQUE", "technique"),
        ("EXAM", "examination"),
        ("WET READ", "wet read"),
        ("ADDENDUM", "addendum"),
        ("RECOMMENDATION(S)", "recommendations"),
        ("RECOMMENDATION", "recommendations"),
        ("NOTIFICATION", "notification"),
        ("CHEST, 2 VIEWS", "views"),
        ("2 VIEWS OF THE CHEST", "views"),
        ("PORTABLE AP", "views"),
        ("DOSE", "dose"),
        ("Lines and tubes", None),
        ("LINES AND TUBES", None),
        ("LUNGS", None),
        ("findings", None),
        ("Of note", None),
        ("CT", None),
        ("9", None),
    ],
)
def test_section_name(header: str, name: str | None) -> None:
    assert section_name(header) == name


def test_colons_in_prose_are_no_headers() -> None:
    prose = "Lines and tubes: the ET tube is high.\n LUNGS: clear.\n Of note: read at 9:10 AM"
    assert split(f" FINDINGS: {prose}\n") == [("findings", prose)]


def test_without_the_leading_space_and_with_several_headers_a_line() -> None:
    assert split("INDICATION: Cough. COMPARISON: None. FINDINGS: Clear lungs\nIMPRESSION:Normal.") == [
        ("indication", "Cough."),
        ("comparison", "None."),
        ("findings", "Clear lungs"),
        ("impression", "Normal."),
    ]


def test_an_inline_header_after_prose_with_a_colon() -> None:
    assert split("FINDINGS: Clear.\nOf note IMPRESSION: Normal.") == [
        ("findings", "Clear.\nOf note"),
        ("impression", "Normal."),
    ]


def test_empty_headers_give_no_section() -> None:
    assert split(" FINDINGS:\n IMPRESSION: Normal.\n") == [("impression", "Normal.")]


def test_a_repeated_header_stays_twice() -> None:
    assert split(" FINDINGS: One.\n FINDINGS: Two.\n") == [("findings", "One."), ("findings", "Two.")]


def test_a_header_of_views_is_findings_only_if_there_are_no_others() -> None:
    assert split(" CHEST, 2 VIEWS: Clear lungs.\n IMPRESSION: Normal.\n")[0] == ("findings", "Clear lungs.")
    assert split(" CHEST, 2 VIEWS: PA and lateral.\n FINDINGS: Clear.\n")[0] == ("examination", "PA and lateral.")
    assert split(" CHEST, 2 VIEWS: Clear lungs.\n FINDINGS:\n")[0] == ("findings", "Clear lungs.")


def test_preamble_wet_read_and_addendum() -> None:
    text = (
        " WET READ: ___ 9:10 AM\n Small effusion.\n ______________________________\n"
        "                                 FINAL ADDENDUM\n A word was changed.\n"
        "                                 FINAL REPORT\n Portable chest.\n FINDINGS: Clear.\n"
    )
    assert split(text) == [
        ("wet read", "___ 9:10 AM\n Small effusion."),
        ("addendum", "A word was changed."),
        ("preamble", "Portable chest."),
        ("findings", "Clear."),
    ]


@pytest.mark.parametrize(
    "typo",
    ["IMPRESSON", "IMPRRESSION", "IMORESSION", "IMPRESSOIN", "MPRESSION", "IMPERSSION", "Impresion", "IMPRESSIONN"],
)
def test_one_slip_of_the_pen(typo: str) -> None:
    assert section_name(typo) == "impression"


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("NDICATION", "indication"),
        ("FINIDNGS", "findings"),
        ("COMPARISIONS", "comparison"),
        ("COMPARSION", "comparison"),
        ("IMPRSSON", "imprsson"),  # two slips
        ("mpression", None),
    ],
)
def test_slips_in_other_names(header: str, name: str | None) -> None:
    assert section_name(header) == name


def test_lower_case_only_where_something_new_starts() -> None:
    assert split("findings: Clear lungs.\nimpression: Normal.\n") == [
        ("findings", "Clear lungs."),
        ("impression", "Normal."),
    ]
    assert split(" FINDINGS: Clear\n \n impression : Normal.\n") == [("findings", "Clear"), ("impression", "Normal.")]
    prose = "No change in the\n findings: all is clear.\n Told of the\n impression: normal."
    assert split(f" COMPARISON: None.\n FINDINGS: {prose}\n") == [("comparison", "None."), ("findings", prose)]


def test_wet_reads_and_addenda_without_a_colon() -> None:
    text = (
        " WET READ VERSION #2 ___ 9:10 AM\n Small effusion.\n WET READ VERSION #1 ___ 8:46 AM\n Clear.\n"
        " ______________________________\n                                 FINAL REPORT\n FINDINGS: Clear.\n"
        " ADDENDUM  A word was changed.\n ADDENDUM\n And another.\n"
    )
    assert split(text) == [
        ("wet read", "___ 9:10 AM\n Small effusion."),
        ("wet read", "___ 8:46 AM\n Clear."),
        ("findings", "Clear."),
        ("addendum", "A word was changed."),
        ("addendum", "And another."),
    ]
    assert split(" FINDINGS: As in the\n WET READ of today.\n") == [("findings", "As in the\n WET READ of today.")]


def test_the_last_paragraph_stands_in_where_there_is_neither() -> None:
    text = (
        "FINAL REPORT\n CHEST RADIOGRAPH\n \n HISTORY: Cough.\n \n Comparison is made to ___.\n \n Lungs are clear.\n"
    )
    assert split(text) == [
        ("preamble", "CHEST RADIOGRAPH"),
        ("history", "Cough.\n \n Comparison is made to ___."),
        ("last_paragraph", "Lungs are clear."),
    ]


def test_the_last_paragraph_is_not_a_notification() -> None:
    text = " EXAMINATION: CHEST\r\n \r\n Lungs are clear.\r\n NOTIFICATION: Told Dr ___.\r\n \r\n By telephone.\r\n"
    assert split(text) == [
        ("examination", "CHEST"),
        ("last_paragraph", "Lungs are clear."),
        ("notification", "Told Dr ___.\r\n \r\n By telephone."),
    ]


def test_a_text_without_header_is_its_own_last_paragraph() -> None:
    assert split("Lungs are clear.") == [("last_paragraph", "Lungs are clear.")]
    assert split("FINAL REPORT\n One.\n \n Two.") == [("preamble", "One."), ("last_paragraph", "Two.")]


def test_neither_and_no_paragraph_of_its_own() -> None:
    assert split(" INDICATION: Study done in error.\n \n COMPARISON: None.\n") == [
        ("indication", "Study done in error."),
        ("comparison", "None."),
    ]


@pytest.mark.parametrize("text", ["", " \n \n", "FINAL REPORT\n", " FINDINGS:\n \n IMPRESSION:\n"])
def test_nothing(text: str) -> None:
    assert split_sections(text) == ()


_PIECES = [
    "FINDINGS:",
    " IMPRESSION: ",
    "\n",
    "\n \n",
    "Clear. ",
    "FINAL REPORT",
    " ",
    "Of note: ",
    "CHEST:",
    "impression:",
    "WET READ VERSION #1 ___",
    "ADDENDUM",
    "FINDIGNS:",
    "_____",
    "\r\n",
    "x:",
]


@given(st.lists(st.sampled_from(_PIECES), max_size=12).map("".join))
def test_sections_are_in_order_disjoint_and_slice_back(text: str) -> None:
    end = 0
    for section in split_sections(text):
        assert section.offset >= end
        assert section.text == section.text.strip() != ""
        end = section.offset + len(section.text)
        assert text[section.offset : end] == section.text
