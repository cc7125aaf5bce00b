"""``reproduce``: a paper's table beside one's own figures, each computed here or left empty.

A row is filled by a checkpoint that was trained with one of its recipes, or by naming it. What is scored is given (a
file or a run), or generated first where a data set is named. What is still to be done is returned as commands.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kgbuild.errors import UsageError
from kgbuild.models.checkpoint import CheckpointMeta, read_meta
from kgbuild.pipelines import runs, stages
from kgbuild.pipelines.evaluate_text import evaluate_text
from kgbuild.pipelines.published import Row, Table, find
from kgbuild.pipelines.runs import Progress, silent
from kgbuild.pipelines.source import Source
from kgbuild.pipelines.text_sides import listed, quarantined_of
from kgbuild.pipelines.workspace import Workspace
from kgbuild.text import DEFAULT_SECTIONS


@dataclass(frozen=True, slots=True)
class Data:
    """What checkpoints are to be tried on: the studies, where runs go, the sections that are read."""

    source: Source
    workspace: Path
    sections: tuple[str, ...] = DEFAULT_SECTIONS


@dataclass(frozen=True, slots=True)
class _Fill:
    row: Row
    checkpoint: Path | None
    meta: CheckpointMeta | None
    predicted: str | None


def reproduce(
    table: str,
    *,
    checkpoints: Sequence[Path] = (),
    predicted: Sequence[str] = (),
    rows: Sequence[str] = (),
    reference: str | None = None,
    labeler: int | None = None,
    studies: Sequence[str] | None = None,
    data: Data | None = None,
    workspace: Path | None = None,
    beta: float = 1.2,
    progress: Progress = silent,
    command: str | None = None,
) -> dict[str, Any]:
    """A table's rows with the paper's figures, one's own, and the commands for what is missing.

    Args:
        table: ``table1`` to ``table4``.
        checkpoints: folders that ``kgbuild train`` wrote.
        predicted: files or runs to score: one a checkpoint, or one a row.
        rows: which row each checkpoint or prediction belongs to, where its recipe does not say.
        reference: what is taken to be right.
        labeler: which annotator of a RadGraph test file that is.
        studies: only these of the reference's studies.
        data: generate with the checkpoints that have no prediction.
        workspace: where runs are looked up.
        beta: of ROUGE-L.
        progress: told of studies done.
        command: for the catalog.

    Returns:
        ``table``, ``title``, ``test``, ``source``; ``rows``: each ``name``, ``recipes``, ``note``, ``paper`` (measure →
        fraction or null) and ``own``, a list of ``checkpoint``, ``recipe``, ``predicted``, ``unreadable``,
        ``quarantined`` (studies of the run that failed) and ``scores`` (the keys of ``metrics.text``); ``commands``:
        what to type to fill the other rows.

    Raises:
        UsageError: no such table or row; arguments that do not fit one another; a recipe that no row is for.
        KgbuildError: a checkpoint that is none, and whatever generation and scoring raise.
    """
    printed = find(table)
    fills = _fills(printed, checkpoints, predicted, rows)
    if (predicted or data is not None) and reference is None:
        raise UsageError("there is nothing to score against", expected="--reference: RadGraph JSON, or a run")
    if data is not None and not checkpoints:
        raise UsageError("a data set is of use to a checkpoint only", expected="--checkpoint DIR")
    own: dict[str, list[dict[str, Any]]] = {row.name: [] for row in printed.rows}
    commands: list[str] = []
    for fill in fills:
        run, where, asked = fill.predicted, workspace, studies
        if run is None and data is not None and fill.checkpoint and fill.meta:
            run = _generate(fill.row, fill.checkpoint, fill.meta, data, progress, command)
            where = data.workspace
            if data.source.limit is not None or data.source.split is not None:
                asked = listed(runs.find(Workspace.open(where), run))  # the reference's others were not asked for
        if run is None or reference is None:
            commands += _asked(printed, fill)
            continue
        # a model that was trained to say presences is scored as a graph, whose text can leave them out as the paper's
        graph = fill.meta is not None and fill.meta.certainty == "full"
        scores, failures = evaluate_text(
            reference,
            run,
            workspace=where,
            form="graph" if graph else "outputs",
            beta=beta,
            labeler=labeler,
            studies=asked,
        )
        quarantined = quarantined_of(run, where)
        found = {"predicted": run, "unreadable": len(failures), "quarantined": quarantined, "scores": scores}
        own[fill.row.name].append({**_names(fill), **found})
    touched = {fill.row.name for fill in fills}
    for row in printed.rows:
        if row.name not in touched:
            commands += _untouched(printed, row)
    return {
        "table": printed.name,
        "title": printed.title,
        "test": printed.test,
        "source": dict(printed.source),
        "rows": [
            {
                "name": row.name,
                "recipes": list(row.recipes),
                "note": row.note,
                "paper": dict(row.figures),
                "own": own[row.name],
            }
            for row in printed.rows
        ],
        "commands": list(dict.fromkeys(commands)),
    }


def _fills(table: Table, checkpoints: Sequence[Path], predicted: Sequence[str], rows: Sequence[str]) -> list[_Fill]:
    heads = len(checkpoints) or len(rows)
    if predicted and len(predicted) != heads:
        raise UsageError(
            f"{len(predicted)} predictions for {heads} {'checkpoints' if checkpoints else 'rows'}",
            expected="one --predicted for each --checkpoint (or --row), in the same order",
        )
    if rows and len(rows) != (len(checkpoints) or len(predicted)):
        raise UsageError(
            f"{len(rows)} rows for {len(checkpoints)} checkpoints and {len(predicted)} predictions",
            expected="one --row for each --checkpoint, or for each --predicted",
        )
    named = [table.row(name) for name in rows]
    if not checkpoints:
        return [_Fill(row, None, None, what) for row, what in zip(named, predicted, strict=True)]
    found: list[_Fill] = []
    for number, folder in enumerate(checkpoints):
        meta = read_meta(folder)
        given = predicted[number] if predicted else None
        fits = [named[number]] if named else _rows_of(table, meta, folder)
        if given is not None and len(fits) > 1:
            raise UsageError(
                f"{folder} fits {len(fits)} rows of {table.name}",
                expected=f"--row: one of {'; '.join(row.name for row in fits)}",
            )
        found += [_Fill(row, folder, meta, given) for row in fits]
    return found


def _rows_of(table: Table, meta: CheckpointMeta, folder: Path) -> list[Row]:
    name = str(meta.recipe.get("name"))
    fits = [row for row in table.rows if row.recipes[:1] == (name,)]
    fits = fits or [row for row in table.rows if name in row.recipes]
    fits = fits or [row for row in table.rows if _says(str(meta.recipe.get("paper")), table, row)]
    if not fits:
        known = dict.fromkeys(recipe for row in table.rows for recipe in row.recipes)
        raise UsageError(
            f"no row of {table.name} is for recipe {name}",
            where=str(folder),
            expected=f"a checkpoint of {', '.join(known)}",
            next_step="name the row to put it beside: --row NAME",
        )
    return fits


def _says(paper: str, table: Table, row: Row) -> bool:
    """Whether a recipe of one's own names the row: ``Table 1, VLM-KG (MIMIC)``."""
    first, _, name = paper.partition(", ")
    return first.casefold().replace(" ", "") == table.name and name.casefold() == row.name.casefold()


