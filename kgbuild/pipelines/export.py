"""Write a run's annotations or the graph's tables in another format: one module of ``exports`` a format."""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path
from typing import Any

from polars.exceptions import ComputeError

from kgbuild import parquet, plugins
from kgbuild.errors import KgbuildError, UsageError, WorkspaceError
from kgbuild.pipelines import graph, records, runs
from kgbuild.pipelines.runs import Progress, Run, silent
from kgbuild.pipelines.splits import disjoint, training_pairs
from kgbuild.pipelines.workspace import Workspace

_CHOICES = {"labels": ("v1", "xl"), "certainty": ("full", "none")}


def export(
    workspace: Path,
    fmt: str,
    out: Path,
    *,
    run_id: str | None = None,
    dataset: str | None = None,
    progress: Progress = silent,
    **options: Any,
) -> dict[str, int]:
    """Write ``out`` whole or not at all; returns ``written`` (studies, triples, nodes and edges, or files) and counts.

    Args:
        workspace: its folder.
        fmt: a format's name.
        out: file to write (a folder for ``parquet`` and ``neo4j-csv``).
        run_id: an annotation run; default the newest. Formats of annotations take one data set at a time.
        dataset: which data set's newest run, where the workspace holds several.
        progress: told of studies done while tables are built.
        options: what the format takes, as ``labels`` or ``certainty``; null ones are left to it.

    Raises:
        UsageError: unknown format, run or option, or several data sets and none named.
        MissingError: no workspace, nothing generated, not linked.
    """
    write = plugins.find("exports", fmt)
    module = importlib.import_module(write.__module__)
    needs = getattr(module, "NEEDS", "annotations")
    given = {name: value for name, value in options.items() if value is not None}
    known = list(inspect.signature(write).parameters)[2:]
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise UsageError(f"export {fmt} has no option {unknown[0]!r}", expected=", ".join(known) or "none")
    for name, choices in _CHOICES.items():
        if name in given and given[name] not in choices:
            raise UsageError(f"--{name} {given[name]!r} is unknown", expected=" or ".join(choices))
    space = Workspace.open(workspace)
    out = Path(out)
    _check_out(out, fmt, folder=getattr(module, "FOLDER", False))
    if needs == "graph":
        tables = graph.build(space, [run_id] if run_id else [], progress)
        try:
            return {"written": write(out, tables.folder, **given)}
        except ComputeError:  # polars, where it meets bytes that are not what was written
            told = f"a table of {tables.folder} is damaged"
            raise WorkspaceError(told, next_step=parquet.mend_tables(tables.folder)) from None
    run = one_run(space, run_id, dataset)
    if needs == "training":
        assigned = disjoint(run)
        return {"written": write(out, training_pairs(run, assigned), **given), **assigned.counts}
    return {"written": write(out, records.read(run), **given)}


def _check_out(out: Path, fmt: str, *, folder: bool) -> None:
    """Refuse a place that cannot be written to, before anything is worked for it."""
    if out.is_dir() and not folder:
        raise KgbuildError(f"{out} is a folder", where="--out", expected="a file's name")
    if folder and out.exists() and not out.is_dir():
        raise KgbuildError(f"{out} is a file", where="--out", expected=f"a folder's name: {fmt} writes several files")
    above = next((place for place in out.absolute().parents if place.exists()), None)
    if above is not None and not above.is_dir():
        raise KgbuildError(f"{out} cannot be made: {above} is a file", where="--out", expected="a place in a folder")


def plan_export(
    workspace: Path, fmt: str, out: Path, *, run_id: str | None = None, dataset: str | None = None
) -> dict[str, str]:
    """What ``export`` would do."""
    write = plugins.find("exports", fmt)
    space = Workspace.open(workspace)
    module = importlib.import_module(write.__module__)
    _check_out(Path(out), fmt, folder=getattr(module, "FOLDER", False))
    needs = getattr(module, "NEEDS", "annotations")
    if needs == "graph":
        chosen = ", ".join(run.id for run, _ in graph.choose(space, [run_id] if run_id else []))
    else:
        chosen = one_run(space, run_id, dataset).id
    return {"format": fmt, "run": chosen, "would write to": str(out)}


def one_run(space: Workspace, run_id: str | None, dataset: str | None = None) -> Run:
    """The annotation run that was named, or the newest of the only (or the named) data set."""
    if run_id is None:
        pairs = space.newest(dataset)
        if len(pairs) > 1:
            raise UsageError(
                "the workspace holds several data sets",
                expected="--dataset with one of " + ", ".join(name for name, _ in pairs) + ", or --run",
            )
        run_id = pairs[0][1]
    return runs.find_annotations(space, run_id)
