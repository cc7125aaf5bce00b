"""Export ``neo4j-csv``: a folder that ``neo4j-admin database import full`` reads, and the scripts that run it.

Typed header files, gzip parts (the same tables give the same bytes), one id space a label, so that ids may coincide
across labels. Written by columns, a batch in memory at a time. What CSV for Neo4j cannot say is said beside it:

- null is an empty field, the empty string ``""``; a null inside a list is left out (Neo4j has none);
- the delimiter of lists is a control character that no list holds, looked for in the data first;
- an empty list cannot be written: ``after-import.cypher`` sets them (see ``_lists``);
- files with line breaks inside values are found while writing, and only then is the slower reader asked for.
"""

from __future__ import annotations

import io
import json
import os
import queue
import shutil
import stat
import threading
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files as package_files
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from kgbuild import __version__, files, parquet
from kgbuild.errors import KgbuildError, StoreError
from kgbuild.exports import _neo4j_lists as lists
from kgbuild.exports import _neo4j_notes as notes
from kgbuild.exports import _neo4j_scripts as scripts
from kgbuild.exports._neo4j_lists import Lists
from kgbuild.tables import EDGES, NODES

PART_ROWS = 1_000_000
BATCH_ROWS = 50_000
FORMAT = 1
MAX_KEY_BYTES = 8_000  # what a range index of Neo4j takes
_LEVEL = 1  # of gzip: higher ones cost three times the time for a fifth of the size
_THREADS = 2  # tables written at once
_GZIP = 31  # zlib's window bits for a gzip frame; its header carries no time and no name
_TYPES = {
    pa.string(): "string",
    pa.int64(): "long",
    pa.float64(): "double",
    pa.bool_(): "boolean",
    pa.date32(): "date",
    pa.list_(pa.string()): "string[]",
}


@dataclass(frozen=True, slots=True)
class Table:
    """One table on its way: where it lies, how its header reads, what it becomes."""

    name: str  # nodes/Study, edges/has_image.Study.Image
    source: Path
    kind: str  # label or relationship type
    ends: tuple[str, ...]  # of a relationship: the labels it joins
    schema: pa.Schema

    @property
    def header(self) -> str:
        """First line of its header file."""
        columns = []
        for field in self.schema:
            if field.name == "id" and not self.ends:
                columns.append(f"id:ID({self.kind})")
            elif field.name == "source" and self.ends:
                columns.append(f":START_ID({self.ends[0]})")
            elif field.name == "target" and self.ends:
                columns.append(f":END_ID({self.ends[1]})")
            else:
                columns.append(f"{field.name}:{_TYPES[field.type]}")
        return ",".join(columns) + "\n"

    @property
    def pattern(self) -> str:
        """Its rows in Cypher, bound to ``x``."""
        return f"(:`{self.ends[0]}`)-[x:`{self.kind}`]->(:`{self.ends[1]}`)" if self.ends else f"(x:`{self.kind}`)"


@dataclass(frozen=True, slots=True)
class Written:
    """A table on disk: its parts, relative to the folder, and whether a value of it spans lines."""

    table: Table
    rows: int
    parts: tuple[str, ...]
    multiline: bool


def write(path: Path, tables: Path) -> int:
    """Write the folder, whole or not at all; returns nodes + relationships written.

    Raises:
        KgbuildError: ``path`` holds something that is not such a folder.
    """
    with _folder(path) as part:
        notes.write(tables, part / "notes.parquet")
        plans = [*_tables(tables), Table("nodes/Kgbuild", part / "notes.parquet", notes.LABEL, (), notes.NOTES)]
        found = lists.survey([(table.name, table.source, table.schema) for table in plans])
        with ThreadPoolExecutor(_THREADS) as pool:
            written = list(pool.map(lambda table: _write(part, table, found), plans))
        (part / "notes.parquet").unlink()
        (part / "after-import.cypher").write_text(
            lists.after_import({t.name: t.pattern for t in plans}, found), encoding="utf-8"
        )
        _describe(part, tables, written, found)
    return sum(entry.rows for entry in written if entry.table.kind != notes.LABEL)


def _tables(tables: Path) -> Iterator[Table]:
    for label, schema in NODES.items():
        yield Table(f"nodes/{label}", tables / "nodes" / f"{label}.parquet", label, (), schema)
    for edge in EDGES.values():
        for start, end in edge.pairs:
            name = f"edges/{edge.type}.{start}.{end}"
            yield Table(name, tables / f"{name}.parquet", edge.type, (start, end), edge.schema)