def _generate(
    row: Row, checkpoint: Path, meta: CheckpointMeta, data: Data, progress: Progress, command: str | None
) -> str:
    done = stages.generate(
        data.source,
        data.workspace,
        extractor=meta.kind,
        sections=data.sections,
        options={"checkpoint": str(checkpoint), **row.options},
        progress=progress,
        command=command,
    )
    return done.runs[0]


def _names(fill: _Fill) -> dict[str, str | None]:
    recipe = None if fill.meta is None else str(fill.meta.recipe.get("name"))
    return {"checkpoint": None if fill.checkpoint is None else str(fill.checkpoint), "recipe": recipe}


_TEST = "--reference test.json --labeler 1 --studies test50.txt"
_MIMIC = "--dataset mimic --root MIMIC_ROOT"


def _asked(table: Table, fill: _Fill) -> list[str]:
    """A checkpoint without data: generate and score in one command, or in two."""
    images = " --images IMAGES" if fill.meta is not None and fill.meta.kind == "vlm-kg" else ""
    kind = "vlm-kg" if fill.meta is None else fill.meta.kind
    folder = shlex.quote(str(fill.checkpoint))
    options = "".join(f" --option {key}={value}" for key, value in fill.row.options.items())
    row = f" --row {shlex.quote(fill.row.name)}"
    model = f"--extractor {kind} --checkpoint {folder}{options}"
    return [
        f"kgbuild generate {_MIMIC}{images} --studies test50.txt {model} -w kg-test",
        f"kgbuild reproduce {table.name} --checkpoint {folder}{row} --predicted RUN {_TEST} -w kg-test",
    ]


def _untouched(table: Table, row: Row) -> list[str]:
    """A row that nothing was given for: train, then generate and score in one command."""
    if not row.recipes:
        return [f"kgbuild reproduce {table.name} --row {shlex.quote(row.name)} --predicted FILE {_TEST}"]
    recipe = row.recipes[-1]
    images = " --images IMAGES" if recipe.startswith("vlm-kg") else ""
    split = " --paper-split" if "_iu" in recipe else ""
    roots = " --root ROOT --images IMAGES" if images else ""
    return [
        f"kgbuild train {recipe}{split}{roots} -w kg",
        f"kgbuild reproduce {table.name} --checkpoint models/{recipe} {_TEST} {_MIMIC}{images} -w kg-test",
    ]
