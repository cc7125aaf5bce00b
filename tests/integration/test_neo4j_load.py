"""Loading a real Neo4j server: what is in it afterwards, twice, killed, replaced, beside other people's data."""

from __future__ import annotations

import csv
import datetime as dt
import itertools
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import kgbuild
from kgbuild.errors import StoreError
from kgbuild.pipelines import stages
from kgbuild.stores import _neo4j_load, _neo4j_meta
from kgbuild.stores._neo4j_connection import Connection
from kgbuild.stores.neo4j import Neo4jStore
from kgbuild.tables import table_files
from tests.integration.neo4j_graph import from_neo4j, from_tables, operators
from tests.integration.neo4j_server import Neo4jServer

if TYPE_CHECKING:
    from neo4j import Driver

pytestmark = pytest.mark.integration


def load(workspace: Path, **options: object) -> stages.Summary:
    return stages.load(workspace, store="neo4j", **options)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def fewer(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The examples' workspace with a newer run of its first 20 studies, impressions only."""
    workspace = tmp_path_factory.mktemp("fewer") / "kg"
    shutil.copytree(built, workspace)
    kgbuild.build(kgbuild.resolve("examples", limit=20), workspace, sections=("impression",))
    return workspace


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with another data set, of three made-up reports that share concepts with the examples."""
    folder = tmp_path_factory.mktemp("other")
    texts = [
        "Small left pleural effusion. No pneumothorax.",
        "Opacity in the right lower lobe, may represent pneumonia.",
        "No pleural effusion.",
    ]
    with (folder / "reports.csv").open("w", newline="") as stream:
        rows = csv.writer(stream, lineterminator="\n")
        rows.writerow(("uid", "findings", "impression"))
        rows.writerows((i, text, "") for i, text in enumerate(texts, 1))
    kgbuild.build(kgbuild.resolve("iu-xray", folder), folder / "kg")
    return folder / "kg"


def joined(one: Path, two: Path, place: Path) -> Path:
    """A workspace with the data sets of both."""
    shutil.copytree(one, place)
    shutil.copytree(two / "runs", place / "runs", dirs_exist_ok=True)
    shutil.copytree(two / "current", place / "current", dirs_exist_ok=True)
    stages.load(place)
    return place


def test_all_of_it_arrives_and_twice_changes_nothing(
    neo4j_empty: Neo4jServer, neo4j_driver: Driver, built: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = load(built)
    assert first.done_now == 1
    assert first.counts == {name: pq.read_metadata(built / "graph" / name).num_rows for name in table_files()}
    whole = from_neo4j(neo4j_driver)
    assert whole == from_tables(built / "graph")
    with monkeypatch.context() as patch:
        patch.setattr(Connection, "write", None)  # not one transaction that could write
        assert load(built).done_now == 0
    assert load(built, replace=True).done_now == 1
    assert from_neo4j(neo4j_driver) == whole


ONE_REPORT = (
    "MATCH (s:Study {id: $study})-[:mentions]->(m:Observation|Anatomy) "
    "OPTIONAL MATCH (m)-[e:located_at|modify|suggestive_of]->(:Observation|Anatomy) RETURN m, e"
)


def test_a_question_asked_during_a_load_is_planned_anew_after_it(
    neo4j_empty: Neo4jServer, neo4j_driver: Driver, built: Path
) -> None:
    """Else it would read a whole index for one study, for as long as the plan stays in the server's cache."""
    study = {"study": "examples:ex001"}

    def ask(what: str, done: int, total: int) -> None:
        if what == "neo4j":  # for the server the indexes are as empty as they were made
            operators(neo4j_driver, ONE_REPORT, study)

    load(built, progress=ask)
    assert "NodeUniqueIndexSeek" in operators(neo4j_driver, ONE_REPORT, study)
    counts = "CALL db.stats.retrieve('GRAPH COUNTS') YIELD data UNWIND data.indexes AS i WITH i WHERE i.labels[0] = $of"
    found = neo4j_driver.execute_query(f"{counts} RETURN DISTINCT i.totalSize, i.updatesSinceEstimation", of="Study")
    assert [tuple(record.values()) for record in found.records] == [(48, 0)]


def test_a_user_who_may_not_ask_for_new_plans_loads_all_the_same(
    neo4j_empty: Neo4jServer, neo4j_driver: Driver, built: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Community has no user without rights, so our own call is answered as Enterprise answers it."""
    run, asked = Connection.run, []

    def refuse(self: Connection, cypher: str, **parameters: object) -> None:
        if "prepareForReplanning" in cypher:
            asked.append(cypher)
            raise StoreError("user ada may not do this")
        run(self, cypher, **parameters)

    monkeypatch.setattr(Connection, "run", refuse)
    assert load(built).done_now == 1
    assert len(asked) == 1
    assert from_neo4j(neo4j_driver) == from_tables(built / "graph")


def test_a_server_killed_in_the_middle_loses_and_doubles_nothing(
    neo4j_empty: Neo4jServer, neo4j_driver: Driver, built: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``kill -9`` of the server in the middle, started again: the same load goes on by itself."""
    monkeypatch.setattr(_neo4j_load, "BATCH", 60)
    kills: list[int] = []

    def kill(what: str, done: int, total: int) -> None:
        if what == "neo4j" and not kills and done > total / 2:
            neo4j_empty.kill()
            kills.append(done)
            neo4j_empty.start(wait=False)

    load(built, progress=kill)
    assert len(kills) == 1
    neo4j_empty.wait()
    assert from_neo4j(neo4j_driver) == from_tables(built / "graph")
    assert load(built).done_now == 0


KILLED = """
import os, sys
from pathlib import Path
from kgbuild.pipelines import stages
from kgbuild.stores import _neo4j_load
_neo4j_load.BATCH = 60
def progress(what, done, total):
    if what == "neo4j":
        print(done, total, flush=True)
        if done > total * float(sys.argv[2]):
            os.kill(os.getpid(), 9)
stages.load(Path(sys.argv[1]), store="neo4j", replace=sys.argv[3] == "replace", progress=progress)
"""


def killed(workspace: Path, at: float, replace: str = "") -> list[list[int]]:
    """(done, total) as they were told by a load that kills itself at that part of its rows."""
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(workspace), str(at), replace], capture_output=True, text=True, timeout=400
    )
    assert done.returncode == -9, done.stderr
    return [[int(word) for word in line.split()] for line in done.stdout.splitlines()]


