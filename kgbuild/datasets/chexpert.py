"""CheXpert (Stanford): 224,316 images of 65,240 patients with 14 labels each; its reports are in CheXpert Plus.

Read as downloaded, small or full: ``train.csv``, ``valid.csv``, ``test.csv`` (any of them) and the folders of patients.
A study's split is the table that names it. Labels of the training set are the CheXpert labeler's, those of the other
two radiologists'. Image ids are ``chexpert:<patient>/<study>/<file's stem>``, because file names repeat.

The tables are read once, on first use, and kept without the labels (about 150 MB); these are read when asked for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from kgbuild.datasets._chexpert_files import Collector, PatientFolders, images_check, make_images, parse_path, view_of
from kgbuild.datasets._csv_rows import Row, Table, open_table
from kgbuild.datasets._findings import CHEXPERT, concat, wide_table
from kgbuild.datasets._image_folders import folder_names, require_folder
from kgbuild.datasets.base import FileCheck, Listing
from kgbuild.domain import Failure, Study, StudyRef
from kgbuild.errors import RootMissing, UsageError

if TYPE_CHECKING:
    import pyarrow as pa

PUBLISHED_AT = "https://stanfordmlgroup.github.io/competitions/chexpert/"
HEADER = ("Path", "Sex", "Age", "Frontal/Lateral", "AP/PA", *CHEXPERT)
TABLES = {"train": ("train.csv",), "valid": ("valid.csv",), "test": ("test.csv", "test_labels.csv")}
#: Rows by table: 223,414 + 234 + 668 = 224,316 images; 64,540 + 200 + 500 = 65,240 patients.
EXPECTED = {"train": 223_414, "valid": 234, "test": 668}
IMAGES, PATIENTS = 224_316, 65_240
SOURCES = {"train": "chexpert", "valid": "radiologist", "test": "radiologist"}
_VALUES = {"1": 1.0, "1.0": 1.0, "0": 0.0, "0.0": 0.0, "-1": -1.0, "-1.0": -1.0, "": None}


class _Content(NamedTuple):
    """Everything read: studies with their images, rows by split, and the listing made from them."""

    rows: Collector
    read: dict[str, int]
    listing: Listing


class CheXpert:
    """The data set behind ``--dataset chexpert``.

    Args:
        root: the folder with the tables, or the one above it.
        images: where the folders of patients are, if not beside the tables.
        **options: none.

    Raises:
        UsageError: an option.
        RootMissing: the root is absent or holds none of the tables.
        FileMissing: the folder ``images`` is not there.
    """

    name = "chexpert"
    title = "CheXpert v1.0 (Stanford), small or full: images and 14 labels; no reports"
    options: tuple[str, ...] = ()

    def __init__(self, root: Path, images: Path | None = None, **options: str) -> None:
        if options:
            raise UsageError(f"unknown option {', '.join(sorted(options))} of chexpert", expected="none")
        self.root = Path(root)
        inner = [self.root / name for name in folder_names(self.root) if name.startswith("CheXpert")]
        self.tables: dict[str, Path] = {}
        for split, names in TABLES.items():
            places = [folder / name for folder in (self.root, *inner) for name in names]
            if found := next((path for path in places if path.is_file()), None):
                self.tables[split] = found
        if not self.tables:
            what = "holds no table of CheXpert" if self.root.is_dir() else "is not a folder"
            raise RootMissing(
                f"CheXpert root {self.root} {what}",
                where=str(self.root),
                expected=f"train.csv, valid.csv or test.csv, published at {PUBLISHED_AT}",
                next_step="pass --root with the folder they are in, or set KGBUILD_CHEXPERT_ROOT",
            )
        folder = Path(images) if images is not None else None
        require_folder(folder, "a folder that holds train/ and valid/ with patient00001/study1/view1_frontal.jpg")
        self.folders = PatientFolders(self.root, folder, ())

    def fingerprint(self) -> str:
        """SHA-256 over the tables' bytes and the names of the patients' folders present (not of each image)."""
        digest = hashlib.sha256()
        for split, path in self.tables.items():
            data = path.read_bytes()
            digest.update(f"{split}\0{len(data)}\0".encode())
            digest.update(data)
        for split, patient in sorted(self.folders.by_patient):
            digest.update(f"{split}/{patient}\0".encode("utf-8", "surrogateescape"))
        return digest.hexdigest()

    def listing(self) -> Listing:
        """Studies in the order of the tables. Rows that name none, or another than before, are failures."""
        return self._content.listing

    def studies(self, ids: Sequence[str] | None = None) -> Iterator[Study | Failure]:
        """Studies of one to three images without report; an unknown id is a Failure."""
        studies = self._content.rows.studies
        for wanted in (f"{self.name}:{key}" for key in studies) if ids is None else ids:
            dataset, _, key = wanted.partition(":")
            if dataset == self.name and key in studies:
                images = make_images(self.name, key, studies[key], self.folders)
                patient = f"{self.name}:{key.partition('/')[0]}"
                yield Study(wanted, self.name, None, images, patient, studies[key].split)
            else:
                yield Failure(wanted, "read", "no such study in this data set", next(iter(self.tables.values())).name)

    def labels(self) -> pa.Table:
        """Labels of each image in the order of the tables, blanks left out; source ``chexpert`` or ``radiologist``."""
        used = {
            (study.split, image.line): (f"{self.name}:{key}", f"{self.name}:{key}/{image.view}")
            for key, study in self._content.rows.studies.items()
            for image in study.images
        }
        found = []
        for split, path in self.tables.items():
            table = _open(path)
            labels = _Labels.of(table)
            rows = [(used[split, row.line], labels.cells(row)) for row in table.rows if (split, row.line) in used]
            values = {
                name: [_VALUES.get(texts[place].strip()) for _, texts in rows]
                for place, name in enumerate(labels.names)
            }
            studies, images = [ids[0] for ids, _ in rows], [ids[1] for ids, _ in rows]
            found.append(wide_table(studies, images, values, SOURCES[split]))
        return concat(found)

    def check(self) -> list[FileCheck]:
        """Each table and the images, with what is in them and what was published; opens every study's folder."""
        rows = self._content.rows
        checks = []
        for split, names in TABLES.items():
            if (path := self.tables.get(split)) is None:
                note = f"absent: no studies of split {split}"
                checks.append(FileCheck(names[0], False, False, expected=EXPECTED[split], note=note))
                continue
            patients = len({key.partition("/")[0] for key, study in rows.studies.items() if study.split == split})
            failed = [failure for failure in rows.failures if (failure.where or "").startswith(f"{path.name} ")]
            note = f"{patients:,} patients" + (f" ({PATIENTS:,} in all tables)" if split == "train" else "")
            if failed:
                note += f"; {len(failed)} rows skipped (first: {failed[0].where}: {failed[0].reason})"
            name = path.relative_to(self.root).as_posix()
            size = path.stat().st_size
            read = self._content.read[split]
            checks.append(FileCheck(name, split == "train", True, read, EXPECTED[split], size, note))
        checks.append(images_check(rows.studies, self.folders, IMAGES))
        return checks

    @cached_property
    def _content(self) -> _Content:
        rows = Collector(self.name)
        read = {}
        for split, path in self.tables.items():
            table = _open(path)
            labels = _Labels.of(table)
            read[split] = 0
            for row in table.rows:
                read[split] += 1
                _take(rows, table, row, split, labels)
        refs = tuple(
            StudyRef(f"{self.name}:{key}", study.split, f"{self.name}:{key.partition('/')[0]}")
            for key, study in rows.studies.items()
        )
        return _Content(rows, read, Listing(refs, tuple(rows.failures), count(rows, self.folders)))


