"""What can go wrong between kgbuild and a server: each is told plainly, and never with the password."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from kgbuild.cli import app
from kgbuild.errors import StoreError
from kgbuild.stores import _neo4j_connection as connection
from kgbuild.stores.neo4j import Neo4jStore
from tests.integration.neo4j_server import OLDER, Neo4jServer, Unavailable, free_port

pytestmark = pytest.mark.integration


def refused(**options: str) -> str:
    """What a store says that cannot be asked."""
    store = Neo4jStore(**options)
    with pytest.raises(StoreError) as error:
        store.query("RETURN 1 AS one")
    store.close()
    return str(error.value)


def test_wrong_password(neo4j_empty: Neo4jServer, monkeypatch: pytest.MonkeyPatch, built: Path) -> None:
    monkeypatch.setenv("NEO4J_PASSWORD", "wrong-but-secret")
    said = refused()
    assert "refused user neo4j and the password given" in said
    done = CliRunner().invoke(app, ["load", "--store", "neo4j", "-w", str(built), "--debug"])
    assert done.exit_code == 1
    assert "NEO4J_PASSWORD" in done.stderr
    assert "wrong-but-secret" not in said + done.output + done.stderr
    assert "wrong-but-secret" not in repr(Neo4jStore()) + repr(vars(Neo4jStore()))


def test_wrong_user_and_wrong_database(neo4j_empty: Neo4jServer) -> None:
    assert "refused user nobody" in refused(user="nobody")
    assert "the server has no database 'nowhere'" in refused(database="nowhere")
    assert "database system holds no graph" in refused(database="system")


def test_nobody_listens(neo4j_empty: Neo4jServer) -> None:
    said = refused(uri=f"bolt://127.0.0.1:{free_port()}")
    assert "no Neo4j server answers" in said
    assert "is the server up" in said
    assert "no Neo4j server answers" in refused(uri="neo4j://no-such-host.invalid")


def test_tls_against_a_plain_port(neo4j_empty: Neo4jServer) -> None:
    for scheme in ("bolt+s", "bolt+ssc", "neo4j+s", "neo4j+ssc"):
        said = refused(uri=neo4j_empty.uri.replace("bolt", scheme))
        assert f"does the port speak TLS? Without it the address is {scheme.partition('+')[0]}://" in said


def test_a_port_that_speaks_something_else(neo4j_empty: Neo4jServer) -> None:
    assert "no Neo4j server answers" in refused(uri=f"bolt://127.0.0.1:{neo4j_empty.http_port}")


@pytest.mark.parametrize("scheme", ["bolt", "neo4j"])
def test_both_plain_schemes(neo4j_empty: Neo4jServer, scheme: str) -> None:
    store = Neo4jStore(uri=neo4j_empty.uri.replace("bolt", scheme))
    assert store.query("RETURN 1 AS one").rows == [(1,)]
    store.close()


@pytest.mark.parametrize(
    ("version", "fits"), [("5.25.1", False), ("4.4.40", False), ("5.26.0", True), ("2025.10.1", True)]
)
def test_an_older_server(neo4j_empty: Neo4jServer, monkeypatch: pytest.MonkeyPatch, version: str, fits: bool) -> None:
    """Only the reply to the question for its version is another's."""
    ask: Callable[..., Any] = connection.Connection.read

    def answer(self: connection.Connection, cypher: str, *args: Any, **parameters: Any) -> Any:
        if "dbms.components" in cypher:
            return [("Neo4j Kernel", version, "community")]
        return ask(self, cypher, *args, **parameters)

    monkeypatch.setattr(connection.Connection, "read", answer)
    if fits:
        store = Neo4jStore()
        assert store.about()["version"] == version
        store.close()
    else:
        said = refused()
        assert f"the server is Neo4j Kernel {version}" in said
        assert "Neo4j 5.26 or later" in said


def test_a_real_older_server(tmp_path: Path, built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused in plain words before anything is written."""
    neo4j = pytest.importorskip("neo4j")
    try:
        server = Neo4jServer(tmp_path / "older", quick=True, release=OLDER)
    except Unavailable as reason:
        if os.environ.get("CI"):
            pytest.fail(f"CI must run the Neo4j tests: {reason}")
        pytest.skip(f"OLDER SERVER NOT TRIED: {reason}")
    server.start()
    try:
        monkeypatch.setenv("NEO4J_PASSWORD", server.password)
        done = CliRunner().invoke(app, ["load", "--store", "neo4j", "--uri", server.uri, "-w", str(built)])
        assert done.exit_code == 1
        assert f"the server is Neo4j Kernel {OLDER}" in done.stderr
        assert "Neo4j 5.26 or later" in done.stderr
        auth = (server.user, server.password)
        with neo4j.GraphDatabase.driver(server.uri, auth=auth, notifications_min_severity="OFF") as driver:
            assert driver.execute_query("MATCH (n) RETURN count(n)").records[0][0] == 0
            names = driver.execute_query("SHOW CONSTRAINTS YIELD name RETURN collect(name)").records[0][0]
        assert names == []
    finally:
        server.kill()


@pytest.fixture(scope="module")
def strict(neo4j_server: Neo4jServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The server with a read-only database, and TLS beside plain Bolt; gives its self-signed certificate."""
    if shutil.which("openssl") is None:
        if os.environ.get("CI"):
            pytest.fail("no openssl: install the Debian package openssl")
        pytest.skip("no openssl: apt-get install openssl")
    folder = neo4j_server.home / "certificates" / "bolt"
    folder.mkdir(parents=True, exist_ok=True)
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"]
    command += ["-keyout", str(folder / "private.key"), "-out", str(folder / "public.crt")]
    subprocess.run(command, check=True, capture_output=True)
    neo4j_server.restart(
        {
            "server.databases.read_only": "neo4j",
            "server.bolt.tls_level": "OPTIONAL",
            "dbms.ssl.policy.bolt.enabled": "true",
            "dbms.ssl.policy.bolt.base_directory": str(folder),
        }
    )
    yield folder / "public.crt"
    neo4j_server.restart()


@pytest.fixture
def signed_in(neo4j_server: Neo4jServer, monkeypatch: pytest.MonkeyPatch) -> Neo4jServer:
    """Without emptying the database, which is read-only here."""
    monkeypatch.setenv("NEO4J_USERNAME", neo4j_server.user)
    monkeypatch.setenv("NEO4J_PASSWORD", neo4j_server.password)
    return neo4j_server


def test_tls_with_ones_own_authority(strict: Path, signed_in: Neo4jServer) -> None:
    for scheme in ("bolt", "neo4j"):
        for store in (
            Neo4jStore(uri=signed_in.uri.replace("bolt", f"{scheme}+ssc")),
            Neo4jStore(uri=signed_in.uri.replace("bolt", f"{scheme}+s"), ca_file=str(strict)),
        ):
            assert store.query("RETURN 1 AS one").rows == [(1,)]
            store.close()
        assert "--ca-file" in refused(uri=signed_in.uri.replace("bolt", f"{scheme}+s"))


def test_a_database_that_may_not_be_written(strict: Path, signed_in: Neo4jServer, built: Path) -> None:
    """In place of a read-only user, whom Community, having no roles, cannot have."""
    store = Neo4jStore(uri=signed_in.uri)
    with pytest.raises(StoreError) as error:
        store.load(built / "graph")
    store.close()
    assert "read-only" in str(error.value) or "read only" in str(error.value)
