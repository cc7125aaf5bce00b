"""Give every token of a sentence a kind: entity kinds (one capital letter) or cue classes, longest phrase first.

Kinds: A organ, J adjective of an organ, G generic noun of an organ, S side, L place preposition, O finding, N noun of
change, M adjective, Q state, K change, D degree, E device, T part of a device, X measurement, B limits, I the "within"
of limits; ``w`` an unknown word, ``num`` a number; punctuation is its own kind. Words no list holds are tried as a
misspelling, then by their ending.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from kgbuild.extractors._rules import unknown
from kgbuild.extractors._rules.lexicon import Lexicon

ENTITY = frozenset("AJGSLONMQKDETXBI")
ANATOMY = frozenset("AJGSL")
NOUNS = frozenset("OEN")
ADJECTIVES = frozenset("MQKDI")
TRANSPARENT = frozenset({"skip", "pseudo"})
_PUNCTUATION = frozenset(",;:.!?()-/")
_NOT = frozenset(
    {"not", "never", "cannot", "nowhere", "isn't", "aren't", "wasn't", "weren't", "hasn't", "haven't", "didn't"}
)
_AFTER_NOT = {"seen": "negpost", "seenadj": "negpost", "negpost": "negpostnot", "neg2": "negpostnot"}
# kinds that no neighbour changes while tagging
_AS_IT_IS = ENTITY | {"skip", "andor", "be", "neg", "hedge", "show", "with", "w", "break", "suggest", "suggesthedge"}
_HEDGES = frozenset({"hedge", "hedge2", "hedgepost"})
_HELD = frozenset(
    {"favored", "favoured", "felt", "thought", "believed", "presumed", "suspected", "considered", "assumed", "likely"}
    | {"unlikely", "suggested", "judged"}
)
_DOUBTED = frozenset({"excluded", "ruled"})


class Item(NamedTuple):
    """One phrase of a sentence: ``[start, end)`` in its tokens, its kind, and what the lexicon knew it by."""

    start: int
    end: int
    kind: str
    source: str = "lexicon"


_item = tuple.__new__  # three times as fast as Item(…)


def tag(words: Sequence[str], lexicon: Lexicon) -> list[Item]:
    """Items of one sentence; ``words`` in lower case."""
    items: list[Item] = []
    i = 0
    n = len(words)
    singles, multis = lexicon.singles, lexicon.multis
    suggests = False
    while i < n:
        word = words[i]
        seconds = multis.get(word)
        if seconds is not None and i + 1 < n and (options := seconds.get(words[i + 1])):
            hit = _longest(words, i, n, options)
            if hit is not None:
                length, kind = hit
                suggests = suggests or kind == "suggest"
                i = _emit(items, words, i, i + length, kind, lexicon)
                continue
        known = singles.get(word)
        if known is not None:
            if known in _AS_IT_IS:
                items.append(_item(Item, (i, i + 1, known, "lexicon")))
                i += 1
                suggests = suggests or known == "suggest"
            else:
                i = _emit(items, words, i, i + 1, known, lexicon)
        elif word in _PUNCTUATION:
            items.append(Item(i, i + 1, "hedge" if word == "?" and i + 1 < n else word))
            i += 1
        elif word[:1].isdigit() or (len(word) > 1 and word[0] in ".<>~"):
            i = _number(items, words, i, n, lexicon)
        else:
            if word:
                kind, source = unknown.guess(word, lexicon)
                items.append(Item(i, i + 1, kind, source))
            i += 1
    if suggests:
        _weaken(items, words)
    if "non" in words:
        _join_non(items, words)
    return items


def _join_non(items: list[Item], words: Sequence[str]) -> None:
    """As in "non calcified nodule": one adjective, and nothing is denied of the nodule."""
    for k in range(len(items) - 2, -1, -1):
        if items[k].kind != "neg" or words[items[k].start] != "non":
            continue
        after = k + 2 if items[k + 1].kind == "-" and k + 2 < len(items) else k + 1
        if items[after].kind in "MQK":
            items[k : after + 1] = [Item(items[k].start, items[after].end, "M")]


def _weaken(items: list[Item], words: Sequence[str]) -> None:
    """What a doubted verb suggests is uncertain: "is favored to represent", "unclear whether this represents"."""
    asked = -1
    for k, item in enumerate(items):
        kind = item.kind
        if kind == "hedge" and words[item.end - 1] in ("whether", "if"):
            asked = k
        elif kind in ("break", ";", ".") and asked >= 0:
            asked = -1
        elif kind == "suggest":
            if asked >= 0:
                items[k] = Item(item.start, item.end, "suggesthedge", item.source)
                if any(other.kind in ENTITY for other in items[asked + 1 : k]):  # "unclear if the opacity represents"
                    items[asked] = Item(items[asked].start, items[asked].end, "w", "lexicon")
                continue
            to = k - 1
            while to >= 0 and (items[to].kind in ("skip", "be") or words[items[to].start] == "to"):
                to -= 1
            if 0 <= to < k - 1 and items[to].kind in _HEDGES and words[items[to].end - 1] in _HELD:
                items[k] = Item(item.start, item.end, "suggesthedge", item.source)
                items[to] = Item(items[to].start, items[to].end, "be", "lexicon")


def _longest(
    words: Sequence[str], i: int, n: int, options: list[tuple[tuple[str, ...], str]]
) -> tuple[int, str] | None:
    for phrase, kind in options:
        length = len(phrase)
        if length == 2 or (i + length <= n and tuple(words[i : i + length]) == phrase):
            return length, kind
    return None


def _emit(items: list[Item], words: Sequence[str], start: int, end: int, kind: str, lexicon: Lexicon) -> int:
    """Add the item; the token after it."""
    if kind == "negclear":  # "clear of": a judgement, and the start of a denial
        items.append(Item(start, start + 1, "Q"))
        items.append(Item(start + 1, end, "neg"))
        return end
    if kind == "prep" and end - start == 2 and lexicon.singles.get(words[start]) == "seen":
        before = len(items)  # "seen in": read as two words, so that "cannot be seen in" is a denial
        _emit(items, words, start, start + 1, "seen", lexicon)
        if items[-1].kind == "negpost" or len(items) != before + 1:
            items.append(Item(start + 1, end, "prep"))
            return end
        items.pop()
    if kind in _AFTER_NOT and items:
        back = len(items) - 1
        while back >= 0 and (items[back].kind in ("skip", "D", "be")):
            back -= 1
        if back >= 0 and items[back].kind == "neg" and words[items[back].end - 1] in _NOT:
            # "not well seen", "could not be identified", "has not resolved"
            first = items[back].start
            if back and words[items[back - 1].start] in ("could", "would"):
                back -= 1
            del items[back:]
            items.append(Item(first, end, _AFTER_NOT[kind] if words[start] not in _DOUBTED else "hedgepost"))
            return end
        if kind == "seenadj":
            kind = "skip"
    partial = lexicon.traits["partial"]
    if kind == "negpost" and any(words[item.start] in partial and item.end > start - 2 for item in items[-2:]):
        while items and items[-1].kind in ("D", "skip"):
            del items[-1]
        kind = "negpostnot"
    elif kind == "seenadj":
        kind = "skip"
    if kind == "from" and words[end - 1] in lexicon.traits["view"]:
        after = end
        while words[after : after + 1] in (["of"], ["the"]):
            after += 1
        if after > end and words[after : after + 1] in (["chest"], ["thorax"]):
            items.append(Item(start, after + 1, kind))
            return after + 1
    items.append(Item(start, end, kind))
    return end


def _number(items: list[Item], words: Sequence[str], i: int, n: int, lexicon: Lexicon) -> int:
    """Add the number at ``i``, with its unit a measurement; the token after it."""
    end, kind = _measure(words, i, n, lexicon.traits["unit"], lexicon.traits["dimension"])
    items.append(Item(i, end, kind))
    return end


def _measure(words: Sequence[str], i: int, n: int, units: frozenset[str], joins: frozenset[str]) -> tuple[int, str]:
    word = words[i]
    if word[-1] == "%":
        return i + 1, "X"
    if word[-1].isalpha():
        tail = word.lstrip("0123456789.")
        if tail in units:
            return i + 1, "X"
        return i + 1, "S" if tail in ("st", "nd", "rd", "th") else "num"
    end = first = _one_number(words, i, n)
    # 2 x 3 cm; 2 - 3 cm; 2 cm x 3 cm
    while end < n:
        joined = end + 1 < n and (words[end] in joins or words[end] == "-")
        if words[end] in units:
            after = end + 1
            if not (after + 1 < n and words[after] in joins and words[after + 1][:1].isdigit()):
                return after, "X"
            end = _one_number(words, after + 1, n)
        elif joined and words[end + 1][:1].isdigit():
            end = _one_number(words, end + 1, n)
            if words[end - 1].lstrip("0123456789.") in units:
                return end, "X"
        elif joined and words[end] == "-" and words[end + 1] in units:
            return end + 2, "X"
        else:
            break
    return first, "num"


def _one_number(words: Sequence[str], i: int, n: int) -> int:
    if i + 2 < n and words[i + 1] == "." and words[i].isdigit() and words[i + 2][:1].isdigit():
        return i + 3
    return i + 1
