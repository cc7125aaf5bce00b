"""The peers' own writers, one process each: ``python _neo4j_peers.py WRITER TABLES``, in the peer's environment.

Reads the node and edge tables (JSON Lines that the benchmark wrote) before the clock starts, then writes them the way
the peer's documentation does. Prints one JSON line: seconds and the peer's version.
"""

from __future__ import annotations

import json
import os
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar

URI, USER, PASSWORD = os.environ["NEO4J_URI"], "neo4j", os.environ["NEO4J_PASSWORD"]
Rows = list[dict[str, Any]]


def read(folder: Path) -> tuple[list[tuple[str, Rows]], list[tuple[str, str, str, Rows]]]:
    """Nodes by label, edges by (type, from, to)."""
    nodes = [(f.stem, [json.loads(line) for line in f.open()]) for f in sorted((folder / "nodes").iterdir())]
    edges = []
    for file in sorted((folder / "edges").iterdir()):
        kind, start, end = file.stem.split(".")
        edges.append((kind, start, end, [json.loads(line) for line in file.open()]))
    return nodes, edges


def biocypher(nodes: Any, edges: Any) -> str:
    """BioCypher, online mode: ``write_nodes``, ``write_edges`` through its Neo4j driver, without an ontology."""
    from biocypher._create import BioCypherEdge, BioCypherNode
    from biocypher.output.connect._neo4j_driver import _Neo4jDriver

    class Translator:
        class ontology:  # noqa: N801
            class mapping:  # noqa: N801
                extended_schema: ClassVar[dict[str, Any]] = {label: {"represented_as": "node"} for label, _ in nodes}

    driver = _Neo4jDriver(
        database_name="neo4j",
        uri=URI,
        user=USER,
        password=PASSWORD,
        multi_db=False,
        translator=Translator(),
        wipe=False,
        increment_version=False,
    )
    for label, rows in nodes:
        driver.add_biocypher_nodes(
            BioCypherNode(node_id=r["id"], node_label=label, properties={k: v for k, v in r.items() if k != "id"})
            for r in rows
        )
    for kind, _, _, rows in edges:
        driver.add_biocypher_edges(
            BioCypherEdge(
                source_id=r["source"],
                target_id=r["target"],
                relationship_label=kind,
                properties={k: v for k, v in r.items() if k not in ("source", "target")},
            )
            for r in rows
        )
    return version("biocypher")


def graphrag(nodes: Any, edges: Any) -> str:
    """neo4j-graphrag's Neo4jWriter, its default batch of 1,000."""
    import asyncio

    import neo4j
    from neo4j_graphrag.experimental.components.kg_writer import Neo4jWriter
    from neo4j_graphrag.experimental.components.types import Neo4jGraph, Neo4jNode, Neo4jRelationship

    def clean(row: dict[str, Any], *without: str) -> dict[str, Any]:
        return {k: v for k, v in row.items() if k not in without and v is not None}

    graph = Neo4jGraph(
        nodes=[
            Neo4jNode(id=f"{label}:{r['id']}", label=label, properties=clean(r)) for label, rows in nodes for r in rows
        ],
        relationships=[
            Neo4jRelationship(
                start_node_id=f"{start}:{r['source']}",
                end_node_id=f"{end}:{r['target']}",
                type=kind,
                properties=clean(r, "source", "target"),
            )
            for kind, start, end, rows in edges
            for r in rows
        ],
    )
    with neo4j.GraphDatabase.driver(URI, auth=(USER, PASSWORD)) as driver:
        asyncio.run(Neo4jWriter(driver).run(graph))
    return version("neo4j-graphrag")


def kgx(nodes: Any, edges: Any) -> str:
    """KGX: its Neo4j sink, as the Transformer drives it."""
    from unittest.mock import MagicMock

    import bmt

    bmt.Toolkit = MagicMock  # kgx asks the network for Biolink's model when imported; its Neo4j sink does without
    from kgx.sink import NeoSink

    class Owner:
        def get_infores_catalog(self) -> dict[str, str]:
            return {}

    sink = NeoSink(Owner(), uri=URI, username=USER, password=PASSWORD, cache_size=10_000)
    for label, rows in nodes:
        for r in rows:
            sink.write_node({**r, "category": [f"biolink:{label}"]})
    for kind, _, _, rows in edges:
        for r in rows:
            record = {k: v for k, v in r.items() if k not in ("source", "target")}
            sink.write_edge({**record, "subject": r["source"], "object": r["target"], "predicate": f"biolink:{kind}"})
    sink.finalize()
    return version("kgx")


def main() -> None:
    """Read, write, print."""
    writer = {"biocypher": biocypher, "graphrag": graphrag, "kgx": kgx}[sys.argv[1]]
    nodes, edges = read(Path(sys.argv[2]))
    started = time.perf_counter()
    release = writer(nodes, edges)
    print(json.dumps({"seconds": time.perf_counter() - started, "version": release}))


if __name__ == "__main__":
    main()
