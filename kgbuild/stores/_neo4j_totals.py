"""Concept → Concept edges: the knowledge graph proper, counted over every data set in the database.

The tables have the counts of their own data sets. What the database holds of others is counted there, a page of
studies at a time, and added: a study and a patient are of one data set only.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from kgbuild.stores._neo4j_connection import Connection
from kgbuild.stores._neo4j_meta import Lock
from kgbuild.stores._neo4j_remove import studies
from kgbuild.stores._neo4j_tables import Tables

TYPES = ("concept_located_at", "concept_modify", "concept_suggestive_of")
_BATCH = 5_000
_COUNT = """
UNWIND $ids AS id
MATCH (s:Study {id: id})-[:mentions]->(m:Observation|Anatomy)
MATCH (m)-[e:located_at|modify|suggestive_of]->(o:Observation|Anatomy)
MATCH (m)-[:linked_to]->(c:Concept)
MATCH (o)-[:linked_to]->(d:Concept)
WHERE c.id <> d.id
OPTIONAL MATCH (p:Patient)-[:has_study]->(s)
RETURN 'concept_' + type(e), c.id, d.id, e.presence, count(DISTINCT s.id), collect(DISTINCT p.id)
"""
Key = tuple[str, str, str, str]


def counted(connection: Connection, lock: Lock, tables: Tables, others: Collection[str]) -> dict[Key, list[int | None]]:
    """(type, source, target, presence) → [n_studies, n_patients]; patients null where no data set has any."""
    totals: dict[Key, list[int | None]] = {}
    for kind in TYPES:
        columns = ("source", "target", "presence", "n_studies", "n_patients")
        for source, target, presence, n, patients in tables.column(
            f"edges/{kind}.Concept.Concept.parquet", *columns
        ).rows():
            totals[kind, source, target, presence] = [n, patients]
    for dataset in others:
        people: dict[Key, set[str]] = {}
        for page in studies(connection, dataset):
            for kind, source, target, presence, n, patients in connection.read(_COUNT, ids=page):
                key = (kind, source, target, presence)
                total = totals.setdefault(key, [0, None])
                total[0] = (total[0] or 0) + n
                people.setdefault(key, set()).update(patients)
            lock.note()
        for key, found in people.items():
            if found:
                totals[key][1] = (totals[key][1] or 0) + len(found)
    return totals


def write(connection: Connection, lock: Lock, totals: dict[Key, list[int | None]]) -> None:
    """Make the database's concept edges these and no others."""
    for kind in TYPES:
        wanted = [[*key[1:], *counts] for key, counts in totals.items() if key[0] == kind]
        keys = {tuple(row[:3]) for row in wanted}
        there = connection.read(f"MATCH (a:Concept)-[e:{kind}]->(b:Concept) RETURN a.id, b.id, e.presence")
        ends = "UNWIND $rows AS row MATCH (a:Concept {id: row[0]}) MATCH (b:Concept {id: row[1]})"
        _each(
            lock, f"{ends} MATCH (a)-[e:{kind} {{presence: row[2]}}]->(b) DELETE e", [r for r in there if r not in keys]
        )
        _each(
            lock,
            f"{ends} MERGE (a)-[e:{kind} {{presence: row[2]}}]->(b) SET e.n_studies = row[3], e.n_patients = row[4]",
            wanted,
        )


def _each(lock: Lock, cypher: str, rows: list[Any]) -> None:
    for start in range(0, len(rows), _BATCH):
        batch = [list(row) for row in rows[start : start + _BATCH]]
        lock.write_rows(cypher, batch)
