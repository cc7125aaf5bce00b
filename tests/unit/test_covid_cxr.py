"""The COVID-19 image data collection, made up and small; then the data pack's 319 images."""

from __future__ import annotations

import csv
import datetime as dt
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from kgbuild.datasets._covid_rows import parse_date
from kgbuild.datasets.covid_cxr import CovidCxr
from kgbuild.domain import Failure, Image, Report, Section, Study, StudyRef
from kgbuild.errors import ColumnMissing, FileMissing, RootMissing
from kgbuild.plugins import find

COLUMNS = (
    "patientid",
    "offset",
    "finding",
    "view",
    "modality",
    "date",
    "folder",
    "filename",
    "license",
    "clinical_notes",
)


def row(filename: str, **cells: str) -> dict[str, str]:
    base = {"patientid": "7", "finding": "COVID-19", "view": "PA", "modality": "X-ray", "folder": "images"}
    return {**base, "license": "CC BY 4.0", "filename": filename, **cells}


ROWS = [
    row("a1.jpg", offset="3", date="January 25, 2020", clinical_notes=" Day three,\nfever. "),
    row("a2.png", offset="3.0", date="January 25, 2020", view="L", clinical_notes="Second picture."),
    row("a3.png", offset="9", date="2020", clinical_notes="Day nine.", license="CC BY-NC-SA"),
    row("b1.jpeg", patientid="326-a", offset="", finding="Pneumonia/Viral/COVID-19", license=""),
    row("b2.jpeg", patientid="326-a", offset="", finding="todo"),
    row("ct.nii.gz", modality="CT", folder="volumes"),
]


