"""Annotation and link chunks → the node and edge tables of DESIGN §5, one pass, one chunk in memory at a time.

A graph holds one annotation run a data set. Tables are written in chunk order, so equal runs give equal bytes. The
folder is built aside and swapped in; ``graph.json`` names the runs it holds, so that an unchanged graph is kept.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from kgbuild import __version__, files, parquet
from kgbuild.errors import FileMissing, KgbuildError, UsageError
from kgbuild.pipelines import graph_rows, graph_totals, runs
from kgbuild.pipelines.link import newest_links
from kgbuild.pipelines.runs import Progress, Run, silent
from kgbuild.pipelines.workspace import Workspace
from kgbuild.tables import EDGES, table_files

_ROWS = 100_000  # rows a row group: chunks are gathered until a table has so many


@dataclass(frozen=True, slots=True)
class Graph:
    """The tables on disk and what is in them."""

    folder: Path
    runs: dict[str, dict[str, str]]
    rows: dict[str, int]


def choose(workspace: Workspace, run_ids: Sequence[str] = ()) -> list[tuple[Run, Run]]:
    """(annotations, links) of each data set: the named runs, else the newest.

    Raises:
        UsageError: no such run, or two of one data set.
        FileMissing: nothing generated yet, or not linked.
        WorkspaceError: a chunk is damaged, or still to be done.
    """
    chosen: dict[str, Run] = {}
    for run_id in run_ids:
        run = runs.find_annotations(workspace, run_id)
        if run.manifest.dataset in chosen:
            raise UsageError(f"--run names two runs of data set {run.manifest.dataset}: a graph holds one")
        chosen[run.manifest.dataset] = run
    for dataset, run_id in workspace.newest() if not chosen or workspace.datasets() else ():
        chosen.setdefault(dataset, runs.find(workspace, run_id))
    pairs = [(run, newest_links(workspace, run)) for _, run in sorted(chosen.items())]
    for pair in pairs:
        for run in pair:
            run.require()
    return pairs


def build(workspace: Workspace, run_ids: Sequence[str] = (), progress: Progress = silent) -> Graph:
    """Build the tables of the chosen runs, or keep those that are there if they are of the same runs and whole.

    Raises:
        KgbuildError: two data sets give one study or image the same id.
    """
    pairs = choose(workspace, run_ids)
    wanted = {
        "kgbuild": __version__,
        "runs": {a.manifest.dataset: {"annotations": a.id, "links": link.id} for a, link in pairs},
    }
    present = _read(workspace.graph)
    if present is not None and {key: present[key] for key in wanted} == wanted and not damaged(workspace):
        return Graph(workspace.graph, present["runs"], present["rows"])
    files.sweep(workspace.path)
    aside = files.part_path(workspace.graph)
    shutil.rmtree(aside, ignore_errors=True)
    try:
        rows = _write(aside, pairs, progress)
        text = json.dumps({**wanted, "rows": rows}, indent=1, sort_keys=True) + "\n"
        (aside / "graph.json").write_text(text, encoding="utf-8")
        _swap(aside, workspace.graph)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return Graph(workspace.graph, wanted["runs"], rows)  # type: ignore[arg-type]


def _read(folder: Path) -> dict[str, Any] | None:
    try:
        loaded: dict[str, Any] = json.loads((folder / "graph.json").read_text(encoding="utf-8"))
        return loaded if isinstance(loaded, dict) and {"kgbuild", "runs", "rows"} <= set(loaded) else None
    except (OSError, ValueError):
        return None


def damaged(workspace: Workspace) -> list[Path]:
    """Tables that are absent, cut short, or hold other rows than ``graph.json`` says; none where nothing is built."""
    present = _read(workspace.graph)
    if present is None:
        return []
    said = present["rows"] if isinstance(present["rows"], dict) else {}
    files_ = {name: workspace.graph / name for name in table_files()}
    return [path for name, path in files_.items() if (found := parquet.rows(path)) is None or found != said.get(name)]


def _swap(aside: Path, place: Path) -> None:
    old = files.part_path(place.with_name(f"{place.name}.old"))
    if place.exists():
        os.replace(place, old)
    os.replace(aside, place)
    shutil.rmtree(old, ignore_errors=True)


@dataclass
class _Writer:
    """One table's file: gathers frames and writes them as row groups of about equal size."""

    path: Path
    schema: pa.Schema
    rows: int = 0
    _held: list[pa.Table] = field(default_factory=list)
    _n_held: int = 0
    _file: pq.ParquetWriter | None = None

    def add(self, frame: pl.DataFrame) -> None:
        if frame.height == 0:
            return
        table = frame.select(self.schema.names).to_arrow().cast(self.schema)
        self._held.append(table)
        self._n_held += table.num_rows
        if self._n_held >= _ROWS:
            self._flush()

    def _flush(self) -> None:
        if self._file is None:
            self._file = pq.ParquetWriter(self.path, self.schema, compression="zstd", compression_level=3)
        if self._held:
            self._file.write_table(pa.concat_tables(self._held).combine_chunks(), row_group_size=self._n_held)
            self.rows += self._n_held
        self._held, self._n_held = [], 0

    def close(self) -> None:
        self._flush()
        if self._file is not None:
            self._file.close()


