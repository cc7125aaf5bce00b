"""What the report says of each chunk: present, uncertain, absent, or nothing about this patient now.

Two passes. Forward: "no", "without", "possible" … open a scope that runs over a list and ends at a new clause or at a
phrase that makes a claim of its own ("no pneumothorax, small left effusion"). Backward: "is not seen", "has resolved",
"cannot be excluded" … say something of the subject before them. A denial is never weakened by a hedge inside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kgbuild.extractors._rules.chunking import Chunk
from kgbuild.extractors._rules.lexicon import Lexicon
from kgbuild.extractors._rules.tagging import Item

PRESENT, UNCERTAIN, ABSENT, NOTHING = "present", "uncertain", "absent", "nothing"

_NEG = frozenset({"neg", "neg2"})
_HEDGE = frozenset({"hedge", "hedge2", "suggesthedge", "versus"})
_TWO_WAY = frozenset(
    {"possible", "likely", "probable", "suspected", "presumed", "favored", "favoured", "questionable", "questioned"}
    | {"unlikely", "doubtful", "uncertain", "equivocal", "considered"}
)
_BREAKS = frozenset({"break", ";", ":", "("})
_JOIN = frozenset({"andor", ",", "/"})


@dataclass(slots=True)
class Scope:
    """A chunk's presence and the rule that gave it."""

    presence: str = PRESENT
    rule: str = ""


def read(chunks: Sequence[Chunk], trailing: Sequence[Item], words: Sequence[str], lexicon: Lexicon) -> list[Scope]:
    """One scope a chunk, in order."""
    scopes = [Scope() for _ in chunks]
    if not chunks:
        return scopes
    gaps = [chunk.cues for chunk in chunks]
    if any(cue.kind in _SCOPING for cues in gaps for cue in cues):
        _forward(chunks, words, lexicon, scopes)
    if any(cue.kind in _BACKWARD for cues in gaps for cue in cues) or any(c.kind in _BACKWARD for c in trailing):
        for i in range(len(chunks)):
            if i:
                _backward(chunks, i, gaps[i], True, words, scopes)
        _backward(chunks, len(chunks), trailing, False, words, scopes)
    return scopes


_BACKWARD = frozenset({"negpost", "neg2", "hedgepost", "hedge2", "hedge", "versus", "negpostnot", "impossible"})
_SCOPING = _NEG | _HEDGE | {"advice", "hedgepost", "negpost"}


def _forward(chunks: Sequence[Chunk], words: Sequence[str], lexicon: Lexicon, scopes: list[Scope]) -> None:
    mode, rule, since = PRESENT, "", 0
    size = lexicon.traits["size"]
    for i, chunk in enumerate(chunks):
        joined = fresh = False
        for k, cue in enumerate(chunk.cues):
            kind = cue.kind
            if kind in _BREAKS:
                if mode != NOTHING or kind != "(":
                    mode = PRESENT
                    fresh = True
            elif kind in _JOIN:
                joined = True
            elif kind in _NEG:
                if kind == "neg2" and not _direct(chunk.cues, k):
                    continue
                if mode == NOTHING:
                    continue
                mode, rule, since, fresh = ABSENT, f"negation:{'-'.join(words[cue.start : cue.end])}", i, True
            elif kind == "negpost" and _direct(chunk.cues, k) and words[cue.end - 1] in ("resolved", "removed", "absent"):
                if not any(c.kind in ("be", "skip") for c in chunk.cues[:k]) and (i == 0 or not chunks[i - 1].nouns):
                    mode, rule, since, fresh = ABSENT, f"negation:{words[cue.end - 1]}", i, True
            elif kind in _HEDGE or kind == "hedgepost":
                if not _direct(chunk.cues, k) or (kind == "hedgepost" and words[cue.end - 1] not in _TWO_WAY):
                    continue
                if mode == NOTHING or (mode == ABSENT and not joined and not fresh and since < i and kind != "versus"):
                    continue
                if mode == ABSENT and since == i:
                    continue
                mode, rule, since, fresh = UNCERTAIN, f"hedge:{'-'.join(words[cue.start : cue.end])}", i, True
            elif kind == "advice":
                mode, rule, since, fresh = NOTHING, f"advice:{'-'.join(words[cue.start : cue.end])}", i, True
            elif since < i and mode in (ABSENT, UNCERTAIN):
                if kind in ("with", "from", "show"):
                    mode = PRESENT
                elif kind == "suggest" and mode == UNCERTAIN:
                    mode = PRESENT
                elif kind == "prep" and _transparent_head(chunks[i - 1]):
                    mode = PRESENT
        if mode in (ABSENT, UNCERTAIN) and since < i and joined and not fresh:
            if _own_claim(chunks, i, words, size, mode):
                mode = PRESENT
        elif mode in (ABSENT, UNCERTAIN) and since < i and chunk.link == "p" and chunk.groups[0][0].kind == "Q":
            mode = PRESENT if not chunks[i - 1].nouns and since < i - 1 else mode
        scopes[i].presence, scopes[i].rule = mode, rule if mode != PRESENT else ""


def _direct(cues: Sequence[Item], k: int) -> bool:
    """Whether nothing but hedges and such stands between a cue and the chunk after it."""
    return all(
        cue.kind in _HEDGE or cue.kind in ("suggest", "hedgepost", "show", "neg", "be", "-", "seen", "w", "num") or cue.kind == "prep"
        for cue in cues[k + 1 :]
    )


