"""What a graph holds beyond single chunks: concepts, Concept → Concept edges counted over all, and follows."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import polars as pl

from kgbuild.pipelines.graph_rows import RELATIONS, Chunk, empty_frame
from kgbuild.tables import NODES

_CONCEPT = ["concept_id", "name", "kind", "source", "semantic_types"]
_EDGE_KEY = ["relation", "source", "target", "presence"]


class Totals:
    """What is summed over all chunks: concepts, and Concept → Concept edges counted by studies and patients.

    Rows are gathered and reduced when they have doubled, so the cost grows with the rows, not with rows × chunks.
    """

    def __init__(self) -> None:
        self._concepts: dict[str, dict[str, object]] = {}
        self._pairs = _Gathered(lambda rows: rows.group_by(_EDGE_KEY).agg(pl.sum("n_studies")))
        self._patients = _Gathered(lambda rows: rows.unique())

    def add(self, chunk: Chunk) -> None:
        """Take in one chunk. A study stands in one chunk only, so study counts add up; patients are kept by id."""
        for row in chunk.links.select(_CONCEPT).unique("concept_id", maintain_order=True).to_dicts():
            self._concepts.setdefault(row["concept_id"], row)
        linked = chunk.links.select("mention", "concept_id")
        pairs = chunk.relations.select("study_id", "relation", "presence", "source_id", "target_id")
        for end in ("source", "target"):
            pairs = pairs.join(linked.rename({"mention": f"{end}_id", "concept_id": end}), on=f"{end}_id", how="inner")
        pairs = pairs.filter(pl.col("source") != pl.col("target")).select("study_id", *_EDGE_KEY).unique()
        owner = chunk.studies.select(pl.col("id").alias("study_id"), "patient_id")
        people = pairs.join(owner, on="study_id").drop_nulls("patient_id").select(*_EDGE_KEY, "patient_id").unique()
        self._patients.add(people)
        self._pairs.add(pairs.group_by(_EDGE_KEY).agg(pl.len().cast(pl.Int64).alias("n_studies")))

    def tables(self) -> Iterator[tuple[str, pl.DataFrame]]:
        """(file, rows), sorted by key."""
        concepts = [
            {"id": key, **{name: row[name] for name in ("name", "kind", "source", "semantic_types")}}
            for key, row in sorted(self._concepts.items())
        ]
        empty = empty_frame(NODES["Concept"])
        yield "nodes/Concept.parquet", pl.DataFrame(concepts, schema=empty.schema) if concepts else empty
        pairs, patients = self._pairs.rows(), self._patients.rows()
        if pairs is None or patients is None:
            return
        people = patients.group_by(_EDGE_KEY).agg(pl.len().cast(pl.Int64).alias("n_patients"))
        edges = pairs.join(people, on=_EDGE_KEY, how="left").sort(_EDGE_KEY)
        for relation in RELATIONS:
            yield f"edges/concept_{relation}.Concept.Concept.parquet", edges.filter(pl.col("relation") == relation)


class _Gathered:
    """Frames that are reduced to one whenever their rows have doubled since the last time."""

    def __init__(self, reduce: Callable[[pl.DataFrame], pl.DataFrame]) -> None:
        self._reduce = reduce
        self._parts: list[pl.DataFrame] = []
        self._n_rows = 0
        self._limit = 100_000

    def add(self, part: pl.DataFrame) -> None:
        self._parts.append(part)
        self._n_rows += part.height
        if self._n_rows > self._limit:
            self._parts = [self._reduce(pl.concat(self._parts))]
            self._n_rows = self._parts[0].height
            self._limit = max(self._limit, 2 * self._n_rows)

    def rows(self) -> pl.DataFrame | None:
        return self._reduce(pl.concat(self._parts)) if self._parts else None


class Follows:
    """Study → the same patient's study before it, with the days between. Needs all of a data set's chunks."""

    def __init__(self) -> None:
        self._parts: list[pl.DataFrame] = []

    def add(self, studies: pl.DataFrame) -> None:
        """Take in one chunk's studies that have a patient and a date."""
        self._parts.append(studies.select("id", "patient_id", "date", "time").drop_nulls("date"))

    def frame(self) -> pl.DataFrame:
        """Edges in order of patient, date and time; where a day's times are not known or equal, by id."""
        dated = pl.concat(self._parts).drop_nulls("patient_id")
        timed = pl.col("time").is_not_null().all().over("patient_id", "date")  # some times alone order nothing
        dated = dated.with_columns(pl.when(timed).then("time")).sort("patient_id", "date", "time", "id")
        before = dated.with_columns(
            pl.col("id").shift(1).over("patient_id").alias("target"),
            pl.col("date").shift(1).over("patient_id").alias("then"),
        ).drop_nulls("target")
        days = (pl.col("date") - pl.col("then")).dt.total_days().cast(pl.Int64).alias("days")
        return before.select(pl.col("id").alias("source"), "target", days)
