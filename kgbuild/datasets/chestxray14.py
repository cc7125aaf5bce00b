"""NIH ChestX-ray14: 112,120 frontal images of 30,805 patients, 14 text-mined findings, 984 boxes; no reports.

Read as published (``Data_Entry_2017_v2020.csv`` or ``Data_Entry_2017.csv``, ``images_001/images`` … or ``images``, the
two official lists, ``BBox_List_2017.csv``) or from a ``labels.csv`` with an official split in it. Only the entries are
needed. Every image is a study of its own, because the set has no exams, only follow-up numbers; it has no dates.

Rows and columns are the original radiograph's, as the entries say; published files are squares of 1024 pixels, and
boxes are in pixels of these. The entries (some 60 MB as objects) are read once, on first use, and kept.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from kgbuild.datasets import _cxr14_tables as tables
from kgbuild.datasets._findings import Label, concat, label_table, wide_table
from kgbuild.datasets._image_folders import ImageFolders, folder_names, prefix_under, require_folder, scan
from kgbuild.datasets.base import FileCheck, Listing
from kgbuild.domain import Failure, Image, Study, StudyRef
from kgbuild.errors import RootMissing, UsageError

if TYPE_CHECKING:
    import pyarrow as pa

ALIASES = ("nih-cxr14",)
PUBLISHED_AT = "https://nihcc.app.box.com/v/ChestXray-NIHCC"
ENTRIES = ("Data_Entry_2017_v2020.csv", "Data_Entry_2017.csv", "labels.csv")
BOXES = "BBox_List_2017.csv"
LISTS = {"train_val": "train_val_list.txt", "test": "test_list.txt"}
#: Published sizes (Wang et al., CVPR 2017, and the lists themselves).
EXPECTED = {"images": 112_120, "patients": 30_805, "boxes": 984, "train_val": 86_524, "test": 25_596}


class _Content(NamedTuple):
    """Everything read: images by id, boxes, split by image, and the listing made from them."""

    entries: tables.Entries
    boxes: tables.Boxes
    lists: tables.Lists
    splits: dict[str, str | None]
    listing: Listing


class ChestXray14:
    """The data set behind ``--dataset chestxray14``.

    Args:
        root: the folder with the entries.
        images: where the image files are, if not under the root in folders of the usual names.
        **options: none.

    Raises:
        UsageError: an option.
        RootMissing: the root is absent or holds no entries.
        FileMissing: the folder ``images`` is not there.
    """

    name = "chestxray14"
    title = "ChestX-ray14 (NIH Clinical Center): images, 14 findings, boxes; no reports"
    options: tuple[str, ...] = ()

    def __init__(self, root: Path, images: Path | None = None, **options: str) -> None:
        if options:
            raise UsageError(f"unknown option {', '.join(sorted(options))} of chestxray14", expected="none")
        self.root = Path(root)
        present = [self.root / name for name in ENTRIES if (self.root / name).is_file()]
        if not present:
            what = "holds no entries of ChestX-ray14" if self.root.is_dir() else "is not a folder"
            raise RootMissing(
                f"ChestX-ray14 root {self.root} {what}",
                where=str(self.root),
                expected=f"{' or '.join(ENTRIES[:2])}, published at {PUBLISHED_AT}; or labels.csv with an image_index",
                next_step="pass --root with the folder they are in, or set KGBUILD_CHESTXRAY14_ROOT",
            )
        self.entries_file, *self.unused = present
        self.boxes_file = self.root / BOXES
        self.lists = {split: self.root / name for split, name in LISTS.items() if (self.root / name).is_file()}
        self.image_files = _find_images(self.root, Path(images) if images is not None else None)

    def fingerprint(self) -> str:
        """SHA-256 over the tables' bytes and the names of the image files present."""
        digest = hashlib.sha256()
        for role, path in [("entries", self.entries_file), ("boxes", self.boxes_file), *self.lists.items()]:
            if path.is_file():
                data = path.read_bytes()
                digest.update(f"{role}\0{len(data)}\0".encode())
                digest.update(data)
        for name in sorted(self.image_files.names):
            digest.update(f"{name}\0".encode("utf-8", "surrogateescape"))
        return digest.hexdigest()

    def listing(self) -> Listing:
        """Studies in the order of the entries. Rows that name none, and boxes outside their image, are failures."""
        return self._content.listing

    def studies(self, ids: Sequence[str] | None = None) -> Iterator[Study | Failure]:
        """Studies of one image without report; an unknown id is a Failure."""
        images = self._content.entries.images
        for wanted in map(tables.study_id, images) if ids is None else ids:
            entry = images.get(wanted.removeprefix(f"{self.name}:"))
            if entry is None or tables.study_id(entry.id) != wanted:
                yield Failure(wanted, "read", "no such study in this data set", self.entries_file.name)
            else:
                yield self._study(wanted, entry)

    def _study(self, study_id: str, entry: tables.Entry) -> Study:
        path = self.image_files.by_stem.get(entry.id)
        return Study(
            id=study_id,
            dataset=self.name,
            images=(Image(entry.id, study_id, entry.view, path, entry.rows, entry.columns),),
            patient_id=entry.patient,
            split=self._content.splits[entry.id],
        )

    def labels(self) -> pa.Table:
        """Every finding of every image, present or absent (source ``text-mined``), then the boxes (``radiologist``).

        Returns:
            Columns of ``FINDING_LABELS``; boxes in pixels of the published images of 1024 x 1024.
        """
        entries = self._content.entries.images.values()
        values: dict[str, list[float | None]] = {
            name: [float(name in entry.findings) for entry in entries] for name in tables.FINDINGS
        }
        values[tables.NO_FINDING] = [float(not entry.findings) for entry in entries]
        ids = [entry.id for entry in entries]
        mined = wide_table([tables.study_id(image) for image in ids], ids, values, "text-mined")
        drawn = [
            Label(tables.study_id(row.image), row.image, row.finding, 1.0, "radiologist", row.box)
            for row in self._content.boxes.boxes
        ]
        return concat([mined, label_table(drawn)])

    def check(self) -> list[FileCheck]:
        """Each file, with what is in it and what was published."""
        content = self._content
        patients = len({entry.patient for entry in content.entries.images.values()})
        counts = content.listing.counts
        published = self.entries_file.name != ENTRIES[2]
        of = f" of {EXPECTED['patients']:,}" if published else ""
        notes = [f"{patients:,}{of} patients", _failed(content.listing, self.entries_file)]
        if content.entries.copies:
            notes.append(f"{content.entries.copies} exact copies skipped")
        checks = [
            _file(
                self.entries_file, content.entries.read, EXPECTED["images"] if published else None, notes, needed=True
            )
        ]
        notes = [_failed(content.listing, self.boxes_file)]
        if content.boxes.strangers:
            notes.append(f"{content.boxes.strangers} of images that are not listed")
        checks.append(_file(self.boxes_file, content.boxes.read, EXPECTED["boxes"], notes, absent="no boxes"))
        for split, name in LISTS.items():
            why = "the split is the table's own" if any(content.splits.values()) else "images have no split"
            notes = [_failed(content.listing, self.root / name)]
            found = content.lists.read.get(split, 0)
            checks.append(_file(self.root / name, found, EXPECTED[split], notes, absent=why))
        checks.append(self._images_check(counts))
        checks += [_file(path, None, None, [f"not used: {self.entries_file.name} is read"]) for path in self.unused]
        return checks

    def _images_check(self, counts: dict[str, int]) -> FileCheck:
        files = self.image_files
        name = " ".join(f"{prefix_under(self.root, folder) or f'{folder}/'}" for folder in files.folders) or "images/"
        notes = [
            f"{counts[what]:,} {text}"
            for what, text in (
                ("images listed but absent", "listed images are absent"),
                ("images on disk but not listed", "files are not listed and skipped"),
            )
            if counts[what]
        ]
        size = files.size_bytes() if files.folders else None
        return FileCheck(name, False, bool(files.folders), len(files.names), EXPECTED["images"], size, "; ".join(notes))

    @cached_property
    def _content(self) -> _Content:
        entries = tables.read_entries(self.entries_file)
        boxes = tables.Boxes([], [], 0, 0, 0)
        if self.boxes_file.is_file():
            boxes = tables.read_boxes(self.boxes_file, entries.images)
        lists = tables.read_lists(self.lists)
        listed = [failure.study_id for failure in lists.failures]
        torn = {name.removeprefix(f"{self.name}:") for name in listed}
        splits = {
            image: lists.splits.get(image) or (None if image in torn else entry.split)
            for image, entry in entries.images.items()
        }
        present = self.image_files.by_stem
        counts = {
            "images listed": len(entries.images),
            "images listed but absent": sum(image not in present for image in entries.images),
            "images on disk but not listed": sum(image not in entries.images for image in present),
            "studies without a split": sum(split is None for split in splits.values()),
            "boxes": len(boxes.boxes),
            "boxes of images not listed": boxes.strangers,
            "names in the split lists of images not listed": sum(image not in splits for image in lists.splits),
            "repeated rows": entries.copies + boxes.copies,
        }
        refs = tuple(
            StudyRef(tables.study_id(image), splits[image], entry.patient) for image, entry in entries.images.items()
        )
        failures = (*entries.failures, *boxes.failures, *lists.failures)
        return _Content(entries, boxes, lists, splits, Listing(refs, failures, counts))


