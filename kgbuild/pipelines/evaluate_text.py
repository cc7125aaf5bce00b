"""``evaluate text``: triplet texts of two or three sides, read to disk, met by study, and scored."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from kgbuild.domain import Failure
from kgbuild.errors import UsageError
from kgbuild.metrics.rouge import BETA
from kgbuild.metrics.text import score_text
from kgbuild.notation.triplets import Certainty
from kgbuild.pipelines.runs import Progress, silent
from kgbuild.pipelines.text_sides import Form, Reading, Sides, entries, has_keys, size

T = TypeVar("T")
_EVERY = 256
_STAGES = ("reference", "predicted", "baseline")


def evaluate_text(
    reference: str,
    predicted: str,
    *,
    baseline: str | None = None,
    workspace: Path | None = None,
    certainty: Certainty = "none",
    form: Form = "outputs",
    beta: float = BETA,
    labeler: int | None = None,
    studies: Sequence[str] | None = None,
    progress: Progress = silent,
) -> tuple[dict[str, Any], list[Failure]]:
    """BLEU-1 to 4, ROUGE-L and the order-free measures beside them, each with its interval.

    Args:
        reference: file or run that is taken to be right.
        predicted: file or run to score.
        baseline: another prediction to compare with, paired.
        workspace: where runs are looked up.
        certainty: string form of annotations; ``none`` is the VLM-KG paper's.
        form: ``outputs`` scores what a language model wrote, word for word, where a run has kept it; ``graph`` always
            the annotation's own string form.
        beta: how much recall counts in ROUGE-L.
        labeler: which annotator of a RadGraph test file is the reference.
        studies: score only these of the reference's studies.
        progress: told of studies read, where a run says how many it has, and of studies scored.

    Returns:
        The scores (keys documented in ``metrics.text``), and entries that could not be read on any side, a run's
        quarantined studies among them. Those of the prediction count as ``missing``, as do studies that it skipped.

    Raises:
        UsageError: plain text whose lines are not as many as the other side's entries, or an impossible ``beta``.
        FileMissing, KgbuildError: see ``text_sides.entries``.
    """
    if not 0 < beta < float("inf"):
        raise UsageError(f"beta {beta:g} is impossible", expected="a number above 0; pycocoevalcap's is 1.2")
    reading = Reading(certainty, form, workspace)
    given = [reference, predicted, *([baseline] if baseline else [])]
    failures: list[Failure] = []
    chosen = set(studies or ())
    with Sides() as sides:
        keyed = [has_keys(what) for what in given]
        sizes = []
        for side, what in enumerate(given):
            read = entries(what, reading, None if side else labeler)
            n, bad = sides.fill(side, _told(read, progress, _STAGES[side], size(what, workspace)), what)
            sizes.append(n)
            if studies is not None and not Path(what).is_file():  # a run's other studies are not asked for
                bad = [failure for failure in bad if failure.study_id in chosen]
            failures += bad
        _align(sides, given, sizes, keyed, failures)
        if studies is not None:
            sides.keep(studies, reference)
        n = sides.count(0)
        scores = score_text(_told(sides.rows(), progress, "scored", n), n, baseline=baseline is not None, beta=beta)
        extra = [sides.count(side, outside=0) for side in range(1, len(given))]
    scores["settings"] |= {"certainty": certainty, "as": form}
    return _with_extra(scores, extra), failures


def _told(items: Iterable[T], progress: Progress, stage: str, total: int | None) -> Iterator[T]:
    """The items as they are, told of as they go by; ``total`` null: not told of."""
    if total is None:
        yield from items
        return
    done = 0
    progress(stage, done, total)
    for done, item in enumerate(items, 1):
        yield item
        if done % _EVERY == 0:
            progress(stage, done, total)
    progress(stage, done, total)


def _align(sides: Sides, given: list[str], sizes: list[int], keyed: list[bool], failures: list[Failure]) -> None:
    """Lines without keys belong to the entries of the first side that has keys, in that side's order; or to lines."""
    first = keyed.index(True) if any(keyed) else 0
    for side, has in enumerate(keyed):
        if has or side == first:
            continue
        if sizes[side] != sizes[first]:
            unit = "studies" if keyed[first] else "lines"
            raise UsageError(
                f"{given[side]} has {sizes[side]:,} lines, {given[first]} {sizes[first]:,} {unit}",
                expected="one line a report, an empty line where nothing was found, in the same order",
                next_step="give JSON Lines with study_id and output where some reports have no prediction",
            )
        if keyed[first]:
            if failures:
                raise UsageError(
                    "lines cannot be matched to studies, some of which cannot be read",
                    where=failures[0].where,
                    expected="JSON Lines with study_id and output in place of plain text",
                )
            sides.rename(side, first)


def _with_extra(scores: dict[str, Any], extra: list[int]) -> dict[str, Any]:
    """``extra`` beside ``missing``, as in ``evaluate triplets``."""
    out: dict[str, Any] = {}
    for key, value in scores.items():
        if key == "baseline":
            out[key] = {"missing": value["missing"], "extra": extra[1], **value}
        else:
            out[key] = value
        if key == "missing":
            out["extra"] = extra[0]
    return out
