"""A real Neo4j server, one a test session, and an empty database on it, one a test."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.integration.neo4j_server import Neo4jServer, Unavailable

if TYPE_CHECKING:
    from neo4j import Driver

    from kgbuild.pipelines.stages import Summary


@pytest.fixture(scope="session")
def neo4j_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Neo4jServer]:
    """A running server. Skipped, with the package to install, where Java or Maven is missing; in CI that fails."""
    pytest.importorskip("neo4j")
    try:
        server = Neo4jServer(tmp_path_factory.mktemp("neo4j"), quick=True)
    except Unavailable as reason:
        if os.environ.get("CI"):
            pytest.fail(f"CI must run the Neo4j tests: {reason}")
        pytest.skip(f"NEO4J TESTS NOT RUN: {reason}")
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def neo4j_driver(neo4j_server: Neo4jServer) -> Iterator[Driver]:
    """The official driver, for looking at what is there beside kgbuild's back."""
    import neo4j

    with neo4j.GraphDatabase.driver(
        neo4j_server.uri, auth=(neo4j_server.user, neo4j_server.password), notifications_min_severity="OFF"
    ) as driver:
        yield driver


@pytest.fixture(scope="session")
def iu(tmp_path_factory: pytest.TempPathFactory, real_data: Path) -> tuple[Path, list[Summary]]:
    """The real IU reports, built once for all tests, and what the build said. Read only."""
    import kgbuild
    from kgbuild.pipelines.stages import default_workers

    workspace = tmp_path_factory.mktemp("iu") / "kg"
    source = kgbuild.resolve("iu-xray", real_data / "iu_xray")
    return workspace, kgbuild.build(source, workspace, workers=default_workers())


def wipe(driver: Driver) -> None:
    """Leave no node, constraint or index."""
    with driver.session() as session:
        session.run("MATCH (n) CALL (n) { DETACH DELETE n } IN TRANSACTIONS OF 2000 ROWS").consume()
        for row in list(session.run("SHOW CONSTRAINTS YIELD name")):
            session.run(f"DROP CONSTRAINT `{row['name']}`").consume()
        for row in list(session.run("SHOW INDEXES YIELD name, type WHERE type <> 'LOOKUP'")):
            session.run(f"DROP INDEX `{row['name']}`").consume()


@pytest.fixture
def neo4j_empty(neo4j_server: Neo4jServer, neo4j_driver: Driver, monkeypatch: pytest.MonkeyPatch) -> Neo4jServer:
    """The server with nothing in its database; ``NEO4J_URI``, ``NEO4J_USERNAME`` and ``NEO4J_PASSWORD`` are set."""
    if neo4j_server.pid is None:
        neo4j_server.start()
    wipe(neo4j_driver)
    sign_in(neo4j_server, monkeypatch)
    return neo4j_server


def sign_in(server: Neo4jServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set what kgbuild reads from the environment."""
    monkeypatch.setenv("NEO4J_URI", server.uri)
    monkeypatch.setenv("NEO4J_USERNAME", server.user)
    monkeypatch.setenv("NEO4J_PASSWORD", server.password)
    monkeypatch.delenv("NEO4J_DATABASE", raising=False)
