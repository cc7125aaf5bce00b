"""What is counted of one study's triplet text beside the reference's, for ``metrics.text``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Set
from dataclasses import dataclass

from kgbuild.domain import Annotation
from kgbuild.labels import Presence
from kgbuild.metrics.bleu import COLUMNS, bleu_counts
from kgbuild.metrics.counting import count_polarity
from kgbuild.metrics.matching import entity_keys, relation_keys, speller
from kgbuild.metrics.rouge import rouge_l
from kgbuild.metrics.score import Bootstrap
from kgbuild.metrics.tally import Tally
from kgbuild.notation.triplets import Triplet, parse_triplets, to_triplets
from kgbuild.text import tokenize

_SPELL = speller("v1")
_PRESENT, _UNCERTAIN, _ABSENT = 1, 2, 4


@dataclass(frozen=True, slots=True)
class Written:
    """One side of one study.

    Attributes:
        text: the triplet text that is scored.
        report: the report's tokens joined by one space, where it is known.
        annotation: the entities and relations (tokens are not needed) of a side that is a graph.
        encoded: whether ``text`` was made from ``annotation``, which then says the presences.
    """

    text: str
    report: str | None = None
    annotation: Annotation | None = None
    encoded: bool = False


def spaced(text: str) -> list[str]:
    """Words of a text as n-grams are counted: commas and semicolons stand alone."""
    return text.replace(",", " , ").replace(";", " ; ").split()


class Facts:
    """What a text says: its words, its pieces, the entities it names with their presences, its relations."""

    def __init__(self, side: Written) -> None:
        self.words = spaced(side.text)
        found, self.rejected = parse_triplets(side.text)
        self.pieces = Counter(triplet.text() for triplet in found)
        self.pieces.update(" ".join(piece.split()) for piece in self.rejected)
        self.relations = {one.text("none") for one in found if one.tail is not None}
        self.presences = _presences(found)
        self.marked = any(said != _PRESENT for said in self.presences.values())
        if side.encoded and side.annotation is not None:
            known = _presences(to_triplets(side.annotation))
            self.presences = {words: known.get(words, said) for words, said in self.presences.items()}
            self.marked = True


def _presences(triplets: list[Triplet]) -> dict[str, int]:
    """The set of presences that each entity's words come with, as bits."""
    found: dict[str, int] = {}
    for triplet in triplets:
        found[triplet.head] = found.get(triplet.head, 0) | _bit(triplet.head_presence)
        if triplet.tail is not None:
            found[triplet.tail] = found.get(triplet.tail, 0) | _bit(triplet.tail_presence)
    return found


def _bit(presence: Presence | None) -> int:
    return _ABSENT if presence is Presence.ABSENT else _UNCERTAIN if presence is Presence.UNCERTAIN else _PRESENT


class TextCounts:
    """Counts of one prediction over all studies.

    Attributes:
        tally: counts of the texts; ``spans``: of the annotations, where both sides are annotated.
        marked: whether the reference's, and the prediction's, texts say presences at all.
        reports, annotated: whether a report was known, and annotations on both sides, for any study.
        missing, text_differs: studies without a prediction; studies whose two reports differ.
    """

    def __init__(self, bootstrap: Bootstrap, beta: float) -> None:
        self.tally, self.spans, self.beta = Tally(bootstrap), Tally(bootstrap), beta
        self.marked = (False, False)
        self.reports = self.annotated = False
        self.missing = self.text_differs = 0

    def count(self, number: int, reference: Written, facts: Facts, given: Written | None) -> None:
        """Count one study; a missing prediction is an empty text and an empty annotation."""
        self.missing += given is None
        guess = given or Written("", annotation=Annotation("", ()))
        says = Facts(guess)
        for name, amount in zip(COLUMNS, bleu_counts(facts.words, says.words), strict=True):
            self.tally.add(f"bleu/{name}", number, amount)
        self.tally.add("rouge", number, rouge_l(facts.words, says.words, self.beta))
        right = (facts.pieces & says.pieces).total()
        self.tally.match("triplet", number, right, facts.pieces.total(), says.pieces.total())
        self._match(self.tally, "entity", number, facts.presences.keys(), says.presences.keys())
        self._match(self.tally, "relation", number, facts.relations, says.relations)
        self.tally.add("unparsed", number, len(says.rejected))
        self._polarity(number, facts, says)
        self._invented(number, reference.report, guess.report, says)
        if reference.annotation is not None and guess.annotation is not None:
            self.annotated = self.annotated or given is not None
            self._spans(number, reference.annotation, guess.annotation)

    def _match(self, tally: Tally, name: str, number: int, gold: Set[object], guess: Set[object]) -> None:
        tally.match(name, number, len(gold & guess), len(gold), len(guess))

    def _polarity(self, number: int, facts: Facts, says: Facts) -> None:
        self.marked = self.marked[0] or facts.marked, self.marked[1] or says.marked
        both = [(facts.presences[words], said) for words, said in says.presences.items() if words in facts.presences]
        unlike = [(gold, guess) for gold, guess in both if gold != guess]
        self.tally.add("polarity", number, len(both))
        self.tally.add("polarity/errors", number, len(unlike))
        self.tally.add("polarity/flips", number, sum(_flipped(gold, guess) for gold, guess in unlike))

    def _invented(self, number: int, gold: str | None, guess: str | None, says: Facts) -> None:
        report = guess if gold is None else gold
        if report is None:
            return
        self.reports = True
        self.text_differs += guess is not None and guess != report
        text = f" {report} ".casefold()
        self.tally.add("invented/of", number, len(says.presences))
        self.tally.add("invented", number, sum(not _holds(text, words) for words in says.presences))

    def _spans(self, number: int, gold: Annotation, guess: Annotation) -> None:
        keys = entity_keys(gold, _SPELL), entity_keys(guess, _SPELL)
        self._match(self.spans, "entity", number, set(keys[0]), set(keys[1]))
        self._match(self.spans, "relation", number, relation_keys(gold, keys[0]), relation_keys(guess, keys[1]))
        count_polarity(self.spans, number, gold, guess)


def _flipped(gold: int, guess: int) -> bool:
    """Whether the guess adds present where the reference has absent, or the reverse."""
    more = guess & ~gold
    return bool((more & _PRESENT and gold & _ABSENT) or (more & _ABSENT and gold & _PRESENT))


def _holds(text: str, words: str) -> bool:
    """Whether a report (with a space at each end) holds an entity's words, also if a model did not cut them apart."""
    if f" {words} ".casefold() in text:
        return True
    return f" {' '.join(token.text for token in tokenize(words))} ".casefold() in text
