"""MIMIC-CXR on made-up mini layouts: what is read, what is normal and counted, and every kind of bad input."""

from __future__ import annotations

import datetime as dt
import gzip
import zipfile
from pathlib import Path

import pytest

from kgbuild.datasets.base import FileCheck
from kgbuild.datasets.mimic import Mimic
from kgbuild.domain import Failure, Image, Report, Section, Study, StudyRef
from kgbuild.errors import ColumnMissing, FileMissing, KgbuildError, RootMissing, UsageError
from kgbuild.plugins import find
from kgbuild.tables import FINDING_LABELS
from tests.unit import mimic_mini as mini
from tests.unit.mimic_mini import FIRST, SECOND, STUDIES, THIRD, Made, Shot, dicom

TIME = dt.time(9, 30, 12)  # as mimic_mini's images say
QUIET = {
    "repeated study rows": 0,
    "repeated image rows": 0,
    "images of no listed study": 0,
    "images listed": 5,
    "images without view": 1,
    "images with an unreadable date": 0,
    "studies whose images have several dates": 1,
    "studies whose images disagree on the split": 0,
    "patients": 2,
    "studies without images": 0,
    "studies without date": 0,
    "studies without split": 0,
}
REFS = (
    StudyRef("s50000023", "train", "p10000017"),
    StudyRef("s50000041", "train", "p10000017"),
    StudyRef("s50000012", "validate", "p11000016"),
)
IN_ORDER = (SECOND, FIRST, THIRD)


def expected(paths: bool = False) -> list[Study]:
    def image(made: Made, number: int, view: str | None, rows: int | None = 3056, columns: int | None = 2544) -> Image:
        path = f"{made.folder}/{dicom(number)}.jpg" if paths else None
        return Image(dicom(number), f"s{made.study}", view, path, rows, columns)

    return [
        Study(
            "s50000023",
            "mimic",
            Report(
                (Section("indication", "Cough.", 59), Section("impression", "No change.", 81)),
                "files/p10/p10000017/s50000023.txt",
            ),
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
                (
                    Section("examination", "CHEST (PA AND LAT)", 61),
                    Section("findings", "Invented lungs are\n clear.", 97),
                    Section("impression", "Normal.", 140),
                ),
                "files/p10/p10000017/s50000041.txt",
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
            Report(
                (
                    Section("preamble", "CHEST RADIOGRAPH", 47),
                    Section("last_paragraph", "Invented: small effusion.", 67),
                ),
                "files/p11/p11000016/s50000012.txt",
            ),
            (image(THIRD, 4, "AP"), image(THIRD, 5, "AP")),
            "p11000016",
            "validate",
            dt.date(2180, 5, 6),
            TIME,
        ),
    ]


def one(data: Mimic, study_id: str) -> Study:
    (study,) = data.studies([study_id])
    assert isinstance(study, Study)
    return study


def failed(data: Mimic, study_id: str) -> Failure:
    (failure,) = data.studies([study_id])
    assert isinstance(failure, Failure)
    return failure


def files(root: Path, images: Path | None = None) -> dict[str, FileCheck]:
    return {check.path: check for check in Mimic(root, images).check()}


# --- what is read ----------------------------------------------------------------------------------------------------


def test_it_is_found_by_name_and_alias() -> None:
    assert find("datasets", "mimic") is find("datasets", "mimic-cxr") is Mimic
    assert (Mimic.name, Mimic.options) == ("mimic", ("section_parser",))


def test_folders(tmp_path: Path) -> None:
    data = Mimic(mini.write(tmp_path))
    assert data.listing().studies == REFS
    assert data.listing().failures == ()
    assert data.listing().counts == QUIET
    assert list(data.studies()) == expected()
    assert list(data.studies(["s50000012", "s50000023"])) == [expected()[2], expected()[0]]
    assert list(data.studies([])) == []


