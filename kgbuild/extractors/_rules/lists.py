"""Small questions about the phrases after a list's item: is it a subject, does a verb follow, does the list go on."""

from __future__ import annotations

from collections.abc import Sequence

from kgbuild.extractors._rules.chunks import Chunk
from kgbuild.extractors._rules.cues import BREAKS, NEG
from kgbuild.extractors._rules.tagging import Item


def subject(chunks: Sequence[Chunk], i: int) -> bool:
    """An anatomy chunk followed by a predicate."""
    if i + 1 >= len(chunks):
        return False
    after = chunks[i + 1]
    return after.link == "p" or any(cue.kind in ("be", "show") for cue in after.cues)


def seen(chunks: Sequence[Chunk], i: int, trailing: Sequence[Item]) -> bool:
    """As in "…, and an opacity is seen": a verb follows directly."""
    after = chunks[i + 1].cues if i + 1 < len(chunks) else trailing
    return bool(after) and after[0].kind in ("be", "seen")


def predicated(chunks: Sequence[Chunk], i: int, trailing: Sequence[Item]) -> bool:
    """A verb that says something of chunk ``i`` follows, past the places given after it."""
    for piece in chunks[i + 1 :]:
        kinds = {cue.kind for cue in piece.cues}
        if piece.link == "p" or "be" in kinds:
            return bool(piece.adjective) and not piece.nouns
        if kinds & {"hedgepost", "negpost", "negpostnot", "show"}:
            return True
        if kinds - {"prep", "andor"} or piece.nouns:
            return False
    return any(cue.kind in ("hedgepost", "negpostnot") for cue in trailing)


def goes_on(chunks: Sequence[Chunk], i: int, words: Sequence[str], joiners: tuple[str, ...] = ("or", "nor")) -> bool:
    """Whether an "or" joins a later item of the same list."""
    for piece in chunks[i + 1 :]:
        kinds = {cue.kind for cue in piece.cues}
        if kinds & (BREAKS | NEG | {"be", "show", "with", "from"}):
            return False
        if any(words[cue.start] in joiners for cue in piece.cues):
            return True
    return False


def by_semicolons(chunks: Sequence[Chunk], i: int, words: Sequence[str]) -> bool:
    """As in "no edema; effusion; or pneumothorax": nothing but semicolons up to an "or"."""
    for piece in chunks[i:]:
        if any(cue.kind not in (";", ",", "andor") for cue in piece.cues):
            return False
        if any(words[cue.start] in ("or", "nor") for cue in piece.cues):
            return True
    return False
