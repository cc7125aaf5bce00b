"""The closed vocabularies of the graph, and RadGraph's two spellings of them.

RadGraph 1.0 writes ``ANAT-DP``, ``OBS-DP``, ``OBS-U``, ``OBS-DA`` (Jain et al., NeurIPS Datasets 2021); RadGraph-XL
writes ``Anatomy::definitely present`` … and adds ``Observation::measurement::definitely present`` (Delbrouck et al.,
ACL Findings 2024). Both are spellings of (type, presence, is_measurement); this module alone converts.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple, TypeVar

_E = TypeVar("_E", bound=Enum)


def _refuse(cls: type[_E], value: object) -> _E:
    choices = ", ".join(str(member.value) for member in cls)
    raise ValueError(f"{value!r} is not a {cls.__name__}: expected one of {choices}")


class EntityType(Enum):
    """What a span names: a body part (or its side, level, extent), or something observed."""

    ANATOMY = "Anatomy"
    OBSERVATION = "Observation"

    @classmethod
    def _missing_(cls, value: object) -> EntityType:
        return _refuse(cls, value)


class Presence(Enum):
    """What the report says of an entity: there, perhaps there, not there."""

    PRESENT = "present"
    UNCERTAIN = "uncertain"
    ABSENT = "absent"

    @classmethod
    def _missing_(cls, value: object) -> Presence:
        return _refuse(cls, value)

    def weaker(self, other: Presence) -> Presence:
        """The weaker of two: absent before uncertain before present, so that no denial is lost in a relation."""
        order = (Presence.ABSENT, Presence.UNCERTAIN, Presence.PRESENT)
        return order[min(order.index(self), order.index(other))]


class RelationType(Enum):
    """RadGraph's three relations; the source is the entity that carries them in RadGraph JSON."""

    LOCATED_AT = "located_at"
    MODIFY = "modify"
    SUGGESTIVE_OF = "suggestive_of"

    @classmethod
    def _missing_(cls, value: object) -> RelationType:
        return _refuse(cls, value)


class Label(NamedTuple):
    """What one RadGraph label string says."""

    type: EntityType
    presence: Presence
    is_measurement: bool = False


_V1_TYPE = {EntityType.ANATOMY: "ANAT", EntityType.OBSERVATION: "OBS"}
_V1_PRESENCE = {Presence.PRESENT: "DP", Presence.UNCERTAIN: "U", Presence.ABSENT: "DA"}
_XL_PRESENCE = {
    Presence.PRESENT: "definitely present",
    Presence.UNCERTAIN: "uncertain",
    Presence.ABSENT: "definitely absent",
}


def to_v1(label: Label) -> str:
    """RadGraph 1.0's spelling. It has no measurements, so ``is_measurement`` is dropped."""
    return f"{_V1_TYPE[label.type]}-{_V1_PRESENCE[label.presence]}"


def to_xl(label: Label) -> str:
    """RadGraph-XL's spelling."""
    middle = "::measurement" if label.is_measurement else ""
    return f"{label.type.value}{middle}::{_XL_PRESENCE[label.presence]}"


_BY_SPELLING = {
    spell(Label(kind, presence, measured)): Label(kind, presence, measured)
    for spell in (to_xl, to_v1)
    for kind in EntityType
    for presence in Presence
    for measured in (True, False)
}


def parse_label(text: str) -> Label:
    """Read either spelling.

    Raises:
        ValueError: the string is neither; the message lists what is accepted.
    """
    try:
        return _BY_SPELLING[text]
    except KeyError:
        raise ValueError(
            f"{text!r} is not a RadGraph label: expected one of {', '.join(sorted(_BY_SPELLING))}"
        ) from None
