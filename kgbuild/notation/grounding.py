"""Triplet text back onto a report's tokens.

The text gives words, the report may hold them several times. Heads stand in text order, so they are placed together:
of all placements in which each head lies after the one before, the one with the least total distance from heads to
their tails (a sentence's end in between costs ``_SENTENCE`` tokens). Where no such placement exists, as in a model's
unordered output, each head takes its first unused occurrence. Then each tail takes the occurrence nearest to its head,
one that already has the tail's presence before a free one, and never one with another presence if that can be helped.
Where pieces contradict each other on one span, the weakest presence holds (absent before uncertain before present), so
that no contradiction makes a finding; the pieces that are overruled are among what is rejected.

For reports whose entities have words that occur once, ``decode(encode(a))`` gives back every span, presence and
relation. Types are inferred: ``located_at`` goes from observation to anatomy, ``suggestive_of`` joins observations,
``modify`` joins two of one type; what is left is asked of ``type_of``, else taken as observation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from kgbuild.domain import Annotation, Entity, Relation, Token
from kgbuild.labels import EntityType, Presence, RelationType
from kgbuild.notation.assemble import sorted_annotation
from kgbuild.notation.triplets import Triplet, parse_triplets
from kgbuild.text import tokenize

Span = tuple[int, int]
Arc = tuple[Span, RelationType, Span]
TypeOf = Callable[[str], EntityType | None]
_SENTENCE = 30
_STOPS = frozenset(".!?")


def decode(
    text: str, tokens: Sequence[Token], *, study_id: str = "", extractor: str = "", type_of: TypeOf | None = None
) -> tuple[Annotation, list[str]]:
    """Ground triplet text in a report.

    Returns:
        the annotation, and what was rejected: pieces that do not parse, triplets with an end whose words the report
        does not hold, and those whose presence another contradicts (report or invented words: count them, do not log
        them).
    """
    triplets, rejected = parse_triplets(text)
    place = _Places(tokens)
    good: list[Triplet] = []
    for triplet in triplets:
        held = place.of(triplet.head) and (triplet.tail is None or place.of(triplet.tail))
        good.append(triplet) if held else rejected.append(triplet.text())
    spans, links, overruled = _ground(good, place)
    rejected += overruled
    types = _types(spans, links, tokens, type_of)
    ordered = sorted(spans)
    index = {span: i for i, span in enumerate(ordered)}
    entities = tuple(
        Entity(*span, " ".join(token.text for token in tokens[slice(*span)]), types[span], spans[span])
        for span in ordered
    )
    relations = tuple(Relation(index[source], index[target], kind) for source, kind, target in links)
    return sorted_annotation(Annotation(study_id, tuple(tokens), entities, relations, extractor)), rejected


class _Places:
    """Where words stand in a report: exact spelling first, any case else; the report's own token splits else."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        self._exact = [token.text for token in tokens]
        self._folded = [word.casefold() for word in self._exact]
        self._known: dict[str, list[Span]] = {}
        self._sentence: list[int] = [0]
        for word in self._exact:
            self._sentence.append(self._sentence[-1] + (word in _STOPS))

    def of(self, words: str) -> list[Span]:
        if words not in self._known:
            split, cut = words.split(" "), [token.text for token in tokenize(words)]
            tries = [(self._exact, split), (self._exact, cut)]
            tries += [(self._folded, [word.casefold() for word in parts]) for parts in (split, cut)]
            self._known[words] = next(filter(None, (_occurrences(*one) for one in tries)), [])
        return self._known[words]

    def distance(self, a: Span, b: Span) -> int:
        return abs(a[0] - b[0]) + _SENTENCE * abs(self._sentence[a[0]] - self._sentence[b[0]])

    def nearest(self, span: Span, among: Iterable[Span]) -> Span:
        return min(among, key=lambda other: (self.distance(span, other), other))


def _occurrences(text: list[str], words: list[str]) -> list[Span]:
    size = len(words)
    return [(i, i + size) for i in range(len(text) - size + 1) if text[i : i + size] == words] if size else []


