"""Rules for phrases of anatomy: a place for what stands before or after, or a new subject."""

from __future__ import annotations

from collections.abc import Sequence

from kgbuild.extractors._rules.phrase import LOCATED, MODIFY, SUGGEST, Phrase
from kgbuild.extractors._rules.tagging import Item
from kgbuild.extractors._rules.walk import SITES, Walk, joined

_NO_PLACE = frozenset({",", "from", "break", ";", ":", "be", "show"})


def read(walk: Walk, phrase: Phrase, kinds: Sequence[str]) -> None:
    """A chunk of anatomy only."""
    sites = phrase.sites
    prep = _governs(kinds) or (bool(kinds) and walk.text(phrase.chunk.cues[-1]) == "to")
    if walk.word_before(phrase) == "than" and all(site.kind == "S" for site in sites):
        return  # the "right" of "left greater than right"
    if walk.role == "site" and not prep and joined(kinds):
        _coordinate(walk, sites)
        return
    last = phrase.chunk.groups[-1][-1]
    # "effusion heart size …": the heart is no place of the effusion, but the next subject
    subject = last.kind == "G" and last is not sites[-1] and phrase.noun_of_place is None
    beside = phrase.chunk.link == "j" and not subject
    if (prep or beside or (bool(kinds) and kinds[-1] == "seen")) and (walk.observed or walk.role == "generic"):
        if walk.role == "site" and walk.governed and walk.word_before(phrase) == "of" and _nested(walk):
            walk.add(sites, MODIFY, walk.sites_of(walk.governed[-1])[-1:], "modify:of-phrase")
            return
        if walk.described and not walk.governed and _of_only(walk, phrase, kinds):
            walk.add(sites, MODIFY, walk.subject[-1:], "modify:of-phrase")  # "prominent cartilage of the ribs"
            return
        if walk.role == "site" and walk.governed and walk.generics and walk.word_before(phrase) == "of":
            _move(walk, phrase)
            return
        if prep or walk.role in ("noun", "predicate", "generic"):
            _attach(walk, phrase, prep)
            walk.generics = list(phrase.generics)
            return
    if prep and not walk.observed:
        if walk.role == "site" and walk.subject_is_site:  # "base of the left lung": the second narrows the first
            if walk.subject[-1].kind == "G":  # "upper aspect of the fissure": the first narrows the second
                walk.add(walk.subject, MODIFY, sites, "modify:generic-of")
                walk.subject = list(sites)
            else:
                walk.add(sites, MODIFY, walk.subject, "modify:of-phrase")
            return
        walk.waiting = list(sites)
        walk.role = "site"
        walk.governed = []
        return
    _new_subject(walk, phrase)
    walk.observed = []
    walk.waiting = list(sites) if not prep and ":" not in kinds else []
    walk.targets = []
    walk.tip = None


def described(walk: Walk, phrase: Phrase, kinds: Sequence[str]) -> None:
    """As in "enlarged heart": the adjectives are located at the site already; the site can be a subject."""
    if walk.observed:
        if "suggest" in kinds or "suggesthedge" in kinds:
            walk.add(walk.observed, SUGGEST, phrase.heads, "suggestive_of:cue")
        if "prep" in kinds and walk.role in ("noun", "predicate"):
            walk.add(walk.observed, LOCATED, phrase.sites, "located_at:prep")
    before = walk.observed if walk.role in ("noun", "predicate") and ("with" in kinds or joined(kinds)) else []
    _new_subject(walk, phrase)
    walk.observed = [*before, *phrase.heads]
    walk.targets = list(phrase.sites)
    walk.described = True


def generic(walk: Walk, phrase: Phrase, kinds: Sequence[str]) -> None:
    """Only "size", "contour": of the subject ("normal in size"), or of a site that follows ("size of the heart")."""
    listed = joined(kinds)
    has = "show" in kinds and walk.role == "site" and not walk.governed  # "the heart has normal size"
    if walk.subject_is_site and (has or "prep" in kinds or "from" in kinds or "be" in kinds or walk.role == "size"):
        walk.add(phrase.generics, MODIFY, walk.subject, "modify:generic-in")
        walk.add(phrase.heads, LOCATED, walk.subject, "located_at:generic-in")
        walk.role = "size"
        return
    if listed and walk.role == "site" and walk.subject_is_site and not phrase.heads:
        _coordinate(walk, phrase.generics)  # "silhouette and vasculature are normal"
        return
    walk.pending = [*(walk.pending if listed else []), *phrase.generics]
    walk.role = "generic"
    if phrase.heads:
        walk.observed = list(phrase.heads)


