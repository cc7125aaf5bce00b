"""Commands that make things: ``demo``, ``build``, ``generate``, ``link``, ``load``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from kgbuild import console
from kgbuild.cli import options as o
from kgbuild.cli import stores as s
from kgbuild.cli.annotating import Work, takes_work

Linker = Annotated[str, typer.Option("--linker", help="Who links to concepts.", metavar="NAME")]
Concepts = Annotated[Path | None, typer.Option("--concepts", help="Another concept base.", metavar="DIR")]


@takes_work
def generate(
    work: Work,
    workspace: o.Workspace = o.WORKSPACE,
    shard: Annotated[str, typer.Option("--shard", help="Only chunks i, i+n, … of the run.", metavar="i/n")] = "0/1",
    fmt: o.Fmt = o.Format.table,
    dry_run: o.DryRun = False,
    quiet: o.Quiet = False,
    yes: o.Yes = False,
    debug: o.Debug = False,
) -> int:
    """Annotate the studies of a data set; safe to stop.

    Example: kgbuild generate --dataset iu-xray --root /data/iu_xray -w kg
    """
    from kgbuild.pipelines import stages
    from kgbuild.pipelines.runs import parse_shard

    part = parse_shard(shard)
    how: dict[str, Any] = {"extractor": work.extractor, "sections": work.sections, "options": work.options}
    if dry_run:
        console.facts(stages.plan_generate(work.source, workspace, shard=part, **how).lines, fmt.value)
        return 0
    with console.progress(quiet) as progress:
        summary = stages.generate(
            work.source,
            workspace,
            shard=part,
            workers=work.workers,
            progress=progress,
            command=o.command_line(),
            **how,
        )
    return console.report([summary], workspace, quiet, "link" if summary.complete else None, fmt.value)


def link(
    workspace: o.Workspace = o.WORKSPACE,
    dataset: o.SomeDataset = None,
    run: o.Run = None,
    linker: Linker = "lexical",
    concepts: Concepts = None,
    workers: o.Workers = None,
    dry_run: o.DryRun = False,
    quiet: o.Quiet = False,
    yes: o.Yes = False,
    debug: o.Debug = False,
) -> int:
    """Link every mention of a run to a concept.

    Example: kgbuild link -w kg
    """
    from kgbuild.pipelines import stages

    if dry_run:
        console.rows(("would link run", "with"), stages.plan_link(workspace, run=run, dataset=dataset, linker=linker))
        return 0
    with console.progress(quiet) as progress:
        summary = stages.link(
            workspace,
            run=run,
            dataset=dataset,
            linker=linker,
            concepts=concepts,
            workers=workers or stages.default_workers(),
            progress=progress,
            command=o.command_line(),
        )
    return console.report([summary], workspace, quiet, "load")


def load(
    workspace: o.Workspace = o.WORKSPACE,
    run: Annotated[list[str] | None, typer.Option("--run", help="Annotation run to load; default the newest.")] = None,
    store: s.Store = "embedded",
    uri: s.Uri = None,
    user: s.User = None,
    database: s.Database = None,
    ca_file: s.CaFile = None,
    replace: Annotated[bool, typer.Option("--replace", help="Write anew, also over another run.")] = False,
    into_existing: s.IntoExisting = False,
    dry_run: o.DryRun = False,
    quiet: o.Quiet = False,
    yes: o.Yes = False,
    debug: o.Debug = False,
) -> int:
    """Load node and edge tables into a store.

    Example: kgbuild load -w kg
    """
    from kgbuild.pipelines import stages

    given = s.options(uri, user, database, ca_file, into_existing=into_existing)
    if dry_run:
        plan = stages.plan_load(workspace, run_ids=run or [], store=store, store_options=given)
        console.rows(("data set", "would load run", "links"), plan)
        return 0
    with console.progress(quiet) as progress:
        summary = stages.load(
            workspace, run_ids=run or [], store=store, store_options=given, replace=replace, progress=progress
        )
    return console.report([summary], workspace, quiet, None)


@takes_work
def build(
    work: Work,
    workspace: o.Workspace = o.WORKSPACE,
    linker: Linker = "lexical",
    concepts: Concepts = None,
    fmt: o.Fmt = o.Format.table,
    dry_run: o.DryRun = False,
    quiet: o.Quiet = False,
    yes: o.Yes = False,
    debug: o.Debug = False,
) -> int:
    """Generate, link and load in one go.

    Example: kgbuild build --dataset iu-xray --root /data/iu_xray -w kg
    """
    from kgbuild.pipelines import stages

    how: dict[str, Any] = {"extractor": work.extractor, "sections": work.sections, "options": work.options}
    if dry_run:
        console.facts(stages.plan_generate(work.source, workspace, **how).lines, fmt.value)
        return 0
    with console.progress(quiet) as progress:
        summaries = stages.build(
            work.source,
            workspace,
            linker=linker,
            concepts=concepts,
            workers=work.workers,
            progress=progress,
            command=o.command_line(),
            **how,
        )
    return console.report(summaries, workspace, quiet, None, fmt.value)


def demo(
    directory: Annotated[Path, typer.Argument(metavar="[DIR]", help="Workspace to build in.")] = Path("kgbuild-demo"),
    quiet: o.Quiet = False,
    yes: o.Yes = False,
    debug: o.Debug = False,
) -> int:
    """Run the whole path on the shipped, made-up studies.

    Example: kgbuild demo
    """
    from kgbuild.pipelines import ask, stages
    from kgbuild.pipelines.source import resolve

    with console.progress(quiet) as progress:
        summaries = stages.build(resolve("examples"), directory, progress=progress, command=o.command_line())
    code = console.report(summaries, directory, quiet, None)
    if not quiet:
        console.say(f"\nkgbuild query graph-counts -w {directory}\n")
    counts = ask.query(directory, "graph-counts")
    console.rows(counts.columns, counts.rows)
    if not quiet:
        console.say(f"\nkgbuild query findings --param limit=10 -w {directory}\n")
    answer = ask.query(directory, "findings", {"limit": "10"})
    console.rows(answer.columns, answer.rows)
    if not quiet:
        console.say(f"\nnext: kgbuild query --list -w {directory}; kgbuild explain examples:ex001 -w {directory}")
    return code
