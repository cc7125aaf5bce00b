"""Node and edge tables: whole values on made-up chunks, and certainty carried to the end."""

from __future__ import annotations

import datetime as dt
import itertools
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import kgbuild
from kgbuild.domain import mention_id
from kgbuild.errors import KgbuildError, UsageError
from kgbuild.pipelines import graph, runs
from kgbuild.pipelines.graph_rows import Chunk
from kgbuild.pipelines.graph_totals import Follows, Totals
from kgbuild.pipelines.workspace import Workspace
from kgbuild.tables import ANNOTATIONS, LINKS, table_files

Entity = tuple[int, str, str, str]


def row(study: str, entities: list[Entity], relations: list[tuple[int, str, int]], **more: Any) -> dict[str, Any]:
    """An annotated study: entities are (token, text, type, presence), relations (source, type, target)."""
    return {
        "study_id": study,
        "status": "annotated",
        "dataset": "made-up",
        "sections": ["findings"],
        "images": [],
        "tokens": ["x"] * 20,
        "entities": [
            {
                "start": start,
                "end": start + 1,
                "text": text,
                "type": kind,
                "presence": presence,
                "is_measurement": False,
                "section": "findings",
                "char_start": start * 2,
                "char_end": start * 2 + 1,
                "rule": "made",
            }
            for start, text, kind, presence in entities
        ],
        "relations": [{"source": a, "target": b, "type": kind, "rule": "made"} for a, kind, b in relations],
        **more,
    }


def link(
    study: str, start: int, kind: str, concept: str, concept_kind: str, *covers: int, method: str = "exact"
) -> dict[str, Any]:
    return {
        "study_id": study,
        "start": start,
        "end": start + 1,
        "type": kind,
        "concept_id": concept,
        "score": 1.0,
        "method": method,
        "covers": [mention_id(study, c, c + 1) for c in covers],
        "name": concept.lower(),
        "kind": concept_kind,
        "source": "T",
        "semantic_types": [],
    }


def chunk(rows: list[dict[str, Any]], links: list[dict[str, Any]]) -> Chunk:
    frames = [pl.from_arrow(pa.Table.from_pylist(part, schema=s)) for part, s in ((rows, ANNOTATIONS), (links, LINKS))]
    assert isinstance(frames[0], pl.DataFrame)
    assert isinstance(frames[1], pl.DataFrame)
    return Chunk(frames[0], frames[1], "rules-1")


def table(made: Chunk, name: str) -> list[dict[str, Any]]:
    schema = table_files()[name]
    return next(frame for found, frame in made.tables() if found == name).select(schema.names).to_dicts()


LARGE_DENIED = row(
    "s1",
    [
        (1, "large", "Observation", "absent"),
        (2, "pleural", "Anatomy", "present"),
        (3, "effusion", "Observation", "absent"),
    ],
    [(0, "modify", 2), (2, "located_at", 1)],
)
LARGE_LINKS = [
    link("s1", 2, "Anatomy", "PLEURA", "anatomy"),
    link("s1", 3, "Observation", "EFFUSION", "observation", 2),
    link("s1", 1, "Observation", "LARGE", "other"),
]


def test_a_relation_carries_the_weaker_presence_of_its_ends() -> None:
    made = chunk([LARGE_DENIED], LARGE_LINKS)
    at = table(made, "edges/located_at.Observation.Anatomy.parquet")
    assert at == [{"source": "s1:3-4", "target": "s1:2-3", "presence": "absent", "score": None, "run": "rules-1"}]
    assert table(made, "edges/modify.Observation.Observation.parquet")[0]["presence"] == "absent"
    hedged = row(
        "s",
        [(0, "opacity", "Observation", "present"), (2, "pneumonia", "Observation", "uncertain")],
        [(0, "suggestive_of", 1)],
    )
    assert (
        table(chunk([hedged], []), "edges/suggestive_of.Observation.Observation.parquet")[0]["presence"] == "uncertain"
    )


