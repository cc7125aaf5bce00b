"""Entities and relations made quickly.

A frozen dataclass sets its fields through ``object.__setattr__``, one look-up each: two thirds of what a remembered
sentence costs. The makers here fill the slots directly; what they make is an ordinary ``Entity`` or ``Relation``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from kgbuild.domain import Entity, Relation
from kgbuild.labels import EntityType, Presence, RelationType

# (start, end, text, number of its label, rule) and (source, target, number of its type, rule), within the sentence:
# numbers and strings only, so that the garbage collector does not walk through the memo
Row = tuple[int, int, str, int, str]
Link = tuple[int, int, int, str]
Reading = tuple[tuple[Row, ...], tuple[Link, ...]]

LABELS = [(kind, presence, measured) for kind in EntityType for presence in Presence for measured in (False, True)]
TYPES = sorted(RelationType, key=lambda kind: kind.value)
_new = object.__new__


def _setters(cls: type, *names: str) -> Iterator[Callable[[Any, Any], None]]:
    return (cls.__dict__[name].__set__ for name in names)


_start, _end, _text, _type, _presence, _measured, _rule, _score = _setters(
    Entity, "start", "end", "text", "type", "presence", "is_measurement", "rule", "score"
)
_source, _target, _kind, _why, _sure = _setters(Relation, "source", "target", "type", "rule", "score")


def add(reading: Reading, start: int, entities: list[Entity], relations: list[Relation]) -> None:
    """Append a sentence's entities and relations; ``start``: the number of its first token."""
    rows, links = reading
    base = len(entities)
    for first, last, text, label, rule in rows:
        entity = _new(Entity)
        _start(entity, start + first)
        _end(entity, start + last)
        _text(entity, text)
        kind, presence, measured = LABELS[label]
        _type(entity, kind)
        _presence(entity, presence)
        _measured(entity, measured)
        _rule(entity, rule)
        _score(entity, None)
        entities.append(entity)
    for source, target, type_, rule in links:
        relation = _new(Relation)
        _source(relation, base + source)
        _target(relation, base + target)
        _kind(relation, TYPES[type_])
        _why(relation, rule)
        _sure(relation, None)
        relations.append(relation)
