"""Rules for a phrase with an observation noun: what it is suggested by, where it is, what it is part of."""

from __future__ import annotations

from collections.abc import Sequence

from kgbuild.extractors._rules.phrase import LOCATED, MODIFY, SUGGEST, Phrase
from kgbuild.extractors._rules.tagging import Item
from kgbuild.extractors._rules.walk import HEDGES, SITES, Walk, denied, joined

_OTHER_CLAUSE = frozenset({"andor", "break", "versus", "show"})
_OF_ENDS = frozenset({"neg", "from", "show", "be", ";", ":", ",", "break"})
_TOPIC_ENDS = frozenset({"break", ";", "show"})
_DIRECT = (HEDGES - {"suggesthedge"}) | {"neg", "neg2", "be"}


def read(walk: Walk, phrase: Phrase, kinds: Sequence[str]) -> None:
    """Relations of the phrase, and what it leaves for later ones."""
    head = phrase.heads[-1]
    if head.kind == "T":
        _part(walk, head)
        return
    listed = joined(kinds)
    if "prep" in kinds and walk.observed and walk.has(head, "attribute"):
        walk.add([head], MODIFY, walk.observed, "modify:attribute")
        return
    source: list[Item] = []
    if _suggested(walk, phrase, kinds, head, listed):
        source = walk.reason if walk.inherits else []
    elif (
        walk.role == "noun"
        and walk.observed
        and not phrase.chunk.link
        and "prep" in kinds
        and not _OF_ENDS.intersection(kinds)
    ):
        _of(walk, phrase, head)
    elif listed and walk.narrows and walk.role == "noun" and not denied(kinds):
        walk.add(walk.narrows, MODIFY, [head], "modify:of-list")
    else:
        walk.narrows = []
    if walk.role == "predicate" and not walk.targets and walk.word_before(phrase) == "of":
        walk.add(walk.observed, MODIFY, [head], "modify:of-adjective")  # "unchanged appearance of the line"
    placed = _place(walk, phrase, head, kinds, listed)
    if not placed and not phrase.own_site and not phrase.absent and head.kind != "E":
        _inherit(walk, phrase, head, source)
    if kinds and kinds[-1] == "from" and walk.has(phrase.chunk.cues[-1], "times"):
        return  # "has recurred after thoracentesis": the sentence goes on about the first
    if listed and walk.role == "noun":
        walk.observed = [*walk.observed, head]
        if not walk.subject_is_site:
            walk.subject = [*walk.subject, head]
    elif walk.role == "site" and walk.described and "with" in kinds:
        walk.observed = [*walk.observed, head]  # "coarse markings with a predominance …, consistent with"
    else:
        walk.observed = [head]
        if listed and walk.role == "site" and walk.subject_is_site and "andor" in kinds and not denied(kinds):
            walk.subject = [*walk.subject, head]
        elif (
            walk.role in ("noun", "site", "predicate") and walk.subject and "with" in kinds and not walk.subject_is_site
        ):
            walk.accompanied = True  # "a hernia with a fluid level has grown": the hernia
        elif walk.accompanied and kinds == ["andor"]:
            pass  # "… with a fluid level on the left and debris on the right"
        elif not (walk.subject_is_site and "break" not in kinds and ("show" in kinds or "seen" in kinds)):
            walk.subject = [head]
            walk.accompanied = False
    if head.kind == "E":
        if phrase.part is not None and "with" in kinds and walk.device is not None:
            walk.observed = [walk.device, head]  # "port with catheter tip in the atrium"
        walk.device = head
    elif not phrase.uncertain and any(not walk.has(site, "fixed") for site in phrase.sites):
        walk.anchor = head
    if phrase.part is not None:
        walk.tip = phrase.part
    walk.qualified = phrase.chunk.adjective
    walk.role = "noun"
    walk.governed = []


def _part(walk: Walk, head: Item) -> None:
    """As in "its tip in the SVC": the tip modifies the device, and the device is at the place."""
    if walk.device is not None:
        walk.edges.append((head, MODIFY, walk.device, "modify:part"))
        walk.observed = [walk.device]
    else:
        walk.observed = [head]
        walk.subject = [head]
    walk.tip = head
    walk.role = "noun"


def _suggested(walk: Walk, phrase: Phrase, kinds: Sequence[str], head: Item, listed: bool) -> bool:
    """suggestive_of from what stands before: by a cue, an apposition, or the list it goes on."""
    source: list[Item] = []
    rule = ""
    observed = walk.observed
    if "suggest" in kinds or "suggesthedge" in kinds:
        # "opacity with bronchograms, suggesting …": the opacity
        whole = walk.accompanied or _resumes(walk, phrase)
        source = walk.subject if whole and walk.subject and not walk.subject_is_site else observed
        rule = "suggestive_of:cue"
    elif listed and walk.reason and "neg" not in kinds and not _apart(walk, phrase, kinds):
        source, rule = walk.reason, "suggestive_of:list"
    elif observed and kinds:
        if "hedge" in kinds or "hedge2" in kinds or "hedgepost" in kinds:
            if kinds[0] == "," and not _OTHER_CLAUSE.intersection(kinds) and _apposed(walk, phrase):
                source, rule = observed, "suggestive_of:apposition"
            elif (
                walk.role in ("noun", "site")
                and "," not in kinds
                and "andor" not in kinds
                and (kinds[0] in HEDGES or kinds[0] in ("be", "hedgepost"))
            ):
                source, rule = observed, "suggestive_of:hedge"
        elif phrase.chunk.gap and list(kinds) == [","]:
            source, rule = observed, "suggestive_of:gap"
        elif kinds == ["from"] and walk.text(phrase.chunk.cues[0]) == "from" and head.kind == "O":
            if walk.role in ("noun", "site") and observed[-1].kind in "ON":  # "scarring from prior surgery"
                source, rule = observed, "suggestive_of:from"
        elif "show" in kinds and walk.text(phrase.chunk.cues[-1]) == "post":
            source, rule = observed, "suggestive_of:post"
    source = [item for item in source if item.kind != "Q"]
    if not source or head in source:
        walk.reason = []
        return False
    walk.add(source, SUGGEST, [head], rule)
    if rule != "suggestive_of:list":
        walk.inherits = rule not in ("suggestive_of:gap", "suggestive_of:post")
    walk.reason = source
    return True