def _ground(triplets: list[Triplet], place: _Places) -> tuple[dict[Span, Presence], list[Arc], list[str]]:
    groups = _groups(triplets)
    heads = _place_heads(groups, place)
    presence: dict[Span, Presence] = {}
    claims: list[tuple[Triplet, Span, Presence]] = []
    for group, span in zip(groups, heads, strict=True):
        claims += [(triplet, span, triplet.head_presence) for triplet in group]
        _weaken(presence, span, group[0].head_presence)
    links: list[Arc] = []
    for group, span in zip(groups, heads, strict=True):
        for triplet in group:
            if triplet.relation is None or triplet.tail is None:
                continue
            said = triplet.tail_presence or Presence.PRESENT
            taken = {target for source, kind, target in links if source == span and kind == triplet.relation}
            free = [other for other in place.of(triplet.tail) if other != span and other not in taken]
            agreeing = [other for other in free if presence.get(other, said) is said]
            tail = place.nearest(span, agreeing or free or place.of(triplet.tail))
            claims.append((triplet, tail, said))
            _weaken(presence, tail, said)
            if tail != span:
                links.append((span, triplet.relation, tail))
    overruled = dict.fromkeys(triplet.text() for triplet, span, said in claims if presence[span] is not said)
    return presence, links, list(overruled)


def _weaken(presence: dict[Span, Presence], span: Span, said: Presence) -> None:
    presence[span] = presence.get(span, said).weaker(said)


def _groups(triplets: list[Triplet]) -> list[list[Triplet]]:
    """Runs of triplets that are one head's: same words and presence, no triplet twice, nobody alone."""
    groups: list[list[Triplet]] = []
    for triplet in triplets:
        last = groups[-1] if groups else []
        same = bool(last) and last[0].head == triplet.head and last[0].head_presence is triplet.head_presence
        if same and triplet.relation and last[0].relation and triplet not in last:
            last.append(triplet)
        else:
            groups.append([triplet])
    return groups


def _place_heads(groups: list[list[Triplet]], place: _Places) -> list[Span]:
    """The ordered placement of least cost; without one, first unused occurrences (then the first)."""
    options = [place.of(group[0].head) for group in groups]
    best: list[dict[Span, tuple[int, Span | None]]] = []
    for group, spans in zip(groups, options, strict=True):
        layer: dict[Span, tuple[int, Span | None]] = {}
        for span in spans:
            before = [(cost, other) for other, (cost, _) in best[-1].items() if other < span] if best else [(0, None)]
            if before:
                cost, other = min(before, key=lambda pair: (pair[0], pair[1] or span))
                layer[span] = (cost + _reach(span, group, place), other)
        best.append(layer)
        if not layer:
            return _first_unused(options)
    if not best:
        return []
    span = min(best[-1], key=lambda one: (best[-1][one][0], one))
    heads = [span]
    for layer in reversed(best[1:]):
        previous = layer[heads[-1]][1]
        if previous is not None:
            heads.append(previous)
    return heads[::-1]


def _reach(span: Span, group: list[Triplet], place: _Places) -> int:
    total = 0
    for triplet in group:
        tails = [other for other in place.of(triplet.tail) if other != span] if triplet.tail is not None else []
        total += min((place.distance(span, other) for other in tails), default=0)
    return total


def _first_unused(options: list[list[Span]]) -> list[Span]:
    used: set[Span] = set()
    heads = []
    for spans in options:
        span = next((one for one in spans if one not in used), spans[0])
        used.add(span)
        heads.append(span)
    return heads


def _types(
    spans: dict[Span, Presence],
    links: list[Arc],
    tokens: Sequence[Token],
    type_of: TypeOf | None,
) -> dict[Span, EntityType]:
    types: dict[Span, EntityType] = {}
    for source, kind, target in links:
        if kind is RelationType.LOCATED_AT:
            types[source], types[target] = types.get(source, EntityType.OBSERVATION), EntityType.ANATOMY
    for source, kind, target in links:
        if kind is RelationType.SUGGESTIVE_OF:
            types.setdefault(source, EntityType.OBSERVATION)
            types.setdefault(target, EntityType.OBSERVATION)
    modify = [(source, target) for source, kind, target in links if kind is RelationType.MODIFY]
    _spread(types, modify)
    for span in sorted(spans):
        if span not in types:
            asked = type_of(" ".join(token.text for token in tokens[slice(*span)])) if type_of else None
            if asked is not None:
                types[span] = asked
                _spread(types, modify)
    return {span: types.get(span, EntityType.OBSERVATION) for span in spans}


def _spread(types: dict[Span, EntityType], pairs: list[tuple[Span, Span]]) -> None:
    """Give each unknown end of a pair its partner's type, until nothing changes."""
    changed = True
    while changed:
        changed = False
        for pair in pairs:
            for known, other in (pair, pair[::-1]):
                if known in types and other not in types:
                    types[other] = types[known]
                    changed = True
