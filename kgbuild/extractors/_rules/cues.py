"""What the cue classes mean for certainty, and the small questions both passes of ``scopes`` ask of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kgbuild.extractors._rules.tagging import Item

PRESENT, UNCERTAIN, ABSENT, NOTHING = "present", "uncertain", "absent", "nothing"

NEG = frozenset({"neg", "neg2"})
HEDGE = frozenset({"hedge", "hedge2", "suggesthedge", "versus"})
TWO_WAY = frozenset(
    {"possible", "likely", "probable", "suspected", "presumed", "favored", "favoured", "questionable", "questioned"}
    | {"unlikely", "doubtful", "uncertain", "equivocal", "considered"}
    | {"exclude", "discern", "detect", "any", "present"}
)
ATTRIBUTIVE = frozenset({"resolved", "removed", "absent", "cleared"})
_AMOUNT = frozenset({"combination", "component", "element", "form", "degree", "amount", "type", "kind"})
_REASONS = frozenset({"due", "because", "secondary"})
BREAKS = frozenset({"break", ";", ":", "("})
JOIN = frozenset({"andor", ",", "/", "-"})
VERBS = frozenset({"be", "seen", "negpost", "hedgepost", "negpostnot"})
BACKWARD = frozenset({"negpost", "neg2", "hedgepost", "hedge2", "hedge", "versus", "negpostnot", "impossible"})
FORWARD = NEG | HEDGE | {"advice", "hedgepost", "negpost"}


@dataclass(slots=True)
class Scope:
    """A chunk's presence, the rule that gave it, and whether the cue stood directly before the chunk."""

    presence: str = PRESENT
    rule: str = ""
    own: bool = False


def rule_of(cue: Item, words: Sequence[str], kind: str) -> str:
    """``negation:no``, ``hedge:may-represent``."""
    return f"{kind}:{'-'.join(words[cue.start : cue.end])}"


def direct(cues: Sequence[Item], k: int, words: Sequence[str]) -> bool:
    """Whether nothing but hedges and such stands between cue ``k`` and the chunk after the cues."""
    if words[cues[k].end : cues[k].end + 1] == ["xxxx"]:
        return True
    for cue in cues[k + 1 :]:
        kind = cue.kind
        if kind in HEDGE or kind in ("suggest", "hedgepost", "show", "neg", "be", "-", "w", "num", "seen"):
            continue
        if (
            kind == "prep"
            and words[cue.start] == "of"
            and (cues[k].end == cue.start or words[cue.start - 1] in _AMOUNT)
        ):
            continue
        return False
    return True


def explains(cues: Sequence[Item], k: int, words: Sequence[str]) -> bool:
    """As in "is likely due to technique": the doubt is about the reason."""
    if k + 1 >= len(cues) or cues[k + 1].start != cues[k].end:
        return False
    after = cues[k + 1]
    return after.kind in ("suggest", "suggesthedge") or (after.kind == "from" and words[after.start] in _REASONS)


def attributive(cues: Sequence[Item], k: int, words: Sequence[str]) -> bool:
    """As in "Resolved effusion": the participle stands before its noun."""
    cue = cues[k]
    if cue.end - cue.start > 1 or words[cue.start] not in ATTRIBUTIVE or k + 1 < len(cues):
        return False
    return not any(c.kind in ("be", "show", "with") for c in cues[:k])