def test_a_root_that_is_a_file_but_no_archive(tmp_path: Path) -> None:
    mini.write(tmp_path)
    table = tmp_path / "my.csv"
    table.write_text("id,text\n")
    with pytest.raises(RootMissing) as caught:
        Mimic(table)
    assert str(caught.value).splitlines() == [
        f"{table} is a file",
        "  where     --root",
        "  expected  the folder of MIMIC-CXR, or mimic-cxr-reports.zip",
        "  next      for a table of your own: --dataset reports",
    ]


@pytest.mark.parametrize("prefix", ["", "mimic-cxr-reports/"])
def test_the_archive_unopened(tmp_path: Path, prefix: str) -> None:
    mini.write(tmp_path / "folders")
    root = tmp_path / "zip"
    for part in (mini.study_list, mini.record_list, mini.metadata, mini.split):
        part(root)
    zipped = mini.archive(root / "mimic-cxr-reports.zip", prefix=prefix)
    before = sorted(path.name for path in root.iterdir())
    assert list(Mimic(root).studies()) == list(Mimic(zipped).studies()) == expected()
    assert sorted(path.name for path in root.iterdir()) == before
    assert Mimic(root).fingerprint() == Mimic(tmp_path / "folders").fingerprint()
    assert files(root)["mimic-cxr-reports.zip"].found == 3


def test_the_archive_beside_folders_of_images(tmp_path: Path) -> None:
    mini.study_list(tmp_path)
    mini.record_list(tmp_path)
    mini.images(tmp_path)
    mini.archive(tmp_path / "mimic-cxr-reports.zip")
    study = one(Mimic(tmp_path), "s50000023")
    assert study.report == expected()[0].report
    assert study.images == (Image(dicom(3), "s50000023", None, f"{SECOND.folder}/{dicom(3)}.jpg"),)


def test_two_roots(tmp_path: Path) -> None:
    cxr, jpg = tmp_path / "cxr", tmp_path / "jpg"
    mini.reports(cxr)
    mini.study_list(cxr, name="cxr-study-list.csv")
    mini.record_list(jpg)
    mini.metadata(jpg, name="mimic-cxr-2.0.0-metadata.csv")
    mini.split(jpg)
    mini.images(jpg)
    data = Mimic(cxr, jpg)
    assert data.listing().studies == REFS
    assert list(data.studies()) == expected(paths=True)
    assert [image.path for study in Mimic(cxr).studies() if isinstance(study, Study) for image in study.images] == []


def test_images_under_the_root_as_dicom_and_jpeg_first(tmp_path: Path) -> None:
    mini.write(tmp_path)
    mini.images(tmp_path, [FIRST, SECOND], ".dcm")
    mini.images(tmp_path, [SECOND])
    data = Mimic(tmp_path)
    assert [image.path for image in one(data, "s50000023").images] == [f"{SECOND.folder}/{dicom(3)}.jpg"]
    assert [image.path for image in one(data, "s50000041").images] == [
        f"{FIRST.folder}/{dicom(1)}.dcm",
        f"{FIRST.folder}/{dicom(2)}.dcm",
    ]


def test_only_the_study_list_and_the_reports_are_needed(tmp_path: Path) -> None:
    mini.study_list(tmp_path)
    mini.reports(tmp_path)
    data = Mimic(tmp_path)
    assert data.listing().studies == tuple(StudyRef(ref.id, None, ref.patient_id) for ref in REFS)
    assert data.listing().counts == dict.fromkeys(QUIET, 0) | {
        "patients": 2,
        "studies without images": 3,
        "studies without date": 3,
        "studies without split": 3,
    }
    assert list(data.studies()) == [
        Study(study.id, "mimic", study.report, (), study.patient_id) for study in expected()
    ]
    assert files(tmp_path)["mimic-cxr-2.0.0-split.csv.gz"] == FileCheck(
        "mimic-cxr-2.0.0-split.csv.gz",
        needed=False,
        present=False,
        expected=377110,
        note="absent (published at https://physionet.org/content/mimic-cxr-jpg/): studies have no split",
    )


