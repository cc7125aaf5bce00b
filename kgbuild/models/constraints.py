"""Constrained decoding: tokens after which the text cannot become legal triplet text are never chosen.

The language is DESIGN §11's: `` head , relation , tail ; head (absent) ; …``. An automaton reads its bytes; a token is
allowed where all of its bytes lead on, the end of text where a piece is whole. With ``copy`` the words of an entity
must moreover stand in the report one after another, so that everything that is written can be found there.

It is our own, since the copy rule differs from report to report: llguidance and xgrammar would compile a grammar for
each (and xgrammar refuses beams), where a walk over the sorted vocabulary costs about a millisecond a state.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Protocol

import torch
from torch import Tensor
from transformers import LogitsProcessor

from kgbuild.labels import Presence, RelationType
from kgbuild.notation.triplets import Certainty

State = tuple[Any, ...]
_BARRED = frozenset(b",;()")
_SPACE = 0x20
_MARKS = tuple(f"{member.value})".encode() for member in Presence if member is not Presence.PRESENT)
_RELATIONS = tuple(f" {member.value} , ".encode() for member in RelationType)


class Words(Protocol):
    """What an entity's words may be. A state is hashable; None is a dead end."""

    def begin(self) -> State | None:
        """Before the first byte of an entity."""
        ...

    def step(self, state: State, byte: int) -> State | None:
        """One byte on within a word."""
        ...

    def whole(self, state: State) -> bool:
        """Whether a word may end here."""
        ...

    def next(self, state: State) -> State | None:
        """After a whole word and a space; None where no word may follow."""
        ...


class AnyWords:
    """Words of visible characters; none begins outside of ASCII, where some characters are space."""

    def begin(self) -> State:
        """See ``Words``."""
        return (0,)

    def step(self, state: State, byte: int) -> State | None:
        """See ``Words``."""
        visible = 0x21 <= byte <= 0x7E and byte not in _BARRED
        return (1,) if visible or (byte >= 0x80 and state == (1,)) else None

    def whole(self, state: State) -> bool:
        """See ``Words``."""
        return state == (1,)

    def next(self, state: State) -> State:
        """See ``Words``."""
        return (0,)


class ReportWords:
    """Words that stand in a report one after another; a state is (places still possible, bytes read of the word)."""

    def __init__(self, tokens: Sequence[str]) -> None:
        self._words = [word.encode() for word in tokens]
        self._good = [bool(word) and not _BARRED & set(word) for word in self._words]

    def begin(self) -> State | None:
        """See ``Words``."""
        return self._at(range(len(self._words)))

    def step(self, state: State, byte: int) -> State | None:
        """See ``Words``."""
        places, read = state
        words = self._words
        left = tuple(p for p in places if len(words[p]) > read and words[p][read] == byte)
        return (left, read + 1) if left else None

    def whole(self, state: State) -> bool:
        """See ``Words``."""
        places, read = state
        return any(len(self._words[p]) == read for p in places)

    def next(self, state: State) -> State | None:
        """See ``Words``."""
        places, read = state
        return self._at(p + 1 for p in places if len(self._words[p]) == read)

    def _at(self, places: Any) -> State | None:
        good = tuple(p for p in places if p < len(self._good) and self._good[p])
        return (good, 0) if good else None


class Language:
    """The automaton.

    States: start, lead (after the first space), word, gap (after a word and a space), mark, marked, markgap, relation,
    next.

    Args:
        words: what an entity may be.
        certainty: ``none`` has no marks and no lone entities.
    """

    start: State = ("start",)

    def __init__(self, words: Words, certainty: Certainty = "full") -> None:
        self._words = words
        self._full = certainty == "full"
        self.allowed: dict[State, tuple[Tensor, bool]] = {}

    def ends(self, state: State) -> bool:
        """Whether the text may end here. Nothing at all is legal."""
        if state[0] == "word":
            return self._closes(state[1]) and self._words.whole(state[2])
        # a pair without entities is trained as a space and the end, since every completion begins with a space
        return state[0] in ("start", "lead") or (state[0] == "marked" and self._closes(state[1]))

    def _closes(self, role: str) -> bool:
        return role == "tail" or self._full

    def step(self, state: State, byte: int) -> State | None:
        """One byte on; None where the text cannot become legal any more."""
        kind = state[0]
        if kind == "start":
            return ("lead",) if byte == _SPACE else None
        if kind == "lead":
            begun = self._words.begin()
            return None if begun is None else self._word("head", self._words.step(begun, byte))
        if kind == "next":
            return self._word("head", self._words.begin()) if byte == _SPACE else None
        if kind == "word":
            role, inner = state[1], state[2]
            if byte == _SPACE:
                return ("gap", role, inner) if self._words.whole(inner) else None
            return self._word(role, self._words.step(inner, byte))
        if kind == "gap":
            return self._after(state[1], byte) or self._more(state[1], state[2], byte)
        if kind == "mark":
            return self._literal(state, byte, _MARKS, ("marked", state[1]))
        if kind == "marked":
            return ("markgap", state[1]) if byte == _SPACE else None
        if kind == "markgap":
            return None if byte == 0x28 else self._after(state[1], byte)
        inner_start = self._words.begin()
        return self._literal(state, byte, _RELATIONS, ("word", "tail", inner_start)) if inner_start else None

    def _word(self, role: str, inner: State | None) -> State | None:
        return None if inner is None else ("word", role, inner)

    def _after(self, role: str, byte: int) -> State | None:
        if byte == 0x2C and role == "head":
            return ("relation", role, b"")
        if byte == 0x3B and self._closes(role):
            return ("next",)
        return ("mark", role, b"") if byte == 0x28 and self._full else None

    def _more(self, role: str, inner: State, byte: int) -> State | None:
        begun = self._words.next(inner)
        return None if begun is None else self._word(role, self._words.step(begun, byte))

    def _literal(self, state: State, byte: int, texts: tuple[bytes, ...], then: State) -> State | None:
        read = state[2] + bytes([byte])
        if read in texts:
            return then
        return (state[0], state[1], read) if any(text.startswith(read) for text in texts) else None


