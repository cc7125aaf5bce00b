"""The CSV files of IU X-ray: reports, projections, R2Gen's split, native image sizes.

One broken row must not cost the others, so files are decoded with ``surrogateescape`` and bad bytes are then found
by line. A row whose quotes do not close fails alone: reading goes on with the next line, not at the end of the
file. Cells are kept exactly as they stand; no message holds a cell's text.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from kgbuild.datasets._iu_records import SECTIONS, ImageRow, Record, image_id, make_sections, parse_uid, study_id
from kgbuild.domain import Failure
from kgbuild.errors import ColumnMissing

REPORTS_HEADER = ("uid", "MeSH", "Problems", "image", "indication", "comparison", "findings", "impression")
_BOM = b"\xef\xbb\xbf"
_BAD_CHARACTER = re.compile("[\0\udc80-\udcff]")
_COLUMN_NAME = re.compile(r"(?!\d+$)(?=.{1,40}$)[\w.:;#/\[\]()-]+(?: [\w.:;#/\[\]()-]+)?")


class Row(NamedTuple):
    """One record of a CSV: the line it starts on, its cells, and what is wrong with it if anything is."""

    line: int
    cells: Sequence[str]
    problem: str | None = None


class Table(NamedTuple):
    """A CSV's rows and where each column stands; names in lower case."""

    name: str
    columns: dict[str, int]
    rows: list[Row]

    def cell(self, row: Row, column: str) -> str:
        """One cell; empty where the table has no such column or the row ends before it."""
        index = self.columns.get(column)
        return row.cells[index] if index is not None and index < len(row.cells) else ""

    def where(self, row: Row) -> str:
        """File and line, for messages."""
        return f"{self.name} line {row.line}"


def read_table(path: Path, needed: Sequence[str], header: Sequence[str]) -> Table:
    """Read a CSV whole.

    Args:
        path: the file.
        needed: columns that must be there.
        header: the published header, for the message.

    Raises:
        ColumnMissing: the file is empty or lacks a needed column.
    """
    rows = _rows(path.read_bytes())
    first = next((row for row in rows if row.cells), None)
    names = [name.strip().lower() for name in first.cells] if first else []
    absent = [name for name in needed if name not in names]
    if first is None or absent:
        found = _header_text(first.cells) if first else None
        what = f"has no column {', '.join(absent)}: its header is {found}" if found else "is empty: no header, no rows"
        raise ColumnMissing(
            f"{path.name} {what}",
            where=f"{path} line {first.line if first else 1}",
            expected=",".join(header),
            next_step="put the published file back, or add the header line",
        )
    columns = {name: index for index, name in reversed(list(enumerate(names)))}
    return Table(path.name, columns, [_counted(row, len(names)) for row in rows if row.cells])


def _counted(row: Row, width: int) -> Row:
    if row.problem or len(row.cells) == width:
        return row
    return row._replace(problem=f"{len(row.cells)} fields where the header has {width}")


def _header_text(cells: Sequence[str]) -> str:
    """The header as found, unless it is none: a file without header starts with a report, which must not be shown."""
    if all(not cell.strip() or _COLUMN_NAME.fullmatch(cell.strip()) for cell in cells):
        return ",".join(cells)
    return f"not one ({len(cells)} fields that are not column names)"


def _rows(data: bytes) -> Iterator[Row]:
    """Cut into records; after a broken one, go on with the line after its first."""
    text = data.decode("utf-8-sig", "surrogateescape")
    lines = list(io.StringIO(text, newline=""))
    clean = data.isascii() and b"\0" not in data
    bad = {} if clean else _bad_lines(data, lines)
    done = 0
    while done < len(lines):
        start = done
        reader = csv.reader((lines[number] for number in range(start, len(lines))), strict=True)
        try:
            for cells in reader:
                end = start + reader.line_num
                yield Row(done + 1, cells, next((bad[n] for n in range(done, end) if n in bad), None) if bad else None)
                done = end
        except csv.Error as error:
            cells = [cell.strip('"') for cell in lines[done].split(",")]  # good enough for the uid
            yield Row(done + 1, cells, f"not a CSV record: {error}")
            done += 1


def _bad_lines(data: bytes, lines: list[str]) -> dict[int, str]:
    """Lines with a byte that no report can hold: number (from 0) and what and where it is."""
    found = {}
    offset = len(_BOM) if data.startswith(_BOM) else 0
    for number, line in enumerate(lines):
        if match := _BAD_CHARACTER.search(line):
            place = offset + len(line[: match.start()].encode("utf-8", "surrogateescape"))
            what = "is NUL" if data[place] == 0 else "is not UTF-8"
            found[number] = f"byte 0x{data[place]:02x} at offset {place} (line {number + 1}) {what}"
        offset += len(line.encode("utf-8", "surrogateescape"))
    return found


def read_reports(path: Path) -> Iterator[Record | Failure]:
    """One record a row; a row without a usable uid is a Failure of the file."""
    table = read_table(path, ("uid", "findings", "impression"), REPORTS_HEADER)
    for row in table.rows:
        where = table.where(row)
        uid = parse_uid(table.cell(row, "uid"))
        if uid is None:
            yield Failure(path.name, "read", row.problem or "uid is not an integer", where)
        elif row.problem:
            yield Record(uid, path.name, where, problem=row.problem, content=tuple(row.cells))
        else:
            sections = make_sections((name, table.cell(row, name)) for name in SECTIONS)
            yield Record(uid, path.name, where, sections, content=tuple(row.cells))


def read_projections(path: Path) -> Iterator[ImageRow | Failure]:
    """One image a row; a row that names none is a Failure."""
    table = read_table(path, ("uid", "filename"), ("uid", "filename", "projection"))
    for row in table.rows:
        uid = parse_uid(table.cell(row, "uid"))
        name = image_id(table.cell(row, "filename"))
        if problem := row.problem or ("uid is not an integer" if uid is None else "" if name else "no file name"):
            yield Failure(path.name if uid is None else study_id(uid), "read", problem, table.where(row))
        elif uid is not None:
            yield ImageRow(uid, name, table.where(row), table.cell(row, "projection") or None)


def read_splits(path: Path) -> tuple[dict[int, str], list[Failure], int]:
    """Split by uid, the rows that give none or another one, and the number of rows."""
    table = read_table(path, ("uid", "split"), ("id", "uid", "split", "image_ids"))
    splits: dict[int, str] = {}
    failures = []
    for row in table.rows:
        uid, split = parse_uid(table.cell(row, "uid")), table.cell(row, "split").strip()
        problem = row.problem or ("uid is not an integer" if uid is None else "" if split else "no split")
        if uid is not None and not problem and splits.setdefault(uid, split) != split:
            problem = "another split than in an earlier row, which is used"
        if problem:
            failures.append(Failure(path.name if uid is None else study_id(uid), "read", problem, table.where(row)))
    return splits, failures, len(table.rows)


def read_sizes(path: Path) -> dict[str, tuple[int | None, int | None]]:
    """Native rows and columns by image id; empty where the file has not these columns. Broken rows are left out."""
    try:
        table = read_table(path, ("filename", "native_rows", "native_columns"), ())
    except ColumnMissing:
        return {}
    return {
        image_id(table.cell(row, "filename")): (
            parse_uid(table.cell(row, "native_rows")),
            parse_uid(table.cell(row, "native_columns")),
        )
        for row in table.rows
        if not row.problem
    }
