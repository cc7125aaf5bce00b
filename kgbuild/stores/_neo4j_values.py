"""Neo4j's values as any store gives them: dates of the standard library, nodes and edges as their properties."""

from __future__ import annotations

from typing import Any

from kgbuild.tables import EDGES, NODES


def plain(value: Any) -> Any:
    """One value of a row. A node or edge becomes a dict with ``_LABEL`` and every property, null where it has none."""
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if hasattr(value, "to_native"):  # neo4j.time
        return value.to_native()
    return _graph(value)


def _graph(value: Any) -> Any:
    from neo4j.graph import Node, Path, Relationship

    if isinstance(value, Node):
        label = next((name for name in sorted(value.labels) if name in NODES), next(iter(sorted(value.labels)), ""))
        names = NODES[label].names if label in NODES else []
        return {"_LABEL": label, **dict.fromkeys(names), **{key: plain(item) for key, item in value.items()}}
    if isinstance(value, Relationship):
        names = [name for name, _ in EDGES[value.type].properties] if value.type in EDGES else []
        return {"_LABEL": value.type, **dict.fromkeys(names), **{key: plain(item) for key, item in value.items()}}
    if isinstance(value, Path):
        return {"_NODES": [plain(node) for node in value.nodes], "_RELS": [plain(edge) for edge in value.relationships]}
    return str(value)