def _transparent_head(chunk: Chunk) -> bool:
    """"No change in the effusion" denies the change only."""
    return bool(chunk.nouns) and chunk.nouns[-1].kind == "N"


def _own_claim(chunks: Sequence[Chunk], i: int, words: Sequence[str], size: frozenset[str], mode: str) -> bool:
    """Whether the next item of a list is a claim of its own, so that the scope ends before it."""
    chunk = chunks[i]
    joins = [words[cue.start] for cue in chunk.cues if cue.kind in _JOIN]
    if "or" in joins or "nor" in joins:
        return not chunk.nouns and _is_subject(chunks, i)
    first = chunk.groups[0][0]
    if not chunk.nouns and (chunk.anatomy or first.kind in "QK"):
        return not _list_goes_on(chunks, i, words) or _is_subject(chunks, i)
    if first.kind == "E" and not chunks[i - 1].nouns[-1:] == [first] and "and" not in joins:
        return not (chunks[i - 1].nouns and chunks[i - 1].nouns[-1].kind == "E")
    if _list_goes_on(chunks, i, words):
        return False
    claims = words[first.start] in size or first.kind in "XQK"
    if mode == UNCERTAIN and "," in joins and "and" not in joins:
        return True
    return claims or (first.kind == "S" and joins == [","])


def _is_subject(chunks: Sequence[Chunk], i: int) -> bool:
    """An anatomy chunk followed by a predicate."""
    if i + 1 >= len(chunks):
        return False
    after = chunks[i + 1]
    return after.link == "p" or any(cue.kind in ("be", "show") for cue in after.cues)


def _list_goes_on(chunks: Sequence[Chunk], i: int, words: Sequence[str]) -> bool:
    """Whether an "or" joins a later item of the same list."""
    for chunk in chunks[i + 1 :]:
        kinds = {cue.kind for cue in chunk.cues}
        if kinds & (_BREAKS | _NEG | {"be", "show", "with", "from"}):
            return False
        if any(words[cue.start] in ("or", "nor") for cue in chunk.cues):
            return True
    return False


def _backward(
    chunks: Sequence[Chunk], i: int, cues: Sequence[Item], followed: bool, words: Sequence[str], scopes: list[Scope]
) -> None:
    """Apply what the cues before chunk ``i`` say of the chunks before them."""
    for k, cue in enumerate(cues):
        kind = cue.kind
        if kind not in _BACKWARD:
            continue
        if any(c.kind in _BREAKS or c.kind == "," for c in cues[:k]) and not _resumes(cues[:k]):
            return
        if kind == "versus":
            _mark(chunks, i, words, scopes, UNCERTAIN, "hedge:versus", short=True)
        elif kind == "negpostnot":
            continue
        elif kind == "impossible":
            _mark(chunks, i, words, scopes, NOTHING, "not-assessed")
        elif kind == "negpost" or (kind == "neg2" and not (followed and _direct(cues, k))):
            if kind == "negpost" and followed and _direct(cues, k) and not any(c.kind == "be" for c in cues[:k]):
                if not words[cue.start] in ("not", "no", "has", "have"):
                    continue
            if any(c.kind in _NEG for c in cues[:k]):  # "has not resolved"
                continue
            _mark(chunks, i, words, scopes, ABSENT, f"negation:{'-'.join(words[cue.start : cue.end])}")
        elif kind in ("hedgepost", "hedge2", "hedge"):
            two_way = kind != "hedgepost" or words[cue.end - 1] in _TWO_WAY
            if two_way and followed and _direct(cues, k):
                continue
            if kind == "hedge" and cue.end - cue.start == 1 and followed:
                continue
            _mark(chunks, i, words, scopes, UNCERTAIN, f"hedge:{'-'.join(words[cue.start : cue.end])}")


def _resumes(cues: Sequence[Item]) -> bool:
    """A comma that closes an aside before the verb: "the effusion, small before, is no longer seen"."""
    return all(c.kind in (",", "be", "from", "w", "num", ")", "prep", "seen", "break") for c in cues) and not any(
        c.kind == ";" for c in cues
    )


def _mark(
    chunks: Sequence[Chunk],
    i: int,
    words: Sequence[str],
    scopes: list[Scope],
    presence: str,
    rule: str,
    short: bool = False,
) -> None:
    """Give the subject that ends before chunk ``i`` its presence; a denial already there stays."""
    j = i - 1
    found = False
    joined_by_word = False
    while j >= 0:
        chunk = chunks[j]
        if chunk.nouns or chunk.adjective:
            if scopes[j].presence == PRESENT or presence == ABSENT or presence == NOTHING:
                scopes[j] = Scope(presence, rule)
            found = found or bool(chunk.nouns)
        kinds = {cue.kind for cue in chunk.cues}
        if kinds & (_BREAKS | {"show", "be", "suggest", "suggesthedge", "with", "from"}):
            return
        if short and found:
            return
        if chunk.link:
            j -= 1
            continue
        if found:
            joined_by_word = joined_by_word or any(words[cue.start] in ("and", "or") for cue in chunk.cues)
            if not kinds & _JOIN or not joined_by_word:
                if not ("prep" in kinds and j > 0 and chunks[j - 1].nouns and chunks[j - 1].nouns[-1].kind != "E"):
                    return
            if kinds & (_NEG | _HEDGE):
                return
        elif kinds & (_NEG | _HEDGE):
            return
        j -= 1
