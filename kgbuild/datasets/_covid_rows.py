"""The metadata of the COVID-19 image data collection, row by row: exams, findings, dates and licences.

Volunteers wrote it: dates come in several forms and often as a year only, findings as a word, a list or a path
(``Pneumonia/Viral/COVID-19``), and many cells are empty. What cannot be read becomes null, a row without patient or
file name is quarantined. A date given to two days of one patient's illness is neither's. No cell stands in a message.
"""

from __future__ import annotations

import datetime as dt
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from kgbuild.datasets._csv_rows import Row, Table, open_table
from kgbuild.datasets._image_folders import stem
from kgbuild.domain import Failure

HEADER = (
    "patientid,offset,sex,age,finding,RT_PCR_positive,survival,intubated,intubation_present,went_icu,in_icu,"
    "needed_supplemental_O2,extubated,temperature,pO2_saturation,leukocyte_count,neutrophil_count,lymphocyte_count,view,"
    "modality,date,location,folder,filename,doi,url,license,clinical_notes,other_notes"
)
DATASET = "covid-cxr"
_UNKNOWN = {"todo", "unknown", ""}
_NULLS = {"", "nan", "na", "none"}
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,40}")
_DAYS = re.compile(r"-?[0-9]+(?:\.0+)?")
_DATE_FORMS = ("%Y-%m-%d", "%B %d, %Y", "%b %d, %Y", "%m/%d/%y", "%m/%d/%Y")


@dataclass(frozen=True, slots=True)
class ImageRow:
    """One radiograph as its row gives it."""

    id: str
    filename: str
    path: str | None
    view: str | None
    rows: int | None
    columns: int | None
    findings: tuple[str, ...]
    line: int


@dataclass(slots=True)
class StudyRow:
    """The images of one exam and the distinct notes on them, in the order of the file; ``day`` is of the illness."""

    id: str
    patient: str
    date: dt.date | None
    day: str
    images: list[ImageRow] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Rows:
    """Everything read: exams in the order of their first row, what was quarantined, and what was counted."""

    studies: dict[str, StudyRow] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)
    read: int = 0
    copies: int = 0
    not_xray: int = 0
    licences: Counter[str] = field(default_factory=Counter)


def read_metadata(path: Path) -> Rows:
    """One image a row; CT volumes and slices are counted only."""
    table = open_table(path, ("patientid", "filename"), (HEADER,))
    found = Rows()
    seen: dict[str, tuple[int, int]] = {}
    stems: dict[str, str] = {}
    for row in table.rows:
        found.read += 1
        patient, filename = table.cell(row, "patientid").strip(), table.cell(row, "filename").strip()
        problem = _problem(row, patient, filename)
        if problem is None and _text(table, row, "modality", "X-ray").lower() not in ("x-ray", "xray"):
            found.not_xray += 1
            continue
        content = hash(tuple(row.cells))
        if problem is None and filename in seen:
            if seen[filename][1] == content:
                found.copies += 1
                continue
            problem = f"another row than line {seen[filename][0]}'s of this file, which is used"
        if problem:
            good = _ID.fullmatch(patient) is not None
            found.failures.append(
                Failure(f"{DATASET}:{patient}" if good else table.name, "read", problem, table.where(row))
            )
            continue
        seen[filename] = (row.line, content)
        image_id = stem(filename) if stems.setdefault(stem(filename), filename) == filename else filename
        _add(found, table, row, patient, image_id)
    _drop_repeated_dates(found.studies.values())
    return found


def _drop_repeated_dates(studies: Iterable[StudyRow]) -> None:
    """Exams of one patient on different days cannot share a date: it is the case's, not the image's."""
    days: dict[tuple[str, dt.date], set[str]] = {}
    dated = [(study, (study.patient, study.date)) for study in studies if study.date is not None and study.day]
    for study, key in dated:
        days.setdefault(key, set()).add(study.day)
    for study, key in dated:
        if len(days[key]) > 1:
            study.date = None


def _problem(row: Row, patient: str, filename: str) -> str | None:
    if row.problem:
        return row.problem
    if not _ID.fullmatch(patient):
        return "its patientid is not a number or name without spaces"
    return None if filename else "it has no filename"


def _add(found: Rows, table: Table, row: Row, patient: str, image_id: str) -> None:
    offset, date = _text(table, row, "offset"), _text(table, row, "date")
    key = exam_key(patient, offset, date, image_id)
    study = found.studies.get(key)
    if study is None:
        study = StudyRow(f"{DATASET}:{key}", f"{DATASET}:{patient}", parse_date(date), offset)
        found.studies[key] = study
    filename = table.cell(row, "filename").strip()
    image = ImageRow(
        image_id,
        filename,
        _text(table, row, "image") or None,
        _text(table, row, "view") or None,
        _number(table.cell(row, "height")),
        _number(table.cell(row, "width")),
        parse_findings(table.cell(row, "finding")),
        row.line,
    )
    study.images.append(image)
    notes = table.cell(row, "clinical_notes")
    if notes.strip() and notes not in study.notes:
        study.notes.append(notes)
    found.licences[_text(table, row, "license") or "no licence stated"] += 1


def exam_key(patient: str, offset: str, date: str, image_id: str) -> str:
    """What tells one exam from another: patient, day of the illness and date; without a day, each image is its own.

    >>> exam_key("17", "3", "January 25, 2020", "fig1"), exam_key("17", "3.0", "", "fig2")
    ('17-d3-2020-01-25', '17-d3')
    >>> exam_key("5", "", "2017", "A")
    '5-A'
    """
    if not _DAYS.fullmatch(offset):
        return f"{patient}-{image_id}"
    parsed = parse_date(date)
    when = parsed.isoformat() if parsed else re.sub(r"[^A-Za-z0-9]+", "-", date).strip("-")
    return "-".join(part for part in (patient, f"d{int(float(offset))}", when) if part)


def parse_date(text: str) -> dt.date | None:
    """A whole date, month first where it is all numbers; a year alone is none.

    >>> parse_date("Oct 8, 2010"), parse_date("11/27/19"), parse_date("2020")
    (datetime.date(2010, 10, 8), datetime.date(2019, 11, 27), None)
    """
    for form in _DATE_FORMS:
        try:
            return dt.datetime.strptime(text.strip(), form).date()
        except ValueError:
            continue
    return None


def parse_findings(text: str) -> tuple[str, ...]:
    """The findings of one cell, each level of a path as one of its own.

    >>> parse_findings("COVID-19, ARDS"), parse_findings("Pneumonia/Viral/COVID-19"), parse_findings("todo")
    (('COVID-19', 'ARDS'), ('Pneumonia', 'Viral', 'COVID-19'), ())
    """
    names = (name.strip() for name in re.split(r"[,/]", text))
    return tuple(dict.fromkeys(name for name in names if name.lower() not in _UNKNOWN | _NULLS))


def _text(table: Table, row: Row, column: str, default: str = "") -> str:
    text = table.cell(row, column).strip()
    return default if text.lower() in _NULLS else text


def _number(text: str) -> int | None:
    text = text.strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 7 else None
