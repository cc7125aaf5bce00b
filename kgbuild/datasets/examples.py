"""The shipped data set: 48 invented studies of 14 invented patients, with reports, drawn images and gold annotations.

``schemas/examples`` of the package, or a copy of it: ``studies.csv``, ``images.csv``, ``reports/*.txt`` in the shape of
MIMIC-CXR's report files, ``images/*.png``. A row or report that cannot be used is a Failure; a listed image that is
absent has no path. The set is small: its two tables are read on first use and kept.
"""

from __future__ import annotations

import csv
import datetime as dt
import hashlib
from collections.abc import Iterator, Sequence
from functools import cached_property
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import NamedTuple

from kgbuild.datasets.base import FileCheck, Listing
from kgbuild.domain import Failure, Image, Report, Study, StudyRef
from kgbuild.errors import ColumnMissing, FileMissing, RootMissing, UsageError
from kgbuild.resources import data
from kgbuild.sections import split_sections

STUDIES, IMAGES, GOLD = "studies.csv", "images.csv", "gold.json"
_COLUMNS = {
    STUDIES: ("study_id", "patient_id", "date", "split", "report"),
    IMAGES: ("image_id", "study_id", "view", "file", "rows", "columns"),
}


class _Content(NamedTuple):
    """What the two tables say, by study id in the order of ``studies.csv``."""

    studies: dict[str, Study]
    images: dict[str, tuple[Image, ...]]
    listing: Listing


