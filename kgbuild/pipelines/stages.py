"""The stages as a user calls them, from the command line or a notebook: generate, link, load, and build for all three.

Each opens the workspace, does what is still to be done, and returns a Summary that says what there is now.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kgbuild import plugins
from kgbuild.domain import Failure
from kgbuild.pipelines import graph, runs
from kgbuild.pipelines.ask import open_store
from kgbuild.pipelines.catalog import Catalog
from kgbuild.pipelines.generate import Annotate, run_annotate
from kgbuild.pipelines.link import LinkMentions, check_linker, run_link
from kgbuild.pipelines.runs import Progress, silent
from kgbuild.pipelines.source import Source
from kgbuild.pipelines.workspace import Workspace
from kgbuild.text import DEFAULT_SECTIONS


@dataclass(frozen=True, slots=True)
class Summary:
    """What a stage left behind.

    Attributes:
        stage: generate, link or load.
        runs: ids of the runs it made or used.
        counts: studies by status, entities, relations, links, or rows by table.
        failures: quarantined studies and rejected rows.
        done_now: chunks (or tables) done by this call; 0 where everything was there already.
        complete: false while other shards are still at work.
        hints: what a user may have overlooked.
    """

    stage: str
    runs: tuple[str, ...]
    counts: dict[str, int]
    failures: tuple[Failure, ...] = ()
    done_now: int = 0
    complete: bool = True
    hints: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """What a stage would do (``--dry-run``): nothing has been written."""

    stage: str
    run: str
    lines: dict[str, str | int] = field(default_factory=dict)


def default_workers() -> int:
    """One process a core that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def generate(
    source: Source,
    workspace: Path,
    *,
    extractor: str = "rules",
    sections: tuple[str, ...] = DEFAULT_SECTIONS,
    shard: tuple[int, int] = (0, 1),
    workers: int = 1,
    options: Mapping[str, str] | None = None,
    chunk_size: int | None = None,
    progress: Progress = silent,
    command: str | None = None,
) -> Summary:
    """Annotate the chosen studies; goes on where an earlier call stopped.

    Args:
        source: which studies of which data set.
        workspace: its folder; made if absent.
        extractor: who annotates.
        sections: of the report, in order.
        shard: (i, n): chunks i, i+n, i+2n, …
        workers: processes; an extractor may use fewer.
        options: the extractor's own, as ``{"checkpoint": "runs/llm-kg_iu"}``.
        chunk_size: studies in a chunk; by default the extractor's choice, else 512.
        progress: told of studies done.
        command: for the catalog.

    Raises:
        UsageError, MissingError: see ``source.open_dataset``, and the extractor.
        WorkspaceError: the folder is no workspace of this version.
    """
    job = Annotate(source, extractor, sections, chunk_size, _pairs(options))
    job.manifest()  # opens the data set first: a wrong root must not leave a new workspace behind
    space = Workspace.create(workspace)
    run, counts, done = run_annotate(space, job, shard=shard, workers=workers, progress=progress, command=command)
    without = counts.get("empty") or not run.manifest.n_studies
    nothing = without and not counts.get("annotated") and not counts.get("skipped")
    hints = (*job.hints, *(_no_text(run, sections) if nothing else ()))
    return Summary("generate", (run.id,), counts, tuple(_failures(space, run.id)), done, run.complete(), hints)


def _pairs(options: Mapping[str, str] | None) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((options or {}).items()))


def plan_generate(
    source: Source,
    workspace: Path,
    *,
    extractor: str = "rules",
    sections: tuple[str, ...] = DEFAULT_SECTIONS,
    shard: tuple[int, int] = (0, 1),
    options: Mapping[str, str] | None = None,
    chunk_size: int | None = None,
) -> Plan:
    """What ``generate`` would do, without writing anything."""
    manifest = Annotate(source, extractor, sections, chunk_size, _pairs(options)).manifest()
    folder = workspace / "runs" / manifest.id
    done = runs.Run(folder, manifest).done()
    mine = [n for n in range(manifest.n_chunks) if n % shard[1] == shard[0]]
    lines: dict[str, str | int] = {
        "data set": manifest.dataset,
        "studies": manifest.n_studies,
        "extractor": manifest.name,
        "sections": ", ".join(sections),
        "run": manifest.id,
        "chunks of this shard": len(mine),
        "chunks already done": len(done & set(mine)),
        "would write to": str(folder),
    }
    return Plan("generate", manifest.id, lines)


def link(
    workspace: Path,
    *,
    run: str | None = None,
    dataset: str | None = None,
    linker: str = "lexical",
    concepts: Path | None = None,
    workers: int = 1,
    progress: Progress = silent,
    command: str | None = None,
) -> Summary:
    """Link the mentions of one annotation run, or of the newest run of each data set."""
    space = Workspace.open(workspace)
    ids = [run] if run else [run_id for _, run_id in space.newest(dataset)]
    made, totals, done = [], {"links": 0}, 0
    for run_id in ids:
        annotations = runs.find_annotations(space, run_id)
        job = LinkMentions(annotations, linker, concepts)
        linked, counts, now = run_link(space, job, workers=workers, progress=progress, command=command)
        made.append(linked.id)
        totals["links"] += counts.get("links", 0)
        done += now
    return Summary("link", tuple(made), totals, done_now=done)


