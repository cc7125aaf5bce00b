"""What every graph store offers: it is built from the Parquet tables and answers Cypher. It is never the truth."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

Value = str | int | float | bool | None | list[Any]

Progress = Callable[[str, int, int], None]
"""Called with (what is loaded, rows done, rows in all)."""


def silent(what: str, done: int, total: int) -> None:
    """A Progress that shows nothing."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Rows of a query: column names as in its RETURN, and plain Python values."""

    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]


class Store(Protocol):
    """A place where the graph is queried. Made from a path in the workspace and its own options, all text.

    Attributes:
        name: as after ``--store``.
        options: names of the options that it has.
        local: whether it lies in the workspace; a server can be asked without one.
    """

    name: str
    options: ClassVar[tuple[str, ...]]
    local: ClassVar[bool]

    def holds(self, tables: Path) -> bool:
        """Whether it holds the graph of ``tables``, whole. Quick: it looks at what is noted and at counts."""
        ...

    def load(self, tables: Path, *, replace: bool = False, progress: Progress = silent) -> dict[str, int]:
        """Load the node and edge tables under ``tables``; returns rows by table. Loading twice changes nothing.

        Args:
            tables: the graph folder.
            replace: write anew what is there already, also if it is of other runs.
            progress: told of rows.
        """
        ...

    def query(self, cypher: str, parameters: Mapping[str, Any] | None = None) -> Answer:
        """Run one read-only statement. Raises StoreError with the store's own words."""
        ...

    def close(self) -> None:
        """Let go of files and connections."""
        ...