def test_a_denied_finding_reaches_no_positive_edge() -> None:
    made = chunk([LARGE_DENIED], LARGE_LINKS)
    assert table(made, "edges/has_present.Study.Concept.parquet") == []
    assert table(made, "edges/has_uncertain.Study.Concept.parquet") == []
    assert table(made, "edges/has_absent.Study.Concept.parquet") == [
        {"source": "s1", "target": "EFFUSION", "n_mentions": 1, "sites": ["PLEURA"], "qualified": True}
    ]
    totals = Totals()
    totals.add(made)
    edges = dict(totals.tables())
    at = edges["edges/concept_located_at.Concept.Concept.parquet"].to_dicts()
    assert [(e["source"], e["target"], e["presence"], e["n_studies"]) for e in at] == [
        ("EFFUSION", "PLEURA", "absent", 1)
    ]


def narrowed(entities: list[Entity], relations: list[tuple[int, str, int]], links: list[dict[str, Any]]) -> list[bool]:
    made = chunk([row("s1", entities, relations)], links)
    return [edge["qualified"] for edge in table(made, "edges/has_absent.Study.Concept.parquet")]


def test_qualified_says_that_every_mention_is_narrowed() -> None:
    effusion: list[Entity] = [(3, "effusion", "Observation", "absent"), (2, "pleural", "Anatomy", "present")]
    linked = [link("s1", 3, "Observation", "E", "observation", 2)]
    at = (0, "located_at", 1)
    assert narrowed(effusion, [at], linked) == [False]
    assert narrowed([*effusion, (1, "Definite", "Observation", "absent")], [at, (2, "modify", 0)], linked) == [False]
    assert narrowed([*effusion, (1, "large", "Observation", "absent")], [at, (2, "modify", 0)], linked) == [True]
    assert narrowed([*effusion, (1, "right", "Anatomy", "present")], [at, (2, "modify", 1)], linked) == [True]
    assert narrowed([*effusion, (1, "bilateral", "Anatomy", "present")], [at, (2, "modify", 1)], linked) == [False]
    twice: list[Entity] = [*effusion, (1, "large", "Observation", "absent"), (9, "effusion", "Observation", "absent")]
    again = [*linked, link("s1", 9, "Observation", "E", "observation")]
    assert narrowed(twice, [at, (2, "modify", 0)], again) == [False]
    assert narrowed(effusion, [at], [link("s1", 3, "Observation", "E", "observation", 2, method="stripped")]) == [True]


def test_a_covered_finding_belongs_to_the_concept_and_a_covered_degree_still_narrows() -> None:
    entities: list[Entity] = [(1, "calcified", "Observation", "absent"), (2, "granuloma", "Observation", "absent")]
    covered = link("s1", 2, "Observation", "CG", "observation", 1)
    finding = link("s1", 1, "Observation", "CALCIFICATION", "observation")
    degree = link("s1", 1, "Observation", "ACUTE", "other")
    assert narrowed(entities, [(0, "modify", 1)], [finding, covered]) == [False]
    assert narrowed(entities, [(0, "modify", 1)], [degree, covered]) == [True]


def test_judgements_and_covered_mentions_are_not_findings() -> None:
    entities: list[Entity] = [
        (0, "normal", "Observation", "present"),
        (2, "calcified", "Observation", "present"),
        (3, "granuloma", "Observation", "present"),
    ]
    links = [
        link("s1", 0, "Observation", "NORMAL", "other"),
        link("s1", 2, "Observation", "CALC", "observation"),
        link("s1", 3, "Observation", "CG", "observation", 2),
    ]
    made = chunk([row("s1", entities, [(1, "modify", 2)])], links)
    assert [e["target"] for e in table(made, "edges/has_present.Study.Concept.parquet")] == ["CG"]


