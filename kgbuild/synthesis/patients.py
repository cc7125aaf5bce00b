"""Made-up patients: what they have, where, and how it goes from study to study.

Everything follows from one stream of random numbers per patient, so patient i of a seed is the same in a small and a
large data set. Three kinds of patient (well, acutely ill, chronically ill) have findings at the rates of
``schemas/synthesis/facts.yaml``; acute findings grow, shrink, resolve and come, slow ones mostly stay.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

_BITS = (("acute", 0.30, 0.24, 0.38), ("slow", 0.75, 0.12, 0.06), ("fixed", 1.0, 0.0, 0.0))
_COURSE = {name: (stable, stable + worse, stable + worse + better) for name, stable, worse, better in _BITS}
_WELL = (0.45, 0.78)
_GRADES = (1, 2, 2, 2, 3, 3, 4)
_KEEP_DEVICE = 0.72


@dataclass(frozen=True, slots=True)
class Finding:
    """A finding at one study.

    Attributes:
        kind: as in the table of findings.
        place: a zone of the lungs (``rll``), a side (``R``, ``L``, ``B``) or an organ.
        grade: 1 (least) to 4.
        sure: the report is sure of it.
        mm: its size, 0 where the kind has none.
        change: since the study before: ``first``, ``new``, ``stable``, ``worse``, ``better``, ``resolved`` (gone).
    """

    kind: str
    place: str
    grade: int
    sure: bool
    mm: int = 0
    change: str = "first"


@dataclass(frozen=True, slots=True)
class Device:
    """A tube, line or other hardware; ``gone`` if it was there at the study before and has been removed."""

    kind: str
    side: str
    gone: bool = False


@dataclass(frozen=True, slots=True)
class State:
    """A patient at one study; ``first`` where there is nothing to compare with."""

    findings: tuple[Finding, ...] = ()
    devices: tuple[Device, ...] = ()
    first: bool = True
    illness: int = 0


@dataclass(slots=True)
class Table:
    """``facts.yaml``, with what is looked up often made ready."""

    kinds: dict[str, dict[str, Any]]
    devices: dict[str, dict[str, Any]]
    lung: list[str]
    denials: list[str]
    anatomy: list[str]
    _rates: list[list[tuple[str, float]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._rates = [
            [(kind, spec["rates"][illness] / 1000) for kind, spec in self.kinds.items()] for illness in range(3)
        ]

    def begin(self, random: Callable[[], float]) -> State:
        """The patient at the first study."""
        draw = random()
        illness = (draw > _WELL[0]) + (draw > _WELL[1])
        findings = tuple(self._new(kind, random) for kind, rate in self._rates[illness] if random() < rate)
        devices = tuple(
            Device(kind, self._side(kind, random))
            for kind, spec in self.devices.items()
            if random() < spec["rates"][illness] / 1000
        )
        return State(_apart(findings), devices, True, illness)

    def go_on(self, state: State, random: Callable[[], float]) -> State:
        """The same patient at the next study."""
        findings = [self._next(old, random) for old in state.findings if old.change != "resolved"]
        have = {finding.kind for finding in findings}
        for kind, rate in self._rates[state.illness]:
            if random() < rate * 0.25 and kind not in have and self.kinds[kind]["course"] != "fixed":
                findings.append(replace(self._new(kind, random), change="new"))
        devices = [
            replace(old, gone=bool(self.devices[old.kind].get("removable")) and random() > _KEEP_DEVICE)
            for old in state.devices
            if not old.gone
        ]
        have = {device.kind for device in devices}
        for kind, spec in self.devices.items():
            if kind not in have and random() < spec["rates"][state.illness] / 4000:
                devices.append(Device(kind, self._side(kind, random)))
        return State(_apart(tuple(findings)), tuple(devices), False, state.illness)

    def _new(self, kind: str, random: Callable[[], float]) -> Finding:
        spec = self.kinds[kind]
        places = self.lung if spec["places"] == "lung" else spec["places"]
        place = places[int(random() * len(places))]
        low, high = spec.get("mm", (0, 0))
        mm = low + int(random() * (high - low))
        return Finding(kind, place, _GRADES[int(random() * len(_GRADES))], random() < spec["sure"], mm)

    def _next(self, old: Finding, random: Callable[[], float]) -> Finding:
        stable, worse, better = _COURSE[self.kinds[old.kind]["course"]]
        draw = random()
        if draw < stable:
            return replace(old, change="stable")
        if draw < worse:
            return replace(old, change="worse", grade=min(4, old.grade + 1), mm=min(99, old.mm * 5 // 4), sure=True)
        if draw < better and old.grade > 1:
            return replace(old, change="better", grade=old.grade - 1, mm=old.mm - old.mm // 5, sure=True)
        return replace(old, change="resolved", sure=True)

    def _side(self, kind: str, random: Callable[[], float]) -> str:
        if kind == "pacer":
            return "L" if random() < 0.8 else "R"
        return "R" if random() < 0.6 else "L"


def _apart(findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
    """Without one of two findings that say the same: effusions of both sides and of one."""
    kinds = {finding.kind for finding in findings}
    if "effusion" in kinds and "effusions" in kinds:
        return tuple(finding for finding in findings if finding.kind != "effusion")
    return findings