def test_images_come_from_the_metadata_without_a_record_list(tmp_path: Path) -> None:
    mini.write(tmp_path)
    (tmp_path / "cxr-record-list.csv.gz").unlink()
    assert list(Mimic(tmp_path).studies()) == expected()


def test_the_other_section_parser(tmp_path: Path) -> None:
    report = one(Mimic(mini.write(tmp_path), section_parser="mit-lcp"), "s50000012").report
    assert report is not None
    assert [(part.name, part.text) for part in report.sections] == [
        ("full report", "FINAL REPORT\n CHEST RADIOGRAPH"),
        ("last_paragraph", "Invented: small effusion."),
    ]


@pytest.mark.parametrize("options", [{"form": "csv"}, {"section_parser": "best"}])
def test_options_that_do_not_exist(tmp_path: Path, options: dict[str, str]) -> None:
    with pytest.raises(UsageError):
        Mimic(mini.write(tmp_path), None, **options)


# --- the fingerprint -------------------------------------------------------------------------------------------------


def test_the_fingerprint_is_of_the_content(tmp_path: Path) -> None:
    first, second = mini.write(tmp_path / "a"), mini.write(tmp_path / "b")
    packed = second / "cxr-study-list.csv.gz"
    (second / "cxr-study-list.csv").write_bytes(gzip.decompress(packed.read_bytes()))
    packed.unlink()
    same = Mimic(first).fingerprint()
    assert Mimic(second).fingerprint() == same
    assert Mimic(first, section_parser="mit-lcp").fingerprint() == same


@pytest.mark.parametrize("change", ["report", "gone", "table", "images"])
def test_the_fingerprint_changes(tmp_path: Path, change: str) -> None:
    before = Mimic(mini.write(tmp_path)).fingerprint()
    report = tmp_path / f"{FIRST.folder}.txt"
    if change == "report":
        report.write_text("longer or shorter")
    elif change == "gone":
        report.unlink()
    elif change == "table":
        (tmp_path / "mimic-cxr-2.0.0-split.csv.gz").unlink()
    else:
        mini.images(tmp_path, [FIRST])
    assert Mimic(tmp_path).fingerprint() != before


# --- bad input: files ------------------------------------------------------------------------------------------------


def test_no_root(tmp_path: Path) -> None:
    with pytest.raises(RootMissing, match="nowhere"):
        Mimic(tmp_path / "nowhere")
    with pytest.raises(RootMissing, match="nowhere"):
        Mimic(mini.write(tmp_path / "a"), tmp_path / "nowhere")


def test_no_study_list(tmp_path: Path) -> None:
    mini.write(tmp_path)
    (tmp_path / "cxr-study-list.csv.gz").unlink()
    with pytest.raises(FileMissing, match=r"cxr-study-list\.csv\.gz is missing") as caught:
        Mimic(tmp_path)
    assert "https://physionet.org/content/mimic-cxr/" in (caught.value.expected or "")


def test_no_reports(tmp_path: Path) -> None:
    mini.study_list(tmp_path)
    with pytest.raises(FileMissing, match=r"files/.* or mimic-cxr-reports\.zip is missing"):
        Mimic(tmp_path)


@pytest.mark.parametrize("name", ["cxr-study-list.csv.gz", "mimic-cxr-2.0.0-metadata.csv.gz"])
@pytest.mark.parametrize("damage", ["cut short", "damaged"])
def test_a_bad_gzip(tmp_path: Path, name: str, damage: str) -> None:
    path = mini.write(tmp_path) / name
    data = path.read_bytes()
    path.write_bytes(data[:-12] if damage == "cut short" else data[:30] + b"\xff\xff\xff" + data[33:])
    with pytest.raises(FileMissing, match=f"table {name} is .*{damage}"):
        Mimic(tmp_path).listing()


