"""The embedded store: a ladybug database file, built by COPY from the Parquet tables and then only read.

ladybug 0.22 is safe this way (bulk COPY, then read-only); its incremental writes are not relied on. The file is built
aside and moved into place, so a reader sees the old graph or the new one. Neo4j functions that the dialect lacks and
the portable queries use are installed as macros.
"""

from __future__ import annotations

import decimal
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa

from kgbuild import files, parquet
from kgbuild.errors import FileMissing, StoreError, UsageError
from kgbuild.resources import data
from kgbuild.stores._embedded_errors import refusal
from kgbuild.stores._reading import check_embedded
from kgbuild.stores.base import Answer, Progress, silent
from kgbuild.tables import EDGES, NODES

BUFFER_POOL_BYTES = 1 << 30
_TYPES = {
    pa.string(): "STRING",
    pa.int64(): "INT64",
    pa.float64(): "DOUBLE",
    pa.bool_(): "BOOLEAN",
    pa.date32(): "DATE",
    pa.list_(pa.string()): "STRING[]",
}


def ddl() -> list[str]:
    """CREATE statements of every node and relationship table, from ``tables``."""
    statements = []
    for label, schema in NODES.items():
        columns = ", ".join(f"`{field.name}` {_TYPES[field.type]}" for field in schema)
        statements.append(f"CREATE NODE TABLE {label}({columns}, PRIMARY KEY(id))")
    for edge in EDGES.values():
        pairs = ", ".join(f"FROM {start} TO {end}" for start, end in edge.pairs)
        columns = "".join(f", `{name}` {_TYPES[kind]}" for name, kind in edge.properties)
        statements.append(f"CREATE REL TABLE `{edge.type}`({pairs}{columns})")
    return statements


def _macros() -> list[str]:
    text = (data("schemas") / "ladybug" / "macros.cypher").read_text(encoding="utf-8")
    lines = (line for line in text.splitlines() if not line.lstrip().startswith("//"))
    return [part.strip() for part in "\n".join(lines).split(";") if part.strip()]


