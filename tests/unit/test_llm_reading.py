"""A model's text into an annotation: what a report denies never becomes present, and nothing is lost."""

from __future__ import annotations

import pytest

from kgbuild.domain import Annotation
from kgbuild.extractors._llm_reading import CUT, Reader
from kgbuild.labels import EntityType, Presence
from kgbuild.text import tokenize

REPORT = "There is no pneumothorax. Small right pleural effusion. Possible atelectasis at the left base."


def read(text: str, presence: str = "stated", *, finished: bool = True, report: str = REPORT) -> Annotation:
    return Reader("llm-kg", presence).read(text, tokenize(report, "findings"), "s1", finished=finished)


def said(annotation: Annotation) -> dict[str, str]:
    return {entity.text: entity.presence.value for entity in annotation.entities}


def test_the_output_is_kept_as_written_and_spans_lie_in_the_report() -> None:
    text = "pneumothorax (absent) ; effusion , located_at , pleural ; mass ; effusion , is , big"
    got = read(text)
    assert got.output == text
    assert got.rejected == ("effusion , is , big", "mass")
    assert said(got) == {"pneumothorax": "absent", "effusion": "present", "pleural": "present"}
    assert got.notes == ()
    assert (got.study_id, got.extractor) == ("s1", "llm-kg")
    entity = got.entities[0]
    token = got.tokens[entity.start]
    assert REPORT[token.char_start : token.char_end] == "pneumothorax"


def test_types_come_from_the_relation_else_from_the_lexicon() -> None:
    got = read("effusion ; pleural ; left base")
    assert [(entity.text, entity.type) for entity in got.entities] == [
        ("pleural", EntityType.ANATOMY),
        ("effusion", EntityType.OBSERVATION),
        ("left base", EntityType.ANATOMY),
    ]


@pytest.mark.parametrize(
    "text",
    ["effusion ; pneumothorax", "effusion ; pneumothorax (abs", "effusion ; pneumothorax ,", "effusion\npneumothorax"],
)
def test_the_last_piece_of_a_text_that_was_cut_is_not_used_its_mark_may_be_missing(text: str) -> None:
    got = read(text, finished=False)
    assert said(got) == {"effusion": "present"}
    assert len(got.rejected) == 1
    assert got.notes == (CUT,)
    assert "pneumothorax" not in said(read("pneumothorax", finished=False))
    assert read("effusion ; pneumothorax (absent) ;", finished=False).rejected == ()


def test_a_denial_copied_with_its_finding_is_no_finding() -> None:
    got = read("no pneumothorax ; effusion ; No pneumothorax , located_at , pleural ; right , modify , no pneumothorax")
    assert said(got) == {"effusion": "present"}
    assert len(got.rejected) == 3
    assert said(read("no pneumothorax (absent)")) == {"no pneumothorax": "absent"}


def test_triplets_without_presence_take_it_from_the_rules_and_doubt_where_these_are_silent() -> None:
    text = "effusion , located_at , pleural ; pneumothorax , located_at , pleural ; There , modify , Small"
    got = read(f"{text} ; atelectasis , located_at , left base", "rules")
    found = said(got)
    assert found["pneumothorax"] == "absent"
    assert found["effusion"] == "present"
    assert found["atelectasis"] == "uncertain"
    assert found["There"] == "uncertain"
    assert found["pleural"] == found["left base"] == "present"
    assert {entity.rule for entity in got.entities} == {"presence by rules"}


def test_or_every_observation_is_uncertain() -> None:
    got = read("pneumothorax , located_at , pleural ; effusion , located_at , pleural", "none")
    observed = {entity.presence for entity in got.entities if entity.type is EntityType.OBSERVATION}
    assert observed == {Presence.UNCERTAIN}


@pytest.mark.parametrize("text", ["", " ", ";;;", ", , ,", "(absent)", "\u00a0", "a" * 5000, "located_at , located_at"])
def test_any_text_gives_an_annotation(text: str) -> None:
    for finished in (True, False):
        got = read(text, finished=finished)
        assert got.output == text
        assert got.entities == ()
