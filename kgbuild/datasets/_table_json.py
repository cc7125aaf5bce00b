"""A JSON file of entries as a table: the members of one object (RadGraph), or the elements of its lists (R2Gen).

The file is streamed once; an entry is read again from its bytes, never the file. What an entry's cells are is said by
``cells``: a function from (key, entry) to a value by column.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from kgbuild.datasets._table_files import Row
from kgbuild.errors import StudyError
from kgbuild.notation import json_index
from kgbuild.notation.json_index import Located

CellsOf = Callable[[str, Mapping[str, Any]], Mapping[str, Any]]


class JsonTable:
    """Entries of one file.

    Args:
        path: the file.
        name: the same, relative to the root.
        columns: what ``cells`` gives.
        cells: the cells of an entry, by column.
        nested: entries are the elements of the members, not the members.
        split: what the file's name says of all its entries.
    """

    def __init__(
        self,
        path: Path,
        name: str,
        columns: tuple[str, ...],
        cells: CellsOf,
        *,
        nested: bool = False,
        split: str | None = None,
    ) -> None:
        self.path, self.name, self.columns, self.split = path, name, columns, split
        self.cells, self.nested = cells, nested
        self.starts, self.ends, self.keys = array("Q"), array("Q"), array("I")
        self.names: dict[str, int] = {}

    def where(self, line: int) -> str:
        """File and entry."""
        return f"{self.name} entry {line}"

    def scan(self, columns: Sequence[str]) -> Iterator[Row]:
        """Every entry. The position is its number; its bytes are remembered."""
        self.starts, self.ends, self.keys = array("Q"), array("Q"), array("I")
        read = json_index.elements if self.nested else json_index.members
        for number, found in enumerate(read(self.path)):
            self.starts.append(found.start)
            self.ends.append(found.end)
            if self.nested:
                self.keys.append(self.names.setdefault(found.key, len(self.names)))
            yield self._row(number, found, columns)

    def _row(self, number: int, found: Located, columns: Sequence[str]) -> Row:
        if not isinstance(found.value, dict):
            return Row(number, number + 1, (), "the entry is not an object")
        values = self.cells(found.key, found.value)
        cells = tuple(values.get(column) for column in columns)
        if any(isinstance(cell, str) and not cell.isascii() and _is_broken(cell) for cell in cells):
            return Row(number, number + 1, cells, f"the entry (byte {found.start} to {found.end}) is not UTF-8")
        return Row(number, number + 1, cells)

    def reader(self, columns: Sequence[str]) -> _JsonReader:
        """Entries by number."""
        return _JsonReader(self, tuple(columns))


def _is_broken(text: str) -> bool:
    return any("\ud800" <= char <= "\udfff" for char in text)


class _JsonReader:
    """Entries by number, from their bytes."""

    def __init__(self, table: JsonTable, columns: tuple[str, ...]) -> None:
        self.table, self.columns = table, columns
        self.keys = {number: key for key, number in table.names.items()}
        self.file: BinaryIO = json_index.open_bytes(table.path)

    def row(self, position: int) -> tuple[Any, ...]:
        """The cells of one entry."""
        table = self.table
        key = self.keys[table.keys[position]] if table.nested else ""
        try:
            entry = json_index.at(self.file, table.starts[position], table.ends[position])
        except UnicodeDecodeError:
            return (None,) * len(self.columns)
        except ValueError:
            entry = None
        if not isinstance(entry, dict):
            raise StudyError(table.name, f"no entry at byte {table.starts[position]}: the file has changed")
        values = table.cells(key, entry)
        return tuple(values.get(column) for column in self.columns)

    def close(self) -> None:
        """Close the file."""
        self.file.close()

    def __del__(self) -> None:
        if hasattr(self, "file"):
            self.file.close()
