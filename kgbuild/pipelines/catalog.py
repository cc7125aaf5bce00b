"""The catalog: runs, chunks and failures in a database, so that people and machines can find and report them.

SQLite in the workspace by default, any SQLAlchemy URL (``KGBUILD_CATALOG``) for many machines. It is the only place
for times, hosts and absolute paths. It can be lost: ``runs`` fills it again from the files, which are the truth.
"""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from kgbuild.domain import Failure
from kgbuild.errors import WorkspaceError

_meta = sa.MetaData()

RUNS = sa.Table(
    "runs",
    _meta,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("kind", sa.String, nullable=False),
    sa.Column("dataset", sa.String, nullable=False),
    sa.Column("n_studies", sa.Integer, nullable=False),
    sa.Column("n_chunks", sa.Integer, nullable=False),
    sa.Column("root", sa.String),
    sa.Column("command", sa.String),
    sa.Column("started_at", sa.DateTime),
)
CHUNKS = sa.Table(
    "chunks",
    _meta,
    sa.Column("run_id", sa.String, primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("state", sa.String, nullable=False),  # done, or failed (will be tried again by the next run)
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("worker", sa.String),
    sa.Column("counts", sa.JSON, nullable=False),
    sa.Column("sha256", sa.String),
    sa.Column("finished_at", sa.DateTime),
)
FAILURES = sa.Table(
    "failures",
    _meta,
    sa.Column("run_id", sa.String, nullable=False, index=True),
    sa.Column("chunk", sa.Integer, nullable=False),
    sa.Column("study_id", sa.String, nullable=False),
    sa.Column("stage", sa.String, nullable=False),
    sa.Column("reason", sa.String, nullable=False),
    sa.Column("where", sa.String),
)


class Catalog:
    """One connection pool to the catalog of one workspace."""

    def __init__(self, workspace: Path) -> None:
        url = os.environ.get("KGBUILD_CATALOG") or f"sqlite:///{workspace / 'catalog.sqlite'}"
        options: dict[str, Any] = {"connect_args": {"timeout": 60}} if url.startswith("sqlite") else {}
        self._engine = sa.create_engine(url, **options)
        with self._transaction():
            _meta.create_all(self._engine)

    @contextmanager
    def _transaction(self) -> Iterator[sa.Connection]:
        try:
            with self._engine.begin() as connection:
                yield connection
        except sa.exc.SQLAlchemyError as error:
            # str(error) would repeat the statement's parameters, which need not be logged
            cause = getattr(error, "orig", None) or type(error).__name__
            raise WorkspaceError(
                f"the catalog cannot be used: {cause}",
                where=self._engine.url.render_as_string(hide_password=True),
                next_step="free disk space, or remove catalog.sqlite: it is rebuilt from the run files",
            ) from None

    def close(self) -> None:
        """Let go of the database."""
        self._engine.dispose()

    def add_run(self, row: dict[str, Any], command: str | None = None, root: str | None = None) -> None:
        """Note that a run was started; a run that is known keeps its first entry."""
        with self._transaction() as connection:
            known = connection.execute(sa.select(RUNS.c.id).where(RUNS.c.id == row["id"])).first()
            if known is None:
                now = dt.datetime.now(dt.UTC).replace(tzinfo=None)
                connection.execute(sa.insert(RUNS).values(**row, command=command, root=root, started_at=now))

    def add_chunk(
        self, run_id: str, number: int, counts: dict[str, int], sha256: str, failures: Sequence[Failure], worker: str
    ) -> None:
        """Note a finished chunk and its quarantined studies, replacing what was known of it."""
        with self._transaction() as connection:
            attempts = self._attempts(connection, run_id, number)
            self._forget(connection, run_id, number)
            connection.execute(
                sa.insert(CHUNKS).values(
                    run_id=run_id,
                    number=number,
                    state="done",
                    attempts=attempts + 1,
                    worker=worker,
                    counts=counts,
                    sha256=sha256,
                    finished_at=dt.datetime.now(dt.UTC).replace(tzinfo=None),
                )
            )
            if failures:
                rows = [
                    {
                        "run_id": run_id,
                        "chunk": number,
                        "study_id": f.study_id,
                        "stage": f.stage,
                        "reason": f.reason,
                        "where": f.where,
                    }
                    for f in failures
                ]
                connection.execute(sa.insert(FAILURES), rows)

    def add_failed_chunk(self, run_id: str, number: int, worker: str) -> None:
        """Note that a chunk could not be finished; the next run tries it again."""
        with self._transaction() as connection:
            attempts = self._attempts(connection, run_id, number)
            self._forget(connection, run_id, number)
            row = {"run_id": run_id, "number": number, "state": "failed", "attempts": attempts + 1}
            connection.execute(sa.insert(CHUNKS).values(**row, worker=worker, counts={}))

    def chunks(self, run_id: str) -> dict[int, dict[str, Any]]:
        """Chunk number → its row."""
        with self._transaction() as connection:
            rows = connection.execute(sa.select(CHUNKS).where(CHUNKS.c.run_id == run_id)).mappings()
            return {row["number"]: dict(row) for row in rows}

    def failures(self, run_id: str) -> list[Failure]:
        """Quarantined studies of a run, in order."""
        with self._transaction() as connection:
            query = (
                sa.select(FAILURES).where(FAILURES.c.run_id == run_id).order_by(FAILURES.c.chunk, FAILURES.c.study_id)
            )
            rows = connection.execute(query).mappings()
            return [Failure(row["study_id"], row["stage"], row["reason"], row["where"]) for row in rows]

    def run(self, run_id: str) -> dict[str, Any] | None:
        """A run's row, if it is known."""
        with self._transaction() as connection:
            row = connection.execute(sa.select(RUNS).where(RUNS.c.id == run_id)).mappings().first()
            return dict(row) if row else None

    @staticmethod
    def _attempts(connection: sa.Connection, run_id: str, number: int) -> int:
        here = (CHUNKS.c.run_id == run_id) & (CHUNKS.c.number == number)
        return connection.execute(sa.select(CHUNKS.c.attempts).where(here)).scalar() or 0

    @staticmethod
    def _forget(connection: sa.Connection, run_id: str, number: int) -> None:
        connection.execute(sa.delete(CHUNKS).where((CHUNKS.c.run_id == run_id) & (CHUNKS.c.number == number)))
        connection.execute(sa.delete(FAILURES).where((FAILURES.c.run_id == run_id) & (FAILURES.c.chunk == number)))
