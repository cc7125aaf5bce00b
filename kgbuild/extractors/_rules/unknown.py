"""A word that no list holds: a vertebra, a misspelling of one that is held, or known by its ending."""

from __future__ import annotations

from kgbuild.extractors._rules.lexicon import Lexicon


def guess(word: str, lexicon: Lexicon) -> tuple[str, str]:
    """The word's kind, and what it was told by: ``spelling``, ``suffix``, ``vertebra``, else ``unknown``."""
    first = word[0]
    if first in "tlcs" and len(word) <= 3 and word[1:].isdigit():
        return "S", "vertebra"
    if len(word) >= 6 and word.isalpha():
        near = _spelling(word, lexicon)
        if near is not None:
            return lexicon.singles[near], "spelling"
        for ending, kind in lexicon.suffixes:
            if word.endswith(ending) and len(word) > len(ending) + 1:
                return kind, "suffix"
    if not any(c.isalnum() for c in word):
        return "skip", "lexicon"
    return "w", "unknown"


def _spelling(word: str, lexicon: Lexicon) -> str | None:
    """A lexicon word one edit away (letter changed, lost, added, or two swapped) that starts with the same letter."""
    first, length = word[0], len(word)
    for size in (length, length - 1, length + 1):
        for candidate in lexicon.heads.get((first, size), ()):
            if _one_edit(word, candidate):
                return candidate
    return None


def _one_edit(a: str, b: str) -> bool:
    n = min(len(a), len(b))
    i = 0
    while i < n and a[i] == b[i]:
        i += 1
    if len(a) == len(b):
        return a[i + 1 :] == b[i + 1 :] or (a[i : i + 2] == b[i : i + 2][::-1] and a[i + 2 :] == b[i + 2 :])
    return a[i + 1 :] == b[i:] if len(a) > len(b) else a[i:] == b[i + 1 :]