def test_a_wrong_header_shows_both(tmp_path: Path) -> None:
    mini.write(tmp_path)
    mini.table(tmp_path / "cxr-study-list.csv.gz", "subject,study_id,path", [])
    with pytest.raises(ColumnMissing) as caught:
        Mimic(tmp_path).listing()
    assert caught.value.message == (
        "cxr-study-list.csv.gz has no column subject_id: its header is subject,study_id,path"
    )
    assert caught.value.expected == "subject_id,study_id,path"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "it is empty: no header, no rows"),
        ("10000017,50000041,Invented lungs; clear!\n", "its header is not one (3 fields that are not column names)"),
    ],
)
def test_no_header(tmp_path: Path, text: str, says: str) -> None:
    mini.write(tmp_path)
    (tmp_path / "cxr-study-list.csv.gz").write_text(text)
    with pytest.raises(ColumnMissing) as caught:
        Mimic(tmp_path).listing()
    assert caught.value.message.endswith(says)
    assert "Invented" not in str(caught.value)


def test_a_table_of_nothing_but_its_header(tmp_path: Path) -> None:
    mini.write(tmp_path, [])
    (tmp_path / "files").mkdir()
    data = Mimic(tmp_path)
    assert data.listing().studies == ()
    assert list(data.studies()) == []
    assert data.check()[0].found == 0


def test_an_archive_that_leads_out_is_refused(tmp_path: Path) -> None:
    mini.study_list(tmp_path)
    mini.archive(tmp_path / "mimic-cxr-reports.zip", extra=["files/../../evil.txt"])
    with pytest.raises(KgbuildError, match="leads out of it: refused") as caught:
        list(Mimic(tmp_path).studies())
    assert caught.value.where == f"{tmp_path / 'mimic-cxr-reports.zip'}, member 4"


def test_an_archive_cut_short(tmp_path: Path) -> None:
    mini.study_list(tmp_path)
    path = mini.archive(tmp_path / "mimic-cxr-reports.zip")
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(FileMissing, match="cut short or no zip"):
        list(Mimic(tmp_path).studies())


def test_a_damaged_member(tmp_path: Path) -> None:
    mini.study_list(tmp_path)
    path = mini.archive(tmp_path / "mimic-cxr-reports.zip")
    with zipfile.ZipFile(path) as opened:
        place = opened.getinfo(f"{FIRST.folder}.txt").header_offset + 30 + len(f"{FIRST.folder}.txt")
    data = bytearray(path.read_bytes())
    data[place + 4] ^= 0xFF
    path.write_bytes(data)
    assert failed(Mimic(tmp_path), "s50000041").reason.startswith(
        "its report cannot be read: its member of the archive is damaged"
    )
    assert one(Mimic(tmp_path), "s50000023").report == expected()[0].report


# --- bad input: rows -------------------------------------------------------------------------------------------------


def rows_of_studies(root: Path, *rows: str) -> Mimic:
    mini.write(root)
    good = [f"{m.subject},{m.study},{m.folder}.txt" for m in STUDIES]
    (root / "cxr-study-list.csv.gz").write_bytes("\n".join(["subject_id,study_id,path", *good, *rows, ""]).encode())
    return Mimic(root)


NAME = "cxr-study-list.csv.gz"


@pytest.mark.parametrize(
    ("row", "study", "reason"),
    [
        ("1000001,50000099,files/x", NAME, "subject_id is not 8 digits starting with 1"),
        ("p10000017,50000099,files/x", NAME, "subject_id is not 8 digits starting with 1"),
        ("10000017,40000099,files/x", NAME, "study_id is not 8 digits starting with 5"),
        ("10000017,,", NAME, "study_id is not 8 digits starting with 5"),
        ("10000017", NAME, "study_id is not 8 digits starting with 5"),
        ('10000017,"50000099,files/x', NAME, "study_id is not 8 digits starting with 5"),
        ("10000017,50000099,../s50000099.txt", "s50000099", "its path is not files/pNN/p<subject>/s<study>.txt"),
        (
            "11000016,50000041,files/p11/p11000016/s50000041.txt",
            "s50000041",
            "listed before with another patient, which stands",
        ),
    ],
)
def test_a_bad_row_is_a_failure_with_its_line(tmp_path: Path, row: str, study: str, reason: str) -> None:
    data = rows_of_studies(tmp_path, "", row, "")
    assert data.listing().failures == (Failure(study, "read", reason, f"{NAME} line 6"),)
    assert data.listing().studies == REFS
    assert list(data.studies()) == expected()
    note = f"2 patients (published: 65,379); 1 rows skipped (first: {NAME} line 6: {reason})"
    assert files(tmp_path)[NAME].note == note