def test_a_killed_load_goes_on_where_it_stopped(neo4j_empty: Neo4jServer, neo4j_driver: Driver, built: Path) -> None:
    first = killed(built, 0.3)
    second = killed(built, 0.7)
    assert first[0][0] == 0
    assert second[0] == first[-1]
    seen: list[int] = []
    load(built, progress=lambda what, done, total: seen.append(done) if what == "neo4j" else None)
    assert seen[0] == second[-1][0]
    assert from_neo4j(neo4j_driver) == from_tables(built / "graph")


def test_another_run_is_refused_and_replaces_exactly_the_old_one(
    neo4j_empty: Neo4jServer, neo4j_driver: Driver, built: Path, fewer: Path
) -> None:
    with neo4j_driver.session() as session:
        session.run("CREATE (:Person {name: 'Ada'})-[:knows]->(:Person {name: 'Bob'})").consume()
    with pytest.raises(StoreError, match="holds 2 nodes that kgbuild did not write"):
        load(built)
    load(built, store_options={"into_existing": "yes"})
    with neo4j_driver.session() as session:
        session.run(
            "MATCH (p:Person {name: 'Ada'}), (s:Study {id: 'examples:ex001'}) CREATE (p)-[:read]->(s)"
        ).consume()
        session.run("MATCH (s:Study {id: 'examples:ex001'}) SET s.checked = true").consume()
    with pytest.raises(StoreError, match="another run of data set examples") as refused:
        load(fewer)
    assert "--replace" in str(refused.value)
    killed(fewer, 0.5, "replace")
    load(fewer, replace=True)
    with neo4j_driver.session() as session:
        kept = session.run("MATCH (p:Person)-[r]->(n) RETURN p.name, type(r), n.name, n.id, n.checked ORDER BY type(r)")
        assert [tuple(record) for record in kept] == [
            ("Ada", "knows", "Bob", None, None),
            ("Ada", "read", None, "examples:ex001", True),
        ]
        session.run("MATCH (s:Study {id: 'examples:ex001'}) SET s.checked = null").consume()
    assert from_neo4j(neo4j_driver) == from_tables(fewer / "graph")
    load(built, replace=True)
    assert from_neo4j(neo4j_driver) == from_tables(built / "graph")


