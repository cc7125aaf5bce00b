"""The places a chunk names, and which of its words is each place's head.

The organ's own word is the head; generic nouns ("silhouette", "angle"), sides, levels and organs before it modify it.
Sides of a coordinated part without an organ hang on the organ of the next part: "right and left lungs".
"""

from __future__ import annotations

from collections.abc import Sequence

from kgbuild.extractors._rules.lexicon import Lexicon
from kgbuild.extractors._rules.phrase import MODIFY, Edge, Phrase
from kgbuild.extractors._rules.tagging import Item


def find_sites(phrase: Phrase, words: Sequence[str], lexicon: Lexicon, edges: list[Edge]) -> None:
    """Set the phrase's sites; relations between words of anatomy are added to ``edges``."""
    groups = phrase.chunk.groups
    sites: list[Item] = []
    waiting: list[Item] = []
    generics: list[Item] = []
    whole: Item | None = None
    for group in groups:
        organs: list[Item] = []
        own: list[Item] = []
        sides: list[Item] = []
        for item in group:
            kind = item.kind
            if kind in "AJ":
                organs.append(item)
            elif kind == "S":
                sides.append(item)
            elif kind == "G":
                own.append(item)
        if organs:
            head = _organ(organs, [*waiting, *sides], sites, words, lexicon, edges, bool(phrase.chunk.nouns))
            if whole is not None and not sides:  # "bilateral hilar and mediastinal": both are
                edges.append((whole, MODIFY, head, "modify:side"))
            whole = next((s for s in (*waiting, *sides) if words[s.start] in lexicon.traits["whole"]), None)
            waiting = []
            generics.extend(own)
        elif sides and group is not groups[-1]:
            waiting.extend(sides)
        elif own:
            alone = bool(sides) or words[own[-1].start] in lexicon.traits["spot"]
            if not _generic(phrase, own, sides, alone, sites, edges):
                return
            generics.extend(own)
        elif sides:
            edges.extend((side, MODIFY, sides[-1], "modify:side") for side in (*waiting, *sides[:-1]))
            sites.append(sides[-1])
    if len(groups) > 1:
        sites = _lend(groups, sites, edges)
    edges.extend((item, MODIFY, site, "modify:generic") for item in generics for site in sites)
    phrase.sites = sites
    if sites and groups[-1][-1].kind == "G" and words[groups[-1][-1].start] in lexicon.traits["spot"]:
        phrase.noun_of_place = groups[-1][-1]


def _organ(
    organs: list[Item],
    sides: Sequence[Item],
    sites: list[Item],
    words: Sequence[str],
    lexicon: Lexicon,
    edges: list[Edge],
    of_noun: bool,
) -> Item:
    """Head of a group with an organ; it is added to the sites."""
    head = organs[-1]
    if len(organs) > 1:
        beside = head.kind == "J" and organs[-2].kind == "A" and organs[-2].start < head.start
        airspace = of_noun and " ".join(words[head.start : head.end]) in lexicon.traits["airspace"]
        if beside or airspace:
            # "basilar airspace disease": at the base, and in the air spaces; "lower lobe pulmonary nodule"
            sites.append(head)
            organs = organs[:-1]
            head = organs[-1]
        edges.extend((organ, MODIFY, head, "modify:organ") for organ in organs[:-1])
    # the side of a node's station is the station's: "right hilar lymph node"
    station = organs[-2] if len(organs) > 1 and words[head.start] == "lymph" and organs[-2].kind == "J" else head
    edges.extend((side, MODIFY, station if side.start < station.start else head, "modify:side") for side in sides)
    sites.append(head)
    return head


def _generic(
    phrase: Phrase, own: list[Item], sides: Sequence[Item], alone: bool, sites: Sequence[Item], edges: list[Edge]
) -> bool:
    """A group with generic nouns only (``alone``: it is a place); whether there is an organ before they belong to."""
    head = own[-1]
    edges.extend((side, MODIFY, head, "modify:side") for side in sides)
    if sites:
        return True
    phrase.generics = own
    if alone or phrase.chunk.nouns:
        phrase.sites = [head]
        edges.extend((other, MODIFY, head, "modify:generic") for other in own[:-1])
    return False


def _lend(groups: Sequence[Sequence[Item]], sites: list[Item], edges: list[Edge]) -> list[Item]:
    """As in "hilar and mediastinal nodes": the last organ is every adjective's, and the site."""
    if groups[-1][-1].kind != "A" or not any(item.kind == "J" for item in groups[0]):
        return sites
    head = sites[-1]
    edges.extend((site, MODIFY, head, "modify:organ") for site in sites[:-1] if site.kind == "J")
    return [site for site in sites if site.kind != "J" or site is head]
