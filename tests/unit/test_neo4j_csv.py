"""Export ``neo4j-csv``: headers, parts, what CSV cannot say, and folders that are whole or not there."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kgbuild.errors import KgbuildError, StoreError
from kgbuild.exports import neo4j_csv
from kgbuild.pipelines.export import export
from kgbuild.pipelines.workspace import Workspace
from kgbuild.tables import table_files


def graph(folder: Path, datasets: tuple[str, ...] = ("made",), /, **rows: list[dict[str, Any]]) -> Path:
    """A graph folder with these rows: ``Study=[…]``, ``has_image_Study_Image=[…]``."""
    for name, schema in table_files().items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        short = re.sub(r"^\w+/|\.parquet$", "", name).replace(".", "_")
        full = [{column: row.get(column) for column in schema.names} for row in rows.get(short, [])]
        pq.write_table(pa.Table.from_pylist(full, schema=schema), folder / name)
    runs = {dataset: {"annotations": f"a-{dataset}", "links": f"l-{dataset}"} for dataset in datasets}
    (folder / "graph.json").write_text(json.dumps({"runs": runs}))
    return folder


def text(out: Path, name: str) -> str:
    """All parts of a table, unpacked."""
    parts = sorted(out.glob(f"{name}.*.csv.gz"))
    return "".join(gzip.decompress(part.read_bytes()).decode() for part in parts)


def values(out: Path, name: str) -> list[list[str]]:
    """Rows of a table, read back."""
    return list(csv.reader(io.StringIO(text(out, name), newline="")))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


def test_headers_say_types_and_id_spaces(tmp_path: Path) -> None:
    neo4j_csv.write(tmp_path / "out", graph(tmp_path / "graph"))
    out = tmp_path / "out"
    assert (out / "nodes/Study.header.csv").read_text() == (
        "id:ID(Study),dataset:string,split:string,date:date,sections:string[],path:string,n_tokens:long\n"
    )
    assert (out / "edges/has_absent.Study.Concept.header.csv").read_text() == (
        ":START_ID(Study),:END_ID(Concept),n_mentions:long,sites:string[],qualified:boolean\n"
    )
    assert (out / "edges/linked_to.Anatomy.Concept.header.csv").read_text().startswith(":START_ID(Anatomy),:END_ID(Con")


def test_values_of_every_type(tmp_path: Path) -> None:
    study = {"id": 'a"b,c', "dataset": "made", "path": "", "sections": ["x", "y"], "n_tokens": -3}
    links = [{"source": "m", "target": "c", "score": score} for score in (0.1, float("inf"), -float("inf"), None)]
    tables = graph(tmp_path / "graph", Study=[study], linked_to_Observation_Concept=links)
    assert neo4j_csv.write(tmp_path / "out", tables) == 5
    # null is nothing at all, the empty text is "" and a list is joined by a character that no list holds
    assert text(tmp_path / "out", "nodes/Study") == '"a""b,c",made,,,x\x1fy,"",-3\n'
    links_out = values(tmp_path / "out", "edges/linked_to.Observation.Concept")
    assert [row[2] for row in links_out] == ["0.1", "Infinity", "-Infinity", ""]


def test_the_delimiter_of_lists_is_in_no_list(tmp_path: Path) -> None:
    tables = graph(tmp_path / "graph", Study=[{"id": "s", "sections": ["a\x1fb", "c\x1e"]}])
    neo4j_csv.write(tmp_path / "out", tables)
    assert text(tmp_path / "out", "nodes/Study") == "s,,,,a\x1fb\x1dc\x1e,,\n"
    assert "--array-delimiter=U+001D\n" in (tmp_path / "out" / "neo4j-admin.sh").read_text()


def after(out: Path) -> list[str]:
    """Its statements, but for those on kgbuild's own notes."""
    lines = (out / "after-import.cypher").read_text().splitlines()
    return [line for line in lines if not line.startswith("//") and "Kgbuild" not in line]


def test_empty_lists_are_set_after_the_import(tmp_path: Path) -> None:
    """Only where there are some; a mark stands in where an empty list would not tell itself from a null."""
    neo4j_csv.write(tmp_path / "empty", graph(tmp_path / "1", Concept=[{"id": "c", "semantic_types": []}]))
    assert after(tmp_path / "empty") == [
        "MATCH (x:`Concept`) CALL (x) { SET x.`semantic_types` = coalesce(x.`semantic_types`, []) } "
        "IN TRANSACTIONS OF 20000 ROWS;"
    ]
    mixed: list[dict[str, Any]] = [
        {"id": "1", "sections": []},
        {"id": "2"},
        {"id": "3", "sections": [""]},
        {"id": "4", "sections": ["a"]},
    ]
    neo4j_csv.write(tmp_path / "mixed", graph(tmp_path / "2", Study=mixed))
    assert [row[4] for row in values(tmp_path / "mixed", "nodes/Study")] == [
        "\x1e0",
        "",
        "\x1e1",
        "a",
    ]
    assert after(tmp_path / "mixed") == [
        f"MATCH (x:`Study`) CALL (x) {{ SET x.`sections` = CASE WHEN x.`sections` = ['\\u001E{mark}'] THEN {value} "
        "ELSE x.`sections` END } IN TRANSACTIONS OF 20000 ROWS;"
        for mark, value in (("0", "[]"), ("1", "['']"))
    ]
    neo4j_csv.write(tmp_path / "none", graph(tmp_path / "3", Study=[{"id": "1", "sections": ["a"]}, {"id": "2"}]))
    assert after(tmp_path / "none") == []


