"""Gates: accuracy against model-made annotations of open reports (not radiologist gold), and the polarity suite."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kgbuild import resources
from kgbuild.extractors.rules import RulesExtractor
from kgbuild.labels import Label, to_v1
from kgbuild.text import tokenize

Spans = set[tuple[Any, ...]]


def f1(gold: Spans, made: Spans) -> float:
    return 2 * len(gold & made) / (len(gold) + len(made))


@pytest.mark.real
def test_iu_dev_set(real_data: Path) -> None:
    gold = json.loads((real_data / "iu_gold" / "dev.json").read_text(encoding="utf-8"))
    extractor = RulesExtractor()
    entities: list[Spans] = [set(), set()]
    relations: list[Spans] = [set(), set()]
    for key, study in gold.items():
        spans = {i: (key, e["start_ix"], e["end_ix"] + 1, e["label"]) for i, e in study["entities"].items()}
        entities[0].update(spans.values())
        relations[0].update(
            (spans[i], name, spans[target]) for i, e in study["entities"].items() for name, target in e["relations"]
        )
        made, links = extractor.annotate(study["text"].split(" "))
        found = [(key, e.start, e.end, to_v1(Label(e.type, e.presence))) for e in made]
        entities[1].update(found)
        relations[1].update((found[r.source], r.type.value, found[r.target]) for r in links)
    wrong = {e[:3] for e in entities[0] ^ entities[1] if e[3].startswith("OBS")}
    assert f1(entities[0], entities[1]) >= 0.98
    assert f1(relations[0], relations[1]) >= 0.95
    assert (
        f1({r for r in relations[0] if r[1] == "suggestive_of"}, {r for r in relations[1] if r[1] == "suggestive_of"})
        >= 0.8
    )
    assert f1({e for e in entities[0] if e[3] == "OBS-U"}, {e for e in entities[1] if e[3] == "OBS-U"}) >= 0.9
    assert len(wrong) <= 0.003 * len(entities[0])


def test_polarity_suite() -> None:
    extractor = RulesExtractor()
    lines = (resources.data("schemas") / "polarity" / "polarity.jsonl").read_text(encoding="utf-8").splitlines()
    right = total = 0
    for line in lines:
        case = json.loads(line)
        entities, _ = extractor.annotate([token.text for token in tokenize(case["text"])])
        said = {i: e.presence.value for e in entities if e.type.value == "Observation" for i in range(e.start, e.end)}
        for finding in case["findings"]:
            total += 1
            right += said.get(finding["token"]) == finding["presence"]
            if finding["presence"] == "absent":
                assert said.get(finding["token"]) != "present", case["id"]
        for never in case["never"]:
            assert said.get(never["token"]) != "present", case["id"]
    assert right / total >= 0.97
