"""Gates: accuracy against model-made annotations of open reports (not radiologist gold), and the polarity suite."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.resources import as_file
from pathlib import Path
from typing import Any

import pytest

import kgbuild
from kgbuild import resources
from kgbuild.domain import Annotation, Study
from kgbuild.extractors.rules import RulesExtractor
from kgbuild.labels import EntityType, Label, RelationType, to_v1
from kgbuild.metrics.triplets import score_triplets
from kgbuild.notation import read_annotations
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


def strict(gold: Mapping[str, Annotation], made: Mapping[str, Annotation]) -> tuple[float, float]:
    """F1 of entities and of relations."""
    scores = score_triplets(gold, made, resamples=1)
    return scores["entity"]["f1"]["value"], scores["relation"]["f1"]["value"]


def test_shipped_examples() -> None:
    with as_file(resources.data("schemas") / "examples" / "gold.json") as path:
        gold = {key: a for key, a in read_annotations(path) if isinstance(a, Annotation)}
    studies = [study for study in kgbuild.resolve("examples").open().studies() if isinstance(study, Study)]
    made = {a.study_id: a for a in RulesExtractor().extract(studies) if isinstance(a, Annotation)}
    entities, relations = strict(gold, made)
    assert entities >= 0.99
    assert relations >= 0.95


@pytest.mark.real
def test_made_up_inpatients(real_data: Path) -> None:
    folder = real_data / "inpatient_made_up"
    gold = json.loads((folder / "findings.json").read_text(encoding="utf-8"))
    studies = [study for study in kgbuild.resolve("iu-xray", folder).open().studies() if isinstance(study, Study)]
    made = {a.study_id.split(":")[-1]: a for a in RulesExtractor().extract(studies) if isinstance(a, Annotation)}
    total = found = right = places = placed = 0
    for key, heads in gold.items():
        entities = made[key].entities
        at = {i: k for k, e in enumerate(entities) if e.type is EntityType.OBSERVATION for i in range(e.start, e.end)}
        sites: dict[int, set[int]] = {}
        for r in made[key].relations:
            if r.type is RelationType.LOCATED_AT:
                target = entities[r.target]
                sites.setdefault(r.source, set()).update(range(target.start, target.end))
        for token, head in heads.items():
            k = at.get(int(token))
            said = entities[k].presence.value if k is not None else "not found"
            if head["presence"] == "N":
                assert said != "present", key
                continue
            wanted = head["presence"].lower()
            assert (wanted, said) not in {("absent", "present"), ("uncertain", "present")}, key
            total += 1
            found += k is not None
            right += said == wanted
            places += len(head["sites"] or [])
            placed += sum(site in sites.get(-1 if k is None else k, ()) for site in head["sites"] or [])
    assert found / total >= 0.95
    assert right / found >= 0.97
    assert placed / places >= 0.9


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
