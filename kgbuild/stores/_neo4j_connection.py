"""A connection to a Neo4j server that is new enough: reading and writing in managed transactions.

Writing is idempotent everywhere, so a transaction whose fate is unknown is simply run again.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from kgbuild.errors import DependencyMissing, StoreError
from kgbuild.stores._neo4j_address import Address, password
from kgbuild.stores._neo4j_errors import told

T = TypeVar("T")
OLDEST = (5, 26)
_CONNECT_S = 15.0
RETRY_S = 180.0  # how long a write waits for a server that restarts


@dataclass(frozen=True, slots=True)
class Server:
    """What a server says of itself."""

    version: str
    edition: str
    database: str


@dataclass
class Connection:
    """An open driver on one database of one server that is new enough."""

    address: Address
    driver: Any = field(repr=False)
    server: Server = field(init=False)

    @classmethod
    def open(cls, address: Address) -> Connection:
        """Connect, sign in and look at the version.

        Raises:
            DependencyMissing: the driver is not installed.
            StoreError: not reachable, refused, no such database, or too old.
        """
        try:
            import neo4j
        except ImportError:
            raise DependencyMissing(
                "the Neo4j driver is not installed", next_step="pip install 'kgbuild[neo4j]'"
            ) from None
        settings: dict[str, Any] = {
            "connection_timeout": _CONNECT_S,
            "connection_acquisition_timeout": 2 * _CONNECT_S,
            "max_transaction_retry_time": RETRY_S,
            "notifications_min_severity": "OFF",
            "user_agent": "kgbuild",
        }
        uri = address.uri
        if address.ca_file is not None:
            uri = uri.replace("+s://", "://", 1)
            settings |= {"encrypted": True, "trusted_certificates": neo4j.TrustCustomCAs(str(address.ca_file))}
        with told(address):
            driver = neo4j.GraphDatabase.driver(uri, auth=(address.user, password(address.user)), **settings)
        connection = cls(address, driver)
        try:
            with told(address):
                driver.verify_connectivity()
            connection.server = connection._look()
        except BaseException:
            driver.close()
            raise
        return connection

    def _look(self) -> Server:
        if self.address.database == "system":
            raise StoreError("database system holds no graph", next_step="give another --database")
        found = self.read("CALL dbms.components() YIELD name, versions, edition RETURN name, versions[0], edition")
        name, version, edition = next((row for row in found if "Kernel" in str(row[0])), found[0])
        if parse_version(version) < OLDEST:
            raise StoreError(
                f"the server is {name} {version}",
                where=self.address.uri,
                expected="Neo4j 5.26 or later",
                next_step="upgrade the server; docker-compose.yml starts one that fits",
            )
        database = self.read("CALL db.info() YIELD name RETURN name")[0][0]
        return Server(str(version), str(edition), str(database))

    def close(self) -> None:
        """Let go of the sockets."""
        self.driver.close()

    def read(self, cypher: str, timeout_s: float | None = None, /, **parameters: Any) -> list[tuple[Any, ...]]:
        """Rows of one statement in a read-only transaction."""
        return self.answer(cypher, parameters, timeout_s)[1]

    def answer(
        self, cypher: str, parameters: Mapping[str, Any], timeout_s: float | None
    ) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
        """(columns, rows) of one statement in a read-only transaction."""
        import neo4j

        def work(transaction: Any) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
            result = transaction.run(cypher, dict(parameters))
            return tuple(result.keys()), [tuple(row) for row in result.values()]

        with told(self.address), self._session(default_access_mode=neo4j.READ_ACCESS) as session:
            found: tuple[tuple[str, ...], list[tuple[Any, ...]]] = session.execute_read(
                neo4j.unit_of_work(timeout=timeout_s)(work)
            )
            return found

    def write(self, work: Callable[[Any], T]) -> T:
        """Run ``work(transaction)``, again if the server fails meanwhile: it must be idempotent.

        Raises:
            StoreError: the server refused it, or stayed away too long.
        """
        from neo4j.exceptions import IncompleteCommit

        end = time.monotonic() + RETRY_S
        with told(self.address):
            while True:
                try:
                    with self._session() as session:
                        done: T = session.execute_write(work)
                        return done
                except IncompleteCommit:  # it may have been committed or not; the driver leaves that to us
                    if time.monotonic() > end:
                        raise

    def run(self, cypher: str, **parameters: Any) -> None:
        """One idempotent statement that returns nothing: schema and small writes."""
        self.write(lambda transaction: transaction.run(cypher, parameters).consume())

    def _session(self, **settings: Any) -> Any:
        return self.driver.session(
            database=self.address.database,
            bookmark_manager=self.driver.execute_query_bookmark_manager,
            **settings,
        )


def parse_version(text: str) -> tuple[int, int]:
    """``5.26.20`` → (5, 26); ``2025.10.1`` → (2025, 10); (0, 0) where it is no version."""
    found = re.match(r"(\d+)\.(\d+)", str(text))
    return (int(found.group(1)), int(found.group(2))) if found else (0, 0)
