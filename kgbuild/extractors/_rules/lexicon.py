"""The words of the language, read from ``schemas/lexicon``: what is an entity, what is a cue, and of which class.

A file is blocks ``[class]`` of entries separated by commas; an entry of several words is one span or one cue. The files
hold all words; the code holds only classes. Entity classes map to the one-letter kinds of ``KINDS``, cue classes
keep their names. Where a phrase stands in two classes the first one read wins (files in order of ``FILES``), except the
pairs in ``_BOTH``, which make a class of their own. Regular plurals of nouns are made here.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from kgbuild import resources
from kgbuild.text import tokenize

FILES = ("function.txt", "anatomy.txt", "observation.txt", "device.txt", "suffix.txt", "traits.txt")

KINDS = {
    "organ": "A",
    "anatadj": "J",
    "generic": "G",
    "side": "S",
    "place": "L",
    "finding": "O",
    "changenoun": "N",
    "adjective": "M",
    "deviceadj": "M",
    "state": "Q",
    "change": "K",
    "degree": "D",
    "device": "E",
    "part": "T",
    "bounds": "B",
    "plain": "w",
}
_PLURAL = frozenset({"organ", "generic", "finding", "device", "part"})
_BOTH = {
    ("hedge", "hedgepost"): "hedge2",
    ("hedge", "suggesthedge"): "suggesthedge",
    ("neg", "negpost"): "neg2",
    ("neg", "negclear"): "negclear",
}


@dataclass(slots=True)
class Lexicon:
    """Look-up tables.

    Attributes:
        singles: word to kind.
        multis: first word to second word to (words, kind), longest first.
        suffixes: ending to kind, longest first.
        traits: name of a set of words to the words (``size``, ``lung``, …), for rules that need one.
        contextual: entity words whose kind depends on their neighbours.
        heads: words of six letters and more by first letter and length, for the spelling fallback.
    """

    singles: dict[str, str] = field(default_factory=dict)
    multis: dict[str, dict[str, list[tuple[tuple[str, ...], str]]]] = field(default_factory=dict)
    suffixes: list[tuple[str, str]] = field(default_factory=list)
    traits: dict[str, frozenset[str]] = field(default_factory=dict)
    contextual: frozenset[str] = frozenset()
    heads: dict[tuple[str, int], list[str]] = field(default_factory=dict)


def parse(text: str) -> Iterator[tuple[str, str]]:
    """(class, entry) of one lexicon file."""
    name = ""
    for line in text.splitlines():
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        if line.startswith("[") and line.endswith("]"):
            name = line[1:-1]
            continue
        for entry in line.split(", "):
            if entry := entry.strip(" ,").lower():
                yield name, entry


def plurals(word: str) -> Iterable[str]:
    """Regular plural of a word's last part; nothing where it looks like a plural already."""
    if word.endswith(("s", "x")) or not word[-1:].isalpha() or len(word) < 3:
        return ()
    if word.endswith("y") and word[-2] not in "aeiou":
        return (word[:-1] + "ies",)
    return (word + ("es" if word.endswith(("ch", "sh")) else "s"),)


def build(entries: Iterable[tuple[str, str, str]]) -> Lexicon:
    """Make the tables of (file, class, entry)."""
    lexicon = Lexicon()
    classes: dict[tuple[str, ...], str] = {}
    traits: dict[str, set[str]] = {}
    derived: list[tuple[tuple[str, ...], str]] = []
    for file, name, entry in entries:
        if file == "suffix.txt":
            lexicon.suffixes.append((entry, KINDS[name]))
            continue
        if file == "traits.txt":
            traits.setdefault(name, set()).add(entry)
            continue
        words = tuple(token.text for token in tokenize(entry))
        before = classes.setdefault(words, name)
        if before != name:
            classes[words] = _BOTH.get((before, name), before)
        if name in _PLURAL:
            derived.extend(((*words[:-1], plural), name) for plural in plurals(words[-1]))
    for words, name in derived:
        classes.setdefault(words, name)
    for words, name in classes.items():
        kind = KINDS.get(name, name)
        if len(words) == 1:
            lexicon.singles[words[0]] = kind
        else:
            lexicon.multis.setdefault(words[0], {}).setdefault(words[1], []).append((words, kind))
    for seconds in lexicon.multis.values():
        for options in seconds.values():
            options.sort(key=lambda option: -len(option[0]))
    lexicon.suffixes.sort(key=lambda pair: (-len(pair[0]), pair[0]))
    lexicon.traits = {name: frozenset(words) for name, words in traits.items()}
    lexicon.contextual = lexicon.traits.get("contextual", frozenset()) | lexicon.traits.get("carrier", frozenset())
    for word in sorted(lexicon.singles):
        if len(word) >= 6 and lexicon.singles[word] in "AJOMQKDEGS" and word.isalpha():
            lexicon.heads.setdefault((word[0], len(word)), []).append(word)
    return lexicon


def _sources() -> list[tuple[str, str]]:
    folder = resources.data("schemas") / "lexicon"
    return [(name, (folder / name).read_text(encoding="utf-8")) for name in FILES]


@functools.cache
def load() -> Lexicon:
    """The shipped lexicon, read once."""
    return build((file, name, entry) for file, text in _sources() for name, entry in parse(text))


def digest() -> bytes:
    """SHA-256 over the lexicon files, names included."""
    digest_ = hashlib.sha256()
    for name, text in _sources():
        digest_.update(f"{name}\0{text}\0".encode())
    return digest_.digest()
