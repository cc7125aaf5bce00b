"""A constrained model, even of random weights, writes legal triplets, with ``copy`` of the report's words."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch

from kgbuild.models.constraints import AnyWords, Language, ReportWords, State, Vocabulary, token_bytes
from kgbuild.models.generating import generate
from kgbuild.notation.grounding import decode
from kgbuild.notation.triplets import Certainty, parse_triplets
from kgbuild.recipes import Decoding
from kgbuild.text import tokenize
from kgbuild.trainers._tokens import encode
from tests.neural.generating.conftest import REPORTS, lively, prompt

WORDS = [[token.text for token in tokenize(report)] for report in REPORTS]
PROMPTS = [prompt(report) for report in REPORTS]


def read(language: Language, text: str) -> bool:
    """Whether the automaton takes a text as a whole."""
    state: State | None = language.start
    for byte in text.encode():
        state = language.step(state, byte) if state is not None else None
    return state is not None and language.ends(state)


LEGAL = [
    "",
    " ",  # what a model is trained to write where there is nothing to say
    " effusion",
    " effusion (absent)",
    " effusion , located_at , pleural",
    " small , modify , effusion ; effusion (absent) , located_at , pleural ; opacity (uncertain)",
    " right base , suggestive_of , atelectasis (uncertain)",
]
ILLEGAL = [
    "effusion",
    "  ",
    " effusion ",
    " effusion ;",
    " effusion , located_at",
    " effusion , located_at , ",
    " effusion , is , pleural",
    " effusion (present)",
    " effusion (absent",
    " effusion (absent) pleural",
    " a , modify , b , modify , c",
    " effusion  pleural",
    " effusion, located_at , pleural",
    " effusion\n",
    " \u00a0",
]


@pytest.mark.parametrize("text", LEGAL)
def test_legal_text_is_taken_and_parses(text: str) -> None:
    assert read(Language(AnyWords()), text)
    assert parse_triplets(text)[1] == []


@pytest.mark.parametrize("text", ILLEGAL)
def test_what_is_not_written_so_is_not(text: str) -> None:
    assert not read(Language(AnyWords()), text)


def test_certainty_none_has_neither_marks_nor_lone_entities() -> None:
    language = Language(AnyWords(), "none")
    assert [read(language, text) for text in LEGAL] == [True, True, False, False, True, False, False]


@pytest.mark.parametrize(
    ("text", "good"),
    [
        (" effusion , located_at , pleural", True),
        (" small right pleural effusion", True),
        (" right effusion", False),  # both stand in the report, but not one after the other
        (" mass", False),
        (" pleur", False),
        (" Heart", False),  # the report writes it small
        (" portable", True),
        (" ( portable )", False),  # would be read as a mark
    ],
)
def test_copy_takes_words_that_stand_in_the_report_together(text: str, good: bool) -> None:
    words = [token.text for token in tokenize("The heart (portable): small right pleural effusion, stable")]
    assert read(Language(ReportWords(words)), text) is good


def test_the_bytes_of_tokens_are_those_of_the_decoded_text(tiny: tuple[Any, Any]) -> None:
    _, tokenizer = tiny
    spelled = token_bytes(tokenizer)
    for text in (*REPORTS, " 3 × 2 cm — ärztlich ; (absent)"):
        ids = tokenizer(text)["input_ids"]
        assert b"".join(spelled[number] for number in ids) == text.encode()
    assert not set(spelled) & set(tokenizer.all_special_ids)


def test_the_walk_over_the_sorted_vocabulary_finds_what_trying_every_token_finds(tiny: tuple[Any, Any]) -> None:
    vocabulary = Vocabulary(tiny[1])
    language = Language(ReportWords(WORDS[1]))

    def after(text: bytes, state: State | None) -> State | None:
        for byte in text:
            state = language.step(state, byte) if state is not None else None
        return state

    for start in (b"", b" small", b" right pleural", b" effusion ", b" effusion ,", b" a (", b" effusion (ab"):
        state = after(start, language.start)
        if state is None:
            continue
        every = {number for number, text in vocabulary.bytes_of.items() if after(text, state) is not None}
        assert set(vocabulary.allowed(language, state)) == every
        assert every


@pytest.mark.parametrize("strategy", ["greedy", "beam", "top-p"])
@pytest.mark.parametrize("certainty", ["full", "none"])
@pytest.mark.parametrize("constraint", ["triplets", "copy"])
def test_a_random_model_under_constraint_writes_what_can_be_read_and_grounded(
    tiny: tuple[Any, Any], strategy: Any, certainty: Certainty, constraint: Any
) -> None:
    decoding = Decoding(strategy=strategy, beams=3, max_new_tokens=24, batch_size=6, constraint=constraint)
    got = generate(*tiny, PROMPTS, decoding=decoding, allowed_words=WORDS, certainty=certainty)
    last = generate(*tiny, PROMPTS[-2:], decoding=decoding, allowed_words=WORDS[-2:], certainty=certainty)
    assert got[-2:] == last
    whole = 0
    for one, report in zip(got, REPORTS, strict=True):
        text = one.text if one.finished else one.text.rpartition(" ;")[0]
        triplets, rejected = parse_triplets(text)
        assert rejected == []
        assert certainty == "full" or all(
            triplet.relation and triplet.text() == triplet.text("none") for triplet in triplets
        )
        if constraint == "copy":
            # a random model says one word both present and absent, of which one is overruled: compared is all but that
            bare = re.sub(r" \((absent|uncertain)\)", "", text)
            assert decode(bare, tokenize(report))[1] == []
        whole += len(triplets)
    assert whole or constraint == "triplets" or certainty == "none"  # a random model need not come to an end of a piece


def test_copy_without_the_words_is_refused(tiny: tuple[Any, Any]) -> None:
    with pytest.raises(ValueError, match="allowed_words"):
        generate(*tiny, PROMPTS, decoding=Decoding(constraint="copy"))


def test_an_empty_report_can_only_give_an_empty_text(tiny: tuple[Any, Any]) -> None:
    for strategy in ("greedy", "beam"):
        decoding = Decoding(strategy=strategy, constraint="copy", max_new_tokens=8)
        [one] = generate(*tiny, PROMPTS[:1], decoding=decoding, allowed_words=[[]])
        assert (one.text, one.finished) == ("", True)


@pytest.mark.parametrize("constraint", ["triplets", "copy"])
def test_a_model_that_learned_to_write_nothing_is_not_forced_to_invent(constraint: Any) -> None:
    model, tokenizer = lively(3)
    begin, rest = encode(tokenizer, PROMPTS[1], " ")  # the completion of a report without entities
    ids = torch.tensor([[*begin, *rest]])
    labels = torch.tensor([[-100] * len(begin) + rest])
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    model.train()
    for _ in range(40):
        loss = model(input_ids=ids, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    for strategy in ("greedy", "beam"):
        decoding = Decoding(strategy=strategy, beams=3, constraint=constraint, max_new_tokens=8)
        [one] = generate(model, tokenizer, PROMPTS[1:2], decoding=decoding, allowed_words=WORDS[1:2])
        assert (one.text, one.finished) == ("", True)
