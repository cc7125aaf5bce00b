"""CheXpert and CheXpert Plus in their published layouts, made up and small."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from kgbuild.datasets._findings import CHEXPERT
from kgbuild.datasets.base import FileCheck
from kgbuild.datasets.chexpert import HEADER, CheXpert
from kgbuild.datasets.chexpert_plus import HEADER as PLUS_HEADER
from kgbuild.datasets.chexpert_plus import CheXpertPlus
from kgbuild.domain import Failure, Image, Report, Section, Study, StudyRef
from kgbuild.errors import ColumnMissing, FileMissing, KgbuildError, RootMissing, UsageError
from kgbuild.plugins import find
from kgbuild.tables import FINDING_LABELS

SMALL = "CheXpert-v1.0-small"


def line(path: str, view: str = "Frontal", beam: str = "AP", **labels: str) -> list[str]:
    return [path, "Male", "61", view, beam, *(labels.get(name.replace(" ", "_"), "") for name in CHEXPERT)]


TRAIN = [
    line(f"{SMALL}/train/patient00001/study1/view1_frontal.jpg", No_Finding="1.0", Pneumothorax="0.0"),
    line(f"{SMALL}/train/patient00002/study2/view1_frontal.jpg", beam="PA", Edema="-1.0"),
    line(f"{SMALL}/train/patient00002/study1/view2_lateral.jpg", "Lateral", ""),
    line(f"{SMALL}/train/patient00002/study1/view1_frontal.jpg", beam=""),
]
VALID = [line(f"{SMALL}/valid/patient64541/study1/view1_frontal.jpg", Edema="1.0")]


def write(path: Path, rows: list[list[str]], header: tuple[str, ...] = HEADER) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def make(root: Path, train: list[list[str]] = TRAIN) -> Path:
    write(root / "train.csv", train)
    write(root / "valid.csv", VALID)
    touch(
        root,
        "train/patient00001/study1/view1_frontal.jpg",
        "train/patient00002/study1/view1_frontal.jpg",
        "train/patient00002/study1/view9_frontal.jpg",
        "train/patient00077/study1/view1_frontal.jpg",
        "valid/patient64541/study1/view1_frontal.jpg",
    )
    return root


def test_studies_views_and_splits(tmp_path: Path) -> None:
    data = CheXpert(make(tmp_path))
    listing = data.listing()
    assert listing.studies == (
        StudyRef("chexpert:patient00001/study1", "train", "chexpert:patient00001"),
        StudyRef("chexpert:patient00002/study2", "train", "chexpert:patient00002"),
        StudyRef("chexpert:patient00002/study1", "train", "chexpert:patient00002"),
        StudyRef("chexpert:patient64541/study1", "valid", "chexpert:patient64541"),
    )
    assert listing.failures == ()
    assert listing.counts == {
        "images listed": 5,
        "images whose patient has no folder": 0,
        "patient folders not listed": 1,
        "repeated rows": 0,
    }
    two = "chexpert:patient00002/study1"
    assert list(data.studies([two, "chexpert:patient00003/study1", "patient00002/study1"])) == [
        Study(
            two,
            "chexpert",
            None,
            (
                Image(f"{two}/view1_frontal", two, "Frontal", "train/patient00002/study1/view1_frontal.jpg"),
                Image(f"{two}/view2_lateral", two, "Lateral"),
            ),
            "chexpert:patient00002",
            "train",
        ),
        Failure("chexpert:patient00003/study1", "read", "no such study in this data set", "train.csv"),
        Failure("patient00002/study1", "read", "no such study in this data set", "train.csv"),
    ]
    views = {study.id: study.images[0].view for study in data.studies() if isinstance(study, Study)}
    assert list(views.values()) == ["AP", "PA", "Frontal", "AP"]


@pytest.mark.parametrize(
    ("tables", "folder", "path"),
    [
        (SMALL, f"{SMALL}/train", f"{SMALL}/train/patient00001/study1/view1_frontal.jpg"),
        ("", f"{SMALL}/train", f"{SMALL}/train/patient00001/study1/view1_frontal.jpg"),
        (
            "",
            "CheXpert-v1.0 batch 2 (train 1)",
            "CheXpert-v1.0 batch 2 (train 1)/patient00001/study1/view1_frontal.jpg",
        ),
    ],
)
def test_where_people_unpack_it(tmp_path: Path, tables: str, folder: str, path: str) -> None:
    write(tmp_path / tables / "train.csv", TRAIN[:1])
    touch(tmp_path, f"{folder}/patient00001/study1/view1_frontal.jpg")
    (study,) = CheXpert(tmp_path).studies()
    assert isinstance(study, Study)
    assert study.images[0].path == path


def test_images_elsewhere(tmp_path: Path) -> None:
    write(tmp_path / "tables" / "train.csv", TRAIN[:1])
    touch(tmp_path, "pictures/train/patient00001/study1/view1_frontal.png")
    (study,) = CheXpert(tmp_path / "tables", tmp_path / "pictures").studies()
    assert isinstance(study, Study)
    assert study.images[0].path == "train/patient00001/study1/view1_frontal.png"
    with pytest.raises(FileMissing, match="image folder"):
        CheXpert(tmp_path / "tables", tmp_path / "nowhere")


def test_links_that_go_round_in_a_circle(tmp_path: Path) -> None:
    make(tmp_path)
    (tmp_path / "CheXpert-loop").symlink_to("CheXpert-loop")
    (tmp_path / "train" / "patient00003").symlink_to("patient00003")
    (tmp_path / "train" / "patient00002" / "study2").symlink_to("study2")
    data = CheXpert(tmp_path)
    assert data.check()[-1].found == 5
    assert len(list(data.studies())) == 4


def test_labels(tmp_path: Path) -> None:
    table = CheXpert(make(tmp_path)).labels()
    assert table.schema == FINDING_LABELS
    rows: list[dict[str, Any]] = table.to_pylist()
    assert [(row["image_id"], row["finding"], row["value"], row["source"]) for row in rows] == [
        ("chexpert:patient00001/study1/view1_frontal", "No Finding", 1.0, "chexpert"),
        ("chexpert:patient00001/study1/view1_frontal", "Pneumothorax", 0.0, "chexpert"),
        ("chexpert:patient00002/study2/view1_frontal", "Edema", -1.0, "chexpert"),
        ("chexpert:patient64541/study1/view1_frontal", "Edema", 1.0, "radiologist"),
    ]


def test_the_test_set_has_fewer_columns(tmp_path: Path) -> None:
    write(tmp_path / "test_labels.csv", [["test/patient64741/study1/view1_frontal.jpg", "1.0"]], ("Path", "Edema"))
    data = CheXpert(tmp_path)
    assert data.listing().studies[0].split == "test"
    assert data.labels().num_rows == 1


@pytest.mark.parametrize(
    ("bad", "study", "reason"),
    [
        (line("train/1/2/view.jpg"), "train.csv", "its path has not the shape train/patient00001/study1/view1_frontal"),
        (TRAIN[0][:-1], "chexpert:patient00001/study1", "18 fields where the header has 19"),
        (
            line(f"{SMALL}/train/patient00001/study1/view1_frontal.jpg", Edema="0.0"),
            "chexpert:patient00001/study1",
            "another row than line 2's of this image, which is used",
        ),
        (
            line(f"{SMALL}/train/patient00004/study1/view1_frontal.jpg", Edema="maybe"),
            "chexpert:patient00004/study1",
            "Edema is none of 1, 0, -1 and blank",
        ),
    ],
)
def test_a_bad_row_is_quarantined(tmp_path: Path, bad: list[str], study: str, reason: str) -> None:
    listing = CheXpert(make(tmp_path, [*TRAIN, bad])).listing()
    (failure,) = listing.failures
    assert failure.study_id == study
    assert failure.reason.startswith(reason)
    assert failure.where == "train.csv line 6"


def test_a_study_in_two_tables_stays_in_the_first(tmp_path: Path) -> None:
    make(tmp_path)
    write(tmp_path / "valid.csv", [line(f"{SMALL}/train/patient00001/study1/view3_frontal.jpg")])
    listing = CheXpert(tmp_path).listing()
    reason = "its study is in split train by line 2 of its table: this row is not used"
    assert listing.failures == (Failure("chexpert:patient00001/study1", "read", reason, "valid.csv line 2"),)
    assert [ref.split for ref in listing.studies] == ["train"] * 3


def test_copies_are_counted(tmp_path: Path) -> None:
    listing = CheXpert(make(tmp_path, [*TRAIN, TRAIN[0]])).listing()
    assert (len(listing.studies), listing.failures, listing.counts["repeated rows"]) == (4, (), 1)


def test_what_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(RootMissing, match=r"(?s)holds no table of CheXpert.*train\.csv.*stanfordmlgroup"):
        CheXpert(tmp_path)
    write(tmp_path / "train.csv", [], ("File", "Edema"))
    with pytest.raises(ColumnMissing, match=r"(?s)no column path: its header is File,Edema.*Path,Sex,Age"):
        CheXpert(tmp_path).listing()
    with pytest.raises(UsageError, match="unknown option"):
        CheXpert(tmp_path, form="csv")


def test_check_counts_every_image(tmp_path: Path) -> None:
    data = CheXpert(make(tmp_path))
    size = {name: (tmp_path / name).stat().st_size for name in ("train.csv", "valid.csv")}
    assert data.check() == [
        FileCheck("train.csv", True, True, 4, 223_414, size["train.csv"], "2 patients (65,240 in all tables)"),
        FileCheck("valid.csv", False, True, 1, 234, size["valid.csv"], "1 patients"),
        FileCheck("test.csv", False, False, expected=668, note="absent: no studies of split test"),
        FileCheck(
            "patient folders",
            False,
            True,
            5,
            224_316,
            note="2 listed images are absent; 2 files are not listed and skipped",
        ),
    ]


def test_the_fingerprint_is_of_the_content(tmp_path: Path) -> None:
    one, two = CheXpert(make(tmp_path / "a")), CheXpert(make(tmp_path / "b"))
    assert one.fingerprint() == two.fingerprint()
    touch(tmp_path / "b", "valid/patient64542/study1/view1_frontal.jpg")
    assert CheXpert(tmp_path / "b").fingerprint() != one.fingerprint()


def plus(path: str, split: str = "train", view: str = "Frontal", **cells: str) -> dict[str, str]:
    patient = path.split("/")[1]
    return {
        "path_to_image": path,
        "frontal_lateral": view,
        "ap_pa": "AP" if view == "Frontal" else "",
        "deid_patient_id": patient,
        "split": split,
        **cells,
    }


TEXT = {
    "report": "NARRATIVE:\nignored",
    "section_clinical_history": "61 years, cough",
    "section_findings": "1. TUBE IN PLACE.\n\n2. No effusion.",
    "section_impression": "",
    "section_accession_number": "1234567",
}
PLUS = [
    plus("train/patient42142/study5/view1_frontal.jpg", **TEXT),
    plus("train/patient42142/study5/view2_lateral.jpg", view="Lateral", **TEXT),
    plus("train/patient00007/study1/view1_frontal.jpg", report="NARRATIVE:\nOld film.\n\nIMPRESSION: Clear lungs."),
    plus("valid/patient64541/study1/view1_frontal.jpg", "valid", section_impression="Normal “chest”."),
]


def make_plus(root: Path, rows: list[dict[str, str]] = PLUS) -> CheXpertPlus:
    root.mkdir(exist_ok=True)
    with (root / "df_chexpert_plus_240401.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, PLUS_HEADER.split(","), restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return CheXpertPlus(root)


def test_plus_reports_come_in_sections(tmp_path: Path) -> None:
    data = make_plus(tmp_path)
    touch(
        tmp_path, "PNG/train/patient42142/study5/view1_frontal.png", "DICOM/train/patient42142/study5/view1_frontal.dcm"
    )
    touch(tmp_path, "DICOM/train/patient42142/study5/view2_lateral.dcm")
    data = CheXpertPlus(tmp_path)
    assert data.listing().failures == ()
    assert data.listing().counts == {
        "images listed": 4,
        "images whose patient has no folder": 2,
        "patient folders not listed": 0,
        "repeated rows": 0,
        "unreadable reports": 0,
    }
    five, old, last = (ref.id for ref in data.listing().studies)
    assert list(data.studies([last, five])) == [
        Study(
            "chexpert-plus:patient64541/study1",
            "chexpert-plus",
            Report((Section("impression", "Normal “chest”."),), "df_chexpert_plus_240401.csv"),
            (Image(f"{last}/view1_frontal", last, "AP"),),
            "chexpert-plus:patient64541",
            "valid",
        ),
        Study(
            "chexpert-plus:patient42142/study5",
            "chexpert-plus",
            Report(
                (
                    Section("clinical history", "61 years, cough"),
                    Section("findings", "1. TUBE IN PLACE.\n\n2. No effusion."),
                ),
                "df_chexpert_plus_240401.csv",
            ),
            (
                Image(f"{five}/view1_frontal", five, "AP", "PNG/train/patient42142/study5/view1_frontal.png"),
                Image(f"{five}/view2_lateral", five, "Lateral", "DICOM/train/patient42142/study5/view2_lateral.dcm"),
            ),
            "chexpert-plus:patient42142",
            "train",
        ),
    ]
    (cut,) = data.studies([old])
    assert isinstance(cut, Study)
    assert cut.report is not None
    (impression,) = [part for part in cut.report.sections if part.name == "impression"]
    assert (impression.text, impression.offset) == ("Clear lungs.", PLUS[2]["report"].index("Clear"))


def test_plus_another_report_of_the_same_study_is_quarantined(tmp_path: Path) -> None:
    other = plus("train/patient42142/study5/view3_frontal.jpg", section_findings="Something else.")
    data = make_plus(tmp_path, [*PLUS, other])
    reason = "its report differs from that of line 2, which is used"
    # the header is line 1, and the first three rows take up four lines each, the fourth one
    assert data.listing().failures == (
        Failure("chexpert-plus:patient42142/study5", "read", reason, "df_chexpert_plus_240401.csv line 15"),
    )
    study = next(data.studies())
    assert isinstance(study, Study)
    assert len(study.images) == 3


def test_plus_a_broken_row_costs_its_study_only(tmp_path: Path) -> None:
    make_plus(tmp_path)
    table = tmp_path / "df_chexpert_plus_240401.csv"
    table.write_bytes(table.read_bytes().replace(b"61 years, cough", b"caf\xe9", 1) + b"nowhere,1\n")
    data = CheXpertPlus(tmp_path)
    (failure,) = data.listing().failures
    assert (failure.study_id, failure.reason) == (table.name, "2 fields where the header has 27")
    assert data.listing().counts["unreadable reports"] == 1
    broken, *rest = data.studies()
    assert isinstance(broken, Failure)
    assert broken.reason.startswith("byte 0xe9 at offset ")
    assert broken.study is not None
    assert [image.id.rpartition("/")[2] for image in broken.study.images] == ["view1_frontal", "view2_lateral"]
    assert [type(study) for study in rest] == [Study, Study]


def test_plus_labels(tmp_path: Path) -> None:
    make_plus(tmp_path)
    path = tmp_path / "chexbert_labels" / "impression_fixed.json"
    path.parent.mkdir()
    records = [
        {
            "path_to_image": "valid/patient64541/study1/view1_frontal.jpg",
            "Edema": -1.0,
            "No Finding": 1.0,
            "Fracture": None,
        },
        {"path_to_image": "valid/patient99999/study1/view1_frontal.jpg", "Edema": 1.0},
    ]
    path.write_text("\n".join(json.dumps(record) for record in records) + "\n")
    rows: list[dict[str, Any]] = CheXpertPlus(tmp_path).labels().to_pylist()
    assert [(row["study_id"], row["finding"], row["value"], row["source"]) for row in rows] == [
        ("chexpert-plus:patient64541/study1", "No Finding", 1.0, "chexbert-impression"),
        ("chexpert-plus:patient64541/study1", "Edema", -1.0, "chexbert-impression"),
    ]
    path.write_text('{"path_to_image": "valid/pat')
    with pytest.raises(KgbuildError, match=r"impression_fixed\.json line 1 is no JSON object"):
        CheXpertPlus(tmp_path).labels()


def test_plus_what_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(RootMissing, match=r"(?s)does not hold the table.*df_chexpert_plus_240401\.csv.*aimi\.stanford"):
        CheXpertPlus(tmp_path)
    (tmp_path / "df_chexpert_plus_240401.csv").write_text("path_to_image,report\n")
    with pytest.raises(ColumnMissing, match=r"(?s)its header is path_to_image,report.*path_to_dcm,frontal_lateral"):
        CheXpertPlus(tmp_path).listing()


def test_plus_check(tmp_path: Path) -> None:
    data = make_plus(tmp_path)
    touch(tmp_path, "PNG/PNG/train/patient42142/study5/view1_frontal.png")
    table, images, *labels = CheXpertPlus(tmp_path).check()
    assert (table.found, table.expected) == (4, 223_462)
    assert table.note == "3 of 187,711 studies, 3 of 64,725 patients"
    assert (images.found, images.note) == (1, "3 listed images are absent")
    assert [line.present for line in labels] == [False, False, False]
    assert data.fingerprint() != CheXpertPlus(tmp_path).fingerprint()


def test_their_names() -> None:
    assert find("datasets", "chexpert") is CheXpert
    assert find("datasets", "chexpert-plus") is CheXpertPlus