def test_bytes_that_are_not_utf_8_spoil_one_row(tmp_path: Path) -> None:
    data = rows_of_studies(tmp_path)
    path = tmp_path / NAME
    path.write_bytes(path.read_bytes() + b"1000\xff017,50000099,files/x\r\n")
    assert [failure.where for failure in data.listing().failures] == [f"{NAME} line 5"]


def test_copies_are_counted(tmp_path: Path) -> None:
    data = rows_of_studies(tmp_path, f"{FIRST.subject},{FIRST.study},{FIRST.folder}.txt")
    path = tmp_path / "mimic-cxr-2.0.0-split.csv.gz"
    text = gzip.decompress(path.read_bytes()).decode()
    path.write_text(text + text.splitlines()[1] + "\n")
    assert data.listing().counts == QUIET | {"repeated study rows": 1, "repeated image rows": 1}
    assert list(data.studies()) == expected()


def test_images_of_others(tmp_path: Path) -> None:
    mini.write(tmp_path)
    path = tmp_path / "cxr-record-list.csv.gz"
    more = [
        f"10000017,50000077,{dicom(9)},x",  # no such study
        f"11000016,50000041,{dicom(8)},x",  # another patient's
        f"11000016,50000012,{dicom(1)},x",  # an image of the first study
        "11000016,50000012,not-an-id,x",
    ]
    path.write_text(gzip.decompress(path.read_bytes()).decode() + "\n".join(more) + "\n")
    listing = Mimic(tmp_path).listing()
    assert listing.counts == QUIET | {"images of no listed study": 1}
    assert listing.failures == (
        Failure(path.name, "read", "dicom_id is not five groups of 8 hexadecimal digits", f"{path.name} line 10"),
        Failure(
            "s50000012",
            "read",
            "its image belongs already to another study or patient, which keeps it",
            f"{path.name} line 9",
        ),
        Failure(
            "s50000041",
            "read",
            "its patient is another than in the study list; the image is left out",
            f"{path.name} line 8",
        ),
    )
    assert list(Mimic(tmp_path).studies()) == expected()


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (("1", "93012"), dt.time(0, 0, 1)),  # leading zeros are lost; the earliest counts
        (("235959.999", ""), dt.time(23, 59, 59)),
        (("250000", "noon"), None),
    ],
)
def test_times_of_day(tmp_path: Path, texts: tuple[str, str], expected: dt.time | None) -> None:
    shots = tuple(Shot(dicom(number), time=text) for number, text in enumerate(texts, 1))
    mini.write(tmp_path, [FIRST._replace(shots=shots)])
    assert one(Mimic(tmp_path), "s50000041").time == expected


def test_the_time_is_that_of_the_earliest_day(tmp_path: Path) -> None:
    shots = (Shot(dicom(1), date="21800507", time="1"), Shot(dicom(2), date="21800506", time="235900"))
    mini.write(tmp_path, [FIRST._replace(shots=shots)])
    study = one(Mimic(tmp_path), "s50000041")
    assert (study.date, study.time) == (dt.date(2180, 5, 6), dt.time(23, 59))


def test_dates_and_splits_that_cannot_be(tmp_path: Path) -> None:
    shots = (Shot(dicom(1), date="21801350", split="train"), Shot(dicom(2), date="", split="test", rows="tall"))
    mini.write(tmp_path, [FIRST._replace(shots=shots), SECOND._replace(shots=())])
    data = Mimic(tmp_path)
    assert data.listing().counts == QUIET | {
        "images listed": 2,
        "images without view": 0,
        "images with an unreadable date": 1,
        "studies whose images have several dates": 0,
        "studies whose images disagree on the split": 1,
        "patients": 1,
        "studies without images": 1,
        "studies without date": 2,
        "studies without split": 2,
    }
    study = one(data, "s50000041")
    assert (study.date, study.split, study.images[1].rows) == (None, None, None)


