"""One set of queries, two stores: the same rows from the embedded store and from a real Neo4j server."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

import kgbuild
from kgbuild import queries
from kgbuild.cli import app
from kgbuild.errors import StoreError
from kgbuild.pipelines import ask, stages
from tests.integration.conftest import sign_in, wipe
from tests.integration.neo4j_server import Neo4jServer

pytestmark = pytest.mark.integration

OTHERS = [
    ("findings", {"kind": "device", "limit": "100"}),
    ("finding-sites", {"finding": "C0032227"}),
    ("findings-together", {"finding": "Cardiomegaly"}),
    ("images-of-finding", {"finding": "pleural effusion", "view": "PA"}),
    ("images-of-finding", {"finding": "x'}) RETURN 1 //"}),
    ("new-since-last-study", {"finding": "pleural effusion"}),
    ("patient-timeline", {"patient": "examples:p02"}),
    ("studies-with-finding", {"finding": "atelectasis", "limit": "1000"}),
    ("studies-without-finding", {"finding": "pneumothorax", "limit": "1000"}),
    ("study-mentions", {"study": "CXR10"}),
    ("study-relations", {"study": "CXR10"}),
    ("unlinked", {"limit": "1000"}),
]
ASKED = [*((name, {}) for name in queries.names()), *OTHERS]


def same(workspace: Path, name: str, params: dict[str, str]) -> int:
    """Both stores' rows, compared with their types and order; returns how many there are."""
    embedded = kgbuild.query(workspace, name, params)
    server = kgbuild.query(workspace, name, params, store="neo4j")
    assert server.columns == embedded.columns
    assert server.rows == embedded.rows
    assert [[type(value) for value in row] for row in server.rows] == [
        [type(value) for value in row] for row in embedded.rows
    ]
    return len(server.rows)


@pytest.fixture(scope="module")
def module_patch() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.fixture(scope="module")
def loaded(neo4j_server: Neo4jServer, neo4j_driver: object, built: Path, module_patch: pytest.MonkeyPatch) -> Path:
    """The examples' workspace, loaded into the server as well."""
    wipe(neo4j_driver)  # type: ignore[arg-type]
    sign_in(neo4j_server, module_patch)
    stages.load(built, store="neo4j")
    return built


@pytest.mark.parametrize(("name", "params"), ASKED, ids=[f"{name}-{i}" for i, (name, _) in enumerate(ASKED)])
def test_the_same_rows_on_the_examples(loaded: Path, name: str, params: dict[str, str]) -> None:
    same(loaded, name, params)


def test_the_questions_have_answers(loaded: Path) -> None:
    """Two stores that both say nothing would agree, too."""
    silent = [name for name in queries.names() if not kgbuild.query(loaded, name, {}, store="neo4j").rows]
    assert silent == []


def test_nodes_edges_and_lists_look_alike(loaded: Path) -> None:
    cypher = (
        "MATCH (p:Patient)-[:has_study]->(s:Study)-[h:has_present]->(c:Concept) WHERE s.id = 'examples:ex008' "
        "RETURN s AS study, h AS edge, c AS concept, s.date AS day, [s.id, null] AS pair ORDER BY c.id"
    )
    embedded = ask.query_cypher(loaded, cypher)
    server = ask.query_cypher(loaded, cypher, store="neo4j")
    assert server.rows == embedded.rows
    assert type(server.rows[0][3]) is dt.date


def test_a_query_may_only_read(loaded: Path) -> None:
    for statement in (
        "CREATE (:Patient {id: 'x'})",
        "MATCH (s:Study) DETACH DELETE s",
        "DROP CONSTRAINT kgbuild_study_id",
        "CREATE INDEX FOR (n:Study) ON (n.path)",
        "CREATE USER eve SET PASSWORD 'abcdefghij'",
        "MATCH (n) CALL (n) { DELETE n } IN TRANSACTIONS",
    ):
        with pytest.raises(StoreError):
            ask.query_cypher(loaded, statement, store="neo4j")
    with pytest.raises(StoreError, match="may only read"):
        ask.query_cypher(loaded, "CREATE (:Patient {id: 'x'})", store="neo4j")
    assert dict(kgbuild.query(loaded, "graph-counts", store="neo4j").rows)["Study"] == 48


def test_a_query_that_takes_too_long_is_stopped(loaded: Path) -> None:
    endless = "UNWIND range(1, 1000000000) AS x UNWIND range(1, 1000) AS y RETURN count(*) AS n"
    with pytest.raises(StoreError, match="took longer than its 1 s") as stopped:
        ask.query_cypher(loaded, endless, store="neo4j", store_options={"timeout": "1"})
    assert "--timeout" in str(stopped.value)


def test_a_mistake_is_told_in_the_servers_words(loaded: Path) -> None:
    with pytest.raises(StoreError, match="Invalid input 'RETURN'"):
        ask.query_cypher(loaded, "MATCH (n RETURN n", store="neo4j")


def test_from_the_command_line(loaded: Path, neo4j_server: Neo4jServer, tmp_path: Path) -> None:
    run = CliRunner().invoke
    server = ["--store", "neo4j", "--uri", neo4j_server.uri, "--user", "neo4j", "--database", "neo4j"]
    counts = run(app, ["query", "graph-counts", *server, "-w", str(tmp_path / "none"), "--format", "json"])
    assert counts.exit_code == 0, counts.stderr
    assert json.loads(counts.stdout) == json.loads(
        run(app, ["query", "graph-counts", "-w", str(loaded), "--format", "json"]).stdout
    )
    again = run(app, ["load", *server, "-w", str(loaded)])
    assert (again.exit_code, "was there already" in again.stderr) == (0, True)
    refused = run(app, ["query", *server, "--cypher", "CREATE (:Study)", "-w", str(loaded)])
    assert (refused.exit_code, "may only read" in refused.stderr) == (1, True)
    checks = run(app, ["doctor", "--uri", neo4j_server.uri, "-w", str(loaded), "--format", "json"])
    found = next(check for check in json.loads(checks.stdout) if check["what"] == "Neo4j server")
    assert found["state"] == "ok"
    assert found["detail"].startswith("version 5.26.20, edition community, database neo4j, data set examples ")
    assert "Study 48" in found["detail"]


@pytest.mark.real
def test_the_same_rows_on_the_iu_reports(
    neo4j_server: Neo4jServer,
    neo4j_driver: object,
    iu: tuple[Path, list[stages.Summary]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The whole path on real reports into a real server, and every question to both stores."""
    workspace, _ = iu
    wipe(neo4j_driver)  # type: ignore[arg-type]
    sign_in(neo4j_server, monkeypatch)
    stages.load(workspace, store="neo4j")
    assert dict(kgbuild.query(workspace, "graph-counts", store="neo4j").rows)["Study"] == 3601
    assert stages.load(workspace, store="neo4j").done_now == 0
    for name, params in ASKED:
        same(workspace, name, params)
