"""The Neo4j store without a server: addresses, passwords, statements, batches, plans and the owner of a lock."""

from __future__ import annotations

import datetime as dt
import json
import os
import socket
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from kgbuild.cli import app
from kgbuild.errors import FileMissing, StoreError, UsageError
from kgbuild.stores import _neo4j_load as loader
from kgbuild.stores import _neo4j_meta as meta
from kgbuild.stores import _neo4j_schema as schema
from kgbuild.stores._neo4j_address import Address, password
from kgbuild.stores._neo4j_connection import parse_version
from kgbuild.stores._neo4j_tables import Tables, ahead, edge_names
from kgbuild.stores._neo4j_values import plain
from kgbuild.tables import NODES, table_files


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NEO4J_URI", "NEO4J_USERNAME", "NEO4J_PASSWORD", "NEO4J_DATABASE"):
        monkeypatch.delenv(name, raising=False)


def test_an_address_from_options_and_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Address.read({}) == Address("bolt://localhost:7687", "neo4j", None, None, 60)
    monkeypatch.setenv("NEO4J_URI", "neo4j+s://graph.example:7688")
    monkeypatch.setenv("NEO4J_USERNAME", "ada")
    monkeypatch.setenv("NEO4J_DATABASE", "kg")
    assert Address.read({}) == Address("neo4j+s://graph.example:7688", "ada", "kg", None, 60)
    given = Address.read({"uri": "bolt://h", "user": "bob", "database": "x", "timeout": "2.5"})
    assert given == Address("bolt://h", "bob", "x", None, 2.5)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"uri": "http://localhost:7474"}, "'http://localhost:7474' is not a server's address"),
        ({"uri": "localhost:7687"}, "is not a server's address"),
        ({"uri": "bolt://"}, "is not a server's address"),
        ({"uri": "bolt://host:99999"}, "is not a server's address"),
        ({"uri": "bolt://host", "ca_file": "ca.pem"}, "--ca-file does not go with bolt"),
        ({"uri": "bolt+ssc://host", "ca_file": "ca.pem"}, "--ca-file does not go with bolt+ssc"),
        ({"timeout": "soon"}, "--timeout 'soon' is no number"),
    ],
)
def test_addresses_that_cannot_be(options: dict[str, str], words: str) -> None:
    with pytest.raises(UsageError) as refused:
        Address.read(options)
    assert words in str(refused.value)


def test_a_password_in_the_address_is_refused_and_not_repeated() -> None:
    with pytest.raises(UsageError, match="holds a user name or password") as refused:
        Address.read({"uri": "bolt://neo4j:secret@host:7687"})
    assert "secret" not in str(refused.value)
    with pytest.raises(FileMissing, match=r"ca\.pem is absent"):
        Address.read({"uri": "bolt+s://host", "ca_file": "/nowhere/ca.pem"})


def test_the_password_comes_from_the_environment_or_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="no Neo4j password"):
        password("neo4j")
    monkeypatch.setenv("NEO4J_PASSWORD", "s3cret")
    assert password("neo4j") == "s3cret"


def test_versions() -> None:
    assert [parse_version(text) for text in ("5.26.20", "4.4.40", "2025.10.1", "5.27-aura", "?")] == [
        (5, 26),
        (4, 4),
        (2025, 10),
        (5, 27),
        (0, 0),
    ]


def test_options_that_a_store_does_not_have(built: Path, tmp_path: Path) -> None:
    refused = CliRunner().invoke(app, ["load", "-w", str(built), "--uri", "bolt://localhost"])
    assert refused.exit_code == 2
    assert "store embedded has no option --uri" in refused.stderr
    no_password = CliRunner().invoke(app, ["query", "findings", "--store", "neo4j", "-w", str(tmp_path / "none")])
    assert no_password.exit_code == 2
    assert "set NEO4J_PASSWORD" in no_password.stderr


def test_statements_merge_on_keys_and_take_everything_as_values() -> None:
    assert loader.merge_statement("nodes/Patient.parquet").startswith(
        "UNWIND $rows AS row MERGE (n:Patient {id: row[0]})"
    )
    assert loader.merge_statement("nodes/Concept.parquet") == (
        "UNWIND $rows AS row MERGE (n:Concept {id: row[0]}) SET n.`name` = row[1], n.`kind` = row[2], "
        "n.`source` = row[3], n.`semantic_types` = row[4]"
    )
    assert loader.merge_statement("edges/follows.Study.Study.parquet") == (
        "UNWIND $rows AS row MATCH (a:Study {id: row[0]}) MATCH (b:Study {id: row[1]}) "
        "MERGE (a)-[e:`follows`]->(b) SET e.`days` = row[2]"
    )
    assert "MERGE (a)-[e:`shows` {`model`: row[4]}]->(b)" in loader.merge_statement("edges/shows.Image.Concept.parquet")


