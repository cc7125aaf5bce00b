"""The pass that looks back: "is not seen", "has resolved", "cannot be excluded" speak of the subject before them."""

from __future__ import annotations

from collections.abc import Sequence

from kgbuild.extractors._rules.chunks import Chunk
from kgbuild.extractors._rules.cues import (
    ABSENT,
    BACKWARD,
    BREAKS,
    HEDGE,
    JOIN,
    NEG,
    NOTHING,
    PRESENT,
    TWO_WAY,
    UNCERTAIN,
    Scope,
    attributive,
    direct,
    explains,
    rule_of,
)
from kgbuild.extractors._rules.lexicon import Lexicon
from kgbuild.extractors._rules.tagging import Item

_MOVES = frozenset({"back", "by", "into", "to", "slightly", "approximately", "about", "somewhat"})
_ENDS = frozenset(
    {"terminates", "terminating", "ends", "ending", "projects", "projecting", "overlies", "lies", "located"}
)
_NAMED = frozenset(
    f"negation:{noun}-of" for noun in ("absence", "lack", "resolution", "clearance", "clearing", "disappearance")
)
_EXCEPT = frozenset({"except", "aside", "apart", "other"})


class Backward:
    """What cues say of the chunks before them."""

    def __init__(self, chunks: Sequence[Chunk], words: Sequence[str], lexicon: Lexicon, scopes: list[Scope]) -> None:
        self.chunks = chunks
        self.words = words
        self.scopes = scopes
        self.earlier = lexicon.traits["earlier"]

    def read(self, i: int, cues: Sequence[Item], followed: bool) -> None:
        """Apply the cues that stand before chunk ``i`` (``followed``: there is one)."""
        words = self.words
        for k, cue in enumerate(cues):
            kind = cue.kind
            if kind not in BACKWARD:
                continue
            if not self._reaches(cues, k):
                return
            if kind == "versus" and followed and self.chunks[i].groups[0][0].kind == "X":
                continue  # "1 cm versus 2 cm before"
            if kind == "versus":
                self.mark(i, UNCERTAIN, rule_of(cue, words, "hedge"), short=True)
            elif kind == "negpostnot":
                self.mark(i, PRESENT, "")
            elif kind == "impossible":
                self.mark(i, NOTHING, "not-assessed")
            elif kind in ("negpost", "neg2"):
                self._denied(i, cues, k, followed)
            else:
                two_way = kind != "hedgepost" or words[cue.end - 1] in TWO_WAY
                if two_way and ((followed and direct(cues, k, words)) or explains(cues, k, words)):
                    continue
                if (kind == "hedge" and (followed or cue.end - cue.start > 1)) or words[cue.start : cue.end] == [
                    "if",
                    "anything",
                ]:
                    continue
                self.mark(i, UNCERTAIN, rule_of(cue, words, "hedge"))

    def _denied(self, i: int, cues: Sequence[Item], k: int, followed: bool) -> None:
        cue, words = cues[k], self.words
        if cue.kind == "neg2" and followed and direct(cues, k, words):
            return
        if followed and cue.kind == "negpost" and not self.chunks[i - 1].nouns and attributive(cues, k, words):
            return
        first = words[cue.start]
        after = words[cue.end : cue.end + 4]
        if first == "not" and (
            self.earlier & set(after)
            or after[1:2] == ["___"]
            or (after[:1] in (["in"], ["on"]) and "xxxx" in after)
            or (after[:2] == ["on", "the"] and "from" in words[cue.end : cue.end + 5])
        ):
            return
        if (
            first == "withdrawn"
            and followed
            and any(c.kind == "prep" and words[c.start] in _ENDS for c in cues[k + 1 :])
        ):
            return  # "has been withdrawn and now terminates in …"
        if first == "withdrawn" and ((followed and self.chunks[i].groups[0][0].kind == "X") or set(after[:1]) & _MOVES):
            return
        if first == "not" and after[:1] == ["on"] and "lateral" in after:
            self.mark(i, UNCERTAIN, rule_of(cue, words, "hedge"))  # of two views it is said of one
            return
        self.mark(i, ABSENT, rule_of(cue, words, "negation"))

    def _reaches(self, cues: Sequence[Item], k: int) -> bool:
        """Whether the cue still speaks of what stands before: no chunk lies between, so only a full break stops it."""
        return all(c.kind != ";" and (c.kind != ":" or cues[k].kind in ("negpost", "neg2")) for c in cues[:k])

    def mark(self, i: int, presence: str, rule: str, short: bool = False) -> None:
        """Give the subject that ends before chunk ``i`` its presence."""
        chunks = self.chunks
        j = i - 1
        found = by_word = False
        while j >= 0:
            piece = chunks[j]
            kinds = {cue.kind for cue in piece.cues}
            if "break" in kinds and self.words[piece.cues[0].start] in _EXCEPT and j:
                j -= 1  # "all tubes except the sheath have been removed"
                continue
            if not found and piece.anatomy and not piece.nouns and not piece.adjective and "prep" not in kinds:
                return  # the subject is a body part
            if found and piece.adjective and not piece.nouns:
                return
            if piece.nouns or (piece.adjective and not (piece.anatomy and "prep" in kinds)):
                self._set(j, presence, rule)
                found = found or bool(piece.nouns)
            if short and found:
                return
            if not found and not piece.nouns and not piece.anatomy and ("be" in kinds or piece.link == "p"):
                j -= 1  # a predicate: go on to its subject
                continue
            if kinds & (BREAKS | {"show", "be", "suggest", "suggesthedge", "with", "from", "seen"}):
                return
            if piece.link:
                j -= 1
                continue
            if found:
                if kinds & (NEG | HEDGE):
                    return
                by_word = by_word or any(self.words[cue.start] in ("and", "or") for cue in piece.cues)
                if not (kinds & JOIN and by_word) and not ("prep" in kinds and self._of_noun(j)):
                    return
            elif kinds & (NEG | HEDGE):
                return
            j -= 1

    def _of_noun(self, j: int) -> bool:
        """As in "spread of tumor", "areas of consolidation": the noun before is the subject as well."""
        before = self.chunks[j - 1].nouns[-1:] if j else []
        return bool(before) and before[0].kind != "E"

    def _set(self, j: int, presence: str, rule: str) -> None:
        scope = self.scopes[j]
        if presence == ABSENT and self.chunks[j].other and any(i.kind == "T" for i in self.chunks[j].groups[-1]):
            return  # a tip that is not seen is no line that is not there
        of = any(self.words[cue.start] == "of" for cue in self.chunks[j].cues)
        if presence == ABSENT and of and j and any(i.kind == "T" for i in self.chunks[j - 1].groups[-1]):
            return  # nor is "the tip of the line" that is not seen
        if presence == NOTHING and self.chunks[j].nouns and self.chunks[j].nouns[-1].kind == "E":
            return  # a device whose tip is out of the picture is there
        if presence == UNCERTAIN and scope.presence == ABSENT and scope.own and scope.rule not in _NAMED:
            return  # a denial that is doubted stays one, but where it is the subject: "absence of it is not certain"
        if presence == PRESENT and scope.own:
            return
        if scope.presence == NOTHING:
            return
        self.scopes[j] = Scope(presence, rule, True)
