"""What would stop a training, found before any data are prepared; ``--dry-run`` asks the same. No torch, no writing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kgbuild import plugins
from kgbuild.errors import ColumnMissing, FileMissing, KgbuildError, RootMissing, UsageError
from kgbuild.models.checkpoint import META
from kgbuild.notation import read_annotations
from kgbuild.pipelines import runs
from kgbuild.pipelines.export import one_run
from kgbuild.pipelines.runs import Run
from kgbuild.pipelines.source import Source
from kgbuild.pipelines.training_examples import TEXT_ONLY
from kgbuild.pipelines.workspace import Workspace
from kgbuild.recipes import Recipe
from kgbuild.trainers import _folder, _processes
from kgbuild.trainers.base import TrainingData

LANGUAGE_MODELS = ("llm-kg", "vlm-kg")
"""Extractors whose runs are a model's own words, which a training takes only if told to."""


@dataclass(frozen=True, slots=True)
class Checked:
    """What a training would read, and what a user must know of its folder."""

    trained_on: str
    notes: tuple[str, ...] = ()


def check(
    recipe: Recipe,
    workspace: Path,
    *,
    run: str | None = None,
    radgraph: Sequence[Path] = (),
    source: Source | None = None,
    out: Path,
    resume: bool = False,
) -> Checked:
    """Refuse what ``train`` would refuse before it trains, as far as it shows without preparing the data.

    Raises:
        KgbuildError: as ``train``, with the same exit codes.
    """
    note = check_out(out, resume)
    given = source_of(recipe, workspace, run, radgraph)
    check_images(recipe, radgraph, source)
    if isinstance(given, Run):
        next(given.chunks())  # refuses a run that is not complete
        return Checked(given.id, (note,) if note else ())
    if workspace.exists() and (workspace.is_file() or {path.name for path in workspace.iterdir()} - {"kgbuild.toml"}):
        Workspace.create(workspace)  # refuses a folder that holds something else
    for path in given:
        next(iter(read_annotations(path)), None)
    return Checked(", ".join(str(path) for path in given), (note,) if note else ())


def check_out(out: Path, resume: bool) -> str | None:
    """Refuse a folder that cannot be trained into or gone on from; a note where ``resume`` finds no folder yet.

    A command that always says ``--resume`` (a batch queue's, or the one printed after Ctrl-C) has to work the first
    time too: so an absent folder, and one whose training was killed before it saved anything, are no fault.

    Raises:
        KgbuildError: it is a file, a finished checkpoint, an unfinished training, or holds nothing to resume.
    """
    if _processes.rank() > 0:
        return None  # the first process may have begun to write it
    for part in (out, *out.parents):
        if part.exists() and not part.is_dir():
            raise KgbuildError(f"{part} is a file, not a folder", where="--out", expected="a folder, or a free name")
    finished, saved = (out / META).is_file(), _folder.newest(out) or next(out.glob("checkpoint-*/state.pt"), None)
    if not resume and finished:
        on = ", or --resume to train on where it stopped" if saved else ""
        raise KgbuildError(f"{out} holds a finished checkpoint", expected=f"another --out{on}")
    if not resume and saved:
        raise KgbuildError(
            f"{out} holds an unfinished training", expected="--resume to go on with it, or another --out"
        )
    if not resume or saved:
        return None
    if not finished and (not out.exists() or (out / _folder.BEGUN).is_file()):
        return f"nothing to resume in {out}: the training starts from the beginning"
    raise KgbuildError(
        f"nothing to resume in {out}",
        where="a finished checkpoint without its saved states" if finished else None,
        expected="a folder with a checkpoint-N, as a stopped training leaves it",
        next_step="another --out" if finished else "the --out that the training was begun with, or leave --resume out",
    )


