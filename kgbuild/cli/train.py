"""``kgbuild train``: the shipped recipes, and training by one of them or by one's own."""

from __future__ import annotations

import itertools
import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kgbuild import console
from kgbuild.cli import options as o
from kgbuild.errors import UsageError

if TYPE_CHECKING:
    from kgbuild.pipelines.source import Source
    from kgbuild.pipelines.train_checks import Checked
    from kgbuild.recipes import Recipe
    from kgbuild.trainers.base import TrainingData


def train(
    recipe: Annotated[str | None, typer.Argument(help="A shipped recipe, or a file.", metavar="RECIPE")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="Another value, as training.epochs=1; repeat.", metavar="key=value"),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Checkpoint to write; default models/RECIPE.", metavar="DIR")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where a stopped training was.")] = False,
    list_: Annotated[bool, typer.Option("--list", help="List the shipped recipes, one a line.")] = False,
    show: Annotated[bool, typer.Option("--show", help="Print RECIPE with every value.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Judge RECIPE; needs no torch, data or weights.")] = False,
    workspace: o.Workspace = o.WORKSPACE,
    run: o.Run = None,
    radgraph: Annotated[
        list[Path] | None,
        typer.Option("--radgraph", help="Train on RadGraph's files, not on a run; repeat.", metavar="FILE"),
    ] = None,
    dataset: Annotated[
        str | None, typer.Option("--dataset", help="Data set to train on; default the recipe's.", metavar="NAME")
    ] = None,
    root: o.Root = None,
    images: o.Images = None,
    paper_split: Annotated[
        bool, typer.Option("--paper-split", help="Keep texts that stand in two splits, as the paper.")
    ] = False,
    fmt: o.Fmt = o.Format.table,
    dry_run: o.DryRun = False,
    quiet: o.Quiet = False,
    yes: o.Yes = False,
    debug: o.Debug = False,
) -> int:
    """Train a model by a recipe; safe to stop with --resume.

    Example: kgbuild train llm-kg_iu -w kg
    """
    from kgbuild import recipes

    if list_:
        if recipe is not None or show or check:
            raise UsageError("train --list takes no recipe", next_step="kgbuild train --list")
        _list(recipes.listing(), fmt)
        return 0
    if recipe is None or (show and check):
        raise UsageError(
            "train takes one RECIPE, or --list, --show RECIPE, --check RECIPE", next_step="kgbuild train --list"
        )
    chosen = recipes.with_settings(recipes.read(recipe), o.pairs(settings or [], "--set"))
    if show:
        _show(chosen, recipe, fmt)
        return 0
    if check:
        return _check(chosen, workspace, root, images, fmt, quiet)
    recipes.refuse_impossible(chosen, f"recipe {recipe}")
    out = out or Path("models") / chosen.name
    return _train(
        chosen, out, resume, workspace, run, radgraph or [], dataset, root, images, paper_split, fmt, dry_run, quiet
    )


def _list(known: list[Recipe], fmt: o.Format) -> None:
    columns = ("name", "trainer", "purpose", "paper", "memory")
    rows = [tuple(getattr(one, column) for column in columns) for one in known]
    if fmt is not o.Format.table:
        console.rows(columns, rows, fmt.value)
        return
    width = max(len(one.name) for one in known)
    for one in known:  # no header: each line is a recipe
        console.plain(f"{one.name.ljust(width)}  {one.purpose}" + (f" ({one.paper})" if one.paper else ""))


def _show(chosen: Recipe, name: str, fmt: o.Format) -> None:
    from kgbuild.recipes import as_dict
    from kgbuild.recipes.showing import as_yaml

    if fmt is o.Format.csv:
        raise UsageError("--show has no CSV form", expected="--format table (YAML) or json")
    if fmt is o.Format.json:
        console.document(as_dict(chosen))
    else:
        console.plain(as_yaml(chosen, name).rstrip())


def _check(chosen: Recipe, workspace: Path, root: Path | None, images: Path | None, fmt: o.Format, quiet: bool) -> int:
    from kgbuild.pipelines.recipe_check import check_here

    found = check_here(chosen, workspace, root=root, images=images)
    if found or fmt is not o.Format.table:
        console.rows(("level", "key", "message"), [(p.level, p.key, p.message) for p in found], fmt.value)
    errors = sum(problem.level == "error" for problem in found)
    if not quiet:
        console.say(f"{chosen.name}: {errors} errors, {len(found) - errors} warnings")
    return UsageError.exit_code if errors else 0


