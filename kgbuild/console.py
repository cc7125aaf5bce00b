"""What a person sees: tables, JSON and CSV on stdout; summaries, progress and errors on stderr.

Bars only on a terminal; in a pipe or a log, plain lines. No text of a report passes through here unasked.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kgbuild.domain import Failure
    from kgbuild.errors import KgbuildError
    from kgbuild.pipelines.runs import Progress
    from kgbuild.pipelines.stages import Summary

_LINE_EVERY_S = 5.0


def rows(columns: Sequence[str], values: Sequence[Sequence[Any]], fmt: str = "table") -> None:
    """Print rows on stdout as an aligned table, a JSON array of objects, or CSV with a header."""
    sys.stdout.write(render(columns, values, fmt))


def render(columns: Sequence[str], values: Sequence[Sequence[Any]], fmt: str = "table") -> str:
    """The text that ``rows`` prints."""
    if fmt == "json":
        objects = [dict(zip(columns, row, strict=True)) for row in values]
        return json.dumps(objects, ensure_ascii=False, indent=1, default=_json) + "\n"
    if fmt == "csv":
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([_cell(value) for value in row] for row in values)
        return buffer.getvalue()
    texts = [[_cell(value) for value in row] for row in values]
    widths = [max([len(name), *(len(row[i]) for row in texts)]) for i, name in enumerate(columns)]
    numeric = [
        bool(values) and all(isinstance(row[i], int | float | None) for row in values) for i in range(len(columns))
    ]
    lines = [list(columns), ["-" * width for width in widths], *texts]
    out = []
    for line in lines:
        cells = (
            cell.rjust(w) if right else cell.ljust(w) for cell, w, right in zip(line, widths, numeric, strict=True)
        )
        out.append("  ".join(cells).rstrip())
    return "\n".join(out) + "\n"


def document(value: Any) -> None:
    """Print one JSON document on stdout."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=1, default=_json) + "\n")


def say(text: str = "") -> None:
    """A line for the person, on stderr."""
    print(text, file=sys.stderr)  # noqa: T201


def facts(values: Mapping[str, Any], fmt: str = "table") -> None:
    """Print name: value lines on stdout, or one JSON object."""
    if fmt == "json":
        document(dict(values))
        return
    width = max((len(key) for key in values), default=0)
    for key, value in values.items():
        sys.stdout.write(f"{key.ljust(width)}  {_cell(value)}\n")


def problem(error: KgbuildError) -> None:
    """Print an error and how to mend it on stderr."""
    say(f"error: {error}")


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1000 else f"{value:.1f}"
    if isinstance(value, list | tuple):
        return "; ".join(_cell(item) for item in value)
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False, default=_json)
    return str(value)


def _json(value: Any) -> Any:
    if isinstance(value, dt.date):
        return value.isoformat()
    return str(value)


@contextmanager
def progress(quiet: bool = False) -> Iterator[Progress]:
    """A Progress for a pipeline: bars with rate and time left on a terminal, a line every few seconds in a pipe."""
    if quiet:
        yield lambda stage, done, total: None
    elif sys.stderr.isatty():
        with _bars() as report:
            yield report
    else:
        yield _Lines()


@contextmanager
def _bars() -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.description:<12}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    with Bars(*columns, console=Console(stderr=True)) as bars:
        tasks: dict[str, TaskID] = {}
        clocks: dict[str, tuple[float, int]] = {}

        def report(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total, rate="")
                clocks[stage] = (time.monotonic(), done)
            bars.update(tasks[stage], completed=done, total=total, rate=_rate(clocks[stage], done))

        yield report


class _Lines:
    """Plain lines: when a stage begins, every few seconds, and when it ends."""

    def __init__(self) -> None:
        self._clocks: dict[str, tuple[float, int]] = {}
        self._last: dict[str, float] = {}

    def __call__(self, stage: str, done: int, total: int) -> None:
        now = time.monotonic()
        if stage not in self._clocks:
            self._clocks[stage] = (now, done)
            self._last[stage] = now
            if done:
                say(f"{stage}: {done} of {total} are done already")
            return
        if done < total and now - self._last[stage] < _LINE_EVERY_S:
            return
        self._last[stage] = now
        rate, left = _rate(self._clocks[stage], done), self._left(stage, done, total)
        say(" ".join(f"{stage}: {done} of {total} {rate} {left}".split()))

    def _left(self, stage: str, done: int, total: int) -> str:
        began, first = self._clocks[stage]
        if done >= total or done == first:
            return ""
        seconds = (time.monotonic() - began) / (done - first) * (total - done)
        return f"about {dt.timedelta(seconds=round(seconds))} left"


def _rate(clock: tuple[float, int], done: int) -> str:
    elapsed = time.monotonic() - clock[0]
    if done <= clock[1] or elapsed <= 0:
        return ""
    rate = (done - clock[1]) / elapsed
    return f"{rate:.0f}/s" if rate >= 10 else f"{rate:.2g}/s"


_STUDIES = (
    "studies",
    "annotated",
    "empty",
    "skipped",
    "failed",
    "rejected",
    "entities",
    "relations",
    "images",
    "images_absent",
    "links",
)


def counted(counts: Mapping[str, int]) -> str:
    """``3,601 studies, 3,576 annotated, 25 empty``; the rows of tables as nodes and edges. What is 0 is left out."""
    if any("/" in key for key in counts):
        nodes = sum(n for key, n in counts.items() if key.startswith("nodes/"))
        edges = sum(n for key, n in counts.items() if key.startswith("edges/"))
        return f"{nodes:,} nodes, {edges:,} edges"
    known = [key for key in _STUDIES if key in counts]
    others = [key for key in counts if key not in known]
    shown = [f"{counts[key]:,} {key.replace('_', ' ')}" for key in [*known, *others] if counts[key]]
    return ", ".join(shown) or "nothing"


def failures(quarantined: Sequence[Failure], limit: int = 10, more: str = "") -> None:
    """Name the first quarantined studies and say how many there are, and where the others are told."""
    if not quarantined:
        return
    say(f"quarantined: {len(quarantined):,}{more}")
    for failure in quarantined[:limit]:
        say(f"  {failure.study_id}: {failure.reason}" + (f" ({failure.where})" if failure.where else ""))
    if len(quarantined) > limit:
        say(f"  … and {len(quarantined) - limit:,} more")


def plain(text: str) -> None:
    """A line of data on stdout."""
    sys.stdout.write(text + "\n")


def report(
    summaries: Sequence[Summary], workspace: Path, quiet: bool, next_command: str | None, fmt: str = "table"
) -> int:
    """Say what there is now, as data too where JSON or CSV is asked for; returns the exit code, 4 if quarantined."""
    quarantined = [failure for summary in summaries for failure in summary.failures]
    if fmt != "table":
        columns = ("stage", "runs", "complete", "done_now", "quarantined", "counts")
        values = [(s.stage, list(s.runs), s.complete, s.done_now, len(s.failures), s.counts) for s in summaries]
        rows(columns, values, fmt)
    if not quiet:
        for summary in summaries:
            say(f"{summary.stage}: {counted(summary.counts)}")
            for run in summary.runs:
                say(f"  run {run}" + ("" if summary.done_now else " (was there already)"))
            if not summary.complete:
                say("  other shards are still to be done")
            for hint in summary.hints:
                say(f"  note: {hint}")
        failures(quarantined, more=f" (kgbuild status --failures -w {workspace} lists all)")
        if next_command:
            say(f"next: kgbuild {next_command} -w {workspace}")
    return 4 if quarantined else 0
