"""Options of the stores, for every command that has ``--store``; a store refuses those that it does not have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Store = Annotated[str, typer.Option("--store", help="embedded, neo4j, or another by name.", metavar="NAME")]
Uri = Annotated[
    str | None,
    typer.Option("--uri", help="neo4j: bolt or neo4j, +s for TLS; else NEO4J_URI.", metavar="URI"),
]
User = Annotated[str | None, typer.Option("--user", help="neo4j: user; else NEO4J_USERNAME, neo4j.", metavar="NAME")]
Database = Annotated[
    str | None, typer.Option("--database", help="neo4j: else NEO4J_DATABASE, the default.", metavar="NAME")
]
CaFile = Annotated[
    Path | None, typer.Option("--ca-file", help="neo4j: your authority's certificate, for +s.", metavar="PEM")
]
Timeout = Annotated[
    float | None, typer.Option("--timeout", help="Seconds a query may take; neo4j: 60.", metavar="S", min=0.001)
]
IntoExisting = Annotated[bool, typer.Option("--into-existing", help="Load beside other people's nodes.")]


def options(
    uri: str | None = None,
    user: str | None = None,
    database: str | None = None,
    ca_file: Path | None = None,
    timeout: float | None = None,
    into_existing: bool = False,
) -> dict[str, str]:
    """Those that were given, as text. The password is not among them: it comes from NEO4J_PASSWORD or a prompt."""
    given = {
        "uri": uri,
        "user": user,
        "database": database,
        "ca_file": str(ca_file) if ca_file is not None else None,
        "timeout": str(timeout) if timeout is not None else None,
        "into_existing": "yes" if into_existing else None,
    }
    return {name: value for name, value in given.items() if value is not None}