def _find_images(root: Path, images: Path | None) -> ImageFolders:
    """``images``, ``images_001/images`` … and ``images_001`` …, under the root and under ``images=``."""
    require_folder(images, "a folder of 00000001_000.png files, or one that holds images_001/images and so on")
    tops = [root] if images is None else [images]
    folders = [] if images is None else [images]
    for top in tops:
        names = [name for name in folder_names(top) if name.startswith("images")]
        folders += [folder for name in names for folder in (top / name / "images", top / name)]
    return scan(folders, root, *tops)


def _file(
    path: Path, found: int | None, expected: int | None, notes: Sequence[str], *, needed: bool = False, absent: str = ""
) -> FileCheck:
    if not path.is_file():
        return FileCheck(path.name, needed, False, expected=expected, note=f"absent: {absent}")
    note = "; ".join(note for note in notes if note)
    return FileCheck(path.name, needed, True, found, expected, path.stat().st_size, note)


def _failed(listing: Listing, path: Path) -> str:
    """How many rows of a file are quarantined, and the first of them."""
    mine = [failure for failure in listing.failures if failure.where and failure.where.startswith(f"{path.name} ")]
    return f"{len(mine)} rows skipped (first: {mine[0].where}: {mine[0].reason})" if mine else ""


PLUGIN = ChestXray14
