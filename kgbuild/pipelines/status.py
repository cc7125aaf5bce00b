"""What there is and what is left to do (``status``); what is installed, reachable or missing (``doctor``)."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kgbuild import __version__, files, plugins, queries
from kgbuild.config import find_roots
from kgbuild.domain import Failure
from kgbuild.errors import KgbuildError
from kgbuild.pipelines import graph, runs
from kgbuild.pipelines.catalog import Catalog
from kgbuild.pipelines.workspace import FORMAT, Workspace


@dataclass(frozen=True, slots=True)
class RunStatus:
    """One run as ``status`` shows it."""

    run: str
    kind: str
    dataset: str
    newest: bool
    chunks_done: int
    chunks: int
    studies: int
    counts: dict[str, int]
    failures: tuple[Failure, ...]
    damaged: int = 0  # chunks that are there but were cut short or altered: they count as still to be done


def status(workspace: Path) -> list[RunStatus]:
    """Every run of a workspace, counted from its files; fills the catalog again where it is lost or behind.

    Raises:
        FileMissing: there is no workspace.
    """
    space = Workspace.open(workspace)
    catalog = Catalog(space.path)
    try:
        return [_status(space, catalog, run_id) for run_id in runs.ids(space)]
    finally:
        catalog.close()


def _status(space: Workspace, catalog: Catalog, run_id: str) -> RunStatus:
    run = runs.find(space, run_id)
    m = run.manifest
    row = {"id": run.id, "kind": m.kind, "dataset": m.dataset, "n_studies": m.n_studies, "n_chunks": m.n_chunks}
    catalog.add_run(row)
    counts = runs.describe(run, catalog)
    pointers = space.pointers(m.dataset)
    newest = run.id in (pointers["annotations"], pointers["links"].get(pointers["annotations"]))
    return RunStatus(
        run.id,
        m.kind,
        m.dataset,
        newest,
        len(run.done()),
        m.n_chunks,
        m.n_studies,
        counts,
        tuple(catalog.failures(run.id)),
        len(run.damaged()),
    )


def loaded(workspace: Path) -> dict[str, str]:
    """Data set → annotation run that the embedded store holds; empty where nothing is loaded."""
    space = Workspace.open(workspace)
    try:
        text = space.store.with_name("graph.json").read_text(encoding="utf-8")
        return {name: run["annotations"] for name, run in sorted(json.loads(text)["runs"].items())}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


@dataclass(frozen=True, slots=True)
class Check:
    """One line of ``doctor``: what was looked at, whether it is well, and the command that mends it."""

    what: str
    state: str  # ok, absent, problem
    detail: str
    mend: str = ""
    needed: bool = False


_PACKAGES = (
    ("ladybug", True, "embedded store", "pip install kgbuild"),
    ("polars", True, "tables", "pip install kgbuild"),
    ("pyarrow", True, "tables", "pip install kgbuild"),
    ("sqlalchemy", True, "catalog", "pip install kgbuild"),
    ("torch", False, "language models, training", "pip install 'kgbuild[train]'"),
    ("transformers", False, "language models, training", "pip install 'kgbuild[train]'"),
    ("peft", False, "language models, training", "pip install 'kgbuild[train]'"),
    ("trl", False, "training", "pip install 'kgbuild[train]'"),
    ("datasets", False, "training", "pip install 'kgbuild[train]'"),
    ("neo4j", False, "Neo4j store", "pip install 'kgbuild[neo4j]'"),
    ("rdflib", False, "RDF metadata", "pip install 'kgbuild[rdf]'"),
)


def doctor(workspace: Path | None = None, server: Mapping[str, str] | None = None) -> list[Check]:
    """Look at the installation, the shipped data, the data sets' roots, the workspace and, if named, a Neo4j server.

    Args:
        workspace: a folder that need not be one yet.
        server: options of store ``neo4j``; null leaves the server out.
    """
    checks = [
        Check("kgbuild", "ok", f"{__version__} on Python {platform.python_version()}", needed=True),
        *(_package(*package) for package in _PACKAGES),
        _shipped(),
        *(_root(name, workspace) for name in plugins.names("datasets")),
    ]
    if workspace is not None:
        checks += _workspace(workspace)
    if server is not None:
        checks.append(_server(server))
    return checks


def _package(name: str, needed: bool, what_for: str, mend: str) -> Check:
    try:
        return Check(name, "ok", f"{importlib.metadata.version(name)} ({what_for})", needed=needed)
    except importlib.metadata.PackageNotFoundError:
        return Check(name, "absent", f"not installed ({what_for})", mend, needed)


def _shipped() -> Check:
    try:
        found = [queries.find(name) for name in queries.names()]
    except KgbuildError as error:
        return Check("queries", "problem", error.message, "reinstall kgbuild", True)
    return Check("queries", "ok", f"{len(found)} shipped", needed=True)


def _root(name: str, workspace: Path | None) -> Check:
    kind = plugins.find("datasets", name)
    what = f"data set {name}"
    if getattr(kind, "ships", False):
        return Check(what, "ok", "ships with kgbuild")
    root = find_roots(name, None, None, workspace).root
    if root is None:
        variable = f"KGBUILD_{name.upper().replace('-', '_')}_ROOT"
        return Check(what, "absent", "no root set", f"export {variable}=DIR, or --root DIR on each command")
    if not root.is_dir() and not root.is_file():
        return Check(what, "problem", f"{root} does not exist", "correct the root")
    return Check(what, "ok", str(root))


def _workspace(path: Path) -> list[Check]:
    free_gb = shutil.disk_usage(_existing(path)).free / 1e9
    disk = Check(
        "disk",
        "ok" if free_gb > 5 else "problem",
        f"{free_gb:.1f} GB free for {path}",
        "" if free_gb > 5 else "free some",
    )
    if not (path / "workspace.json").exists():
        return [disk, Check("workspace", "absent", f"none at {path}", "kgbuild build --dataset … --root …")]
    try:
        space = Workspace.open(path)
        store = "graph loaded" if space.store.is_file() else "no graph loaded"
        mode = oct(path.stat().st_mode & 0o777)
        private = sys.platform == "win32" or not path.stat().st_mode & 0o077
        detail = f"{path}, format {FORMAT}, data sets: {', '.join(space.datasets()) or 'none'}; {store}; mode {mode}"
        return [
            disk,
            Check("workspace", "ok" if private else "problem", detail, "" if private else f"chmod 700 {path}"),
            *_damaged(space),
        ]
    except KgbuildError as error:
        return [disk, Check("workspace", "problem", error.message, error.next_step or "", True)]


def _damaged(space: Workspace) -> Iterator[Check]:
    """What the footers of chunks and tables, and the pointers, show to be no longer as it was written."""
    for dataset in space.datasets():
        space.pointers(dataset)
    for run_id in runs.ids(space):
        run = runs.find(space, run_id)
        if bad := [str(run.chunk(number)) for number in run.damaged()]:
            mend = f"{run.command()} makes them anew"
            yield Check(f"workspace run {run_id}", "problem", f"damaged: {', '.join(bad)}", mend, True)
        if changed := [str(run.chunk(number)) for number in _changed(space, run)]:
            mend = f"remove them; then {run.command()} makes them anew"
            detail = f"other bytes than the catalog noted: {', '.join(changed)}"
            yield Check(f"workspace run {run_id}", "problem", detail, mend, True)
    if tables := [str(path) for path in graph.damaged(space)]:
        mend = f"kgbuild load -w {space.path} makes them anew"
        yield Check("workspace graph", "problem", f"damaged: {', '.join(tables)}", mend, True)


def _changed(space: Workspace, run: runs.Run) -> list[int]:
    """Whole chunks whose bytes are not those that were noted when they were written; none where nothing is noted."""
    if not (space.path / "catalog.sqlite").is_file():
        return []  # looking must not make one
    catalog = Catalog(space.path)
    try:
        known = catalog.chunks(run.id)
    finally:
        catalog.close()
    noted = {number: known[number]["sha256"] for number in sorted(run.done()) if number in known}
    return [number for number, digest in noted.items() if digest and files.sha256(run.chunk(number)) != digest]


def _server(options: Mapping[str, str]) -> Check:
    try:
        store = plugins.find("stores", "neo4j")(**options)
        try:
            facts = store.about()
        finally:
            store.close()
    except KgbuildError as error:
        return Check("Neo4j server", "problem", error.message, error.next_step or error.expected or "", True)
    detail = ", ".join(
        f"{name} {value:,}" if isinstance(value, int) else f"{name} {value}" for name, value in facts.items()
    )
    return Check("Neo4j server", "ok", detail, needed=True)


def _existing(path: Path) -> Path:
    for folder in (path.absolute(), *path.absolute().parents):
        if folder.exists():
            return folder
    return Path(os.sep)


def as_dict(check: Check) -> dict[str, Any]:
    """A check as JSON."""
    return {
        "what": check.what,
        "state": check.state,
        "needed": check.needed,
        "detail": check.detail,
        "mend": check.mend,
    }
