"""A connection to a Neo4j server: options, password, versions, and the driver's errors in our words.

The password comes from ``NEO4J_PASSWORD`` or a prompt and goes to the driver only: never into a message, a log or a
repr. Writing is idempotent everywhere, so a transaction whose fate is unknown is simply run again.
"""

from __future__ import annotations

import getpass
import os
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from kgbuild.errors import DependencyMissing, FileMissing, StoreError, UsageError

T = TypeVar("T")
OLDEST = (5, 26)
SCHEMES = ("bolt", "bolt+s", "bolt+ssc", "neo4j", "neo4j+s", "neo4j+ssc")
_CONNECT_S = 15.0
RETRY_S = 180.0  # how long a write waits for a server that restarts


@dataclass(frozen=True, slots=True)
class Address:
    """Which server, who asks and which database; the password is looked up when it is needed."""

    uri: str
    user: str
    database: str | None
    ca_file: Path | None
    timeout_s: float

    @classmethod
    def read(cls, options: Mapping[str, str]) -> Address:
        """From a store's options, else ``NEO4J_URI``, ``NEO4J_USERNAME`` and ``NEO4J_DATABASE``.

        Raises:
            UsageError: an address that cannot be one, or carries a password.
            FileMissing: the CA file is absent.
        """
        uri = options.get("uri") or os.environ.get("NEO4J_URI") or "bolt://localhost:7687"
        try:
            parts = urlsplit(uri)
            known = parts.scheme in SCHEMES and parts.hostname and (parts.port is None or parts.port > 0)
        except ValueError:
            parts, known = None, False
        if "@" in uri:
            raise UsageError(
                "the server's address holds a user name or password",
                expected="bolt://host:7687",
                next_step="give --user, and the password in NEO4J_PASSWORD",
            )
        if parts is None or not known:
            raise UsageError(f"{uri!r} is not a server's address", expected=f"{'|'.join(SCHEMES)}://host[:port]")
        ca = options.get("ca_file")
        if ca and not parts.scheme.endswith("+s"):
            raise UsageError(f"--ca-file does not go with {parts.scheme}", expected="bolt+s://… or neo4j+s://…")
        if ca and not Path(ca).is_file():
            raise FileMissing(f"{ca} is absent", where="--ca-file", expected="a PEM file of certificates")
        try:
            timeout = float(options.get("timeout") or 60)
        except ValueError:
            raise UsageError(f"--timeout {options['timeout']!r} is no number", expected="seconds") from None
        user = options.get("user") or os.environ.get("NEO4J_USERNAME") or "neo4j"
        database = options.get("database") or os.environ.get("NEO4J_DATABASE") or None
        return cls(uri, user, database, Path(ca) if ca else None, timeout)

    def __str__(self) -> str:
        return self.uri + (f", database {self.database}" if self.database else "")


def password(user: str) -> str:
    """``NEO4J_PASSWORD``, else asked for on a terminal.

    Raises:
        UsageError: neither.
    """
    known = os.environ.get("NEO4J_PASSWORD")
    if known:
        return known
    if sys.stdin is not None and sys.stdin.isatty():
        return getpass.getpass(f"Neo4j password of {user}: ", stream=sys.stderr)
    raise UsageError("no Neo4j password", next_step="set NEO4J_PASSWORD, or run in a terminal to be asked")


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


_REFUSED = {
    "Neo.ClientError.Security.Unauthorized": (
        "the server refused user {user} and the password given",
        "set NEO4J_PASSWORD and --user to what the server knows",
    ),
    "Neo.ClientError.Security.AuthenticationRateLimit": (
        "the server refuses user {user} for a while, after too many wrong passwords",
        "wait a few seconds, then give the right password",
    ),
    "Neo.ClientError.Security.CredentialsExpired": (
        "the password of {user} has to be changed before it can be used",
        "change it in Neo4j Browser: ALTER CURRENT USER SET PASSWORD FROM … TO …",
    ),
    "Neo.ClientError.Database.DatabaseNotFound": ("the server has no database {database!r}", "SHOW DATABASES"),
    "Neo.ClientError.Security.Forbidden": ("user {user} may not do this", "give that user the right, or take another"),
    "Neo.ClientError.General.WriteOnReadOnlyAccessMode": ("the database is read-only", "make it writable"),
    "Neo.ClientError.Statement.AccessMode": ("a query may only read, and this statement writes", ""),
    "Neo.ClientError.Transaction.TransactionTimedOut": ("the query took too long", "give a longer --timeout"),
    "Neo.ClientError.Transaction.TransactionTimedOutClientConfiguration": (
        "the query took longer than its {timeout:g} s",
        "give a longer --timeout",
    ),
}


@contextmanager
def told(address: Address) -> Iterator[None]:
    """Turn the driver's errors into ours."""
    from neo4j.exceptions import ConfigurationError, DriverError, Neo4jError

    try:
        yield
    except Neo4jError as error:
        raise _refusal(address, error.code or "", error.message or "") from None
    except ConfigurationError as error:
        raise UsageError(f"the driver refuses the address: {error}", where=address.uri) from None
    except DriverError as error:
        raise _unreachable(address, str(error)) from None
    except OSError as error:
        raise _unreachable(address, f"{type(error).__name__}: {error}") from None


def _refusal(address: Address, code: str, words: str) -> StoreError:
    if code in _REFUSED:
        message, step = _REFUSED[code]
        filled = message.format(user=address.user, database=address.database, timeout=address.timeout_s)
        return StoreError(filled, where=str(address), next_step=step or None)
    if "read-only" in words or "read only" in words:
        return StoreError(f"the database cannot be written: {words}", where=str(address))
    return StoreError(f"Neo4j refused: {words} ({code})", where=str(address))


def _unreachable(address: Address, words: str) -> StoreError:
    reason = " ".join(words.split())
    scheme = urlsplit(address.uri).scheme
    if "+s" in scheme:
        step = f"does the port speak TLS? Without it the address is {scheme.partition('+')[0]}://…"
        if scheme.endswith("+s"):
            step += "; a certificate that is not known here needs --ca-file, or the +ssc scheme"
    else:
        step = "is the server up, and are host and port right? A server that wants TLS needs bolt+s://… or neo4j+s://…"
    return StoreError(f"no Neo4j server answers: {reason}", where=str(address), next_step=step)
