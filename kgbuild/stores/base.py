"""What every graph store offers: it is built from the Parquet tables and answers Cypher. It is never the truth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

Value = str | int | float | bool | None | list[Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """Rows of a query: column names as in its RETURN, and plain Python values."""

    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]


class Store(Protocol):
    """A place where the graph is queried."""

    name: str

    def built_from(self) -> str | None:
        """Text of the ``graph.json`` that the store was last loaded from; null where it holds no graph of ours."""
        ...

    def load(self, tables: Path) -> dict[str, int]:
        """Load the node and edge tables under ``tables``; returns rows by table. Loading twice changes nothing."""
        ...

    def query(self, cypher: str, parameters: Mapping[str, Any] | None = None) -> Answer:
        """Run one read-only statement. Raises StoreError with the store's own words."""
        ...

    def close(self) -> None:
        """Let go of files and connections."""
        ...
