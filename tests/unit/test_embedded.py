"""The embedded store: rebuilt from the tables, replaced whole, read only."""

from __future__ import annotations

import datetime as dt
import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kgbuild.errors import FileMissing, StoreError, UsageError
from kgbuild.pipelines import ask, stages
from kgbuild.stores.embedded import EmbeddedStore
from kgbuild.tables import table_files

TEXTS = [
    "it's",
    'say "x"',
    "a\nb\tc",
    "naïve ± 5 µm 漢字",
    "MATCH (n) DETACH DELETE n",
    "\\",
    "",
    "x" * 10_000,
    "a,b;c|d",
]


@pytest.fixture
def tables(tmp_path: Path) -> Path:
    folder = tmp_path / "graph"
    for name, schema in table_files().items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(schema.empty_table(), folder / name)
    files = table_files()
    studies = [
        {"id": f"s:{i}", "dataset": text, "sections": [text, text], "date": dt.date(2151, 1, 1), "n_tokens": i}
        for i, text in enumerate(TEXTS)
    ]
    pq.write_table(pa.Table.from_pylist(studies, schema=files["nodes/Study.parquet"]), folder / "nodes/Study.parquet")
    concept = [{"id": "C1", "name": "effusion", "kind": "observation", "source": "T", "semantic_types": []}]
    pq.write_table(
        pa.Table.from_pylist(concept, schema=files["nodes/Concept.parquet"]), folder / "nodes/Concept.parquet"
    )
    edge = "edges/has_absent.Study.Concept.parquet"
    absent = [{"source": "s:1", "target": "C1", "n_mentions": 2, "sites": ["a", "b"], "qualified": True}]
    pq.write_table(pa.Table.from_pylist(absent, schema=files[edge]), folder / edge)
    (folder / "graph.json").write_text(json.dumps({"kgbuild": "0", "runs": {}, "rows": {}}))
    return folder


def test_values_come_back_as_they_went_in(tables: Path, tmp_path: Path) -> None:
    store = EmbeddedStore(tmp_path / "store" / "g.lbug")
    rows = store.load(tables)
    assert rows["nodes/Study.parquet"] == len(TEXTS)
    answer = store.query(
        "MATCH (s:Study) RETURN s.dataset AS text, s.sections AS parts, s.date AS day ORDER BY s.n_tokens"
    )
    assert answer.columns == ("text", "parts", "day")
    assert answer.rows == [(text, [text, text], dt.date(2151, 1, 1)) for text in TEXTS]
    edge = store.query(
        "MATCH (s:Study)-[h:has_absent]->(c:Concept) "
        "RETURN h.n_mentions AS n, h.sites AS sites, h.qualified AS q, type(h) AS t"
    )
    assert edge.rows == [(2, ["a", "b"], True, "has_absent")]
    assert store.query("MATCH (s:Study) RETURN sum(s.n_tokens) AS n").rows == [(sum(range(len(TEXTS))),)]
    assert type(store.query("MATCH (s:Study) RETURN sum(s.n_tokens) AS n").rows[0][0]) is int
    store.close()


def test_parameters_are_values_and_not_cypher(tables: Path, tmp_path: Path) -> None:
    store = EmbeddedStore(tmp_path / "g.lbug")
    store.load(tables)
    for text in TEXTS:
        found = store.query("MATCH (s:Study) WHERE s.dataset = $text RETURN count(s) AS n", {"text": text})
        assert found.rows == [(1,)], text[:20]
    store.close()


def test_it_is_read_only_and_says_so(tables: Path, tmp_path: Path) -> None:
    store = EmbeddedStore(tmp_path / "g.lbug")
    store.load(tables)
    for statement in ("CREATE (:Patient {id: 'x'})", "MATCH (s:Study) DETACH DELETE s", "DROP TABLE has_present"):
        with pytest.raises(StoreError, match="read-only"):
            store.query(statement)
    with pytest.raises(StoreError, match="refused the query"):
        store.query("MATCH (s:Nothing) RETURN s")
    store.close()


def test_nothing_loaded_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(FileMissing, match=r"kgbuild load -w"):
        EmbeddedStore(tmp_path / "store" / "g.lbug").query("RETURN 1 AS n")


