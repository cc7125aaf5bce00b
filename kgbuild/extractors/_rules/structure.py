"""Inside one chunk: which words are its heads, and how the others hang on them.

The last noun is the observation head and adjectives modify it; without a noun each adjective is a head of its own.
``anatomy`` finds the places.
"""

from __future__ import annotations

from collections.abc import Sequence

from kgbuild.extractors._rules.anatomy import find_sites
from kgbuild.extractors._rules.chunks import Chunk
from kgbuild.extractors._rules.lexicon import Lexicon
from kgbuild.extractors._rules.phrase import LOCATED, MODIFY, Edge, Phrase
from kgbuild.extractors._rules.tagging import ADJECTIVES, Item


def read(chunk: Chunk, words: Sequence[str], lexicon: Lexicon, edges: list[Edge]) -> Phrase:
    """Heads of a chunk; relations inside it are added to ``edges``."""
    phrase = Phrase(chunk)
    if chunk.anatomy:
        find_sites(phrase, words, lexicon, edges)
    nouns = chunk.nouns
    target: Item | None = None
    measures: list[Item] = []
    if chunk.other:
        parts = [item for item in chunk.groups[-1] if item.kind == "T"]
        measures = [item for item in chunk.groups[-1] if item.kind == "X"]
        if parts:
            phrase.part = parts[-1]
            if nouns:
                edges.extend((part, MODIFY, nouns[-1], "modify:part") for part in parts)
            else:
                target = parts[-1]
    if nouns:
        target = nouns[-1]
        if len(nouns) > 1:
            edges.extend((noun, MODIFY, target, "modify:compound") for noun in nouns[:-1])
    if target is not None:
        phrase.noun = True
        phrase.heads = [target]
    if chunk.adjective:
        for group in chunk.groups:
            _adjectives(group, target, phrase, edges)
    for measure in measures:
        if phrase.heads:
            edges.append((measure, MODIFY, phrase.part or phrase.heads[-1], "modify:measure"))
        else:
            phrase.heads = [measure]
    if phrase.sites:
        heads = phrase.heads if target is None else [target]
        edges.extend((head, LOCATED, site, "located_at:phrase") for site in phrase.sites for head in heads)
    phrase.own_site = bool(phrase.sites)
    return phrase


def _adjectives(group: Sequence[Item], target: Item | None, phrase: Phrase, edges: list[Edge]) -> None:
    words = [item for item in group if item.kind in ADJECTIVES]
    for item in group:
        if item.kind == "B":
            _limits(words, item, phrase, edges)
            return
    last = len(words) - 1
    for i, item in enumerate(words):
        if item.kind == "D" and i < last:
            edges.append((item, MODIFY, words[i + 1], "modify:degree"))
        elif item.kind == "D" and i and words[i - 1].kind == "K" and target is None:  # "increased slightly"
            edges.append((item, MODIFY, words[i - 1], "modify:degree"))
        elif target is not None:
            edges.append((item, MODIFY, target, "modify:phrase"))
        else:
            phrase.heads.append(item)


def _limits(words: Sequence[Item], bounds: Item, phrase: Phrase, edges: list[Edge]) -> None:
    """As in "within normal limits", "upper limits of normal": all hang on "normal"."""
    normal = next((item for item in words if item.kind == "Q"), None)
    if normal is None:
        edges.extend((item, MODIFY, bounds, "modify:limits") for item in words)
        phrase.heads.append(bounds)
        return
    edges.extend(
        (item, MODIFY, normal if item.kind == "I" else bounds, "modify:limits") for item in words if item is not normal
    )
    edges.append((bounds, MODIFY, normal, "modify:limits"))
    phrase.heads.append(normal)
