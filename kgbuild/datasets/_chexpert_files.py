"""CheXpert's way of laying out images, which CheXpert Plus shares: ``<split>/patient00001/study1/view1_frontal.jpg``.

The paths in the tables begin with whatever the release was called, and lie on disk under other names again (the batches
of the full download, ``PNG/`` and ``DICOM/`` of CheXpert Plus), with another ending. So a path is taken apart and only
its patient, study and view are used. The folders of patients are listed once (65,000 names); a study's own folder is
listed when the study is read.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from kgbuild.datasets._csv_rows import Row, Table
from kgbuild.datasets._image_folders import folder_names, image_names, prefix_under, stem
from kgbuild.datasets.base import FileCheck
from kgbuild.domain import Failure, Image

SPLITS = ("train", "valid", "test")
_PATH = re.compile(
    r"(?:.*/)?(?P<split>train|valid|test)/(?P<patient>patient[0-9]+)/(?P<study>study[0-9]+)/"
    r"(?P<view>[A-Za-z0-9_]+)\.[A-Za-z]+"
)
_BATCH = re.compile(r"CheXpert-v1\.0 batch [0-9]+ \((train|valid|test)", re.IGNORECASE)


class Place(NamedTuple):
    """What an image's path says. ``view`` is the file's stem."""

    split: str
    patient: str
    study: str
    view: str


class ImageRow(NamedTuple):
    """One image as a table names it, with the line that does."""

    view: str
    seen_as: str | None
    line: int
    content: int


class StudyRow:
    """A study's images as they come.

    Attributes:
        folder: the split by its paths, where its images lie.
        split: the split by its table.
        line, start: line and byte of its first row.
        problem: what is wrong with that row, if its report cannot be read.
        text: of the report, to tell whether another row has the same.
    """

    __slots__ = ("folder", "images", "line", "problem", "split", "start", "text")

    def __init__(self, folder: str, split: str | None, row: Row) -> None:
        self.folder, self.split = folder, split
        self.line, self.start = row.line, row.start
        self.images: list[ImageRow] = []
        self.problem: str | None = row.problem
        self.text = 0

    def image_with(self, view: str) -> ImageRow | None:
        """The image of that name, if there is one yet."""
        return next((image for image in self.images if image.view == view), None)


def parse_path(text: str) -> Place | None:
    """Take a path apart; None where it has not the shape of this data set.

    >>> parse_path("CheXpert-v1.0-small/train/patient00001/study1/view1_frontal.jpg")
    Place(split='train', patient='patient00001', study='study1', view='view1_frontal')
    """
    match = _PATH.fullmatch(text.strip().replace("\\", "/"))
    return Place(*map(sys.intern, match.groups())) if match else None


def view_of(frontal_lateral: str, ap_pa: str) -> str | None:
    """The beam (``AP``, ``PA``) of a frontal image where the table names one, else ``Frontal`` or ``Lateral``."""
    side, beam = frontal_lateral.strip(), ap_pa.strip()
    return (side if side == "Lateral" else beam or side) or None


class Collector:
    """Studies from rows, in order of their first row; copies are counted, what does not fit is quarantined."""

    def __init__(self, dataset: str) -> None:
        self.dataset = dataset
        self.studies: dict[str, StudyRow] = {}
        self.failures: list[Failure] = []
        self.copies = 0
        self.images = 0

    def study_id(self, place: Place) -> str:
        """Graph key."""
        return f"{self.dataset}:{place.patient}/{place.study}"

    def fail(self, study_id: str, reason: str, where: str) -> None:
        """Quarantine a row."""
        self.failures.append(Failure(study_id, "read", reason, where))

    def add(self, table: Table, row: Row, place: Place, split: str | None, seen_as: str | None) -> StudyRow | None:
        """Take in one image; gives its study, or None where the row is not used."""
        key = f"{place.patient}/{place.study}"
        study = self.studies.get(key)
        if study is None:
            study = self.studies[key] = StudyRow(place.split, split, row)
        elif study.split != split:
            reason = f"its study is in split {study.split} by line {study.line} of its table: this row is not used"
            self.fail(self.study_id(place), reason, table.where(row))
            return None
        content = hash(tuple(row.cells))
        if (same := study.image_with(place.view)) is not None:
            if same.content == content:
                self.copies += 1
            else:
                reason = f"another row than line {same.line}'s of this image, which is used"
                self.fail(self.study_id(place), reason, table.where(row))
            return None
        study.images.append(ImageRow(place.view, seen_as, row.line, content))
        self.images += 1
        return study


class PatientFolders:
    """Where the patients' folders lie.

    Args:
        root: the data set's root, which paths are relative to; those elsewhere, to ``images``.
        images: another folder that was named, to be looked into first.
        inner: folders within both that may hold ``train/``, ``valid/``, ``test/`` or batches of the full download.
    """

    def __init__(self, root: Path, images: Path | None, inner: tuple[str, ...]) -> None:
        bases = [root] if images is None else [images, root]
        tops = [base / name for base in bases for name in ("", *inner)]
        tops += [base / name for base in bases for name in folder_names(base) if name.startswith("CheXpert")]
        self._places: list[tuple[str, Path, str]] = []
        for top in dict.fromkeys(tops):
            batches = [
                (match.group(1).lower(), top / name) for name in folder_names(top) if (match := _BATCH.match(name))
            ]
            folders = [(split, top / split) for split in SPLITS]
            folders += batches + [(split, folder / split) for split, folder in batches]
            self._places += [
                (split, folder, prefix_under(root, folder, *bases)) for split, folder in folders if folder.is_dir()
            ]

    @cached_property
    def by_patient(self) -> dict[tuple[str, str], list[tuple[Path, str]]]:
        """(split, patient) → the folders that hold the patient's, with its place, in the order to look into them."""
        found: dict[tuple[str, str], list[tuple[Path, str]]] = {}
        for split, folder, prefix in self._places:
            for name in folder_names(folder):
                if name.startswith("patient"):
                    found.setdefault((split, name), []).append((folder, prefix))
        return found

    def images(self, split: str, key: str) -> dict[str, str]:
        """Path by stem of the image files in one study's folder (or folders: PNG and DICOM; PNG and JPEG go first)."""
        found: list[tuple[bool, int, str, str]] = []
        for order, (folder, prefix) in enumerate(self.by_patient.get((split, key.partition("/")[0]), ())):
            names = image_names(folder / key)
            found += [(name.endswith(".dcm"), order, stem(name), f"{prefix}{key}/{name}") for name in names]
        return {name: path for _, _, name, path in sorted(found, reverse=True)}  # of one name, the last stands

    def walk(self) -> Iterator[tuple[str, str, dict[str, str]]]:
        """Split, study key and images of every study folder; opens them all."""
        for (split, patient), folders in self.by_patient.items():
            studies = {study for folder, _ in folders for study in folder_names(folder / patient)}
            for study in sorted(studies):
                key = f"{patient}/{study}"
                yield split, key, self.images(split, key)


