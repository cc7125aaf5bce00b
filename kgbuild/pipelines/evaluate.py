"""Score annotations against a reference. Each side is a file (RadGraph JSON, DyGIE++ lines) or a run of a workspace."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kgbuild.domain import Annotation, Failure
from kgbuild.errors import KgbuildError
from kgbuild.metrics.triplets import score_triplets
from kgbuild.metrics.worst import worst
from kgbuild.notation import read_annotations
from kgbuild.pipelines import records, runs
from kgbuild.pipelines.workspace import Workspace

_FILES = "RadGraph JSON or DyGIE++ JSON Lines"
_TEXTS = "if it holds triplet texts, kgbuild evaluate text scores them"


@dataclass(frozen=True, slots=True)
class Side:
    """Annotations by study id, and the entries that could not be read."""

    annotations: dict[str, Annotation]
    failures: tuple[Failure, ...] = ()


def read_side(what: str, workspace: Path | None = None, *, labeler: int | None = None) -> Side:
    """Read a file, or a run by its id.

    Raises:
        FileMissing, UsageError: neither a file of that name nor a run of the workspace; or a link run.
    """
    path = Path(what)
    if path.is_file():
        good: dict[str, Annotation] = {}
        bad: list[Failure] = []
        try:
            for _, item in read_annotations(path, labeler=labeler):
                if isinstance(item, Failure):
                    bad.append(item)
                else:
                    good[item.study_id] = item
        except KgbuildError as error:
            error.expected, error.next_step = error.expected or _FILES, error.next_step or _TEXTS
            raise
        if not good and bad:
            raise KgbuildError(
                f"no entry of {path} can be read: {bad[0].reason}",
                where=bad[0].where,
                expected=_FILES,
                next_step=_TEXTS,
            )
        return Side(good, tuple(bad))
    if workspace is not None and (workspace / "runs" / what / "run.json").is_file():
        run = runs.find(Workspace.open(workspace), what)
        return Side({annotation.study_id: annotation for annotation, _ in records.read(run)})
    raise runs.unknown_side(what, workspace, "RadGraph JSON, DyGIE++ JSON Lines, or a run id (kgbuild status)")


def evaluate_triplets(
    reference: str,
    predicted: str,
    *,
    baseline: str | None = None,
    workspace: Path | None = None,
    labels: str = "v1",
    labeler: int | None = None,
    n_worst: int = 0,
    show_text: bool = False,
) -> tuple[dict[str, Any], list[Failure]]:
    """Strict and relaxed entity and relation scores, RadGraph-F1, triplet F1 and polarity, each with its interval.

    Args:
        reference: file or run that is taken to be right.
        predicted: file or run to score.
        baseline: another prediction to compare with, paired.
        workspace: where runs are looked up.
        labels: ``v1`` or ``xl``.
        labeler: which annotator of a RadGraph test file is the reference.
        n_worst: how many of the worst studies to list under ``worst``.
        show_text: put report words into that list.

    Returns:
        The scores (keys documented in ``metrics.triplets``), and entries that could not be read on any side.

    Raises:
        KgbuildError: the reference holds no study, or no entry of a side can be read.
        UsageError, FileMissing: see ``read_side``.
    """
    gold = read_side(reference, workspace, labeler=labeler)
    if not gold.annotations:
        raise KgbuildError(f"{reference} holds no study", where="--reference", expected="at least one study to score")
    guess = read_side(predicted, workspace)
    other = read_side(baseline, workspace) if baseline else None
    scores = score_triplets(
        gold.annotations,
        guess.annotations,
        baseline=other.annotations if other else None,
        labels="xl" if labels == "xl" else "v1",
    )
    if n_worst:
        scores["worst"] = worst(gold.annotations, guess.annotations, limit=n_worst, show_text=show_text)
    failures = [*gold.failures, *guess.failures, *(other.failures if other else ())]
    return scores, failures
