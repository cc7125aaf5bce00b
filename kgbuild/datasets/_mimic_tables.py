"""The CSV tables of MIMIC-CXR and MIMIC-CXR-JPG, plain or gzipped, as Polars frames of text with their line numbers.

Only the columns asked for are kept. Bytes that are not UTF-8 become a replacement character, so that they spoil one
id, not the file; a quote that never closes spoils its own line. No message holds a cell's text.
"""

from __future__ import annotations

import csv
import gzip
import re
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kgbuild.errors import ColumnMissing, FileMissing

if TYPE_CHECKING:
    import polars as pl

_GZIP = b"\x1f\x8b"
_BOM = b"\xef\xbb\xbf"
_COLUMN_NAME = re.compile(r"(?!\d+$)[\w .:;#/\[\]()-]{1,60}")

STUDIES = ("subject_id", "study_id", "path")
RECORDS = ("subject_id", "study_id", "dicom_id", "path")
SPLIT = ("dicom_id", "study_id", "subject_id", "split")
METADATA = (
    "dicom_id",
    "subject_id",
    "study_id",
    "PerformedProcedureStepDescription",
    "ViewPosition",
    "Rows",
    "Columns",
    "StudyDate",
    "StudyTime",
    "ProcedureCodeSequence_CodeMeaning",
    "ViewCodeSequence_CodeMeaning",
    "PatientOrientationCodeSequence_CodeMeaning",
)


def read_bytes(path: Path) -> bytes:
    """A table's bytes, unpacked if it is gzipped, whatever its name says.

    Raises:
        FileMissing: it is cut short or damaged.
    """
    data = path.read_bytes()
    if not data.startswith(_GZIP):
        return data
    try:
        return gzip.decompress(data)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        what = "is cut short" if isinstance(error, EOFError) else "is a damaged gzip file"
        raise FileMissing(
            f"table {path.name} {what}",
            where=str(path),
            expected="the whole file; SHA256SUMS.txt of the release has its checksum",
            next_step="download it again",
        ) from None


def read_table(path: Path, needed: Sequence[str], optional: Sequence[str], published: Sequence[str]) -> pl.DataFrame:
    """Text columns ``needed`` and those of ``optional`` that are there, and ``line``; blank lines are left out.

    Column names are found in any case and returned as asked for.

    Raises:
        ColumnMissing: a needed column is not in the header; the message shows the header found and the published one.
        FileMissing: see ``read_bytes``.
    """
    import polars as pl

    data = read_bytes(path).removeprefix(_BOM)
    header = _header(data)
    places = {name.strip().lower(): name for name in reversed(header)}
    absent = [name for name in needed if name.lower() not in places]
    if absent:
        found = f"its header is {shown(header)}" if any(header) else "it is empty: no header, no rows"
        raise ColumnMissing(
            f"{path.name} has no column {', '.join(absent)}: {found}",
            where=f"{path} line 1",
            expected=",".join(published),
            next_step="put the published file back",
        )
    wanted = [name for name in (*needed, *optional) if name.lower() in places]
    frame = _parse(data, [places[name.lower()] for name in wanted])
    frame = frame.rename({places[name.lower()]: name for name in wanted})
    return frame.filter(pl.any_horizontal(pl.col(wanted).is_not_null()))


def _parse(data: bytes, columns: list[str]) -> pl.DataFrame:
    import polars as pl

    def read(quote: str | None) -> pl.DataFrame:
        return pl.read_csv(
            data,
            columns=columns,
            infer_schema=False,
            quote_char=quote,
            truncate_ragged_lines=True,
            encoding="utf8-lossy",
            row_index_name="line",
            row_index_offset=2,
        )

    try:
        return read('"' if data.count(b'"') % 2 == 0 else None)
    except pl.exceptions.ComputeError:  # quotes that are none; its message would show them
        return read(None)


def _header(data: bytes) -> list[str]:
    first = data[: data.find(b"\n")] if b"\n" in data else data
    return next(csv.reader([first.decode("utf-8", "replace").rstrip("\r")]), [])


def shown(header: Sequence[str]) -> str:
    """The header as found, unless it is none: a file without header starts with data, which is not to be shown."""
    if all(not cell.strip() or _COLUMN_NAME.fullmatch(cell.strip()) for cell in header):
        return ",".join(header)
    return f"not one ({len(header)} fields that are not column names)"