def test_mentions_know_their_place() -> None:
    made = chunk([LARGE_DENIED], LARGE_LINKS)
    assert table(made, "nodes/Anatomy.parquet") == [
        {
            "id": "s1:2-3",
            "study_id": "s1",
            "text": "pleural",
            "presence": "present",
            "section": "findings",
            "token_start": 2,
            "token_end": 3,
            "char_start": 4,
            "char_end": 5,
            "is_measurement": False,
            "rule": "made",
            "run": "rules-1",
        }
    ]
    assert table(made, "edges/linked_to.Observation.Concept.parquet")[0] == {
        "source": "s1:3-4",
        "target": "EFFUSION",
        "score": 1.0,
        "method": "exact",
        "covers": ["s1:2-3"],
    }


def test_failed_and_empty_studies_are_nodes_and_rejected_rows_are_not() -> None:
    image = {"id": "i1", "view": "PA", "path": None, "rows": None, "columns": None}
    rows: list[dict[str, Any]] = [
        {"study_id": "s1", "status": "failed", "dataset": "d", "images": [image], "patient_id": "p1"},
        {"study_id": "s2", "status": "empty", "dataset": "d", "tokens": []},
        {"study_id": "s3", "status": "rejected", "dataset": "d"},
    ]
    made = chunk(rows, [])
    assert [(s["id"], s["n_tokens"]) for s in table(made, "nodes/Study.parquet")] == [("s1", 0), ("s2", 0)]
    assert [i["id"] for i in table(made, "nodes/Image.parquet")] == ["i1"]
    assert table(made, "edges/has_image.Study.Image.parquet") == [{"source": "s1", "target": "i1"}]
    assert table(made, "edges/has_study.Patient.Study.parquet") == [{"source": "p1", "target": "s1"}]


def test_studies_and_patients_are_counted_once() -> None:
    def study(name: str, patient: str | None) -> dict[str, Any]:
        entities: list[Entity] = [
            (0, "edema", "Observation", "present"),
            (1, "lung", "Anatomy", "present"),
            (2, "edema", "Observation", "present"),
        ]
        return row(name, entities, [(0, "located_at", 1), (2, "located_at", 1)], patient_id=patient)

    def links(name: str) -> list[dict[str, Any]]:
        return [
            link(name, 0, "Observation", "EDEMA", "observation"),
            link(name, 1, "Anatomy", "LUNG", "anatomy"),
            link(name, 2, "Observation", "EDEMA", "observation"),
        ]

    totals = Totals()
    totals.add(chunk([study("a", "p1"), study("b", "p1")], [*links("a"), *links("b")]))
    totals.add(chunk([study("c", "p1"), study("d", None)], [*links("c"), *links("d")]))
    found = dict(totals.tables())["edges/concept_located_at.Concept.Concept.parquet"].to_dicts()
    assert [(e["n_studies"], e["n_patients"]) for e in found] == [(4, 1)]


def test_follows_is_the_patients_study_before() -> None:
    follows = Follows()
    for part in (
        [("a", "p", dt.date(2151, 1, 1)), ("c", "p", dt.date(2151, 3, 1))],
        [("b", "p", dt.date(2151, 1, 31)), ("x", "q", dt.date(2151, 1, 1)), ("y", None, dt.date(2151, 1, 1))],
    ):
        follows.add(listed([(*row, None) for row in part]))
    found = follows.frame().to_dicts()
    assert found == [{"source": "b", "target": "a", "days": 30}, {"source": "c", "target": "b", "days": 29}]


def listed(rows: list[tuple[Any, ...]]) -> pl.DataFrame:
    types = {"id": pl.String, "patient_id": pl.String, "date": pl.Date, "time": pl.Time}
    return pl.DataFrame(rows, schema=types, orient="row")