def test_data_sets_of_two_workspaces_are_counted_together(
    neo4j_empty: Neo4jServer, neo4j_driver: Driver, built: Path, fewer: Path, other: Path, tmp_path: Path
) -> None:
    load(built)
    load(other)
    both = joined(built, other, tmp_path / "both")
    assert from_neo4j(neo4j_driver) == from_tables(both / "graph")
    assert load(both).done_now == 0
    assert load(built).done_now == 0
    load(fewer, replace=True)
    both = joined(fewer, other, tmp_path / "fewer")
    assert from_neo4j(neo4j_driver) == from_tables(both / "graph")


def test_labels_of_others_are_not_shared(neo4j_empty: Neo4jServer, neo4j_driver: Driver, built: Path) -> None:
    with neo4j_driver.session() as session:
        session.run("CREATE (:Study {id: 'examples:ex001', owner: 'somebody'})").consume()
        for options in ({}, {"into_existing": "yes"}):
            with pytest.raises(StoreError, match="labels that kgbuild did not write: 1 Study"):
                load(built, store_options=options)
        assert dict(session.run("MATCH (n) RETURN n").single(strict=True)[0]) == {
            "id": "examples:ex001",
            "owner": "somebody",
        }
        assert session.run("SHOW CONSTRAINTS").values() == []


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("CREATE INDEX mine FOR (n:Study) ON (n.id)", "There already exists an index (:Study {id})"),
        ("CREATE CONSTRAINT kgbuild_study_id FOR (n:Person) REQUIRE n.name IS UNIQUE", "our constraint is missing"),
        ("CREATE CONSTRAINT mine FOR (n:Study) REQUIRE n.dataset IS UNIQUE", "property `dataset` = 'examples'"),
    ],
)
def test_constraints_of_others_that_stand_in_the_way(
    neo4j_empty: Neo4jServer, neo4j_driver: Driver, built: Path, statement: str, words: str
) -> None:
    with neo4j_driver.session() as session:
        session.run(statement).consume()
    with pytest.raises(StoreError) as refused:
        load(built)
    assert words in str(refused.value)


def test_what_others_change_in_our_graph_is_noticed(
    neo4j_empty: Neo4jServer, neo4j_driver: Driver, built: Path
) -> None:
    load(built)
    with neo4j_driver.session() as session:
        session.run("MATCH (s:Study {id: 'examples:ex001'}) DETACH DELETE s").consume()
    with pytest.raises(StoreError, match="47 Study nodes, not 48") as refused:
        load(built)
    assert "--replace" in str(refused.value)
    load(built, replace=True)
    assert from_neo4j(neo4j_driver) == from_tables(built / "graph")


