"""Read the graph's node and edge tables as rows, batch by batch: what the streaming writers share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from kgbuild import parquet
from kgbuild.tables import EDGES, NODES

BATCH_ROWS = 20_000


def nodes(tables: Path) -> Iterator[tuple[str, pa.RecordBatch]]:
    """(label, batch) of every node table, in the order of ``tables.NODES``."""
    for label in NODES:
        for batch in _batches(tables / "nodes" / f"{label}.parquet"):
            yield label, batch


def edges(tables: Path) -> Iterator[tuple[str, str, str, pa.RecordBatch]]:
    """(type, from label, to label, batch) of every edge table, in the order of ``tables.EDGES``."""
    for edge in EDGES.values():
        for start, end in edge.pairs:
            for batch in _batches(tables / "edges" / f"{edge.type}.{start}.{end}.parquet"):
                yield edge.type, start, end, batch


def rows(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    """A batch as Python dicts."""
    out: list[dict[str, Any]] = batch.to_pylist()
    return out


def _batches(file: Path) -> Iterator[pa.RecordBatch]:
    with parquet.reading(file, parquet.mend_tables(file.parent.parent)), pq.ParquetFile(file) as opened:
        yield from opened.iter_batches(BATCH_ROWS)