def _apart(walk: Walk, phrase: Phrase, kinds: Sequence[str]) -> bool:
    """No item of the list of what is suggested, but the next statement: "…, and stable mild cardiomegaly"."""
    if kinds[0] != ",":
        return False
    if len(kinds) == 1:
        rest = walk.words[phrase.chunk.end : phrase.chunk.end + 8]
        return phrase.own_site and not {"or", "and"} & set(rest)
    last = phrase.chunk.cues[-1]
    return walk.words[last.start] == "and" and walk.words[phrase.chunk.start] in walk.lexicon.traits["size"]


def _resumes(walk: Walk, phrase: Phrase) -> bool:
    """As in "opacities in both lungs, this may be edema": a clause of its own about what was seen."""
    cues = phrase.chunk.cues
    return len(cues) > 1 and any(walk.words[cue.start - 1] in ("this", "these") for cue in cues[1:])


def _apposed(walk: Walk, phrase: Phrase) -> bool:
    return any(cue.kind in HEDGES and walk.has(cue, "apposed") for cue in phrase.chunk.cues)


def _of(walk: Walk, phrase: Phrase, head: Item) -> None:
    """As in "increase in the effusion": the first narrows the second; "changes of surgery": the second explains."""
    word = walk.words[phrase.chunk.cues[-1].start]
    within = word in ("of", "in")
    for item in walk.observed[-1:]:
        if walk.has(item, "effect") and "no" not in walk.words[max(0, item.start - 3) : item.start]:
            walk.edges.append((item, SUGGEST, head, "suggestive_of:effect"))
        elif item.kind == "T" and head.kind == "E":
            walk.edges.append((item, MODIFY, head, "modify:part"))
        elif (item.kind == "N" and within) or (item.kind == "O" and word == "of"):
            walk.edges.append((item, MODIFY, head, "modify:of-phrase"))
            walk.narrows = [item]


def _place(walk: Walk, phrase: Phrase, head: Item, kinds: Sequence[str], listed: bool) -> bool:
    """Sites that stand elsewhere in the sentence; whether there was one."""
    cues = phrase.chunk.cues
    if walk.waiting:
        fronted, walk.waiting = walk.waiting, []
        apart = "andor" in kinds or (bool(cues) and walk.words[cues[-1].start] in ("with", "without"))
        if not apart:
            walk.add([head], LOCATED, fronted, "located_at:fronted")
            return True
    if listed and walk.observed and walk.has(head, "samesite"):
        walk.add([head], LOCATED, walk.sites_of(walk.observed[-1]), "located_at:same")
        return True
    deny = denied(kinds)
    if deny:
        free = len(cues) == 1 and walk.word_before(phrase) in ("of", "from")
        if free and walk.role == "predicate" and walk.targets and walk.targets[0].kind in SITES:
            # "pleural spaces are free of fluid"
            walk.topic = [*walk.targets, walk.spot] if walk.spot is not None else walk.targets
        walk.topical = bool(walk.topic) and not _TOPIC_ENDS.intersection(kinds)
    elif not listed:
        walk.topical = False
    if head.kind == "E" or (phrase.own_site and not all(walk.has(site, "shared") for site in phrase.sites)):
        return False
    said = bool(kinds) and ("show" in kinds or "seen" in kinds or _DIRECT.issuperset(kinds))
    if said and walk.role == "site" and walk.subject_is_site:
        walk.add([head], LOCATED, walk.subject, "located_at:subject")
        return True
    if walk.topical and (deny or (listed and walk.role == "noun")):
        walk.add([head], LOCATED, walk.topic, "located_at:topic")
        return True
    return False


def _inherit(walk: Walk, phrase: Phrase, head: Item, source: Sequence[Item]) -> None:
    """What an observation suggests, or leaves possible, is where that observation is.

    RadGraph's habit gives what is suggested directly no place of its own; readers of inpatient reports do. Tried
    narrower (a doubt in its own clause only): unseen IU reports gained nothing, unseen inpatient reports lost 7 points.
    """
    doubted = phrase.uncertain and "with" not in phrase.chunk.kinds
    if doubted and not source and not walk.reason and walk.anchor is not None:
        source = [walk.anchor]
    for item in source:
        if item.kind not in "ON":
            continue  # "hyperinflated lungs, consistent with": a state of the organ, not a spot in it
        sites = [site for site in walk.sites_of(item) if not walk.has(site, "fixed")]
        sites = [site for site in sites if not walk.has(site, "shared")] or sites
        walk.add([head], LOCATED, sites, "located_at:inferred")
