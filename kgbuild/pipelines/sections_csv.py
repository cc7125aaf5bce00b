"""The sections of every report as one CSV, in the form of MIT-LCP's ``mimic_cxr_sectioned.csv``.

With ``mit-lcp`` it is that file, byte for byte what MIT-LCP's script writes but for the order of the rows, which there
is the file system's: the last section of each name, and none of the 54 studies whose text that script sets by hand
(its loop goes on before their row is added). Any other parser or data set gives one row for every study that can be
read, a repeated section's parts one line after the other.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kgbuild.datasets.base import Dataset
from kgbuild.domain import Failure, Report
from kgbuild.errors import UsageError
from kgbuild.files import atomic
from kgbuild.pipelines.runs import Progress, silent
from kgbuild.pipelines.source import Source
from kgbuild.sections_mit import COLUMNS, is_set_by_hand, universal_newlines

HEADER = ("study", *COLUMNS)
MIT = "mit-lcp"
_TOLD_EVERY = 1000


@dataclass(frozen=True, slots=True)
class Sectioned:
    """What was written.

    Attributes:
        counts: rows; studies set by hand and left out; studies that failed; rows with neither findings nor impression.
        failures: the studies that failed.
    """

    counts: dict[str, int]
    failures: tuple[Failure, ...]


def write_sectioned(
    dataset: Dataset,
    out_path: Path,
    parser: str | None = None,
    *,
    ids: Sequence[str] | None = None,
    progress: Progress = silent,
) -> Sectioned:
    """Write the CSV whole, or not at all; holds one report at a time.

    Args:
        dataset: opened with the section parser that is to be used.
        out_path: file to write; replaced if it is there.
        parser: the section parser's name; only ``mit-lcp`` leaves studies out.
        ids: studies to write, in this order; all in the data set's own if None.
        progress: told of studies done.
    """
    total = len(dataset.listing().studies if ids is None else ids)
    counts = {"rows": 0, "set by hand, left out": 0, "failed": 0, "without findings and impression": 0}
    failures = []
    progress("sections", 0, total)
    with atomic(out_path) as part, part.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(HEADER)
        for done, study in enumerate(dataset.studies(ids), start=1):
            if done % _TOLD_EVERY == 0 or done == total:
                progress("sections", done, total)
            if isinstance(study, Failure):
                failures.append(study)
            elif parser == MIT and is_set_by_hand(study.id):
                counts["set by hand, left out"] += 1
            else:
                cells = _cells(study.report)
                writer.writerow((study.id, *cells))
                counts["rows"] += 1
                counts["without findings and impression"] += not any(cells[:2])
    counts["failed"] = len(failures)
    return Sectioned(counts, tuple(failures))


def write_source(source: Source, out_path: Path, progress: Progress = silent) -> Sectioned:
    """``write_sectioned`` of the chosen studies of a data set that is still to be opened.

    Raises:
        UsageError: its sections come from such a file already.
    """
    dataset = _open(source)
    chosen, rejected = source.choose(dataset.listing())
    parser = dict(source.options).get("section_parser")
    written = write_sectioned(dataset, out_path, parser, ids=[ref.id for ref in chosen], progress=progress)
    counts = written.counts | {"rejected": len(rejected)}
    return Sectioned(counts, (*rejected, *written.failures))


def plan_source(source: Source, out_path: Path) -> dict[str, str | int]:
    """What ``write_source`` would do; writes nothing."""
    dataset = _open(source)
    chosen, _ = source.choose(dataset.listing())
    by_hand = sum(is_set_by_hand(ref.id) for ref in chosen) if ("section_parser", MIT) in source.options else 0
    return {
        "data set": dataset.name,
        "studies": len(chosen),
        "set by hand, left out": by_hand,
        "would write": str(out_path),
    }


def _open(source: Source) -> Dataset:
    dataset = source.open()
    if copied := getattr(dataset, "sectioned", None):
        raise UsageError(
            f"the sections of {dataset.name} come from {copied.name} here: they would only be copied",
            where=str(copied.path),
            expected="reports, in folders or in their archive",
            next_step="use that file, or give --root a folder with the reports",
        )
    return dataset


def _cells(report: Report | None) -> list[str]:
    parts = report.sections if report else ()
    return [universal_newlines("\n".join(part.text for part in parts if part.name == name)) for name in COLUMNS]
