"""Recipe + annotations → training pairs → trainer → checkpoint folder with its card."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from kgbuild import plugins
from kgbuild.notation.triplets import parse_triplets
from kgbuild.pipelines import medclip_data, train_checks, training_data
from kgbuild.pipelines.runs import Progress, silent
from kgbuild.pipelines.source import Source
from kgbuild.pipelines.workspace import Workspace
from kgbuild.recipes import Recipe
from kgbuild.trainers import _processes
from kgbuild.trainers.base import Trained, TrainingData

_LOOK_S = 0.2


def train(
    recipe: Recipe,
    workspace: Path,
    *,
    run: str | None = None,
    radgraph: Sequence[Path] = (),
    source: Source | None = None,
    out: Path,
    resume: bool = False,
    paper_split: bool = False,
    ready: Callable[[TrainingData], None] | None = None,
    progress: Progress = silent,
) -> Trained:
    """Train by a recipe. Safe to stop at any point and to go on with ``resume``.

    Under ``torchrun`` every process calls this; the first prepares the data, and all train.

    Args:
        recipe: what to do.
        workspace: holds the annotation run, and the training pairs from now on (they are report text).
        run: an annotation run; default the newest of the recipe's data set, unless a language model wrote it.
        radgraph: files of RadGraph's release to train on in place of a run.
        source: where the data set's images lie; needed by trainers that see images.
        out: checkpoint folder to write.
        resume: go on from the newest ``checkpoint-N`` in ``out``; where ``out`` is absent, begin.
        paper_split: keep the data set's own split, although texts stand in several of its parts.
        ready: told of the prepared pairs before the training begins.
        progress: told of (stage, done, in all): pairs prepared, studies trained on, texts written in validation.

    Raises:
        MissingError: no workspace, run, file, package, or images of the data set.
        UsageError: unknown run or trainer, or both a run and files.
        KgbuildError: ``out`` cannot be trained into, or the pairs hold nothing to learn; see ``Trainer.train`` too.
    """
    out = Path(out)
    trainer = plugins.find("trainers", recipe.trainer)()
    data = prepared(
        recipe, workspace, run=run, radgraph=radgraph, source=source, paper_split=paper_split, progress=progress
    )
    if ready is not None:
        ready(data)
    if recipe.trainer == "medclip":
        given = train_checks.source_of(recipe, workspace, run, radgraph)
        data = medclip_data.add_sentences(given, data, progress=progress)
    trained: Trained = trainer.train(recipe, data, out, resume=resume, score=triplet_scores, progress=progress)
    return replace(trained, warnings=(*_notes(data), *trained.warnings))


def prepared(
    recipe: Recipe,
    workspace: Path,
    *,
    run: str | None = None,
    radgraph: Sequence[Path] = (),
    source: Source | None = None,
    paper_split: bool = False,
    progress: Progress = silent,
) -> TrainingData:
    """The training pairs, made once and kept in ``WORKSPACE/training/<name>``; see ``train``."""
    given = train_checks.source_of(recipe, workspace, run, radgraph)
    train_checks.check_images(recipe, radgraph, source)
    space = Workspace.create(Path(workspace))
    seen = source if recipe.trainer != "llm-kg" else None
    find = seen.find_image if seen is not None else None
    root = f"{seen.root} {seen.images}" if seen is not None else ""
    key = training_data.key(given, recipe, paper_split=paper_split, root=root, find_image=find)
    folder = space.path / "training" / f"{recipe.data.dataset}-{key}"
    while _processes.rank() > 0 and training_data.read_prepared(folder) is None:
        time.sleep(_LOOK_S)
    data = training_data.read_prepared(folder) or training_data.prepare(
        given, recipe, folder, paper_split=paper_split, find_image=find, progress=progress
    )
    return train_checks.check_pairs(recipe, data)


def triplet_scores(predicted: Sequence[str], reference: Sequence[str]) -> dict[str, float]:
    """Order-free triplet precision, recall and F1 (micro, lone entities count) of completions, and the share of
    predicted pieces that are no triplet. Where there is nothing to find and nothing found the value is 1.
    """
    right = said = wanted = unfit = 0
    for guess, gold in zip(predicted, reference, strict=True):
        triplets, rejected = parse_triplets(guess)
        a, b = (Counter(one.text().casefold() for one in side) for side in (triplets, parse_triplets(gold)[0]))
        right += (a & b).total()
        said += a.total() + len(rejected)
        wanted += b.total()
        unfit += len(rejected)
    return {
        "triplet_f1": 2 * right / (said + wanted) if said + wanted else 1.0,
        "triplet_precision": right / said if said else float(wanted == 0),
        "triplet_recall": right / wanted if wanted else float(said == 0),
        "unfit_pieces": unfit / said if said else 0.0,
    }


def _notes(data: TrainingData) -> list[str]:
    return [
        f"{count:,} {name} texts stand in the training split too"
        for name in training_data.SPLITS[1:]
        if (count := data.counts.get(f"{name}: texts that stand in training", 0))
    ]
