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
from typing import NamedTuple

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


def _kept(lines: Iterable[str], seen: list[str]) -> Iterator[str]:
    """The same lines, each put into ``seen`` on its way."""
    for line in lines:
        seen.append(line)
        yield line


def _measure(seen: Sequence[str], start: int, done: int) -> tuple[int, str | None]:
    """Bytes of a record's lines, and the first byte in them that no table can hold.

    Args:
        seen: the lines.
        start: the byte that the first begins at.
        done: how many lines stand before it.
    """
    text = seen[0] if len(seen) == 1 else "".join(seen)
    if text.isascii() and "\0" not in text:
        return len(text), None
    problem = None
    if match := _BAD_CHARACTER.search(text):
        before = text[: match.start()]
        line = done + 1
        for one in seen[:-1]:
            if len(one) > len(before):
                break
            before, line = before[len(one) :], line + 1
        place = start + _size(text[: match.start()])
        byte = match.group().encode("utf-8", "surrogateescape")[0]
        problem = f"byte 0x{byte:02x} at offset {place} (line {line}) {'is NUL' if byte == 0 else 'is not UTF-8'}"
    return _size(text), problem


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
        file = path.open("rb")
        file.seek(start)
        with io.TextIOWrapper(file, "utf-8", "surrogateescape", newline="") as text:
            seen: list[str] = []
            try:
                for cells in csv.reader(_kept(text, seen), strict=True):
                    size, problem = _measure(seen, start, done)
                    yield Row(done + 1, cells, problem, start)
                    start, done = start + size, done + len(seen)
                    seen.clear()
                return
            except csv.Error as error:
                first = seen[0] if seen else ""
                cells = [cell.strip('"') for cell in first.split(",")]  # good enough for the id
                yield Row(done + 1, cells, f"not a CSV record: {error}", start)
                start, done = start + _size(first), done + 1
