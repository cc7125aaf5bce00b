"""Cut a run of entities into phrases, and lend the noun of one phrase to another over a conjunction.

"heart normal" is a subject and what is said of it, "changes thoracic spine" a finding and its place, though no word
stands between. "hilar and mediastinal contours", "acute or active disease": the first phrase lacks its noun, and its
words join the second.
"""

from __future__ import annotations

from collections.abc import Sequence

from kgbuild.extractors._rules.chunks import Chunk
from kgbuild.extractors._rules.tagging import ADJECTIVES, ANATOMY, NOUNS, Item

_LIST = frozenset({"andor", ",", "/", "-"})
_MAKES = ("tomy", "plasty", "bypass", "ization", "fixation")
_OPENS = frozenset({"neg", "show", "break", "prep", "with", "hedge", "suggest", "suggesthedge"})


def split_run(run: list[Item], words: Sequence[str]) -> list[tuple[list[Item], str]]:
    """Phrases of a run, each with the link to the one before (see ``Chunk.link``)."""
    if len(run) == 1:
        return [(run, "")]
    out: list[tuple[list[Item], str]] = []
    part: list[Item] = []
    how = ""
    noun = place = False
    for i, item in enumerate(run):
        kind = item.kind
        cut = _cut(run, i, part, noun, place, words) if part else ""
        if cut:
            out.append((part, how))
            part, how = [], cut
            noun = place = False
        part.append(item)
        noun = noun or kind in NOUNS or kind == "T"
        place = place or kind in ANATOMY
    out.append((part, how))
    return out


def _cut(run: list[Item], i: int, part: list[Item], noun: bool, place: bool, words: Sequence[str]) -> str:
    """Link with which a new phrase starts at ``i``; empty where the phrase goes on."""
    kind, last = run[i].kind, part[-1].kind
    if kind in ANATOMY:
        if noun or (kind in "AJ" and last == "Q" and place):
            return "j"
        if kind == "J" and last == "G" and words[part[-1].start] != "vascular":
            return "j"  # "heart size mediastinal contours"
        # "clear bilaterally"
        return "j" if kind == "S" and last in ADJECTIVES and words[run[i].start].endswith("ly") else ""
    if kind in ADJECTIVES:
        if last == "B":
            return ""
        ahead = _noun_ahead(run, i)
        if noun:
            return "j" if ahead else "p"
        if not ahead and place and last in ANATOMY:
            if kind == "M" and all(other.kind not in "AJGL" for other in part):
                later = next((other for other in run[i + 1 :] if other.kind in ANATOMY), None)
                if later is not None and later.kind in "AJ":
                    return ""  # "stable left calcified hilar node"
            described = kind == "Q" or any(other.kind in ADJECTIVES for other in part)
            return "p" if described or not any(other.kind in ANATOMY for other in run[i:]) else ""
        return ""
    if kind == "E" and last == "O" and not _makes(words[part[-1].start]):
        return "j"  # "no effusion clips …" of a report without stops; but "sternotomy wires"
    return "p" if kind == "X" and (noun or place) else ""


def _noun_ahead(run: Sequence[Item], i: int) -> bool:
    for item in run[i : i + 12]:
        if item.kind in NOUNS:
            return True
        if item.kind == "A":
            return False
    return False


def merge(chunks: list[Chunk], words: Sequence[str]) -> list[Chunk]:
    """Give the words of a phrase without its noun to the phrase after the conjunction."""
    out: list[Chunk] = []
    for piece in chunks:
        while out and piece.cues and _shares(out, piece, words):
            before = out.pop()
            piece.groups = before.groups + piece.groups
            piece.cues, piece.link, piece.gap = before.cues, before.link, before.gap
            piece.note()
        out.append(piece)
    return out


def _shares(out: list[Chunk], piece: Chunk, words: Sequence[str]) -> bool:
    """Whether the phrase before lacks a noun that ``piece`` has."""
    before = out[-1]
    if piece.link or before.nouns:
        return False
    comma_only = True
    for cue in piece.cues:
        if cue.kind == "break" and len(out) == 1 and not before.anatomy and piece.anatomy and not piece.nouns:
            comma_only = False  # "hyperexpanded but clear lungs"
            continue
        if cue.kind not in _LIST:
            return False
        if cue.kind != ",":
            comma_only = False
    items = before.groups[-1]
    last = items[-1].kind
    if items[0].kind == "T" or last in "TXBG":
        return False
    first = piece.groups[0]
    if piece.nouns:
        if not before.anatomy:  # "acute or active disease"
            if _is_predicate(out, before):
                return False
            return not comma_only or "neg" in before.kinds or (_opens(out) and last in "MKD")
        if before.gap_after:
            return False
        if last == "A" and items[-1].end - items[-1].start == 1 and not _same_organ(items, first, words):
            return False
        if _is_predicate(out, before) or not any(item.kind in ANATOMY for item in first):
            return False
        return last in "JSA" or last in ADJECTIVES
    if before.anatomy and piece.anatomy:
        kinds = [item.kind for item in piece.groups[-1]]
        if last == "S" and not any(item.kind in "AJ" for item in items):  # "right and left lungs"
            return "A" in kinds or "J" in kinds
        if before.gap_after and kinds[-1] == "A":
            return False
        return last == "J" and kinds[-1] in "GA" and not _is_predicate(out, before)
    if not before.anatomy and piece.anatomy:  # "calcified and tortuous aorta"
        if (comma_only and not _opens(out)) or _is_predicate(out, before):
            return False
        return first[0].kind in ADJECTIVES and last in ADJECTIVES
    return False


def _same_organ(items: list[Item], first: list[Item], words: Sequence[str]) -> bool:
    """As in "right upper lobe and left lower lobe opacities": two of a kind, each with its side."""
    organ = words[items[-1].start]
    sided = items[0].kind in "SM" and first[0].kind == "S"
    return sided and any(words[item.start] == organ for item in first)


def _opens(out: list[Chunk]) -> bool:
    """The last phrase opens a statement: "stable , mild cardiomegaly", "there is a tortuous , calcified aorta"."""
    kinds = out[-1].kinds
    return not out[-1].link and (len(out) == 1 or kinds[-1:] == ["show"])


def _is_predicate(out: list[Chunk], piece: Chunk) -> bool:
    """Said of something before it in this clause, so not a phrase that waits for its noun."""
    if piece.link == "p":
        return True
    if piece.anatomy:
        return False
    kinds = piece.kinds
    if "be" in kinds and "show" not in kinds:
        return True
    if kinds == ["show"] and len(out) > 1 and all(item.kind in "KD" for item in piece.groups[-1]):
        return True  # "has decreased and left effusion has resolved"
    return len(out) > 1 and not _OPENS.intersection(kinds) and ("andor" in kinds or "," in kinds)


def _makes(word: str) -> bool:
    """A procedure that leaves a device behind."""
    return word == "fusion" or word.endswith(_MAKES)
