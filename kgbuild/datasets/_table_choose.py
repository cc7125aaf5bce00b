"""Settle the mapping of tables: what the user said, over a guess from the first table's first rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kgbuild.datasets._table_files import Table
from kgbuild.datasets._table_guess import NAMES, guess_columns
from kgbuild.datasets._table_mapping import ColumnMap, Given, check_columns
from kgbuild.errors import FileMissing, UsageError

_GUESS_ROWS = 200


def mapping_text(option: str | None) -> str | None:
    """A mapping's YAML, from the file that the option names or from the option itself.

    Raises:
        FileMissing: the option is one line that can only be a file's name, and there is none.
        UsageError: the file is not UTF-8.
    """
    if option is None or "\n" in option or ":" in option:
        return option
    path = Path(option)
    if not path.is_file():
        raise FileMissing(f"mapping {option} is absent", expected="a YAML file: see docs/own-reports.md")
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"mapping {path.name} is not UTF-8 at byte {error.start}", where=option) from None


def choose_columns(tables: Sequence[Table], given: Given, *, number_rows: bool = False) -> ColumnMap:
    """The mapping of tables of one kind: what was given, and a guess from the first of them for the rest."""
    first = tables[0]
    guess = ColumnMap()
    if not given.complete:
        rows: list[dict[str, Any]] = []
        for row in first.scan(first.columns):
            if len(rows) >= _GUESS_ROWS:
                break
            if row.cells:
                rows.append(dict(zip(first.columns, row.cells, strict=True)))
        guess = guess_columns(first.columns, rows, number_rows=number_rows)
    chosen = given.over(guess)
    for table in tables:
        check_columns(chosen, table.columns, table.name, NAMES)
    return chosen
