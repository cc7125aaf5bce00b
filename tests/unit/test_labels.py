"""Both RadGraph spellings, there and back."""

from __future__ import annotations

import pytest

from kgbuild.labels import EntityType, Label, Presence, parse_label, to_v1, to_xl

ALL = [Label(kind, presence, measured) for kind in EntityType for presence in Presence for measured in (False, True)]


@pytest.mark.parametrize("label", ALL)
def test_xl_is_faithful(label: Label) -> None:
    assert parse_label(to_xl(label)) == label


@pytest.mark.parametrize("label", ALL)
def test_v1_drops_only_the_measurement(label: Label) -> None:
    assert parse_label(to_v1(label)) == label._replace(is_measurement=False)


def test_spellings() -> None:
    assert to_v1(Label(EntityType.OBSERVATION, Presence.ABSENT)) == "OBS-DA"
    assert to_v1(Label(EntityType.ANATOMY, Presence.PRESENT)) == "ANAT-DP"
    assert to_xl(Label(EntityType.OBSERVATION, Presence.UNCERTAIN)) == "Observation::uncertain"
    measured = Label(EntityType.OBSERVATION, Presence.PRESENT, True)
    assert to_xl(measured) == "Observation::measurement::definitely present"


def test_an_unknown_label_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"'OBS-X' is not a RadGraph label: expected one of ANAT-DA"):
        parse_label("OBS-X")
    with pytest.raises(ValueError, match=r"'maybe' is not a Presence: expected one of present, uncertain, absent"):
        Presence("maybe")


def test_weaker_is_absent_before_uncertain_before_present() -> None:
    order = [Presence.ABSENT, Presence.UNCERTAIN, Presence.PRESENT]
    for i, first in enumerate(order):
        for j, second in enumerate(order):
            assert first.weaker(second) is order[min(i, j)]
