"""R2Gen's annotation.json in both variants, and what can be wrong with it."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from kgbuild.datasets.base import Dataset
from kgbuild.datasets.r2gen import R2Gen
from kgbuild.domain import Failure, Image, Report, Section, Study
from kgbuild.errors import ColumnMissing, KgbuildError, RootMissing, UsageError
from kgbuild.plugins import find

IU: dict[str, Any] = {
    "train": [
        {"id": "CXR2_IM-1", "report": "the heart is normal .", "image_path": ["CXR2_IM-1/0.png", "CXR2_IM-1/1.png"]}
    ],
    "val": [],
    "test": [{"id": "CXR3_IM-7", "report": "37 ° effusion .", "image_path": ["CXR3_IM-7/0.png"], "split": "test"}],
}
_MIMIC_PATH = "p10/p10000032/s50414267/{}.jpg"


def mimic(*reports: str) -> dict[str, Any]:
    return {
        "train": [
            {
                "id": f"d{number}",
                "study_id": 50414267,
                "subject_id": 10000032,
                "report": report,
                "image_path": [_MIMIC_PATH.format(f"d{number}")],
                "split": "train",
            }
            for number, report in enumerate(reports)
        ],
        "val": [],
        "test": [],
    }


def write(folder: Path, content: Any, name: str = "annotation.json", *, ascii_only: bool = True) -> Path:
    folder.mkdir(exist_ok=True, parents=True)
    path = folder / name
    path.write_text(json.dumps(content, ensure_ascii=ascii_only), encoding="utf-8")
    return path


def text(words: str) -> Report:
    return Report((Section("findings", words),), "annotation.json")


def test_it_is_found_by_name() -> None:
    plugin: type[Dataset] = R2Gen
    assert find("datasets", "r2gen") is plugin


@pytest.mark.parametrize("ascii_only", [True, False])
@pytest.mark.parametrize("direct", [True, False])
def test_iu(tmp_path: Path, ascii_only: bool, direct: bool) -> None:
    path = write(tmp_path, IU, ascii_only=ascii_only)
    (tmp_path / "images" / "CXR3_IM-7").mkdir(parents=True)
    (tmp_path / "images" / "CXR3_IM-7" / "0.png").touch()
    data = R2Gen(path if direct else tmp_path)
    first, second = "r2gen:CXR2_IM-1", "r2gen:CXR3_IM-7"
    wanted = [
        Study(
            first,
            "r2gen",
            text("the heart is normal ."),
            (Image(f"{first}/0", first), Image(f"{first}/1", first)),
            split="train",
        ),
        Study(
            second,
            "r2gen",
            text("37 ° effusion ."),
            (Image(f"{second}/0", second, path="images/CXR3_IM-7/0.png"),),
            split="test",
        ),
    ]
    assert list(data.studies()) == wanted
    assert list(data.studies([second, first])) == wanted[::-1]
    assert data.listing().counts["images listed but absent"] == 2


def test_mimic_entries_of_one_study_are_one_study_with_their_images(tmp_path: Path) -> None:
    data = R2Gen(write(tmp_path, mimic("clear .", "clear .")))
    key = "r2gen:s50414267"
    images = tuple(Image("r2gen:" + _MIMIC_PATH.format(f"d{n}")[:-4], key) for n in (0, 1))
    assert list(data.studies()) == [
        Study(key, "r2gen", text("clear ."), images, "r2gen:p10000032", "train"),
    ]
    assert data.listing().counts["rows that only add images"] == 1


def test_another_report_of_the_same_study_is_quarantined(tmp_path: Path) -> None:
    data = R2Gen(write(tmp_path, mimic("clear .", "effusion .")))
    reason = "stands already in annotation.json entry 1 with other content; the first is used"
    assert data.listing().failures == (Failure("r2gen:s50414267", "read", reason, "annotation.json entry 2"),)


def test_entries_of_the_wrong_shape(tmp_path: Path) -> None:
    content = {"train": [*IU["train"], {"id": "two words", "report": "x"}, "text", {"report": "x"}]}
    listing = R2Gen(write(tmp_path, content)).listing()
    assert [ref.id for ref in listing.studies] == ["r2gen:CXR2_IM-1"]
    assert [failure.where for failure in listing.failures] == [f"annotation.json entry {n}" for n in (2, 3, 4)]
    assert listing.failures[1].reason == "the entry is not an object"


def test_the_fingerprint_sees_reports_and_images(tmp_path: Path) -> None:
    first = R2Gen(write(tmp_path / "a", mimic("clear ."))).fingerprint()
    assert R2Gen(write(tmp_path / "b", mimic("clear ."))).fingerprint() == first
    assert R2Gen(write(tmp_path / "c", mimic("Clear ."))).fingerprint() != first
    (tmp_path / "b" / "images" / "p10" / "p10000032" / "s50414267").mkdir(parents=True)
    (tmp_path / "b" / "images" / _MIMIC_PATH.format("d0")).touch()
    assert R2Gen(tmp_path / "b").fingerprint() != first


def test_check(tmp_path: Path) -> None:
    lines = R2Gen(write(tmp_path, IU)).check()
    assert [(line.path, line.found, line.expected) for line in lines] == [
        ("annotation.json", 2, None),
        ("images", 0, 3),
        ("sections", 2, 2),
    ]


def test_bad_files(tmp_path: Path) -> None:
    with pytest.raises(RootMissing, match="holds no annotation file"):
        R2Gen(tmp_path)
    with pytest.raises(RootMissing, match="does not exist"):
        R2Gen(tmp_path / "no")
    with pytest.raises(UsageError, match="unknown option form"):
        R2Gen(tmp_path, form="x")
    path = write(tmp_path, IU)
    whole = path.read_text(encoding="utf-8")
    path.write_text(whole[:120], encoding="utf-8")
    with pytest.raises(KgbuildError, match=r"(?s)annotation.json is not valid JSON.*key 'train', character \d+"):
        R2Gen(tmp_path).listing()
    path.write_text("", encoding="utf-8")
    with pytest.raises(KgbuildError, match="not valid JSON"):
        R2Gen(tmp_path).listing()
    path.write_text('{"train": [{"key": 1}]}', encoding="utf-8")
    with pytest.raises(ColumnMissing, match="no annotation file of R2Gen"):
        R2Gen(tmp_path).listing()
    path.write_text('{"train": {"key": 1}}', encoding="utf-8")
    with pytest.raises(KgbuildError, match="expected '\\['"):
        R2Gen(tmp_path).listing()
    packed = tmp_path / "annotation.json.gz"
    packed.write_bytes(gzip.compress(whole.encode())[:-30])
    with pytest.raises(KgbuildError, match=r"annotation.json.gz is not valid JSON: unreadable bytes"):
        R2Gen(packed).listing()
