"""Parquet and Arrow files as tables: columns that nobody asked for (images among them) are never read.

Arrow files (``datasets`` writes the stream format) are mapped, not read. Of an image column, a struct of ``bytes`` and
``path``, only the path is taken.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from kgbuild.datasets._table_files import Row, cut_short
from kgbuild.errors import FileMissing, KgbuildError

_BATCH = 512


class RowTable:
    """What both have in common: rows have numbers, from 1 in messages."""

    columns: tuple[str, ...] = ()
    schema: pa.Schema

    def __init__(self, path: Path, name: str, split: str | None = None) -> None:
        self.path, self.name, self.split = path, name, split
        if not path.is_file():
            raise FileMissing(f"there is no file {name}", where=str(path))

    def where(self, line: int) -> str:
        """File and row."""
        return f"{self.name} row {line}"

    def embeds(self, column: str) -> bool:
        """Whether a column holds images themselves."""
        return _is_image(self.schema.field(column).type)

    def batches(self, columns: Sequence[str], start: int = 0) -> Iterator[tuple[int, pa.RecordBatch]]:
        """(number of its first row, batch) from the batch, or row group, that holds row ``start``."""
        raise NotImplementedError

    def scan(self, columns: Sequence[str]) -> Iterator[Row]:
        """Every row."""
        for first, batch in self.batches(columns):
            for number, cells in enumerate(self.rows(first, batch, columns), first):
                yield Row(number, number + 1, cells)

    def reader(self, columns: Sequence[str]) -> _BatchReader:
        """Rows by number."""
        return _BatchReader(self, columns)

    def rows(self, first: int, batch: pa.RecordBatch, columns: Sequence[str]) -> list[tuple[Any, ...]]:
        """The cells of a batch by row. An image that lies in the file without a name is named after file and row."""
        if not columns:
            return [()] * batch.num_rows
        cells = []
        for column in columns:
            values = batch.column(column).to_pylist()
            if pa.types.is_struct(batch.column(column).type):
                stem = self.name.rpartition(".")[0]
                values = [
                    {"path": f"{stem}-{number}"} if value and not value.get("path") else value
                    for number, value in enumerate(values, first + 1)
                ]
            cells.append(values)
        return list(zip(*cells, strict=True))


class _BatchReader:
    """Rows by number, one batch held; forward goes on, back or far ahead starts at the nearest row group."""

    def __init__(self, table: RowTable, columns: Sequence[str]) -> None:
        self.table, self.columns = table, tuple(columns)
        self.first = 0
        self.cells: list[tuple[Any, ...]] = []
        self.going: Iterator[tuple[int, pa.RecordBatch]] = iter(())

    def row(self, position: int) -> tuple[Any, ...]:
        """The cells of one row."""
        end = self.first + len(self.cells)
        if not self.first <= position < end:
            if not end <= position < end + 64 * _BATCH:
                self.going = self.table.batches(self.columns, position)
            for first, batch in self._ahead(position):
                if position < first + batch.num_rows:
                    self.first, self.cells = first, self.table.rows(first, batch, self.columns)
                    break
        return self.cells[position - self.first]

    def _ahead(self, position: int) -> Iterator[tuple[int, pa.RecordBatch]]:
        yield from self.going
        yield from self.table.batches(self.columns, position)

    def close(self) -> None:
        """Let the file go."""
        self.going = iter(())
        self.first, self.cells = 0, []


class ParquetTable(RowTable):
    """A Parquet file."""

    def __init__(self, path: Path, name: str, split: str | None = None) -> None:
        super().__init__(path, name, split)
        try:
            with pq.ParquetFile(path) as file:
                groups = [file.metadata.row_group(i).num_rows for i in range(file.metadata.num_row_groups)]
                self.schema = file.schema_arrow
        except (pa.ArrowInvalid, OSError) as error:
            what = "it is no Parquet file, or its end (the footer) is missing"
            raise cut_short(name, path.stat().st_size, f"{what} ({type(error).__name__})") from None
        self.columns = tuple(self.schema.names)
        self._starts = [0, *accumulate(groups)]

    def batches(self, columns: Sequence[str], start: int = 0) -> Iterator[tuple[int, pa.RecordBatch]]:
        """Batches from the row group that holds ``start``."""
        group = max(bisect_right(self._starts, start) - 1, 0)
        wanted = [f"{name}.path" if _is_image(self.schema.field(name).type) else name for name in columns]
        first = self._starts[group]
        try:
            with pq.ParquetFile(self.path) as file:
                groups = range(group, file.metadata.num_row_groups)
                for batch in file.iter_batches(_BATCH, groups, wanted, use_threads=False):
                    yield first, batch
                    first += batch.num_rows
        except (pa.ArrowException, OSError) as error:
            raise _broken(self.name, "row", first, error) from None


class ArrowTable(RowTable):
    """An Arrow file: the stream format that ``save_to_disk`` writes, or the file format."""

    def __init__(self, path: Path, name: str, split: str | None = None) -> None:
        super().__init__(path, name, split)
        source = pa.memory_map(str(path))
        if not source.size():
            raise cut_short(name, 0, "it is empty")
        self._batches: list[pa.RecordBatch] = []
        try:
            if source.read(6) == b"ARROW1":
                file = pa.ipc.open_file(source)
                self.schema = file.schema
                self._batches = [file.get_batch(i) for i in range(file.num_record_batches)]
            else:
                source.seek(0)
                stream = pa.ipc.open_stream(source)
                self.schema = stream.schema
                self._batches.extend(stream)
        except (pa.ArrowException, OSError) as error:
            raise _broken(name, "batch", len(self._batches), error, source.tell()) from None
        self.columns = tuple(self.schema.names)
        self._starts = [0, *accumulate(batch.num_rows for batch in self._batches)]

    def batches(self, columns: Sequence[str], start: int = 0) -> Iterator[tuple[int, pa.RecordBatch]]:
        """Batches from the one that holds ``start``; an image column holds paths only."""
        number = max(bisect_right(self._starts, start) - 1, 0)
        for i in range(number, len(self._batches)):
            batch = self._batches[i]
            parts = [_without_bytes(batch.column(name)) for name in columns]
            taken = pa.RecordBatch.from_arrays(parts, names=list(columns)) if parts else batch
            for at in range(0, batch.num_rows, _BATCH):
                yield self._starts[i] + at, taken.slice(at, _BATCH)


def _is_image(kind: pa.DataType) -> bool:
    return bool(pa.types.is_struct(kind)) and {"path", "bytes"} <= {kind.field(i).name for i in range(kind.num_fields)}


def _without_bytes(column: pa.Array) -> pa.Array:
    if not _is_image(column.type):
        return column
    import pyarrow.compute as pc

    return pa.StructArray.from_arrays([pc.struct_field(column, "path")], names=["path"], mask=column.is_null())


def _broken(name: str, word: str, number: int, error: Exception, offset: int | None = None) -> KgbuildError:
    where = f"{name}, {word} {number + 1}" + (f", byte {offset:,}" if offset is not None else "")
    what = "it ends in the middle, or is not in this format"
    return KgbuildError(
        f"{name} cannot be read to its end: {what} ({type(error).__name__})",
        where=where,
        next_step="copy or download the file again",
    )