def finish(walk: Walk) -> None:
    """A generic noun that found no organ is the place itself: "low volumes"."""
    walk.add(walk.pending[:-1], MODIFY, walk.pending[-1:], "modify:generic")
    for item in walk.pending[-1:]:
        walk.add(
            (head for head in walk.observed if head.kind in "MQK" and head.end <= item.start),
            LOCATED,
            [item],
            "located_at:generic",
        )


def _new_subject(walk: Walk, phrase: Phrase) -> None:
    walk.subject = list(phrase.sites)
    walk.spot = phrase.noun_of_place
    walk.topic = walk.topic or [site for site in phrase.sites if walk.has(site, "lung")]
    walk.role = "site"
    walk.governed = []
    walk.described = False
    walk.device = None


def _governs(kinds: Sequence[str]) -> bool:
    """The last structure word before the chunk is a preposition."""
    for kind in reversed(kinds):
        if kind == "prep":
            return True
        if kind in _NO_PLACE:
            return False
    return False


def _coordinate(walk: Walk, sites: Sequence[Item]) -> None:
    if walk.governed:
        walk.add(walk.governed, LOCATED, sites, "located_at:coordination")
        return
    if walk.described:  # "enlarged heart and aorta"
        walk.add(walk.observed, LOCATED, sites, "located_at:coordination")
    walk.subject = [*walk.subject, *sites] if walk.subject_is_site else list(sites)
    if walk.waiting:
        walk.waiting = [*walk.waiting, *sites]


def _attach(walk: Walk, phrase: Phrase, prep: bool) -> None:
    """Give a place to the observations before it."""
    sites = phrase.sites
    heads = walk.observed
    if walk.role == "generic" and walk.pending:
        walk.add(walk.pending, MODIFY, sites, "modify:generic-of")
        walk.pending = []
        if not walk.observed or not walk.subject:
            walk.subject = list(sites)
    elif walk.role == "predicate" and walk.targets:
        if walk.targets[0].kind not in SITES:
            heads = walk.targets
        elif all(site.kind == "S" for site in sites):  # "lungs are clear bilaterally"
            walk.add(sites, MODIFY, walk.targets, "modify:side-after")
            return
    own = walk.qualified and walk.role == "noun" and walk.word_before(phrase) == "of"
    if own and heads and heads[-1].kind != "E":
        heads = heads[-1:]  # "scoliosis and focal eventration of the diaphragm"
    for head in heads:
        if (
            head is not heads[-1]
            and head.kind != "E"
            and any(site.kind != "S" and not walk.has(site, "shared") for site in walk.sites_of(head))
        ):
            continue  # "crowding of the vessels and opacities at the bases"
        walk.add([head], LOCATED, sites, "located_at:prep" if prep else "located_at:beside")
        if prep and head.kind in "OE" and phrase.noun_of_place is not None:
            walk.edges.append((head, LOCATED, phrase.noun_of_place, "located_at:part"))
    if all(site.kind == "S" for site in sites):  # "opacities in both lungs, with collapse on the left"
        named = [head for head in heads if head.kind in "ON" and head not in walk.subject]
        walk.add(named, LOCATED, walk.lungs, "located_at:sided")
    elif not walk.lungs:
        walk.lungs = [site for site in sites if walk.has(site, "lung")]
    walk.governed = list(heads)
    walk.role = "site"
    if heads and heads[-1].kind in "ONM":
        walk.anchor = heads[-1]


def _of_only(walk: Walk, phrase: Phrase, kinds: Sequence[str]) -> bool:
    return (
        walk.role == "site"
        and list(kinds) == ["prep"]
        and walk.word_before(phrase) == "of"
        and phrase.sites[-1].kind == "A"
    )


def _nested(walk: Walk) -> bool:
    """As in "soft tissues of the chest wall": the second place says which of the first."""
    return any(walk.has(site, "nested") for site in walk.sites_of(walk.governed[-1])[-1:])


def _move(walk: Walk, phrase: Phrase) -> None:
    """As in "lateral compartment of the knee": the part modifies the organ, and the observation is at the organ."""
    part = walk.generics[-1]
    walk.edges[:] = [edge for edge in walk.edges if not (edge[1] == LOCATED and edge[2] is part)]
    walk.add([part], MODIFY, phrase.sites, "modify:generic-of")
    walk.add(walk.governed, LOCATED, phrase.sites, "located_at:of-phrase")
    walk.generics = []