def _write(folder: Path, pairs: Sequence[tuple[Run, Run]], progress: Progress) -> dict[str, int]:
    (folder / "nodes").mkdir(parents=True)
    (folder / "edges").mkdir()
    total = sum(run.manifest.n_studies for run, _ in pairs)
    done = 0
    keys = _Keys()
    totals = graph_totals.Totals()
    with ExitStack() as stack:
        writers = {}
        for name, schema in table_files().items():
            writers[name] = _Writer(folder / name, schema)
            stack.callback(writers[name].close)
        progress("graph", 0, total)
        for annotations, links in pairs:
            dataset = annotations.manifest.dataset
            follows = graph_totals.Follows()
            for number, _ in annotations.chunks():
                chunk = graph_rows.Chunk(_frame(annotations, number), _frame(links, number), annotations.id)
                for name, frame in chunk.tables():
                    if name in ("nodes/Study.parquet", "nodes/Image.parquet"):
                        keys.check(name, frame, dataset)
                    if name == "nodes/Patient.parquet":
                        frame = keys.new_patients(frame, dataset)
                    writers[name].add(frame)
                totals.add(chunk)
                follows.add(chunk.studies)
                done += annotations.manifest.bounds(number)[1] - annotations.manifest.bounds(number)[0]
                progress("graph", done, total)
            writers["edges/follows.Study.Study.parquet"].add(follows.frame())
        for name, frame in totals.tables():
            writers[name].add(frame)
        for writer in writers.values():
            writer.close()
        return {name: writer.rows for name, writer in writers.items()}


def _frame(run: Run, number: int) -> pl.DataFrame:
    # through pyarrow: the schema's types come back exactly, also for columns that are null throughout
    frame = pl.from_arrow(run.table(number))
    assert isinstance(frame, pl.DataFrame)  # noqa: S101  from_arrow gives a Series only for an array
    return frame


class _Keys:
    """Ids seen so far, so that a clash between two data sets is an error that names both."""

    def __init__(self) -> None:
        self._owner: dict[str, dict[str, str]] = {}

    def check(self, table: str, frame: pl.DataFrame, dataset: str) -> None:
        seen = self._owner.setdefault(table, {})
        for key in frame.get_column("id").to_list():
            if key in seen:
                raise KgbuildError(
                    f"id {key} is used twice in {table}",
                    where=f"data sets {seen[key]} and {dataset}",
                    next_step="load one of them with --run into a workspace of its own",
                )
            seen[key] = dataset

    def new_patients(self, frame: pl.DataFrame, dataset: str) -> pl.DataFrame:
        seen = self._owner.setdefault("patients", {})
        clash = next((key for key in frame.get_column("id").to_list() if seen.get(key, dataset) != dataset), None)
        if clash is not None:
            raise KgbuildError(f"patient {clash} stands in two data sets", where=f"{seen[clash]} and {dataset}")
        fresh = frame.filter(~pl.col("id").is_in(list(seen)))
        seen.update(dict.fromkeys(fresh.get_column("id").to_list(), dataset))
        return fresh


def require(workspace: Workspace) -> Graph:
    """The tables as they stand, without building.

    Raises:
        FileMissing: there are none yet.
    """
    present = _read(workspace.graph)
    if present is None:
        raise FileMissing(f"no graph tables in {workspace.path}", next_step=f"kgbuild load -w {workspace.path}")
    return Graph(workspace.graph, present["runs"], present["rows"])


def edge_files(folder: Path) -> list[tuple[str, str, str, Path]]:
    """(type, from label, to label, file) of every edge table."""
    return [
        (edge.type, start, end, folder / "edges" / f"{edge.type}.{start}.{end}.parquet")
        for edge in EDGES.values()
        for start, end in edge.pairs
    ]
