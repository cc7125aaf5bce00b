"""One chunk's annotations and links as rows of the graph's tables, in columns (Polars).

Certainty: a relation carries the weaker presence of its two ends; a study's concepts are split into has_present,
has_uncertain and has_absent by what the mention itself says, and the aggregated concept edges keep presence apart.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import polars as pl
import pyarrow as pa

from kgbuild.tables import EDGES

_PRESENCES = ("present", "uncertain", "absent")
RELATIONS = ("located_at", "modify", "suggestive_of")
_COUNTED_KINDS = ("observation", "device")

# These narrow nothing: "no definite effusion" denies every effusion that could be seen.
EVIDENTIAL = (
    "definite",
    "definitive",
    "convincing",
    "obvious",
    "evident",
    "visible",
    "apparent",
    "gross",
    "frank",
    "discrete",
)
# Sides and levels: "no right effusion" says nothing of the left.
PLACES = (
    "left",
    "right",
    "upper",
    "lower",
    "middle",
    "mid",
    "anterior",
    "posterior",
    "lateral",
    "medial",
    "apical",
    "basal",
    "basilar",
    "inferior",
    "superior",
)


def empty_frame(schema: pa.Schema) -> pl.DataFrame:
    """No rows of a schema."""
    frame = pl.from_arrow(schema.empty_table())
    assert isinstance(frame, pl.DataFrame)  # noqa: S101  from_arrow gives a Series only for an array
    return frame


def _mention_id(study: str, start: str, end: str) -> pl.Expr:
    return pl.format("{}:{}-{}", pl.col(study), pl.col(start), pl.col(end))


def _weaker() -> pl.Expr:
    """The weaker presence of a relation's two ends, as ``labels.Presence.weaker``."""

    def either(presence: str) -> pl.Expr:
        return (pl.col("source_presence") == presence) | (pl.col("target_presence") == presence)

    absent, uncertain, present = (pl.lit(value) for value in ("absent", "uncertain", "present"))
    return pl.when(either("absent")).then(absent).when(either("uncertain")).then(uncertain).otherwise(present)


