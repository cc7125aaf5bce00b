"""MIMIC-CXR without reports, its sections from ``mimic_cxr_sectioned.csv``: what is read, what is counted, what is bad.

Every text is made up.
"""

from __future__ import annotations

import datetime as dt
import gzip
import random
from pathlib import Path

import pytest
from typer.testing import CliRunner

from kgbuild.cli import app
from kgbuild.datasets.base import FileCheck
from kgbuild.datasets.mimic import Mimic
from kgbuild.domain import Failure, Image, Report, Section, Study, StudyRef
from kgbuild.errors import ColumnMissing, FileMissing, KgbuildError, UsageError
from kgbuild.pipelines.sections_csv import plan_source, write_sectioned, write_source
from kgbuild.pipelines.source import Source
from tests.unit import mimic_mini as mini
from tests.unit.mimic_mini import BANNER, FIRST, SECOND, STUDIES, THIRD, Made, dicom

NAME = "mimic_cxr_sectioned.csv"
HEADER = "study,impression,findings,last_paragraph,comparison\r\n"
ROWS = (
    's50000041,Normal.,"Invented lungs, ""clear"",\r\n \n all é.",,\r\n'  # quotes, a comma and line ends in a cell
    "s50000012,,,Invented: small effusion.,___\r\n"
)
WITHOUT, UNLISTED = "studies without a row in the sectioned CSV", "rows of the sectioned CSV of no listed study"
SAME, OTHER = (
    "repeated rows of the sectioned CSV",
    "repeated rows of the sectioned CSV with other text than the first, which is used",
)


def write(root: Path, content: str | bytes = HEADER + ROWS, name: str = NAME) -> Path:
    """The tables and the CSV, but no report."""
    for part in (mini.study_list, mini.record_list, mini.metadata, mini.split):
        part(root)
    return sectioned(root, content, name)


def sectioned(root: Path, content: str | bytes = HEADER + ROWS, name: str = NAME) -> Path:
    data = content.encode() if isinstance(content, str) else content
    root.mkdir(parents=True, exist_ok=True)
    (root / name).write_bytes(gzip.compress(data, mtime=0) if name.endswith(".gz") else data)
    return root


TIME = dt.time(9, 30, 12)  # as mimic_mini's images say


def image(made: Made, number: int, view: str | None, rows: int | None = 3056, columns: int | None = 2544) -> Image:
    return Image(dicom(number), f"s{made.study}", view, None, rows, columns)


def expected(name: str = NAME) -> list[Study]:
    return [
        Study(
            "s50000023",
            "mimic",
            None,
            (image(SECOND, 3, None, None, None),),
            "p10000017",
            "train",
            dt.date(2179, 12, 31),
            TIME,
        ),
        Study(
            "s50000041",
            "mimic",
            Report(
                (Section("impression", "Normal."), Section("findings", 'Invented lungs, "clear",\r\n \n all é.')), name
            ),
            (image(FIRST, 1, "PA"), image(FIRST, 2, "LATERAL")),
            "p10000017",
            "train",
            dt.date(2180, 5, 6),
            TIME,
        ),
        Study(
            "s50000012",
            "mimic",
            Report((Section("last_paragraph", "Invented: small effusion."), Section("comparison", "___")), name),
            (image(THIRD, 4, "AP"), image(THIRD, 5, "AP")),
            "p11000016",
            "validate",
            dt.date(2180, 5, 6),
            TIME,
        ),
    ]


def ours(data: Mimic) -> dict[str, int]:
    """The counts that speak of the CSV."""
    return {name: count for name, count in data.listing().counts.items() if "the sectioned CSV" in name}


def checks(data: Mimic) -> dict[str, FileCheck]:
    return {check.path: check for check in data.check()}


