"""Kinds that depend on the neighbours: "well expanded", "below the diaphragm", "prosthetic valve", "normal limits"."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kgbuild.extractors._rules.tagging import ADJECTIVES, ANATOMY, ENTITY, NOUNS, TRANSPARENT, Item

Traits = Mapping[str, frozenset[str]]
_CARRIED = frozenset({"prep", "suggest", "suggesthedge", "be", "seen", "hedge", "hedge2", "with", "show"})
_GRADES = frozenset({"most", "more", "less", "very", "quite"})


def kind_of(items: Sequence[Item], i: int, words: Sequence[str], run: Sequence[Item], traits: Traits) -> str:
    """Kind of entity item ``i``; ``run`` are the entities directly before it."""
    item = items[i]
    kind, word = item.kind, words[item.start]
    n = len(items)
    after = i + 1
    if word in ("well", "poorly") and after < n and items[after].kind == "-":
        after += 1
    while after < n and items[after].kind in TRANSPARENT:
        after += 1
    follow = items[after].kind if after < n else ""
    if kind == "L":
        return "L" if follow in ANATOMY else "prep"
    if follow == "B" and kind in "SMD":
        return "M"
    if kind == "D":
        if follow in ADJECTIVES or (run and run[-1].kind == "K" and word.endswith("ly") and follow not in ENTITY):
            return "D"  # "slightly increased", "increased slightly"
        if word in ("well", "poorly"):
            return "skip"  # "seen well"
        return "skip" if (word.endswith("ly") or word in _GRADES) and follow not in ENTITY else "M"
    if word in traits["carrier"]:
        return "skip" if not run and follow in _CARRIED else kind
    if word == "valve":
        return "E" if any(words[other.start] in traits["prosthetic"] for other in run) else kind
    if kind == "B":
        return kind if follow in ("prep", "Q") or any(other.kind in "QISM" for other in run) else "skip"
    if word == "both":
        return "skip" if _listed(items[after : after + 5], words) else kind
    if word == "placement" and follow == "prep":
        return "O"
    if word in traits["attribute"]:
        return "O" if run and run[-1].kind in "KQM" else "skip"
    if word == "worsening":
        return kind if follow == "prep" else "K"
    if word == "volume":
        return "M" if after < n and words[items[after].start] in ("loss", "overload") else kind
    if word in ("low", "high"):
        return "S" if after < n and words[items[after].start] in traits["line end"] else kind
    if word == "silhouettes":
        return kind if run and run[-1].kind in ANATOMY else "prep"
    if word == "silhouetting":
        return "prep" if run and run[-1].kind in NOUNS else kind
    if word in ("distal", "proximal"):
        return "M" if follow in ("T", "E") else kind
    if word == "external":
        return "M" if any(other.kind == "E" for other in items[after : after + 3]) else kind
    if word == "scaphoid":
        return "M" if follow == "A" else kind
    if word in ("minor", "major"):  # of a fissure, else a degree
        return kind if any(words[other.start].startswith("fissure") for other in items[after : after + 2]) else "M"
    if word == "lower":
        return "K" if follow not in ENTITY and i and items[i - 1].kind == "be" else kind
    if word in ("pattern", "patterns"):
        return "G" if run and words[run[-1].start] in ("vascular", "markings", "vasculature") else kind
    if word in ("cavity", "cavities"):
        return kind if run and words[run[-1].start] in traits["hollow"] else "O"
    return kind


def _listed(items: Sequence[Item], words: Sequence[str]) -> bool:
    """As in "both A and B": a conjunction comes before any verb, and A is not two already ("both bases and …")."""
    for item in items:
        if item.kind == "andor":
            return True
        if item.kind == "be" or (item.kind == "A" and words[item.end - 1].endswith(("s", "ices"))):
            return False
    return False


def before_finding(items: Sequence[Item], i: int) -> bool:
    """Only adjectives and places up to a finding: "two nodules", "prior granulomatous disease"."""
    for item in items[i + 1 : i + 6]:
        if item.kind in NOUNS:
            return True
        if item.kind not in ENTITY and item.kind not in TRANSPARENT:
            return False
    return False


def new_finding(
    word: str, items: Sequence[Item], i: int, run: Sequence[Item], cues: Sequence[Item], traits: Traits
) -> bool:
    """An unknown noun where only a finding can stand: after "no" or adjectives, and the phrase ends with it."""
    if len(word) < 6 or items[i].source != "unknown" or not word.endswith(tuple(traits["nounending"])):
        return False
    if run:
        if run[-1].kind in "GA" or not all(other.kind in "MJSGA" for other in run):
            return False
    else:
        cue = cues[-1].kind if cues else ""
        listed = cue == "andor" and i > 1 and items[i - 2].source == "unknown"
        if cue not in ("neg", "hedge", "hedge2") and not listed:
            return False
    after = items[i + 1].kind if i + 1 < len(items) else "."
    return after not in ENTITY and after not in ("w", "skip", "num")


def bounds(items: Sequence[Item], i: int, word: str, run: Sequence[Item]) -> str:
    """``I`` for the "within" of "within normal limits", ``of`` for the "of" of "limits of normal"; else nothing."""
    if word == "within":
        return "I" if {"B", "Q"} <= {item.kind for item in items[i + 1 : i + 6]} else ""
    if run and run[-1].kind == "B" and i + 1 < len(items) and items[i + 1].kind == "Q":
        return "of"
    return ""


def ranges(items: Sequence[Item], i: int, words: Sequence[str], run: Sequence[Item]) -> bool:
    """The "to" of "mid to lower", "small to moderate"."""
    if i + 1 >= len(items):
        return False
    last, after = run[-1].kind, items[i + 1]
    if last in "SG":
        return after.kind == "S" or words[after.start] == "low"
    return last == "M" and after.kind == "M"
