"""Exports of the graph: read back with other people's libraries, and no denial made positive."""

from __future__ import annotations

from pathlib import Path

import networkx
import pyarrow.parquet as pq
import pytest
import rdflib

from kgbuild.exports.nt import VOCABULARY, iri, literal
from kgbuild.pipelines.export import export
from kgbuild.pipelines.workspace import Workspace
from kgbuild.tables import table_files

KG = rdflib.Namespace(VOCABULARY)
RDF = rdflib.RDF


def n_rows(built: Path, prefix: str) -> int:
    folder = Workspace.open(built).graph
    return sum(pq.read_metadata(folder / name).num_rows for name in table_files() if name.startswith(prefix))


def test_parquet_is_the_tables(built: Path, tmp_path: Path) -> None:
    assert export(built, "parquet", tmp_path / "out") == {"written": len(table_files())}
    for name in table_files():
        assert (tmp_path / "out" / name).read_bytes() == (built / "graph" / name).read_bytes()


def test_graphml_reads_back_with_networkx(built: Path, tmp_path: Path) -> None:
    out = tmp_path / "g.graphml"
    written = export(built, "graphml", out)["written"]
    found = networkx.read_graphml(out, force_multigraph=True)
    assert (found.number_of_nodes(), found.number_of_edges()) == (n_rows(built, "nodes/"), n_rows(built, "edges/"))
    assert written == found.number_of_nodes() + found.number_of_edges()
    absent = [data for _, _, data in found.edges(data=True) if data["label"] == "has_absent"]
    assert len(absent) == n_rows(built, "edges/has_absent.")
    assert all(isinstance(data["qualified"], bool) and isinstance(data["n_mentions"], int) for data in absent)
    study = found.nodes["Study:examples:ex001"]
    assert study["label"] == "Study"
    assert study["date"].startswith("21")
    export(built, "graphml", tmp_path / "again.graphml")
    assert (tmp_path / "again.graphml").read_bytes() == out.read_bytes()


def test_n_triples_read_back_with_rdflib(built: Path, tmp_path: Path) -> None:
    out = tmp_path / "g.nt"
    written = export(built, "nt", out)["written"]
    graph = rdflib.Graph().parse(out, format="nt")
    assert len(graph) == len(set(out.read_text().splitlines())) <= written
    for label in ("Study", "Image", "Patient", "Observation", "Anatomy", "Concept"):
        assert len(set(graph.subjects(RDF.type, KG[label]))) == n_rows(built, f"nodes/{label}."), label
    for kind in ("has_present", "has_absent", "has_uncertain", "mentions", "follows"):
        assert len(list(graph.subject_objects(KG[kind]))) == n_rows(built, f"edges/{kind}."), kind


def test_a_denied_relation_is_a_statement_and_never_a_plain_triple(built: Path, tmp_path: Path) -> None:
    export(built, "nt", tmp_path / "g.nt")
    graph = rdflib.Graph().parse(tmp_path / "g.nt", format="nt")
    for kind in (
        "located_at",
        "modify",
        "suggestive_of",
        "concept_located_at",
        "concept_modify",
        "concept_suggestive_of",
    ):
        stated = {"present": set(), "uncertain": set(), "absent": set()}  # type: dict[str, set[object]]
        for node in graph.subjects(RDF.predicate, KG[kind]):
            pair = (graph.value(node, RDF.subject), graph.value(node, RDF.object))
            stated[str(graph.value(node, KG.presence))].add(pair)
        plain = set(graph.subject_objects(KG[kind]))
        assert plain == stated["present"], kind
        files = [name for name in table_files() if name.startswith(f"edges/{kind}.")]
        said = [row["presence"] for name in files for row in pq.read_table(built / "graph" / name).to_pylist()]
        assert {key: len(value) for key, value in stated.items()} == {key: said.count(key) for key in stated}, kind
    assert any(stated.values())


def test_literals_and_iris_are_escaped() -> None:
    assert literal('a "b"\n\\') == '"a \\"b\\"\\n\\\\"'
    assert literal(True).startswith('"true"^^<')
    assert iri("https://x/", "Study", "a b<c>/é") == "<https://x/study/a%20b%3Cc%3E%2F%C3%A9>"
    text = literal("a\tb")
    graph = rdflib.Graph().parse(data=f"{iri('https://x/', 'Study', 'q')} <https://x/p> {text} .", format="nt")
    assert [str(o) for o in graph.objects()] == ["a\tb"]


@pytest.mark.parametrize("fmt", ["radgraph", "dygie"])
def test_exports_of_annotations_hold_every_listed_study(built: Path, tmp_path: Path, fmt: str) -> None:
    assert export(built, fmt, tmp_path / "out") == {"written": 48}
    first = (tmp_path / "out").read_bytes()
    export(built, fmt, tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == first
