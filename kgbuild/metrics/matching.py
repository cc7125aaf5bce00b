"""One study's reference beside one study's prediction: what of them is equal, as sets of plain tuples.

An entity is (start, end, label); a relation is source, target and type, so it is right only if both its ends are right
with their labels (RadGraph's rule). Relaxed: spans need only overlap, labels and types stay equal, one to one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple, TypeVar

from kgbuild.domain import Annotation, Entity
from kgbuild.labels import Label, to_v1, to_xl

Spelling = Literal["v1", "xl"]


class EntityKey(NamedTuple):
    """An entity as it is compared."""

    start: int
    end: int
    label: str


class RelationKey(NamedTuple):
    """A relation as it is compared."""

    source: EntityKey
    target: EntityKey
    type: str


_K = TypeVar("_K", EntityKey, RelationKey)


def speller(labels: Spelling) -> Callable[[Entity], str]:
    """How labels are written, and so what is compared: ``v1`` has no measurements, ``xl`` tells them apart."""
    spell = {"v1": to_v1, "xl": to_xl}[labels]
    return lambda entity: spell(Label(entity.type, entity.presence, entity.is_measurement))


def entity_keys(annotation: Annotation, spell: Callable[[Entity], str]) -> list[EntityKey]:
    """Keys of all entities, in the annotation's order, so that relations find theirs by index."""
    return [EntityKey(entity.start, entity.end, spell(entity)) for entity in annotation.entities]


def relation_keys(annotation: Annotation, keys: list[EntityKey]) -> set[RelationKey]:
    """Keys of all relations."""
    return {RelationKey(keys[link.source], keys[link.target], link.type.value) for link in annotation.relations}


def overlap(a: EntityKey, b: EntityKey) -> bool:
    """Same label, and at least one token in common."""
    return a.label == b.label and a.start < b.end and b.start < a.end


def overlap_both(a: RelationKey, b: RelationKey) -> bool:
    """Same type, and both ends overlap."""
    return a.type == b.type and overlap(a.source, b.source) and overlap(a.target, b.target)


def relaxed_matches(reference: set[_K], predicted: set[_K], same: Callable[[_K, _K], bool]) -> int:
    """How many pairs match one to one: equal ones first, then in text order each with the first that overlaps."""
    equal = reference & predicted
    left = sorted(predicted - equal)
    count = len(equal)
    for key in sorted(reference - equal):
        found = next((other for other in left if same(key, other)), None)
        if found is not None:
            left.remove(found)
            count += 1
    return count
