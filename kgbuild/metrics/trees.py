"""Trees of measures: from resampled values to JSON objects, and the difference of two systems."""

from __future__ import annotations

from typing import Any

from kgbuild.metrics.score import Sampled, Score


def finished(tree: dict[str, Any]) -> dict[str, Any]:
    """The tree with every Sampled and Score turned into its JSON object."""
    return {key: _finished(value) for key, value in tree.items()}


def _finished(value: Any) -> Any:
    if isinstance(value, dict):
        return finished(value)
    if isinstance(value, Sampled):
        return value.score().as_dict()
    return value.as_dict() if isinstance(value, Score) else value


def difference(ours: dict[str, Any], theirs: dict[str, Any]) -> dict[str, Any]:
    """Measures that both trees hold, subtracted; counts are left out."""
    tree: dict[str, Any] = {}
    for key, value in ours.items():
        other = theirs.get(key)
        if isinstance(value, Sampled) and isinstance(other, Sampled):
            tree[key] = value.minus(other)
        elif isinstance(value, dict) and isinstance(other, dict) and key != "confusion":
            tree[key] = difference(value, other)
    return tree
