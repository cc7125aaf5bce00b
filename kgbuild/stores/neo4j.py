"""A Neo4j server, 5.26 or later, Community or Enterprise, through the official driver; no APOC.

``load`` writes by MERGE and notes in the database what it holds (``_neo4j_meta``), so that it goes on where it
stopped, changes nothing when all is there, and replaces exactly what it wrote. ``query`` only reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from kgbuild.errors import StoreError
from kgbuild.stores import _neo4j_load as loader
from kgbuild.stores import _neo4j_meta as meta
from kgbuild.stores import _neo4j_schema as schema
from kgbuild.stores._neo4j_address import Address
from kgbuild.stores._neo4j_connection import Connection
from kgbuild.stores._neo4j_tables import Tables
from kgbuild.stores._neo4j_values import plain
from kgbuild.stores._reading import check_neo4j
from kgbuild.stores.base import Answer, Progress, silent


class Neo4jStore:
    """One database of one server. Connects when it is first asked something."""

    name = "neo4j"
    options: ClassVar[tuple[str, ...]] = ("uri", "user", "database", "ca_file", "timeout", "into_existing")
    local: ClassVar[bool] = False

    def __init__(self, place: Path | None = None, /, **options: str) -> None:
        del place  # a server is not in the workspace
        self._address = Address.read(options)
        self._into_existing = bool(options.get("into_existing"))
        self._open: Connection | None = None

    @property
    def _connection(self) -> Connection:
        if self._open is None:
            self._open = Connection.open(self._address)
        return self._open

    def holds(self, tables: Path) -> bool:
        """Whether the runs of ``tables`` are in the database, complete, and the counts are as they were left."""
        connection, wanted = self._connection, Tables(tables)
        notes = meta.read(connection)
        if notes is None or notes.phase is not None:
            return False
        for dataset, runs in wanted.runs.items():
            note = notes.datasets.get(dataset)
            if note is None or not note.complete or note.runs != runs:
                return False
        return not self._changed(connection, notes)

    def load(self, tables: Path, *, replace: bool = False, progress: Progress = silent) -> dict[str, int]:
        """Write the tables, or what is missing of them.

        Raises:
            StoreError: the database is not ours to write to, is being loaded, holds another run, or refused something.
        """
        connection, wanted = self._connection, Tables(tables)
        if meta.read(connection) is None:
            schema.refuse_foreign(connection, self._into_existing)
        schema.prepare(connection)
        with meta.Lock(connection) as lock:
            notes = meta.read(connection) or meta.Notes()
            plan = loader.make_plan(wanted, notes, replace)
            changed = [] if plan.changed or notes.phase else self._changed(connection, notes)
            if changed:
                raise StoreError(
                    "the database is not as kgbuild left it: " + "; ".join(changed),
                    where=str(self._address),
                    next_step="the same command with --replace writes all of it anew",
                )
            loader.load(connection, lock, wanted, plan, progress)
        schema.settle(connection)
        return wanted.rows()

    @staticmethod
    def _changed(connection: Connection, notes: meta.Notes) -> list[str]:
        if not all(note.complete for note in notes.datasets.values()):
            return []
        concepts = set().union(*(note.concepts for note in notes.datasets.values()))
        rows = [note.rows for note in notes.datasets.values()]
        return loader.mismatches(connection, rows, len(concepts), notes.concept_edges)

    def query(self, cypher: str, parameters: Mapping[str, Any] | None = None) -> Answer:
        """Run one statement in a read-only transaction, for at most ``timeout`` seconds.

        Raises:
            UsageError: the statement is empty.
            StoreError: the server refused it; its own message is given. LOAD CSV is refused here.
        """
        check_neo4j(cypher)
        columns, rows = self._connection.answer(cypher, parameters or {}, self._address.timeout_s)
        return Answer(columns, [tuple(plain(value) for value in row) for row in rows])

    def about(self) -> dict[str, str | int]:
        """Version, edition and database of the server, what kgbuild has loaded there, and nodes by label.

        Raises:
            StoreError: the server cannot be reached or used.
        """
        connection = self._connection
        server = connection.server
        notes = meta.read(connection)
        facts: dict[str, str | int] = {
            "version": server.version,
            "edition": server.edition,
            "database": server.database,
        }
        if notes is None:
            facts["graph"] = "none of kgbuild's"
            facts["nodes"] = connection.read("MATCH (n) RETURN count(n)")[0][0]
            return facts
        for dataset, note in sorted(notes.datasets.items()):
            facts[f"data set {dataset}"] = f"{note.annotations}, {'complete' if note.complete else 'loaded in part'}"
        return facts | schema.label_counts(connection)

    def close(self) -> None:
        """Let go of the connections."""
        if self._open is not None:
            self._open.close()
            self._open = None


PLUGIN = Neo4jStore
