"""Which Neo4j server, who asks and which database: from options and the environment.

The password comes from ``NEO4J_PASSWORD`` or a prompt and goes to the driver only: never into a message, a log or a
repr.
"""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from kgbuild.errors import FileMissing, UsageError

SCHEMES = ("bolt", "bolt+s", "bolt+ssc", "neo4j", "neo4j+s", "neo4j+ssc")


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