class Chunk:
    """Rows of one chunk, each table made when it is asked for."""

    def __init__(self, annotations: pl.DataFrame, links: pl.DataFrame, run: str) -> None:
        self._rows = annotations.filter(pl.col("status") != "rejected")
        self._links = links
        self._run = run

    @cached_property
    def studies(self) -> pl.DataFrame:
        """Study nodes, with ``patient_id`` and ``time`` beside them."""
        n_tokens = pl.col("tokens").list.len().cast(pl.Int64).fill_null(0).alias("n_tokens")
        kept = ("dataset", "split", "date", "sections", "path", "patient_id")
        time = pl.col("time") if "time" in self._rows.columns else pl.lit(None, pl.Time).alias("time")
        return self._rows.select(pl.col("study_id").alias("id"), *kept, time, n_tokens)

    @cached_property
    def images(self) -> pl.DataFrame:
        """Image nodes, also of files that are absent."""
        return self._rows.select("study_id", "images").explode("images").drop_nulls("images").unnest("images")

    @cached_property
    def mentions(self) -> pl.DataFrame:
        """Every entity with its position ``ix`` in the study and its node id."""
        return (
            self._rows.select("study_id", "entities")
            .explode("entities")
            .drop_nulls("entities")
            .unnest("entities")
            .with_columns(
                _mention_id("study_id", "start", "end").alias("id"),
                (pl.col("study_id").cum_count().over("study_id") - 1).cast(pl.Int32).alias("ix"),
                pl.lit(self._run).alias("run"),
                pl.col("start").cast(pl.Int64).alias("token_start"),
                pl.col("end").cast(pl.Int64).alias("token_end"),
            )
        )

    @cached_property
    def relations(self) -> pl.DataFrame:
        """Every relation with both ends' id, type, presence and text, and the weaker presence."""
        ends = self.mentions.select("study_id", "ix", "id", "type", "presence", "text")
        related = (
            self._rows.select("study_id", "relations")
            .explode("relations")
            .drop_nulls("relations")
            .unnest("relations")
            .rename({"source": "source_ix", "target": "target_ix", "type": "relation"})
        )
        for end in ("source", "target"):
            side = ends.rename({name: f"{end}_{name}" for name in ("ix", "id", "type", "presence", "text")})
            related = related.join(side, on=["study_id", f"{end}_ix"], how="inner", maintain_order="left")
        return related.with_columns(_weaker().alias("presence"), pl.lit(self._run).alias("run"))

    @cached_property
    def links(self) -> pl.DataFrame:
        """Links with the mention's id and presence."""
        linked = self._links.with_columns(_mention_id("study_id", "start", "end").alias("mention"))
        said = self.mentions.select(pl.col("id").alias("mention"), "presence")
        return linked.join(said, on="mention", how="inner", maintain_order="left")

    @cached_property
    def findings(self) -> pl.DataFrame:
        """Study → concept rows with presence, n_mentions, sites and qualified.

        Counted are linked Observations whose concept is an observation or a device. A mention that a phrase's link
        covers is part of that phrase and not counted again.
        """
        covered = self.links.select(pl.col("covers").alias("mention")).explode("mention").drop_nulls()
        counted = self.links.filter((pl.col("type") == "Observation") & pl.col("kind").is_in(_COUNTED_KINDS)).join(
            covered, on="mention", how="anti", maintain_order="left"
        )
        counted = counted.select("study_id", "mention", "concept_id", "presence", "covers", "method")
        sites = self._sites(counted)
        narrowed = self._narrowed(counted)
        return (
            counted.join(sites, on="mention", how="left", maintain_order="left")
            .with_columns(pl.col("mention").is_in(narrowed.implode()).alias("narrowed"))
            .group_by("study_id", "concept_id", "presence", maintain_order=True)
            .agg(
                pl.len().cast(pl.Int64).alias("n_mentions"),
                pl.col("sites").explode().drop_nulls().unique().sort().alias("sites"),
                pl.col("narrowed").all().alias("qualified"),
            )
        )

    def _sites(self, counted: pl.DataFrame) -> pl.DataFrame:
        """Concept ids of the anatomy that each counted mention is located at."""
        at = self.relations.filter((pl.col("relation") == "located_at") & (pl.col("target_type") == "Anatomy"))
        places = self.links.filter(pl.col("kind") == "anatomy").select(
            pl.col("mention").alias("target_id"), pl.col("concept_id").alias("site")
        )
        found = at.select(pl.col("source_id").alias("mention"), "target_id").join(
            counted.select("mention"), on="mention", how="semi"
        )
        return found.join(places, on="target_id", how="inner").group_by("mention").agg(pl.col("site").alias("sites"))

    def _narrowed(self, counted: pl.DataFrame) -> pl.Series:
        """Mentions that say less than their concept: narrowed by a modifier, or by the side or level of their site.

        A covered finding ("calcified granuloma") is part of the concept; a covered size, degree or age ("acute
        pneumonia", a synonym of pneumonia) still narrows what is denied; an evidential word ("definite") never does.
        A link found by leaving words of the mention out (``stripped``) is to something wider.
        """
        modify = self.relations.filter(pl.col("relation") == "modify").select(
            pl.col("source_id").alias("by"),
            pl.col("target_id").alias("target"),
            pl.col("source_text").str.to_lowercase().alias("word"),
            pl.col("source_type").alias("by_type"),
        )
        at = self.relations.filter((pl.col("relation") == "located_at") & (pl.col("target_type") == "Anatomy"))
        at = at.select(
            pl.col("source_id").alias("mention"),
            pl.col("target_id").alias("target"),
            pl.col("target_text").str.to_lowercase().alias("word"),
        )
        direct = modify.filter((pl.col("by_type") == "Observation") & ~pl.col("word").is_in(EVIDENTIAL))
        direct = direct.rename({"target": "mention"}).select("mention", "by")
        sided = at.join(modify.filter(pl.col("word").is_in(PLACES)).select("by", "target"), on="target", how="inner")
        placed = at.filter(pl.col("word").is_in(PLACES)).select("mention", pl.col("target").alias("by"))
        narrowing = pl.concat([direct, sided.select("mention", "by"), placed])
        findings = self.links.filter(pl.col("kind").is_in(_COUNTED_KINDS)).select(pl.col("mention").alias("by"))
        covers = counted.select("mention", pl.col("covers").alias("by")).explode("by").drop_nulls()
        within = covers.join(findings, on="by", how="semi")
        stripped = counted.filter(pl.col("method") == "stripped").select("mention")
        narrowed = narrowing.join(within, on=["mention", "by"], how="anti").select("mention")
        return pl.concat([narrowed, stripped]).get_column("mention").unique()

    def tables(self) -> Iterator[tuple[str, pl.DataFrame]]:
        """(file, rows) of every table that this chunk adds to; concepts and aggregated edges come from ``Totals``."""
        studies = self.studies
        yield "nodes/Study.parquet", studies
        patients = studies.select("patient_id").drop_nulls().unique(maintain_order=True)
        yield "nodes/Patient.parquet", patients.rename({"patient_id": "id"})
        yield "nodes/Image.parquet", self.images
        owned = studies.drop_nulls("patient_id")
        yield "edges/has_study.Patient.Study.parquet", owned.select(source="patient_id", target="id")
        yield "edges/has_image.Study.Image.parquet", self.images.select(source="study_id", target="id")
        for label in ("Observation", "Anatomy"):
            own = self.mentions.filter(pl.col("type") == label)
            yield f"nodes/{label}.parquet", own
            yield f"edges/mentions.Study.{label}.parquet", own.select(source="study_id", target="id")
            linked = self.links.filter(pl.col("type") == label)
            linked = linked.select(
                pl.col("mention").alias("source"), pl.col("concept_id").alias("target"), "score", "method", "covers"
            )
            yield f"edges/linked_to.{label}.Concept.parquet", linked
        for relation in RELATIONS:
            rows = self.relations.filter(pl.col("relation") == relation)
            for start, end in EDGES[relation].pairs:
                pair = rows.filter((pl.col("source_type") == start) & (pl.col("target_type") == end))
                yield (
                    f"edges/{relation}.{start}.{end}.parquet",
                    pair.select(
                        pl.col("source_id").alias("source"),
                        pl.col("target_id").alias("target"),
                        "presence",
                        "score",
                        "run",
                    ),
                )
        for presence in _PRESENCES:
            rows = self.findings.filter(pl.col("presence") == presence)
            yield (
                f"edges/has_{presence}.Study.Concept.parquet",
                rows.rename({"study_id": "source", "concept_id": "target"}),
            )
