"""Triplet text: what is written, what a model's text is read as, and how it finds its way back onto tokens."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kgbuild.domain import Annotation, Entity, Relation, Token
from kgbuild.errors import UsageError
from kgbuild.labels import EntityType, Presence, RelationType
from kgbuild.notation import (
    Triplet,
    decode,
    encode,
    instruction_prompt,
    parse_triplets,
    read_radgraph,
    sorted_annotation,
)
from kgbuild.text import tokenize

ANAT, OBS = EntityType.ANATOMY, EntityType.OBSERVATION
PRESENT, UNCERTAIN, ABSENT = Presence.PRESENT, Presence.UNCERTAIN, Presence.ABSENT
LOCATED, MODIFY, SUGGESTS = RelationType.LOCATED_AT, RelationType.MODIFY, RelationType.SUGGESTIVE_OF

TOKENS = tuple(tokenize("Opacity in the left lung , possibly pneumonia . No pleural effusion or pneumothorax ."))
ANNOTATION = Annotation(
    "s1",
    TOKENS,
    (
        Entity(0, 1, "Opacity", OBS, PRESENT),
        Entity(3, 4, "left", ANAT, PRESENT),
        Entity(4, 5, "lung", ANAT, PRESENT),
        Entity(7, 8, "pneumonia", OBS, UNCERTAIN),
        Entity(10, 11, "pleural", ANAT, PRESENT),
        Entity(11, 12, "effusion", OBS, ABSENT),
        Entity(13, 14, "pneumothorax", OBS, ABSENT),
    ),
    (Relation(0, 2, LOCATED), Relation(0, 3, SUGGESTS), Relation(1, 2, MODIFY), Relation(5, 4, LOCATED)),
)
TEXT = (
    "Opacity , located_at , lung ; Opacity , suggestive_of , pneumonia (uncertain) ; left , modify , lung ; "
    "effusion (absent) , located_at , pleural ; pneumothorax (absent)"
)


def test_encode() -> None:
    assert encode(ANNOTATION) == TEXT
    assert encode(ANNOTATION, "none") == (
        "Opacity , located_at , lung ; Opacity , suggestive_of , pneumonia ; left , modify , lung ; "
        "effusion , located_at , pleural"
    )
    assert encode(Annotation("s1", TOKENS)) == ""


def test_a_lone_entity_stands_among_the_heads() -> None:
    tokens = tuple(tokenize("clear lungs stable"))
    entities = tuple(Entity(i, i + 1, token.text, OBS, PRESENT) for i, token in enumerate(tokens))
    assert encode(Annotation("s1", tokens, entities, (Relation(2, 1, MODIFY),))) == "clear ; stable , modify , lungs"


def test_decode_gives_it_back() -> None:
    assert decode(TEXT, TOKENS, study_id="s1") == (ANNOTATION, [])


def test_parse() -> None:
    assert parse_triplets(TEXT)[0][3:] == [
        Triplet("effusion", ABSENT, LOCATED, "pleural", PRESENT),
        Triplet("pneumothorax", ABSENT),
    ]
    assert parse_triplets("") == ([], [])


@pytest.mark.parametrize(
    "text",
    [
        "effusion(absent),located_at,pleural",
        "  effusion (Absent) ,  Located At , pleural ;",
        "\neffusion ( absent ) , LOCATED_AT , pleural (present)\n",
    ],
)
def test_parse_forgives(text: str) -> None:
    assert parse_triplets(text) == ([Triplet("effusion", ABSENT, LOCATED, "pleural", PRESENT)], [])


@pytest.mark.parametrize(
    "piece",
    [
        "effusion , near , pleural",
        "effusion , located_at",
        "effusion , located_at ,",
        ", located_at , pleural",
        "(absent) , located_at , pleural",
        "left , modify , lower , modify , lobe",
        "Opacity , lung",
        "(absent)",
    ],
)
def test_parse_rejects(piece: str) -> None:
    assert parse_triplets(f"clear ; {piece} ; stable") == (
        [Triplet("clear", PRESENT), Triplet("stable", PRESENT)],
        [piece],
    )


def test_invented_words_are_kept_apart() -> None:
    found, rejected = decode("Opacity , located_at , spleen ; mass ; left , modify , lung ; x , y", TOKENS)
    assert rejected == ["x , y", "Opacity , located_at , spleen", "mass"]
    assert [entity.text for entity in found.entities] == ["left", "lung"]


def test_case_and_compounds_ground() -> None:
    found, rejected = decode("opacity , located_at , LEFT LUNG", TOKENS)
    assert (found.entities, rejected) == (
        (Entity(0, 1, "Opacity", OBS, PRESENT), Entity(3, 5, "left lung", ANAT, PRESENT)),
        [],
    )
    assert decode("port-a-cath", tuple(tokenize("a port-a-cath")))[0].entities[0].text == "port - a - cath"


def test_repeated_words_go_to_the_nearest_in_order() -> None:
    """Heads keep text order; each tail is the one near its head."""
    tokens = tuple(tokenize("The lung is clear . Right lung opacity . Left lung clear ."))
    found, _ = decode("opacity , located_at , lung ; clear , located_at , lung", tokens)
    spans = [(found.entities[link.source].start, found.entities[link.target].start) for link in found.relations]
    assert spans == [(7, 6), (11, 10)]


def test_disordered_text_is_still_grounded() -> None:
    tokens = tuple(tokenize("mild edema , small effusion"))
    found, rejected = decode("small , modify , effusion ; mild , modify , edema", tokens)
    assert rejected == []
    assert [(link.source, link.target) for link in found.relations] == [(0, 1), (2, 3)]


def test_types_that_the_text_does_not_say() -> None:
    tokens = tuple(tokenize("left lower lobe stable"))
    text = "left , modify , lobe ; lower , modify , lobe ; stable"
    assert {entity.type for entity in decode(text, tokens)[0].entities} == {OBS}
    known = decode(text, tokens, type_of=lambda words: ANAT if words == "lobe" else None)[0]
    assert [entity.type for entity in known.entities] == [ANAT, ANAT, ANAT, OBS]


@st.composite
def unrepeated(draw: st.DrawFn) -> Annotation:
    """An annotation of a text of which every word stands once; relations join types as RadGraph's do."""
    words = draw(st.lists(st.text("abcdéß", min_size=1, max_size=5), unique_by=str.casefold, max_size=10))
    cuts = sorted(draw(st.sets(st.integers(0, len(words)), max_size=8)))
    entities = tuple(
        Entity(
            start, end, " ".join(words[start:end]), draw(st.sampled_from(EntityType)), draw(st.sampled_from(Presence))
        )
        for start, end in pairwise(cuts)
    )
    kinds = {(OBS, ANAT): [LOCATED], (OBS, OBS): [SUGGESTS, MODIFY], (ANAT, ANAT): [MODIFY]}
    possible = [
        Relation(a, b, kind)
        for a, one in enumerate(entities)
        for b, other in enumerate(entities)
        for kind in kinds.get((one.type, other.type), [])
        if a != b
    ]
    relations = draw(st.lists(st.sampled_from(possible), max_size=8)) if possible else []
    tokens = tuple(Token(word, "", -1, -1) for word in words)
    return sorted_annotation(Annotation("s1", tokens, entities, tuple(relations)))