def count(rows: Collector, folders: PatientFolders) -> dict[str, int]:
    """What is normal but worth knowing, as far as it can be had without opening every study's folder."""
    patients = {(study.folder, key.partition("/")[0]) for key, study in rows.studies.items()}
    there = folders.by_patient
    return {
        "images listed": rows.images,
        "images whose patient has no folder": sum(
            len(study.images)
            for key, study in rows.studies.items()
            if (study.folder, key.partition("/")[0]) not in there
        ),
        "patient folders not listed": sum(patient not in patients for patient in there),
        "repeated rows": rows.copies,
    }


def _open(path: Path) -> Table:
    return open_table(path, ("path",), HEADER)


class _Labels(NamedTuple):
    """The labels that a table has (the test set's may have fewer), and where they stand."""

    names: list[str]
    places: list[int]

    @classmethod
    def of(cls, table: Table) -> _Labels:
        """Those of one table."""
        names = [name for name in CHEXPERT if name.lower() in table.columns]
        return cls(names, [table.columns[name.lower()] for name in names])

    def cells(self, row: Row) -> list[str]:
        """The cells of a sound row."""
        return [row.cells[place] for place in self.places]

    def wrong(self, row: Row) -> str | None:
        """The first label whose cell is no value."""
        cells = self.cells(row)
        if _VALUES.keys() >= set(cells):
            return None
        bad = (name for name, text in zip(self.names, cells, strict=True) if text.strip() not in _VALUES)
        return next(bad, None)


def _take(rows: Collector, table: Table, row: Row, split: str, labels: _Labels) -> None:
    """One image, if the row is sound."""
    place = parse_path(table.cell(row, "path"))
    if row.problem or place is None:
        problem = row.problem or "its path has not the shape train/patient00001/study1/view1_frontal.jpg"
        rows.fail(rows.study_id(place) if place else table.name, problem, table.where(row))
        return
    if wrong := labels.wrong(row):
        rows.fail(rows.study_id(place), f"{wrong} is none of 1, 0, -1 and blank", table.where(row))
    rows.add(table, row, place, split, view_of(table.cell(row, "frontal/lateral"), table.cell(row, "ap/pa")))


PLUGIN = CheXpert
