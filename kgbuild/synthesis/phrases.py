"""A template language whose sentences know their own RadGraph annotation, compiled once into flat pieces.

A template is text with, in it,

    {words:KIND=id>id@id~id!TAG}   an entity: KIND is A (anatomy) or O (observation with the presence of the sentence),
                                   P, N, U (observation present, absent, uncertain); ``=`` names it, ``>`` modifies,
                                   ``@`` is located at, ``~`` is suggestive of the entities of that name in the sentence
                                   (none of that name: no relation; several: one relation each). TAG is the CheXpert
                                   column it counts for where the word alone does not say so, ``-TAG`` counts against it
    (one|other|)                   one of several, evenly
    <name>                         a template of that bank; ``<name!N>`` says it as absent
    <name+>                        the same, but the names in it are its own; the sentence knows them afterwards
    <$name>                        the bank that the facts give for that name
    <*name or>                     the facts' list of phrases, joined "x, y, or z", each with names of its own, which
                                   the sentence knows only of ``<*name+ or>``

Words outside braces are not entities. A line of a bank that begins with ``3*`` is three times as likely.
Small choices are multiplied out here, so that a report costs few draws: a ``Chunk`` holds text and entities
ready to be appended. What is refused (with the bank and the template): a bracket left open, an unknown bank or kind.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from math import lcm
from typing import Any, NamedTuple, TypeAlias

import yaml

from kgbuild.errors import KgbuildError
from kgbuild.resources import data
from kgbuild.text import tokenize

INHERITED = 4
LABELS = ("ANAT-DP", "OBS-DP", "OBS-U", "OBS-DA")
KINDS = {"A": 0, "P": 1, "U": 2, "N": 3, "O": INHERITED}
PRESENT, UNCERTAIN, ABSENT = 1, 2, 3
COLUMNS = (
    *("Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Enlarged Cardiomediastinum", "Fracture"),
    *("Lung Lesion", "Lung Opacity", "No Finding", "Pleural Effusion", "Pleural Other", "Pneumonia"),
    *("Pneumothorax", "Support Devices"),
)
TAGS = dict(
    zip(("AT", "CM", "CO", "ED", "EC", "FR", "LL", "LO", "NF", "PE", "PO", "PN", "PX", "SD"), range(14), strict=True)
)
_MOST = 96  # a choice of more pieces than this stays a choice at run time
_FILES = ("places", "findings", "frames", "other")
_RELATIONS = {">": "modify", "@": "located_at", "~": "suggestive_of"}
_ENTITY = re.compile(r"([^:{}]+):([APNUO])((?:[=>@~][a-z])*)(?:!(-?)([A-Z]{2}))?")
_SLOT = re.compile(r"([$*]?)([\w.]+)(\+?)(?:!([PNU]))?(?: (and|or))?")
_WEIGHT = re.compile(r"(\d+)\* +")


class Ent(NamedTuple):
    """An entity of a chunk; ``first`` and ``last`` are token places within it.

    ``heads``: the beginning of its JSON, by the presence of the sentence.
    """

    first: int
    last: int
    heads: tuple[str, ...]
    name: str
    relations: tuple[tuple[str, str], ...]


class Chunk(NamedTuple):
    """Text ready to be appended: as written, how many tokens it has, and what it says."""

    written: str
    size: int
    ents: tuple[Ent, ...]
    tags: tuple[tuple[int, int, bool], ...]  # (column, kind, counts against)


class Pick(NamedTuple):
    """One of several chunks."""

    chunks: tuple[Chunk, ...]
    size: int


class Choice(NamedTuple):
    """One of several templates, said with a presence of their own if one is given."""

    options: list[Template]
    presence: int
    apart: bool


class Given(NamedTuple):
    """The bank that the facts name."""

    name: str
    presence: int


class Listing(NamedTuple):
    """The facts' list of phrases, and the word before the last."""

    name: str
    presence: int
    conjunction: str
    shared: bool


Item: TypeAlias = Pick | Choice | Given | Listing
Template: TypeAlias = tuple[Item, ...]


