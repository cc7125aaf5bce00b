"""Gather tagged items into chunks: noun phrases, predicates and places, each with the cues that stand before it.

A run of entities without a cue between them is one phrase, or several that were only put side by side ("heart normal",
"changes thoracic spine"); ``split_run`` decides. A phrase without its noun ("hilar and mediastinal contours", "acute or
active disease") gives its words to the phrase after the conjunction; ``merge`` does that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from kgbuild.extractors._rules.lexicon import Lexicon
from kgbuild.extractors._rules.tagging import ANATOMY, ENTITY, Item

NOUNS = frozenset("OEN")
ADJECTIVES = frozenset("MQKDI")
_LIST = frozenset({"andor", ","})
_CARRIED = frozenset({"prep", "suggest", "suggesthedge", "be", "seen", "hedge", "hedge2", "with", "show"})
_TRANSPARENT = frozenset({"skip", "pseudo"})


@dataclass(slots=True)
class Chunk:
    """One phrase.

    Attributes:
        groups: entity items, one list a coordinated part; all but the last lack the head noun.
        cues: the cue items between the phrase before and this one.
        link: ``""`` if cues stand between, else how the phrase was cut from the one before: ``p`` said of it
            ("heart | normal"), ``j`` put beside it ("changes | thoracic spine").
        gap: a placeholder for removed text stands directly before.
    """

    groups: list[list[Item]]
    cues: list[Item] = field(default_factory=list)
    link: str = ""
    gap: bool = False
    nouns: list[Item] = field(default_factory=list)
    anatomy: bool = False
    adjective: bool = False

    @property
    def start(self) -> int:
        """First token."""
        return self.groups[0][0].start

    @property
    def end(self) -> int:
        """After the last token."""
        return self.groups[-1][-1].end

    def note(self) -> None:
        """Set the summary fields from the groups."""
        items = self.groups[-1]
        self.nouns = [item for item in items if item.kind in NOUNS]
        self.anatomy = any(item.kind in ANATOMY for group in self.groups for item in group)
        self.adjective = any(item.kind in ADJECTIVES or item.kind == "B" for group in self.groups for item in group)


def chunk(items: Sequence[Item], words: Sequence[str], lexicon: Lexicon) -> tuple[list[Chunk], list[Item]]:
    """Chunks of a sentence, and the cues after the last one."""
    chunks: list[Chunk] = []
    cues: list[Item] = []
    run: list[Item] = []
    gap = run_gap = False
    n = len(items)
    for i, item in enumerate(items):
        kind = item.kind
        if kind in ENTITY:
            kind = _in_context(items, i, n, words, run, lexicon.traits)
            if kind in ENTITY:
                if kind == "L":
                    if run:
                        _close(run, cues, run_gap, chunks, words)
                        run, cues = [], []
                    cues.append(Item(item.start, item.end, "prep", item.source))
                    run_gap = gap
                    run = [Item(item.start, item.end, "S", "place")]
                    continue
                if gap and run and _gap_breaks(run, kind):
                    _close(run, cues, run_gap, chunks, words)
                    run, cues = [], []
                if not run:
                    run_gap = gap
                run.append(item if kind == item.kind else Item(item.start, item.end, kind, item.source))
                gap = False
                continue
            if kind in _TRANSPARENT:
                continue
            item = Item(item.start, item.end, kind, item.source)
        if kind in ("count", "prior"):
            kind = "M" if _before_finding(items, i, n) else ("skip" if kind == "count" else "from")
            item = Item(item.start, item.end, kind, item.source)
            if kind == "M":
                run_gap = gap if not run else run_gap
                run.append(item)
                gap = False
                continue
        elif kind == "-" and run and words[run[-1].start] in ("well", "poorly") and run[-1].end == item.start:
            continue
        if kind == "w" and _new_finding(words[item.start], items, i, run, cues, lexicon):
            run.append(Item(item.start, item.end, "O", "shape"))
            continue
        if words[item.start] == "absent" and run and all(other.kind in ANATOMY for other in run):
            _close(run, cues, run_gap, chunks, words)
            run, cues = [Item(item.start, item.end, "M")], [Item(item.start, item.start, "be")]
            continue
        if kind == "from" and run:
            word = words[item.start]
            if word == "to" and run[-1].kind in "SG" and i + 1 < n and (items[i + 1].kind == "S" or words[items[i + 1].start] == "low"):
                continue  # "mid to lower"
            if word in lexicon.traits["view"] and all(other.kind in "MD" for other in run):
                run = []  # "the most recent study", "a limited exam"
        if kind == "prep" and words[item.start] == "course" and run:
            run = [] if all(other.kind in "MS" for other in run) else run  # "takes an upward course"
        if kind == "prep" and (bound := _bounds(items, i, words, run)):
            if bound == "I":
                if run and run[-1].kind in ANATOMY:
                    _close(run, cues, run_gap, chunks, words)
                    run, cues = [], [Item(item.start, item.start, "be")]
                run.append(Item(item.start, item.end, "I"))
                run_gap = gap
            continue
        if kind in _TRANSPARENT:
            if words[item.start] in ("xxxx", "___"):
                gap = True
            continue
        if run:
            _close(run, cues, run_gap, chunks, words)
            run, cues = [], []
        gap = False
        cues.append(item)
    if run:
        _close(run, cues, run_gap, chunks, words)
        cues = []
    return merge(chunks), cues


def _in_context(
    items: Sequence[Item],
    i: int,
    n: int,
    words: Sequence[str],
    run: Sequence[Item],
    traits: dict[str, frozenset[str]],
) -> str:
    """Kind of an entity item where its neighbours change it."""
    item = items[i]
    kind = item.kind
    word = words[item.start]
    after = i + 1
    if word in ("well", "poorly") and after < n and items[after].kind == "-":
        after += 1
    while after < n and items[after].kind in _TRANSPARENT:
        after += 1
    follow = items[after].kind if after < n else ""
    if kind == "L":
        return "L" if follow in ANATOMY else "prep"
    if follow == "B" and kind in "SMD":
        return "M"
    if word in traits["carrier"] and not run and follow in _CARRIED:
        return "skip"
    if word == "valve" and any(words[other.start] in traits["prosthetic"] for other in run):
        return "E"
    if word == "both" and _listed(items[after : after + 5]):
        return "skip"
    if word in ("position", "positions", "positioning"):
        return kind if run and run[-1].kind in "KQM" and words[run[-1].start] in ("stable", "unchanged") else "skip"
    if kind == "D" and follow not in ADJECTIVES:
        if (word.endswith("ly") or word in ("most", "more", "less", "very", "quite")) and follow not in ENTITY:
            return "skip"
        return "M"
    if word in ("low", "high") and after < n and words[items[after].start] in traits["line end"]:
        return "S"
    if word == "silhouetting" and run and run[-1].kind in NOUNS:
        return "prep"
    if word == "lower" and kind == "S" and follow not in ENTITY and i and items[i - 1].kind == "be":
        return "K"
    if word in ("pattern", "patterns") and run and words[run[-1].start] in ("vascular", "markings", "vasculature"):
        return "G"
    if word in ("cavity", "cavities") and not any(other.kind in "AJ" for other in run):
        return "O"
    return kind


def _before_finding(items: Sequence[Item], i: int, n: int) -> bool:
    """Only adjectives and sides up to a finding."""
    for item in items[i + 1 : i + 6]:
        if item.kind in NOUNS:
            return True
        if item.kind not in "MJKSDA" and item.kind not in _TRANSPARENT:
            return False
    return False


def _new_finding(
    word: str, items: Sequence[Item], i: int, run: Sequence[Item], cues: Sequence[Item], lexicon: Lexicon
) -> bool:
    """An unknown noun where only a finding can stand: after "no" or adjectives, and the phrase ends with it."""
    if len(word) < 6 or not word.endswith(tuple(lexicon.traits["nounending"])):
        return False
    if run:
        if not all(other.kind in "MJSGA" for other in run) or run[-1].kind in "GA":
            return False
    elif not cues or cues[-1].kind not in ("neg", "hedge", "hedge2", "andor"):
        return False
    elif cues[-1].kind == "andor" and not (i > 1 and items[i - 2].source == "unknown"):
        return False
    after = items[i + 1].kind if i + 1 < len(items) else "."
    return after not in ENTITY and after not in ("w", "skip", "num")


def _listed(items: Sequence[Item]) -> bool:
    """"both A and B": a conjunction comes before any verb."""
    for item in items:
        if item.kind == "andor":
            return True
        if item.kind == "be":
            return False
    return False


def _bounds(items: Sequence[Item], i: int, words: Sequence[str], run: Sequence[Item]) -> str:
    """``I`` for the "within" of "within normal limits", ``of`` for the "of" of "limits of normal"; else nothing."""
    word = words[items[i].start]
    if word == "within":
        return "I" if any(item.kind == "B" for item in items[i + 1 : i + 5]) else ""
    if word == "of" and run and run[-1].kind == "B" and i + 1 < len(items) and items[i + 1].kind == "Q":
        return "of"
    return ""


def _gap_breaks(run: Sequence[Item], kind: str) -> bool:
    """Removed text between a finished phrase and the next word most likely held a verb or preposition."""
    if run[-1].kind in NOUNS:
        return True
    return run[-1].kind in "G" and kind in "SJAMQKD"


def _close(run: list[Item], cues: list[Item], gap: bool, chunks: list[Chunk], words: Sequence[str]) -> None:
    parts = split_run(run, words)
    link = ""
    for part, how in parts:
        piece = Chunk([part], cues if not link and not how else [], how, gap)
        piece.note()
        chunks.append(piece)
        cues, gap, link = [], False, how


def split_run(run: list[Item], words: Sequence[str]) -> list[tuple[list[Item], str]]:
    """Cut a run of entities into phrases, each with the link to the one before (see ``Chunk.link``)."""
    if len(run) == 1:
        return [(run, "")]
    out: list[tuple[list[Item], str]] = []
    part: list[Item] = []
    how = ""
    noun = place = False
    for i, item in enumerate(run):
        kind = item.kind
        cut = ""
        if part:
            last = part[-1].kind
            if kind in ANATOMY:
                if noun or (kind in "AJ" and last == "Q" and place):
                    cut = "j"
                elif kind == "S" and last in ADJECTIVES and words[item.start].endswith("ly"):
                    cut = "j"  # "clear bilaterally"
            elif kind in ADJECTIVES:
                if last == "B":
                    pass
                elif noun:
                    cut = "j" if _noun_ahead(run, i) else "p"
                elif place and last in ANATOMY:
                    ahead = _noun_ahead(run, i)
                    if not ahead and (kind == "Q" or any(other.kind in ADJECTIVES for other in part)):
                        cut = "p"
                    elif not ahead and not _place_ahead(run, i):
                        cut = "p"
            elif kind == "X" and (noun or place):
                cut = "p"
        if cut:
            out.append((part, how))
            part, how = [], cut
            noun = place = False
        part.append(item)
        noun = noun or kind in NOUNS or kind == "T"
        place = place or kind in ANATOMY
        if kind in NOUNS and len(part) > 1 and part[-2].kind == "T":
            noun = True
    out.append((part, how))
    return out


def _noun_ahead(run: Sequence[Item], i: int) -> bool:
    for item in run[i:]:
        if item.kind in NOUNS:
            return True
        if item.kind in "A":
            return False
    return False


def _place_ahead(run: Sequence[Item], i: int) -> bool:
    return any(item.kind in ANATOMY for item in run[i:])


def merge(chunks: list[Chunk]) -> list[Chunk]:
    """Give the words of a phrase without its noun to the phrase after the conjunction."""
    out: list[Chunk] = []
    for piece in chunks:
        while out and _shares(out, piece):
            before = out.pop()
            piece.groups = before.groups + piece.groups
            piece.cues, piece.link, piece.gap = before.cues, before.link, before.gap
            piece.note()
        out.append(piece)
    return out


def _shares(out: list[Chunk], piece: Chunk) -> bool:
    """Whether the phrase before lacks a noun that ``piece`` has."""
    before = out[-1]
    if not piece.cues or piece.link or before.nouns:
        return False
    if any(cue.kind not in _LIST and cue.kind not in ("/", "-") for cue in piece.cues):
        return False
    comma_only = all(cue.kind == "," for cue in piece.cues)
    items = before.groups[-1]
    last = items[-1].kind
    if items[0].kind == "T" or last in "TXBG":
        return False
    first = piece.groups[0]
    if piece.nouns:
        if not before.anatomy:  # "acute or active disease"
            if _is_predicate(out, before):
                return False
            return not comma_only or any(c.kind == "neg" for c in before.cues)
        if last == "A" and not _general(items):
            return False
        if _is_predicate(out, before) or not any(i.kind in ANATOMY for i in first):
            return False
        return last in "JSA" or last in ADJECTIVES
    if before.anatomy and piece.anatomy:
        head = [i.kind for i in piece.groups[-1]]
        if last == "S" and not any(i.kind in "AJ" for i in items):  # "right and left lungs"
            return "A" in head or "J" in head
        if last == "J" and ("G" in head or "A" in head) and head[-1] in "GA":
            return not _is_predicate(out, before)
    elif not before.anatomy and piece.anatomy and not piece.link:
        if _is_predicate(out, before) or comma_only:
            return False
        return first[0].kind in ADJECTIVES and last in ADJECTIVES
    return False


def _general(items: Sequence[Item]) -> bool:
    return items[-1].end - items[-1].start > 1


def _is_predicate(out: list[Chunk], piece: Chunk) -> bool:
    """Said of something before it in this clause, so not a phrase that waits for its noun."""
    if piece.link == "p":
        return True
    kinds = {cue.kind for cue in piece.cues}
    if "be" in kinds and "show" not in kinds and not piece.anatomy:
        return len(out) > 1
    return len(out) > 1 and not kinds & {"neg", "show", "break", "prep", "with"} and bool(kinds & {"be", "andor", ","}) and not piece.anatomy
