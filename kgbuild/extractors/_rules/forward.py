"""The left-to-right pass over a sentence: scopes that cues open before what they deny, doubt or advise.

A scope runs over a list and ends at a new clause, or at a phrase that makes a claim of its own: "no pneumothorax, small
left effusion". A hedge inside a denial does not weaken it; a second denial lifts the first ("not free of").
"""

from __future__ import annotations

from collections.abc import Sequence

from kgbuild.extractors._rules import lists
from kgbuild.extractors._rules.chunks import Chunk
from kgbuild.extractors._rules.cues import (
    ABSENT,
    BREAKS,
    HEDGE,
    JOIN,
    NEG,
    NOTHING,
    PRESENT,
    TWO_WAY,
    UNCERTAIN,
    VERBS,
    Scope,
    attributive,
    direct,
    rule_of,
)
from kgbuild.extractors._rules.lexicon import Lexicon
from kgbuild.extractors._rules.tagging import Item

_APART = frozenset({"distinguish", "differentiate"})
_INSTEAD = frozenset({"negation:rather-than", "negation:instead-of"})


class Forward:
    """The left-to-right pass: ``mode`` is what holds for the next chunk."""

    def __init__(
        self, chunks: Sequence[Chunk], trailing: Sequence[Item], words: Sequence[str], lexicon: Lexicon
    ) -> None:
        self.chunks = chunks
        self.trailing = trailing
        self.words = words
        self.size = lexicon.traits["size"]
        self.counted = lexicon.traits["counted"]
        self.narrowing = lexicon.traits["narrowing"]
        self.onset = lexicon.traits["onset"]
        self.outcome = lexicon.traits["outcome"]
        self.mode = PRESENT
        self.rule = ""
        self.since = 0  # chunk before which the scope opened
        self.verb = False  # a verb has closed the clause that the scope opened in

    def run(self, scopes: list[Scope]) -> None:
        """Fill in the scopes."""
        for i, piece in enumerate(self.chunks):
            joined, fresh = self._cues(i, piece.cues, scopes)
            open_ = self.mode in (ABSENT, UNCERTAIN) and self.since < i and not fresh
            if open_ and (self._own_claim(i) if joined else self._run_on(i)):
                self.mode = PRESENT
            scope = scopes[i]
            scope.presence = self.mode
            scope.rule = self.rule if self.mode != PRESENT else ""
            scope.own = fresh

    def _open(self, mode: str, rule: str, i: int) -> None:
        self.mode, self.rule, self.since, self.verb = mode, rule, i, False

    def _cues(self, i: int, cues: Sequence[Item], scopes: Sequence[Scope]) -> tuple[bool, bool]:
        """Read the cues before chunk ``i``: (joined to the chunk before, a scope opened or ended here)."""
        joined = fresh = False
        words = self.words
        for k, cue in enumerate(cues):
            kind = cue.kind
            if kind == ";" and self.mode == ABSENT and lists.by_semicolons(self.chunks, i, words):
                joined = True
            elif kind in BREAKS:
                if self.mode != NOTHING or kind != "(":
                    self.mode, fresh = PRESENT, True
            elif kind in JOIN:
                joined = True
            elif kind in NEG:
                joined = joined or words[cue.start] == "nor"
                fresh = self._deny(i, cues, k, joined, scopes) or fresh
            elif kind == "negpost":
                first = i == 0 and k + 1 < len(cues) and all(later.kind == "be" for later in cues[k + 1 :])
                if first or (attributive(cues, k, words) and (i == 0 or "prep" in [c.kind for c in cues[:k]])):
                    self._open(ABSENT, rule_of(cue, words, "negation"), i)
                    fresh = True
            elif kind == "versus" and self.chunks[i].groups[0][0].kind == "X":
                continue
            elif i == 0 and k == 0 and words[cue.start : cue.end] == ["suggest"]:
                self._open(NOTHING, "advice:suggest", i)  # "Suggest follow-up …"
                fresh = True
            elif kind in HEDGE or kind == "hedgepost":
                fresh = self._doubt(i, cues, k, joined, fresh) or fresh
            elif kind == "advice":
                if not (self.mode == ABSENT and self.since == i):
                    self._open(NOTHING, rule_of(cue, words, "advice"), i)
                    fresh = True
            elif self.since < i and self.mode in (ABSENT, UNCERTAIN):
                self._wear(i, cue)
            if kind in VERBS and self.since < i:
                self.verb = True
        return joined, fresh

    def _deny(self, i: int, cues: Sequence[Item], k: int, joined: bool, scopes: Sequence[Scope]) -> bool:
        cue = cues[k]
        words = self.words
        if cue.kind == "neg2" and not direct(cues, k, words):
            return False
        if self.mode == NOTHING and not joined:
            return False
        if words[cue.start] not in ("neither", "nor") and self._ended(cue, cues[k + 1 :]):
            return False
        rule = rule_of(cue, words, "negation")
        if self.mode == ABSENT and self.since == i and words[cue.start] not in ("no", "any", "nor"):
            self._open(PRESENT, "", i)  # "not without", "no resolution of"
            return True
        before = scopes[i - 1] if i and k == 0 else None
        of = words[cue.end - 1] in ("of", "from") and self.chunks[i - 1].end == cue.start
        if before is not None and of and before.own and before.presence == ABSENT:  # "not clear of"
            self._open(PRESENT, "", i)
            return True
        self._open(ABSENT, rule, i)
        return True

    def _ended(self, cue: Item, later: Sequence[Item]) -> bool:
        """As in "not surprisingly, …", "no prior film, and …": the denial has ended before the chunk."""
        return any(
            join.kind in JOIN
            and join.kind != "-"
            and self.words[join.start - 1] not in ("xxxx", "___")
            and (join.start > cue.end or join.kind == ",")
            for join in later
        )

    def _doubt(self, i: int, cues: Sequence[Item], k: int, joined: bool, fresh: bool) -> bool:
        cue = cues[k]
        words = self.words
        if cue.kind == "hedgepost" and words[cue.end - 1] not in TWO_WAY and k > 0:
            return False
        if not direct(cues, k, words) and words[cue.start : cue.end] != ["if", "anything"]:
            return False
        if self.mode == NOTHING:
            return False
        if self.mode == ABSENT and words[cue.end - 1] not in ("if", "whether"):
            if self.since == i:
                return False
            if not (joined or fresh or cue.kind == "versus" or self.verb):
                return False
        self._open(UNCERTAIN, rule_of(cue, words, "hedge"), i)
        return True

    def _wear(self, i: int, cue: Item) -> None:
        """Cues that end a scope without being a new clause."""
        kind = cue.kind
        nouns = any(piece.nouns or piece.adjective for piece in self.chunks[self.since : i])
        if kind == "with":
            if self.mode == ABSENT or cue.end - cue.start == 1:
                self.mode = PRESENT
        elif kind in ("from", "show"):
            if self.mode == ABSENT and self.words[cue.start - 1] in ("or", "nor", "changes"):
                return  # "no pneumonia or post primary infection", "no changes from chronic infection"
            apart = self.words[cue.start] == "from" and not _APART.isdisjoint(self.rule.split("-"))
            if nouns and not apart and self.words[cue.start] not in ("to", "as", "by", "for", "than"):
                self.mode = PRESENT
        elif kind == "suggest":
            if self.mode == UNCERTAIN or self.verb:
                self.mode = PRESENT
        elif kind == "prep":
            head = self.chunks[i - 1].nouns[-1:]
            if (
                head and head[0].kind == "N" and self.words[head[0].start] not in self.onset
            ):  # "no change in the effusion" denies the change only
                self.mode = PRESENT
            elif self.chunks[i].groups[-1][-1].kind == "E" and head and head[0].kind != "E":
                self.mode = PRESENT  # "no kinking of the catheter"

    # -- lists --------------------------------------------------------------------------------------------------

    def _own_claim(self, i: int) -> bool:
        """Whether the next item of a list is a claim of its own, so that the scope ends before it."""
        chunks, words = self.chunks, self.words
        piece = chunks[i]
        joins = [words[cue.start] for cue in piece.cues if cue.kind in JOIN]
        first = piece.groups[0][0]
        if "or" in joins or "nor" in joins:
            return not piece.nouns and lists.subject(self.chunks, i)
        if joins == [","] and not self.outcome.isdisjoint(self.rule[9:].split("-")):
            return True  # "after removal of the tube, …"
        if joins == [","] and self.since == i - 1 == 0 and self.rule in _INSTEAD:
            return True  # "rather than pneumonia, the opacity …"
        goes_on = lists.goes_on(
            self.chunks, i, self.words, ("or", "nor", "/") if self.mode == ABSENT else ("or", "nor")
        )
        if self.verb and not goes_on:
            return True
        if not piece.nouns and (piece.anatomy or first.kind in "QK"):
            return not goes_on or lists.subject(self.chunks, i)
        if self.rule == "negation:not" and not goes_on:
            return True
        if first.kind == "E" and "and" not in joins:
            before = chunks[i - 1].nouns[-1:]
            return not (before and before[0].kind == "E")
        if goes_on:
            return False
        if "," in joins and "and" in joins and lists.seen(self.chunks, i, self.trailing):
            return True
        if lists.predicated(self.chunks, i, self.trailing):
            return True
        if self.mode == UNCERTAIN and self.counted & set(self.rule[6:].split("-")):
            return False
        if self.mode == UNCERTAIN and joins == [","]:
            return not lists.goes_on(self.chunks, i, self.words, ("and",)) or words[first.start] in self.size
        if words[first.start] in self.size or first.kind in "XQK":
            return True
        return first.kind == "S" and joins[-1:] in ([","], ["-"])

    def _run_on(self, i: int) -> bool:
        """A phrase put beside the one in scope without any cue: a new statement where it is a whole phrase."""
        piece = self.chunks[i]
        before = self.chunks[i - 1].nouns[-1:]
        if piece.link and before and before[0].kind == "N" and self.words[before[0].start] not in self.onset:
            return True  # "no change calcified node"
        if not piece.link:  # "no effusion seen mild atelectasis"
            seen = piece.kinds[-1:] == ["seen"] or (self.verb and not piece.cues)
            return seen and bool(piece.nouns) and piece.first.kind in "MSQKE"
        if piece.link == "p" and not piece.nouns:
            return piece.groups[0][0].kind == "Q" and self.since < i - 1 and not self.chunks[i - 1].nouns
        return bool(piece.nouns) and piece.groups[0][0].kind in "MSQKE" and not self._forgotten_comma(i)

    def _forgotten_comma(self, i: int) -> bool:
        """Whether a phrase beside a denial is its next item: an "or" follows, or it names what is denied as such."""
        if self.mode != ABSENT:
            return False
        if lists.goes_on(self.chunks, i, self.words, ("or", "nor", "/")):
            return True
        first = self.chunks[i].groups[0]
        sided = any(item.kind == "S" for group in self.chunks[i].groups for item in group)
        return self.words[first[0].start] in self.narrowing and not sided