def test_nodes_are_written_before_edges_and_nothing_is_left_out() -> None:
    names = loader.names()
    kinds = [name.partition("/")[0] for name in names]
    assert kinds == sorted(kinds, reverse=True)
    counted = [name for name in table_files() if "/concept_" in name]
    assert sorted([*names, *counted]) == sorted(table_files())
    assert len(edge_names()) + len(NODES) == len(names)


def test_the_shipped_constraints_cover_every_label() -> None:
    text = "\n".join(schema.statements())
    for label in (*NODES, "Kgbuild"):
        assert f"FOR (n:{label}) REQUIRE n.id IS UNIQUE" in text


def test_batches_go_on_from_any_row(built: Path) -> None:
    whole = Tables(built / "graph").of(["examples"])
    name = "edges/linked_to.Observation.Concept.parquet"
    every = [row for _, rows in whole.batches(name, 100) for row in rows]
    table = pq.read_table(built / "graph" / name)
    assert every == [tuple(row.values()) for row in table.to_pylist()]
    ends = [end for end, _ in whole.batches(name, 100)]
    assert ends[-1] == len(every) == whole.count(name)
    assert [row for _, rows in whole.batches(name, 100, ends[1]) for row in rows] == every[ends[1] :]
    assert list(whole.batches(name, 100, len(every))) == []


def test_rows_of_one_data_set_only(built: Path) -> None:
    """A data set that is not there has no rows but concepts', which are of none."""
    none = Tables(built / "graph").of(["another"])
    assert {name for name in table_files() if none.count(name)} == {
        name for name in table_files() if "Concept.Concept" in name or name == "nodes/Concept.parquet"
    } - {name for name, n in Tables(built / "graph").rows().items() if n == 0}
    assert none.concepts() == set()


def test_ahead_gives_all_and_passes_errors_on() -> None:
    assert list(ahead(iter(range(1000)))) == list(range(1000))

    def broken() -> object:
        yield 1
        raise StoreError("no more")

    with pytest.raises(StoreError, match="no more"):
        list(ahead(broken()))  # type: ignore[arg-type]


def note(annotations: str, complete: bool = True) -> meta.DatasetNote:
    return meta.DatasetNote(annotations, "l", complete, {}, frozenset())


def tables(tmp_path: Path, **runs: str) -> Tables:
    noted = {"runs": {dataset: {"annotations": run, "links": "l"} for dataset, run in runs.items()}}
    (tmp_path / "graph.json").write_text(json.dumps(noted))
    return Tables(tmp_path)


@pytest.mark.parametrize(
    ("there", "replace", "changed", "removed"),
    [
        ({}, False, ("a", "b"), ()),
        ({"a": note("a1")}, False, ("b",), ()),
        ({"a": note("a1"), "b": note("b1")}, False, (), ()),
        ({"a": note("a1"), "b": note("b1")}, True, ("a", "b"), ("a", "b")),
        ({"a": note("a0"), "b": note("b1")}, True, ("a",), ("a",)),
        ({"a": note("a1", False), "b": note("b1")}, False, ("a",), ()),
        ({"c": note("c1")}, True, ("a", "b"), ()),
    ],
)
def test_plans(
    tmp_path: Path,
    there: dict[str, meta.DatasetNote],
    replace: bool,
    changed: tuple[str, ...],
    removed: tuple[str, ...],
) -> None:
    plan = loader.make_plan(tables(tmp_path, a="a1", b="b1"), meta.Notes(datasets=there), replace)
    assert plan == loader.Plan(changed, removed)


def test_a_plan_goes_on_with_the_same_runs_only(tmp_path: Path) -> None:
    wanted = tables(tmp_path, a="a1")
    target = json.dumps({"runs": wanted.runs, "changed": ["a"], "removed": ["a"]})
    under_way = meta.Notes(target, "write", "nodes/Study.parquet", 70, 0, {"a": note("a1", False)})
    assert loader.make_plan(wanted, under_way, True) == loader.Plan(("a",), ("a",), "write", "nodes/Study.parquet", 70)
    with pytest.raises(StoreError, match="another run of data set a") as refused:
        loader.make_plan(tables(tmp_path, a="a2"), under_way, False)
    assert "loaded in part" in str(refused.value)


def test_whose_lock_is_a_dead_process() -> None:
    here = socket.gethostname()
    assert meta._is_dead(f"{here} 999999999 x")
    assert meta._is_dead(f"{here} {os.getpid()} of an earlier load of this process")
    assert not meta._is_dead(f"{here} {os.getppid()} x")
    assert not meta._is_dead("elsewhere 999999999 x")
    assert not meta._is_dead("")


def test_values_of_the_driver_become_plain() -> None:
    from neo4j.graph import Graph, Node
    from neo4j.time import Date

    graph = Graph()
    node = Node(graph, "4:x:1", 1, ["Patient"], {"id": "p1"})
    assert plain([Date(2151, 1, 2), None, {"a": [1.5]}]) == [dt.date(2151, 1, 2), None, {"a": [1.5]}]
    assert plain(node) == {"_LABEL": "Patient", **dict.fromkeys(NODES["Patient"].names), "id": "p1"}