def _train(
    chosen: Recipe,
    out: Path,
    resume: bool,
    workspace: Path,
    run: str | None,
    radgraph: list[Path],
    dataset: str | None,
    root: Path | None,
    images: Path | None,
    paper_split: bool,
    fmt: o.Format,
    dry_run: bool,
    quiet: bool,
) -> int:
    from kgbuild import recipes

    if run is not None and radgraph:
        raise UsageError("--run and --radgraph exclude each other", expected="one source of training pairs")
    if radgraph and chosen.trainer != "llm-kg":
        raise UsageError(
            f"--radgraph files name no images, which {chosen.trainer} trains on",
            next_step="kgbuild import radgraph FILE --dataset NAME --root DIR, then train without --radgraph",
        )
    # text alone needs no data set beside its annotations; images are looked up where the data set lies
    reads_images = chosen.trainer != "llm-kg" or any((dataset, root, images))
    source = None
    if reads_images:
        source = o.source(dataset or chosen.data.dataset, root, images, workspace, None, None, None)
        chosen = recipes.with_settings(chosen, {"data.dataset": source.dataset})
    from kgbuild.pipelines import train as pipeline
    from kgbuild.pipelines.train_checks import check

    data: dict[str, Any] = {"run": run, "radgraph": radgraph, "source": source, "out": out, "resume": resume}
    if dry_run:
        checked = check(chosen, workspace, **data)
        console.facts(_plan(chosen, out, workspace, source, resume, checked), fmt.value)
        return 0
    recipes.require_packages(chosen)
    quiet = quiet or os.environ.get("RANK", "0") != "0"  # under torchrun one process speaks for all
    for note in check(chosen, workspace, **data).notes:
        if not quiet:
            console.say(note)
    said: list[str] = []

    def tell(pairs: TrainingData) -> None:
        said.extend([] if quiet else _before(chosen, pairs.counts))

    with console.progress(quiet) as progress:
        trained = pipeline.train(chosen, workspace, paper_split=paper_split, ready=tell, progress=progress, **data)
    if quiet:
        return 0
    console.facts({"checkpoint": trained.checkpoint, **trained.metrics}, fmt.value)
    for warning in (one for one in trained.warnings if one not in said):
        console.say(f"warning: {warning}")
    if chosen.trainer != "medclip":
        console.say(f"next: {_next(chosen, trained.checkpoint, workspace, root, images)}")
    return 0


def _next(chosen: Recipe, checkpoint: Path, workspace: Path, root: Path | None, images: Path | None) -> str:
    """The command that generates with what was trained: elsewhere, or the model's run would be trained on next."""
    from kgbuild.config import find_roots
    from kgbuild.plugins import find

    name = chosen.data.dataset
    found = find_roots(name, root, images, workspace)
    words = ["kgbuild", "generate", "--dataset", name]
    if found.root is not None or not getattr(find("datasets", name), "ships", False):
        words += ["--root", str(found.root or "DIR")]
    words += ["--images", str(found.images)] if found.images is not None else []
    words += ["--extractor", chosen.trainer, "--checkpoint", str(checkpoint)]
    return shlex.join([*words, "-w", f"{workspace}-generated" if workspace.name else "generated"])


def _before(chosen: Recipe, counts: dict[str, int]) -> list[str]:
    """Say what there is to train on, beside the paper's numbers, and what the recipe cannot do with it."""
    from kgbuild.pipelines.training_data import beside_paper
    from kgbuild.pipelines.training_examples import TEXT_ONLY
    from kgbuild.recipes import warnings_for

    for split, group in itertools.groupby(beside_paper(chosen.data.dataset, counts), key=lambda row: row[0]):
        rows = list(group)
        paper = f" (the paper: {rows[0][3]:,}; it does not say of what)" if rows[0][3] else ""
        console.say(f"{split}: " + ", ".join(f"{n:,} {what}" for _, what, n, _ in rows) + paper)
    for key, n in counts.items():
        if (key.startswith("left out") or key == TEXT_ONLY) and n:
            console.say(f"{key}: {n:,}")
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    said = warnings_for(chosen, counts["train: studies"], processes, n_validate=counts.get("validate: studies", 0))
    for warning in said:
        console.say(f"warning: {warning}")
    return said


def _plan(
    chosen: Recipe,
    out: Path,
    workspace: Path,
    source: Source | None,
    resume: bool,
    checked: Checked,
) -> dict[str, Any]:
    from kgbuild.pipelines.recipe_check import check_here

    found = check_here(
        chosen, workspace, root=source.root if source else None, images=source.images if source else None
    )
    training = chosen.training
    return {
        "recipe": chosen.name,
        "trainer": chosen.trainer,
        "purpose": chosen.purpose,
        "would train on": checked.trained_on,
        "images from": source.root if source else None,
        "starts from": chosen.model.base
        if chosen.trainer != "medclip"
        else chosen.model.image_encoder or "random weights",
        "length": f"{training.max_steps} steps" if training.max_steps else f"{training.epochs:g} epochs",
        "would write": out,
        "resume": resume,
        "memory": chosen.memory or None,
        "warnings": [*checked.notes, *(f"{problem.key}: {problem.message}" for problem in found)],
    }
