"""IU X-ray (Open-i, Indiana University): 3,955 reports, 7,470 images, as downloaded from any of its three sources.

Kaggle's pair of CSV files, Open-i's XML files in a folder, or Open-i's archive unopened: all give the same studies
with the same ids, except what a form does not hold (the XML has no view; the CSV has no report without an image).
Where a root holds several, the CSV wins; ``form`` overrides. Nothing is written. The set has no patients and no dates.

A few megabytes: everything is read once, on first use, and kept.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from kgbuild.datasets import _iu_csv, _iu_xml
from kgbuild.datasets._iu_check import check_files
from kgbuild.datasets._iu_files import find_layout
from kgbuild.datasets._iu_images import find_images, join_images
from kgbuild.datasets._iu_records import ImageRow, Record, collect, study_id
from kgbuild.datasets.base import FileCheck, Listing
from kgbuild.domain import Failure, Image, Report, Study, StudyRef
from kgbuild.errors import UsageError


class _Content(NamedTuple):
    """Everything read: records by uid (ascending), their images and splits, and the listing made from them."""

    records: dict[int, Record]
    images: dict[int, tuple[Image, ...]]
    splits: dict[int, str]
    listing: Listing
    rows: dict[str, int]


class IuXray:
    """The data set behind ``--dataset iu-xray``.

    Args:
        root: the folder that holds the reports, or Open-i's archive of them.
        images: where the image files are, if not under the root in a folder of the usual names.
        **options: ``form``: ``csv``, ``xml`` or ``tgz``.

    Raises:
        UsageError: an option or a form that does not exist.
        RootMissing: the root is absent or holds no reports of this data set.
        FileMissing: the form asked for, or the folder ``images``, is not there.
    """

    name = "iu-xray"
    title = "IU X-ray (Indiana University, Open-i): reports and images, CSV or XML"
    options: tuple[str, ...] = ("form",)

    def __init__(self, root: Path, images: Path | None = None, **options: str) -> None:
        unknown = sorted(set(options) - set(self.options))
        if unknown:
            raise UsageError(f"unknown option {', '.join(unknown)} of iu-xray", expected=", ".join(self.options))
        self.layout = find_layout(Path(root), options.get("form"))
        self.image_files = find_images(self.layout.base, Path(images) if images is not None else None)

    def fingerprint(self) -> str:
        """SHA-256 over the files' bytes and the names of the image files present."""
        digest = hashlib.sha256()
        for name, data in self._contents():
            digest.update(f"{name}\0{len(data)}\0".encode())
            digest.update(data)
        for name in sorted(path.rpartition("/")[2] for path in self.image_files.paths.values()):
            digest.update(f"{name}\0".encode("utf-8", "surrogateescape"))
        return digest.hexdigest()

    def _contents(self) -> Iterator[tuple[str, bytes]]:
        """Role or file name, and bytes, of all that is read; a folder's files in the order of their names."""
        yield "form", self.layout.form.encode()
        if self.layout.form == "xml":
            for name in sorted(_iu_xml.folder_names(self.layout.reports)):
                yield name, (self.layout.reports / name).read_bytes()
        else:
            yield "reports", self.layout.reports.read_bytes()
        for role in ("projections", "splits", "sizes"):
            path: Path | None = getattr(self.layout, role)
            if path is not None:
                yield role, path.read_bytes()

    def listing(self) -> Listing:
        """Studies by ascending uid. Rows and files that name none, or a uid taken by another report, are failures."""
        return self._content.listing

    def studies(self, ids: Sequence[str] | None = None) -> Iterator[Study | Failure]:
        """Studies with their sections and images; one whose row or file is broken, or an unknown id, is a Failure."""
        by_id = {study_id(uid): uid for uid in self._content.records}
        for wanted in by_id if ids is None else ids:
            if wanted in by_id:
                yield self._study(by_id[wanted])
            else:
                yield Failure(wanted, "read", "no such study in this data set", self.layout.reports.name)

    def _study(self, uid: int) -> Study | Failure:
        content = self._content
        record = content.records[uid]
        study = Study(
            id=study_id(uid),
            dataset=self.name,
            report=Report(record.sections, record.path),
            images=content.images[uid],
            split=content.splits.get(uid),
        )
        if record.problem:
            return Failure(study.id, "read", record.problem, record.where, study)
        return study

    def check(self) -> list[FileCheck]:
        """Each file, with what is in it and what was published; other forms present, marked as not used."""
        return check_files(self.layout, self.image_files, self.listing(), self._content.rows)

    def _reports(self) -> Iterator[Record | Failure]:
        path = self.layout.reports
        if self.layout.form == "csv":
            return _iu_csv.read_reports(path)
        files = _iu_xml.archive_files(path) if path.is_file() else _iu_xml.folder_files(path, self.layout.base)
        return _iu_xml.read_reports(files)

    @cached_property
    def _content(self) -> _Content:
        layout = self.layout
        records, failures, copies, read = collect(self._reports())
        rows = {"reports": read}
        splits: dict[int, str] = {}
        if layout.splits:
            splits, bad_splits, rows["splits"] = _iu_csv.read_splits(layout.splits)
            failures += bad_splits
        sizes = _iu_csv.read_sizes(layout.sizes) if layout.sizes else {}
        rows["sizes"] = len(sizes)
        named: Iterable[ImageRow | Failure] = (row for record in records.values() for row in record.images)
        if layout.projections:
            named = _iu_csv.read_projections(layout.projections)
        images = join_images(named, records.keys(), self.image_files.paths, sizes)
        rows["projections"] = images.read
        counts = {
            **images.counts,
            "studies without images": sum(not found for found in images.by_uid.values()),
            "studies without findings and impression": sum(record.is_silent for record in records.values()),
            "unreadable reports": sum(record.problem is not None for record in records.values()),
            "repeated reports": copies,
        }
        refs = tuple(StudyRef(study_id(uid), splits.get(uid)) for uid in records)
        listing = Listing(refs, (*failures, *images.failures), counts)
        return _Content(records, images.by_uid, splits, listing, rows)


PLUGIN = IuXray
