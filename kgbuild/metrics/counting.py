"""Everything that is counted of one study: reference beside prediction, into named columns of a Tally."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Set

from kgbuild.domain import Annotation, Entity
from kgbuild.labels import EntityType, Presence
from kgbuild.metrics.matching import (
    EntityKey,
    RelationKey,
    entity_keys,
    overlap,
    overlap_both,
    relation_keys,
    relaxed_matches,
)
from kgbuild.metrics.radgraph_f1 import radgraph_f1
from kgbuild.metrics.tally import Tally
from kgbuild.notation.triplets import Certainty, to_triplets

Entities = tuple[set[EntityKey], set[EntityKey]]
Relations = tuple[set[RelationKey], set[RelationKey]]
_FORMS: tuple[tuple[str, Certainty], ...] = (("triplet", "full"), ("triplet.plain", "none"))


def count_study(
    tally: Tally, number: int, gold: Annotation, said: Annotation | None, spell: Callable[[Entity], str]
) -> None:
    """Count one study; a missing prediction is an empty one."""
    guess = said or Annotation(gold.study_id, gold.tokens)
    keys = entity_keys(gold, spell), entity_keys(guess, spell)
    entities = set(keys[0]), set(keys[1])
    relations = relation_keys(gold, keys[0]), relation_keys(guess, keys[1])
    _exact(tally, number, entities, relations)
    if gold.text == guess.text:
        _sections(tally, number, gold, guess, entities, relations)
    for level, value in radgraph_f1(gold, guess, spell).items():
        tally.add(f"radgraph/{level}", number, value)
    _texts(tally, number, gold, guess)
    count_polarity(tally, number, gold, guess)


def _exact(
    tally: Tally,
    number: int,
    entities: Entities,
    relations: Relations,
) -> None:
    _count(tally, "entity", number, *entities)
    _count(tally, "relation", number, *relations)
    for label in {key.label for keys in entities for key in keys}:
        _count(tally, f"entity.by_label.{label}", number, *({k for k in keys if k.label == label} for keys in entities))
    for kind in {key.type for keys in relations for key in keys}:
        _count(tally, f"relation.by_type.{kind}", number, *({k for k in keys if k.type == kind} for keys in relations))
    loose = relaxed_matches(*entities, overlap)
    tally.match("entity.relaxed", number, loose, *map(len, entities))
    loose = relaxed_matches(*relations, overlap_both)
    tally.match("relation.relaxed", number, loose, *map(len, relations))


def _count(tally: Tally, name: str, number: int, gold: Set[object], guess: Set[object]) -> None:
    tally.match(name, number, len(gold & guess), len(gold), len(guess))


def _sections(
    tally: Tally,
    number: int,
    gold: Annotation,
    guess: Annotation,
    entities: Entities,
    relations: Relations,
) -> None:
    known = next((side.tokens for side in (gold, guess) if any(token.section for token in side.tokens)), ())
    for name in {token.section for token in known if token.section}:
        inside = {place for place, token in enumerate(known) if token.section == name}
        some = tuple({key for key in keys if key.start in inside} for keys in entities)
        links = tuple({key for key in keys if key.source.start in inside} for keys in relations)
        _count(tally, f"entity.by_section.{name}", number, *some)
        _count(tally, f"relation.by_section.{name}", number, *links)


def _texts(tally: Tally, number: int, gold: Annotation, guess: Annotation) -> None:
    triplets = to_triplets(gold), to_triplets(guess)
    for name, form in _FORMS:
        a, b = (Counter(one.text(form) for one in side if form == "full" or one.relation) for side in triplets)
        tally.match(name, number, (a & b).total(), a.total(), b.total())
    text = f" {gold.text} ".casefold()
    tally.add("entities", number, len(guess.entities))
    tally.add("invented", number, sum(f" {entity.text} ".casefold() not in text for entity in guess.entities))


def count_polarity(tally: Tally, number: int, gold: Annotation, guess: Annotation) -> None:
    """Presence of the observations that both sides have with the same span."""
    said = {(one.start, one.end): one for one in guess.entities if one.type is EntityType.OBSERVATION}
    for entity in gold.entities:
        other = said.get((entity.start, entity.end))
        if entity.type is not EntityType.OBSERVATION or other is None:
            continue
        pair = {entity.presence, other.presence}
        unsure = Presence.UNCERTAIN in pair
        tally.add("polarity", number, 1)
        tally.add("polarity/errors", number, len(pair) == 2)
        tally.add("polarity/flips", number, len(pair) == 2 and not unsure)
        tally.add("polarity/certainty_errors", number, len(pair) == 2 and unsure)
        tally.add(f"polarity/{entity.presence.value}/{other.presence.value}", number, 1)
