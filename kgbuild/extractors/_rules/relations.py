"""Between chunks: who is located at, modified by or the reason for whom.

One walk from left to right keeps what later phrases can hang on: the clause's subject, the last observations (a list of
heads, because of coordination) and the sentence's first site. What stands between two chunks (preposition, verb, comma,
cue) decides the rule; each rule is one method of ``Walk`` and names itself in the relations it makes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from kgbuild.extractors._rules.lexicon import Lexicon
from kgbuild.extractors._rules.structure import LOCATED, MODIFY, SUGGEST, Edge, Phrase
from kgbuild.extractors._rules.tagging import Item

_JOIN = frozenset({"andor", ",", "/", "-"})
_NEG = frozenset({"neg", "neg2"})
_HEDGE = frozenset({"hedge", "hedge2", "suggesthedge"})
_CLAUSE = frozenset({"break", ";", ":", "show"})


@dataclass(slots=True)
class Walk:
    """State of the walk; ``edges`` collects (source, type, target, rule)."""

    words: Sequence[str]
    lexicon: Lexicon
    edges: list[Edge]
    subject: list[Item] = field(default_factory=list)  # heads of the clause's subject: all anatomy or all observations
    subject_is_site: bool = False
    observed: list[Item] = field(default_factory=list)  # last group of observation heads
    device: Item | None = None
    topic: list[Item] = field(default_factory=list)  # first anatomical subject of the sentence
    waiting: list[Item] = field(default_factory=list)  # sites of a phrase that comes before its observation
    reason: list[Item] = field(default_factory=list)  # what the items of a running "suggests A or B" hang on
    targets: list[Item] = field(default_factory=list)  # what the last predicate was said of
    previous: str = ""  # role of the chunk before: site, noun, predicate, generic
    governed: list[Item] = field(default_factory=list)  # observations the last prepositional site was given to

    def run(self, phrases: Sequence[Phrase]) -> None:
        """Walk all phrases of a sentence."""
        for phrase in phrases:
            kinds = [cue.kind for cue in phrase.chunk.cues]
            if ";" in kinds or "break" in kinds or ":" in kinds:
                self.reason = []
                if ":" not in kinds:
                    self.waiting = []
            if phrase.noun:
                self.noun(phrase, kinds)
            elif phrase.generics and not phrase.sites:
                self.generic(phrase, kinds)
            elif phrase.heads and not phrase.sites:
                self.predicate(phrase, kinds)
            elif phrase.heads:
                self.described_site(phrase, kinds)
            elif phrase.sites:
                self.site(phrase, kinds)
            else:
                self.generic(phrase, kinds)
        for generic in self.pending[-1:]:
            for head in self.observed:
                if head.kind in "MQK" and head.end <= generic.start:
                    self._locate(head, generic, "located_at:generic")

    # -- observations -------------------------------------------------------------------------------------------

    def noun(self, phrase: Phrase, kinds: list[str]) -> None:
        """A chunk with an observation noun."""
        head = phrase.heads[-1]
        joined = self._joined(kinds)
        if head.kind == "T" and phrase.part is head:
            self._part(phrase, head, kinds)
            return
        source: list[Item] = []
        if self._suggested(phrase, kinds, head, joined):
            source = self.reason if self.inherits else []
        elif self.previous == "noun" and self.observed and not phrase.chunk.link and "prep" in kinds and "neg" not in kinds:
            self._of(phrase, head)
        placed = self._place(phrase, head, kinds, joined)
        if not phrase.own_site and not placed and head.kind != "E":
            self._inherit(phrase, head, source)
        if joined and self.previous == "noun":
            self.observed = [*self.observed, head]
            if not self.subject_is_site:
                self.subject = [*self.subject, head]
        else:
            self.observed = [head]
            if not (self.subject and self.subject_is_site and "break" not in kinds and _is_said(kinds)):
                self.subject, self.subject_is_site = [head], False
        if head.kind == "E":
            if phrase.part is not None and "with" in kinds and self.device is not None:
                self.observed = [self.device, head]  # "port with catheter tip in the atrium"
            self.device = head
        elif phrase.own_site and not phrase.uncertain:
            self.anchor = head
        if phrase.part is not None:
            self.tip = phrase.part
        self.previous = "noun"
        self.governed = []

    def _inherit(self, phrase: Phrase, head: Item, source: Sequence[Item]) -> None:
        """What an observation suggests, or leaves possible, is where that observation is."""
        if not source and phrase.uncertain and self.anchor is not None:
            source = [self.anchor]
        fixed = self.lexicon.traits["fixed"]
        for item in source:
            for edge in [edge for edge in self.edges if edge[0] is item and edge[1] == LOCATED]:
                if self._text(edge[2]) not in fixed:
                    self._locate(head, edge[2], "located_at:inferred")

    def _joined(self, kinds: list[str]) -> bool:
        return bool(kinds) and all(k in _JOIN or k in _HEDGE or k in _NEG or k == "versus" for k in kinds) and any(
            k in _JOIN or k == "versus" for k in kinds
        )

    def _suggested(self, phrase: Phrase, kinds: list[str], head: Item, joined: bool) -> bool:
        """suggestive_of from what stands before, by a cue, an apposition, or the list it goes on."""
        cue = "suggest" in kinds or "suggesthedge" in kinds
        hedge = "hedge" in kinds or "hedge2" in kinds
        source: list[Item] = []
        rule = ""
        if cue:
            source, rule = self.observed, "suggestive_of:cue"
        elif self.reason and joined and "neg" not in kinds:
            source, rule = self.reason, "suggestive_of:list"
        elif hedge and kinds[0] == "," and self._apposed(phrase) and self.observed and not {"andor", "break", "versus", "show"} & set(kinds):
            source, rule = self.observed, "suggestive_of:apposition"
        elif hedge and self.observed and self.previous in ("noun", "site") and kinds and (kinds[0] in _HEDGE or kinds[0] == "be"):
            source, rule = self.observed, "suggestive_of:hedge"
        elif phrase.chunk.gap and kinds == [","] and self.observed:
            source, rule = self.observed, "suggestive_of:gap"
        elif "show" in kinds and self.observed and self._word_before(phrase) == "post":
            source, rule = self.observed, "suggestive_of:post"
        if not source or head in source:
            self.reason = []
            return False
        for item in source:
            self.edges.append((item, SUGGEST, head, rule))
        self.inherits = not (rule.endswith("gap") or rule.endswith("post"))
        self.reason = source
        return True

    def _apposed(self, phrase: Phrase) -> bool:
        apposed = self.lexicon.traits["apposed"]
        return any(cue.kind in _HEDGE and self._text(cue) in apposed for cue in phrase.chunk.cues)

    def _word_before(self, phrase: Phrase) -> str:
        cues = phrase.chunk.cues
        return self.words[cues[-1].end - 1] if cues else ""

    def _of(self, phrase: Phrase, head: Item) -> None:
        """"increase in the effusion", "foci of consolidation": the first narrows the second."""
        for item in self.observed:
            if self._text(item) in self.lexicon.traits["effect"] and not self._denied(item):
                self.edges.append((item, SUGGEST, head, "suggestive_of:effect"))
            elif item.kind in "NO" and head.kind != "T" and self.words[phrase.chunk.cues[-1].start] in ("of", "in"):
                self.edges.append((item, MODIFY, head, "modify:of-phrase"))

    def _denied(self, item: Item) -> bool:
        return item.start > 0 and "no" in self.words[max(0, item.start - 3) : item.start]

    def _place(self, phrase: Phrase, head: Item, kinds: list[str], joined: bool) -> bool:
        """Sites that stand elsewhere in the sentence; whether there was one."""
        if self.waiting and phrase.chunk.cues and self.words[phrase.chunk.cues[-1].start] in ("with", "without"):
            self.waiting = []
        if self.waiting:
            for site in self.waiting:
                self._locate(head, site, "located_at:fronted")
            self.fronted, self.waiting = self.waiting, []
            return True
        if joined and self.observed and self._text(head) in self.lexicon.traits["samesite"]:
            for edge in [edge for edge in self.edges if edge[0] is self.observed[-1] and edge[1] == LOCATED]:
                self._locate(head, edge[2], "located_at:same")
            return True
        if kinds == ["neg"] and self.previous == "predicate" and self.targets and self.targets[0].kind in "AJGS":
            if self._word_before(phrase) in ("of", "from"):
                self.topic = self.targets  # "pleural spaces are free of fluid"
        if any(k in _NEG for k in kinds):
            self.topical = bool(self.topic) and not any(k in ("break", ";", "show") for k in kinds)
        own = phrase.own_site and not all(
            self._text(site) in self.lexicon.traits["shared"] for site in phrase.sites
        )
        if own or head.kind == "E":
            return False
        if self.subject_is_site and self.subject and self.previous == "site":
            if _is_said(kinds) or (kinds and all(k in _NEG or k in _HEDGE or k == "be" for k in kinds)):
                for site in self.subject:
                    self._locate(head, site, "located_at:subject")
                return True
        if self.topic and any(k in _NEG for k in kinds) and not any(k in ("break", ";", "show") for k in kinds):
            for site in self.topic:
                self._locate(head, site, "located_at:topic")
            self.topical = True
            return True
        if self.topical and joined and self.previous == "noun":
            for site in self.topic:
                self._locate(head, site, "located_at:topic")
            return True
        if not joined:
            self.topical = False
        return False

    inherits: bool = True
    topical: bool = False  # the running list of denials is said of the topic
    anchor: Item | None = None  # the last observation with a site
    fronted: list[Item] = field(default_factory=list)

    def _locate(self, head: Item, site: Item, rule: str) -> None:
        self.edges.append((head, LOCATED, site, rule))

    def _text(self, item: Item) -> str:
        return " ".join(self.words[item.start : item.end])

    def _part(self, phrase: Phrase, head: Item, kinds: list[str]) -> None:
        """"its tip in the SVC": the tip modifies the device, and the device is at the place."""
        if self.device is not None:
            self.edges.append((head, MODIFY, self.device, "modify:part"))
            self.observed = [self.device]
        else:
            self.observed = [head]
            self.subject, self.subject_is_site = [head], False
        self.tip = head
        self.previous = "noun"

    tip: Item | None = None

    # -- predicates ---------------------------------------------------------------------------------------------

    def predicate(self, phrase: Phrase, kinds: list[str]) -> None:
        """Adjectives without a noun: said of the subject, or of the observation before."""
        joined = self._joined(kinds)
        link = phrase.chunk.link
        self.waiting = []
        if phrase.heads[0].kind == "X":
            self._measure(phrase.heads[0])
            return
        if joined and self.previous == "predicate" and self.targets:
            targets = self.targets
        elif self.previous == "predicate" and self.targets and ("break" in kinds or not kinds):
            targets = self.targets
        elif link == "p" or "be" in kinds or "seen" in kinds:
            targets = self._subject(phrase)
        elif self.previous in ("noun", "site") and kinds and kinds[0] in (",", "(", "break", "-", "from", "with"):
            targets = self._nearest()
        elif kinds and all(k in _NEG or k in _HEDGE or k in _JOIN for k in kinds):
            targets = self._subject(phrase)
        else:
            targets = self._subject(phrase)
        if len(targets) == 1 and targets[0].kind == "S" and self.backup:
            if self._text(phrase.heads[-1]) in self.lexicon.traits["compare"]:
                targets = self.backup  # "left greater than right"
                self.subject, self.subject_is_site, self.observed = self.backup, False, self.backup
        rule = f"predicate:{'be' if 'be' in kinds else link or 'apposition'}"
        for head in phrase.heads:
            for target in targets:
                if target.kind not in "MKQD":
                    self._say(head, target, rule)
        self.targets = targets
        if not targets:
            self.observed = phrase.heads
            self.subject, self.subject_is_site = [*phrase.heads], False
        elif targets[0].kind in "AJGS":
            self.observed = phrase.heads
        self.previous = "predicate"

    def _subject(self, phrase: Phrase) -> list[Item]:
        return self.subject

    def _nearest(self) -> list[Item]:
        if self.previous == "noun" or self.governed:
            return self.observed if not self.governed else self.governed
        return self.subject

    def _say(self, head: Item, target: Item, rule: str) -> None:
        kind = LOCATED if target.kind in "AJGS" else MODIFY
        self.edges.append((head, kind, target, f"{'located_at' if kind == LOCATED else 'modify'}:{rule}"))

    def _measure(self, measure: Item) -> None:
        target = self.tip or (self.observed[-1] if self.observed else None)
        if target is not None and target is not measure:
            self.edges.append((measure, MODIFY, target, "modify:measure"))
        self.previous = "noun" if self.observed else "predicate"

    # -- anatomy ------------------------------------------------------------------------------------------------

    def described_site(self, phrase: Phrase, kinds: list[str]) -> None:
        """"enlarged heart": the adjectives are located at the site already; the site can be a subject."""
        prep = "prep" in kinds
        if ("suggest" in kinds or "suggesthedge" in kinds) and self.observed:
            for head in self.observed:
                for adjective in phrase.heads:
                    self.edges.append((head, SUGGEST, adjective, "suggestive_of:cue"))
        if prep and self.observed and self.previous in ("noun", "predicate"):
            for head in self.observed:
                for site in phrase.sites:
                    self._locate(head, site, "located_at:prep")
        self.observed = list(phrase.heads)
        self.subject, self.subject_is_site = list(phrase.sites), True
        self.topic = self.topic or self._lungs(phrase.sites)
        self.targets = list(phrase.sites)
        self.previous = "site"
        self.governed = []
        self.described = True
        self.device = None

    def site(self, phrase: Phrase, kinds: list[str]) -> None:
        """A chunk of anatomy only: a place for what stands before or after, or a new subject."""
        link = phrase.chunk.link
        prep = _governed(kinds)
        if all(site.kind == "S" for site in phrase.sites) and self._word_before(phrase) == "than":
            return
        if self._joined(kinds) and self.previous == "site" and not prep:
            self._coordinate(phrase)
            return
        if (prep or link == "j" or "seen" in kinds or self._suggests(kinds)) and (self.observed or self.previous == "generic"):
            if self.previous == "site" and self.governed and self.last_generic and self._word_before(phrase) == "of":
                self._move(phrase)
                return
            if self.previous in ("noun", "predicate", "generic") or prep:
                self._attach(phrase, kinds)
                self.last_generic = list(phrase.generics)
                return
        if prep and not self.observed:
            if self.subject_is_site and self.previous == "site":
                # "base of the left lung": the second narrows the first
                for site in phrase.sites:
                    for subject in self.subject:
                        self.edges.append((site, MODIFY, subject, "modify:of-phrase"))
                return
            self.waiting = list(phrase.sites)
            self.previous = "site"
            self.governed = []
            return
        self.described = False
        self.backup = self.observed
        self.subject, self.subject_is_site = list(phrase.sites), True
        if not self.topic:
            self.topic = self._lungs(phrase.sites)
        self.observed = []
        self.governed = []
        self.waiting = list(phrase.sites) if not prep and ":" not in kinds else []
        self.previous = "site"
        self.device = None
        self.targets = []
        self.tip = None

    def _suggests(self, kinds: list[str]) -> bool:
        return False

    def _lungs(self, sites: Sequence[Item]) -> list[Item]:
        return [site for site in sites if self._text(site) in self.lexicon.traits["lung"]]

    def _coordinate(self, phrase: Phrase) -> None:
        if self.described and self.observed and not self.governed and len(phrase.chunk.groups) == 1:
            # "enlarged heart and aorta"
            for head in self.observed:
                for site in phrase.sites:
                    self._locate(head, site, "located_at:coordination")
        if self.governed:
            for head in self.governed:
                for site in phrase.sites:
                    self._locate(head, site, "located_at:coordination")
            return
        self.subject = [*self.subject, *phrase.sites]
        self.subject_is_site = True
        if self.waiting:
            self.waiting = [*self.waiting, *phrase.sites]

    def _attach(self, phrase: Phrase, kinds: list[str]) -> None:
        """Give a place to the observations before it."""
        if self.previous == "generic" and self.pending:
            for generic in self.pending:
                for site in phrase.sites:
                    self.edges.append((generic, MODIFY, site, "modify:generic-of"))
            self.pending = []
            if not self.observed or self.subject == []:
                self.subject, self.subject_is_site = list(phrase.sites), True
            heads = self.observed
        elif self.previous == "predicate" and self.targets and self.targets[0].kind in "AJGS":
            only_sides = all(site.kind == "S" for site in phrase.sites)
            if only_sides:
                for site in phrase.sites:
                    for target in self.targets:
                        self.edges.append((site, MODIFY, target, "modify:side-after"))
                return
            heads = self.observed
        elif self.previous == "predicate" and self.targets:
            heads = self.targets
        else:
            heads = self.observed
        prep = "prep" in kinds
        for head in heads:
            if head is not heads[-1] and any(
                edge[0] is head and edge[1] == LOCATED and edge[2].kind != "S" for edge in self.edges
            ):
                continue  # "crowding of the vessels and opacities at the bases"
            for site in phrase.sites:
                self._locate(head, site, "located_at:prep" if prep else "located_at:beside")
            if prep and head.kind in "ON" and phrase.noun_of_place is not None:
                self._locate(head, phrase.noun_of_place, "located_at:part")
        self.governed = list(heads)
        self.previous = "site"
        if heads and heads[-1].kind in "ONM":
            self.anchor = heads[-1]

    def _move(self, phrase: Phrase) -> None:
        """"lateral compartment of the knee": the part modifies the organ, and the observation is at the organ."""
        part = self.last_generic[-1]
        self.edges[:] = [edge for edge in self.edges if not (edge[1] == LOCATED and edge[2] is part)]
        for site in phrase.sites:
            self.edges.append((part, MODIFY, site, "modify:generic-of"))
            for head in self.governed:
                self._locate(head, site, "located_at:of-phrase")
        self.last_generic = []

    last_generic: list[Item] = field(default_factory=list)
    pending: list[Item] = field(default_factory=list)
    described: bool = False
    backup: list[Item] = field(default_factory=list)  # observations before the present subject

    def generic(self, phrase: Phrase, kinds: list[str]) -> None:
        """"size", "contour" alone: of the subject ("normal in size"), or of a site that follows ("size of the heart")."""
        items = phrase.generics
        if self.subject and self.subject_is_site and ("prep" in kinds or "from" in kinds or self.previous == "size"):
            for item in items:
                for site in self.subject:
                    self.edges.append((item, MODIFY, site, "modify:generic-in"))
            self.previous = "size"
            return
        if self._joined(kinds) and self.previous == "size":
            for item in items:
                for site in self.subject:
                    self.edges.append((item, MODIFY, site, "modify:generic-in"))
            return
        self.pending = [*(self.pending if self._joined(kinds) else []), *items]
        self.previous = "generic"
        if phrase.heads:
            self.observed = list(phrase.heads)


def _governed(kinds: Sequence[str]) -> bool:
    """The last structure word before the chunk is a preposition."""
    for kind in reversed(kinds):
        if kind == "prep":
            return True
        if kind in (",", "from", "break", ";", ":", "be", "show"):
            return False
    return False


def _is_said(kinds: list[str]) -> bool:
    return "show" in kinds or "seen" in kinds


def finish(edges: Sequence[Edge]) -> list[Edge]:
    """At most one relation a pair, the first rule wins; none from a thing to itself."""
    seen: set[tuple[int, int]] = set()
    out: list[Edge] = []
    for edge in edges:
        a, b = edge[0].start, edge[2].start
        if a != b and (a, b) not in seen and (b, a) not in seen:
            seen.add((a, b))
            out.append(edge)
    return out