@pytest.mark.parametrize(
    ("times", "order"),
    [
        ((dt.time(14), dt.time(9), dt.time(9, 30)), "bca"),
        ((dt.time(14), dt.time(9), None), "abc"),  # some times alone order nothing: by id
        ((None, None, None), "abc"),
        ((dt.time(9), dt.time(9), dt.time(8)), "cab"),
    ],
)
def test_follows_within_a_day_goes_by_time(times: tuple[dt.time | None, ...], order: str) -> None:
    follows = Follows()
    day = dt.date(2151, 1, 2)
    follows.add(listed([(name, "p", day, time) for name, time in zip("abc", times, strict=True)]))
    follows.add(listed([("x", "p", dt.date(2151, 1, 1), dt.time(23))]))
    chain = f"x{order}"
    expected = [(later, before, int(before == "x")) for before, later in itertools.pairwise(chain)]
    assert follows.frame().rows() == expected


def test_tables_of_the_examples(built: Path) -> None:
    space = Workspace.open(built)
    for name, schema in table_files().items():
        assert pq.read_schema(space.graph / name).equals(schema), name
    ids = {
        label: set(pq.read_table(space.graph / "nodes" / f"{label}.parquet")["id"].to_pylist())
        for label in ("Study", "Image", "Patient", "Observation", "Anatomy", "Concept")
    }
    for kind, start, end, file in graph.edge_files(space.graph):
        edges = pq.read_table(file)
        assert set(edges["source"].to_pylist()) <= ids[start], kind
        assert set(edges["target"].to_pylist()) <= ids[end], kind
        if kind != "mentions":
            pairs = list(zip(edges["source"].to_pylist(), edges["target"].to_pylist(), strict=True))
            assert "presence" in edges.column_names or len(pairs) == len(set(pairs)), kind
    assert pq.read_metadata(space.graph / "edges" / "follows.Study.Study.parquet").num_rows == 48 - 14


def test_building_twice_changes_no_byte(tmp_path: Path, built: Path) -> None:
    source = kgbuild.resolve("examples")
    kgbuild.build(source, tmp_path / "W", workers=2, chunk_size=512)
    first = {p.relative_to(tmp_path): p.read_bytes() for p in sorted(tmp_path.rglob("*.parquet"))}
    again = kgbuild.build(source, tmp_path / "W")
    assert [summary.done_now for summary in again] == [0, 0, 0]
    assert {p.relative_to(tmp_path): p.read_bytes() for p in sorted(tmp_path.rglob("*.parquet"))} == first
    other = {p.relative_to(built.parent): p.read_bytes() for p in sorted(built.rglob("*.parquet"))}
    assert list(other.values()) == list(first.values())


def test_two_runs_of_one_data_set_or_an_unknown_one_are_refused(built: Path) -> None:
    space = Workspace.open(built)
    ids = runs.ids(space)
    annotations = next(run for run in ids if run.startswith("rules"))
    with pytest.raises(UsageError, match="two runs of data set examples"):
        graph.choose(space, [annotations, annotations])
    with pytest.raises(UsageError, match="links run"):
        graph.choose(space, [next(run for run in ids if run.startswith("lexical"))])
    with pytest.raises(UsageError, match="no run 'rules-0'"):
        graph.choose(space, ["rules-0"])


def test_a_clash_of_ids_names_both_data_sets() -> None:
    keys = graph._Keys()
    keys.check("nodes/Study.parquet", pl.DataFrame({"id": ["a", "b"]}), "one")
    with pytest.raises(KgbuildError, match=r"id b is used twice(.|\n)*data sets one and two"):
        keys.check("nodes/Study.parquet", pl.DataFrame({"id": ["c", "b"]}), "two")
    assert keys.new_patients(pl.DataFrame({"id": ["p", "q"]}), "one").height == 2
    assert keys.new_patients(pl.DataFrame({"id": ["q", "r"]}), "one").to_dicts() == [{"id": "r"}]
    with pytest.raises(KgbuildError, match="patient r stands in two data sets"):
        keys.new_patients(pl.DataFrame({"id": ["r"]}), "two")