def make_images(dataset: str, key: str, study: StudyRow, folders: PatientFolders) -> tuple[Image, ...]:
    """The study's images, sorted by id; without a path where the file is absent."""
    paths = folders.images(study.folder, key)
    return tuple(
        Image(f"{dataset}:{key}/{image.view}", f"{dataset}:{key}", image.seen_as, paths.get(image.view))
        for image in sorted(study.images)
    )


class OnDisk(NamedTuple):
    """What of the listed images is there, and what is there beside them."""

    present: int
    absent: int
    unlisted: int


def compare(studies: dict[str, StudyRow], folders: PatientFolders) -> OnDisk:
    """Count image files; opens every study's folder."""
    present = unlisted = 0
    for split, key, paths in folders.walk():
        study = studies.get(key)
        listed = {image.view for image in study.images} if study is not None and study.folder == split else set()
        present += len(listed & paths.keys())
        unlisted += len(paths.keys() - listed)
    return OnDisk(present, sum(len(study.images) for study in studies.values()) - present, unlisted)


def images_check(studies: dict[str, StudyRow], folders: PatientFolders, expected: int) -> FileCheck:
    """The line of ``datasets check`` for the images."""
    disk = compare(studies, folders)
    notes = [f"{disk.absent:,} listed images are absent"] if disk.absent else []
    notes += [f"{disk.unlisted:,} files are not listed and skipped"] if disk.unlisted else []
    found = disk.present + disk.unlisted
    return FileCheck("patient folders", False, found > 0, found, expected, note="; ".join(notes))
