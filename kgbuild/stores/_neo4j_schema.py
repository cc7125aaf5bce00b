"""Before the first row: is the database ours to write to, and has it the constraints and indexes that we need?

A database with other people's data is left alone unless ``--into-existing`` says otherwise, and never shares a label
with them: a MERGE on ``(:Study {id})`` must not find somebody else's study.
"""

from __future__ import annotations

from contextlib import suppress

from kgbuild.errors import StoreError
from kgbuild.resources import data
from kgbuild.stores._neo4j_connection import Connection
from kgbuild.tables import NODES


def statements() -> list[str]:
    """The shipped ``cypher/constraints.cypher``, statement by statement."""
    text = (data("cypher") / "constraints.cypher").read_text(encoding="utf-8")
    lines = (line for line in text.splitlines() if not line.lstrip().startswith("//"))
    return [part.strip() for part in "\n".join(lines).split(";") if part.strip()]


def refuse_foreign(connection: Connection, into_existing: bool) -> None:
    """For a database without our notes.

    Raises:
        StoreError: it is not empty and that was not asked for, or it uses one of our labels.
    """
    counts = {label: connection.read(f"MATCH (n:{label}) RETURN count(n)")[0][0] for label in (*NODES, "Kgbuild")}
    taken = {label: n for label, n in counts.items() if n}
    if taken:
        raise StoreError(
            "the database has nodes with kgbuild's labels that kgbuild did not write: "
            + ", ".join(f"{n:,} {label}" for label, n in taken.items()),
            where=str(connection.address),
            next_step="load into another database or server, or rename those labels",
        )
    n = connection.read("MATCH (n) RETURN count(n)")[0][0]
    if n and not into_existing:
        raise StoreError(
            f"the database holds {n:,} nodes that kgbuild did not write",
            where=str(connection.address),
            next_step="name another --database or server, or load beside them with --into-existing",
        )


def prepare(connection: Connection) -> None:
    """Make constraints and indexes and wait for them.

    Raises:
        StoreError: an index or constraint of somebody else's stands in the way.
    """
    for statement in statements():
        try:
            connection.run(statement)
        except StoreError as error:
            raise StoreError(
                f"a constraint or index cannot be made. {error.message}",
                where=str(connection.address),
                next_step="drop what stands in the way, or load into another database",
            ) from None
    connection.run("CALL db.awaitIndexes(600)")
    found = connection.read(
        "SHOW CONSTRAINTS YIELD type, entityType, labelsOrTypes, properties "
        "WHERE entityType = 'NODE' AND type IN ['UNIQUENESS', 'NODE_PROPERTY_UNIQUENESS', 'NODE_KEY'] "
        "AND properties = ['id'] RETURN labelsOrTypes[0]"
    )
    missing = {*NODES, "Kgbuild"} - {row[0] for row in found}
    if missing:
        raise StoreError(
            f"the database lets two {sorted(missing)[0]} nodes have one id: our constraint is missing",
            where=str(connection.address),
            expected="the constraints of cypher/constraints.cypher",
            next_step="SHOW CONSTRAINTS; drop those named kgbuild_… that kgbuild did not make",
        )


def settle(connection: Connection) -> None:
    """After a load: have the server count what its indexes hold, and plan by it.

    The indexes are made on an empty database, and the server samples them again only some seconds after rows came. A
    question asked before that is planned for no rows, reads a whole index where it should look one key up, and keeps
    that plan in the server's cache. Quietly left to the server where the user may not run the procedure.
    """
    for call in ("CALL db.prepareForReplanning(300)", "CALL db.resampleOutdatedIndexes()"):
        with suppress(StoreError):
            connection.run(call)
            return


def label_counts(connection: Connection) -> dict[str, int]:
    """Nodes of each of our labels."""
    return {label: connection.read(f"MATCH (n:{label}) RETURN count(n)")[0][0] for label in NODES}