# --- bad input: reports ----------------------------------------------------------------------------------------------


def test_a_report_listed_but_absent_keeps_its_images(tmp_path: Path) -> None:
    (mini.write(tmp_path) / f"{FIRST.folder}.txt").unlink()
    known = expected()[1]
    empty = Study(
        known.id, "mimic", Report((), f"{FIRST.folder}.txt"), known.images, "p10000017", "train", known.date, TIME
    )
    where = f"{FIRST.folder}.txt"
    assert failed(Mimic(tmp_path), "s50000041") == Failure(
        "s50000041", "read", "its report is listed but absent", where, empty
    )
    check = files(tmp_path)["files/**/s*.txt"]
    assert (check.found, check.note) == (2, "1 listed reports are absent: these studies are quarantined")


def test_a_report_on_disk_but_not_listed_is_counted_by_check(tmp_path: Path) -> None:
    mini.write(tmp_path, [FIRST, SECOND])
    mini.reports(tmp_path, [THIRD])
    assert files(tmp_path)["files/**/s*.txt"].note == "1 reports are not in the study list: skipped"
    assert len(list(Mimic(tmp_path).studies())) == 2


def test_a_report_that_is_not_utf_8(tmp_path: Path) -> None:
    (mini.write(tmp_path) / f"{FIRST.folder}.txt").write_bytes(b" FINDINGS: 37 \xb0C\n")
    failure = failed(Mimic(tmp_path), "s50000041")
    assert failure.reason == "byte 0xb0 at offset 14 is not UTF-8"
    assert failure.study is not None
    assert len(failure.study.images) == 2


def test_an_empty_report_is_normal(tmp_path: Path) -> None:
    (mini.write(tmp_path) / f"{FIRST.folder}.txt").write_bytes(b"")
    assert one(Mimic(tmp_path), "s50000041").report == Report((), f"{FIRST.folder}.txt")
    assert files(tmp_path)["files/**/s*.txt"].note == "1 reports are empty files: counted, normal"


def test_a_folder_in_place_of_a_report(tmp_path: Path) -> None:
    path = mini.write(tmp_path) / f"{FIRST.folder}.txt"
    path.unlink()
    path.mkdir()
    assert failed(Mimic(tmp_path), "s50000041").reason.startswith("its report cannot be read")


def test_links_in_a_circle_are_not_followed(tmp_path: Path) -> None:
    mini.write(tmp_path)
    before = Mimic(tmp_path).fingerprint()
    (tmp_path / "files" / "p10" / "p10000099").symlink_to("p10000099")
    (tmp_path / "files" / "p10" / "p10000017" / "up").symlink_to(tmp_path / "files")
    (tmp_path / "files" / "p12").symlink_to(tmp_path / "files")
    path = tmp_path / f"{FIRST.folder}.txt"
    (tmp_path / f"{FIRST.folder}").symlink_to(tmp_path / "files")
    data = Mimic(tmp_path)
    assert list(data.studies()) == expected()
    assert data.check()[1].found == 3
    assert data.fingerprint() != before  # a folder of images by that name
    path.unlink()
    path.symlink_to(path.name)
    assert failed(Mimic(tmp_path), "s50000041").reason.startswith("its report cannot be read")
    assert Mimic(tmp_path).check()[1].found == 2


@pytest.mark.parametrize("name", ["s50000099", "50000041", "s5000004", "s5000004x", "", "CXR12"])
def test_an_id_that_is_not_listed(tmp_path: Path, name: str) -> None:
    data = Mimic(mini.write(tmp_path))
    assert failed(data, name) == Failure(name, "read", "no such study in this data set", "cxr-study-list.csv.gz")


# --- labels and check ------------------------------------------------------------------------------------------------


