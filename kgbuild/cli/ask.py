"""Commands that answer: ``query``, ``export``, ``explain``, ``status``, ``doctor``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kgbuild import console
from kgbuild.cli import options as o
from kgbuild.cli import stores as s
from kgbuild.errors import UsageError


def query(
    name: Annotated[str | None, typer.Argument(help="A shipped query.", metavar="NAME")] = None,
    param: Annotated[list[str] | None, typer.Option("--param", help="A parameter of the query.", metavar="k=v")] = None,
    cypher: Annotated[
        str | None, typer.Option("--cypher", help="Your own read-only statement.", metavar="TEXT")
    ] = None,
    list_: Annotated[bool, typer.Option("--list", help="List the shipped queries.")] = False,
    store: s.Store = "embedded",
    uri: s.Uri = None,
    user: s.User = None,
    database: s.Database = None,
    ca_file: s.CaFile = None,
    timeout: s.Timeout = None,
    workspace: o.Workspace = o.WORKSPACE,
    fmt: o.Fmt = o.Format.table,
    quiet: o.Quiet = False,
    debug: o.Debug = False,
) -> None:
    """Ask the graph a shipped question or your own Cypher.

    Example: kgbuild query findings --param limit=5 -w kg
    """
    from kgbuild import queries
    from kgbuild.pipelines import ask

    if [name is not None, cypher is not None, list_].count(True) != 1:
        raise UsageError("query takes one of NAME, --cypher TEXT or --list", next_step="kgbuild query --list")
    if list_:
        _list([queries.find(known) for known in queries.names()], fmt)
        return
    given = s.options(uri, user, database, ca_file, timeout)
    pairs: dict[str, str] = {}
    if cypher is not None:
        if param:
            raise UsageError("--param goes with a shipped query, not with --cypher")
        answer = ask.query_cypher(workspace, cypher, store=store, store_options=given)
    else:
        pairs = o.pairs(param or [], "--param")
        answer = ask.query(workspace, name or "", pairs, store=store, store_options=given)
    console.rows(answer.columns, answer.rows, fmt.value)
    if name is not None and not quiet:
        for hint in ask.hints(queries.find(name), pairs, answer):
            console.say(hint)


def _list(found: list[object], fmt: o.Format) -> None:
    from kgbuild.queries import Query

    known = [q for q in found if isinstance(q, Query)]
    if fmt is o.Format.json:
        console.document(
            [
                {
                    "name": q.name,
                    "title": q.title,
                    "params": [{"name": p.name, "type": p.type, "default": p.default} for p in q.parameters],
                    "returns": [{"name": column, "type": kind} for column, kind in q.returns],
                }
                for q in known
            ]
        )
        return
    rows = [
        (
            q.name,
            q.title,
            ", ".join(f"{p.name}: {p.type} = {p.default!r}" for p in q.parameters),
            ", ".join(c for c, _ in q.returns),
        )
        for q in known
    ]
    console.rows(("name", "title", "params", "returns"), rows, fmt.value)


def export(
    fmt: Annotated[str, typer.Argument(help="Format to write.", metavar="FORMAT")],
    out: o.Out,
    workspace: o.Workspace = o.WORKSPACE,
    run: o.Run = None,
    dataset: o.SomeDataset = None,
    labels: Annotated[str | None, typer.Option("--labels", help="radgraph, dygie: v1 or xl.")] = None,
    certainty: Annotated[str | None, typer.Option("--certainty", help="triplets: full or none.")] = None,
    dry_run: o.DryRun = False,
    quiet: o.Quiet = False,
    yes: o.Yes = False,
    debug: o.Debug = False,
) -> None:
    """Write annotations or the graph in another format.

    Example: kgbuild export radgraph --out radgraph.json -w kg
    """
    from kgbuild.pipelines.export import export as write
    from kgbuild.pipelines.export import plan_export

    if str(out) == "-":
        out, quiet = Path("/dev/stdout"), True
    if dry_run:
        console.facts(plan_export(workspace, fmt, out, run_id=run, dataset=dataset))
        return
    with console.progress(quiet) as progress:
        counts = write(
            workspace, fmt, out, run_id=run, dataset=dataset, progress=progress, labels=labels, certainty=certainty
        )
    if not quiet:
        console.say(f"{out}: " + ", ".join(f"{n:,} {what}" for what, n in counts.items() if n or what == "written"))


def explain(
    study: Annotated[str, typer.Argument(help="Study id, as in the graph.", metavar="STUDY")],
    workspace: o.Workspace = o.WORKSPACE,
    run: o.Run = None,
    fmt: o.Fmt = o.Format.table,
    quiet: o.Quiet = False,
    debug: o.Debug = False,
) -> None:
    """Show one study's annotation and the rule behind each part.

    Example: kgbuild explain CXR1 -w kg
    """
    from kgbuild.pipelines.explain import explain as look

    found = look(workspace, study, run)
    parts = {"tokens": found.tokens, "entities": found.entities, "relations": found.relations, "links": found.links}
    if fmt is o.Format.json:
        facts = {"study": found.study, "run": found.run, "status": found.status, "reason": found.reason}
        console.document({**facts, **parts, **found.written})
        return
    if fmt is o.Format.csv:
        keys = list(dict.fromkeys(["part", *(key for rows in parts.values() for row in rows for key in row)]))
        lines = [[{"part": part, **row}.get(key) for key in keys] for part, rows in parts.items() for row in rows]
        console.rows(keys, lines, "csv")
        return
    facts = {"study": found.study, "run": found.run, "status": found.status, "reason": found.reason}
    console.facts({**facts, **found.written})
    console.plain(" ".join(f"{row['text']}[{row['token']}]" for row in found.tokens))
    for part in ("entities", "relations", "links"):
        rows = parts[part]
        console.plain(f"\n{part}: {len(rows)}")
        if rows:
            console.rows(list(rows[0]), [list(row.values()) for row in rows])


def status(
    workspace: o.Workspace = o.WORKSPACE,
    failures: Annotated[bool, typer.Option("--failures", help="List every quarantined study.")] = False,
    fmt: o.Fmt = o.Format.table,
    quiet: o.Quiet = False,
    debug: o.Debug = False,
) -> None:
    """Show the runs of a workspace and what is left to do.

    Example: kgbuild status -w kg
    """
    from kgbuild.pipelines.status import loaded as graph
    from kgbuild.pipelines.status import status as look

    found = look(workspace)
    if failures:
        bad = [(r.run, f.study_id, f.stage, f.reason, f.where) for r in found for f in r.failures]
        console.rows(("run", "study", "stage", "reason", "where"), bad, fmt.value)
        return
    if fmt is o.Format.json:
        console.document(
            [
                {
                    "run": r.run,
                    "kind": r.kind,
                    "dataset": r.dataset,
                    "newest": r.newest,
                    "complete": r.chunks_done == r.chunks,
                    "chunks_done": r.chunks_done,
                    "chunks": r.chunks,
                    "chunks_damaged": r.damaged,
                    "studies": r.studies,
                    "quarantined": len(r.failures),
                    "counts": r.counts,
                }
                for r in found
            ]
        )
        return
    columns = ("run", "kind", "data set", "newest", "chunks", "studies", "quarantined", "state")
    rows = [
        (
            r.run,
            r.kind,
            r.dataset,
            r.newest,
            f"{r.chunks_done}/{r.chunks}",
            r.studies,
            len(r.failures),
            "done"
            if r.chunks_done == r.chunks
            else f"{r.chunks - r.chunks_done} chunks to do" + (f", {r.damaged} damaged" if r.damaged else ""),
        )
        for r in found
    ]
    console.rows(columns, rows, fmt.value)
    if not quiet:
        held = graph(workspace)
        told = ", ".join(f"{run} ({dataset})" for dataset, run in held.items())
        console.say(f"\nthe embedded store holds: {told or 'nothing; next: kgbuild load -w ' + str(workspace)}")


def doctor(
    workspace: o.Workspace = o.WORKSPACE,
    uri: s.Uri = None,
    user: s.User = None,
    database: s.Database = None,
    ca_file: s.CaFile = None,
    fmt: o.Fmt = o.Format.table,
    quiet: o.Quiet = False,
    debug: o.Debug = False,
) -> int:
    """Check what is installed, reachable, damaged and missing.

    Example: kgbuild doctor
    """
    from kgbuild.pipelines.status import as_dict
    from kgbuild.pipelines.status import doctor as look

    given = s.options(uri, user, database, ca_file)
    checks = [as_dict(check) for check in look(Path(workspace), given or None)]
    columns = ("what", "state", "needed", "detail", "mend")
    console.rows(columns, [[check[column] for column in columns] for check in checks], fmt.value)
    bad = [check["what"] for check in checks if check["needed"] and check["state"] != "ok"]
    if any(not what.startswith("workspace") for what in bad):
        return 3
    return 1 if bad else 0
