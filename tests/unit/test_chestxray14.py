"""ChestX-ray14 in its published layout, made up and small; then the data pack's 621 images."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from kgbuild.datasets.base import FileCheck
from kgbuild.datasets.chestxray14 import ChestXray14
from kgbuild.domain import Failure, Image, Study, StudyRef
from kgbuild.errors import ColumnMissing, FileMissing, RootMissing, UsageError
from kgbuild.plugins import find
from kgbuild.tables import FINDING_LABELS

# both editions as published: the older header ends in a comma, and so do its rows
V2017 = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y],"
)
V2020 = V2017.replace("Gender", "Sex").removesuffix(",")
ROWS = (
    "00000001_000.png,Cardiomegaly,0,1,058Y,M,PA,2682,2749,0.143,0.143",
    "00000001_001.png,Hernia|Infiltration,1,1,58,M,AP,2894,2729,0.143,0.143",
    "00000002_000.png,No Finding,0,2,81,M,PA,2500,2048,0.171,0.171",
)
BOXES = "Image Index,Finding Label,Bbox [x,y,w,h],,,"


def make(
    root: Path, rows: tuple[str, ...] = ROWS, header: str = V2020, name: str = "Data_Entry_2017_v2020.csv"
) -> Path:
    root.mkdir(exist_ok=True)
    end = "," if header.endswith(",") else ""
    (root / name).write_text("\n".join([header, *(row + end for row in rows)]) + "\n")
    return root


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def full(root: Path) -> ChestXray14:
    make(root)
    (root / "train_val_list.txt").write_text("00000001_000.png\n00000001_001.png\n")
    (root / "test_list.txt").write_text("00000002_000.png")
    (root / "BBox_List_2017.csv").write_text(
        f"{BOXES}\n00000001_001.png,Infiltrate,225.08,547.02,86.78,79.19,,,\n00000001_000.png,Cardiomegaly,0,0,1024,1024\n"
    )
    touch(root, "images_001/images/00000001_000.png", "images_012/images/00000002_000.png")
    return ChestXray14(root)


@pytest.mark.parametrize(("header", "name"), [(V2017, "Data_Entry_2017.csv"), (V2020, "Data_Entry_2017_v2020.csv")])
def test_both_editions(tmp_path: Path, header: str, name: str) -> None:
    data = ChestXray14(make(tmp_path, header=header, name=name))
    assert data.listing().failures == ()
    assert [study.images[0] for study in data.studies() if isinstance(study, Study)] == [
        Image("00000001_000", "chestxray14:00000001_000", "PA", None, 2749, 2682),
        Image("00000001_001", "chestxray14:00000001_001", "AP", None, 2729, 2894),
        Image("00000002_000", "chestxray14:00000002_000", "PA", None, 2048, 2500),
    ]


def test_the_whole_layout(tmp_path: Path) -> None:
    data = full(tmp_path)
    listing = data.listing()
    assert listing.studies == (
        StudyRef("chestxray14:00000001_000", "train_val", "chestxray14:1"),
        StudyRef("chestxray14:00000001_001", "train_val", "chestxray14:1"),
        StudyRef("chestxray14:00000002_000", "test", "chestxray14:2"),
    )
    assert listing.failures == ()
    assert listing.counts == {
        "images listed": 3,
        "images listed but absent": 1,
        "images on disk but not listed": 0,
        "studies without a split": 0,
        "boxes": 2,
        "boxes of images not listed": 0,
        "names in the split lists of images not listed": 0,
        "repeated rows": 0,
    }
    last = "chestxray14:00000002_000"
    path = "images_012/images/00000002_000.png"
    assert list(data.studies([last, "chestxray14:1", "00000001_000"])) == [
        Study(
            last,
            "chestxray14",
            None,
            (Image("00000002_000", last, "PA", path, 2048, 2500),),
            "chestxray14:2",
            "test",
        ),
        Failure("chestxray14:1", "read", "no such study in this data set", "Data_Entry_2017_v2020.csv"),
        Failure("00000001_000", "read", "no such study in this data set", "Data_Entry_2017_v2020.csv"),
    ]


def test_labels_and_boxes(tmp_path: Path) -> None:
    table = full(tmp_path).labels()
    assert table.schema == FINDING_LABELS
    rows: list[dict[str, Any]] = table.to_pylist()
    assert len(rows) == 3 * 15 + 2
    positive = {(row["image_id"], row["finding"]) for row in rows[:-2] if row["value"] == 1.0}
    assert positive == {
        ("00000001_000", "Cardiomegaly"),
        ("00000001_001", "Hernia"),
        ("00000001_001", "Infiltration"),
        ("00000002_000", "No Finding"),
    }
    assert {row["value"] for row in rows[:-2]} == {0.0, 1.0}
    assert rows[-2] == {
        "study_id": "chestxray14:00000001_001",
        "image_id": "00000001_001",
        "finding": "Infiltration",
        "value": 1.0,
        "box_x": 225.08,
        "box_y": 547.02,
        "box_w": 86.78,
        "box_h": 79.19,
        "source": "radiologist",
    }


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("00000001_000.png,Mass,1000,900,50,50,,,", "its box (x=1000 y=900 w=50 h=50) reaches outside the image of"),
        ("00000001_000.png,Mass,-5,0,50,50,,,", "its box (x=-5 y=0 w=50 h=50) reaches outside the image of"),
        ("00000001_000.png,Mass,5,5,0,50,,,", "its box has no area"),
        ("00000001_000.png,Mass,nan,5,1,50,,,", "its box has a side that is no number"),
        ("00000001_000.png,Mass,a,5,1,50,,,", "its box is not four numbers"),
        ("00000001_000.png,Cough,5,5,5,5,,,", "its finding is none of the 14"),
    ],
)
def test_a_bad_box_is_quarantined_and_the_study_kept(tmp_path: Path, row: str, reason: str) -> None:
    make(tmp_path)
    (tmp_path / "BBox_List_2017.csv").write_text(f"{BOXES}\n00000001_000.png,Mass,0,0,9,9,,,\n{row}\n")
    listing = ChestXray14(tmp_path).listing()
    (failure,) = listing.failures
    assert failure.study_id == "chestxray14:00000001_000"
    assert failure.reason.startswith(reason)
    assert failure.where == "BBox_List_2017.csv line 3"
    assert len(listing.studies) == 3
    assert listing.counts["boxes"] == 1


def test_boxes_of_images_not_listed_and_copies_are_counted(tmp_path: Path) -> None:
    make(tmp_path)
    box = "00000001_000.png,Mass,0,0,9,9,,,\n"
    (tmp_path / "BBox_List_2017.csv").write_text(f"{BOXES}\n{box}{box}00000009_000.png,Mass,0,0,9,9,,,\n")
    listing = ChestXray14(tmp_path).listing()
    assert listing.failures == ()
    assert (listing.counts["boxes of images not listed"], listing.counts["repeated rows"]) == (1, 1)


@pytest.mark.parametrize(
    ("row", "study", "reason"),
    [
        ("1.png,Mass,0,3,1,M,PA,1,1,1,1", "FILE", "its image index is not of the shape 00000001_000.png"),
        ("00000003_000.png,Mass,0,three,1,M,PA,1,1,1,1", "00000003_000", "its patient id is not a whole number"),
        ("00000003_000.png,Mass|Cough,0,3,1,M,PA,1,1,1,1", "00000003_000", "its finding labels hold one that is none"),
        ("00000003_000.png,Mass,0,3", "00000003_000", "4 fields where the header has 11"),
        ('00000003_000.png,"Mass,0,3,1,M,PA,1,1,1,1', "00000003_000", "not a CSV record: unexpected end of data"),
        ("00000001_000.png,Mass,0,1,1,M,PA,1,1,1,1", "00000001_000", "another row than line 2's of this image"),
    ],
)
def test_a_bad_row_costs_itself_only(tmp_path: Path, row: str, study: str, reason: str) -> None:
    data = ChestXray14(make(tmp_path, (*ROWS, row)))
    (failure,) = data.listing().failures
    assert failure.study_id == ("Data_Entry_2017_v2020.csv" if study == "FILE" else f"chestxray14:{study}")
    assert failure.reason.startswith(reason)
    assert failure.where == "Data_Entry_2017_v2020.csv line 5"
    assert len(data.listing().studies) == 3
    assert data.labels().num_rows == 45


def test_copies_of_rows_are_counted(tmp_path: Path) -> None:
    listing = ChestXray14(make(tmp_path, (*ROWS, ROWS[0]))).listing()
    assert (len(listing.studies), listing.failures, listing.counts["repeated rows"]) == (3, (), 1)


def test_an_image_in_both_lists_leaks_into_neither(tmp_path: Path) -> None:
    make(tmp_path)
    (tmp_path / "train_val_list.txt").write_text("00000001_000.png\nwho knows\n00000007_000.png\n")
    (tmp_path / "test_list.txt").write_text("\n00000001_000.png\n")
    listing = ChestXray14(tmp_path).listing()
    assert [ref.split for ref in listing.studies] == [None, None, None]
    assert listing.failures == (
        Failure(
            "train_val_list.txt", "read", "not an image name such as 00000001_000.png", "train_val_list.txt line 2"
        ),
        Failure(
            "chestxray14:00000001_000",
            "read",
            "listed in train_val too: it is given no split",
            "test_list.txt line 2",
        ),
    )
    assert listing.counts["names in the split lists of images not listed"] == 1
    assert listing.counts["studies without a split"] == 3


def test_images_elsewhere_and_unlisted(tmp_path: Path) -> None:
    root, images = make(tmp_path / "tables"), tmp_path / "pictures"
    touch(images, "images_003/images/00000001_000.png", "00000002_000.jpg", "00000099_000.png", "._00000001_001.png")
    data = ChestXray14(root, images)
    paths = [study.images[0].path for study in data.studies() if isinstance(study, Study)]
    assert paths == ["images_003/images/00000001_000.png", None, "00000002_000.jpg"]
    assert data.listing().counts["images on disk but not listed"] == 1
    (line,) = [line for line in data.check() if line.found == 3 and not line.needed]
    assert line.note == "1 listed images are absent; 1 files are not listed and skipped"
    with pytest.raises(FileMissing, match=r"image folder .* is not there"):
        ChestXray14(root, tmp_path / "nowhere")


def test_links_that_go_round_in_a_circle(tmp_path: Path) -> None:
    make(tmp_path)
    touch(tmp_path, "images/00000001_000.png")
    (tmp_path / "images_1").symlink_to("images_1")
    (tmp_path / "images" / "images").symlink_to("images")
    (tmp_path / "images_2").symlink_to(".")
    (tmp_path / "images" / "00000002_000.png").symlink_to("00000002_000.png")
    data = ChestXray14(tmp_path)
    (*_, line) = data.check()
    assert (line.path, line.found) == ("images/", 2)
    assert data.listing().failures == ()


def test_the_wrong_root_or_header_says_what_should_be_there(tmp_path: Path) -> None:
    with pytest.raises(RootMissing, match=r"(?s)is not a folder.*Data_Entry_2017_v2020.csv.*nihcc\.app\.box\.com"):
        ChestXray14(tmp_path / "nowhere")
    with pytest.raises(RootMissing, match="holds no entries"):
        ChestXray14(tmp_path)
    with pytest.raises(UsageError, match="unknown option form of chestxray14"):
        ChestXray14(make(tmp_path), form="csv")
    data = ChestXray14(make(tmp_path, header="Image,Labels"))
    with pytest.raises(ColumnMissing) as caught:
        data.listing()
    assert "no column image index, finding labels, patient id: its header is Image,Labels" in str(caught.value)
    assert "Image Index,Finding Labels,Follow-up #,Patient ID" in str(caught.value)


def test_check_compares_with_what_was_published(tmp_path: Path) -> None:
    data = full(tmp_path)
    make(tmp_path, header=V2017, name="Data_Entry_2017.csv")
    size = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    assert ChestXray14(tmp_path).check() == [
        FileCheck(
            "Data_Entry_2017_v2020.csv",
            True,
            True,
            3,
            112_120,
            size["Data_Entry_2017_v2020.csv"],
            "2 of 30,805 patients",
        ),
        FileCheck("BBox_List_2017.csv", False, True, 2, 984, size["BBox_List_2017.csv"]),
        FileCheck("train_val_list.txt", False, True, 2, 86_524, size["train_val_list.txt"]),
        FileCheck("test_list.txt", False, True, 1, 25_596, size["test_list.txt"]),
        FileCheck("images_001/images/ images_012/images/", False, True, 2, 112_120, 0, "1 listed images are absent"),
        FileCheck(
            "Data_Entry_2017.csv",
            False,
            True,
            size_bytes=size["Data_Entry_2017.csv"],
            note="not used: Data_Entry_2017_v2020.csv is read",
        ),
    ]
    assert data.check()[0].path == "Data_Entry_2017_v2020.csv"


def test_the_fingerprint_is_of_the_content(tmp_path: Path) -> None:
    one, two = full(tmp_path / "a").fingerprint(), full(tmp_path / "b").fingerprint()
    assert one == two
    touch(tmp_path / "b", "images_001/images/00000001_001.png")
    assert ChestXray14(tmp_path / "b").fingerprint() != one


def test_it_is_found_by_both_names() -> None:
    assert find("datasets", "chestxray14") is ChestXray14
    assert find("datasets", "nih-cxr14") is ChestXray14


@pytest.mark.real
def test_real_images(real_data: Path) -> None:
    data = ChestXray14(real_data / "nih_cxr14")
    listing = data.listing()
    assert len(listing.studies) == len({ref.patient_id for ref in listing.studies}) == 621
    assert Counter(ref.split for ref in listing.studies) == {"train_val": 546, "test": 75}
    assert listing.failures == ()
    assert listing.counts["images listed but absent"] == listing.counts["images on disk but not listed"] == 0
    rows: list[dict[str, Any]] = data.labels().to_pylist()
    assert Counter(row["finding"] for row in rows if row["value"] == 1.0) == {
        "Atelectasis": 92,
        "Cardiomegaly": 56,
        "Effusion": 82,
        "Infiltration": 123,
        "Mass": 72,
        "Nodule": 89,
        "Pneumonia": 32,
        "Pneumothorax": 44,
        "Consolidation": 81,
        "Edema": 18,
        "Emphysema": 41,
        "Fibrosis": 56,
        "Pleural_Thickening": 68,
        "Hernia": 20,
        "No Finding": 100,
    }
    first = next(data.studies())
    assert first == Study(
        "chestxray14:00000075_000",
        "chestxray14",
        None,
        (Image("00000075_000", "chestxray14:00000075_000", "PA", "images/00000075_000.jpg"),),
        "chestxray14:75",
        "train_val",
    )
