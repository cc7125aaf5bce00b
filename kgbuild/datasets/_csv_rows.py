"""CSV files row by row, each with the line and the byte it starts on, and what is wrong with it if anything is.

One broken row must not cost the others, so files are decoded with ``surrogateescape`` and bad bytes are then found
by line. A row whose quotes do not close fails alone: reading goes on with the next line, not at the end of the
file. Cells are kept exactly as they stand; no message holds a cell's text. Files are streamed, never held whole.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, NamedTuple

from kgbuild.errors import ColumnMissing

_BOM = b"\xef\xbb\xbf"
_BAD_CHARACTER = re.compile("[\0\udc80-\udcff]")
_COLUMN_NAME = re.compile(r"(?!\d+$)(?=.{1,40}$)[\w.:;#/\[\]()-]+(?: [\w.:;#/\[\]()-]+)?")


class Row(NamedTuple):
    """One record of a CSV: the line and the byte it starts on, its cells, and what is wrong with it."""

    line: int
    cells: Sequence[str]
    problem: str | None = None
    start: int = 0


class Table(NamedTuple):
    """A CSV's rows, to be read once, and where each column stands, in their order; names in lower case."""

    name: str
    columns: dict[str, int]
    rows: Iterable[Row]

    def cell(self, row: Row, column: str) -> str:
        """One cell; empty where the table has no such column or the row ends before it."""
        index = self.columns.get(column)
        return row.cells[index] if index is not None and index < len(row.cells) else ""

    def where(self, row: Row) -> str:
        """File and line, for messages."""
        return f"{self.name} line {row.line}"


def open_table(path: Path, needed: Sequence[str], header: Sequence[str], next_step: str | None = None) -> Table:
    """Read a CSV's header now and its rows as they are asked for.

    Args:
        path: the file.
        needed: columns that must be there, in lower case.
        header: the published header, for the message.
        next_step: how to mend a wrong one; by default, to put the published file back.

    Raises:
        ColumnMissing: the file is empty or lacks a needed column.
    """
    rows = (row for row in read_rows(path) if row.cells)
    first = next(rows, None)
    names = [name.strip().lower() for name in first.cells] if first else []
    absent = [name for name in needed if name not in names]
    if first is None or absent:
        found = _header_text(first.cells) if first else None
        what = f"has no column {', '.join(absent)}: its header is {found}" if found else "is empty: no header, no rows"
        raise ColumnMissing(
            f"{path.name} {what}",
            where=f"{path} line {first.line if first else 1}",
            expected=",".join(header),
            next_step=next_step or "put the published file back, or add the header line",
        )
    columns: dict[str, int] = {}
    for index, name in enumerate(names):
        columns.setdefault(name, index)
    return Table(path.name, columns, (_counted(row, names) for row in rows))


def _counted(row: Row, names: Sequence[str]) -> Row:
    """Mark a row of another width than the header; cells under blank names, or blank beyond it, may come and go."""
    cells, width = row.cells, len(names)
    if row.problem or len(cells) == width or not (any(cells[width:]) or any(names[len(cells) :])):
        return row
    return row._replace(problem=f"{len(cells)} fields where the header has {width}")


def _header_text(cells: Sequence[str]) -> str:
    """The header as found, unless it is none: a file without header starts with a report, which must not be shown."""
    if all(not cell.strip() or _COLUMN_NAME.fullmatch(cell.strip()) for cell in cells):
        return ",".join(cells)
    return f"not one ({len(cells)} fields that are not column names)"


class _Lines:
    """The lines of a file from a place on, and how far they were read."""

    def __init__(self, file: IO[bytes], offset: int, number: int) -> None:
        file.seek(offset)
        self._text = io.TextIOWrapper(file, "utf-8", "surrogateescape", newline="")
        self.offset, self.number = offset, number
        self.record()

    def record(self) -> None:
        """A record ends here: forget what was seen of it."""
        self.first: str | None = None
        self.problem: str | None = None

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self._text)
        self.number += 1
        if self.first is None:
            self.first = line
        if line.isascii() and "\0" not in line:
            self.offset += len(line)
            return line
        if self.problem is None and (match := _BAD_CHARACTER.search(line)):
            place = self.offset + _size(line[: match.start()])
            byte = match.group().encode("utf-8", "surrogateescape")[0]
            what = "is NUL" if byte == 0 else "is not UTF-8"
            self.problem = f"byte 0x{byte:02x} at offset {place} (line {self.number}) {what}"
        self.offset += _size(line)
        return line


def _size(text: str) -> int:
    return len(text.encode("utf-8", "surrogateescape"))


def read_rows(path: Path, start: int | None = None, line: int = 1) -> Iterator[Row]:
    """Cut into records; after a broken one, go on with the line after its first.

    Args:
        path: the file.
        start: the byte to begin at, as an earlier ``Row.start``; None begins after a byte order mark.
        line: the number of that line.
    """
    if start is None:
        with path.open("rb") as file:
            start = len(_BOM) if file.read(len(_BOM)) == _BOM else 0
    done = line - 1
    while True:
        with path.open("rb") as file:
            lines = _Lines(file, start, done)
            try:
                for cells in csv.reader(lines, strict=True):
                    yield Row(done + 1, cells, lines.problem, start)
                    start, done = lines.offset, lines.number
                    lines.record()
                return
            except csv.Error as error:
                first = lines.first or ""
                cells = [cell.strip('"') for cell in first.split(",")]  # good enough for the id
                yield Row(done + 1, cells, f"not a CSV record: {error}", start)
                start, done = start + _size(first), done + 1