class EmbeddedStore:
    """One database file. ``load`` replaces it; ``query`` reads it."""

    name = "embedded"
    options: ClassVar[tuple[str, ...]] = ("timeout",)
    local: ClassVar[bool] = True

    def __init__(self, path: Path, /, *, timeout: str | None = None) -> None:
        self._path = path
        self._timeout_s = None if timeout is None else _seconds(timeout)
        self._open: tuple[Any, Any] | None = None

    def holds(self, tables: Path) -> bool:
        """Whether it was built from these tables: the ``graph.json`` beside it is theirs."""
        try:
            wanted = (tables / "graph.json").read_text(encoding="utf-8")
            return self._path.is_file() and self._note.read_text(encoding="utf-8") == wanted
        except OSError:
            return False

    @property
    def _note(self) -> Path:
        return self._path.with_name("graph.json")

    def load(self, tables: Path, *, replace: bool = False, progress: Progress = silent) -> dict[str, int]:
        """Build the database from the tables, whatever was there before; returns rows by table.

        Raises:
            StoreError: the store refused a table, or holds other counts than the tables.
        """
        self.close()
        progress("store", 0, 1)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        files.sweep(self._path.parent)
        with files.atomic(self._path) as part:
            try:
                rows = self._build(part, tables)
            finally:
                for left in part.parent.glob(f"{part.name}?*"):  # its write-ahead log and shadow pages
                    left.unlink(missing_ok=True)
            for ending in ("wal", "shadow"):  # of the old file: beside the new one they would be replayed into it
                self._path.with_name(f"{self._path.name}.{ending}").unlink(missing_ok=True)
        files.write_text(self._note, (tables / "graph.json").read_text(encoding="utf-8"))
        progress("store", 1, 1)
        return rows

    def _build(self, path: Path, tables: Path) -> dict[str, int]:
        import ladybug

        try:
            database = ladybug.Database(str(path), buffer_pool_size=BUFFER_POOL_BYTES)
            connection = ladybug.Connection(database)
        except RuntimeError as error:
            raise StoreError(f"the embedded store cannot be written: {error}", where=str(path.parent)) from None
        rows: dict[str, int] = {}
        try:
            for statement in ddl():
                connection.execute(statement)
            for label in NODES:
                file = tables / "nodes" / f"{label}.parquet"
                rows[f"nodes/{file.name}"] = self._copy(connection, label, file)
            for edge in EDGES.values():
                for start, end in edge.pairs:
                    file = tables / "edges" / f"{edge.type}.{start}.{end}.parquet"
                    ends = f" (from='{start}', to='{end}')" if len(edge.pairs) > 1 else ""
                    rows[f"edges/{file.name}"] = self._copy(connection, edge.type, file, ends)
            for statement in _macros():
                connection.execute(statement)
            connection.execute("CHECKPOINT")
            self._verify(connection, rows)
        except RuntimeError as error:
            raise StoreError(
                f"the embedded store refused the tables: {error}",
                where=str(tables),
                next_step=f"if a table is damaged, {parquet.mend_tables(tables)}",
            ) from None
        finally:
            connection.close()
            database.close()
        return rows

    @staticmethod
    def _copy(connection: Any, table: str, file: Path, ends: str = "") -> int:
        rows = parquet.rows(file)
        if rows is None:
            raise StoreError(f"{file} is absent or damaged", next_step=parquet.mend_tables(file.parent.parent))
        if rows:
            connection.execute(f"COPY `{table}` FROM {_quoted(str(file))}{ends}")
        return rows

    @staticmethod
    def _verify(connection: Any, rows: Mapping[str, int]) -> None:
        """Count what went in: a COPY that lost rows must not become the graph."""
        for label in NODES:
            found = connection.execute(f"MATCH (n:{label}) RETURN count(n)").get_all()[0][0]
            wanted = rows[f"nodes/{label}.parquet"]
            if found != wanted:
                raise StoreError(f"the embedded store holds {found} {label} nodes", expected=str(wanted))
        for edge in EDGES.values():
            found = connection.execute(f"MATCH ()-[e:`{edge.type}`]->() RETURN count(e)").get_all()[0][0]
            wanted = sum(rows[f"edges/{edge.type}.{start}.{end}.parquet"] for start, end in edge.pairs)
            if found != wanted:
                raise StoreError(f"the embedded store holds {found} {edge.type} edges", expected=str(wanted))

    def query(self, cypher: str, parameters: Mapping[str, Any] | None = None) -> Answer:
        """Run one read-only statement.

        Raises:
            UsageError: the statement is empty.
            FileMissing: nothing is loaded yet.
            StoreError: the statement is refused, by us or by the store, whose own message is given; or took too long.
        """
        bare = check_embedded(cypher)
        connection = self._connect()
        try:
            result = connection.execute(bare, parameters=dict(parameters or {}))
            columns = tuple(result.get_column_names())
            rows = [tuple(_plain(value) for value in row) for row in result.get_all()]
        except RuntimeError as error:
            raise refusal(cypher, str(error), self._timeout_s) from None
        return Answer(columns, rows)

    def _connect(self) -> Any:
        if self._open is None:
            if not self._path.is_file():
                raise FileMissing(
                    f"no graph is loaded: {self._path} is absent",
                    next_step=f"kgbuild load -w {self._path.parent.parent}",
                )
            import ladybug

            try:
                database = ladybug.Database(str(self._path), buffer_pool_size=BUFFER_POOL_BYTES, read_only=True)
            except RuntimeError as error:
                raise StoreError(
                    f"{self._path} cannot be opened: {error}",
                    next_step=f"kgbuild load --replace -w {self._path.parent.parent} builds it again",
                ) from None
            connection = ladybug.Connection(database)
            if self._timeout_s is not None:
                connection.set_query_timeout(max(1, round(self._timeout_s * 1000)))
            self._open = (database, connection)
        return self._open[1]

    def close(self) -> None:
        """Close the file."""
        if self._open is not None:
            database, connection = self._open
            self._open = None
            connection.close()
            database.close()


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= 1e9:
        raise UsageError(f"--timeout {text!r} cannot be read", expected="seconds, more than 0")
    return seconds


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _plain(value: Any) -> Any:
    """Ladybug's values as any store would give them: sums as int, nodes and edges as their properties."""
    if isinstance(value, decimal.Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items() if key not in ("_ID", "_SRC", "_DST")}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value


PLUGIN = EmbeddedStore
