"""``kgbuild reproduce``: a paper's table beside one's own figures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from kgbuild import console
from kgbuild.cli import options as o

SECTIONS = "findings,impression"
_OWN = ("brevity_penalty", "length_ratio")


def reproduce(
    table: Annotated[str, typer.Argument(help="table1, table2, table3 or table4 (VLM-KG).", metavar="TABLE")],
    checkpoint: Annotated[
        list[Path] | None, typer.Option("--checkpoint", help="A trained model; repeat.", metavar="DIR")
    ] = None,
    reference: Annotated[
        str | None, typer.Option("--reference", help="File or run taken to be right.", metavar="A")
    ] = None,
    predicted: Annotated[
        list[str] | None,
        typer.Option("--predicted", help="File or run to score, one a checkpoint or row; repeat.", metavar="B"),
    ] = None,
    row: Annotated[
        list[str] | None,
        typer.Option("--row", help="The row it belongs to, where the recipe does not say; repeat.", metavar="NAME"),
    ] = None,
    dataset: Annotated[
        str | None, typer.Option("--dataset", help="Generate first, from this data set.", metavar="NAME")
    ] = None,
    root: o.Root = None,
    images: o.Images = None,
    split: o.Split = None,
    studies: o.Studies = None,
    limit: o.Limit = None,
    sections: o.Sections = SECTIONS,
    labeler: Annotated[
        int | None, typer.Option("--labeler", help="Annotator of a RadGraph test file.", metavar="N")
    ] = None,
    beta: Annotated[float, typer.Option("--beta", help="Weight of recall in ROUGE-L.", metavar="X")] = 1.2,
    workspace: o.Workspace = o.WORKSPACE,
    fmt: o.Fmt = o.Format.table,
    quiet: o.Quiet = False,
    debug: o.Debug = False,
) -> int:
    """Print a paper's table beside your own figures.

    Example: kgbuild reproduce table1 --checkpoint models/vlm-kg_mimic_paper
    """
    from kgbuild.pipelines.generate import parse_sections
    from kgbuild.pipelines.reproduce import Data
    from kgbuild.pipelines.reproduce import reproduce as run_reproduce
    from kgbuild.pipelines.source import read_ids

    data = None
    if dataset is not None:
        source = o.source(dataset, root, images, workspace, split, studies, limit)
        data = Data(source, workspace, parse_sections(sections))
    with console.progress(quiet) as progress:
        found = run_reproduce(
            table,
            checkpoints=checkpoint or [],
            predicted=predicted or [],
            rows=row or [],
            reference=reference,
            labeler=labeler,
            studies=None if studies is None else read_ids(studies),
            data=data,
            workspace=workspace,
            beta=beta,
            progress=progress,
            command=o.command_line(),
        )
    if fmt is o.Format.json:
        console.document(found)
    else:
        _print(found, fmt.value)
    if not quiet:
        _explain(found)
    owns = [own for one in found["rows"] for own in one["own"]]
    return 4 if any(own["unreadable"] or own["quarantined"] for own in owns) else 0


def _print(found: dict[str, Any], fmt: str) -> None:
    """The paper's line of each row, and below it one's own; percent, but for the two of length."""
    measures = list(found["rows"][0]["paper"])
    lines: list[tuple[Any, ...]] = []
    for one in found["rows"]:
        lines.append((one["name"], "paper", *(_percent(one["paper"][key]) for key in measures), *(None,) * 4))
        for own in one["own"]:
            scores = own["scores"]
            values = [_percent(scores[key]["value"]) for key in measures]
            lengths = [scores[key]["value"] for key in _OWN]
            mine = (*values, _percent(scores["triplet"]["f1"]["value"]), *lengths, scores["n_studies"])
            lines.append((one["name"], own["checkpoint"] or own["predicted"], *mine))
    console.rows(("row", "whose", *measures, "triplet_f1", *_OWN, "n"), lines, fmt)


def _percent(value: float | None) -> float | None:
    return None if value is None else round(100 * value, 2)


def _explain(found: dict[str, Any]) -> None:
    source = found["source"]
    console.say(f"\n{found['table']}: {found['title']}; percent, but for brevity_penalty and length_ratio")
    console.say(f"paper: {source['title']} ({source['authors']}, {source['year']}), {source['url']}")
    console.say(f"paper's figures are on {found['test']}; none of them was computed here")
    for one in found["rows"]:
        if one["note"]:
            console.say(f"  {one['name']}: {one['note']}")
        for own in one["own"]:
            scores = own["scores"]
            console.say(
                f"  {one['name']}: {own['predicted']}, {scores['n_studies']:,} studies, "
                f"{scores['missing']:,} without a prediction"
            )
            if own["quarantined"]:
                console.say(f"    {own['quarantined']:,} studies of the run were quarantined: they count as empty")
    if found["commands"]:
        console.say("\nto fill the other rows (kgbuild train --show RECIPE says what comes before;")
        console.say("test.json: RadGraph's; test50.txt: the study ids of its 50 MIMIC reports, one a line):")
        for command in found["commands"]:
            console.say(f"  {command}")
