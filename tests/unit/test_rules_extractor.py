"""The extractor as the pipelines see it: order, sections, options, fingerprint, memo, and no input that breaks it."""

from __future__ import annotations

import itertools
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kgbuild.domain import Annotation, Report, Section, Study
from kgbuild.errors import UsageError
from kgbuild.extractors._rules.lexicon import load
from kgbuild.extractors.rules import PLUGIN, RulesExtractor
from kgbuild.labels import EntityType, Presence
from kgbuild.text import tokenize


def study(text: str, impression: str = "", id_: str = "S1") -> Study:
    parts = (Section("findings", text), Section("impression", impression, offset=100))
    return Study(id_, "made-up", Report(parts))


def annotate(extractor: RulesExtractor, *studies: Study) -> list[Annotation]:
    return [made for made in extractor.extract(studies) if isinstance(made, Annotation)]


def test_one_annotation_a_study_in_order_empty_reports_too() -> None:
    made = annotate(PLUGIN(("findings",)), study("Clear lungs.", id_="b"), Study("a", "x"), study("", id_="c"))
    assert [(a.study_id, len(a.entities), a.extractor) for a in made] == [
        ("b", 2, "rules"), ("a", 0, "rules"), ("c", 0, "rules"),
    ]  # fmt: skip


def test_a_sentence_ends_with_its_section() -> None:
    (made,) = annotate(PLUGIN(("findings", "impression")), study("No", "effusion"))
    assert [(e.text, e.presence) for e in made.entities] == [("effusion", Presence.PRESENT)]
    assert made.tokens[1].char_start == 100


def test_options() -> None:
    with pytest.raises(UsageError, match="no option speed"):
        RulesExtractor(("findings",), speed="1")
    with pytest.raises(UsageError, match="memo is not a number"):
        RulesExtractor(("findings",), memo="many")


def test_fingerprint_depends_on_sections_and_not_on_the_memo() -> None:
    one = RulesExtractor(("findings",)).fingerprint()
    assert one == RulesExtractor(("findings",), memo="0").fingerprint()
    assert one != RulesExtractor(("impression",)).fingerprint()
    assert len(one) == 64


def test_the_memo_is_bounded_and_changes_nothing() -> None:
    texts = [
        f"No effusion. Nodule of {i % 7} mm in the {side} lung. Mild edema, unchanged."
        for i in range(30)
        for side in ("left", "right")
    ]
    studies = [study(text, id_=str(i)) for i, text in enumerate(texts)]
    small = RulesExtractor(("findings",), memo="3")
    assert annotate(small, *studies) == annotate(RulesExtractor(("findings",), memo="0"), *studies)
    assert len(small._engine._memo) == 3


def test_long_lines_take_linear_time() -> None:
    text = "opacity in the lung and " * 4000
    start = time.process_time()
    annotate(RulesExtractor(("findings",), memo="0"), study(text))
    assert time.process_time() - start < 20  # a quadratic reading takes minutes


WORDS = st.one_of(
    st.sampled_from(sorted(load().singles)),
    st.sampled_from(sorted({" ".join(p) for o in load().multis.values() for s in o.values() for p, _ in s})),
    st.sampled_from([",", ".", ";", ":", "?", "-", "/", "(", "xxxx", "___", "4", "5 mm", "2 . 5 cm"]),
    st.text(max_size=8),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(WORDS, max_size=30).map(" ".join))
def test_any_text_gives_a_legal_annotation(text: str) -> None:
    (made,) = annotate(RulesExtractor(("findings",), memo="0"), study(text))
    entities = made.entities
    assert list(entities) == sorted(entities, key=lambda e: (e.start, e.end))
    for before, after in itertools.pairwise(entities):
        assert before.end <= after.start
    for entity in entities:
        tokens = made.tokens[entity.start : entity.end]
        assert entity.text == " ".join(token.text for token in tokens)
        assert text[tokens[0].char_start : tokens[-1].char_end].split()
        assert entity.rule
        assert entity.type is EntityType.OBSERVATION or entity.presence is Presence.PRESENT
    keys = [(r.source, r.target, r.type.value) for r in made.relations]
    assert keys == sorted(keys)
    assert len({frozenset(key[:2]) for key in keys}) == len(keys)
    for relation in made.relations:
        source, target = entities[relation.source].type, entities[relation.target].type
        legal = {
            "modify": source is target,
            "located_at": source is EntityType.OBSERVATION and target is EntityType.ANATOMY,
            "suggestive_of": source is target is EntityType.OBSERVATION,
        }
        assert legal[relation.type.value]
        assert relation.rule


@pytest.mark.parametrize(
    "text", ["", " ", "...", "XXXX XXXX", "\x00\x07", "\ud800", "<b>Lunge frei</b>", "心肺未见异常", "1.2.3."]
)
def test_odd_texts(text: str) -> None:
    assert len(annotate(RulesExtractor(("findings",)), study(text))) == 1


@pytest.mark.parametrize(
    ("text", "absent", "present"),
    [
        ("No pneumothorax large effusion.", "pneumothorax effusion", ""),
        ("No focal consolidation large effusion or pneumothorax.", "consolidation effusion pneumothorax", ""),
        ("No consolidation, large effusion/pneumothorax.", "consolidation effusion pneumothorax", ""),
        ("No evidence of pneumonia or post primary infection.", "pneumonia infection", ""),
        ("No evidence of active or changes from chronic infection.", "changes infection", ""),
        ("Pneumothorax (-).", "pneumothorax", ""),
        ("Effusion: no.", "effusion", ""),
        ("Consolidation - no.", "consolidation", ""),
        ("No edema; effusion; or pneumothorax.", "edema effusion pneumothorax", ""),
        ("No edema; effusion is small.", "edema", "effusion"),
        ("No pneumothorax, large left effusion.", "pneumothorax", "effusion"),
        ("No pneumothorax small effusion.", "pneumothorax", "effusion"),
        ("No change from the prior effusion.", "change", "effusion"),
    ],
)
def test_a_denial_is_kept_where_a_comma_is_forgotten(text: str, absent: str, present: str) -> None:
    entities, _ = RulesExtractor().annotate([token.text for token in tokenize(text)])
    said = {entity.text.lower(): entity.presence.value for entity in entities}
    assert [said.get(word) for word in absent.split()] == ["absent"] * len(absent.split())
    assert [said.get(word) for word in present.split()] == ["present"] * len(present.split())
