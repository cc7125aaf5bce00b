"""The loader: nodes, then edges, in batches of ``UNWIND $rows … MERGE``, by one writer.

Every batch is one managed transaction that also notes how far it got, so a load that is killed, or whose server is,
goes on where it stopped; and MERGE on keys makes a batch that is written twice the same as once. One writer cannot
deadlock with itself: on a server near by the driver's packing of rows is what takes the time, and that is done ahead.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kgbuild.errors import StoreError
from kgbuild.stores import _neo4j_meta as meta
from kgbuild.stores import _neo4j_remove as remove
from kgbuild.stores import _neo4j_totals as totals
from kgbuild.stores._neo4j_connection import Connection
from kgbuild.stores._neo4j_schema import label_counts
from kgbuild.stores._neo4j_tables import Selection, Tables, ahead, edge_keys, edge_names
from kgbuild.stores.base import Progress
from kgbuild.tables import EDGES, NODES

BATCH = 5_000


@dataclass(frozen=True, slots=True)
class Plan:
    """What a load has to do: null phase where it has to begin."""

    changed: tuple[str, ...]
    removed: tuple[str, ...]
    phase: str | None = None
    table: str | None = None
    row: int = 0


def merge_statement(name: str) -> str:
    """The Cypher that writes rows of one table file; a row is a list in the order of the file's columns."""
    kind, _, rest = name.removesuffix(".parquet").partition("/")
    if kind == "nodes":
        names = NODES[rest].names
        sets = ", ".join(f"n.`{column}` = row[{i}]" for i, column in enumerate(names) if column != "id")
        return f"UNWIND $rows AS row MERGE (n:{rest} {{id: row[0]}})" + (f" SET {sets}" if sets else "")
    edge_type, start, end = rest.split(".")
    names = EDGES[edge_type].schema.names
    keys = ", ".join(f"`{key}`: row[{names.index(key)}]" for key in edge_keys(name))
    sets = ", ".join(f"e.`{column}` = row[{i}]" for i, column in enumerate(names) if i > 1)
    return (
        f"UNWIND $rows AS row MATCH (a:{start} {{id: row[0]}}) MATCH (b:{end} {{id: row[1]}}) "
        f"MERGE (a)-[e:`{edge_type}`{f' {{{keys}}}' if keys else ''}]->(b)" + (f" SET {sets}" if sets else "")
    )


def names() -> list[str]:
    """Files in the order in which they are written: what an edge joins is there before it."""
    return [*(f"nodes/{label}.parquet" for label in NODES), *(name for name, *_ in edge_names())]


def make_plan(tables: Tables, notes: meta.Notes, replace: bool) -> Plan:
    """What is to be done, or to be gone on with. To replace is to write anew what differs; all, where nothing does.

    Raises:
        StoreError: the database holds another run of a data set, and it was not asked to be replaced.
    """
    target = json.loads(notes.target) if notes.target else None
    if target is not None and notes.phase and target["runs"] == tables.runs:
        return Plan(tuple(target["changed"]), tuple(target["removed"]), notes.phase, notes.table, notes.row)
    changed, removed = [], []
    whole = all(
        (there := notes.datasets.get(dataset)) is not None and there.complete and there.runs == runs
        for dataset, runs in tables.runs.items()
    )
    for dataset, runs in tables.runs.items():
        there = notes.datasets.get(dataset)
        if there is not None and there.runs != runs and not replace:
            raise StoreError(
                f"the database holds another run of data set {dataset}",
                where=f"run {there.annotations}, links {there.links}" + ("" if there.complete else ", loaded in part"),
                expected=f"run {runs['annotations']}, links {runs['links']}",
                next_step="the same command with --replace takes the old run out and writes the new one",
            )
        if there is None or not there.complete or there.runs != runs or (whole and replace):
            changed.append(dataset)
            if there is not None and replace:
                removed.append(dataset)
    return Plan(tuple(changed), tuple(removed))


def load(connection: Connection, lock: meta.Lock, tables: Tables, plan: Plan, progress: Progress) -> None:
    """Carry a plan out and check what came of it.

    Raises:
        StoreError: the database refused a row, or holds other counts than the tables.
    """
    chosen = tables.of(plan.changed)
    if plan.phase is None:
        target = json.dumps({"runs": tables.runs, "changed": plan.changed, "removed": plan.removed}, sort_keys=True)
        partly = {dataset: {"complete": False} for dataset in plan.removed}
        lock.note_datasets(partly, target=target, phase="remove", at_table=None, at_row=None)
    notes = meta.read(connection) or meta.Notes()
    if plan.phase in (None, "remove"):
        for dataset in plan.removed:
            remove.remove_run(connection, lock, dataset, notes.datasets[dataset].annotations)
        starts = {
            dataset: {
                **tables.runs[dataset],
                "complete": False,
                "concepts": sorted(_concepts(tables, dataset) | _noted(notes, dataset)),
            }
            for dataset in plan.changed
        }
        lock.note_datasets(starts, phase="write", at_table=None, at_row=None)
        plan = Plan(plan.changed, plan.removed, "write")
        notes = meta.read(connection) or meta.Notes()
    _write(lock, chosen, plan, progress)
    for dataset in plan.removed:
        remove.prune(connection, lock, dataset, tables.of([dataset]))
    others = [dataset for dataset in notes.datasets if dataset not in tables.runs]
    counts = totals.counted(connection, lock, tables, others)
    totals.write(connection, lock, counts)
    _finish(connection, lock, tables, plan, notes, len(counts))