@pytest.mark.parametrize(("value", "multiline"), [("plain", "false"), ("a\nb", "true"), ("a\rb", "true")])
def test_the_slower_reader_is_asked_for_only_where_values_span_lines(
    tmp_path: Path, value: str, multiline: str
) -> None:
    neo4j_csv.write(tmp_path / "out", graph(tmp_path / "graph", Study=[{"id": "s", "path": value}]))
    assert f"--multiline-fields={multiline}\n" in (tmp_path / "out" / "neo4j-admin.sh").read_text()


def test_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neo4j_csv, "BATCH_ROWS", 10)
    monkeypatch.setattr(neo4j_csv, "PART_ROWS", 25)
    tables = graph(tmp_path / "graph", Concept=[{"id": f"c{i}"} for i in range(64)])
    neo4j_csv.write(tmp_path / "out", tables)
    parts = sorted((tmp_path / "out" / "nodes").glob("Concept.*.csv.gz"))
    assert [len(gzip.decompress(part.read_bytes()).splitlines()) for part in parts] == [20, 20, 24]
    names = ",".join(["nodes/Concept.header.csv", *(f"nodes/{part.name}" for part in parts)])
    assert f"\n  --nodes=Concept={names}\n" in (tmp_path / "out" / "neo4j-admin.sh").read_text()
    (entry,) = [e for e in manifest(tmp_path / "out")["tables"] if e["name"] == "nodes/Concept"]
    assert [file["bytes"] for file in entry["files"][1:]] == [part.stat().st_size for part in parts]


def manifest(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "manifest.json").read_text())
    return found


def test_the_examples_twice_give_the_same_bytes(built: Path, tmp_path: Path) -> None:
    written = export(built, "neo4j-csv", tmp_path / "one")["written"]
    export(built, "neo4j-csv", tmp_path / "two")
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    folder = Workspace.open(built).graph
    rows = {name: pq.read_metadata(folder / name).num_rows for name in table_files()}
    told = manifest(tmp_path / "one")
    assert written == sum(rows.values()) == told["nodes"] + told["relationships"] - 2  # and kgbuild's notes
    assert {f"{entry['name']}.parquet": entry["rows"] for entry in told["tables"]} == {
        **rows,
        "nodes/Kgbuild.parquet": 2,
    }
    executable = {file.name for file in (tmp_path / "one").iterdir() if os.access(file, os.X_OK) and file.is_file()}
    assert executable == {"import.sh", "import-docker.sh", "neo4j-admin.sh", "import.py"}


def test_the_notes_are_those_of_a_load(tmp_path: Path) -> None:
    """Rows and concepts by data set, as ``load --store neo4j`` notes them."""
    tables = graph(
        tmp_path / "graph",
        ("one", "two"),
        Study=[{"id": "s1", "dataset": "one"}, {"id": "s2", "dataset": "two"}, {"id": "s3", "dataset": "two"}],
        Concept=[{"id": "c1"}, {"id": "c2"}, {"id": "c3"}],
        has_absent_Study_Concept=[{"source": "s1", "target": "c1"}, {"source": "s2", "target": "c2"}],
    )
    neo4j_csv.write(tmp_path / "out", tables)
    header = (tmp_path / "out" / "nodes/Kgbuild.header.csv").read_text().strip().split(",")
    names = [column.partition(":")[0] for column in header]
    rows = [dict(zip(names, row, strict=True)) for row in values(tmp_path / "out", "nodes/Kgbuild")]
    noted = {row["dataset"]: row for row in rows if row["dataset"]}
    assert {name: json.loads(row["rows"])["nodes/Study.parquet"] for name, row in noted.items()} == {"one": 1, "two": 2}
    assert {name: row["concepts"] for name, row in noted.items()} == {"one": "c1\x1fc3", "two": "c2\x1fc3"}
    assert {(row["annotations"], row["links"], row["complete"]) for row in noted.values()} == {
        ("a-one", "l-one", "true"),
        ("a-two", "l-two", "true"),
    }


def test_an_earlier_export_is_replaced_and_nothing_else(tmp_path: Path) -> None:
    tables = graph(tmp_path / "graph", Study=[{"id": "s1"}])
    out = tmp_path / "out"
    out.mkdir()
    neo4j_csv.write(out, tables)  # an empty folder
    (out / "import.log").write_text("old")
    neo4j_csv.write(out, graph(tmp_path / "newer", Study=[{"id": "s2"}]))
    assert text(out, "nodes/Study") == "s2,,,,,,\n"
    assert not (out / "import.log").exists()
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "notes.txt").write_text("keep")
    with pytest.raises(KgbuildError, match="nothing of it is overwritten"):
        neo4j_csv.write(mine, tables)
    assert contents(mine) == {"notes.txt": b"keep"}


def test_a_failure_leaves_the_earlier_export_and_no_rubbish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    neo4j_csv.write(out, graph(tmp_path / "graph", Study=[{"id": "s1"}]))
    before = contents(out)
    long = graph(tmp_path / "long", Study=[{"id": "secret" * 2_000}])
    with pytest.raises(StoreError, match="12,000 bytes, more than a Neo4j index takes") as refused:
        neo4j_csv.write(out, long)
    assert "secret" not in str(refused.value)

    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)  # what a full disk says at last, in the thread that compresses
    with pytest.raises(OSError, match="No space left"):
        neo4j_csv.write(out, graph(tmp_path / "other", Study=[{"id": "s9"}]))
    assert contents(out) == before
    assert {entry.name for entry in tmp_path.iterdir()} == {"out", "graph", "long", "other"}
