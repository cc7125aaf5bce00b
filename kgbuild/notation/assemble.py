"""From loose spans and relations, as files hold them, to a checked and sorted Annotation.

Both RadGraph JSON and DyGIE++ lines come through here, so both are held to the same rules: a span lies inside the
text, its words are the tokens of the span, its label is known, no two entities share a span (a span is a mention's
key in the graph), a relation's type is known and its ends are two entities that were kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

from kgbuild.domain import Annotation, Entity, Relation, Token
from kgbuild.labels import RelationType, parse_label

_RELATIONS = {kind.value: kind for kind in RelationType}
_SHOWN = 60


class RawEntity(NamedTuple):
    """An entity as a file gives it: nothing checked yet. ``start`` and ``end`` are inclusive, as in both formats."""

    id: str
    start: object
    end: object
    label: object
    words: object = None
    score: float | None = None


class RawRelation(NamedTuple):
    """A relation as a file gives it, between the ids of two raw entities."""

    source: str
    target: str
    type: object
    score: float | None = None


def shown(value: object) -> str:
    """A value from a file for a message: quoted, and cut so that a misplaced report never reaches a log."""
    return repr(value) if len(repr(value)) <= _SHOWN else f"a {type(value).__name__} of length {len(str(value))}"


@lru_cache(maxsize=65536)
def bare_token(text: str) -> Token:
    """A token of an imported text, which has no section and no place in a file. Shared: tokens are immutable."""
    return Token(text, "", -1, -1)


def bare_tokens(words: Iterable[str]) -> tuple[Token, ...]:
    """Tokens of an imported text."""
    return tuple(map(bare_token, words))


def sorted_annotation(annotation: Annotation) -> Annotation:
    """Entities by (start, end), relations by (source, target, type) without repeats; indexes follow their entities."""
    entities = annotation.entities
    order = sorted(range(len(entities)), key=lambda i: (entities[i].start, entities[i].end))
    place = {old: new for new, old in enumerate(order)}
    unique: dict[tuple[int, int, str], Relation] = {}
    for link in annotation.relations:
        source, target = place[link.source], place[link.target]
        if (source, target) != (link.source, link.target):
            link = Relation(source, target, link.type, link.rule, link.score)
        unique.setdefault((source, target, link.type.value), link)
    return replace(
        annotation,
        entities=tuple(entities[i] for i in order),
        relations=tuple(unique[key] for key in sorted(unique)),
    )


def assemble(
    study_id: str,
    words: Sequence[str],
    raw_entities: Iterable[RawEntity],
    raw_relations: Iterable[RawRelation],
    extractor: str,
) -> tuple[Annotation, list[str]]:
    """Keep what holds, list what does not (ids and offsets only)."""
    problems: list[str] = []
    entities: list[Entity] = []
    index: dict[str, int] = {}
    spans: dict[tuple[int, int], str] = {}
    for raw in raw_entities:
        found = _entity(raw, words)
        if isinstance(found, str):
            problems.append(f"entity {raw.id}: {found}")
        elif (found.start, found.end) in spans:
            other = spans[found.start, found.end]
            problems.append(f"entity {raw.id}: has the span {raw.start}-{raw.end} of entity {other}")
        else:
            spans[found.start, found.end] = raw.id
            index[raw.id] = len(entities)
            entities.append(found)
    relations: list[Relation] = []
    for link in raw_relations:
        kind = _RELATIONS.get(link.type) if isinstance(link.type, str) else None
        lost = next((end for end in (link.source, link.target) if end not in index), None)
        if kind is None:
            problems.append(f"entity {link.source}: unknown relation {shown(link.type)}")
        elif lost is not None:
            problems.append(f"entity {link.source}: relation to {link.target}, but there is no entity {lost}")
        elif link.source == link.target:
            problems.append(f"entity {link.source}: relation to itself")
        else:
            relations.append(Relation(index[link.source], index[link.target], kind, score=link.score))
    loose = Annotation(study_id, bare_tokens(words), tuple(entities), tuple(relations), extractor)
    return sorted_annotation(loose), problems


def _entity(raw: RawEntity, words: Sequence[str]) -> Entity | str:
    """The entity, or what is wrong with it."""
    start, end = raw.start, raw.end
    if type(start) is not int or type(end) is not int:  # bool is an int too
        return "start and end are not two whole numbers"
    if not 0 <= start <= end < len(words):
        return f"span {start}-{end} lies outside the text of {len(words)} tokens"
    if not isinstance(raw.label, str):
        return "the label is not a string"
    try:
        label = parse_label(raw.label)
    except ValueError:
        return f"unknown label {shown(raw.label)}"
    text = " ".join(words[start : end + 1])
    if raw.words is not None and raw.words != text:
        return f"its words are not the tokens {start}-{end}"
    return Entity(start, end + 1, text, label.type, label.presence, label.is_measurement, score=raw.score)
