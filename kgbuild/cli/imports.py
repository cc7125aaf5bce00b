"""``kgbuild import``: other people's annotations as a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kgbuild import console
from kgbuild.cli import options as o


def radgraph(
    files: Annotated[list[Path], typer.Argument(help="RadGraph JSON or DyGIE++ JSON Lines.", metavar="FILE...")],
    dataset: Annotated[str | None, typer.Option("--dataset", help="Data set to join.", metavar="NAME")] = None,
    root: o.Root = None,
    images: o.Images = None,
    workspace: o.Workspace = o.WORKSPACE,
    split: o.Split = None,
    studies: o.Studies = None,
    limit: o.Limit = None,
    form: o.Form = None,
    section_parser: o.SectionParser = None,
    labeler: Annotated[int | None, typer.Option("--labeler", help="Annotator of a test file.", metavar="N")] = None,
    quiet: o.Quiet = False,
    yes: o.Yes = False,
    debug: o.Debug = False,
) -> int:
    """Import RadGraph, RadGraph-XL or DyGIE++ annotations.

    Example: kgbuild import radgraph MIMIC-CXR_graphs.json -w kg
    """
    from kgbuild.pipelines.importing import import_radgraph

    source = (
        o.source(dataset, root, images, workspace, split, studies, limit, form=form, section_parser=section_parser)
        if dataset
        else None
    )
    with console.progress(quiet) as progress:
        summary = import_radgraph(
            files, workspace, source=source, labeler=labeler, progress=progress, command=o.command_line()
        )
    return console.report([summary], workspace, quiet, "link")


COMMANDS = (("radgraph", radgraph),)
