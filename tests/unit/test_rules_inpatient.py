"""Twenty invented ICU and ED reports, marked by somebody who had not seen the rules: certainty and sites hold there.

First look (before any rule was written with them in view): heads .988, presence .984, sites .877.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from kgbuild.domain import Annotation, Entity, Report, Section, Study
from kgbuild.extractors.rules import RulesExtractor
from kgbuild.labels import EntityType, RelationType
from kgbuild.notation import to_radgraph
from kgbuild.text import study_tokens

FOLDER = Path(__file__).parents[1] / "golden" / "inpatient"
FIELDS = ("findings", "impression")


def studies() -> list[Study]:
    with (FOLDER / "reports.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    return [
        Study(f"CXR{row['uid']}", "made-up", Report(tuple(Section(name, row[name]) for name in FIELDS))) for row in rows
    ]


def annotated(given: list[Study]) -> list[Annotation]:
    found = [item for item in RulesExtractor().extract(given) if isinstance(item, Annotation)]
    assert len(found) == len(given)
    return found


def test_heads_presence_and_sites() -> None:
    gold = json.loads((FOLDER / "findings.json").read_text())
    heads = found = right = sites = placed = advice_present = 0
    for annotation in annotated(studies()):
        entities = annotation.entities
        at: dict[int, Entity] = {
            token: e for e in entities if e.type is EntityType.OBSERVATION for token in range(e.start, e.end)
        }
        for place, mark in gold[annotation.study_id].items():
            assert annotation.tokens[int(place)].text == mark["word"]
            entity = at.get(int(place))
            said = entity.presence.name if entity else None
            if mark["presence"] == "N":
                advice_present += said == "PRESENT"
                continue
            heads += 1
            found += entity is not None
            right += said == mark["presence"]
            targets = {
                token
                for r in annotation.relations
                if entity is not None and entities[r.source] == entity and r.type is RelationType.LOCATED_AT
                for token in range(entities[r.target].start, entities[r.target].end)
            }
            sites += len(mark["sites"] or ())
            placed += sum(site in targets for site in mark["sites"] or ())
    assert (heads, sites) == (250, 138)
    assert found / heads >= 0.95
    assert right / found >= 0.97
    assert placed / sites >= 0.85
    assert advice_present == 0


@pytest.mark.parametrize("study", studies(), ids=lambda study: study.id)
def test_the_text_is_the_contracts(study: Study) -> None:
    annotation = annotated([study])[0]
    assert to_radgraph(annotation)["text"] == " ".join(token.text for token in study_tokens(study.report))