class Vocabulary:
    """A tokenizer's tokens as bytes, sorted, so that tokens with one beginning lie together."""

    def __init__(self, tokenizer: Any) -> None:
        pairs = sorted((text, number) for number, text in token_bytes(tokenizer).items() if text)
        self._texts = [text for text, _ in pairs]
        self._ids = [number for _, number in pairs]
        self.bytes_of = dict(zip(self._ids, self._texts, strict=True))
        self._any: dict[str, Language] = {}

    def any_words(self, certainty: Certainty) -> Language:
        """The language of any words, one for all prompts: what its few states allow is found once."""
        return self._any.setdefault(certainty, Language(AnyWords(), certainty))

    def allowed(self, language: Language, state: State) -> list[int]:
        """Ids of the tokens whose bytes all lead on from ``state``."""
        found: list[int] = []
        todo = [(0, len(self._texts), 0, state)]
        while todo:
            low, high, depth, here = todo.pop()
            while low < high and len(self._texts[low]) == depth:
                found.append(self._ids[low])
                low += 1
            while low < high:
                text = self._texts[low]
                byte = text[depth]
                end = high if byte == 0xFF else bisect_left(self._texts, text[:depth] + bytes([byte + 1]), low, high)
                then = language.step(here, byte)
                if then is not None:
                    todo.append((low, end, depth + 1, then))
                low = end
        return found


@lru_cache(maxsize=2)
def vocabulary_of(tokenizer: Any) -> Vocabulary:
    """A tokenizer's vocabulary, sorted once (0.5 s for 150,000 tokens), not once a call of ``generate``."""
    return Vocabulary(tokenizer)


def token_bytes(tokenizer: Any) -> dict[int, bytes]:
    """What each token adds to the text; special tokens are left out.

    Byte-level tokenizers (GPT-2, Qwen, Llama 3) spell a byte as a character of their own table; SentencePiece ones
    write a space as ``▁`` and a byte as ``<0x0A>``.
    """
    added = tokenizer.added_tokens_decoder
    special = set(tokenizer.all_special_ids) | {number for number, token in added.items() if token.special}
    byte_level = "ByteLevel" in json.dumps(json.loads(tokenizer.backend_tokenizer.to_str()).get("decoder"))
    table = _byte_characters()
    found: dict[int, bytes] = {}
    for text, number in tokenizer.get_vocab().items():
        if number in special:
            continue
        if byte_level and number not in added:
            known = [table.get(character) for character in text]
            found[number] = b"" if None in known else bytes(byte for byte in known if byte is not None)
        elif len(text) == 6 and text.startswith("<0x") and text.endswith(">"):
            found[number] = bytes([int(text[3:5], 16)])
        else:
            found[number] = text.replace("▁", " ").encode()
    return found


def _byte_characters() -> dict[str, int]:
    """GPT-2's table: visible Latin-1 characters are themselves, the other bytes are U+0100 and on, in order."""
    visible = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in visible]
    return {chr(byte): byte for byte in visible} | {chr(256 + i): byte for i, byte in enumerate(others)}


class Constraint(LogitsProcessor):
    """Bars every token that is not allowed, for greedy decoding, sampling and beams.

    Args:
        vocabulary: of the tokenizer.
        languages: one a prompt of the batch.
        width: prompt tokens, padding included.
        beams: rows of one prompt.
        end: ids of the end of text.
    """

    def __init__(
        self, vocabulary: Vocabulary, languages: Sequence[Language], *, width: int, beams: int, end: Sequence[int]
    ) -> None:
        self._vocabulary = vocabulary
        self._languages = languages
        self._width, self._beams, self._end = width, beams, list(end)
        self._states: dict[tuple[int, tuple[int, ...]], State | None] = {}

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Scores with what is barred at -inf. Shapes: (rows, tokens so far), (rows, vocabulary)."""
        out = torch.full_like(scores, float("-inf"))
        states: dict[tuple[int, tuple[int, ...]], State | None] = {}
        for row, ids in enumerate(input_ids[:, self._width :].tolist()):
            number, written = row // self._beams, tuple(ids)
            state = self._state(number, written)
            states[number, written] = state
            allowed = self._allowed(self._languages[number], state).to(scores.device)
            out[row, allowed] = scores[row, allowed]
        self._states = states
        return out

    def _state(self, number: int, written: tuple[int, ...]) -> State | None:
        """The state after what was written, from the step before; None once the text has ended (or a beam is void)."""
        if not written:
            return Language.start
        state = self._states.get((number, written[:-1]))
        if state is None:
            return None
        text = self._vocabulary.bytes_of.get(written[-1])
        if text is None:
            return None
        for byte in text:
            state = self._languages[number].step(state, byte)
            if state is None:
                return None
        return state

    def _allowed(self, language: Language, state: State | None) -> Tensor:
        if state is None:
            return torch.tensor(self._end)
        if state not in language.allowed:
            ids = self._vocabulary.allowed(language, state)
            # a tokenizer without bytes for what must follow leaves only the end; the parser sorts such text out
            ids += self._end if language.ends(state) or not ids else []
            language.allowed[state] = (torch.tensor(ids), True)
        return language.allowed[state][0]
