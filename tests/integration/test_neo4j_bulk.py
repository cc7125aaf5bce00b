"""Bulk import: what we write as CSV, the real neo4j-admin reads, and the server then holds exactly the tables."""

from __future__ import annotations

import datetime as dt
import json
import os
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from kgbuild import queries
from kgbuild.exports import neo4j_csv
from kgbuild.pipelines.export import export
from kgbuild.pipelines.stages import Summary
from kgbuild.pipelines.workspace import Workspace
from kgbuild.stores.embedded import EmbeddedStore
from kgbuild.tables import EDGES, NODES, table_files
from tests.integration import neo4j_home
from tests.integration.neo4j_server import VERSION, Neo4jServer, Unavailable

pytestmark = pytest.mark.integration
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Neo4jServer]:
    """A server of its own, stopped: bulk imports replace whole databases."""
    pytest.importorskip("neo4j")
    try:
        made = Neo4jServer(tmp_path_factory.mktemp("bulk"), quick=True)
    except Unavailable as reason:
        if os.environ.get("CI"):
            pytest.fail(f"CI must run the Neo4j tests: {reason}")
        pytest.skip(f"NEO4J TESTS NOT RUN: {reason}")
    with pytest.MonkeyPatch.context() as patch:
        # half the time for programs that live for seconds
        patch.setenv("JAVA_TOOL_OPTIONS", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")
        yield made
    made.stop()


def ask(server: Neo4jServer, *cyphers: str) -> list[list[Any]]:
    """The rows of all of them, one after another."""
    import neo4j

    with (
        neo4j.GraphDatabase.driver(server.uri, auth=(server.user, server.password)) as driver,
        driver.session() as session,
    ):
        return [list(record.values()) for cypher in cyphers for record in session.run(cypher)]


def native(value: Any) -> Any:
    if isinstance(value, list):
        return [native(item) for item in value]
    return value.to_native() if hasattr(value, "to_native") else value


def held(server: Neo4jServer) -> dict[str, list[dict[str, Any]]]:
    """Every row of the database by table file, a missing property as null, in a fixed order."""
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in table_files()}
    for row, labels in ask(server, *(f"MATCH (n:{label}) RETURN properties(n), labels(n)" for label in NODES)):
        assert len(labels) == 1
        schema = NODES[labels[0]]
        found[f"nodes/{labels[0]}.parquet"].append({name: native(row.get(name)) for name in schema.names})
    cypher = "MATCH (a)-[e]->(b) RETURN type(e), labels(a)[0], labels(b)[0], a.id, b.id, properties(e)"
    for kind, start, end, source, target, row in ask(server, cypher):
        values = {name: native(row.get(name)) for name, _ in EDGES[kind].properties}
        found[f"edges/{kind}.{start}.{end}.parquet"].append({"source": source, "target": target, **values})
    return {name: in_order(rows) for name, rows in found.items()}


def in_order(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda row: json.dumps(row, default=str, sort_keys=True))


def tables_of(folder: Path) -> dict[str, list[dict[str, Any]]]:
    return {name: in_order(pq.read_table(folder / name).to_pylist()) for name in table_files()}


def make_tables(folder: Path, **rows: list[dict[str, Any]]) -> Path:
    """A graph folder with these rows: ``Study=[…]``, ``has_image_Study_Image=[…]``; null where nothing is given."""
    (folder / "nodes").mkdir(parents=True)
    (folder / "edges").mkdir()
    names = {re.sub(r"^\w+/|\.parquet$", "", name).replace(".", "_"): name for name in table_files()}
    for short, name in names.items():
        schema = table_files()[name]
        full = [{column: row.get(column) for column in schema.names} for row in rows.get(short, [])]
        pq.write_table(pa.Table.from_pylist(full, schema=schema), folder / name)
    (folder / "graph.json").write_text(json.dumps({"runs": {"made": {"annotations": "a-1", "links": "l-1"}}}))
    return folder


