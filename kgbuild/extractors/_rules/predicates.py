"""Rules for adjectives without a noun ("are clear", ", unchanged", "greater than") and for measurements."""

from __future__ import annotations

from collections.abc import Sequence

from kgbuild.extractors._rules.phrase import LOCATED, MODIFY, Phrase
from kgbuild.extractors._rules.tagging import Item
from kgbuild.extractors._rules.walk import SITES, Walk, joined

_ASIDE = frozenset({",", "(", "break", "-", "from", "with"})


def read(walk: Walk, phrase: Phrase, kinds: Sequence[str]) -> None:
    """What the adjectives are said of: the subject, what the predicate before was said of, or what stands nearest."""
    if walk.waiting and not walk.subject:
        walk.subject = walk.waiting  # "… of the chest are normal", what was of it being removed
    walk.waiting = []
    if phrase.heads[0].kind == "X":
        _measure(walk, phrase.heads[0])
        return
    if kinds and kinds[-1] == "from":
        return  # "in a patient with altered …": of the patient
    targets = walk.subject
    link = phrase.chunk.link
    if walk.role == "predicate" and walk.targets and (not kinds or "break" in kinds or joined(kinds)):
        targets = walk.targets
    elif link != "p" and kinds and kinds[0] in _ASIDE and "be" not in kinds and "seen" not in kinds:
        targets = walk.governed or walk.observed if walk.role == "noun" or walk.governed else targets
    change = phrase.heads[-1].kind == "K" or walk.has(phrase.heads[-1], "newness")
    if change and kinds and kinds[0] == "," and "be" not in kinds:
        # what is unchanged is what was seen, not what it may be; "the heart is enlarged, unchanged": its being enlarged
        if walk.role in ("noun", "site") and walk.reason:
            targets = walk.reason
        elif walk.role == "predicate" and "andor" not in kinds and all(item.kind == "M" for item in walk.observed):
            targets = walk.observed or targets
            walk.add(phrase.heads, MODIFY, targets, "modify:predicate:change")
            return
    if walk.compared:  # "left greater than right": of what is compared
        walk.compared = False
        seen = [item for item in walk.observed if item.kind not in "MKQD"]
        targets = seen or walk.subject
    rule = f"predicate:{'be' if 'be' in kinds else link or 'apposition'}"
    for head in phrase.heads:
        for target in targets:
            if target.kind in SITES:
                walk.edges.append((head, LOCATED, target, f"located_at:{rule}"))
            elif target.kind not in "MKQD":
                walk.edges.append((head, MODIFY, target, f"modify:{rule}"))
    walk.targets = targets
    if not targets:
        walk.subject = list(phrase.heads)
    if not targets or targets[0].kind in SITES:
        walk.observed = list(phrase.heads)
    walk.role = "predicate"


def _measure(walk: Walk, measure: Item) -> None:
    """As in "5 cm above the carina", "measuring 2 cm": of the tip, else of the last observation."""
    target = walk.tip or (walk.observed[-1] if walk.observed else None)
    if target is not None:
        walk.edges.append((measure, MODIFY, target, "modify:measure"))
    walk.role = "noun" if walk.observed else "predicate"