@given(unrepeated())
def test_inverse_where_words_stand_once(annotation: Annotation) -> None:
    types = {entity.text: entity.type for entity in annotation.entities}
    assert decode(encode(annotation), annotation.tokens, study_id="s1", type_of=types.get) == (annotation, [])


@given(
    st.lists(st.sampled_from(["a", "b", "c d", ",", ";", "(absent)", "located_at", "modify", "\n", ""]), max_size=30)
)
def test_any_text_is_read(parts: list[str]) -> None:
    """Nothing crashes, and every entity is words of the report at its span."""
    tokens = tuple(tokenize("a b c d a b ; ( x )"))
    found, _ = decode(" ".join(parts), tokens)
    for entity in found.entities:
        assert entity.text == " ".join(token.text for token in tokens[entity.start : entity.end])
    assert found == sorted_annotation(found)


def test_prompt() -> None:
    assert instruction_prompt("lungs clear", "Read: {report}\nTriplets: \n") == "Read: lungs clear\nTriplets:"
    assert instruction_prompt("a {report} b", "{report} :") == "a {report} b :"
    assert instruction_prompt("lungs clear").endswith("\n\nReport: lungs clear\nTriplets:")
    with pytest.raises(UsageError, match="template"):
        instruction_prompt("lungs clear", "no place")


@pytest.mark.real
def test_gold_comes_back_nearly_whole(real_data: Path) -> None:
    """Measured 2026-11: .999 of entities (span, presence), .997 of relations; the rest are repeated words."""
    gold = [found for _, found in read_radgraph(real_data / "iu_gold" / "dev.json") if isinstance(found, Annotation)]
    kept = listed = 0
    for annotation in gold:
        text = encode(annotation)
        found, rejected = decode(text, annotation.tokens)
        assert rejected == []
        assert encode(found) == text
        sides = [
            {(side.entities[link.source].start, side.entities[link.target].start, link.type) for link in side.relations}
            for side in (annotation, found)
        ]
        kept += len(sides[0] & sides[1])
        listed += len(sides[0])
    assert kept / listed > 0.995


@pytest.mark.parametrize(
    ("text", "presence", "overruled"),
    [
        ("effusion ; effusion (absent)", ABSENT, ["effusion"]),
        ("effusion (absent) ; effusion", ABSENT, ["effusion"]),
        ("effusion ; effusion (uncertain)", UNCERTAIN, ["effusion"]),
        ("effusion (uncertain) ; effusion (absent) ; effusion", ABSENT, ["effusion (uncertain)", "effusion"]),
        ("effusion (absent) ; small , modify , effusion", ABSENT, ["small , modify , effusion"]),
        ("effusion ; effusion", PRESENT, []),
    ],
)
def test_of_contradicting_presences_the_weakest_holds_and_the_others_are_rejected(
    text: str, presence: Presence, overruled: list[str]
) -> None:
    found, rejected = decode(text, tuple(tokenize("a small effusion")))
    assert {entity.text: entity.presence for entity in found.entities}["effusion"] is presence
    assert rejected == overruled
