"""Gather tagged items into chunks: noun phrases, predicates and places, each with the cues that stand before it.

Entities without a cue between them are one run; ``runs`` cuts a run into phrases and lends nouns over conjunctions.
"""

from __future__ import annotations

from collections.abc import Sequence

from kgbuild.extractors._rules import context
from kgbuild.extractors._rules.chunks import Chunk
from kgbuild.extractors._rules.lexicon import Lexicon
from kgbuild.extractors._rules.runs import merge, split_run
from kgbuild.extractors._rules.tagging import ANATOMY, ENTITY, NOUNS, TRANSPARENT, Item

_GAPS = frozenset({"xxxx", "___"})
_CARRIERS = frozenset({"structures", "structure"})


def chunk(items: Sequence[Item], words: Sequence[str], lexicon: Lexicon) -> tuple[list[Chunk], list[Item]]:
    """Chunks of a sentence, and the cues after the last one."""
    builder = _Builder(items, words, lexicon)
    for i, item in enumerate(items):
        builder.take(i, item)
    builder.close()
    return merge(builder.chunks, words), builder.cues


class _Builder:
    """The scan's state: the open run of entities, the cues before it, and whether removed text stands before."""

    def __init__(self, items: Sequence[Item], words: Sequence[str], lexicon: Lexicon) -> None:
        self.items = items
        self.words = words
        self.lexicon = lexicon
        self.chunks: list[Chunk] = []
        self.cues: list[Item] = []
        self.run: list[Item] = []
        self.gap = self.run_gap = self.ended = False

    def take(self, i: int, item: Item) -> None:
        """Read the next item."""
        kind = item.kind
        if kind in ENTITY:
            word = self.words[item.start]
            if kind in "LD" or word in self.lexicon.contextual or (kind in "SM" and self._before_bounds(i)):
                kind = context.kind_of(self.items, i, self.words, self.run, self.lexicon.traits)
                if kind != item.kind:
                    item = Item(item.start, item.end, kind, item.source)
            if kind in ENTITY:
                self._entity(item)
                return
        elif kind in TRANSPARENT:
            word = self.words[item.start]
            if word in _GAPS:
                self.gap = True
            elif word in _CARRIERS and self.run:
                self.ended = True
            return
        self._cue(i, item)

    def _before_bounds(self, i: int) -> bool:
        return i + 1 < len(self.items) and self.items[i + 1].kind == "B"

    def _governed(self) -> bool:
        """The open run is a place after a preposition, complete in itself: "in the left base"."""
        last = self.cues[-1].kind if self.cues else ""
        return last == "prep" and self.run[-1].kind == "A" and bool(self.chunks)

    def _entity(self, item: Item) -> None:
        kind = item.kind
        run = self.run
        if kind == "L":
            self.close()
            self.cues.append(Item(item.start, item.end, "prep", item.source))
            self._entity(Item(item.start, item.end, "S", "place"))
            return
        if (
            self.gap
            and run
            and (
                _gap_breaks(run[-1].kind, kind)
                or self.words[run[-1].start] == "lymph"
                or (kind in "OM" and self._governed())
            )
        ):
            self.close()
        if not self.run:
            self.run_gap = self.gap
        self.run.append(item)
        self.gap = False

    def _cue(self, i: int, item: Item) -> None:
        words, run = self.words, self.run
        kind = item.kind
        word = words[item.start]
        if kind in TRANSPARENT:
            return
        if kind in ("count", "prior"):
            seen_before = kind == "prior" and item.start > 0 and words[item.start - 1] == "the"
            if not seen_before and context.before_finding(self.items, i):
                self._entity(Item(item.start, item.end, "M", item.source))
                return
            if kind == "count" or (seen_before and context.before_finding(self.items, i)):
                return  # "the prior opacities" are those seen before
            item = Item(item.start, item.end, "from", item.source)
            kind = "from"
        if kind == "w" and context.new_finding(word, self.items, i, run, self.cues, self.lexicon.traits):
            self._entity(Item(item.start, item.end, "O", "shape"))
            return
        if kind == "prep" and word in ("within", "of"):
            bound = context.bounds(self.items, i, word, run)
            if bound == "I":
                if run and run[-1].kind in ANATOMY:
                    self.close()
                    self.cues.append(Item(item.start, item.start, "be"))
                self._entity(Item(item.start, item.end, "I"))
            if bound:
                return
        if run:
            if word == "appearing" and context.before_finding(self.items, i):
                return  # "suspicious appearing nodules"
            if word == "absent" and all(other.kind in ANATOMY for other in run):
                self.close()  # "gallbladder absent": a finding of its own
                self.cues.append(Item(item.start, item.start, "be"))
                self._entity(Item(item.start, item.end, "M"))
                return
            if kind == "-" and words[run[-1].start] in ("well", "poorly") and run[-1].end == item.start:
                return
            if word == "through" and context.ranges(self.items, i, words, run):
                return
            if kind == "from":
                if word == "to" and context.ranges(self.items, i, words, run):
                    return
                if word == "chest" and all(other.kind in "QK" for other in run):
                    self._entity(Item(item.start, item.start + 1, "A"))  # "normal chest radiographs"
                    self.close()
                    self.cues.append(item)
                    return
                if word in self.lexicon.traits["view"] and all(
                    other.kind in ("MD" if word == "projection" else "MDJS") for other in run
                ):
                    run.clear()  # "the most recent study", "a limited exam", "an abdominal CT"
            elif kind == "be" and self.cues and self.cues[-1].kind == "be" and run[0].kind in "QK":
                self._forgotten_stop()
            elif word == "course" and all(other.kind in "MS" for other in run):
                run.clear()  # "takes an upward course"
            self.close()
        self.gap = False
        self.cues.append(item)

    def _forgotten_stop(self) -> None:
        """As in "vascularity is unremarkable lungs are clear": what follows the state is the next subject."""
        run = self.run
        at = next((k for k, item in enumerate(run) if item.kind in ANATOMY), 0)
        if at and run[-1].kind in ANATOMY:
            self.run, rest = run[:at], run[at:]
            self.close()
            self.cues.append(Item(rest[0].start, rest[0].start, ";"))
            self.run = rest

    def close(self) -> None:
        """End the open run; its phrases become chunks."""
        if not self.run:
            return
        cues, gap = self.cues, self.run_gap
        chunks = self.chunks
        for part, link in split_run(self.run, self.words):
            piece = Chunk([part], cues, link, gap)
            piece.note()
            chunks.append(piece)
            cues, gap = [], False
        self.chunks[-1].gap_after = self.gap or self.ended
        self.ended = False
        self.cues, self.run = [], []


def _gap_breaks(last: str, kind: str) -> bool:
    """Removed text between a finished phrase and the next word most likely held a verb or preposition."""
    return last in NOUNS or (last == "G" and kind in "SJAMQKD")
