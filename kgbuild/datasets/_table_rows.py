"""What one row says of its study, through the mapping."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kgbuild.datasets._table_mapping import ColumnMap
from kgbuild.datasets._table_values import as_text, image_names
from kgbuild.domain import Section
from kgbuild.sections import split_sections

Cells = tuple[Any, ...]


def prefixed(dataset: str) -> Callable[[str], str]:
    """The rule for ids of a data set that is neither MIMIC nor IU: ``reports:<own id>``."""
    return lambda own: f"{dataset}:{own}"


class RowReading:
    """Reads rows whose cells stand in the order of ``columns``."""

    def __init__(self, columns: ColumnMap) -> None:
        self.map = columns
        self.columns = columns.columns()
        self._at = {column: place for place, column in enumerate(self.columns)}
        apart = {*columns.images, columns.fields.get("view")}
        self._kept = tuple(place for column, place in self._at.items() if column not in apart)

    def cell(self, cells: Cells, entry: str) -> Any:
        """The cell of ``study``, ``patient``, ``date``, …; None where it is not mapped."""
        column = self.map.fields.get(entry)
        return cells[self._at[column]] if column in self._at else None

    def text(self, cells: Cells, entry: str) -> str:
        """The same as text, trimmed."""
        return as_text(self.cell(cells, entry)).strip()

    def filled(self, cells: Cells) -> list[tuple[str, str]]:
        """The mapped (entry, column) pairs whose cell is not blank."""
        return [(e, column) for e, column in self.map.entries() if column in self._at and self._has(cells, column)]

    def _has(self, cells: Cells, column: str) -> bool:
        value = cells[self._at[column]]
        return not (value == "" or value.isspace()) if isinstance(value, str) else bool(as_text(value).strip())

    def sections(self, cells: Cells) -> tuple[Section, ...]:
        """The section columns that hold something; where none does, the whole text cut by its headers."""
        parts = ((name, as_text(cells[self._at[column]])) for name, column in self.map.sections.items())
        found = tuple(Section(name, text) for name, text in parts if text.strip())
        return found or split_sections(as_text(self.cell(cells, "text")))

    def images(self, cells: Cells) -> list[tuple[str, str | None]]:
        """(path, view) of the row's images; a view is that of the one image of its row."""
        names = [name for column in self.map.images for name in image_names(cells[self._at[column]])]
        view = self.text(cells, "view") or None
        return [(name, view if len(names) == 1 else None) for name in names]

    def content(self, cells: Cells) -> int:
        """A hash of what the row says, images and their view aside. Holds within one process only."""
        kept = [cells[place] for place in self._kept]
        return hash(tuple([cell if type(cell) is str else as_text(cell) for cell in kept]))
