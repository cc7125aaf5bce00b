"""CheXpert Plus (Stanford): CheXpert's images with their reports: 223,462 images, 187,711 studies, 64,725 patients.

Read as published: ``df_chexpert_plus_240401.csv``, one row an image, each with the whole report and its sections in
columns ``section_findings``, ``section_impression``, ``section_clinical_history`` … A section's name is its column's
(``clinical history``). Where neither findings nor impression has text, the whole report is cut up instead. Images are
sought under ``PNG/`` and ``DICOM/``; CheXbert's labels, if unpacked, under ``chexbert_labels/``.

The table is half a gigabyte of text: only where each study's first row begins is kept, and reports are read from there.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from kgbuild.datasets._chexpert_files import (
    Collector,
    PatientFolders,
    StudyRow,
    images_check,
    make_images,
    parse_path,
    view_of,
)
from kgbuild.datasets._csv_rows import Row, Table, open_table, read_rows
from kgbuild.datasets._findings import CHEXPERT, Label, label_table
from kgbuild.datasets._image_folders import require_folder
from kgbuild.datasets.base import FileCheck, Listing
from kgbuild.datasets.chexpert import count
from kgbuild.domain import Failure, Report, Section, Study, StudyRef
from kgbuild.errors import KgbuildError, RootMissing, UsageError
from kgbuild.sections import split_sections
from kgbuild.text import DEFAULT_SECTIONS

if TYPE_CHECKING:
    import pyarrow as pa

PUBLISHED_AT = "https://aimi.stanford.edu/datasets/chexpert-plus"
TABLE = "df_chexpert_plus_240401.csv"
_TABLES = "df_chexpert_plus_*.csv"
HEADER = (
    "path_to_image,path_to_dcm,frontal_lateral,ap_pa,deid_patient_id,patient_report_date_order,report,"
    "section_narrative,section_clinical_history,section_history,section_comparison,section_technique,"
    "section_procedure_comments,section_findings,section_impression,section_end_of_impression,section_summary,"
    "section_accession_number,age,sex,race,ethnicity,interpreter_needed,insurance_type,recent_bmi,deceased,split"
)
_NO_TEXT = "section_accession_number"
ROWS, STUDIES, PATIENTS = 223_462, 187_711, 64_725
LABELS = ("findings", "impression", "report")
_IMAGE_FOLDERS = ("PNG", "PNG/PNG", "DICOM", "DICOM/DICOM")


class _Content(NamedTuple):
    """Everything read: studies with their images, the columns, and the listing made from them."""

    rows: Collector
    table: Table
    read: int
    listing: Listing


class CheXpertPlus:
    """The data set behind ``--dataset chexpert-plus``.

    Args:
        root: the folder with the table.
        images: where the folders of patients are, if not under the root.
        **options: none.

    Raises:
        UsageError: an option.
        RootMissing: the root is absent or does not hold the table.
        FileMissing: the folder ``images`` is not there.
    """

    name = "chexpert-plus"
    title = "CheXpert Plus (Stanford): CheXpert's images with their reports in sections"
    options: tuple[str, ...] = ()

    def __init__(self, root: Path, images: Path | None = None, **options: str) -> None:
        if options:
            raise UsageError(f"unknown option {', '.join(sorted(options))} of chexpert-plus", expected="none")
        self.root = Path(root)
        found = sorted(self.root.glob(_TABLES)) if self.root.is_dir() else []
        if not found:
            what = "does not hold the table of CheXpert Plus" if self.root.is_dir() else "is not a folder"
            raise RootMissing(
                f"CheXpert Plus root {self.root} {what}",
                where=str(self.root),
                expected=f"{TABLE}, published at {PUBLISHED_AT}",
                next_step="pass --root with the folder it is in, or set KGBUILD_CHEXPERT_PLUS_ROOT",
            )
        self.table = found[-1]
        folder = Path(images) if images is not None else None
        require_folder(folder, "a folder that holds train/ and valid/ with patient00001/study1/view1_frontal.png")
        self.folders = PatientFolders(self.root, folder, _IMAGE_FOLDERS)
        places = [self.root / inner / f"{name}_fixed.json" for name in LABELS for inner in ("chexbert_labels", "")]
        self.label_files = {path.name.partition("_")[0]: path for path in reversed(places) if path.is_file()}

    def fingerprint(self) -> str:
        """SHA-256 over the table's bytes and the names of the patients' folders present (not of each image)."""
        with self.table.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256")
        for split, patient in sorted(self.folders.by_patient):
            digest.update(f"{split}/{patient}\0".encode("utf-8", "surrogateescape"))
        return digest.hexdigest()

    def listing(self) -> Listing:
        """Studies in the order of the table. Rows that name none, or differ from an earlier one, are failures."""
        return self._content.listing

    def studies(self, ids: Sequence[str] | None = None) -> Iterator[Study | Failure]:
        """Studies with sections and images; one whose row cannot be read, or an unknown id, is a Failure."""
        studies = self._content.rows.studies
        for wanted in (f"{self.name}:{key}" for key in studies) if ids is None else ids:
            dataset, _, key = wanted.partition(":")
            if dataset == self.name and key in studies:
                yield self._study(wanted, key, studies[key])
            else:
                yield Failure(wanted, "read", "no such study in this data set", self.table.name)

    def _study(self, study_id: str, key: str, row: StudyRow) -> Study | Failure:
        sections = () if row.problem else self._sections(next(read_rows(self.table, row.start, row.line)))
        study = Study(
            id=study_id,
            dataset=self.name,
            report=Report(sections, self.table.name),
            images=make_images(self.name, key, row, self.folders),
            patient_id=f"{self.name}:{key.partition('/')[0]}",
            split=row.split,
        )
        if row.problem:
            return Failure(study_id, "read", row.problem, f"{self.table.name} line {row.line}", study)
        return study

    def _sections(self, row: Row) -> tuple[Section, ...]:
        table = self._content.table
        named = [
            (column.removeprefix("section_").replace("_", " "), table.cell(row, column))
            for column in _section_columns(table)
        ]
        sections = tuple(Section(name, text) for name, text in named if text.strip())
        whole = table.cell(row, "report")
        if whole.strip() and not any(section.name in DEFAULT_SECTIONS for section in sections):
            return split_sections(whole)
        return sections

    def labels(self) -> pa.Table:
        """CheXbert's labels of the files that are there, each given to every image (sources ``chexbert-findings`` …).

        Raises:
            KgbuildError: a line of such a file is not JSON.
        """
        known = {
            f"{key}/{image.view}": f"{self.name}:{key}"
            for key, study in self._content.rows.studies.items()
            for image in study.images
        }
        found: list[Label] = []
        for name, path in sorted(self.label_files.items()):
            for image, values in _read_labels(path):
                if image in known:
                    found += [
                        Label(known[image], f"{self.name}:{image}", finding, value, f"chexbert-{name}")
                        for finding, value in values
                    ]
        return label_table(found)

    def check(self) -> list[FileCheck]:
        """The table, the images and the labels, with what was published; opens every study's folder."""
        rows, read = self._content.rows, self._content.read
        patients = len({key.partition("/")[0] for key in rows.studies})
        note = f"{len(rows.studies):,} of {STUDIES:,} studies, {patients:,} of {PATIENTS:,} patients"
        if rows.failures:
            note += f"; {len(rows.failures)} rows skipped (first: {rows.failures[0].where}: {rows.failures[0].reason})"
        size = self.table.stat().st_size
        checks = [FileCheck(self.table.name, True, True, read, ROWS, size, note)]
        checks.append(images_check(rows.studies, self.folders, ROWS))
        for name in LABELS:
            if path := self.label_files.get(name):
                place = path.relative_to(self.root).as_posix()
                checks.append(FileCheck(place, False, True, size_bytes=path.stat().st_size))
            else:
                note = f"absent: no labels of the {name}" if name == "report" else f"absent: no labels of {name}"
                checks.append(FileCheck(f"chexbert_labels/{name}_fixed.json", False, False, note=note))
        return checks

    @cached_property
    def _content(self) -> _Content:
        rows = Collector(self.name)
        needed = ("path_to_image", "section_findings", "section_impression")
        table = open_table(self.table, needed, (HEADER,))
        columns = ["report", *_section_columns(table)]
        read = 0
        for row in table.rows:
            read += 1
            _take(rows, table, row, columns)
        counts = {
            **count(rows, self.folders),
            "unreadable reports": sum(study.problem is not None for study in rows.studies.values()),
        }
        refs = tuple(
            StudyRef(f"{self.name}:{key}", study.split, f"{self.name}:{key.partition('/')[0]}")
            for key, study in rows.studies.items()
        )
        return _Content(rows, table, read, Listing(refs, tuple(rows.failures), counts))


