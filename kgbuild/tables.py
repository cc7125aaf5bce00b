"""Every Arrow schema, defined once: run chunks, and the node and edge tables of the graph (DESIGN §5).

Names, types and nullability here are the contract that Cypher, RDF, CSV and Python share. Edge tables begin with
``source`` and ``target`` (node keys). A relationship that joins several pairs of labels has one table a pair.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa

_string = pa.string()
_strings = pa.list_(pa.string())
_key = pa.field("id", _string, nullable=False)

IMAGE = pa.struct(
    [("id", _string), ("view", _string), ("path", _string), ("rows", pa.int64()), ("columns", pa.int64())]
)
ENTITY = pa.struct(
    [
        ("start", pa.int32()),
        ("end", pa.int32()),
        ("text", _string),
        ("type", _string),
        ("presence", _string),
        ("is_measurement", pa.bool_()),
        ("section", _string),
        ("char_start", pa.int32()),
        ("char_end", pa.int32()),
        ("rule", _string),
        ("score", pa.float64()),
    ]
)
RELATION = pa.struct(
    [("source", pa.int32()), ("target", pa.int32()), ("type", _string), ("rule", _string), ("score", pa.float64())]
)

ANNOTATIONS = pa.schema(
    [
        ("study_id", _string),
        ("status", _string),  # annotated, empty, skipped, failed; rejected = a row or file that gives no study
        ("stage", _string),
        ("reason", _string),
        ("where", _string),
        ("dataset", _string),
        ("patient_id", _string),
        ("split", _string),
        ("date", pa.date32()),
        ("path", _string),
        ("sections", _strings),
        ("images", pa.list_(IMAGE)),
        ("tokens", _strings),
        ("token_sections", _strings),
        ("token_starts", pa.list_(pa.int32())),
        ("token_ends", pa.list_(pa.int32())),
        ("entities", pa.list_(ENTITY)),
        ("relations", pa.list_(RELATION)),
        ("output", _string),
        ("rejected", _strings),
        ("notes", _strings),
        ("time", pa.time64("us")),
    ]
)
"""One row a study of an annotation chunk; the study's listing stands beside its annotation, so a run needs no root.

``output`` is what a language model wrote, all of it; ``rejected`` the pieces of it that are no triplet or hold words
that the report does not; ``notes`` what else must be known of a study, in fixed words; ``time`` orders the studies of
one day. Chunks written before these columns existed lack them."""

LINKS = pa.schema(
    [
        ("study_id", _string),
        ("start", pa.int32()),
        ("end", pa.int32()),
        ("type", _string),
        ("concept_id", _string),
        ("score", pa.float64()),
        ("method", _string),
        ("covers", _strings),
        ("name", _string),
        ("kind", _string),
        ("source", _string),
        ("semantic_types", _strings),
    ]
)
"""One row a link of a link chunk; the concept stands beside it, so a run needs no concept base."""

FINDING_LABELS = pa.schema(
    [
        pa.field("study_id", _string, nullable=False),
        pa.field("image_id", _string),
        pa.field("finding", _string, nullable=False),
        ("value", pa.float64()),
        ("box_x", pa.float64()),
        ("box_y", pa.float64()),
        ("box_w", pa.float64()),
        ("box_h", pa.float64()),
        ("source", _string),
    ]
)
"""One row a label that a data set publishes: 1.0 present, 0.0 absent, -1.0 uncertain; not mentioned has no row. A box
is in pixels of the published image, from its upper left corner. ``source`` says who or what labelled."""

TRAINING_PAIRS = pa.schema(
    [
        pa.field("study_id", _string, nullable=False),
        ("split", _string),
        pa.field("prompt", _string, nullable=False),
        pa.field("completion", _string, nullable=False),
        ("image_id", _string),
        ("image_path", _string),
    ]
)
"""One row a training example, by study id; ``image_path`` is where the chosen image lies on this machine, or null."""

IMAGE_SENTENCES = pa.schema(
    [
        pa.field("study_id", _string, nullable=False),
        ("split", _string),
        ("image_id", _string),
        ("image_path", _string),
        ("sentences", _strings),
        ("labels", pa.list_(_strings)),
        ("signs", pa.list_(pa.list_(pa.int8()))),
    ]
)
"""One row an image and its report's sentences; of each sentence the labels (``effusion|right``) and their signs."""

