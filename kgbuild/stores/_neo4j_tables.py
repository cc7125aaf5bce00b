"""The graph's tables as the loader wants them: batches of plain rows, of some data sets only, from some row on.

Tables hold all data sets of a graph. Which data set a row is of follows from its study: its own id, a column, or the
id of a mention, ``<study id>:<start>-<end>``. Batches are cut by rows of the file, so that a place in it is a number.
"""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Collection, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from kgbuild.errors import FileMissing, StoreError
from kgbuild.tables import EDGES, table_files

MAX_KEY_BYTES = 8_000  # a range index of Neo4j refuses longer values
_INDEXED = ("id", "source", "target", "name")
Row = tuple[Any, ...]


class Tables:
    """A graph folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        try:
            self._noted = json.loads((folder / "graph.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise FileMissing(f"no graph tables in {folder}", next_step="kgbuild load builds them") from None

    @property
    def runs(self) -> dict[str, dict[str, str]]:
        """Data set → its annotation and link run."""
        runs: dict[str, dict[str, str]] = self._noted["runs"]
        return runs

    def rows(self) -> dict[str, int]:
        """Rows of each file."""
        return {name: pq.read_metadata(self._folder / name).num_rows for name in table_files()}

    def of(self, datasets: Collection[str]) -> Selection:
        """The rows of some of its data sets, and those that are of none: concepts."""
        return Selection(self._folder, None if set(datasets) >= set(self.runs) else frozenset(datasets))

    def column(self, name: str, *columns: str) -> pl.DataFrame:
        """Whole columns of a file."""
        return pl.read_parquet(self._folder / name, columns=list(columns))


class Selection:
    """Rows of some data sets of a graph folder; of all where ``datasets`` is null."""

    def __init__(self, folder: Path, datasets: frozenset[str] | None) -> None:
        self._folder = folder
        self._datasets = datasets

    @cached_property
    def studies(self) -> pl.Series:
        """Ids of its studies."""
        found = pl.read_parquet(self._folder / "nodes/Study.parquet", columns=["id", "dataset"])
        return (
            found.filter(pl.col("dataset").is_in(sorted(self._datasets)))["id"]
            if self._datasets is not None
            else found["id"]
        )

    @cached_property
    def images(self) -> pl.DataFrame:
        """Its images: ``id``, ``study_id``."""
        found = pl.read_parquet(self._folder / "nodes/Image.parquet", columns=["id", "study_id"])
        return found.filter(self._of_study("study_id"))

    @cached_property
    def owners(self) -> pl.DataFrame:
        """Whose its studies are: ``source`` (patient), ``target`` (study)."""
        found = pl.read_parquet(self._folder / "edges/has_study.Patient.Study.parquet", columns=["source", "target"])
        return found.filter(self._of_study("target"))

    def _of_study(self, column: str) -> pl.Expr:
        return pl.lit(True) if self._datasets is None else pl.col(column).is_in(self.studies.implode())

    def _filter(self, name: str) -> pl.Expr | None:
        """What its rows of a file have in common; null where all are."""
        kind, _, rest = name.partition("/")
        label = rest.split(".")[0]
        if self._datasets is None or label == "Concept" or label.startswith("concept_"):
            return None
        if kind == "nodes":
            if label == "Patient":
                return pl.col("id").is_in(self.owners["source"].implode())
            return self._of_study("id" if label == "Study" else "study_id")
        start = rest.split(".")[1]
        if start == "Patient":
            return self._of_study("target")
        if start == "Image":
            return pl.col("source").is_in(self.images["id"].implode())
        if start == "Study":
            return self._of_study("source")
        return pl.col("source").str.replace(r":\d+-\d+$", "").is_in(self.studies.implode())

    def count(self, name: str) -> int:
        """Its rows of a file."""
        wanted = self._filter(name)
        if wanted is None:
            rows: int = pq.read_metadata(self._folder / name).num_rows
            return rows
        return sum(_frame(batch).filter(wanted).height for batch in self._read(name, 100_000))

    def distinct(self, name: str) -> int:
        """Its edges of a file, counted as the database does: one between two nodes (and presence, for concepts)."""
        keys = ["source", "target", *edge_keys(name)]
        wanted = self._filter(name)
        frame = pl.scan_parquet(self._folder / name)
        frame = frame if wanted is None else frame.filter(wanted)
        return frame.select(keys).unique().collect().height

    def concepts(self) -> set[str]:
        """Ids of the concepts that its rows lead to."""
        found: set[str] = set()
        for name in table_files():
            if name.endswith(".Concept.parquet") and "concept_" not in name:
                wanted = self._filter(name)
                for batch in self._read(name, 100_000, ["source", "target"]):
                    frame = _frame(batch)
                    found.update(frame.filter(wanted)["target"] if wanted is not None else frame["target"])
        return found

    def batches(self, name: str, size: int, skip: int = 0) -> Iterator[tuple[int, list[Row]]]:
        """(rows of the file up to and with this batch, rows of ours) from row ``skip`` on.

        Raises:
            StoreError: a key that Neo4j could not index.
        """
        wanted = self._filter(name)
        at = 0
        for batch in self._read(name, size):
            at += batch.num_rows
            if at <= skip:
                continue
            _check_keys(name, batch, at)
            if wanted is not None:
                frame = _frame(batch).filter(wanted)
                if frame.height:
                    yield at, frame.rows()
            else:
                yield at, list(zip(*(column.to_pylist() for column in batch.columns), strict=True))

    def _read(self, name: str, size: int, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
        with pq.ParquetFile(self._folder / name) as file:
            yield from file.iter_batches(size, columns=columns)


def edge_keys(name: str) -> list[str]:
    """Properties that tell edges of one type between the same two nodes apart."""
    kind = name.removeprefix("edges/").split(".")[0]
    return ["presence"] if kind.startswith("concept_") else ["model"] if kind == "shows" else []


def edge_names() -> list[tuple[str, str, str, str]]:
    """(file, type, from label, to label) of every edge table but the concept edges, which are counted."""
    return [
        (f"edges/{edge.type}.{start}.{end}.parquet", edge.type, start, end)
        for edge in EDGES.values()
        for start, end in edge.pairs
        if not edge.type.startswith("concept_")
    ]


def ahead(items: Iterator[Any], held: int = 2) -> Iterator[Any]:
    """The same items, made by a thread a few ahead of their use."""
    ready: queue.Queue[tuple[bool, Any]] = queue.Queue(held)
    stop = threading.Event()

    def give(item: tuple[bool, Any]) -> bool:
        while not stop.is_set():
            try:
                ready.put(item, timeout=0.2)
                return True
            except queue.Full:
                continue
        return False

    def make() -> None:
        try:
            for item in items:
                if not give((True, item)):
                    return
            give((False, None))
        except BaseException as error:  # told in the thread that uses the items
            give((False, error))

    maker = threading.Thread(target=make, daemon=True)
    maker.start()
    try:
        while True:
            more, item = ready.get()
            if more:
                yield item
            elif item is not None:
                raise item
            else:
                return
    finally:
        stop.set()
        maker.join()


def _frame(batch: pa.RecordBatch) -> pl.DataFrame:
    frame = pl.from_arrow(batch)
    assert isinstance(frame, pl.DataFrame)  # noqa: S101  from_arrow gives a Series only for an array
    return frame


def _check_keys(name: str, batch: pa.RecordBatch, end: int) -> None:
    for column in _INDEXED:
        if column in batch.schema.names:
            longest = pc.max(pc.binary_length(batch.column(column))).as_py()
            if longest is not None and longest > MAX_KEY_BYTES:
                raise StoreError(
                    f"a value of {column} has {longest:,} bytes, more than a Neo4j index takes",
                    where=f"{name}, rows {end - batch.num_rows} to {end - 1}",
                    expected=f"at most {MAX_KEY_BYTES:,} bytes",
                    next_step="give that row a shorter id; the embedded store takes any",
                )
