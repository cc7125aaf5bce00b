"""Runs: work split into chunks of studies, each written whole or not at all, done once, in any number of processes.

A run is a folder ``runs/<id>/`` with a manifest and one Parquet file a chunk. The id is made from the data's
fingerprint, the code's and the options, so the same input continues or repeats the same run. A chunk file that exists
is complete and is never written again; so any process may be killed at any time, and the same command goes on. One that
a disk or a copy has cut short since does not count as there: the same command makes it anew.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import re
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from kgbuild import __version__, files, parquet
from kgbuild.domain import Failure
from kgbuild.errors import FileMissing, KgbuildError, UsageError, WorkspaceError
from kgbuild.pipelines import tally
from kgbuild.pipelines.catalog import Catalog
from kgbuild.pipelines.workspace import Workspace

_ID = re.compile(r"^[\w-]+-[0-9a-f]{12}$")

Progress = Callable[[str, int, int], None]
"""Called with (stage, studies done, studies in all)."""


def silent(stage: str, done: int, total: int) -> None:
    """A Progress that shows nothing."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a run is. Holds no time, host or path, so that equal input gives equal bytes."""

    kind: str
    name: str
    dataset: str
    data: str
    code: str
    options: Mapping[str, Any]
    chunk_size: int
    n_studies: int
    counts: Mapping[str, int] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """Name of the extractor or linker and a hash of data, code and options."""
        inputs = [self.kind, self.name, self.dataset, self.data, self.code, self.options, self.chunk_size, __version__]
        digest = hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()
        return f"{self.name}-{digest[:12]}"

    @property
    def n_chunks(self) -> int:
        """At least one, so that an empty data set has a run too."""
        return max(1, -(-self.n_studies // self.chunk_size))

    def bounds(self, number: int) -> tuple[int, int]:
        """Half-open range of study positions of one chunk."""
        return number * self.chunk_size, min((number + 1) * self.chunk_size, self.n_studies)


class Job(Protocol):
    """One stage's work on one chunk. Picklable and small: each worker process opens its own tools from it."""

    def table(self, number: int) -> pa.Table:
        """The whole chunk's rows."""
        ...


@dataclass(frozen=True, slots=True)
class Run:
    """One run's folder."""

    folder: Path
    manifest: Manifest

    @property
    def id(self) -> str:
        """The run's id."""
        return self.folder.name

    def chunk(self, number: int) -> Path:
        """Where a chunk lies once it is done."""
        return self.folder / "chunks" / f"{number:06d}.parquet"

    def done(self) -> set[int]:
        """Numbers of the chunks that exist and are whole: their footers are read, 0.2 ms each."""
        return {number for number in self._there() if parquet.is_whole(self.chunk(number))}

    def damaged(self) -> list[int]:
        """Numbers of the chunks that exist and were cut short or altered since, as far as their footers show it."""
        return sorted(number for number in self._there() if not parquet.is_whole(self.chunk(number)))

    def _there(self) -> set[int]:
        stems = (p.stem for p in (self.folder / "chunks").glob("*.parquet"))
        return {int(stem) for stem in stems if stem.isdigit()}

    def complete(self) -> bool:
        """Whether every chunk is there."""
        return len(self.done()) >= self.manifest.n_chunks

    def chunks(self) -> Iterator[tuple[int, Path]]:
        """All chunks in order.

        Raises:
            WorkspaceError: some are damaged, or still to be done.
        """
        self.require()
        yield from ((number, self.chunk(number)) for number in range(self.manifest.n_chunks))

    def require(self) -> None:
        """See that every chunk is there and whole.

        Raises:
            WorkspaceError: some are damaged, or still to be done.
        """
        left = self.manifest.n_chunks - len(self.done())
        if not left:
            return
        damaged = self.damaged()
        if damaged:
            others = f" and {len(damaged) - 1} other chunks" if len(damaged) > 1 else ""
            raise WorkspaceError(
                f"{self.chunk(damaged[0])}{others} of run {self.id} is damaged",
                expected="a whole Parquet file",
                next_step=f"{self.command()} makes it anew and keeps the others",
            )
        raise WorkspaceError(
            f"run {self.id} is not complete: {left} of {self.manifest.n_chunks} chunks are still to be done",
            next_step="run the command that started it again; it goes on where it stopped",
        )

    def table(self, number: int, **options: Any) -> pa.Table:
        """One chunk's rows; ``options`` are those of ``pyarrow.parquet.read_table``.

        Raises:
            WorkspaceError: its bytes are not what was written.
        """
        path = self.chunk(number)
        with parquet.reading(path, f"remove that file; then {self.command()} makes it anew and keeps the others"):
            return pq.read_table(path, **options)

    def names(self, number: int) -> list[str]:
        """Columns that a chunk has."""
        path = self.chunk(number)
        with parquet.reading(path, f"remove that file; then {self.command()} makes it anew and keeps the others"):
            return list(pq.read_schema(path).names)

    def command(self) -> str:
        """The command that started this run, as the catalog remembers it; else in words."""
        try:
            catalog = Catalog(self.folder.parent.parent)
            try:
                known = catalog.run(self.id)
            finally:
                catalog.close()
        except KgbuildError:
            known = None
        return f"`{known['command']}`" if known and known["command"] else "the command that started the run"


def start(workspace: Workspace, manifest: Manifest, *, root: str | None = None) -> Run:
    """Open or begin a run; clears what dead processes left behind."""
    folder = workspace.runs / manifest.id
    (folder / "chunks").mkdir(parents=True, exist_ok=True)
    files.sweep(folder)
    file = folder / "run.json"
    if not file.is_file():
        files.write_text(file, json.dumps(_to_json(manifest), indent=1, sort_keys=True) + "\n")
    return Run(folder, manifest)


def find(workspace: Workspace, run_id: str) -> Run:
    """A run by its id.

    Raises:
        UsageError: there is none; the message lists those there are.
    """
    file = workspace.runs / run_id / "run.json"
    if "/" in run_id or not file.is_file():
        raise UsageError(f"no run {run_id!r} in {workspace.path}", expected=", ".join(ids(workspace)) or "none yet")
    return Run(file.parent, _from_json(file))


def find_annotations(workspace: Workspace, run_id: str) -> Run:
    """An annotation run by its id.

    Raises:
        UsageError: there is none, or it is a link run.
    """
    return require_annotations(find(workspace, run_id))


def require_annotations(run: Run) -> Run:
    """The same run, where it is one of annotations.

    Raises:
        UsageError: it is a link run.
    """
    if run.manifest.kind != "annotations":
        raise UsageError(f"{run.id} is a {run.manifest.kind} run", expected="an annotation run")
    return run


def unknown_side(what: str, workspace: Path | None, expected: str) -> KgbuildError:
    """Of a word that may name a file or a run and names neither: a wrong run id is usage, a file is missing."""
    told = f"{what} is neither a file nor a run" + (f" of {workspace}" if workspace else "")
    return UsageError(told, expected=expected) if _ID.search(what) else FileMissing(told, expected=expected)


def ids(workspace: Workspace) -> list[str]:
    """Ids of all runs, sorted."""
    return sorted(file.parent.name for file in workspace.runs.glob("*/run.json"))


def work(
    run: Run,
    job: Job,
    catalog: Catalog,
    *,
    shard: tuple[int, int] = (0, 1),
    workers: int = 1,
    progress: Progress = silent,
) -> int:
    """Do every chunk of this shard that is not there yet, or is damaged; returns how many were done now.

    Args:
        run: which run.
        job: makes a chunk's rows.
        catalog: told of every finished chunk.
        shard: (i, n): chunks i, i+n, i+2n, …
        workers: processes; 1 works in this one.
        progress: told of studies done.

    Raises:
        KgbuildError: a chunk failed as a whole; the others are kept.
    """
    done = run.done()
    mine = [number for number in range(run.manifest.n_chunks) if number % shard[1] == shard[0]]
    todo = [number for number in mine if number not in done]
    sizes = {number: run.manifest.bounds(number)[1] - run.manifest.bounds(number)[0] for number in mine}
    total, finished = sum(sizes.values()), sum(sizes[number] for number in mine if number in done)
    progress(run.manifest.kind, finished, total)
    one = partial(_one_chunk, run, job)
    for number, counts, digest, failures, worker in _spread(one, todo, workers):
        catalog.add_chunk(run.id, number, counts, digest, failures, worker)
        finished += sizes[number]
        progress(run.manifest.kind, finished, total)
    return len(todo)


def describe(run: Run, catalog: Catalog) -> dict[str, int]:
    """Summed counts of the chunks that exist, filling the catalog from the files where it lacks a chunk."""
    known = catalog.chunks(run.id)
    totals: dict[str, int] = {}
    for number in sorted(run.done()):
        row = known.get(number)
        if row is None or row["state"] != "done":
            table = run.table(number)
            counts = tally.counts(table)
            digest = files.sha256(run.chunk(number))
            catalog.add_chunk(run.id, number, counts, digest, tally.failures(table), "rebuilt")
        else:
            counts = row["counts"]
        for key, value in counts.items():
            totals[key] = totals.get(key, 0) + value
    return totals


Done = tuple[int, dict[str, int], str, list[Failure], str]


def _one_chunk(run: Run, job: Job, number: int) -> Done:
    table = job.table(number)
    path = run.chunk(number)
    with files.atomic(path) as part:
        pq.write_table(table, part, compression="zstd", compression_level=3)
    return number, tally.counts(table), files.sha256(path), tally.failures(table), f"pid {os.getpid()}"


def _spread(one: Callable[[int], Done], todo: list[int], workers: int) -> Iterator[Done]:
    """Yield results as they come, from this process or from a pool that dies with it."""
    workers = min(workers, len(todo))
    if workers <= 1:
        yield from map(one, todo)
        return
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_follow_parent)
    try:
        with _interrupts_ignored():  # what is started now inherits it, from its first instruction on
            pending = {pool.submit(one, number) for number in todo}
        while pending:
            ready, pending = wait(pending, return_when=FIRST_COMPLETED)
            for future in ready:
                yield future.result()
    except BrokenProcessPool:
        raise KgbuildError(
            "a worker process died (out of memory, or killed)",
            next_step="run the same command again: finished chunks are kept. Fewer --workers need less memory",
        ) from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread has a say in signals
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _follow_parent() -> None:
    """In a worker: leave Ctrl-C to the parent, and end when the parent ends, however it ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _to_json(manifest: Manifest) -> dict[str, Any]:
    names = ("kind", "name", "dataset", "data", "code", "options", "chunk_size", "n_studies", "counts")
    return {"format": 1, "kgbuild": __version__, **{name: getattr(manifest, name) for name in names}}


def _from_json(file: Path) -> Manifest:
    try:
        loaded = json.loads(file.read_text(encoding="utf-8"))
        names = ("kind", "name", "dataset", "data", "code", "options", "chunk_size", "n_studies", "counts")
        return Manifest(**{name: loaded[name] for name in names})
    except (ValueError, KeyError, TypeError):
        raise WorkspaceError(
            f"{file} is damaged", next_step=f"remove {file.parent} and run the command again"
        ) from None


def parse_shard(text: str) -> tuple[int, int]:
    """Read ``i/n`` with 0 ≤ i < n.

    Raises:
        UsageError: it is not that.
    """
    first, slash, second = text.partition("/")
    if slash and first.isdecimal() and second.isdecimal() and int(first) < int(second):
        return int(first), int(second)
    raise UsageError(f"--shard {text!r} cannot be read", expected="i/n with 0 <= i < n, as 0/8 … 7/8")
