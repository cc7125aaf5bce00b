"""Guess which column of a table is what, from its names first and its first rows second.

A name is compared in lower case with ``_`` for all that is no letter or digit. A column whose rows cannot be what its
name says (an id with spaces, a report without words) is passed over. A guess is only ever printed and used, never
hidden: ``datasets check`` shows it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from kgbuild.datasets._table_mapping import ROW_NUMBER, SECTIONS, ColumnMap
from kgbuild.datasets._table_values import as_text, image_names, is_id
from kgbuild.sections import section_name

#: Column names by entry, the best first.
NAMES: Mapping[str, tuple[str, ...]] = {
    "study": (
        *("study_id", "studyid", "study", "accession", "accession_number", "accession_no", "accessionnumber", "acc"),
        *("exam_id", "report_id", "reportid", "study_instance_uid", "studyinstanceuid", "study_uid", "uid", "id"),
        *("note_id", "doc_id", "document_id", "image_id", "dicom_id"),
    ),
    "patient": ("subject_id", "patient_id", "patientid", "patient", "mrn", "subject", "person_id", "pid"),
    "date": (
        *("study_date", "studydate", "exam_date", "examdate", "date", "report_date", "reportdate"),
        *("acquisition_date", "performed_date", "study_datetime", "datetime", "charttime"),
    ),
    "split": ("split", "fold", "subset", "partition"),
    "view": ("view", "view_position", "viewposition", "projection"),
    "text": (
        *("text", "report", "report_text", "reporttext", "radiology_report", "full_report", "full_text", "note"),
        *("note_text", "narrative", "content", "body", "reports", "caption"),
    ),
    "images": (
        *("images", "image", "image_path", "image_paths", "img_path", "image_file", "image_files", "imagepath"),
        *("path_to_image", "dicom_path", "filename", "file_name", "path"),
    ),
}
_IMAGE_FILE = re.compile(r"\.(?:png|jpe?g|dcm|dicom|tiff?|nii(?:\.gz)?)$", re.IGNORECASE)
_IMAGE_NUMBERED = re.compile(r"(?:image|img|frontal|lateral)(?:_?(?:path|file))?(?:_?\d+)?")
_SUFFIX = re.compile(r"_(?:section|text|sec)$")
_TEXT_LENGTH = 60  # characters that a column must have on average to be taken for reports by its looks


def guess_columns(columns: Sequence[str], rows: Sequence[Mapping[str, Any]], *, number_rows: bool = False) -> ColumnMap:
    """The best guess at a table's mapping; what it has no column for is left out.

    Args:
        columns: the header.
        rows: the first rows, by column; may be empty.
        number_rows: give the study id ``#`` where no column looks like one.
    """
    names = {_plain(column): column for column in reversed(columns)}
    values = {column: [row[column] for row in rows if as_text(row.get(column))] for column in columns}
    fields: dict[str, str] = {}
    for entry in ("study", "patient", "date", "split", "view"):
        for name in NAMES[entry]:
            column = names.get(name)
            if column and column not in fields.values() and _fits(entry, values[column]):
                fields[entry] = column
                break
    if "study" not in fields and number_rows:
        fields["study"] = ROW_NUMBER
    images = _images(columns, values, [column for entry, column in fields.items() if entry != "study"])
    free = [column for column in columns if column not in (*fields.values(), *images)]
    sections = _sections(free)
    if not {"findings", "impression"} & set(sections):
        text = _text(free, names, values)
        if text:
            fields["text"] = text
            sections = {}
    guessed = frozenset({*fields, *sections, *(("images",) if images else ())})
    return ColumnMap(fields, sections, images, guessed=guessed)


def _plain(column: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", column.strip().lower()).strip("_")


def _fits(entry: str, values: Sequence[Any]) -> bool:
    """Whether rows can be what the name says; an empty column is believed."""
    if entry in ("study", "patient"):
        return 2 * sum(is_id(as_text(value)) for value in values) >= len(values)
    if entry in ("split", "view"):
        return all(len(as_text(value)) <= 40 for value in values)
    return True


def _images(columns: Sequence[str], values: Mapping[str, Sequence[Any]], taken: Sequence[str]) -> tuple[str, ...]:
    """Columns whose cells are image files or images; where the first rows have none, those of the usual names."""
    found = []
    for column in columns:
        cells = values[column]
        files = sum(_is_image(cell) for cell in cells)
        plain = _plain(column)
        named = plain in NAMES["images"][:-3] or _IMAGE_NUMBERED.fullmatch(plain)
        if column not in taken and (2 * files > len(cells) or (not cells and named)):
            found.append(column)
    return tuple(found)


def _is_image(cell: Any) -> bool:
    if isinstance(cell, Mapping):
        return {"bytes", "path"} & set(cell) != set()
    if isinstance(cell, list) and any(isinstance(item, Mapping) for item in cell):
        return all(_is_image(item) for item in cell)
    names = image_names(cell)
    return bool(names) and all(_IMAGE_FILE.search(name) for name in names)


def _sections(columns: Sequence[str]) -> dict[str, str]:
    """Section columns by the names that headers have (``conclusion`` is the impression), the usual sections first."""
    found: dict[str, str] = {}
    for column in columns:
        words = _SUFFIX.sub("", _plain(column)).replace("_", " ")
        name = section_name(words.capitalize()) if words else None
        if name in SECTIONS:
            found.setdefault(name, column)
    return {name: found[name] for name in SECTIONS if name in found}


def _text(columns: Sequence[str], names: Mapping[str, str], values: Mapping[str, Sequence[Any]]) -> str | None:
    for name in NAMES["text"]:
        if names.get(name) in columns:
            return names[name]
    lengths = {
        column: sum(len(cell) for cell in values[column]) / len(values[column])
        for column in columns
        if values[column] and all(isinstance(cell, str) and " " in cell for cell in values[column])
    }
    longest = max(lengths, key=lambda column: lengths[column], default=None)
    return longest if longest is not None and lengths[longest] >= _TEXT_LENGTH else None
