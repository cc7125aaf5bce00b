"""COVID-19 image data collection (Cohen and others, ieee8023): radiographs from papers and case sites, with case notes.

Read from its repository as cloned (``metadata.csv``, ``images/``). The notes are no reports but histories, and stand in
the section ``clinical_notes``, which has to be asked for (``--sections clinical_notes``). CT rows are counted only. An
exam is a patient's images of the same day of the illness and date; where no day is given each image is its own.

Every image has a licence of its own, some for non-commercial use only: ``datasets check`` counts them, the column
``license`` holds them, and nothing built from the set may be passed on without looking there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from kgbuild.datasets import _covid_rows as rows
from kgbuild.datasets._findings import Label, label_table
from kgbuild.datasets._image_folders import ImageFolders, prefix_under, require_folder, scan
from kgbuild.datasets.base import FileCheck, Listing
from kgbuild.domain import Failure, Image, Report, Section, Study, StudyRef
from kgbuild.errors import RootMissing, UsageError

if TYPE_CHECKING:
    import pyarrow as pa

PUBLISHED_AT = "https://github.com/ieee8023/covid-chestxray-dataset"
TABLE = "metadata.csv"
SECTION = "clinical_notes"


class CovidCxr:
    """The data set behind ``--dataset covid-cxr``.

    Args:
        root: the folder with ``metadata.csv``.
        images: where the image files are, if not in ``images/`` under the root.
        **options: none.

    Raises:
        UsageError: an option.
        RootMissing: the root is absent or does not hold the table.
        FileMissing: the folder ``images`` is not there.
    """

    name = rows.DATASET
    title = "COVID-19 image data collection (ieee8023): images and case notes, a licence each"
    options: tuple[str, ...] = ()

    def __init__(self, root: Path, images: Path | None = None, **options: str) -> None:
        if options:
            raise UsageError(f"unknown option {', '.join(sorted(options))} of covid-cxr", expected="none")
        self.root = Path(root)
        self.table = self.root / TABLE
        if not self.table.is_file():
            what = f"does not hold {TABLE}" if self.root.is_dir() else "is not a folder"
            raise RootMissing(
                f"COVID-19 image data collection root {self.root} {what}",
                where=str(self.root),
                expected=f"{TABLE} and images/, published at {PUBLISHED_AT}",
                next_step="pass --root with the cloned repository, or set KGBUILD_COVID_CXR_ROOT",
            )
        folder = Path(images) if images is not None else None
        require_folder(folder, "a folder of the files that the column filename names")
        folders = [self.root / "images", self.root] if folder is None else [folder, folder / "images"]
        self.image_files: ImageFolders = scan(folders, self.root, *folders)

    def fingerprint(self) -> str:
        """SHA-256 over the table's bytes and the names of the image files present."""
        data = self.table.read_bytes()
        digest = hashlib.sha256(f"{len(data)}\0".encode())
        digest.update(data)
        for name in sorted(self.image_files.names):
            digest.update(f"{name}\0".encode("utf-8", "surrogateescape"))
        return digest.hexdigest()

    def listing(self) -> Listing:
        """Exams in the order of their first row. Rows that name none, or a file named before, are failures."""
        return self._listing

    def studies(self, ids: Sequence[str] | None = None) -> Iterator[Study | Failure]:
        """Exams with their notes and images; an unknown id is a Failure."""
        by_id = {study.id: study for study in self._rows.studies.values()}
        for wanted in by_id if ids is None else ids:
            if wanted in by_id:
                yield self._study(by_id[wanted])
            else:
                yield Failure(wanted, "read", "no such study in this data set", self.table.name)

    def _study(self, study: rows.StudyRow) -> Study:
        images = (
            Image(image.id, study.id, image.view, self._path(image), image.rows, image.columns)
            for image in study.images
        )
        return Study(
            id=study.id,
            dataset=self.name,
            report=Report(tuple(Section(SECTION, text) for text in study.notes), self.table.name),
            images=tuple(sorted(images, key=lambda image: image.id)),
            patient_id=study.patient,
            date=study.date,
        )

    def _path(self, image: rows.ImageRow) -> str | None:
        """The file of the name that the table gives, else one of its stem, else none."""
        present = self.image_files
        for name in (image.filename, (image.path or "").rpartition("/")[2]):
            if name in present.names:
                return present.by_name[name]
        return present.by_stem.get(image.id)

    def labels(self) -> pa.Table:
        """What each image's row names as finding, 1.0 each (source ``publisher``); nothing is stated to be absent."""
        return label_table(
            [
                Label(study.id, image.id, finding, 1.0, "publisher")
                for study in self._rows.studies.values()
                for image in study.images
                for finding in image.findings
            ]
        )

    def check(self) -> list[FileCheck]:
        """The table with its licences, and the images."""
        found, listing = self._rows, self.listing()
        patients = len({study.patient for study in found.studies.values()})
        licences = ", ".join(f"{number} {name}" for name, number in sorted(found.licences.items(), key=_most))
        notes = [
            f"{patients:,} patients",
            f"{found.not_xray} rows of other modalities skipped" if found.not_xray else "",
            f"{len(found.failures)} rows skipped (first: {found.failures[0].where}: {found.failures[0].reason})"
            if found.failures
            else "",
            f"notes are read with --sections {SECTION}",
            f"a licence an image, see column license: {licences}",
        ]
        size = self.table.stat().st_size
        note = "; ".join(note for note in notes if note)
        checks = [FileCheck(TABLE, True, True, found.read, None, size, note)]
        counts = listing.counts
        notes = [
            f"{counts[what]:,} {text}"
            for what, text in (
                ("images listed but absent", "listed images are absent"),
                ("images on disk but not listed", "files are not listed and skipped"),
            )
            if counts[what]
        ]
        folders = self.image_files.folders
        name = " ".join(prefix_under(self.root, folder) or f"{folder}/" for folder in folders) or "images/"
        size_bytes = self.image_files.size_bytes() if folders else None
        images = len(self.image_files.names)
        checks.append(FileCheck(name, False, bool(folders), images, None, size_bytes, "; ".join(notes)))
        return checks

    @cached_property
    def _rows(self) -> rows.Rows:
        return rows.read_metadata(self.table)

    @cached_property
    def _listing(self) -> Listing:
        found = self._rows
        images = [image for study in found.studies.values() for image in study.images]
        paths = [self._path(image) for image in images]
        used = {path.rpartition("/")[2] for path in paths if path}
        counts = {
            "images listed": len(images),
            "images listed but absent": paths.count(None),
            "images on disk but not listed": len(self.image_files.names - used),
            "studies without notes": sum(not study.notes for study in found.studies.values()),
            "rows of other modalities": found.not_xray,
            "repeated rows": found.copies,
        }
        refs = tuple(StudyRef(study.id, None, study.patient) for study in found.studies.values())
        return Listing(refs, tuple(found.failures), counts)


def _most(item: tuple[str, int]) -> tuple[int, str]:
    return (-item[1], item[0])


PLUGIN = CovidCxr
