"""What the report says of each chunk: present, uncertain, absent, or nothing about this patient now.

Two passes, each only where there is a cue for it: ``forward`` opens scopes, ``backward`` corrects subjects.
"""

from __future__ import annotations

from collections.abc import Sequence

from kgbuild.extractors._rules.backward import Backward
from kgbuild.extractors._rules.chunks import Chunk
from kgbuild.extractors._rules.cues import ABSENT, BACKWARD, FORWARD, NEG, Scope
from kgbuild.extractors._rules.forward import Forward
from kgbuild.extractors._rules.lexicon import Lexicon
from kgbuild.extractors._rules.tagging import Item

_NEITHER, _NOR = "negation:neither", "negation:nor"


def read(chunks: Sequence[Chunk], trailing: Sequence[Item], words: Sequence[str], lexicon: Lexicon) -> list[Scope]:
    """One scope a chunk, in order."""
    scopes = [Scope() for _ in chunks]
    kinds = {cue.kind for cue in trailing}
    for piece in chunks:
        for cue in piece.cues:
            kinds.add(cue.kind)
    if kinds & FORWARD:
        Forward(chunks, trailing, words, lexicon).run(scopes)
    if kinds & BACKWARD:
        from_here = Backward(chunks, words, lexicon, scopes)
        for i in range(1, len(chunks)):
            from_here.read(i, chunks[i].cues, True)
        from_here.read(len(chunks), trailing, False)
    _unchanged(chunks, words, scopes)
    if scopes and _answered_no(trailing, words):
        scopes[-1].presence, scopes[-1].rule = ABSENT, "negation:answer-no"
    return scopes


def _unchanged(chunks: Sequence[Chunk], words: Sequence[str], scopes: list[Scope]) -> None:
    """As in "neither A nor B has changed": it is the change that is denied, of findings that are there."""
    for i, scope in enumerate(scopes):
        if scope.rule != _NEITHER:
            continue
        last = i
        while last + 1 < len(scopes) and scopes[last + 1].rule == _NOR and chunks[last + 1].nouns:
            last += 1
        said = chunks[last + 1] if last + 1 < len(chunks) else None
        if said is not None and not said.nouns and (said.first.kind == "K" or words[said.start] == "new"):
            scopes[i : last + 1] = [Scope() for _ in range(i, last + 1)]
            scopes[last + 1] = Scope(ABSENT, _NEITHER, True)


def _answered_no(trailing: Sequence[Item], words: Sequence[str]) -> bool:
    """As in "Effusion: no." and "Consolidation - no.": the denial comes last, as the answer to a question."""
    said = [cue for cue in trailing if cue.kind != "."]
    if not said or said[-1].kind not in NEG:
        return False
    last = said[-1]
    return words[last.start - 1] in (":", "-") and not any(word.isalnum() for word in words[last.end :])
