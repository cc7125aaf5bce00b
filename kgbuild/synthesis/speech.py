"""Say sentences from the banks: the text as written, its tokens, its entities and relations, and what it counts as.

A ``Speaker`` is reset for each report. Entities come out in the order of the text, so an entity's id is its place.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeAlias

from kgbuild.synthesis.phrases import COLUMNS, INHERITED, Banks, Choice, Ent, Given, Listing, Pick, Template

_BITS = (0, 1, 2, 4)
_REVERSED = (0, 4, 2, 1)
_AN = re.compile(r"\b([Aa])(?= (?:[aeiou]|NG |8 |8\.|11 |18 ))(?! u[ns]i)")

Facts: TypeAlias = dict[str, str]  # "$name" without the sign → name of a bank
Lists: TypeAlias = dict[str, list[tuple[str, Facts]]]
Scope: TypeAlias = dict[str, list[int]]
Said: TypeAlias = tuple[int, int, str, tuple[tuple[str, str], ...], Scope]
_WORDS_AT = len('{"tokens": "')
_CUT = str.maketrans({mark: f" {mark} " for mark in "/,-:.!?();"})  # as kgbuild.text cuts, without places


class Speaker:
    """Says templates; keeps what was said since ``begin``.

    Args:
        banks: compiled templates.
        annotate: keep entities (they cost time).
    """

    def __init__(self, banks: Banks, *, annotate: bool) -> None:
        self._banks = banks.banks
        self._annotate = annotate
        self._random: Callable[[], float] = float
        self._lists: Lists = {}
        self.begin(float)

    def begin(self, random: Callable[[], float]) -> None:
        """Start a report; ``random`` gives numbers in [0, 1)."""
        self._random = random
        self._size = 0
        self._said: list[Said] = []
        self._sentences: list[str] = []
        self._written: list[str] = []
        self.marks = [0] * len(COLUMNS)

    def number(self, value: int) -> str:
        """``1.`` before a sentence of a list."""
        self._size += 2
        self._sentences.append(f"{value}.")
        return f"{value}. "

    def sentence(self, bank: str, facts: Facts, presence: int = 1, lists: Lists | None = None) -> str:
        """One sentence, without white space around it."""
        self._lists = lists or {}
        before, at = len(self._said), self._size
        written = self._compose(bank, facts, presence) + "."
        said = self._said
        if len(said) > before and said[before][0] == at:
            start, end, head, relations, scope = said[before]
            head = head[:_WORDS_AT] + head[_WORDS_AT].upper() + head[_WORDS_AT + 1 :]
            said[before] = (start, end, head, relations, scope)
        self._size += 1
        self._sentences.append(written)
        return written

    def plain(self, bank: str, facts: Facts | None = None, presence: int = 1) -> str:
        """Text that stands outside findings and impression: no full stop, nothing kept."""
        size, said, marks = self._size, len(self._said), self.marks
        self.marks = list(marks)
        text = self._compose(bank, facts or {}, presence)
        self._size, self.marks = size, marks
        del self._said[said:]
        return text

    def text(self) -> str:
        """What was said, as RadGraph's ``text``: tokens joined by one space."""
        return " ".join(" ".join(self._sentences).translate(_CUT).split())

    def _compose(self, bank: str, facts: Facts, presence: int) -> str:
        self._written = []
        self._say(self._banks[bank], facts, presence, {})
        written = "".join(self._written).lstrip()
        written = written[0].upper() + written[1:]
        return _AN.sub(r"\1n", written) if " a " in written or written[:2] == "A " else written

    def _say(self, options: list[Template], facts: Facts, presence: int, scope: Scope) -> None:
        random = self._random
        for item in options[int(random() * len(options))]:
            if isinstance(item, Pick):
                written, size, ents, tags = item.chunks[int(random() * item.size)]
                self._written.append(written)
                if tags:
                    self._mark(tags, presence)
                if self._annotate:
                    if ents:
                        self._keep(ents, presence, scope)
                    self._size += size
            elif isinstance(item, Choice):
                self._choose(item, facts, presence, scope)
            elif isinstance(item, Given):
                self._say(self._banks[facts[item.name]], facts, item.presence or presence, scope)
            else:
                self._list(item, presence, scope)

    def _keep(self, ents: tuple[Ent, ...], presence: int, scope: Scope) -> None:
        said, at = self._said, self._size
        for first, last, heads, name, relations in ents:
            if name:
                if name in scope:
                    scope[name].append(len(said))
                else:
                    scope[name] = [len(said)]
            said.append((at + first, at + last, heads[presence], relations, scope))

    def _mark(self, tags: tuple[tuple[int, int, bool], ...], presence: int) -> None:
        for column, kind, against in tags:
            said = presence if kind == INHERITED else kind
            self.marks[column] |= _REVERSED[said] if against else _BITS[said]

    def _choose(self, choice: Choice, facts: Facts, presence: int, scope: Scope) -> None:
        if not choice.apart:
            self._say(choice.options, facts, choice.presence or presence, scope)
            return
        own: Scope = {}
        self._say(choice.options, facts, choice.presence or presence, own)
        _tell(own, scope)

    def _list(self, listing: Listing, presence: int, scope: Scope) -> None:
        phrases = self._lists[listing.name]
        for i, (bank, facts) in enumerate(phrases):
            if i:
                comma = "," if len(phrases) > 2 else ""
                joint = f"{comma} {listing.conjunction}" if i == len(phrases) - 1 else ","
                self._written.append(joint)
                self._size += len(joint.split())
            own: Scope = {}
            self._say(self._banks[bank], facts, listing.presence or presence, own)
            if listing.shared:
                _tell(own, scope)

    def entities(self) -> str:
        """RadGraph's ``entities`` object of what was said, as JSON."""
        out = []
        for place, (start, end, head, relations, scope) in enumerate(self._said, 1):
            links = ""
            if relations:
                found: dict[int, str] = {}
                for type_, name in relations:
                    for target in scope.get(name, ()):
                        if target != place - 1:
                            found.setdefault(target, type_)
                links = ", ".join([f'["{found[target]}", "{target + 1}"]' for target in sorted(found)])
            out.append(f'"{place}": {head}{start}, "end_ix": {end}, "relations": [{links}]}}')
        return "{" + ", ".join(out) + "}"


def _tell(own: Scope, scope: Scope) -> None:
    for name, places in own.items():
        scope.setdefault(name, []).extend(places)