def _section_columns(table: Table) -> list[str]:
    return [name for name in table.columns if name.startswith("section_") and name != _NO_TEXT]


def _take(rows: Collector, table: Table, row: Row, columns: Sequence[str]) -> None:
    """One image. A row of a known study whose text is broken makes that study unreadable, nothing more."""
    place = parse_path(table.cell(row, "path_to_image"))
    if place is None:
        problem = row.problem or "its path has not the shape train/patient00001/study1/view1_frontal.jpg"
        rows.fail(table.name, problem, table.where(row))
        return
    first = f"{place.patient}/{place.study}" not in rows.studies
    if row.problem and not first:
        rows.fail(rows.study_id(place), row.problem, table.where(row))
        return
    view = None if row.problem else view_of(table.cell(row, "frontal_lateral"), table.cell(row, "ap_pa"))
    split = (None if row.problem else table.cell(row, "split").strip()) or place.split
    study = rows.add(table, row, place, split, view)
    if study is None:
        return
    text = hash(tuple(table.cell(row, column) for column in columns))
    if first:
        study.text = text
    elif study.text != text and not study.problem:
        reason = f"its report differs from that of line {study.line}, which is used"
        rows.fail(rows.study_id(place), reason, table.where(row))


def _read_labels(path: Path) -> Iterator[tuple[str, list[tuple[str, float]]]]:
    """Image (``patient00001/study1/view1_frontal``) and its labels that are 1, 0 or -1, from JSON Lines."""
    with path.open(encoding="utf-8", errors="replace") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                record = json.loads(line)
                place = parse_path(str(record["path_to_image"]))
            except (json.JSONDecodeError, KeyError, TypeError):
                raise KgbuildError(
                    f"{path.name} line {number} is no JSON object with a path_to_image",
                    where=str(path),
                    expected='{"path_to_image": "train/patient00001/study1/view1_frontal.jpg", "Edema": 1.0, …} a line',
                    next_step=f"unpack chexbert_labels.zip again; it is published at {PUBLISHED_AT}",
                ) from None
            if place is not None:
                values = [(name, record.get(name)) for name in CHEXPERT]
                yield (
                    f"{place.patient}/{place.study}/{place.view}",
                    [(name, float(value)) for name, value in values if value in (1, 0, -1)],
                )


PLUGIN = CheXpertPlus
