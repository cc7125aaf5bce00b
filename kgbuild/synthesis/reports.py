"""Write a patient's state as a report file of MIMIC-CXR's shape; the Speaker keeps what findings and impression said.

The shape: 33 spaces and ``FINAL REPORT``, one leading space a line, lines of about 75 columns, a blank line of one
space, ``___`` where the originals were de-identified. Of the reports 12.5 % have findings only, 5 % neither section (a
last paragraph instead), a fifth of the others an impression only; some begin with a wet read or an addendum, and some
headers are misspelt (never so that the findings or the impression would be lost).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import Any

from kgbuild.synthesis.patients import Device, Finding, State, Table
from kgbuild.synthesis.phrases import ABSENT, PRESENT, UNCERTAIN, Banks
from kgbuild.synthesis.speech import Facts, Speaker

_LINE = re.compile(r"(\S.{0,73})(?:\s+|$)")
_PAD = " " * 33
_RULE = "_" * 78
_FINDINGS_ONLY, _NEITHER, _IMPRESSION_ONLY = 0.125, 0.175, 0.34
_SAID_IF = 0.5
_CHANGED_IF = 0.5
_SIZED_IF = 0.35
_MAIN = frozenset(("acute", "slow"))
_SIDES = frozenset("RLB")


class Writer:
    """Writes reports; ``speaker`` holds the annotation of the newest one."""

    def __init__(self, banks: Banks, headers: dict[str, list[str]], table: Table, *, annotate: bool) -> None:
        self.speaker = Speaker(banks, annotate=annotate)
        self._banks = banks.banks
        self._headers = headers
        self._table = table

    def report(self, state: State, random: Callable[[], float], two_views: bool) -> str:
        """The whole file's text; afterwards ``speaker`` holds its annotation and what it counts as."""
        speaker = self.speaker
        speaker.begin(random)
        shape = random()
        neither, alone = _FINDINGS_ONLY <= shape < _NEITHER, _NEITHER <= shape < _IMPRESSION_ONLY
        # preface first: it says nothing that counts, but draws from the same stream
        blocks = self._preface(state, random, two_views, neither)
        if neither:
            blocks.append(_wrapped(" ".join(self._findings(state, random, two_views))))
        elif not alone:
            between = " \n" if random() < 0.5 else ""
            head = self._header("findings", random)
            text = " ".join(self._findings(state, random, two_views))
            blocks.append(f" {head}: \n{between}{_wrapped(text)}" if between else _wrapped(f"{head}:  {text}"))
        if shape >= _NEITHER:
            blocks.append(self._impression(state, random, alone))
        return self._top(state, random) + _PAD + "FINAL REPORT\n" + " \n".join(blocks)

    def _header(self, name: str, random: Callable[[], float]) -> str:
        names = self._headers[name]
        return names[int(random() * len(names))]

    def _preface(self, state: State, random: Callable[[], float], two_views: bool, neither: bool) -> list[str]:
        views = "pa" if two_views else "ap"
        plain = self.speaker.plain
        blocks = []
        if random() < 0.7:
            blocks.append(_wrapped(f"{self._header('examination', random)}:  {plain('exam.' + views)}"))
        if random() < 0.9:
            blocks.append(_wrapped(f"{self._header('indication', random)}:  {plain('reason')}."))
        if random() < 0.6:
            blocks.append(_wrapped(f"{self._header('technique', random)}:  {plain('technique.' + views)}."))
        if neither or random() < 0.75:
            compared = plain("compared.first" if state.first else "compared.again")
            blocks.append(_wrapped(f"{self._header('comparison', random)}:  {compared}."))
        return blocks

    def _top(self, state: State, random: Callable[[], float]) -> str:
        draw = random()
        if draw > 0.06:
            return ""
        plain = self.speaker.plain
        if draw < 0.015:
            return f"{_PAD}FINAL ADDENDUM\n ADDENDUM:  {_wrapped(plain('notified') + '.').lstrip()}{_RULE}\n"
        said = []
        for finding in state.findings[:2]:
            if finding.change != "resolved":
                bank, presence = ("present", PRESENT) if finding.sure else ("uncertain", UNCERTAIN)
                said.append(plain(bank, self._facts(finding, random, False), presence) + ".")
        text = " ".join(said) or "No acute findings."
        clock = f"{int(random() * 12) + 1}:{int(random() * 60):02d} {'AM' if draw < 0.04 else 'PM'}"
        return f"WET READ: ___ ___ ___ {clock}\n{_wrapped(text)}{_RULE}\n"

    def _findings(self, state: State, random: Callable[[], float], two_views: bool) -> list[str]:
        """The sentences of the findings section, in order."""
        sentence = self.speaker.sentence
        out = []
        if random() < 0.22:
            out.append(sentence("remark.pa" if two_views else "remark.ap", {}))
        devices_first = random() < 0.5
        if devices_first:
            out += [self._device(device, random) for device in state.devices]
        if random() < 0.4:
            out += self._normal(state, random)
            out += self._abnormal(state, random)
        else:
            out += self._abnormal(state, random)
            out += self._normal(state, random)
        if not devices_first:
            out += [self._device(device, random) for device in state.devices]
        return out or [self._denial(self._blocked(state), random)]

    def _abnormal(self, state: State, random: Callable[[], float]) -> list[str]:
        return [self._said(finding, random, 0.35) for finding in _shuffled(state.findings, random)]

    def _normal(self, state: State, random: Callable[[], float]) -> list[str]:
        """What is normal and what is denied, in words that no finding contradicts."""
        sentence = self.speaker.sentence
        blocked = self._blocked(state)
        out = []
        if "clear" not in blocked and random() < 0.75:
            out.append(sentence("clear", {}))
        if random() < 0.88:
            out.append(self._denial(blocked, random))
        free = [name for name in self._table.anatomy if name not in blocked]
        if "a.heart" in free and random() < 0.5:
            free.remove("a.heart")
            out.append(sentence("heartsaid", {}))
        if len(free) > 1 and random() < 0.6:
            items = _shuffled(free, random)[: 2 + int(random() * 3)]
            facts = {"judge": "judge.first" if state.first else "judge.again"}
            out.append(sentence("normals", facts, PRESENT, {"anat": [(name, {}) for name in items]}))
        if random() < 0.22:
            out.append(self._denial(blocked, random))
        return out

    def _impression(self, state: State, random: Callable[[], float], alone: bool) -> str:
        speaker = self.speaker
        kinds = self._table.kinds
        main = [finding for finding in state.findings if alone or kinds[finding.kind]["course"] in _MAIN]
        main = _shuffled(main, random)
        numbered = len(main) > 1 and random() < 0.5
        head = self._header("impression", random)
        out: list[str] = []

        def add(bank: str, facts: Facts, presence: int = PRESENT, lists: Any = None) -> None:
            number = speaker.number(len(out) + 1) if numbered else ""
            out.append(number + speaker.sentence(bank, facts, presence, lists))

        for device in state.devices if alone else ():
            add(*self._device_bank(device, random))
        if len(main) > 1 and random() < 0.35:
            pair, main = main[:2], main[2:]
            gone = any(finding.change == "resolved" for finding in pair)
            sure = all(finding.sure for finding in pair)
            if gone or sure != any(finding.sure for finding in pair):
                main = [*pair, *main]
            else:
                items = [(kinds[f.kind]["np"][0], self._facts(f, random, False)) for f in pair]
                add("nps" if sure else "npsu", {}, PRESENT if sure else UNCERTAIN, {"nps": items})
        for finding in main:
            add(*self._chosen(finding, random, 0.3))
        blocked = self._blocked(state)
        if not main and not out:
            add("acute", {}, ABSENT, {"neg": self._denied(blocked, random)})
        elif random() < 0.3:
            add("neg", {}, ABSENT, {"neg": self._denied(blocked, random)})
        if state.findings and random() < 0.25:
            add("advice", {})
        if random() < 0.08:
            add("notified", {})
        if numbered:
            return f" {head}: \n \n" + "".join(map(_wrapped, out))
        return f" {head}: \n \n{_wrapped(' '.join(out))}" if random() < 0.6 else _wrapped(f"{head}:  {' '.join(out)}")

    def _said(self, finding: Finding, random: Callable[[], float], changed: float) -> str:
        return self.speaker.sentence(*self._chosen(finding, random, changed))

    def _chosen(self, finding: Finding, random: Callable[[], float], changed: float) -> tuple[str, Facts, int]:
        """How to say it: the bank, the facts that the bank asks for, the presence."""
        spec = self._table.kinds[finding.kind]
        if not finding.sure:
            if spec.get("blunt") and random() < 0.35:
                return "effusion.blunt", self._facts(finding, random, False), PRESENT
            return "uncertain", self._facts(finding, random, False), UNCERTAIN
        if finding.change == "resolved" or (finding.change != "first" and random() < changed):
            return f"changed.{finding.change}", self._facts(finding, random, False, still=True), PRESENT
        if spec["said"] and random() < _SAID_IF:
            return spec["said"][0], self._facts(finding, random, True), PRESENT
        return "present", self._facts(finding, random, random() < _CHANGED_IF), PRESENT

    def _facts(self, finding: Finding, random: Callable[[], float], changed: bool, still: bool = False) -> Facts:
        """The banks for the names a noun phrase asks for; ``changed`` says the change after it, else before it."""
        facts = dict(_settled(finding.place, finding.grade))
        spec = self._table.kinds[finding.kind]
        nouns = spec["np"]
        facts["np"] = nouns[int(random() * len(nouns))]
        facts["art"] = "art.a" if spec.get("art") else "art.none"
        number = ".2" if spec.get("many") else ".1"
        facts["is"], facts["has"] = "is" + number, "has" + number
        facts["chg"] = f"chg.{finding.change}" if changed else "chg.none"
        facts["pre"] = (
            "pre.none"
            if changed or still or not finding.sure or finding.change == "resolved"
            else f"pre.{finding.change}"
        )
        facts["mm"] = facts["size"] = "nosize"
        if finding.mm and not still:
            if spec["size"] == "before":
                facts["size"] = f"size.{finding.mm}"
            elif random() < _SIZED_IF:
                facts["mm"] = f"mm.{finding.mm}"
        cause = spec.get("cause")
        facts["cause"] = f"cause.{cause}" if cause and finding.sure and random() < 0.55 else "cause.none"
        return facts

    def _device_bank(self, device: Device, random: Callable[[], float]) -> tuple[str, Facts]:
        facts = {name: f"{name}.{device.side}" for name in ("sidev", "sided", "sidec", "sidek", "onside")}
        if device.gone and f"removed.{device.kind}" in self._banks:
            return f"removed.{device.kind}", facts
        return f"device.{device.kind}", facts

    def _device(self, device: Device, random: Callable[[], float]) -> str:
        return self.speaker.sentence(*self._device_bank(device, random))

    def _blocked(self, state: State) -> set[str]:
        blocks = [self._table.kinds[f.kind]["block"] for f in state.findings if f.change != "resolved"]
        return {name for block in blocks for name in block}

    def _denied(self, blocked: set[str], random: Callable[[], float]) -> list[tuple[str, Facts]]:
        free = [name for name in self._table.denials if name not in blocked]
        many = 1 + int(random() * 4.4)
        return [(name, {}) for name in dict.fromkeys(_shuffled(free, random)[:many])]

    def _denial(self, blocked: set[str], random: Callable[[], float]) -> str:
        return self.speaker.sentence("neg", {}, ABSENT, {"neg": self._denied(blocked, random)})


@cache
def _settled(place: str, grade: int) -> Facts:
    """The part of the facts that place and grade decide."""
    age = "old" if grade < 3 else "new"
    facts = {name: f"{name}.{grade}" for name in ("deg", "grade", "ly")}
    facts["gradec"] = "gradec.1" if grade == 1 else facts["grade"]
    facts |= {name: f"{name}.{age}" for name in ("fxkind", "nodkind")}
    if place in _SIDES:
        facts |= {"side": f"side.{place}", "sidel": f"sidel.{place}", "sidek": f"sidek.{place}"}
    else:
        facts |= {"loc": f"loc.{place}", "adj": f"adj.{place}"}
    return facts


def _shuffled(items: Any, random: Callable[[], float]) -> list[Any]:
    left = list(items)
    for i in range(len(left) - 1, 0, -1):
        j = int(random() * (i + 1))
        left[i], left[j] = left[j], left[i]
    return left


def _wrapped(text: str) -> str:
    """Lines of at most 75 columns, each with a space before and an end of line after."""
    return " " + "\n ".join(_LINE.findall(text)) + "\n"