SMALL: dict[str, list[dict[str, Any]]] = {
    "Study": [{"id": "s1", "dataset": "made", "n_tokens": 3}, {"id": "s2", "dataset": "made"}],
    "Image": [{"id": "i1", "study_id": "s1", "view": "PA"}],
    "has_image_Study_Image": [{"source": "s1", "target": "i1"}],
}


def test_examples_by_import_sh(
    server: Neo4jServer, built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of it arrives, and each shipped query gives the rows of the embedded store."""
    from kgbuild.stores.neo4j import Neo4jStore

    out = tmp_path / "with space"
    written = export(built, "neo4j-csv", out)["written"]
    graph = Workspace.open(built).graph
    wanted = tables_of(graph)
    done = neo4j_home.run(server, [out / "import.sh"])
    assert done.code == 0, done.out + done.err
    assert sum(map(len, wanted.values())) == written
    n_nodes = sum(len(rows) for name, rows in wanted.items() if name.startswith("nodes/")) + 2  # and kgbuild's notes
    assert re.search(rf"nodes +{n_nodes:,} +{n_nodes:,} +0\n", done.out)
    assert "skipped, and why" not in done.out
    assert held(server) == wanted

    constraints = ask(server, "SHOW CONSTRAINTS YIELD labelsOrTypes, properties RETURN labelsOrTypes[0], properties[0]")
    assert sorted(map(tuple, constraints)) == sorted((label, "id") for label in (*NODES, "Kgbuild"))
    assert ask(server, "SHOW INDEXES YIELD state WHERE state <> 'ONLINE' RETURN count(*)") == [[0]]

    monkeypatch.setenv("NEO4J_PASSWORD", server.password)
    bulk, embedded = Neo4jStore(uri=server.uri), EmbeddedStore(Workspace.open(built).store)
    try:
        for name in queries.names():
            query = queries.find(name)
            values = query.bind({})
            assert bulk.query(query.cypher, values) == embedded.query(query.cypher, values), name
        # the notes are the loader's: it finds that all is there, and has nothing to do
        assert bulk.holds(graph)
    finally:
        bulk.close()
        embedded.close()


LONG = "x" * 10_000
HOSTILE = [
    "",
    " two spaces around ",
    'a "quoted" word""',
    '"',
    "'",
    "line\nbreak",
    "carriage\r\nreturn\r",
    "tab\there",
    "comma,semicolon;pipe|",
    "back\\slash\\",
    '\\"',
    "é 漢字 😀 \u2028 ‏עברית",
    "nul \x00 unit \x1f record \x1e",
    "MATCH (n) DETACH DELETE n // '); DROP",
    "${HOME} $(reboot) `reboot`",
    "null",
    LONG,
]


def test_hostile_values_by_import_docker_sh_come_back_exactly_and_a_dangling_edge_is_named(
    server: Neo4jServer, tmp_path: Path
) -> None:
    """``docker`` is a stand-in: it carries out what the compose file says, on this machine."""
    keys = [text for text in HOSTILE if text and text != LONG] + ["k" * 1_000]
    big = 2**63 - 1
    inf, tiny = float("inf"), 5e-324
    studies: list[dict[str, Any]] = [
        {"id": key, "dataset": "made", "path": HOSTILE[i % len(HOSTILE)]} for i, key in enumerate(keys)
    ]
    lists: list[list[str] | None] = [
        None,
        [],
        [""],
        ["", ""],
        ["a", ""],
        *([text] for text in HOSTILE[1:]),
        HOSTILE,
        ["a;b", "c\x1fd"],
    ]
    studies += [{"id": f"list{i}", "dataset": "made", "sections": value} for i, value in enumerate(lists)]
    days = [dt.date(1, 1, 1), dt.date(2151, 2, 28), dt.date(9999, 12, 31)]
    studies += [{"id": f"day{i}", "dataset": "made", "date": day, "n_tokens": -i} for i, day in enumerate(days)]
    images = [{"id": keys[0], "study_id": keys[0], "rows": big, "columns": -big - 1}]  # an id as in another label
    mentions = [
        {"id": f"{keys[0]}:{i}-{i + 1}", "study_id": keys[0], "text": text, "is_measurement": i % 2 == 0}
        for i, text in enumerate(HOSTILE)
    ]
    links = [
        {"source": row["id"], "target": "C1", "score": score}
        for row, score in zip(mentions, [0.1, inf, -inf, -0.0, tiny, 1e300, 2 / 3, None, *[0.5] * 9], strict=True)
    ]
    folder = make_tables(
        tmp_path / "graph",
        Study=studies,
        Image=images,
        Observation=mentions,
        Concept=[{"id": "C1", "name": "MATCH (n) DETACH DELETE n"}],
        has_image_Study_Image=[
            {"source": keys[0], "target": keys[0]},
            *({"source": key, "target": "gone\n(Study)-[x]->"} for key in keys[:4]),
            {"source": "nobody", "target": keys[0]},
        ],
        mentions_Study_Observation=[{"source": keys[0], "target": row["id"]} for row in mentions],
        linked_to_Observation_Concept=links,
    )
    out = tmp_path / "out"
    neo4j_csv.write(out, folder)
    path = f"{server.home / 'docker-bin'}:{os.environ['PATH']}"
    done = neo4j_home.run(server, [out / "import-docker.sh", "--overwrite"], {"PATH": path, "ONE_JVM": "yes"})
    assert done.code == 4, done.out + done.err
    assert (server.home / "docker.log").read_text().splitlines() == [
        "compose version",
        "compose stop neo4j",
        "compose --profile import run --rm -T import --overwrite neo4j",
        "compose up --detach --wait neo4j",
        *['compose exec -T neo4j bash -c cypher-shell -u neo4j -p "${NEO4J_AUTH#neo4j/}" -f /dev/stdin'] * 3,
    ]
    assert re.search(r"relationships +40 +35 +5\n", done.out)
    assert "4  has_image relationship, Study to Image: no Image node has the id that it ends at" in done.out
    assert "1  has_image relationship, Study to Image: no Study node has the id that it starts at" in done.out
    assert "as Study nobody -> Image" in done.out
    found, wanted = held(server), tables_of(folder)
    wanted["edges/has_image.Study.Image.parquet"] = [{"source": keys[0], "target": keys[0]}]
    for name in wanted:
        assert found[name] == wanted[name], name
    assert "referring to missing node" in (out / "import.log").read_text()


def importing(server: Neo4jServer, out: Path, *words: str, **env: str) -> neo4j_home.Done:
    return neo4j_home.run(server, ["python3", out / "import.py", *words], {"ONE_JVM": "yes", **env})


def test_an_import_that_fails_says_why(server: Neo4jServer, tmp_path: Path) -> None:
    out = tmp_path / "out"
    neo4j_csv.write(out, make_tables(tmp_path / "graph", **SMALL))
    if server.pid is None:
        server.start()
    running = importing(server, out, "--overwrite")
    assert (running.code, "the database is in use" in running.out) == (1, True), running.out
    assert "cannot be used as it is now" not in running.out
    server.stop()

    none = importing(server, out, NEO4J_HOME=str(tmp_path / "nowhere"))
    assert (none.code, "set NEO4J_HOME" in none.err) == (3, True)
    usage = importing(server, out, "--force")
    assert usage.code == 2

    twice = make_tables(tmp_path / "twice", **{**SMALL, "Study": [{"id": "s1"}, {"id": "s1"}]})
    neo4j_csv.write(tmp_path / "twice-out", twice)
    done = importing(server, tmp_path / "twice-out", "--overwrite")
    assert (done.code, "two Study nodes have the id s1" in done.out) == (1, True), done.out
    assert "cannot be used as it is now" in done.out

    bad = [{"source": "s1", "target": f"gone{i}"} for i in range(6)]
    neo4j_csv.write(tmp_path / "bad-out", make_tables(tmp_path / "bad", **{**SMALL, "has_image_Study_Image": bad}))
    done = importing(server, tmp_path / "bad-out", "--overwrite", BAD_TOLERANCE="3")
    assert (done.code, "no more than 3 are tolerated" in done.out) == (1, True), done.out
    assert "as Study s1 -> Image gone" in done.out

    there = importing(server, out)
    assert (there.code, "holds something already, and nothing was touched" in there.out) == (1, True), there.out
    assert "give --overwrite" in there.out

    header = out / "nodes" / "Study.header.csv"
    whole = header.read_text()
    header.write_text(whole[:-9])
    cut = importing(server, out, "--overwrite")
    assert (cut.code, "1 files are not as they were exported: nodes/Study.header.csv has" in cut.err) == (3, True)
    header.write_text(whole.replace("dataset:string", "dataset:double"))  # so that a text cannot be read
    done = importing(server, out, "--overwrite")
    assert done.code == 1
    assert "Study.0001.csv.gz, line 1, column dataset" in done.out
    assert "made" not in done.out  # the value


@pytest.mark.real
def test_iu_by_bulk(server: Neo4jServer, iu: tuple[Path, list[Summary]], tmp_path: Path) -> None:
    workspace, _ = iu
    out = tmp_path / "out"
    export(workspace, "neo4j-csv", out)
    done = neo4j_home.run(server, [out / "import.sh", "--overwrite"])
    assert done.code == 0, done.out + done.err
    graph = Workspace.open(workspace).graph
    wanted = {name: pq.read_metadata(graph / name).num_rows for name in table_files()}
    labels = dict(map(tuple, ask(server, "MATCH (n) RETURN labels(n)[0], count(*)")))
    assert {k: n for k, n in labels.items() if k != "Kgbuild"} == {
        label: n for label in NODES if (n := wanted[f"nodes/{label}.parquet"])
    }
    types = Counter[str]()
    for edge in EDGES.values():
        types[edge.type] += sum(wanted[f"edges/{edge.type}.{a}.{b}.parquet"] for a, b in edge.pairs)
    assert dict(map(tuple, ask(server, "MATCH ()-[e]->() RETURN type(e), count(*)"))) == +types
    store = EmbeddedStore(Workspace.open(workspace).store)
    try:
        for name in ("findings", "findings-together", "studies-with-finding", "unlinked"):
            query = queries.find(name)
            import neo4j

            with neo4j.GraphDatabase.driver(server.uri, auth=(server.user, server.password)) as driver:
                rows = driver.execute_query(query.cypher, query.bind({})).records
            assert [tuple(row.values()) for row in rows] == store.query(query.cypher, query.bind({})).rows, name
    finally:
        store.close()


def test_compose_file() -> None:
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    server, once = compose["services"]["neo4j"], compose["services"]["import"]
    assert server["image"] == once["image"] == f"neo4j:{VERSION}-community"
    assert once["profiles"] == ["import"]
    assert "neo4j-data:/data" in server["volumes"]
    assert "neo4j-data:/data" in once["volumes"]
    assert server["healthcheck"]["start_period"] == "60s"
    settings = {key.removeprefix("NEO4J_") for key in server["environment"]} - {"AUTH"}
    assert all(re.fullmatch(r"(server|dbms)_[a-z_]+", name) for name in settings)
    assert "NEO4J_PASSWORD:?" in server["environment"]["NEO4J_AUTH"]  # no default password


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_scripts_are_bash(tmp_path: Path) -> None:
    import subprocess

    neo4j_csv.write(tmp_path / "out", make_tables(tmp_path / "graph", **SMALL))
    for script in ("import.sh", "import-docker.sh", "neo4j-admin.sh"):
        subprocess.run(["bash", "-n", tmp_path / "out" / script], check=True)
        assert os.access(tmp_path / "out" / script, os.X_OK)