class _Mention(NamedTuple):
    """An entity in the making; ``label`` is the CheXpert column it counts for, and whether against it."""

    first: int
    last: int
    kind: int
    name: str
    relations: tuple[tuple[str, str], ...]
    label: tuple[int, bool] | None


@dataclass(frozen=True, slots=True)
class _Piece:
    """A chunk in the making: raw text, with the white space that it was written with."""

    raw: str
    tokens: tuple[str, ...] = ()
    ents: tuple[_Mention, ...] = ()

    def __add__(self, other: _Piece) -> _Piece:
        at = len(self.tokens)
        moved = tuple(ent._replace(first=ent.first + at, last=ent.last + at) for ent in other.ents)
        return _Piece(self.raw + other.raw, self.tokens + other.tokens, self.ents + moved)


_Part: TypeAlias = list[_Piece] | Choice | Given | Listing


class Banks:
    """All banks, compiled; a bank is a list of templates, each as often as it is likely."""

    def __init__(self, sources: dict[str, list[str]], labels: dict[str, str]) -> None:
        self._sources = sources
        self._labels = labels
        self._parts: dict[str, list[tuple[int, list[_Part]]]] = {}
        self.banks: dict[str, list[Template]] = {name: [] for name in sources}
        for name in sources:
            self.banks[name] += [_finished(parts) for weight, parts in self._bank(name) for _ in range(weight)]

    def _bank(self, name: str) -> list[tuple[int, list[_Part]]]:
        if name not in self._parts:
            out = []
            for line in self._sources[name]:
                weight = _WEIGHT.match(line)
                text = line[weight.end() :] if weight else line
                try:
                    parts, _ = self._sequence(text, 0, "")
                except ValueError as error:
                    raise KgbuildError(f"phrase bank {name}: {error}", where=line) from None
                out.append((int(weight[1]) if weight else 1, parts))
            self._parts[name] = out
        return self._parts[name]

    def _sequence(self, text: str, at: int, ends: str) -> tuple[list[_Part], int]:
        """Parts up to one of ``ends``, small ones multiplied out."""
        parts: list[_Part] = []
        while at < len(text) and text[at] not in ends:
            part: _Part
            if text[at] == "{":
                close = text.index("}", at)
                part, at = [self._entity(text[at + 1 : close])], close + 1
            elif text[at] == "<":
                close = text.index(">", at)
                part, at = self._slot(text[at + 1 : close]), close + 1
            elif text[at] == "(":
                options = []
                while text[at] != ")":
                    option, at = self._sequence(text, at + 1, "|)")
                    if at >= len(text):
                        raise ValueError("a bracket is left open")
                    options.append((1, option))
                part, at = _either(options, 0), at + 1
            else:
                start = at
                while at < len(text) and text[at] not in "{<(" + ends:
                    at += 1
                words = text[start:at]
                if any(mark in words for mark in "|)}>"):
                    raise ValueError(f"stray bracket after {start}")
                part = [_Piece(words, tuple(token.text for token in tokenize(words)))]
            _append(parts, part)
        return parts, at

    def _entity(self, text: str) -> _Piece:
        found = _ENTITY.fullmatch(text)
        if not found:
            raise ValueError(f"{{{text}}} is not an entity")
        words, kind, names, against, tag = found.groups()
        tokens = tuple(token.text for token in tokenize(words))
        pairs = [(names[i], names[i + 1]) for i in range(0, len(names), 2)]
        name = next((name for sign, name in pairs if sign == "="), "")
        relations = tuple((_RELATIONS[sign], name) for sign, name in pairs if sign != "=")
        code = tag or (self._labels.get(words.lower()) if kind != "A" else None)
        label = (TAGS[code], bool(against)) if code else None
        return _Piece(words, tokens, (_Mention(0, len(tokens) - 1, KINDS[kind], name, relations, label),))

    def _slot(self, text: str) -> _Part:
        found = _SLOT.fullmatch(text)
        if not found:
            raise ValueError(f"<{text}> is not a slot")
        sign, name, plus, mark, conjunction = found.groups()
        presence = KINDS[mark] if mark else 0
        if sign == "$":
            return Given(name, presence)
        if sign == "*":
            return Listing(name, presence, conjunction or "or", bool(plus))
        if name not in self._sources:
            raise ValueError(f"there is no bank {name}")
        part = _either(self._bank(name), presence)
        return part if isinstance(part, list) and not plus else Choice(self.banks[name], presence, bool(plus))


