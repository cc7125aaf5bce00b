"""Read annotation chunks back as records."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from kgbuild.domain import Annotation, Entity, Relation, Token
from kgbuild.labels import EntityType, Presence, RelationType
from kgbuild.pipelines.runs import Run, require_annotations

_COLUMNS = [
    "study_id",
    "status",
    "split",
    "tokens",
    "token_sections",
    "token_starts",
    "token_ends",
    "entities",
    "relations",
    "output",
    "rejected",
    "notes",
]
_TYPE = {member.value: member for member in EntityType}
_PRESENCE = {member.value: member for member in Presence}
_RELATION = {member.value: member for member in RelationType}


def to_annotation(row: dict[str, Any], extractor: str = "") -> Annotation:
    """One row of a chunk → Annotation. A failed study gives an empty one."""
    places = zip(
        row["tokens"] or (),
        row["token_sections"] or (),
        row["token_starts"] or (),
        row["token_ends"] or (),
        strict=True,
    )
    tokens = tuple(
        Token(text, section or "", -1 if start is None else start, -1 if end is None else end)
        for text, section, start, end in places
    )
    entities = tuple(
        Entity(
            e["start"],
            e["end"],
            e["text"],
            _TYPE[e["type"]],
            _PRESENCE[e["presence"]],
            e["is_measurement"],
            e["rule"],
            e["score"],
        )
        for e in row["entities"] or ()
    )
    relations = tuple(
        Relation(r["source"], r["target"], _RELATION[r["type"]], r["rule"], r["score"]) for r in row["relations"] or ()
    )
    return Annotation(
        row["study_id"],
        tokens,
        entities,
        relations,
        extractor,
        tuple(row.get("notes") or ()),
        row.get("output"),
        tuple(row.get("rejected") or ()),
    )


def read(run: Run) -> Iterator[tuple[Annotation, str | None]]:
    """Every listed study of a complete annotation run in listing order, with its split. Holds one chunk at a time.

    Raises:
        UsageError: it is a link run.
        WorkspaceError: it is not complete, or a chunk is damaged.
    """
    for number, _ in require_annotations(run).chunks():
        there = set(run.names(number))  # chunks of older runs lack the last columns
        for row in run.table(number, columns=[name for name in _COLUMNS if name in there]).to_pylist():
            if row["status"] != "rejected":
                yield to_annotation(row, run.manifest.name), row["split"]
