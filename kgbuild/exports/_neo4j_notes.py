"""The ``Kgbuild`` nodes of a bulk import: the same notes that ``load --store neo4j`` leaves in a database.

With them a database filled by neo4j-admin is known as kgbuild's own: ``load`` finds that all is there, ``--replace``
swaps a data set in it, ``doctor`` says what it holds. The properties are those of ``kgbuild.stores._neo4j_meta``, which
a module on this floor may not import; an integration test loads through the driver after a bulk import.
"""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from kgbuild import __version__
from kgbuild.tables import table_files

SCHEMA = 1
LABEL = "Kgbuild"
NOTES = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        ("schema", pa.int64()),
        ("kgbuild", pa.string()),
        ("concept_edges", pa.int64()),
        ("dataset", pa.string()),
        ("annotations", pa.string()),
        ("links", pa.string()),
        ("complete", pa.bool_()),
        ("rows", pa.string()),
        ("concepts", pa.list_(pa.string())),
    ]
)


def write(tables: Path, file: Path) -> None:
    """Write the notes on the graph in ``tables`` as a table file of nodes."""
    runs: dict[str, dict[str, str]] = json.loads((tables / "graph.json").read_text(encoding="utf-8"))["runs"]
    between = sum(pq.read_metadata(tables / name).num_rows for name in table_files() if "/concept_" in name)
    nodes: list[dict[str, object]] = [
        {"id": "graph", "schema": SCHEMA, "kgbuild": __version__, "concept_edges": between}
    ]
    every = set(pl.read_parquet(tables / "nodes/Concept.parquet", columns=["id"])["id"])
    owners = _Owners(tables, list(runs))
    rows: dict[str, dict[str, int]] = {dataset: {} for dataset in runs}
    concepts: dict[str, set[str]] = {dataset: set() for dataset in runs}
    for name in table_files():
        if name == "nodes/Concept.parquet" or "/concept_" in name:
            continue
        for dataset, n in owners.count(name).items():
            rows[dataset][name] = n
        if name.endswith(".Concept.parquet") and len(runs) > 1:
            for dataset, found in owners.targets(name).items():
                concepts[dataset] |= found
    unlinked = every.difference(*concepts.values())
    for dataset, run in runs.items():
        mine = every if len(runs) == 1 else concepts[dataset] | unlinked
        counts = json.dumps({name: rows[dataset].get(name, 0) for name in sorted(rows[dataset])}, sort_keys=True)
        note = {"id": f"dataset:{dataset}", "dataset": dataset, **run, "complete": True, "rows": counts}
        nodes.append({**note, "concepts": sorted(mine)})
    pq.write_table(pa.Table.from_pylist(nodes, schema=NOTES), file)


class _Owners:
    """Which data set a row is of: that of its study, or of its image's study."""

    def __init__(self, tables: Path, datasets: list[str]) -> None:
        self._tables = tables
        self._datasets = datasets
        self._studies = pl.scan_parquet(tables / "nodes/Study.parquet").select("id", "dataset")

    def count(self, name: str) -> dict[str, int]:
        """Rows of a file by data set."""
        if len(self._datasets) == 1:
            return {self._datasets[0]: pq.read_metadata(self._tables / name).num_rows}
        found = self._rows(name).group_by("dataset").len().collect()
        return dict.fromkeys(self._datasets, 0) | dict(found.rows())

    def targets(self, name: str) -> dict[str, set[str]]:
        """Concepts that a file's edges lead to, by data set."""
        found = self._rows(name).group_by("dataset").agg(pl.col("target").unique()).collect()
        return {dataset: set(keys) for dataset, keys in found.rows()}

    def _rows(self, name: str) -> pl.LazyFrame:
        rows = pl.scan_parquet(self._tables / name)
        kind, _, rest = name.removesuffix(".parquet").partition("/")
        start = rest.split(".")[1] if kind == "edges" else rest
        if name == "nodes/Study.parquet":
            return rows
        if name == "nodes/Patient.parquet":
            owned = pl.scan_parquet(self._tables / "edges/has_study.Patient.Study.parquet")
            owned = owned.join(self._studies, left_on="target", right_on="id").select("source", "dataset").unique()
            return rows.join(owned, left_on="id", right_on="source")
        if start == "Image" and kind == "edges":
            images = pl.scan_parquet(self._tables / "nodes/Image.parquet").select(pl.col("id").alias("key"), "study_id")
            rows = rows.join(images, left_on="source", right_on="key").rename({"study_id": "study"})
        elif kind == "nodes":
            rows = rows.with_columns(pl.col("study_id").alias("study"))
        elif start == "Patient":
            rows = rows.with_columns(pl.col("target").alias("study"))
        elif start == "Study":
            rows = rows.with_columns(pl.col("source").alias("study"))
        else:
            rows = rows.with_columns(pl.col("source").str.replace(r":\d+-\d+$", "").alias("study"))
        return rows.join(self._studies, left_on="study", right_on="id")
