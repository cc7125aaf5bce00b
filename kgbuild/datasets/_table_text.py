"""CSV and JSON Lines, gzipped or not: read line by line, found again by byte offset.

One broken row must not cost the others. A record whose quotes do not close fails alone: reading goes on with the line
after its first, and the lines up to the next whole row count as part of the broken one. Cells are kept as they stand;
no message holds a cell's text.
"""

from __future__ import annotations

import csv
import io
import json
import re
from array import array
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

from kgbuild.datasets._table_files import Lines, Row, check_encoding, line_starts, open_bytes
from kgbuild.errors import ColumnMissing, StudyError

_DELIMITERS = (",", ";", "\t", "|")
_JSON_HEADER_ROWS = 200
_BAD = re.compile("[\udc80-\udcff]")


class _LineReader:
    """Rows of a line file by byte offset."""

    def __init__(self, path: Path, name: str, encoding: str) -> None:
        self.name, self.encoding = name, encoding
        self.file: BinaryIO = open_bytes(path)

    def lines(self, position: int) -> Lines:
        """The lines from there on."""
        self.file.seek(position)
        return Lines(self.file, self.name, self.encoding, position)

    def close(self) -> None:
        """Close the file."""
        self.file.close()

    def __del__(self) -> None:
        if hasattr(self, "file"):
            self.file.close()


class CsvTable:
    """A CSV with a header line; its delimiter is the one that the header holds most of."""

    split: str | None = None

    def __init__(self, path: Path, name: str, settings: Mapping[str, str]) -> None:
        self.path, self.name = path, name
        self.encoding = settings.get("encoding", "utf-8")
        check_encoding(path, name, self.encoding)
        with open_bytes(path) as file:
            lines = Lines(file, name, self.encoding)
            first = next((line for line in lines if line.strip()), "")
            self.delimiter = settings.get("delimiter") or max(_DELIMITERS, key=first.count)
            try:
                cells = next(csv.reader(chain([first], lines), delimiter=self.delimiter, strict=True)) if first else []
            except csv.Error as error:
                raise ColumnMissing(f"the header of {name} cannot be read: {error}", where=self.where(1)) from None
        self.columns = tuple(cell.strip() for cell in cells)
        if not any(self.columns):
            raise ColumnMissing(
                f"{name} is empty: no header, no rows",
                where=self.where(1),
                expected="a header line, then one row a study",
            )

    def where(self, line: int) -> str:
        """File and line."""
        return f"{self.name} line {line}"

    def _places(self, columns: Sequence[str]) -> tuple[int, ...]:
        return tuple(self.columns.index(column) for column in columns)

    def scan(self, columns: Sequence[str]) -> Iterator[Row]:
        """Every record after the header. A first, quick pass finds where each line begins (8 bytes a line)."""
        places, width = self._places(columns), len(self.columns)
        starts = line_starts(self.path, self.name)
        broken: tuple[int, str] | None = None
        header = True
        for line, end, cells in self._records(starts):
            if header and cells:
                header = False
            elif isinstance(cells, str):
                broken = broken or (line, cells)
            elif len(cells) == width:
                if broken:
                    yield _broken(starts, broken, line)
                    broken = None
                taken = tuple([cells[place] for place in places])
                yield Row(starts[line], line + 1, taken, self._unreadable(cells, starts, line, end))
            elif cells and not broken:
                yield Row(starts[line], line + 1, (), f"{len(cells)} fields where the header has {width}")
        if broken:
            yield _broken(starts, broken, len(starts) - 1)

    def _records(self, starts: array[int]) -> Iterator[tuple[int, int, list[str] | str]]:
        """(first line, line after the last, cells or what is wrong) of each record; lines count from 0."""
        line = 0
        while line < len(starts) - 1:
            with self._text(starts[line]) as text:
                begun = line
                reader = csv.reader(text, delimiter=self.delimiter, strict=True)
                try:
                    for cells in reader:
                        end = begun + reader.line_num
                        yield line, end, cells
                        line = end
                except csv.Error as error:
                    yield line, line + 1, f"not a CSV record: {error}"
                    line += 1

    def _text(self, start: int) -> io.TextIOWrapper:
        """The file from a byte on; only a line feed ends a line, as in ``line_starts``."""
        file = open_bytes(self.path)
        file.seek(start)
        encoding = "utf-8-sig" if self.encoding == "utf-8" and not start else self.encoding
        return io.TextIOWrapper(file, encoding=encoding, errors="surrogateescape", newline="\n")

    def _unreadable(self, cells: list[str], starts: array[int], line: int, end: int) -> str | None:
        """The first byte of a record that the encoding does not know, or a NUL."""
        if not any("\0" in cell or (not cell.isascii() and _BAD.search(cell)) for cell in cells):
            return None
        with open_bytes(self.path) as file:
            file.seek(starts[line])
            lines = Lines(file, self.name, self.encoding, starts[line], line)
            for _ in range(end - line):
                next(lines)
        return lines.bad

    def reader(self, columns: Sequence[str]) -> _CsvReader:
        """Records by offset."""
        return _CsvReader(self, self._places(columns))


