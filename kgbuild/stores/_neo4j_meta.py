"""What kgbuild notes in the database itself, on nodes labelled ``Kgbuild``.

``(:Kgbuild {id: "graph"})`` holds the schema version, what load is under way (which runs, how far) and who is loading.
``(:Kgbuild {id: "dataset:<name>"})`` holds a data set's runs, its rows by table and the ids of the concepts it links
to, so that a replacement removes what was written and a database that other people write to can be checked.

A load holds the graph node's lock: owner and heartbeat, both checked in every transaction that writes. A lock whose
process has died on this machine is taken over at once, any other when its heartbeat is old.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import socket
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from kgbuild.errors import StoreError
from kgbuild.stores._neo4j_connection import Connection

T = TypeVar("T")
SCHEMA = 1
STALE_MS = 180_000
_ACTIVE: set[str] = set()  # locks that this very process holds

_TAKE = """
MERGE (k:Kgbuild {id: 'graph'})
ON CREATE SET k.schema = $schema
SET k.kgbuild = $version
WITH k, timestamp() - coalesce(k.heartbeat, 0) AS age, k.owner AS owner
WITH k, age, owner, owner IS NULL OR owner IN $dead OR age > $stale AS free
FOREACH (_ IN CASE WHEN free THEN [1] ELSE [] END | SET k.owner = $owner, k.heartbeat = timestamp())
RETURN free, owner, age
"""
_BEAT = """
MATCH (k:Kgbuild {id: 'graph'}) SET k.heartbeat = timestamp()
WITH k WHERE k.owner = $owner
SET k += $note
RETURN count(k)
"""
_RELEASE = "MATCH (k:Kgbuild {id: 'graph'}) WHERE k.owner = $owner SET k.owner = null, k.heartbeat = null"


@dataclass(frozen=True, slots=True)
class DatasetNote:
    """What the database holds of one data set."""

    annotations: str
    links: str
    complete: bool
    rows: Mapping[str, int]
    concepts: frozenset[str]

    @property
    def runs(self) -> dict[str, str]:
        """As in ``graph.json``."""
        return {"annotations": self.annotations, "links": self.links}


@dataclass(frozen=True, slots=True)
class Notes:
    """Everything noted: null values where no load is under way."""

    target: str | None = None
    phase: str | None = None
    table: str | None = None
    row: int = 0
    concept_edges: int = 0
    datasets: Mapping[str, DatasetNote] = field(default_factory=dict)


def read(connection: Connection) -> Notes | None:
    """What is noted, or null where kgbuild has written nothing.

    Raises:
        StoreError: written by another schema version.
    """
    nodes = [dict(row[0]) for row in connection.read("MATCH (k:Kgbuild) RETURN k")]
    graph = next((node for node in nodes if node.get("id") == "graph"), None)
    if graph is None:
        return None
    if graph.get("schema") != SCHEMA:
        raise StoreError(
            f"the graph in the database has schema {graph.get('schema')}, made by another version of kgbuild",
            where=str(connection.address),
            expected=f"schema {SCHEMA}",
            next_step="use that version, or load into an empty database",
        )
    datasets = {
        node["dataset"]: DatasetNote(
            node.get("annotations", ""),
            node.get("links", ""),
            bool(node.get("complete")),
            json.loads(node.get("rows") or "{}"),
            frozenset(node.get("concepts") or ()),
        )
        for node in nodes
        if str(node.get("id")).startswith("dataset:")
    }
    return Notes(
        graph.get("target"),
        graph.get("phase"),
        graph.get("at_table"),
        graph.get("at_row") or 0,
        graph.get("concept_edges") or 0,
        datasets,
    )


class Lock:
    """The right to write, held from ``with`` to its end."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._owner = f"{socket.gethostname()} {os.getpid()} {uuid.uuid4().hex}"

    def __enter__(self) -> Lock:
        seen = self._connection.read("OPTIONAL MATCH (k:Kgbuild {id: 'graph'}) RETURN k.owner")[0][0]
        given = {
            "owner": self._owner,
            "dead": [seen] if seen and _is_dead(seen) else [],
            "schema": SCHEMA,
            "version": importlib.metadata.version("kgbuild"),
            "stale": STALE_MS,
        }
        free, owner, age_ms = self._connection.write(lambda tx: tuple(tx.run(_TAKE, given).single(strict=True)))
        if not free and owner != self._owner:  # its own where the first answer was lost
            host, pid, _ = owner.split(" ")
            raise StoreError(
                "another load into this database is under way",
                where=f"process {pid} on {host}, last heard of {max(0, age_ms) / 1000:.0f} s ago",
                next_step=f"wait for it; if it has died, its place is free {STALE_MS // 1000} s after its last sign",
            )
        _ACTIVE.add(self._owner)
        return self

    def __exit__(self, *exc: object) -> None:
        _ACTIVE.discard(self._owner)
        try:
            self._connection.run(_RELEASE, owner=self._owner)
        except StoreError:
            if exc[0] is None:
                raise  # else the first error is the one to tell, and a dead process's lock is free anyway

    def write(self, work: Callable[[Any], T], **note: Any) -> T:
        """Run ``work`` and note ``note`` on the graph node in one transaction, if the lock is still held."""

        def both(transaction: Any) -> T:
            done = work(transaction)
            if transaction.run(_BEAT, owner=self._owner, note=note).single(strict=True)[0] != 1:
                raise StoreError(
                    "another load has taken this one's place, because it was silent for too long",
                    next_step="run the same command again: what is written is kept",
                )
            return done

        return self._connection.write(both)

    def write_rows(self, cypher: str, rows: Sequence[Any], **note: Any) -> None:
        """Run one statement over ``$rows``, and note."""
        self.write(lambda transaction: transaction.run(cypher, rows=rows).consume(), **note)

    def note(self, **note: Any) -> None:
        """Set properties of the graph node; null removes one."""
        self.write(lambda transaction: None, **note)

    def note_datasets(self, datasets: Mapping[str, Mapping[str, Any]], **note: Any) -> None:
        """Set properties of data sets' nodes (made where they are absent) and of the graph node, all at once."""
        rows = [{"id": f"dataset:{name}", "props": {"dataset": name, **props}} for name, props in datasets.items()]
        cypher = "UNWIND $rows AS row MERGE (k:Kgbuild {id: row.id}) SET k += row.props"
        self.write_rows(cypher, rows, **note)


def _is_dead(owner: str) -> bool:
    """Whether an owner was a process of this machine that is no more."""
    if owner in _ACTIVE:
        return False
    host, pid, _ = (*owner.split(" "), "", "", "")[:3]
    if host != socket.gethostname() or not pid.isdigit():
        return False
    if int(pid) == os.getpid():
        return True  # an earlier load of this process, that could not give its lock back
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
