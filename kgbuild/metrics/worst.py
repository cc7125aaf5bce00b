"""The studies a prediction gets most wrong, with what is missed and what is spurious: ids and token offsets.

Words are given only when asked for, since reports are under data use agreements and listings travel.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Any

from kgbuild.domain import Annotation
from kgbuild.metrics.matching import EntityKey, RelationKey, Spelling, entity_keys, relation_keys, speller


def worst(
    reference: Mapping[str, Annotation],
    predicted: Mapping[str, Annotation],
    *,
    limit: int = 10,
    labels: Spelling = "v1",
    show_text: bool = False,
) -> list[dict[str, Any]]:
    """Studies with the most errors (entities and relations missed or spurious) first, then by id; none without one.

    Each is ``study_id``, ``errors``, ``entity_f1``, ``relation_f1`` (null: 0/0), ``missed_entities``,
    ``spurious_entities`` (``start``, ``end`` half-open, ``label``), ``missed_relations``, ``spurious_relations``
    (``source``, ``target`` as [start, end], ``type``). Spans are token offsets into that side's own text.
    """
    spell = speller(labels)
    found = []
    for study_id in sorted(reference):
        sides = (reference[study_id], predicted.get(study_id) or Annotation(study_id, ()))
        keys = [entity_keys(side, spell) for side in sides]
        gold, guess = set(keys[0]), set(keys[1])
        links, said = (relation_keys(side, own) for side, own in zip(sides, keys, strict=True))
        errors = len(gold ^ guess) + len(links ^ said)
        if errors:
            found.append((-errors, study_id, sides, (gold, guess), (links, said)))
    found.sort(key=lambda one: one[:2])
    return [
        {
            "study_id": study_id,
            "errors": -errors,
            "entity_f1": _f1(gold, guess),
            "relation_f1": _f1(links, said),
            "missed_entities": [_entity(key, show_text, sides[0]) for key in sorted(gold - guess)],
            "spurious_entities": [_entity(key, show_text, sides[1]) for key in sorted(guess - gold)],
            "missed_relations": [_relation(key, show_text, sides[0]) for key in sorted(links - said)],
            "spurious_relations": [_relation(key, show_text, sides[1]) for key in sorted(said - links)],
        }
        for errors, study_id, sides, (gold, guess), (links, said) in found[:limit]
    ]


def _f1(gold: Set[object], guess: Set[object]) -> float | None:
    return 2 * len(gold & guess) / (len(gold) + len(guess)) if gold or guess else None


def _words(key: EntityKey, side: Annotation) -> str:
    return " ".join(token.text for token in side.tokens[key.start : key.end])


def _entity(key: EntityKey, show_text: bool, side: Annotation) -> dict[str, Any]:
    return key._asdict() | ({"text": _words(key, side)} if show_text else {})


def _relation(key: RelationKey, show_text: bool, side: Annotation) -> dict[str, Any]:
    spans = {"source": list(key.source[:2]), "type": key.type, "target": list(key.target[:2])}
    texts = {"source_text": _words(key.source, side), "target_text": _words(key.target, side)} if show_text else {}
    return spans | texts