# --- what is read ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [NAME, f"{NAME}.gz"])
@pytest.mark.parametrize("bom", ["", "\ufeff"])
def test_sections_are_the_cells(tmp_path: Path, name: str, bom: str) -> None:
    data = Mimic(write(tmp_path, bom + HEADER + ROWS, name))
    assert list(data.studies()) == expected(name)
    assert list(data.studies(["s50000012", "s50000023", "s50000041"])) == [expected(name)[at] for at in (2, 0, 1)]
    assert data.listing().studies == (
        StudyRef("s50000023", "train", "p10000017"),
        StudyRef("s50000041", "train", "p10000017"),
        StudyRef("s50000012", "validate", "p11000016"),
    )
    assert data.listing().failures == ()
    assert ours(data) == {WITHOUT: 1, UNLISTED: 0, SAME: 0, OTHER: 0}


def test_beside_the_tables_of_the_other_root(tmp_path: Path) -> None:
    mini.study_list(tmp_path / "cxr")
    for part in (mini.record_list, mini.metadata, mini.split, mini.images):
        part(tmp_path / "jpg")
    sectioned(tmp_path / "jpg")
    studies = [study for study in Mimic(tmp_path / "cxr", tmp_path / "jpg").studies() if isinstance(study, Study)]
    assert [study.report for study in studies] == [study.report for study in expected()]
    assert [shot.path for shot in studies[0].images] == [f"{SECOND.folder}/{dicom(3)}.jpg"]


def test_columns_in_another_order_and_a_row_of_nothing(tmp_path: Path) -> None:
    text = "Comparison,study,last_paragraph,findings,impression,more\n___,s50000041,,F,I,x\n,s50000012,, ,,\n"
    _, first, third = Mimic(write(tmp_path, text)).studies()
    assert isinstance(first, Study)
    assert isinstance(third, Study)
    assert first.report == Report(
        (Section("impression", "I"), Section("findings", "F"), Section("comparison", "___")), NAME
    )
    assert third.report == Report((), NAME)


def test_what_our_own_command_writes_reads_as_it_was(tmp_path: Path) -> None:
    by_hand = Made(11851243, 50913680, BANNER + " FINDINGS: Other.\n RECOMMENDATIONS: Clear.\n")
    full = mini.write(tmp_path / "full", (*STUDIES, by_hand))
    root = tmp_path / "bare"
    mini.study_list(root, (*STUDIES, by_hand))
    write_sectioned(Mimic(full, section_parser="mit-lcp"), root / NAME, "mit-lcp")
    data = Mimic(root, section_parser="mit-lcp")
    reports = {study.id: study.report for study in data.studies() if isinstance(study, Study)}
    assert reports == {
        "s50000023": Report((Section("impression", "No change."),), NAME),
        "s50000041": Report(
            (Section("impression", "Normal."), Section("findings", "Invented lungs are\n clear.")), NAME
        ),
        "s50000012": Report((Section("last_paragraph", "Invented: small effusion."),), NAME),
        "s50913680": None,
    }
    assert ours(data) == {WITHOUT: 1, UNLISTED: 0, SAME: 0, OTHER: 0}


@pytest.mark.parametrize("name", [NAME, f"{NAME}.gz"])
def test_many_rows_in_any_order(tmp_path: Path, name: str) -> None:
    """Rows across the blocks that a gzipped file is held in, and one longer than a block."""
    chance = random.Random(3)
    texts = {f"s{50_000_000 + n}": f"Invented {n}.\n" * chance.randrange(1, 90) for n in range(400)}
    texts["s50000007"] = "A long é.\n" * 9_000
    made = [Made(10_000_000 + n % 40, int(study[1:]), None) for n, study in enumerate(texts)]
    mini.study_list(tmp_path, made)
    order = chance.sample(list(texts), len(texts))
    sectioned(tmp_path, HEADER + "".join(f'{study},,"{texts[study]}",,\r\n' for study in order), name)
    data = Mimic(tmp_path)
    ids = chance.sample(order, len(order))
    got = [(study.id, study.report) for study in data.studies(ids) if isinstance(study, Study)]
    assert got == [(study, Report((Section("findings", texts[study]),), name)) for study in ids]


