"""Between chunks: who is located at, modified by or the reason for whom, in one walk from left to right."""

from __future__ import annotations

from collections.abc import Sequence

from kgbuild.extractors._rules import nouns, predicates, sites
from kgbuild.extractors._rules.lexicon import Lexicon
from kgbuild.extractors._rules.phrase import LOCATED, MODIFY, Edge, Phrase
from kgbuild.extractors._rules.walk import SITES, Walk


def relate(phrases: Sequence[Phrase], words: Sequence[str], lexicon: Lexicon, edges: list[Edge]) -> list[Edge]:
    """All relations of a sentence; ``edges`` are those inside the chunks."""
    walk = Walk(words, lexicon, edges)
    for i, phrase in enumerate(phrases):
        kinds = phrase.chunk.kinds
        if ";" in kinds or "break" in kinds or ":" in kinds:
            walk.reason = []
            if ":" not in kinds:
                walk.waiting = []
        if i + 1 < len(phrases) and _compares(walk, phrase, phrases[i + 1]):
            walk.compared = True
        elif phrase.noun:
            nouns.read(walk, phrase, kinds)
        elif not phrase.sites and phrase.heads and not phrase.generics:
            predicates.read(walk, phrase, kinds)
        elif not phrase.sites:
            sites.generic(walk, phrase, kinds)
        elif phrase.heads:
            sites.described(walk, phrase, kinds)
        else:
            sites.read(walk, phrase, kinds)
    sites.finish(walk)
    return unique(edges)


def _compares(walk: Walk, phrase: Phrase, after: Phrase) -> bool:
    """The "left" of "left greater than right": no place, but what the comparison starts from."""
    if after.chunk.link != "p" or phrase.heads or len(phrase.sites) != 1 or phrase.sites[0].kind != "S":
        return False
    return bool(after.heads) and walk.has(after.heads[-1], "compare") and bool(walk.observed or walk.subject)


def unique(edges: Sequence[Edge]) -> list[Edge]:
    """At most one relation a pair, the first rule wins; none from a thing to itself, none the schema does not know."""
    seen: set[tuple[int, int]] = set()
    out: list[Edge] = []
    for edge in edges:
        a, b = edge[0].start, edge[2].start
        if a != b and (a, b) not in seen and (b, a) not in seen and _legal(edge):
            seen.add((a, b))
            out.append(edge)
    return out


def _legal(edge: Edge) -> bool:
    """A coordination can mix places and observations ("heart and engorgement are …"); a relation cannot."""
    source, target = edge[0].kind in SITES, edge[2].kind in SITES
    if edge[1] == LOCATED:
        return target and not source
    return source == target and (edge[1] == MODIFY or not source)