def test_labels(tmp_path: Path) -> None:
    mini.write(tmp_path)
    header = mini.LABELS.split(",")

    def row(**values: str) -> list[str]:
        return [values.get(name.replace(" ", "_"), "") for name in header]

    mini.table(
        tmp_path / "mimic-cxr-2.0.0-chexpert.csv.gz",
        f"subject_id,study_id,{mini.LABELS}",
        [
            [10000017, 50000041, *row(Edema="-1.0", Pneumonia="0.0")],
            [10000017, 50000023, *row(No_Finding="1.0", Edema="maybe")],
            [10000017, "x", *row(Edema="1.0")],
        ],
    )
    test = mini.LABELS.replace("Lung Opacity", "Airspace Opacity")
    mini.table(
        tmp_path / "mimic-cxr-2.1.0-test-set-labeled.csv", f"study_id,{test}", [[50000012, *row(Lung_Opacity="1.0")]]
    )
    data = Mimic(tmp_path)
    labels = data.labels().select(["study_id", "finding", "value", "source"]).to_pylist()
    assert [tuple(row.values()) for row in labels] == [
        ("s50000023", "No Finding", 1.0, "chexpert"),
        ("s50000041", "Edema", -1.0, "chexpert"),
        ("s50000041", "Pneumonia", 0.0, "chexpert"),
        ("s50000012", "Lung Opacity", 1.0, "radiologist"),
    ]
    checks = files(tmp_path)
    assert checks["mimic-cxr-2.0.0-chexpert.csv.gz"].note == (
        "1 rows skipped (no study id, or a copy); 1 values skipped (not 1, 0 or -1); read on demand only"
    )
    assert (checks["mimic-cxr-2.1.0-test-set-labeled.csv"].found, checks["mimic-cxr-2.0.0-negbio.csv.gz"].present) == (
        1,
        False,
    )


def test_no_labels(tmp_path: Path) -> None:
    labels = Mimic(mini.write(tmp_path)).labels()
    assert labels.schema.equals(FINDING_LABELS)
    assert labels.num_rows == 0


def test_check(tmp_path: Path) -> None:
    mini.write(tmp_path)
    mini.images(tmp_path, [FIRST])
    mini.table(tmp_path / "mimic_cxr_sectioned.csv", "study,impression", [("s50000041", "Normal.")])
    mini.table(tmp_path / "cxr-provider-list.csv.gz", "subject_id", [])
    got = [(c.path, c.needed, c.present, c.found, c.expected, c.note) for c in Mimic(tmp_path).check()]
    gone = "absent (published at https://physionet.org/content/mimic-cxr-jpg/): labels() has no"
    assert got == [
        (NAME, True, True, 3, 227835, "2 patients (published: 65,379)"),
        ("files/**/s*.txt", True, True, 3, 227835, ""),
        ("cxr-record-list.csv.gz", False, True, 5, 377110, ""),
        (
            "mimic-cxr-2.0.0-metadata.csv.gz",
            False,
            True,
            5,
            377110,
            "1 images without view; 1 studies whose images have several dates",
        ),
        (
            "mimic-cxr-2.0.0-split.csv.gz",
            False,
            True,
            5,
            377110,
            "train 3 images (published: 368,960); validate 2 images (published: 2,991); "
            "test 0 images (published: 5,159)",
        ),
        ("files/**/<dicom_id>.jpg", False, True, 2, 377110, "3 of 5 listed images are without a file"),
        ("mimic-cxr-2.0.0-chexpert.csv.gz", False, False, None, 227827, f"{gone} chexpert"),
        ("mimic-cxr-2.0.0-negbio.csv.gz", False, False, None, 227827, f"{gone} negbio"),
        ("mimic-cxr-2.1.0-test-set-labeled.csv.gz", False, False, None, 687, f"{gone} radiologist"),
        (
            "mimic_cxr_sectioned.csv",
            False,
            True,
            1,
            227781,
            "not used: section_parser=mit-lcp makes the same from the reports",
        ),
        ("cxr-provider-list.csv.gz", False, True, None, None, "not used"),
    ]