# --- which source ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["folder", "archive", "other root"])
def test_reports_go_before_it(tmp_path: Path, where: str) -> None:
    root, other = write(tmp_path / "root"), tmp_path / "other"
    other.mkdir()
    if where == "archive":
        mini.archive(root / "mimic-cxr-reports.zip", [FIRST])
    else:
        mini.reports(root if where == "folder" else other, [FIRST])
    data = Mimic(root, other)
    assert data.sectioned is None
    assert ours(data) == {}
    first, second = data.studies(["s50000041", "s50000023"])
    assert isinstance(first, Study)
    assert first.report is not None
    assert first.report.path == f"{FIRST.folder}.txt"
    assert isinstance(second, Failure)
    assert second.reason == "its report is listed but absent"
    assert checks(data)[NAME].note == "not used: section_parser=mit-lcp makes the same from the reports"


def test_folders_of_images_and_an_archive_of_none_are_no_reports(tmp_path: Path) -> None:
    mini.images(write(tmp_path))
    mini.archive(tmp_path / "mimic-cxr-reports.zip", [], extra=["README.txt"])
    (tmp_path / FIRST.folder).with_suffix(".txt").mkdir()
    studies = [study for study in Mimic(tmp_path).studies() if isinstance(study, Study)]
    assert [study.report for study in studies] == [study.report for study in expected()]


def test_neither(tmp_path: Path) -> None:
    (write(tmp_path) / NAME).unlink()
    with pytest.raises(FileMissing, match=r"mimic-cxr-reports\.zip is missing"):
        Mimic(tmp_path)


# --- fingerprint, check, the command that writes such a file ---------------------------------------------------------


def test_the_fingerprint_is_of_the_content(tmp_path: Path) -> None:
    plain = Mimic(write(tmp_path / "a")).fingerprint()
    assert Mimic(write(tmp_path / "b", name=f"{NAME}.gz")).fingerprint() == plain
    assert Mimic(tmp_path / "a", section_parser="mit-lcp").fingerprint() == plain
    assert Mimic(write(tmp_path / "c", HEADER + ROWS.replace("Normal", "Norma1"))).fingerprint() != plain


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({}, ""),
        ({"section_parser": "mit-lcp"}, ""),
        (
            {"section_parser": "tolerant"},
            "section_parser=tolerant is not applied: its text is cut already, by MIT-LCP's rules; ",
        ),
    ],
)
def test_check(tmp_path: Path, options: dict[str, str], told: str) -> None:
    data = Mimic(write(tmp_path), None, **options)
    assert list(data.studies()) == expected()
    size = len((HEADER + ROWS).encode())
    note = f"sections come from it: there is no report file; {told}1 {WITHOUT}"
    found = checks(data)
    assert found[NAME] == FileCheck(NAME, True, True, 2, 227_781, size, note)
    absent = f"absent (published at https://physionet.org/content/mimic-cxr/): sections come from {NAME}"
    assert found["files/**/s*.txt"] == FileCheck("files/**/s*.txt", False, False, None, 227_835, None, absent)


def test_it_is_not_written_anew(tmp_path: Path) -> None:
    source, out = Source("mimic", write(tmp_path / "root")), tmp_path / "out.csv"
    for attempt in (write_source, plan_source):
        with pytest.raises(UsageError, match=f"come from {NAME} here: they would only be copied"):
            attempt(source, out)
    command = ["datasets", "sections", "mimic", "--root", str(tmp_path / "root"), "--out", str(out)]
    assert CliRunner().invoke(app, command).exit_code == 2
    assert not out.exists()


# --- bad input -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("study,impression,text\n", "has no column findings, last_paragraph, comparison: its header is study,imp"),
        ("s50000041,Invented text!\n", r"its header is not one \(2 fields that are not column names\)"),
        ("", "is empty: no header, no rows"),
    ],
)
def test_a_wrong_header_shows_both(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ColumnMissing, match=says) as caught:
        Mimic(write(tmp_path, text)).listing()
    assert caught.value.expected == HEADER.strip()
    assert caught.value.where == f"{tmp_path / NAME} line 1"
    assert "Invented" not in str(caught.value)


