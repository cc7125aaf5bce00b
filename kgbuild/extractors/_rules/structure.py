"""Inside one chunk: which words are its heads, and how the others hang on them.

The organ's own word is the anatomy head and generic nouns, sides and levels modify it; the last noun is the
observation head and adjectives modify it; without a noun each adjective is a head of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from kgbuild.extractors._rules.chunks import Chunk
from kgbuild.extractors._rules.tagging import ADJECTIVES, Item

LOCATED, MODIFY, SUGGEST = "located_at", "modify", "suggestive_of"
Edge = tuple[Item, str, Item, str]
Test = Callable[[Item], bool]


def _never(_: Item) -> bool:
    return False


@dataclass(slots=True)
class Phrase:
    """A chunk read.

    ``heads`` are the observations that stand for it, ``sites`` its anatomy heads, ``generics`` nouns left without one.
    """

    chunk: Chunk
    heads: list[Item] = field(default_factory=list)
    sites: list[Item] = field(default_factory=list)
    generics: list[Item] = field(default_factory=list)
    noun: bool = False
    part: Item | None = None
    own_site: bool = False
    uncertain: bool = False
    noun_of_place: Item | None = None  # the generic noun of a place: "angle" of "costophrenic angle"


def read(chunk: Chunk, edges: list[Edge], node: Test = _never, every: Test = _never, shared: Test = _never) -> Phrase:
    """Heads of a chunk; relations inside it are added to ``edges``; ``node``: is it a lymph node;
    ``every``: is it a side that belongs to every organ of a list; ``shared``: is it a
    word so general that the site is named beside it.
    """
    phrase = Phrase(chunk)
    last = chunk.groups[-1]
    _anatomy(chunk.groups, phrase, edges, node, every, shared)
    nouns = chunk.nouns
    parts = [item for item in last if item.kind == "T"]
    measures = [item for item in last if item.kind == "X"]
    if nouns:
        phrase.noun = True
        head = nouns[-1]
        phrase.heads = [head]
        edges.extend((noun, MODIFY, head, "modify:compound") for noun in nouns[:-1])
        for part in parts:
            edges.append((part, MODIFY, head, "modify:part"))
            phrase.part = part
    elif parts:
        phrase.part = parts[-1]
        phrase.heads = [parts[-1]]
        phrase.noun = True
    target = phrase.heads[-1] if phrase.heads else None
    for group in chunk.groups:
        _adjectives(group, target, phrase, edges)
    for measure in measures:
        if phrase.heads:
            edges.append((measure, MODIFY, phrase.part or phrase.heads[-1], "modify:measure"))
        else:
            phrase.heads = [measure]
    for site in phrase.sites:
        for head in phrase.heads:
            if phrase.noun and head is not target:
                continue
            edges.append((head, LOCATED, site, "located_at:phrase"))
    phrase.own_site = bool(phrase.sites)
    return phrase


def _adjectives(group: Sequence[Item], target: Item | None, phrase: Phrase, edges: list[Edge]) -> None:
    bounds = next((item for item in group if item.kind == "B"), None)
    words = [item for item in group if item.kind in ADJECTIVES]
    if bounds is not None:
        _limits(group, words, bounds, phrase, edges)
        return
    for i, item in enumerate(words):
        after = words[i + 1] if i + 1 < len(words) else None
        if item.kind == "D" and after is not None:
            edges.append((item, MODIFY, after, "modify:degree"))
        elif target is not None:
            edges.append((item, MODIFY, target, "modify:phrase"))
        elif not phrase.noun:
            phrase.heads.append(item)


def _limits(group: Sequence[Item], words: Sequence[Item], bounds: Item, phrase: Phrase, edges: list[Edge]) -> None:
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


def _anatomy(
    groups: Sequence[Sequence[Item]], phrase: Phrase, edges: list[Edge], node: Test, every: Test, shared: Test
) -> None:
    """Sites of a chunk. Sides of a group without an organ hang on the organ of the next group."""
    sites: list[Item] = []
    waiting: list[Item] = []
    generics: list[Item] = []
    whole: Item | None = None
    last_group = len(groups) - 1
    for g, group in enumerate(groups):
        words = [item for item in group if item.kind in "AJGS"]
        organs = [item for item in words if item.kind in "AJ"]
        own_generics = [item for item in words if item.kind == "G"]
        sides = [item for item in words if item.kind == "S"]
        if organs:
            head = organs[-1]
            if len(organs) > 1 and shared(head):  # "basilar airspace disease": at the base, and in the air spaces
                sites.append(head)
                organs = organs[:-1]
                head = organs[-1]
            edges.extend((organ, MODIFY, head, "modify:organ") for organ in organs[:-1])
            # the side of a node's station is the station's: "right hilar lymph node"
            sided = organs[-2] if len(organs) > 1 and head.kind == "A" and organs[-2].kind == "J" else head
            for side in (*waiting, *sides):
                target = sided if side.start < sided.start and node(head) else head
                edges.append((side, MODIFY, target, "modify:side"))
            if whole is not None and not sides:
                edges.append((whole, MODIFY, head, "modify:side"))
            whole = next((side for side in (*waiting, *sides) if every(side)), None)
            waiting = []
            sites.append(head)
            generics.extend(own_generics)
        elif g < last_group and sides:
            waiting.extend(sides)
        elif own_generics:
            edges.extend((side, MODIFY, own_generics[-1], "modify:side") for side in sides)
            if not sites:
                alone = bool(sides) or bool(phrase.chunk.nouns)
                phrase.generics = own_generics
                phrase.sites = [own_generics[-1]] if alone else []
                if alone:
                    edges.extend((other, MODIFY, own_generics[-1], "modify:generic") for other in own_generics[:-1])
                return
            generics.extend(own_generics)
        elif sides:
            head = sides[-1]
            edges.extend((side, MODIFY, head, "modify:side") for side in (*waiting, *sides[:-1]))
            sites.append(head)
    noun_group = len(groups) > 1 and groups[-1][-1].kind in "GA"
    # "hilar and mediastinal contours": the noun is every adjective's; "hilar and mediastinal nodes" likewise
    if noun_group and groups[-1][-1].kind == "A" and any(item.kind == "J" for item in groups[0]):
        head = sites[-1]
        edges.extend((site, MODIFY, head, "modify:organ") for site in sites[:-1] if site.kind == "J")
        sites = [site for site in sites if site.kind != "J" or site is head]
    edges.extend((generic, MODIFY, site, "modify:generic") for generic in generics for site in sites)
    phrase.sites = sites
    if sites and groups[-1][-1].kind == "G":
        phrase.noun_of_place = groups[-1][-1]