_MENTION = [
    ("study_id", _string),
    ("text", _string),
    ("presence", _string),
    ("section", _string),
    ("token_start", pa.int64()),
    ("token_end", pa.int64()),
    ("char_start", pa.int64()),
    ("char_end", pa.int64()),
    ("is_measurement", pa.bool_()),
    ("rule", _string),
    ("run", _string),
]

NODES: Mapping[str, pa.Schema] = {
    "Patient": pa.schema([_key]),
    "Study": pa.schema(
        [
            _key,
            ("dataset", _string),
            ("split", _string),
            ("date", pa.date32()),
            ("sections", _strings),
            ("path", _string),
            ("n_tokens", pa.int64()),
        ]
    ),
    "Image": pa.schema(
        [
            _key,
            ("study_id", _string),
            ("view", _string),
            ("path", _string),
            ("rows", pa.int64()),
            ("columns", pa.int64()),
        ]
    ),
    "Observation": pa.schema([_key, *_MENTION]),
    "Anatomy": pa.schema([_key, *_MENTION]),
    "Concept": pa.schema(
        [_key, ("name", _string), ("kind", _string), ("source", _string), ("semantic_types", _strings)]
    ),
}
"""Node label → schema. ``id`` is the key; every other property may be null."""


@dataclass(frozen=True, slots=True)
class Edge:
    """A relationship type: the pairs of labels it joins and its properties."""

    type: str
    pairs: tuple[tuple[str, str], ...]
    properties: tuple[tuple[str, pa.DataType], ...] = ()

    @property
    def schema(self) -> pa.Schema:
        """Columns of its tables: the two keys, then the properties."""
        ends = [pa.field("source", _string, nullable=False), pa.field("target", _string, nullable=False)]
        return pa.schema([*ends, *self.properties])


_MENTION_PAIRS = tuple((a, b) for a in ("Observation", "Anatomy") for b in ("Observation", "Anatomy"))
_RELATION = (("presence", _string), ("score", pa.float64()), ("run", _string))
_HAS = (("n_mentions", pa.int64()), ("sites", _strings), ("qualified", pa.bool_()))
_CONCEPTS = (("presence", _string), ("n_studies", pa.int64()), ("n_patients", pa.int64()))
_BOX = tuple((f"box_{side}", pa.int64()) for side in ("x", "y", "w", "h"))

EDGES: Mapping[str, Edge] = {
    edge.type: edge
    for edge in (
        Edge("has_study", (("Patient", "Study"),)),
        Edge("has_image", (("Study", "Image"),)),
        Edge("follows", (("Study", "Study"),), (("days", pa.int64()),)),
        Edge("mentions", (("Study", "Observation"), ("Study", "Anatomy"))),
        Edge("located_at", _MENTION_PAIRS, _RELATION),
        Edge("modify", _MENTION_PAIRS, _RELATION),
        Edge("suggestive_of", _MENTION_PAIRS, _RELATION),
        Edge(
            "linked_to",
            (("Observation", "Concept"), ("Anatomy", "Concept")),
            (("score", pa.float64()), ("method", _string), ("covers", _strings)),
        ),
        Edge("has_present", (("Study", "Concept"),), _HAS),
        Edge("has_uncertain", (("Study", "Concept"),), _HAS),
        Edge("has_absent", (("Study", "Concept"),), _HAS),
        Edge("concept_located_at", (("Concept", "Concept"),), _CONCEPTS),
        Edge("concept_modify", (("Concept", "Concept"),), _CONCEPTS),
        Edge("concept_suggestive_of", (("Concept", "Concept"),), _CONCEPTS),
        Edge(
            "shows",
            (("Image", "Concept"),),
            (("probability", pa.float64()), ("threshold", pa.float64()), ("model", _string), *_BOX),
        ),
    )
}
"""Relationship type → its pairs and properties."""


def table_files() -> dict[str, pa.Schema]:
    """Every file of a graph folder with its schema: ``nodes/Study.parquet``, ``edges/follows.Study.Study.parquet``."""
    nodes = {f"nodes/{label}.parquet": schema for label, schema in NODES.items()}
    edges = {
        f"edges/{edge.type}.{start}.{end}.parquet": edge.schema for edge in EDGES.values() for start, end in edge.pairs
    }
    return {**nodes, **edges}