class Examples:
    """The data set behind ``--dataset examples``.

    Args:
        root: a copy of the shipped folder; the shipped one if None.
        images: folder of the image files, if not the root's ``images``.
        **options: none.

    Raises:
        UsageError: an option was given.
        RootMissing: the root is absent.
        FileMissing: a table, or the folder ``images``, is not there.
    """

    name = "examples"
    ships = True
    title = "Shipped examples: 48 invented studies of 14 invented patients, with gold annotations"
    options: tuple[str, ...] = ()

    def __init__(self, root: Path | None = None, images: Path | None = None, **options: str) -> None:
        if options:
            raise UsageError(f"unknown option {', '.join(sorted(options))} of examples", expected="no options")
        self.root: Traversable = data("schemas") / "examples" if root is None else Path(root)
        self.images: Traversable = self.root / "images" if images is None else Path(images)
        if not self.root.is_dir():
            raise RootMissing("the root of examples is not a folder", where=str(root), next_step="leave --root out")
        for table in _COLUMNS:
            if not (self.root / table).is_file():
                raise FileMissing(f"examples: {table} is absent", where=str(root), expected=", ".join(_COLUMNS))
        if images is not None and not self.images.is_dir():
            raise FileMissing("the folder of images is absent", where=str(images))

    def fingerprint(self) -> str:
        """SHA-256 over the tables, the listed reports and the names of the image files present."""
        digest = hashlib.sha256()
        paths = (study.report.path for study in self._content.studies.values() if study.report)
        for path in (STUDIES, IMAGES, *sorted(path for path in paths if path)):
            file = self.root / path
            content = file.read_bytes() if file.is_file() else b""
            digest.update(f"{path}\0{len(content)}\0".encode())
            digest.update(content)
        for path in sorted(image.path for found in self._content.images.values() for image in found if image.path):
            digest.update(f"{path}\0".encode())
        return digest.hexdigest()

    def listing(self) -> Listing:
        """Studies in the order of ``studies.csv``; rows without a usable id, date or study are failures."""
        return self._content.listing

    def studies(self, ids: Sequence[str] | None = None) -> Iterator[Study | Failure]:
        """Studies with their sections and images; an unreadable report or an unknown id is a Failure."""
        known = self._content.studies
        for wanted in known if ids is None else ids:
            if wanted in known:
                yield self._read(known[wanted])
            else:
                yield Failure(wanted, "read", "no such study in this data set", STUDIES)

    def check(self) -> list[FileCheck]:
        """Both tables, the reports, the images and the gold annotations."""
        studies, images, listing = self._content
        counts = listing.counts
        reports = [study.report.path for study in studies.values() if study.report and study.report.path]
        found = sum((self.root / path).is_file() for path in reports)
        absent = counts["images listed but absent"]
        gold = self.root / GOLD
        note = f"{counts['studies without images']} studies without images"
        return [
            self._table_check(STUDIES, len(studies), listing.failures),
            self._table_check(IMAGES, sum(map(len, images.values())), listing.failures),
            FileCheck("reports/", True, found > 0, found, len(reports)),
            FileCheck(
                "images/",
                False,
                self.images.is_dir(),
                counts["images listed"] - absent,
                counts["images listed"],
                note=note,
            ),
            FileCheck(GOLD, False, gold.is_file(), note="RadGraph JSON, for evaluation"),
        ]

    def gold(self) -> Traversable:
        """The hand-written annotations (RadGraph 1.0 JSON, keys are study ids)."""
        return self.root / GOLD

    def _table_check(self, table: str, found: int, failures: Sequence[Failure]) -> FileCheck:
        bad = sum(failure.where is not None and failure.where.startswith(f"{table}:") for failure in failures)
        size = len((self.root / table).read_bytes())
        return FileCheck(table, True, True, found, size_bytes=size, note=f"{bad} rows skipped" if bad else "")

    def _read(self, study: Study) -> Study | Failure:
        path = study.report.path if study.report else None
        if path is None:
            return study
        try:
            text = (self.root / path).read_text(encoding="utf-8")
        except FileNotFoundError:
            return Failure(study.id, "read", "the report file is absent", path)
        except UnicodeDecodeError as error:
            return Failure(study.id, "read", f"the report is not UTF-8 at byte {error.start}", path)
        return Study(
            id=study.id,
            dataset=study.dataset,
            report=Report(split_sections(text), path),
            images=self._content.images[study.id],
            patient_id=study.patient_id,
            split=study.split,
            date=study.date,
        )

    @cached_property
    def _content(self) -> _Content:
        failures: list[Failure] = []
        studies: dict[str, Study] = {}
        for where, row in self._rows(STUDIES):
            study = self._study(row)
            if isinstance(study, str) or study.id in studies:
                reason = study if isinstance(study, str) else "the study is listed twice"
                failures.append(Failure(self._id(row["study_id"]) or STUDIES, "read", reason, where))
            else:
                studies[study.id] = study
        images: dict[str, tuple[Image, ...]] = dict.fromkeys(studies, ())
        for where, row in self._rows(IMAGES):
            study_id = self._id(row["study_id"]) or ""
            image = self._image(row, study_id)
            if study_id not in images or image is None:
                reason = "no such study" if image else "the image has no id, or its size is not a number"
                failures.append(Failure(study_id or IMAGES, "read", reason, where))
            else:
                images[study_id] += (image,)
        counts = {
            "images listed": sum(map(len, images.values())),
            "images listed but absent": sum(image.path is None for found in images.values() for image in found),
            "studies without images": sum(not found for found in images.values()),
        }
        refs = tuple(StudyRef(study.id, study.split, study.patient_id) for study in studies.values())
        return _Content(studies, images, Listing(refs, tuple(failures), counts))

    def _rows(self, table: str) -> Iterator[tuple[str, dict[str, str]]]:
        """(``<table>:<row>``, cells by column) of each row; cells that a short row lacks are empty."""
        lines = (self.root / table).read_text(encoding="utf-8-sig").splitlines()
        reader = csv.DictReader(lines, restval="")
        missing = [column for column in _COLUMNS[table] if column not in (reader.fieldnames or ())]
        if missing:
            raise ColumnMissing(f"{table} lacks {', '.join(missing)}", where=table, expected=", ".join(_COLUMNS[table]))
        for row in reader:
            yield f"{table}:{reader.line_num}", {column: row[column].strip() for column in _COLUMNS[table]}

    def _id(self, own: str) -> str | None:
        return f"{self.name}:{own}" if own else None

    def _study(self, row: dict[str, str]) -> Study | str:
        """The study of a row, its report not yet read, or what is wrong with the row."""
        id_ = self._id(row["study_id"])
        if id_ is None:
            return "the row has no study_id"
        try:
            date = dt.date.fromisoformat(row["date"]) if row["date"] else None
        except ValueError:
            return "the date is not YYYY-MM-DD"
        report = Report((), row["report"]) if row["report"] else None
        patient = self._id(row["patient_id"])
        return Study(id_, self.name, report, patient_id=patient, split=row["split"] or None, date=date)

    def _image(self, row: dict[str, str], study_id: str) -> Image | None:
        sizes = [row["rows"], row["columns"]]
        if not row["image_id"] or not all(size.isdecimal() or not size for size in sizes):
            return None
        rows, columns = (int(size) if size else None for size in sizes)
        there = row["file"] and (self.images / row["file"].rpartition("/")[2]).is_file()
        return Image(row["image_id"], study_id, row["view"] or None, row["file"] if there else None, rows, columns)


PLUGIN = Examples
