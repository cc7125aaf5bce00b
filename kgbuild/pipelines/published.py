"""A paper's tables as data (``training/published/*.yaml``): figures with their source, and who fills which row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from kgbuild.errors import UsageError
from kgbuild.resources import data


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table.

    Attributes:
        name: as the paper calls it.
        figures: measure → fraction; null where the paper has none, or it was not read.
        recipes: names of the recipes that train such a model, the row's own first.
        options: of the extractor, where rows differ in generation alone.
        note: what a reader of the figures must know.
    """

    name: str
    figures: Mapping[str, float | None]
    recipes: tuple[str, ...] = ()
    options: Mapping[str, str] = field(default_factory=dict)
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """One table, what its figures were measured on, and where they were printed."""

    name: str
    title: str
    test: str
    source: Mapping[str, str | int]
    rows: tuple[Row, ...]

    def row(self, name: str) -> Row:
        """A row by its name, whatever the case.

        Raises:
            UsageError: there is none.
        """
        for row in self.rows:
            if row.name.casefold() == name.casefold():
                return row
        raise UsageError(f"{self.name} has no row {name!r}", expected="; ".join(row.name for row in self.rows))


def tables() -> dict[str, Table]:
    """All published tables by name."""
    found = {}
    folder = data("training") / "published"
    for file in sorted(folder.iterdir(), key=lambda one: one.name):
        if not file.name.endswith(".yaml"):
            continue
        paper = yaml.safe_load(file.read_text(encoding="utf-8"))
        for name, table in paper["tables"].items():
            rows = tuple(_row(row, paper["measures"]) for row in table["rows"])
            found[name] = Table(name, table["title"], paper["test"], paper["source"], rows)
    return found


def find(name: str) -> Table:
    """A table by its name.

    Raises:
        UsageError: unknown.
    """
    known = tables()
    if name not in known:
        raise UsageError(f"there is no published table {name!r}", expected=", ".join(known))
    return known[name]


def _row(row: Mapping[str, Any], measures: Sequence[str]) -> Row:
    printed = zip(measures, row["figures"], strict=True)
    figures = {key: None if value is None else value / 100 for key, value in printed}
    options = {key: str(value) for key, value in row.get("options", {}).items()}
    return Row(row["name"], figures, tuple(row.get("recipes", ())), options, row.get("note"))
