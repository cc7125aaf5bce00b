"""``kgbuild datasets``: what can be read, and what of it is on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kgbuild import console
from kgbuild.cli import options as o
from kgbuild.errors import UsageError

Name = Annotated[str, typer.Argument(help="Data set: see kgbuild datasets list.", metavar="NAME")]


def list_(fmt: o.Fmt = o.Format.table, quiet: o.Quiet = False, debug: o.Debug = False) -> None:
    """List the data sets that kgbuild reads.

    Example: kgbuild datasets list --format json
    """
    from kgbuild.pipelines.inspect import list_datasets

    rows = [(d.name, d.title, ", ".join(d.aliases), ", ".join(d.options)) for d in list_datasets()]
    console.rows(("name", "title", "aliases", "options"), rows, fmt.value)


def check(
    name: Name,
    root: o.Root = None,
    images: o.Images = None,
    workspace: o.Workspace = o.WORKSPACE,
    form: o.Form = None,
    section_parser: o.SectionParser = None,
    mapping: o.Mapping = None,
    maps: o.Map = None,
    fmt: o.Fmt = o.Format.table,
    quiet: o.Quiet = False,
    debug: o.Debug = False,
) -> int:
    """Check what of a data set is on disk.

    Example: kgbuild datasets check iu-xray --root /data/iu_xray
    """
    from kgbuild.pipelines.inspect import check_dataset

    more = {"mapping": o.text_of(mapping), "map": o.lines(maps), "section_parser": section_parser}
    source = o.source(name, root, images, workspace, None, None, None, form=form, **more)
    report = check_dataset(source)
    columns = ("path", "needed", "present", "found", "expected", "size_bytes", "note")
    if fmt is o.Format.json:
        files = [{column: getattr(file, column) for column in columns} for file in report.files]
        bad = [{"study": f.study_id, "reason": f.reason, "where": f.where} for f in report.failures]
        console.document(
            {
                "dataset": report.name,
                "studies": report.studies,
                "counts": report.counts,
                "files": files,
                "failures": bad,
            }
        )
    else:
        console.rows(columns, [[getattr(file, column) for column in columns] for file in report.files], fmt.value)
    if not quiet:
        console.say(f"\n{report.name}: {report.studies:,} studies")
        for key, value in report.counts.items():
            console.say(f"  {key.replace('_', ' ')}: {value:,}")
        console.failures(report.failures)
    return 4 if report.failures else 0


def sections(
    name: Name,
    out: o.Out,
    root: o.Root = None,
    images: o.Images = None,
    workspace: o.Workspace = o.WORKSPACE,
    split: o.Split = None,
    studies: o.Studies = None,
    limit: o.Limit = None,
    form: o.Form = None,
    section_parser: o.SectionParser = None,
    mapping: o.Mapping = None,
    maps: o.Map = None,
    dry_run: o.DryRun = False,
    quiet: o.Quiet = False,
    debug: o.Debug = False,
) -> int:
    """Write the reports' sections as a CSV.

    Example: kgbuild datasets sections mimic --section-parser mit-lcp --out mimic_cxr_sectioned.csv
    """
    from kgbuild.pipelines.sections_csv import plan_source, write_source

    more = {"mapping": o.text_of(mapping), "map": o.lines(maps), "section_parser": section_parser}
    source = o.source(name, root, images, workspace, split, studies, limit, form=form, **more)
    if dry_run:
        console.facts(plan_source(source, out))
        return 0
    with console.progress(quiet) as progress:
        written = write_source(source, out, progress)
    if not quiet:
        console.say(
            f"{out}: " + ", ".join(f"{n:,} {what}" for what, n in written.counts.items() if n or what == "rows")
        )
        console.failures(written.failures)
    return 4 if written.failures else 0


def make(
    name: Annotated[str, typer.Argument(help="What to make: mimic.", metavar="NAME")],
    out: o.Out,
    studies: Annotated[int, typer.Option("--studies", help="How many studies.", metavar="N", min=1)],
    seed: Annotated[int, typer.Option("--seed", help="The same seed gives the same bytes.", metavar="S", min=0)] = 0,
    images: Annotated[bool, typer.Option("--images", help="Draw the images too (needs Pillow).")] = False,
    gold: Annotated[
        Path | None, typer.Option("--gold", help="Write the reports' RadGraph JSON.", metavar="FILE")
    ] = None,
    dry_run: o.DryRun = False,
    yes: o.Yes = False,
    quiet: o.Quiet = False,
    debug: o.Debug = False,
) -> None:
    """Make a synthetic set in MIMIC-CXR's layout.

    Example: kgbuild datasets make mimic --out made --studies 2000 --seed 1 --images --gold made.json
    """
    from kgbuild.synthesis import make_mimic, plan

    if name != "mimic":
        raise UsageError(f"{name!r} cannot be made", expected="mimic")
    if dry_run:
        console.facts({"out": out, **plan(out, studies, seed, images=images, replace=yes), "gold": gold})
        return
    with console.progress(quiet) as progress:
        counts = make_mimic(out, studies, seed, images=images, gold=gold, replace=yes, progress=progress)
    if not quiet:
        console.say(f"{out}: " + ", ".join(f"{n:,} {what}" for what, n in counts.items() if n))
        console.say(f"next: kgbuild datasets check mimic --root {out}")


COMMANDS = (("list", list_), ("check", check), ("sections", sections), ("make", make))
