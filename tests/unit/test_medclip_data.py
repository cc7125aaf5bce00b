"""Sentences of a report and their labels, as MedCLIP learns from them."""

from __future__ import annotations

from kgbuild.notation.radgraph import from_radgraph
from kgbuild.pipelines.medclip_data import sentences


def entity(tokens: str, label: str, start: int, *relations: list[str]) -> dict[str, object]:
    """A RadGraph entity."""
    end = start + len(tokens.split()) - 1
    return {"tokens": tokens, "label": label, "start_ix": start, "end_ix": end, "relations": list(relations)}


def test_labels_hold_what_qualifies_and_locates_an_observation() -> None:
    text = "Small right pleural effusion . No edema , 2 . 5 cm . Possible mass . Clear view ."
    entities = {
        "1": entity("Small", "OBS-DP", 0, ["modify", "4"]),
        "2": entity("right", "ANAT-DP", 1, ["modify", "3"]),
        "3": entity("pleural", "ANAT-DP", 2),
        "4": entity("effusion", "OBS-DP", 3, ["located_at", "3"]),
        "5": entity("edema", "OBS-DA", 6),
        "6": entity("mass", "OBS-U", 14),
    }
    assert sentences(from_radgraph("s1", {"text": text, "entities": entities})) == [
        (
            "small right pleural effusion .",
            {"effusion": 1, "effusion|small": 1, "effusion|right": 1, "effusion|pleural": 1},
        ),
        ("no edema , 2 . 5 cm .", {"edema": -1}),
        ("possible mass .", {"mass": 0}),
    ]


def test_of_two_mentions_the_surer_counts() -> None:
    entities = {"1": entity("edema", "OBS-U", 1), "2": entity("edema", "OBS-DP", 3)}
    (found,) = sentences(from_radgraph("s1", {"text": "Possible edema or edema", "entities": entities}))
    assert found == ("possible edema or edema", {"edema": 1})