def load(
    workspace: Path,
    *,
    run_ids: Sequence[str] = (),
    store: str = "embedded",
    store_options: Mapping[str, str] | None = None,
    replace: bool = False,
    progress: Progress = silent,
) -> Summary:
    """Build the node and edge tables and load a store from them; twice changes nothing.

    Args:
        workspace: its folder.
        run_ids: annotation runs to load; the newest of every other data set is taken beside them.
        store: where to load them.
        store_options: the store's own options, such as ``{"uri": "bolt://localhost:7687"}``.
        replace: write anew: data sets of which the store holds another run, or all where it holds these very runs.
        progress: told of studies done, then of the store's rows.
    """
    space = Workspace.open(workspace)
    target = open_store(workspace, store, store_options)
    try:
        if not target.local:
            target.query("RETURN 1 AS one")  # a server that is away or refuses is told before the tables are built
        tables = graph.build(space, run_ids, progress)
        hints = _replaced(space, tables.folder) if target.local else ()
        done = int(replace or not target.holds(tables.folder))
        if done:
            target.load(tables.folder, replace=replace, progress=progress)
    finally:
        target.close()
    ids = tuple(run["annotations"] for _, run in sorted(tables.runs.items()))
    return Summary("load", ids, tables.rows, done_now=done, hints=hints)


def build(
    source: Source,
    workspace: Path,
    *,
    extractor: str = "rules",
    sections: tuple[str, ...] = DEFAULT_SECTIONS,
    linker: str = "lexical",
    concepts: Path | None = None,
    workers: int = 1,
    options: Mapping[str, str] | None = None,
    chunk_size: int | None = None,
    progress: Progress = silent,
    command: str | None = None,
) -> list[Summary]:
    """Generate, link and load one data set."""
    check_linker(linker, concepts)  # before hours of annotating, not after
    first = generate(
        source,
        workspace,
        extractor=extractor,
        sections=sections,
        workers=workers,
        options=options,
        chunk_size=chunk_size,
        progress=progress,
        command=command,
    )
    second = link(
        workspace,
        run=first.runs[0],
        linker=linker,
        concepts=concepts,
        workers=workers,
        progress=progress,
        command=command,
    )
    return [first, second, load(workspace, progress=progress)]


def plan_link(
    workspace: Path, *, run: str | None = None, dataset: str | None = None, linker: str = "lexical"
) -> list[tuple[str, str]]:
    """(annotation run, linker) of what ``link`` would do."""
    space = Workspace.open(workspace)
    plugins.find("linkers", linker)
    ids = [run] if run else [run_id for _, run_id in space.newest(dataset)]
    return [(runs.find_annotations(space, run_id).id, linker) for run_id in ids]


def plan_load(
    workspace: Path,
    *,
    run_ids: Sequence[str] = (),
    store: str = "embedded",
    store_options: Mapping[str, str] | None = None,
) -> list[tuple[str, str, str]]:
    """(data set, annotation run, link run) of what ``load`` would load."""
    open_store(workspace, store, store_options).close()
    pairs = graph.choose(Workspace.open(workspace), run_ids)
    return [(annotations.manifest.dataset, annotations.id, links.id) for annotations, links in pairs]


def _replaced(space: Workspace, tables: Path) -> tuple[str, ...]:
    """Data sets of which the embedded store holds another run than the tables: what was asked before answers anew."""
    try:
        before = json.loads(space.store.with_name("graph.json").read_text(encoding="utf-8"))["runs"]
        now = json.loads((tables / "graph.json").read_text(encoding="utf-8"))["runs"]
        changed = [name for name in sorted(before) if now.get(name, before[name]) != before[name]]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return ()
    return tuple(
        f"the graph held run {before[name]['annotations']} of {name}; it now holds {now[name]['annotations']}"
        for name in changed
        if before[name]["annotations"] != now[name]["annotations"]
    )


def _no_text(run: runs.Run, sections: tuple[str, ...]) -> tuple[str, ...]:
    """Where no study has a text: the sections that there are, if any, since these are probably wanted."""
    found = {
        name
        for number in sorted(run.done())
        for names in run.table(number, columns=["sections"])["sections"].to_pylist()
        for name in names or ()
    }
    if not run.manifest.n_studies:
        return ("the data set lists no study",)
    if found & set(sections):
        return ()  # of a study that failed
    others = sorted(found - set(sections))
    asked = ", ".join(sections)
    if not others:
        return (f"no study has a section {asked}: the graph will hold studies and images only",)
    return (f"no study has a section {asked}; there are {', '.join(others)}: name what you want with --sections",)


def _failures(space: Workspace, run_id: str) -> list[Failure]:
    catalog = Catalog(space.path)
    try:
        return catalog.failures(run_id)
    finally:
        catalog.close()
