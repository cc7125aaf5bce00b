"""The whole graph as plain values, from the tables and from a database, to be compared for equality."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq

from kgbuild.tables import EDGES, NODES

if TYPE_CHECKING:
    from neo4j import Driver

Dump = dict[str, list[tuple[str, ...]]]


def _values(row: dict[str, Any]) -> str:
    return repr(sorted((key, value) for key, value in row.items() if value is not None))


def from_tables(folder: Path) -> Dump:
    """Every node and edge with all its properties."""
    found: Dump = {}
    for label in NODES:
        rows = pq.read_table(folder / "nodes" / f"{label}.parquet").to_pylist()
        found[label] = sorted((row["id"], _values(row)) for row in rows)
    for edge in EDGES.values():
        every: list[tuple[str, ...]] = []
        for start, end in edge.pairs:
            rows = pq.read_table(folder / "edges" / f"{edge.type}.{start}.{end}.parquet").to_pylist()
            every += [(row.pop("source"), row.pop("target"), _values(row)) for row in rows]
        found[edge.type] = sorted(every)
    return found


def from_neo4j(driver: Driver) -> Dump:
    """The same from the server."""
    found: Dump = {}
    with driver.session() as session:
        for label in NODES:
            rows = [dict(record[0]) for record in session.run(f"MATCH (n:{label}) RETURN properties(n)")]
            found[label] = sorted((row["id"], _values(_native(row))) for row in rows)
        for edge in EDGES.values():
            cypher = f"MATCH (a)-[e:`{edge.type}`]->(b) RETURN a.id, b.id, properties(e)"
            found[edge.type] = sorted((a, b, _values(_native(dict(e)))) for a, b, e in session.run(cypher))
    return found


def _native(row: dict[str, Any]) -> dict[str, Any]:
    return {key: value.to_native() if hasattr(value, "to_native") else value for key, value in row.items()}


def operators(driver: Driver, cypher: str, parameters: dict[str, Any]) -> list[str]:
    """Names of the operators of the server's plan, the last first; the leaves say what it starts from."""
    steps = [driver.execute_query(f"EXPLAIN {cypher}", parameters).summary.plan]
    names: list[str] = []
    for step in steps:  # grows while it is read
        assert step is not None
        names.append(step["operatorType"].partition("@")[0])
        steps += step.get("children", [])
    return names
