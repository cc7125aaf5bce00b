"""A score tree as flat rows for a table or CSV: ``entity.by_label.OBS-DP.f1``, value, low, high, n."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

_SCORE = {"value", "n", "low", "high"}


class Row(NamedTuple):
    """One line. A plain count has a value only."""

    metric: str
    value: float | int | None
    low: float | None = None
    high: float | None = None
    n: int | None = None


def rows(result: Mapping[str, Any], prefix: str = "") -> Iterator[Row]:
    """Flatten in the result's own order; ``settings`` are not scores and are left out."""
    for key, value in result.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and set(value) == _SCORE:
            yield Row(name, value["value"], value["low"], value["high"], value["n"])
        elif isinstance(value, Mapping):
            if key != "settings":
                yield from rows(value, f"{name}.")
        elif isinstance(value, int | float):
            yield Row(name, value)