def test_two_loads_at_once_and_a_dead_ones_place(
    neo4j_empty: Neo4jServer, neo4j_driver: Driver, built: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusals: list[StoreError] = []

    def second(what: str, done: int, total: int) -> None:
        if what == "neo4j" and not refusals:
            with pytest.raises(StoreError, match="another load into this database is under way") as refused:
                load(built)
            refusals.append(refused.value)

    load(built, progress=second)
    assert "last heard of" in str(refusals[0])
    assert from_neo4j(neo4j_driver) == from_tables(built / "graph")
    hold = "MATCH (k:Kgbuild {id: 'graph'}) SET k.owner = 'elsewhere 12 abc', k.heartbeat = timestamp() - $age"
    with neo4j_driver.session() as session:
        session.run(hold, age=1000).consume()
        with pytest.raises(StoreError, match="another load"):
            load(built, replace=True)
        session.run(hold, age=_neo4j_meta.STALE_MS + 1000).consume()
    load(built, replace=True)
    assert from_neo4j(neo4j_driver) == from_tables(built / "graph")


def test_a_load_that_was_silent_for_too_long_does_not_write_on(
    neo4j_empty: Neo4jServer, neo4j_driver: Driver, built: Path
) -> None:
    def taken(what: str, done: int, total: int) -> None:
        if what == "neo4j":
            with neo4j_driver.session() as session:
                session.run("MATCH (k:Kgbuild {id: 'graph'}) SET k.owner = 'elsewhere 12 abc'").consume()

    with pytest.raises(StoreError, match="has taken this one's place"):
        load(built, progress=taken)
    with neo4j_driver.session() as session:
        assert session.run("MATCH (n:Study) RETURN count(n)").single(strict=True)[0] == 0


TEXTS = [
    "it's",
    'say "x"',
    "a\nb\tc\r",
    "naïve ± 5 µm 漢字 🫁",
    "x'}) DETACH DELETE n //",
    "}) MATCH (n) DETACH DELETE n",
    "`id`",
    "\\",
    "$rows",
    " a,b;c|d ",
    "x" * 8_000,
]


@pytest.fixture
def tables(tmp_path: Path) -> Callable[[list[str]], Path]:
    def make(ids: list[str]) -> Path:
        folder = tmp_path / "graph"
        schemas = table_files()
        studies = [
            {"id": text, "dataset": "odd", "sections": [text, ""], "path": "y" * 10_000, "date": dt.date(2151, 1, 1)}
            for text in ids
        ]
        rows = {
            "nodes/Study.parquet": studies,
            "nodes/Concept.parquet": [{"id": text, "name": text, "semantic_types": []} for text in ids],
            "edges/has_absent.Study.Concept.parquet": [
                {"source": text, "target": text, "n_mentions": 2, "sites": [text], "qualified": True} for text in ids
            ],
            "edges/concept_modify.Concept.Concept.parquet": [
                {"source": a, "target": b, "presence": presence, "n_studies": 1}
                for a, b in itertools.pairwise(ids)
                for presence in ("present", "absent")
            ],
        }
        for name, schema in schemas.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(pa.Table.from_pylist(rows.get(name, []), schema=schema), folder / name)
        runs = {"odd": {"annotations": "a'1", "links": 'l"1'}}
        (folder / "graph.json").write_text(json.dumps({"kgbuild": "0", "runs": runs, "rows": {}}))
        return folder

    return make


def test_odd_ids_and_values_come_back_as_they_went_in(
    neo4j_empty: Neo4jServer, neo4j_driver: Driver, tables: Callable[[list[str]], Path]
) -> None:
    folder = tables(TEXTS)
    store = Neo4jStore()
    store.load(folder)
    assert from_neo4j(neo4j_driver) == from_tables(folder)
    for text in TEXTS:
        found = store.query("MATCH (s:Study {id: $text}) RETURN s.sections AS parts, s.date AS day", {"text": text})
        assert found.rows == [([text, ""], dt.date(2151, 1, 1))]
    assert store.holds(folder)
    store.load(folder, replace=True)
    assert from_neo4j(neo4j_driver) == from_tables(folder)
    store.close()


def test_an_id_that_no_index_takes_is_named(neo4j_empty: Neo4jServer, tables: Callable[[list[str]], Path]) -> None:
    store = Neo4jStore()
    with pytest.raises(StoreError, match="10,000 bytes, more than a Neo4j index takes") as refused:
        store.load(tables(["a", "x" * 10_000]))
    store.close()
    assert "nodes/Study.parquet, rows 0 to 1" in str(refused.value)
    assert len(str(refused.value)) < 400
