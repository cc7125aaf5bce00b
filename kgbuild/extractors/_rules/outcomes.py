"""Words of a denial that are observations themselves: "has **resolved**", "interval **removal** of".

What is gone is absent; the word that says so is there, and modifies it.
"""

from __future__ import annotations

from collections.abc import Sequence

from kgbuild.extractors._rules.chunks import Chunk
from kgbuild.extractors._rules.cues import ABSENT, PRESENT, Scope, rule_of
from kgbuild.extractors._rules.lexicon import Lexicon
from kgbuild.extractors._rules.phrase import MODIFY, Edge
from kgbuild.extractors._rules.tagging import Item

_KINDS = frozenset({"neg", "negpost", "negpostnot"})


def read(
    chunks: Sequence[Chunk],
    trailing: Sequence[Item],
    scopes: Sequence[Scope],
    words: Sequence[str],
    lexicon: Lexicon,
    edges: list[Edge],
) -> list[tuple[Item, str, str]]:
    """Rows (item, presence, rule) of these words; their relations are added to ``edges``."""
    rows: list[tuple[Item, str, str]] = []
    outcome = lexicon.traits["outcome"]
    for i, cues in enumerate([*(piece.cues for piece in chunks), trailing]):
        for cue in cues:
            if cue.kind not in _KINDS or outcome.isdisjoint(words[cue.start : cue.end]):
                continue
            heads = _heads(chunks, scopes, i, cue, words)
            if not heads:
                continue
            presence = ABSENT if cue.kind == "negpostnot" and "not" in words[cue.start : cue.end] else PRESENT
            at = next(k for k in range(cue.start, cue.end) if words[k] in outcome)
            item = Item(at, at + 1, "K")
            rows.append((item, presence, ""))
            edges.extend((item, MODIFY, head, "modify:outcome") for head in heads)
            if words[cue.start] == "interval":
                interval = Item(cue.start, cue.start + 1, "M")
                rows.append((interval, PRESENT, ""))
                edges.append((interval, MODIFY, item, "modify:outcome"))
    return rows


def _heads(chunks: Sequence[Chunk], scopes: Sequence[Scope], i: int, cue: Item, words: Sequence[str]) -> list[Item]:
    """Nouns that the cue speaks of: those it denied, else for a denial undone the nearest before."""
    if cue.kind == "negpostnot":
        return next((piece.nouns[-1:] for piece in reversed(chunks[:i]) if piece.nouns), [])
    rule = rule_of(cue, words, "negation")
    return [piece.nouns[-1] for piece, scope in zip(chunks, scopes, strict=True) if piece.nouns and scope.rule == rule]