def _write(lock: meta.Lock, chosen: Selection, plan: Plan, progress: Progress) -> None:
    order = names()
    sizes = {name: chosen.count(name) for name in order}
    at = order.index(plan.table) if plan.table else 0
    done = sum(sizes[name] for name in order[:at]) + min(plan.row, sizes[order[at]])
    total = sum(sizes.values())
    progress("neo4j", done, total)
    for name in order[at:]:
        statement = merge_statement(name)
        skip = plan.row if name == plan.table else 0
        for end, rows in ahead(chosen.batches(name, BATCH, skip)):
            lock.write_rows(statement, rows, at_table=name, at_row=end)
            done = min(total, done + len(rows))
            progress("neo4j", done, total)


def _concepts(tables: Tables, dataset: str) -> set[str]:
    """Concepts that a data set brings: what it links to, and what nothing links to."""
    every = set(tables.column("nodes/Concept.parquet", "id")["id"])
    if set(tables.runs) == {dataset}:
        return every
    return tables.of([dataset]).concepts() | (every - tables.of(list(tables.runs)).concepts())


def _noted(notes: meta.Notes, dataset: str) -> frozenset[str]:
    there = notes.datasets.get(dataset)
    return there.concepts if there is not None else frozenset()


def _finish(
    connection: Connection, lock: meta.Lock, tables: Tables, plan: Plan, notes: meta.Notes, n_concept_edges: int
) -> None:
    """Take out concepts that are no more, count, and note that all is there."""
    brought = {dataset: _concepts(tables, dataset) for dataset in plan.changed}
    kept = set(tables.column("nodes/Concept.parquet", "id")["id"])
    kept.update(*(note.concepts for name, note in notes.datasets.items() if name not in plan.changed))
    gone = set().union(*(_noted(notes, dataset) for dataset in plan.removed)) - kept
    remove.prune_concepts(lock, gone)
    rows: dict[str, Mapping[str, int]] = {}
    for dataset in plan.changed:
        mine = tables.of([dataset])
        rows[dataset] = {name: mine.count(name) for name in names() if name != "nodes/Concept.parquet"}
    rows |= {name: note.rows for name, note in notes.datasets.items() if name not in rows}
    rows = _as_merged(connection, tables, plan, rows)
    concepts = kept.union(*(brought.values()))
    partly = any(not note.complete for name, note in notes.datasets.items() if name not in plan.changed)
    wrong = [] if partly else mismatches(connection, rows.values(), len(concepts), n_concept_edges)
    if wrong:
        doubtful = {dataset: {"complete": False} for dataset in tables.runs if dataset in rows}
        lock.note_datasets(doubtful, target=None, phase=None, at_table=None, at_row=None)
        raise StoreError(
            "the database holds other counts than the tables: " + "; ".join(wrong),
            where=str(connection.address),
            next_step="was something else writing to it? The same command with --replace writes all of it anew",
        )
    finished: dict[str, Mapping[str, Any]] = {
        dataset: {
            "complete": True,
            "rows": json.dumps(rows[dataset], sort_keys=True),
            "concepts": sorted(brought[dataset]),
        }
        for dataset in plan.changed
    }
    lock.note_datasets(finished, target=None, phase=None, at_table=None, at_row=None, concept_edges=n_concept_edges)


def _as_merged(
    connection: Connection, tables: Tables, plan: Plan, rows: dict[str, Mapping[str, int]]
) -> dict[str, Mapping[str, int]]:
    """Counts of edges where rows repeat one: the database has such an edge once."""
    fixed = {dataset: dict(counts) for dataset, counts in rows.items()}
    found = type_counts(connection)
    for edge_type, n in found.items():
        files = [name for name, kind, *_ in edge_names() if kind == edge_type]
        if n != sum(counts.get(name, 0) for counts in rows.values() for name in files):
            for dataset in plan.changed:
                fixed[dataset].update({name: tables.of([dataset]).distinct(name) for name in files})
    return dict(fixed)


def type_counts(connection: Connection) -> dict[str, int]:
    """Edges of each of our types; quick, and so with those that somebody else may have of that type."""
    kinds = dict.fromkeys(kind for _, kind, *_ in edge_names())
    return {kind: connection.read(f"MATCH ()-[e:`{kind}`]->() RETURN count(e)")[0][0] for kind in kinds}


def mismatches(connection: Connection, rows: Any, n_concepts: int, n_concept_edges: int) -> list[str]:
    """What is not there as it should be, in words. ``rows``: rows by file of every data set in the database."""
    every = list(rows)
    wrong = []
    for label, n in label_counts(connection).items():
        wanted = n_concepts if label == "Concept" else sum(counts.get(f"nodes/{label}.parquet", 0) for counts in every)
        if n != wanted:
            wrong.append(f"{n:,} {label} nodes, not {wanted:,}")
    for kind, n in type_counts(connection).items():
        files = [(name, start, end) for name, edge_type, start, end in edge_names() if edge_type == kind]
        wanted = sum(counts.get(name, 0) for counts in every for name, *_ in files)
        if n != wanted:  # others may use the type between nodes of their own
            n = sum(
                connection.read(f"MATCH (:{start})-[e:`{kind}`]->(:{end}) RETURN count(e)")[0][0]
                for _, start, end in files
            )
        if n != wanted:
            wrong.append(f"{n:,} {kind} edges, not {wanted:,}")
    between = sum(
        connection.read(f"MATCH (:Concept)-[e:{kind}]->(:Concept) RETURN count(e)")[0][0] for kind in totals.TYPES
    )
    if between != n_concept_edges:
        wrong.append(f"{between:,} concept edges, not {n_concept_edges:,}")
    return wrong
