"""RadGraph-F1 as the ``radgraph`` package (0.1.18) counts it, over two annotations, with no model.

Each report gives two sets of tuples of **words**, not places, and the report's F1 is that of the sets; the score is
the mean over reports. A report in which either set is empty scores 0, also if both are.

- simple: (words, label) of every entity;
- partial: the same, with a third member True if the entity is the source of a relation;
- complete: for each relation (words, label, relation, words of the target); for an entity that is the source of none
  (words, label). The package lower-cases the words of the relations' tuples only, and so does this.
"""

from __future__ import annotations

from collections.abc import Callable

from kgbuild.domain import Annotation, Entity

LEVELS = ("simple", "partial", "complete")
_Item = tuple[str | bool, ...]


def radgraph_f1(reference: Annotation, predicted: Annotation, spell: Callable[[Entity], str]) -> dict[str, float]:
    """One report's three rewards."""
    a, b = _sets(reference, spell), _sets(predicted, spell)
    return {level: _f1(a[level], b[level]) for level in LEVELS}


def _sets(annotation: Annotation, spell: Callable[[Entity], str]) -> dict[str, set[_Item]]:
    entities = annotation.entities
    plain: list[_Item] = [(entity.text, spell(entity)) for entity in entities]
    sources = {link.source for link in annotation.relations}
    complete = {item for index, item in enumerate(plain) if index not in sources}
    for link in annotation.relations:
        source, target = entities[link.source], entities[link.target]
        complete.add((source.text.lower(), spell(source), link.type.value, target.text.lower()))
    return {
        "simple": set(plain),
        "partial": {(*item, True) if index in sources else item for index, item in enumerate(plain)},
        "complete": complete,
    }


def _f1(reference: set[_Item], predicted: set[_Item]) -> float:
    return 2 * len(reference & predicted) / (len(reference) + len(predicted)) if reference and predicted else 0.0