@contextmanager
def _folder(path: Path) -> Iterator[Path]:
    """A folder to fill that takes the place of ``path`` at the end, or goes if the block fails."""
    if path.exists() and not (path / "manifest.json").is_file() and not (path.is_dir() and not any(path.iterdir())):
        raise KgbuildError(
            f"{path} is not an earlier neo4j-csv export, and nothing of it is overwritten",
            where="--out",
            expected="a folder that does not exist yet, an empty one, or an earlier export",
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    part = files.part_path(path)
    shutil.rmtree(part, ignore_errors=True)
    (part / "nodes").mkdir(parents=True)
    (part / "edges").mkdir()
    try:
        yield part
        old = files.part_path(path.with_name(f"{path.name}.old"))
        if path.exists():
            os.replace(path, old)
        os.replace(part, path)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _write(folder: Path, table: Table, found: Lists) -> Written:
    (folder / f"{table.name}.header.csv").write_text(table.header, encoding="utf-8")
    parts: list[str] = []
    rows, in_part, multiline = 0, 0, False
    out: _Gzip | None = None
    try:
        mend = parquet.mend_tables(table.source.parent.parent)
        with parquet.reading(table.source, mend), pq.ParquetFile(table.source) as opened:
            for batch in opened.iter_batches(BATCH_ROWS):
                if batch.num_rows == 0:
                    continue
                if out is None or in_part + batch.num_rows > PART_ROWS:
                    if out is not None:
                        out.close()
                    parts.append(f"{table.name}.{len(parts) + 1:04d}.csv.gz")
                    out, in_part = _Gzip(folder / parts[-1]), 0
                text = _csv(batch, table, found)
                # as many line feeds as rows, and no carriage return: no value of it spans lines
                multiline = multiline or text.count(b"\n") != batch.num_rows or b"\r" in text
                out.write(text)
                rows += batch.num_rows
                in_part += batch.num_rows
    finally:
        if out is not None:
            out.close()
    return Written(table, rows, tuple(parts), multiline)


def _csv(batch: pa.RecordBatch, table: Table, found: Lists) -> bytes:
    _check_keys(batch, table)
    frame = pl.from_arrow(batch)
    assert isinstance(frame, pl.DataFrame)  # noqa: S101  from_arrow gives a Series only for an array
    columns = []
    for name, kind in frame.schema.items():
        if kind == pl.List(pl.String):
            columns.append(lists.joined(pl.col(name), found, (table.name, name)))
        elif kind == pl.Float64 and frame.get_column(name).is_infinite().any():
            signs = {"inf": "Infinity", "-inf": "-Infinity"}
            columns.append(pl.col(name).cast(pl.String).replace(signs).alias(name))
    buffer = io.BytesIO()
    frame.with_columns(columns).write_csv(buffer, include_header=False, quote_style="necessary", batch_size=8192)
    return buffer.getvalue()


def _check_keys(batch: pa.RecordBatch, table: Table) -> None:
    """A longer value goes into the database, and then no unique constraint or index on it can be made."""
    for column in ("id", "name") if not table.ends else ():
        if column in batch.schema.names:
            longest = pc.max(pc.binary_length(batch.column(column))).as_py() or 0
            if longest > MAX_KEY_BYTES:
                raise StoreError(
                    f"a value of {column} has {longest:,} bytes, more than a Neo4j index takes",
                    where=f"{table.name}.parquet",
                    expected=f"at most {MAX_KEY_BYTES:,} bytes",
                    next_step="give that row a shorter id; the embedded store takes any",
                )


class _Gzip:
    """A gzip file, compressed in a thread of its own while the next batch is read and formatted."""

    def __init__(self, path: Path) -> None:
        self._stream = path.open("wb")
        self._queue: queue.Queue[bytes | None] = queue.Queue(maxsize=2)
        self._error: OSError | None = None
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        compress = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)
        while (data := self._queue.get()) is not None:
            try:
                if self._error is None:
                    self._stream.write(compress.compress(data))
            except OSError as error:  # the disk is full: go on emptying the queue, and say so at the next write
                self._error = error
        try:
            if self._error is None:
                self._stream.write(compress.flush())
                self._stream.flush()
                os.fsync(self._stream.fileno())
        except OSError as error:
            self._error = error

    def write(self, data: bytes) -> None:
        if self._error is not None:
            raise self._error
        self._queue.put(data)

    def close(self) -> None:
        self._queue.put(None)
        self._thread.join()
        self._stream.close()
        if self._error is not None:
            raise self._error


def _describe(folder: Path, tables: Path, written: list[Written], found: Lists) -> None:
    graph = json.loads((tables / "graph.json").read_text(encoding="utf-8"))
    nodes = [table for table in written if not table.table.ends]
    edges = [table for table in written if table.table.ends]
    manifest = {
        "format": FORMAT,
        "kgbuild": __version__,
        "runs": graph["runs"],
        "nodes": sum(table.rows for table in nodes),
        "relationships": sum(table.rows for table in edges),
        "array_delimiter": scripts.code_point(found.delimiter),
        "tables": [
            {
                "name": entry.table.name,
                "kind": entry.table.kind,
                "ends": list(entry.table.ends),
                "rows": entry.rows,
                "multiline": entry.multiline,
                "files": [
                    {"name": name, "bytes": (folder / name).stat().st_size}
                    for name in (f"{entry.table.name}.header.csv", *entry.parts)
                ],
            }
            for entry in written
        ],
    }
    arguments = [
        (f"--nodes={e.table.kind}" if not e.table.ends else f"--relationships={e.table.kind}")
        + "="
        + ",".join((f"{e.table.name}.header.csv", *e.parts))
        for e in written
        if e.rows or not e.table.ends
    ]
    multiline = any(entry.multiline for entry in written)
    texts = scripts.texts(arguments, found.delimiter, multiline, len(lists.statements(folder)))
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8", newline="\n")
    runner = package_files("kgbuild.exports") / "_neo4j_import.py"
    (folder / "import.py").write_bytes(runner.read_bytes())
    for name in ("import.sh", "import-docker.sh", "neo4j-admin.sh", "import.py"):
        mode = (folder / name).stat().st_mode
        (folder / name).chmod(mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")


NEEDS = "graph"
FOLDER = True
PLUGIN = write
