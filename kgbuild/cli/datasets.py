"""``kgbuild datasets``: what can be read, and what of it is on disk."""

from __future__ import annotations

from typing import Annotated

import typer

from kgbuild import console
from kgbuild.cli import options as o

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
    fmt: o.Fmt = o.Format.table,
    quiet: o.Quiet = False,
    debug: o.Debug = False,
) -> int:
    """Check what of a data set is on disk.

    Example: kgbuild datasets check iu-xray --root /data/iu_xray
    """
    from kgbuild.pipelines.inspect import check_dataset

    report = check_dataset(o.source(name, root, images, workspace, None, None, None, form=form))
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


COMMANDS = (("list", list_), ("check", check))
