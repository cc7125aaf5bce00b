"""The server's disk fills up in the middle of a load: told plainly; where Neo4j opens the
database again, nothing is lost or there twice."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kgbuild.errors import StoreError
from kgbuild.stores import _neo4j_connection, _neo4j_load
from kgbuild.stores.neo4j import Neo4jStore
from tests.integration.neo4j_graph import from_neo4j, from_tables
from tests.integration.neo4j_server import Neo4jServer, Unavailable

if TYPE_CHECKING:
    from neo4j import Driver

pytestmark = pytest.mark.integration
# or the server reserves its log's 256 MB at once
SMALL_LOG = {"db.tx_log.preallocate": "false", "db.tx_log.rotation.size": "1m"}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A server's home whose ``data`` is a file system of 64 MB. Only root may mount one: skipped loudly elsewhere."""
    data = tmp_path / "home" / "data"
    data.mkdir(parents=True)
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("DISK-FULL TEST NOT RUN: only root can mount a small file system")
    command = ["mount", "-t", "tmpfs", "-o", "size=64m", "kgbuild-test", str(data)]
    mounted = subprocess.run(command, capture_output=True, text=True)
    if mounted.returncode != 0:
        pytest.skip(f"DISK-FULL TEST NOT RUN: this machine lets nobody mount a file system: {mounted.stderr.strip()}")
    yield data.parent
    subprocess.run(["umount", "--lazy", str(data)], check=True)


@pytest.fixture
def server(small_disk: Path) -> Iterator[Neo4jServer]:
    try:
        made = Neo4jServer(small_disk, quick=True)
    except Unavailable as reason:
        if os.environ.get("CI"):
            pytest.fail(f"CI must run the Neo4j tests: {reason}")
        pytest.skip(f"NEO4J TESTS NOT RUN: {reason}")
    made.restart(SMALL_LOG)
    yield made
    made.kill()


def test_a_full_disk_at_the_server(server: Neo4jServer, built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    neo4j = pytest.importorskip("neo4j")
    monkeypatch.setenv("NEO4J_PASSWORD", server.password)
    monkeypatch.setattr(_neo4j_connection, "RETRY_S", 5.0)
    monkeypatch.setattr(_neo4j_load, "BATCH", 100)
    data = server.home / "data"
    filler = data / "filler"
    written: list[int] = []

    def fill(what: str, done: int, total: int) -> None:
        if what == "neo4j":
            written.append(done)
            if done > total / 4 and not filler.exists():
                filler.write_bytes(b"x" * (shutil.disk_usage(data).free - 20_000))

    for reason in ("could not write to its disk", "has the database shut"):
        store = Neo4jStore(uri=server.uri)
        with pytest.raises(StoreError, match=reason) as refused:
            store.load(built / "graph", progress=fill)
        store.close()
        assert "is the server's disk full?" in str(refused.value)
    stopped = written[-1]
    assert stopped > 1_000

    filler.unlink()
    server.restart(SMALL_LOG)
    auth = (server.user, server.password)
    with neo4j.GraphDatabase.driver(server.uri, auth=auth, notifications_min_severity="OFF") as driver:
        if not opens(driver):
            # Neo4j's own: the log record that the full disk tore may have it ask for more memory than there is
            store = Neo4jStore(uri=server.uri)
            with pytest.raises(StoreError, match="has the database shut"):
                store.load(built / "graph")
            store.close()
            return
        monkeypatch.setattr(_neo4j_connection, "RETRY_S", 60.0)
        store = Neo4jStore(uri=server.uri)
        store.load(built / "graph", progress=lambda what, done, _: written.append(done) if what == "neo4j" else None)
        store.close()
        assert written[written.index(stopped) + 1] >= stopped  # it went on where it stopped
        assert from_neo4j(driver) == from_tables(built / "graph")


def opens(driver: Driver) -> bool:
    """Whether the server has the database open, once it has said so or given up."""
    for _ in range(60):
        row = driver.execute_query(
            "SHOW DATABASE neo4j YIELD currentStatus, statusMessage", database_="system"
        ).records[0]
        if row["currentStatus"] == "online":
            return True
        if row["statusMessage"]:
            return False
        time.sleep(0.5)
    return False