def _broken(starts: array[int], first: tuple[int, str], next_line: int) -> Row:
    line, what = first
    return Row(starts[line], line + 1, (), what + (f" (skipped to line {next_line})" if next_line > line + 1 else ""))


class _CsvReader(_LineReader):
    def __init__(self, table: CsvTable, places: tuple[int, ...]) -> None:
        super().__init__(table.path, table.name, table.encoding)
        self.places, self.delimiter, self.width = places, table.delimiter, len(table.columns)

    def row(self, position: int) -> tuple[Any, ...]:
        """The cells of the record that starts there."""
        try:
            cells = next(csv.reader(self.lines(position), delimiter=self.delimiter, strict=True))
        except (csv.Error, StopIteration):
            cells = []
        if len(cells) != self.width:
            raise StudyError(self.name, f"no row at byte {position}: the file has changed since it was listed")
        return tuple(cells[place] for place in self.places)


class JsonlTable:
    """JSON Lines: one object a line. The header is the keys of the first rows, in order of appearance."""

    split: str | None = None

    def __init__(self, path: Path, name: str, settings: Mapping[str, str]) -> None:
        self.path, self.name = path, name
        self.encoding = settings.get("encoding", "utf-8")
        check_encoding(path, name, self.encoding)
        keys: dict[str, None] = {}
        rows = 0
        with open_bytes(path) as file:
            for line in Lines(file, name, self.encoding):
                value = _json_object(line)
                if isinstance(value, dict):
                    keys |= dict.fromkeys(value)
                rows += bool(line.strip())
                if rows >= _JSON_HEADER_ROWS:
                    break
        self.columns = tuple(keys)
        if not keys:
            what = "no line is a JSON object" if rows else "is empty"
            raise ColumnMissing(f"{name}: {what}", where=self.where(1), expected='one {"id": …, "text": …} a line')

    def where(self, line: int) -> str:
        """File and line."""
        return f"{self.name} line {line}"

    def scan(self, columns: Sequence[str]) -> Iterator[Row]:
        """Every line that is not blank."""
        with open_bytes(self.path) as file:
            lines = Lines(file, self.name, self.encoding)
            position, number = lines.mark()
            for line in lines:
                value = _json_object(line)
                if isinstance(value, dict):
                    yield Row(position, number, tuple(value.get(column) for column in columns), lines.bad)
                elif line.strip():
                    yield Row(position, number, (), lines.bad or value)
                position, number = lines.mark()

    def reader(self, columns: Sequence[str]) -> _JsonlReader:
        """Lines by offset."""
        return _JsonlReader(self, tuple(columns))


def _json_object(line: str) -> dict[str, Any] | str:
    """The object on a line, or what is wrong with it."""
    try:
        value = json.loads(line)
    except json.JSONDecodeError as error:
        return f"not JSON: {error.msg} at character {error.pos} of the line"
    except (ValueError, RecursionError) as error:
        return f"not JSON: {type(error).__name__}"
    return value if isinstance(value, dict) else "not a JSON object"


class _JsonlReader(_LineReader):
    def __init__(self, table: JsonlTable, columns: tuple[str, ...]) -> None:
        super().__init__(table.path, table.name, table.encoding)
        self.columns = columns

    def row(self, position: int) -> tuple[Any, ...]:
        """The cells of the object that starts there."""
        value = _json_object(next(self.lines(position), ""))
        if isinstance(value, str):
            raise StudyError(self.name, f"no row at byte {position}: the file has changed since it was listed")
        return tuple(value.get(column) for column in self.columns)