def test_a_gzip_cut_short(tmp_path: Path) -> None:
    path = write(tmp_path, name=f"{NAME}.gz") / f"{NAME}.gz"
    path.write_bytes(path.read_bytes()[:-12])
    for ask in (Mimic.listing, Mimic.fingerprint, Mimic.check):
        with pytest.raises(KgbuildError, match=rf"{NAME}\.gz cannot be read to its end: EOFError") as caught:
            ask(Mimic(tmp_path))
        assert caught.value.next_step == "copy or download the file again"


@pytest.mark.parametrize("study", ["", "50000041", "s5000004", "s500000410", "s60000041", "s５0000041", "S50000041"])
def test_an_id_of_the_wrong_shape(tmp_path: Path, study: str) -> None:
    data = Mimic(write(tmp_path, f'{HEADER}s50000012,"a\nb",,,\n{study},Text.,,,\n'))
    reason = "the study is not s and 8 digits starting with 5"
    assert data.listing().failures == (Failure(NAME, "read", reason, f"{NAME} line 4"),)
    assert ours(data) == {WITHOUT: 2, UNLISTED: 0, SAME: 0, OTHER: 0}
    assert f"1 rows skipped (first: {NAME} line 4: {reason})" in checks(data)[NAME].note


def test_rows_that_are_none(tmp_path: Path) -> None:
    data = Mimic(write(tmp_path, f'{HEADER}s50000012,a,b\n\ns50000041,I,,,\ns50000023,"never closed,,,\n'))
    assert [(failure.study_id, failure.where) for failure in data.listing().failures] == [
        (NAME, f"{NAME} line 2"),
        (NAME, f"{NAME} line 5"),
    ]
    assert data.listing().failures[0].reason == "3 fields where the header has 5"
    assert [study.report for study in data.studies() if isinstance(study, Study)] == [
        None,
        Report((Section("impression", "I"),), NAME),
        None,
    ]


def test_repeated_rows(tmp_path: Path) -> None:
    more = "s50000012,,,Invented: small effusion.,___\r\ns50000012,Other.,,,\r\ns59999999,Of nobody.,,,\r\n"
    data = Mimic(write(tmp_path, HEADER + ROWS + more))
    assert list(data.studies()) == expected()
    assert data.listing().failures == ()
    assert ours(data) == {WITHOUT: 1, UNLISTED: 1, SAME: 1, OTHER: 1}
    assert checks(data)[NAME].found == 5


def test_bytes_that_are_not_utf_8_spoil_one_study(tmp_path: Path) -> None:
    rows = HEADER.encode() + b"s50000041,Norm\xffal.,,,\n" + ROWS.encode()[ROWS.encode().index(b"s50000012") :]
    data = Mimic(write(tmp_path, rows))
    second, first, third = data.studies()
    known = Study(
        "s50000041",
        "mimic",
        Report((), NAME),
        expected()[1].images,
        "p10000017",
        "train",
        dt.date(2180, 5, 6),
        TIME,
    )
    reason = f"byte 0xff at offset {len(HEADER) + 14} (line 2) is not UTF-8"
    assert first == Failure("s50000041", "read", reason, f"{NAME} line 2", known)
    assert [second, third] == [expected()[0], expected()[2]]
    assert data.listing().failures == ()
    assert "1 rows cannot be read: these studies are quarantined" in checks(data)[NAME].note


def test_a_file_changed_since_it_was_listed(tmp_path: Path) -> None:
    data = Mimic(write(tmp_path))
    data.listing()
    sectioned(tmp_path, HEADER + "s50000012,Moved.,,,\r\n" + ROWS)
    (failure,) = data.studies(["s50000041"])
    assert isinstance(failure, Failure)
    assert failure.reason == f"its row is no longer at byte {len(HEADER)}: the file has changed since it was listed"
    assert list(data.studies(["s50000023"])) == [expected()[0]]
