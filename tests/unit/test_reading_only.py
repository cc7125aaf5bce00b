"""A query reads the graph and nothing else: no file, no setting, no other database, whatever it is wrapped in."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

import kgbuild
from kgbuild.errors import StoreError, UsageError
from kgbuild.pipelines import ask
from kgbuild.stores._reading import check_embedded, check_neo4j
from kgbuild.stores.neo4j import Neo4jStore

REFUSED = {
    "COPY (MATCH (s:Study) RETURN s.id) TO 'OUT'": "copy",
    "copy/**/(MATCH (s:Study) RETURN s.id) TO 'OUT'": "copy",
    " // hello\n\tExPlAiN CoPy (MATCH (s:Study) RETURN s.id) TO 'OUT'": "copy",
    "PROFILE COPY (MATCH (s:Study) RETURN s.id) TO 'OUT'": "copy",
    "EXPLAIN LOGICAL COPY (MATCH (s:Study) RETURN s.id) TO 'OUT'": "copy",
    "COPY Study FROM 'IN'": "copy",
    "LOAD FROM 'IN' RETURN *": "load",
    "LOAD WITH HEADERS (a STRING) FROM 'IN' RETURN *": "load",
    "load/* x */from 'IN' return *": "load",
    "MATCH (s:Study) WITH s LIMIT 1 LOAD FROM 'IN' RETURN *": "load from",
    "MATCH (s:Study) WHERE s.n_tokens > 1LOAD FROM 'IN' RETURN a": "load from",
    "MATCH (s:Study) WHERE s.n_tokens > 1e0LOAD FROM 'IN' RETURN a": "load from",
    "MATCH (s:Study) WHERE s.id <> 'x\\'y'LOAD FROM 'IN' RETURN a": "load from",
    "RETURN 1 AS a UNION ALL LOAD FROM 'IN' RETURN a": "load from",
    "UNWIND [1] AS x LOAD FROM 'IN' RETURN *": "load from",
    "ATTACH 'IN' AS o (dbtype sqlite)": "attach",
    "DETACH o": "detach",
    "USE o": "use",
    "EXPORT DATABASE 'OUT'": "export",
    "IMPORT DATABASE 'OUT'": "import",
    "INSTALL httpfs": "install",
    "LOAD EXTENSION httpfs": "load",
    "LOAD httpfs": "load",
    "UPDATE httpfs": "update",
    "CALL timeout=1000": "call timeout = …",
    "CALL home_directory='/tmp'": "call home_directory = …",
    "CALL read_csv_serial('IN') RETURN *": "call read_csv_serial",
    "MATCH (s:Study) CALL read_parquet('IN') RETURN *": "call read_parquet",
    "CHECKPOINT": "checkpoint",
    "BEGIN TRANSACTION": "begin",
    "CREATE MACRO f(a) AS a": "create",
    "DROP TABLE Study": "drop",
}


@pytest.mark.parametrize("statement", REFUSED)
def test_what_does_more_than_read_is_refused_before_it_runs(statement: str, built: Path, tmp_path: Path) -> None:
    out, other = tmp_path / "out.csv", tmp_path / "in.csv"
    out.write_text("mine\n")
    other.write_text("a,b\n1,2\n")
    store = hashlib.sha256((built / "store" / "graph.lbug").read_bytes()).hexdigest()
    with pytest.raises(StoreError) as caught:
        ask.query_cypher(built, statement.replace("'OUT'", f"'{out}'").replace("'IN'", f"'{other}'"))
    told = f"a query is read-only, it may only read the graph: {REFUSED[statement]} is refused"
    assert caught.value.message.lower() == told
    assert caught.value.expected is not None
    assert caught.value.expected.startswith("one statement that reads the graph: MATCH, OPTIONAL MATCH, UNWIND, WITH,")
    assert out.read_text() == "mine\n"
    assert hashlib.sha256((built / "store" / "graph.lbug").read_bytes()).hexdigest() == store
    assert sorted(p.name for p in (built / "store").iterdir()) == ["graph.json", "graph.lbug"]


def test_a_second_statement_is_refused_before_the_first_runs(built: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    with pytest.raises(StoreError, match=r"^more than one statement"):
        ask.query_cypher(built, f"RETURN 1 AS n; COPY (MATCH (s:Study) RETURN s.id) TO '{out}'")
    assert not out.exists()


@pytest.mark.parametrize(
    ("statement", "rows"),
    [
        ("RETURN 'COPY; LOAD FROM \\'x\\'' AS text", [("COPY; LOAD FROM 'x'",)]),
        ('RETURN "it\'s; CALL f(" AS text', [("it's; CALL f(",)]),
        ("/* LOAD FROM 'x'; */ MATCH (s:Study) RETURN count(s) AS n; // CALL f()", [(48,)]),
        ("optional match (load:Study) RETURN count(load) AS `COPY`;", [(48,)]),
        ("MATCH (s:Study) WITH count(s) AS load WITH load AS call RETURN call", [(48,)]),
        ("CALL db_version() RETURN version", [("0.22.0",)]),
    ],
)
def test_what_only_reads_is_answered(statement: str, rows: list[tuple[object, ...]], built: Path) -> None:
    assert ask.query_cypher(built, statement).rows == rows


@pytest.mark.parametrize("comment", ["/***/ ' */", "/*****/ ' */", "/**/ ' */", "/* /* */ ' */", "// \r ' \n"])
def test_no_comment_hides_a_statement_from_us_that_the_store_sees(comment: str, built: Path, tmp_path: Path) -> None:
    other = tmp_path / "in.csv"
    other.write_text("a,b\n1,2\n")
    with pytest.raises(StoreError, match="refused"):  # by us, or by the store: for it the text begins within
        ask.query_cypher(built, f"MATCH (s:Study) WITH s LIMIT 1 {comment} LOAD FROM '{other}' RETURN *")


def test_comments_leave_the_places_that_an_error_names(built: Path) -> None:
    with pytest.raises(StoreError, match=r"line: 2, offset: 9"):
        ask.query_cypher(built, "RETURN 1 AS a, // a\n/**/ 'x' 'y'")


def test_explaining_is_reading(built: Path) -> None:
    assert "Plan" in ask.query_cypher(built, "EXPLAIN MATCH (s:Study) RETURN s.id").rows[0][0]


@pytest.mark.parametrize("statement", ["", "  \n", ";", "// nothing", "/* nothing */ ;"])
def test_an_empty_statement_is_usage(statement: str, built: Path) -> None:
    with pytest.raises(UsageError, match=r"^the Cypher statement is empty"):
        ask.query_cypher(built, statement)


@pytest.mark.parametrize(
    "statement",
    [
        "LOAD CSV FROM 'file:///x.csv' AS row RETURN row",
        "MATCH (s) WITH s load/**/csv WITH HEADERS FROM 'http://x' AS row RETURN row",
        "\\u004cOAD CSV FROM 'file:///x.csv' AS row RETURN row",
        "WITH '\\u0027' AS a LOAD CSV FROM 'file:///x.csv' AS row RETURN row",
        "UNWIND [1] AS x WITH x WHERE x > 0LOAD CSV FROM 'file:///x.csv' AS row RETURN row",
    ],
)
def test_neo4j_is_not_asked_to_read_a_file(statement: str) -> None:
    with pytest.raises(StoreError, match="LOAD CSV is refused"):
        Neo4jStore(uri="bolt://localhost:1").query(statement)


def test_what_neo4j_may_be_asked() -> None:
    check_neo4j("MATCH (s:Study) WHERE s.id = 'LOAD CSV' RETURN s // LOAD CSV")
    check_neo4j("CALL { MATCH (s:Study) RETURN count(s) AS n } RETURN n")
    with pytest.raises(UsageError, match="empty"):
        check_neo4j(" // x")


def test_every_shipped_question_passes() -> None:
    for name in kgbuild.queries.names():
        check_embedded(kgbuild.queries.find(name).cypher)
        check_neo4j(kgbuild.queries.find(name).cypher)