def test_a_load_that_fails_keeps_the_old_graph(tables: Path, tmp_path: Path) -> None:
    store = EmbeddedStore(tmp_path / "store" / "g.lbug")
    store.load(tables)
    edge = "edges/has_absent.Study.Concept.parquet"
    dangling = [{"source": "nobody", "target": "C1", "n_mentions": 1, "sites": [], "qualified": False}]
    pq.write_table(pa.Table.from_pylist(dangling, schema=table_files()[edge]), tables / edge)
    with pytest.raises(StoreError, match="refused the tables"):
        store.load(tables)
    assert store.query("MATCH (s:Study) RETURN count(s) AS n").rows == [(len(TEXTS),)]
    store.close()
    assert sorted(p.name for p in (tmp_path / "store").iterdir()) == ["g.lbug", "graph.json"]


def test_a_damaged_store_is_rebuilt_with_replace(built: Path, tmp_path: Path) -> None:
    workspace = tmp_path / "W"
    shutil.copytree(built, workspace)
    assert stages.load(workspace).done_now == 0
    (workspace / "store" / "graph.lbug").write_bytes(b"rubbish" * 1000)
    with pytest.raises(StoreError, match="load --replace"):
        EmbeddedStore(workspace / "store" / "graph.lbug").query("RETURN 1 AS n")
    assert stages.load(workspace, replace=True).done_now == 1
    store = EmbeddedStore(workspace / "store" / "graph.lbug")
    assert store.query("MATCH (s:Study) RETURN count(s) AS n").rows == [(48,)]
    store.close()


def test_what_an_old_file_left_behind_is_not_replayed_into_a_new_one(tables: Path, tmp_path: Path) -> None:
    store = EmbeddedStore(tmp_path / "g.lbug")
    store.load(tables)
    for ending in ("wal", "shadow"):
        (tmp_path / f"g.lbug.{ending}").write_bytes(b"rubbish" * 10)
    store.load(tables, replace=True)
    assert store.query("MATCH (s:Study) RETURN count(s) AS n").rows == [(len(TEXTS),)]
    store.close()
    assert sorted(p.name for p in tmp_path.glob("g.lbug*")) == ["g.lbug"]


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("MATCH (s:Studdy) RETURN s", "Study? Else a label (Patient, Study, Image, Observation, Anatomy, Concept)"),
        ("MATCH (s:Study)-[:mention]->(x) RETURN x", "mentions? Else a label ("),
        (
            "MATCH (s:Study) RETURN s.dates",
            "date? Else a property of Study: id, dataset, split, date, sections, path, n_tokens",
        ),
        (
            "MATCH (s:Study)-[h:has_absent]->(c) RETURN h.zzz AS x",
            "a property of has_absent: n_mentions, sites, qualified",
        ),
        ("MATCH (s:Study) RETURN s.id AS s ORDER BY s", "a property to order by, as s.id; "),
    ],
)
def test_a_refusal_says_what_there_is(statement: str, expected: str, tables: Path, tmp_path: Path) -> None:
    store = EmbeddedStore(tmp_path / "g.lbug")
    store.load(tables)
    with pytest.raises(StoreError, match="refused the query") as caught:
        store.query(statement)
    store.close()
    assert str(caught.value.expected).startswith(expected)


def test_a_query_that_takes_too_long_is_stopped(built: Path) -> None:
    store = EmbeddedStore(built / "store" / "graph.lbug", timeout="0.05")
    with pytest.raises(StoreError, match=r"took longer than its 0.05 s\n  next      give a longer --timeout"):
        store.query(
            "MATCH (a:Observation), (b:Observation), (c:Observation), (d:Observation) "
            "RETURN count(*) AS n, max(a.id + b.id + c.id + d.id) AS last"
        )
    assert store.query("RETURN 1 AS n").rows == [(1,)]
    store.close()
    for text in ("0", "inf", "nan", "soon"):
        with pytest.raises(UsageError, match="seconds, more than 0"):
            EmbeddedStore(built, timeout=text)


def test_options_of_a_server_name_the_store_that_has_them(built: Path) -> None:
    with pytest.raises(UsageError) as caught:
        ask.query_cypher(built, "RETURN 1 AS n", store_options={"uri": "bolt://x"})
    assert str(caught.value).splitlines() == [
        "store embedded has no option --uri",
        "  expected  --timeout",
        "  next      --uri goes with --store neo4j",
    ]
