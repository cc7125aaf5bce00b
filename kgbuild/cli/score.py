"""``kgbuild evaluate``: scores with n and intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from kgbuild import console
from kgbuild.cli import options as o
from kgbuild.errors import UsageError

if TYPE_CHECKING:
    from kgbuild.domain import Failure


def triplets(
    reference: Annotated[str, typer.Option("--reference", help="File or run taken to be right.", metavar="A")],
    predicted: Annotated[str, typer.Option("--predicted", help="File or run to score.", metavar="B")],
    baseline: Annotated[
        str | None, typer.Option("--baseline", help="Another prediction to compare.", metavar="C")
    ] = None,
    labeler: Annotated[
        int | None, typer.Option("--labeler", help="Annotator of a RadGraph test file.", metavar="N")
    ] = None,
    labels: Annotated[str, typer.Option("--labels", help="v1, or xl to tell measurements apart.")] = "v1",
    worst: Annotated[int, typer.Option("--worst", help="List the N worst studies.", metavar="N", min=0)] = 0,
    show_text: Annotated[bool, typer.Option("--show-text", help="With report words in that list.")] = False,
    workspace: o.Workspace = o.WORKSPACE,
    fmt: o.Fmt = o.Format.table,
    quiet: o.Quiet = False,
    debug: o.Debug = False,
) -> int:
    """Score entities and relations, strictly, with intervals.

    Example: kgbuild evaluate triplets --reference gold.json --predicted out.json
    """
    from kgbuild.metrics.rows import rows
    from kgbuild.pipelines.evaluate import evaluate_triplets

    if labels not in ("v1", "xl"):
        raise UsageError(f"--labels {labels!r} is unknown", expected="v1 or xl")
    scores, failures = evaluate_triplets(
        reference,
        predicted,
        baseline=baseline,
        workspace=workspace,
        labels=labels,
        labeler=labeler,
        n_worst=worst,
        show_text=show_text,
    )
    if fmt is o.Format.json:
        console.document({**scores, "unreadable": len(failures)})
    else:
        listed = scores.pop("worst", [])
        console.rows(("metric", "value", "low", "high", "n"), list(rows(scores)), fmt.value)
        for study in listed:
            console.plain("")
            console.facts(study)
    if not quiet:
        console.say()
        _summary(reference, scores, failures)
    return 4 if failures else 0


def text(
    reference: Annotated[str, typer.Option("--reference", help="File or run taken to be right.", metavar="A")],
    predicted: Annotated[str, typer.Option("--predicted", help="File or run to score.", metavar="B")],
    baseline: Annotated[
        str | None, typer.Option("--baseline", help="Another prediction to compare.", metavar="C")
    ] = None,
    certainty: Annotated[
        str, typer.Option("--certainty", help="String form of annotations: none (the paper's) or full.")
    ] = "none",
    form: Annotated[
        str, typer.Option("--as", help="Of a run: outputs (a model's own words, where kept) or graph.")
    ] = "outputs",
    beta: Annotated[float, typer.Option("--beta", help="Weight of recall in ROUGE-L.", metavar="X")] = 1.2,
    labeler: Annotated[
        int | None, typer.Option("--labeler", help="Annotator of a RadGraph test file.", metavar="N")
    ] = None,
    studies: o.Studies = None,
    workspace: o.Workspace = o.WORKSPACE,
    fmt: o.Fmt = o.Format.table,
    quiet: o.Quiet = False,
    debug: o.Debug = False,
) -> int:
    """Score triplet texts: BLEU, ROUGE-L and order-free F1.

    Example: kgbuild evaluate text --reference test50.json --predicted vlm-kg.json
    """
    from kgbuild.metrics.rows import rows
    from kgbuild.pipelines.evaluate_text import evaluate_text
    from kgbuild.pipelines.source import read_ids

    if certainty not in ("none", "full"):
        raise UsageError(f"--certainty {certainty!r} is unknown", expected="none or full")
    if form not in ("outputs", "graph"):
        raise UsageError(f"--as {form!r} is unknown", expected="outputs or graph")
    with console.progress(quiet) as progress:
        scores, failures = evaluate_text(
            reference,
            predicted,
            baseline=baseline,
            workspace=workspace,
            certainty="none" if certainty == "none" else "full",
            form="graph" if form == "graph" else "outputs",
            beta=beta,
            labeler=labeler,
            studies=None if studies is None else read_ids(studies),
            progress=progress,
        )
    if fmt is o.Format.json:
        console.document({**scores, "unreadable": len(failures)})
    else:
        console.rows(("metric", "value", "low", "high", "n"), list(rows(scores)), fmt.value)
    if not quiet:
        dropped = ", the paper's form, which drops certainty and lone entities" if certainty == "none" else ""
        console.say(f"\nannotations as text with certainty {certainty}{dropped}; ROUGE-L with beta {beta:g}")
        _summary(reference, scores, failures)
    return 4 if failures else 0


def _summary(reference: str, scores: dict[str, Any], failures: list[Failure]) -> None:
    console.say(f"reference {reference}: {scores['n_studies']:,} studies; 95 % bootstrap intervals over studies")
    if scores["missing"]:
        console.say(f"{scores['missing']:,} studies have no prediction and count as empty")
    if scores["extra"]:
        console.say(f"{scores['extra']:,} predicted studies are not in the reference and were left out")
    console.failures(failures)


COMMANDS = (("triplets", triplets), ("text", text))