def _either(options: list[tuple[int, list[_Part]]], presence: int) -> list[_Piece] | Choice:
    """One of several, as pieces if they are few; shorter options are repeated to stay as likely."""
    flat = [(weight, parts[0] if parts else [_Piece("")]) for weight, parts in options if len(parts) < 2]
    lists = [(weight, pieces) for weight, pieces in flat if isinstance(pieces, list)]
    if len(lists) == len(options) and not presence:
        whole = lcm(*(len(pieces) for _, pieces in lists))
        if whole * sum(weight for weight, _ in lists) <= _MOST:
            return [piece for weight, pieces in lists for piece in pieces * (weight * (whole // len(pieces)))]
    return Choice([_finished(parts) for weight, parts in options for _ in range(weight)], presence, False)


def _append(parts: list[_Part], part: _Part) -> None:
    last = parts[-1] if parts else None
    if isinstance(part, list) and isinstance(last, list) and len(part) * len(last) <= _MOST:
        parts[-1] = [before + after for before in last for after in part]
    else:
        parts.append(part)


def _finished(parts: list[_Part]) -> Template:
    return tuple(
        Pick(tuple(_chunk(piece) for piece in part), len(part)) if isinstance(part, list) else part for part in parts
    )


@cache
def _chunk(piece: _Piece) -> Chunk:
    written = re.sub(r" (?=[,.;])", "", " ".join(piece.raw.split()))
    if written and written[0] not in ",.;":
        written = " " + written
    ents = []
    tags = []
    for first, last, kind, name, relations, label in piece.ents:
        words = " ".join(piece.tokens[first : last + 1])
        heads = tuple(
            f'{{"tokens": {json.dumps(words)}, "label": "{LABELS[said if kind == INHERITED else kind]}", "start_ix": '
            for said in range(len(LABELS))
        )
        ents.append(Ent(first, last, heads, name, relations))
        if label:
            tags.append((label[0], kind, label[1]))
    return Chunk(written, len(piece.tokens), tuple(ents), tuple(tags))


def _numbers(spec: dict[str, Any]) -> list[str]:
    """The templates of a bank of lengths in cm: ``{from, to}`` in mm, ``target`` is what they modify."""
    return [f"{{{value / 10:.1f} cm:P>{spec['target']}}}" for value in range(spec["from"], spec["to"] + 1)]


def _sizes(patterns: list[str], mm: int) -> list[str]:
    """The templates of one size: ``@`` is it in mm, ``#`` in cm, a second ``#`` a shorter side."""
    lines = []
    for pattern in patterns:
        text = pattern.replace("@", str(mm)).replace("#", f"{mm / 10:.1f}", 1)
        shorter = (0.9, 0.8, 0.7, 0.6) if "#" in text else (1.0,)
        lines += [text.replace("#", f"{mm * part / 10:.1f}") for part in shorter]
    return [line for line in lines if mm > 9 or "cm" not in line]


@cache
def shipped() -> tuple[Banks, dict[str, list[str]], dict[str, Any]]:
    """The shipped banks, the report headers, and the table of findings.

    Raises:
        KgbuildError: a template cannot be read; names it.
    """
    folder = data("schemas") / "synthesis"
    raw: dict[str, Any] = {}
    for name in _FILES:
        raw |= yaml.load((folder / f"{name}.yaml").read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    facts = yaml.load((folder / "facts.yaml").read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    labels: dict[str, str] = raw.pop("labels")
    sources = {name: _numbers(spec) for name, spec in raw.pop("numbers").items()}
    sizes = raw.pop("sizes")
    sources |= {f"{name}.{mm}": _sizes(patterns, mm) for name, patterns in sizes.items() for mm in range(3, 100)}
    headers = {name.partition(".")[2]: value for name, value in raw.items() if name.startswith("headers.")}
    sources |= {name: text.splitlines() for name, text in raw.items() if isinstance(text, str)}
    return Banks(sources, labels), headers, facts