def make(root: Path, rows: list[dict[str, str]] | None = None) -> CovidCxr:
    (root / "images").mkdir(parents=True, exist_ok=True)
    with (root / "metadata.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(ROWS if rows is None else rows)
    for name in ("a1.jpg", "a2.jpg", "b1.jpeg", "extra.png"):
        (root / "images" / name).touch()
    return CovidCxr(root)


def test_exams_notes_and_images(tmp_path: Path) -> None:
    data = make(tmp_path)
    listing = data.listing()
    first, second, third = "covid-cxr:7-d3-2020-01-25", "covid-cxr:7-d9-2020", "covid-cxr:326-a-b1"
    assert listing.studies == (
        StudyRef(first, None, "covid-cxr:7"),
        StudyRef(second, None, "covid-cxr:7"),
        StudyRef(third, None, "covid-cxr:326-a"),
        StudyRef("covid-cxr:326-a-b2", None, "covid-cxr:326-a"),
    )
    assert listing.failures == ()
    assert listing.counts == {
        "images listed": 5,
        "images listed but absent": 2,
        "images on disk but not listed": 1,
        "studies without notes": 2,
        "rows of other modalities": 1,
        "repeated rows": 0,
    }
    assert list(data.studies([third, "covid-cxr:8", first])) == [
        Study(
            third,
            "covid-cxr",
            Report((), "metadata.csv"),
            (Image("b1", third, "PA", "images/b1.jpeg"),),
            "covid-cxr:326-a",
        ),
        Failure("covid-cxr:8", "read", "no such study in this data set", "metadata.csv"),
        Study(
            first,
            "covid-cxr",
            Report(
                (
                    Section("clinical_notes", " Day three,\nfever. "),
                    Section("clinical_notes", "Second picture."),
                ),
                "metadata.csv",
            ),
            (Image("a1", first, "PA", "images/a1.jpg"), Image("a2", first, "L", "images/a2.jpg")),
            "covid-cxr:7",
            None,
            dt.date(2020, 1, 25),
        ),
    ]


def test_labels(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = make(tmp_path).labels().to_pylist()
    assert [(row["image_id"], row["finding"], row["value"], row["source"]) for row in rows] == [
        ("a1", "COVID-19", 1.0, "publisher"),
        ("a2", "COVID-19", 1.0, "publisher"),
        ("a3", "COVID-19", 1.0, "publisher"),
        ("b1", "Pneumonia", 1.0, "publisher"),
        ("b1", "Viral", 1.0, "publisher"),
        ("b1", "COVID-19", 1.0, "publisher"),
    ]


@pytest.mark.parametrize(
    ("text", "date"),
    [
        ("January 25, 2020", dt.date(2020, 1, 25)),
        ("Oct 8, 2010", dt.date(2010, 10, 8)),
        ("11/27/19", dt.date(2019, 11, 27)),
        ("03/09/2020", dt.date(2020, 3, 9)),
        ("2020-03-09", dt.date(2020, 3, 9)),
        ("2020", None),
        ("27/11/19", None),
        ("", None),
    ],
)
def test_dates(text: str, date: dt.date | None) -> None:
    assert parse_date(text) == date


def test_one_date_on_two_days_is_neithers(tmp_path: Path) -> None:
    rows = [row("a.png", offset="3", date="11/27/19"), row("b.png", offset="59", date="11/27/19")]
    assert [study.date for study in make(tmp_path, rows).studies() if isinstance(study, Study)] == [None, None]


@pytest.mark.parametrize(
    ("bad", "study", "reason"),
    [
        (row("x.png", patientid="the patient"), "metadata.csv", "its patientid is not a number or name without spaces"),
        (row("", patientid="9"), "covid-cxr:9", "it has no filename"),
        (row("a1.jpg", finding="ARDS"), "covid-cxr:7", "another row than line 2's of this file, which is used"),
    ],
)
def test_a_bad_row_is_quarantined(tmp_path: Path, bad: dict[str, str], study: str, reason: str) -> None:
    listing = make(tmp_path, [ROWS[2], bad] if bad["filename"] != "a1.jpg" else [row("a1.jpg"), bad]).listing()
    assert listing.failures == (Failure(study, "read", reason, "metadata.csv line 3"),)
    assert len(listing.studies) == 1


def test_copies_are_counted_and_one_stem_twice_keeps_both(tmp_path: Path) -> None:
    listing = make(tmp_path, [ROWS[2], ROWS[2]]).listing()
    assert (len(listing.studies), listing.failures, listing.counts["repeated rows"]) == (1, (), 1)
    data = make(tmp_path, [row("a1.jpg", offset="1"), row("a1.png", offset="1")])
    (study,) = data.studies()
    assert isinstance(study, Study)
    assert [(image.id, image.path) for image in study.images] == [("a1", "images/a1.jpg"), ("a1.png", None)]


def test_a_broken_row_costs_itself_only(tmp_path: Path) -> None:
    make(tmp_path)
    with (tmp_path / "metadata.csv").open("ab") as file:
        file.write(b"8,1,todo,PA,X-ray,2020,images,z.png,CC0,caf\xe9\n9,1,short\n")
    listing = CovidCxr(tmp_path).listing()
    assert [(failure.study_id, failure.where) for failure in listing.failures] == [
        ("covid-cxr:8", "metadata.csv line 9"),
        ("covid-cxr:9", "metadata.csv line 10"),
    ]
    assert "is not UTF-8" in listing.failures[0].reason
    assert len(listing.studies) == 4


def test_what_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(RootMissing, match=r"(?s)does not hold metadata\.csv.*ieee8023/covid-chestxray-dataset"):
        CovidCxr(tmp_path)
    (tmp_path / "metadata.csv").write_text("patient,file\n1,a.png\n")
    with pytest.raises(ColumnMissing, match=r"(?s)its header is patient,file.*patientid,offset,sex"):
        CovidCxr(tmp_path).listing()
    with pytest.raises(FileMissing, match="image folder"):
        CovidCxr(tmp_path, tmp_path / "nowhere")


def test_check_counts_licences(tmp_path: Path) -> None:
    table, images = make(tmp_path).check()
    assert (table.found, images.found, images.path) == (6, 4, "images/")
    assert table.note == (
        "2 patients; 1 rows of other modalities skipped; notes are read with --sections clinical_notes; "
        "a licence an image, see column license: 3 CC BY 4.0, 1 CC BY-NC-SA, 1 no licence stated"
    )
    assert images.note == "2 listed images are absent; 1 files are not listed and skipped"


def test_images_elsewhere(tmp_path: Path) -> None:
    make(tmp_path / "root")
    (tmp_path / "elsewhere" / "images").mkdir(parents=True)
    (tmp_path / "elsewhere" / "images" / "a3.png").touch()
    data = CovidCxr(tmp_path / "root", tmp_path / "elsewhere")
    paths = [image.path for study in data.studies() if isinstance(study, Study) for image in study.images]
    assert paths == [None, None, "images/a3.png", None, None]


def test_its_name() -> None:
    assert find("datasets", "covid-cxr") is CovidCxr


@pytest.mark.real
def test_real_images(real_data: Path) -> None:
    data = CovidCxr(real_data / "covid_cxr")
    listing = data.listing()
    assert listing.failures == ()
    assert listing.counts["images listed"] == 319
    assert listing.counts["images listed but absent"] == listing.counts["images on disk but not listed"] == 0
    assert len({ref.patient_id for ref in listing.studies}) == 183
    assert len(listing.studies) == 313
    studies = [study for study in data.studies() if isinstance(study, Study)]
    assert sum(len(study.images) for study in studies) == 319
    assert len({image.id for study in studies for image in study.images}) == 319
    assert Counter(image.view for study in studies for image in study.images) == {"PA": 183, "AP Supine": 92, "AP": 44}
    rows: list[dict[str, Any]] = data.labels().to_pylist()
    found = Counter(row["finding"] for row in rows)
    assert (found["COVID-19"], found["ARDS"], found["No Finding"], found["todo"]) == (194, 13, 6, 0)
    assert "104 CC BY 3.0" in data.check()[0].note
