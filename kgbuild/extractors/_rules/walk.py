"""What a left-to-right walk over the phrases of a sentence remembers: what later phrases can hang on.

The rules are in ``nouns``, ``predicates`` and ``sites``; each names itself in the relations it makes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from kgbuild.extractors._rules.lexicon import Lexicon
from kgbuild.extractors._rules.phrase import LOCATED, Edge, Phrase
from kgbuild.extractors._rules.tagging import Item

SITES = frozenset("AJGS")
_JOIN = frozenset({"andor", ",", "/", "-", "versus"})
_NEG = frozenset({"neg", "neg2"})
HEDGES = frozenset({"hedge", "hedge2", "suggesthedge"})
_LISTED = _JOIN | _NEG | HEDGES


@dataclass(slots=True)
class Walk:
    """The state.

    Attributes:
        edges: (source, type, target, rule), collected.
        role: of the phrase before: ``noun``, ``predicate``, ``site``, ``generic``, ``size``; empty at the start.
        subject: heads of the clause's subject, all anatomy or all observations.
        observed: last group of observation heads, for coordination.
        spot: the generic noun of the subject, where it is a spot itself ("pleural spaces").
        targets: what the last predicate was said of.
        lungs: where the first observation is, if that is in the lungs: sides named later are theirs.
        topic: first anatomical subject of the sentence that denials are said of ("lungs are clear, without …").
        topical: the running list of denials is said of the topic.
        waiting: sites of a phrase that comes before its observation.
        governed: observations that the last place was given to.
        generics: generic nouns of the last place; ``pending``: generic nouns still without an organ.
        reason: what the items of a running "suggests A or B" hang on; ``inherits``: its sites are theirs.
        anchor: last observation with a site.
        device, tip: last device and part of one.
        compared: a side has just been named to compare it.
        qualified: the last observation has adjectives of its own.
        narrows: nouns whose "of" list goes on ("position of the lines and tubes").
        accompanied: the last observation only came "with" the subject.
        described: the last site came with its adjectives ("enlarged heart").
    """

    words: Sequence[str]
    lexicon: Lexicon
    edges: list[Edge]
    role: str = ""
    subject: list[Item] = field(default_factory=list)
    observed: list[Item] = field(default_factory=list)
    spot: Item | None = None
    targets: list[Item] = field(default_factory=list)
    lungs: list[Item] = field(default_factory=list)
    topic: list[Item] = field(default_factory=list)
    topical: bool = False
    waiting: list[Item] = field(default_factory=list)
    governed: list[Item] = field(default_factory=list)
    generics: list[Item] = field(default_factory=list)
    pending: list[Item] = field(default_factory=list)
    reason: list[Item] = field(default_factory=list)
    inherits: bool = True
    anchor: Item | None = None
    device: Item | None = None
    tip: Item | None = None
    compared: bool = False
    qualified: bool = False
    narrows: list[Item] = field(default_factory=list)
    accompanied: bool = False
    described: bool = False

    @property
    def subject_is_site(self) -> bool:
        """The subject is a body part."""
        return bool(self.subject) and self.subject[0].kind in SITES

    def text(self, item: Item) -> str:
        """The item's words."""
        return " ".join(self.words[item.start : item.end])

    def has(self, item: Item, trait: str) -> bool:
        """Whether the item is one of a set of words."""
        return self.text(item) in self.lexicon.traits[trait]

    def add(self, sources: Iterable[Item], kind: str, targets: Iterable[Item], rule: str) -> None:
        """Relations from each source to each target."""
        targets = list(targets)
        for source in sources:
            for target in targets:
                self.edges.append((source, kind, target, rule))

    def sites_of(self, item: Item) -> list[Item]:
        """Where an observation is, so far."""
        return [edge[2] for edge in self.edges if edge[0] is item and edge[1] == LOCATED]

    def word_before(self, phrase: Phrase) -> str:
        """Last word of the cues before a phrase."""
        cues = phrase.chunk.cues
        return self.words[cues[-1].end - 1] if cues else ""


def joined(kinds: Sequence[str]) -> bool:
    """The phrase goes on a list: conjunctions and commas, perhaps with a hedge or "no", and nothing else."""
    found = False
    for kind in kinds:
        if kind in _JOIN:
            found = True
        elif kind not in _LISTED:
            return False
    return found


def denied(kinds: Sequence[str]) -> bool:
    """A word of denial stands before the phrase."""
    return "neg" in kinds or "neg2" in kinds