def source_of(recipe: Recipe, workspace: Path, run: str | None, radgraph: Sequence[Path]) -> Run | list[Path]:
    """The run or the files to train on.

    Raises:
        MissingError: no workspace, nothing generated, or a file is absent.
        UsageError: both are named; no such run; or none is named and the newest is a language model's own.
    """
    if run is not None and radgraph:
        raise UsageError("a run and RadGraph files exclude each other", expected="one of --run and --radgraph")
    if not radgraph:
        space = Workspace.open(Path(workspace))
        found = one_run(space, run, None if run else recipe.data.dataset)
        if run is None and found.manifest.name in LANGUAGE_MODELS:
            raise _own_words(space, found)
        return found
    for path in radgraph:
        if not path.is_file():
            raise FileMissing(f"there is no file {path}", expected="RadGraph JSON, gzipped or not")
    return [Path(path) for path in radgraph]


def check_images(recipe: Recipe, radgraph: Sequence[Path], source: Source | None) -> None:
    """Refuse a training with images that was not told where they lie.

    Raises:
        UsageError: no data set, or RadGraph's files, which name no images.
        MissingError: no root, or it is absent or not this data set's.
    """
    if recipe.trainer == "llm-kg":
        return
    if source is None:
        raise UsageError(f"{recipe.trainer} needs a data set's images", next_step="--dataset NAME --root DIR")
    if radgraph:
        raise UsageError(
            f"RadGraph's files name no images, and {recipe.trainer} needs them",
            next_step="kgbuild import radgraph FILE --dataset mimic --root DIR, then train on that run",
        )
    if source.images is not None and not source.images.exists():
        raise RootMissing(f"{source.images} does not exist", where=f"images of data set {source.dataset}")
    if source.root is None and source.images is not None:
        return  # the run names the images; nothing else of the data set is read
    kind = plugins.find("datasets", source.dataset)
    if getattr(kind, "remote", False) and source.root is not None and not source.root.exists():
        return
    try:
        source.open()
    except (UsageError, ColumnMissing):
        return  # a form or columns would have to be named to read reports; here only images are read


def check_pairs(recipe: Recipe, data: TrainingData) -> TrainingData:
    """Refuse prepared pairs that the recipe can learn nothing from.

    Raises:
        KgbuildError: no completion holds a triplet, or no study to train on has an image.
    """
    if recipe.trainer != "llm-kg" and data.counts.get(TEXT_ONLY) and not data.counts.get("train: images"):
        raise KgbuildError(
            f"no study to train on has an image, and {recipe.trainer} learns from images",
            where=f"{data.counts[TEXT_ONLY]:,} {TEXT_ONLY}",
            expected="images of the run's studies under --images or --root",
            next_step=f"kgbuild datasets check {recipe.data.dataset} says what is there; an llm-kg recipe needs none",
        )
    if recipe.trainer != "medclip" and not data.counts.get("train: triplets"):
        raise KgbuildError(
            "there are 0 triplets in all completions: there is nothing to learn",
            where=data.source,
            expected="annotations with relations",
            next_step="name another annotation run with --run (kgbuild status lists them)",
        )
    return data


def _own_words(space: Workspace, found: Run) -> UsageError:
    """The newest run is what a model wrote: say which other is the newest."""
    dataset = found.manifest.dataset
    others = [
        other
        for other in (runs.find(space, one) for one in runs.ids(space))
        if (other.manifest.kind, other.manifest.dataset) == ("annotations", dataset)
        and other.manifest.name not in LANGUAGE_MODELS
        and other.complete()
    ]
    newest = max(others, key=lambda one: ((one.folder / "run.json").stat().st_mtime_ns, one.id), default=None)
    make = f"kgbuild generate --dataset {dataset} --root DIR -w {space.path}, or import RadGraph's annotations"
    return UsageError(
        f"the newest run of {dataset} is a language model's own output: {found.id}",
        where=str(space.path),
        expected="annotations of the rules or of RadGraph, or --run to train on this one all the same",
        next_step=f"--run {newest.id}" if newest else make,
    )
