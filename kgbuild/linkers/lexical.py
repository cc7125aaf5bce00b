"""The embedded default linker: a mention is linked where a name of the concept base is spelled as it is.

No guessing: the exact string (case forgiven), then the normalised key of ``_normalise``. Longer readings of a mention
come first, so that *pleural effusion* is linked and not *effusion*. The mention's own words, where nothing fits, are
tried without side, size, severity, age and extent (method ``stripped``: the concept is wider than the mention, so to
deny *large effusion*, annotated as one span, is to deny less than the concept). Readings are never stripped.

A mention's type bars concepts of the wrong kind **before** ranking: Anatomy links to anatomy; Observation to
observation, device, other. Where one string names several concepts the closest scope wins, then the source (HP,
UBERON, MONDO, DOID, SYMP, kgbuild's own, others), then the order of the base, preferred names first.

An acronym (two to five capitals in the base) matches only in capitals: *the* is no THE. Answers are kept per string,
so memory grows with the distinct strings seen.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from importlib.abc import Traversable
from pathlib import Path
from typing import NamedTuple

from kgbuild import resources
from kgbuild.domain import Concept, Link, Mention
from kgbuild.errors import UsageError
from kgbuild.labels import EntityType
from kgbuild.linkers import _base_tsv, _normalise

SOURCES = ("HP", "UBERON", "MONDO", "DOID", "SYMP", _base_tsv.OURS)
LINKABLE = {
    EntityType.ANATOMY: frozenset({"anatomy"}),
    EntityType.OBSERVATION: frozenset({"observation", "device", "other"}),
}
EXACT, NORMALISED, STRIPPED = "exact", "normalised", "stripped"
_METHOD_SCORE = {EXACT: 1.0, NORMALISED: 0.95, STRIPPED: 0.9}
_SCOPE_WEIGHT = {"exact": 1.0, "narrow": 0.95, "broad": 0.9, "related": 0.8}
SCORES = {(m, s): round(score * w, 4) for m, score in _METHOD_SCORE.items() for s, w in _SCOPE_WEIGHT.items()}
_SCOPE_RANK = {scope: rank for rank, scope in enumerate(_base_tsv.SCOPES)}
_SOURCE_RANK = {source: rank for rank, source in enumerate(SOURCES)}


class Match(NamedTuple):
    """The concept that a string names, and how well."""

    concept_id: str
    score: float
    method: str


class _Keys(NamedTuple):
    """The strings that a name is found by."""

    acronym: str | None
    exact: str
    normal: str


class _Index:
    """Names of the concepts that mentions of one type may link to, by acronym, exact form and normalised key."""

    def __init__(self, names: Iterable[tuple[_base_tsv.Name, str, _Keys]], kinds: frozenset[str]) -> None:
        self._acronyms: dict[str, _base_tsv.Name] = {}
        self._exact: dict[str, _base_tsv.Name] = {}
        self._normalised: dict[str, _base_tsv.Name] = {}
        self._narrowable: set[str] = set()
        self._seen: dict[str, Match | None] = {}
        self._seen_stripped: dict[str, Match | None] = {}
        for name, kind, (acronym, exact, normal) in names:
            if kind not in kinds:
                continue
            if acronym:
                self._acronyms.setdefault(acronym, name)
                continue
            self._exact.setdefault(exact, name)
            if normal:
                self._normalised.setdefault(normal, name)
            if kind != "other":
                self._narrowable.add(name.concept_id)

    def match(self, text: str) -> Match | None:
        """What a string names as it stands; the answer is kept."""
        try:
            return self._seen[text]
        except KeyError:
            found = self._seen[text] = self._find(text)
            return found

    def stripped(self, text: str) -> Match | None:
        """What a string names without its qualifiers: a concept wider than the string, never one of kind other."""
        try:
            return self._seen_stripped[text]
        except KeyError:
            found = self._seen_stripped[text] = self._find_stripped(text)
            return found

    def _find_stripped(self, text: str) -> Match | None:
        key = _normalise.normal_key(text)
        rest = _normalise.without_qualifiers(key)
        name = self._normalised.get(rest) if rest != key else None
        return _match(name, STRIPPED) if name and name.concept_id in self._narrowable else None

    def _find(self, text: str) -> Match | None:
        acronym = _normalise.acronym(text)
        name = self._acronyms.get(acronym) if acronym else None
        if name := name or self._exact.get(_normalise.exact_form(text)):
            return _match(name, EXACT)
        name = self._normalised.get(_normalise.normal_key(text))
        return _match(name, NORMALISED) if name else None


class LexicalLinker:
    """Exact and normalised matching against a concept base.

    Args:
        concepts: folder with another base (see ``_base_tsv``) in place of the embedded one.

    Raises:
        FileMissing, ColumnMissing, UsageError: the base cannot be read, or an option is unknown.
    """

    name = "lexical"

    def __init__(self, concepts: Path | None = None, **options: str) -> None:
        if options:
            raise UsageError(f"linker lexical has no option {sorted(options)[0]!r}", expected="concepts only")
        self._folder: Traversable = concepts if concepts is not None else resources.data("schemas") / "concepts"
        base = _base_tsv.load(self._folder)
        self._concepts = base.concepts
        keys = {text: _keys(text) for text in {name.text for name in base.names}}
        names = [(name, base.concepts[name.concept_id].kind, keys[name.text]) for name in sorted(base.names, key=_rank)]
        self._anatomy = _Index(names, LINKABLE[EntityType.ANATOMY])
        self._observation = _Index(names, LINKABLE[EntityType.OBSERVATION])

    def fingerprint(self) -> str:
        """Digest of this linker's code and of every table of the base."""
        code = [Path(str(module.__file__)) for module in (_normalise, _base_tsv)] + [Path(__file__)]
        digest = hashlib.sha256()
        for file in [*code, *_base_tsv.files(self._folder)]:
            content = file.read_bytes()
            digest.update(f"{file.name} {len(content)}\n".encode() + content)
        return digest.hexdigest()

    def link(self, mentions: Iterable[Mention]) -> Iterator[Link]:
        """The first reading that links, longest first; ``method`` ends in ``-phrase`` where it is a longer one."""
        for mention in mentions:
            index = self._anatomy if mention.type is EntityType.ANATOMY else self._observation
            for text, covers in mention.phrases:
                if found := index.match(text):
                    yield Link(mention.id, found.concept_id, found.score, f"{found.method}-phrase", covers)
                    break
            else:
                if found := index.match(mention.text) or index.stripped(mention.text):
                    yield Link(mention.id, found.concept_id, found.score, found.method)

    def concept(self, concept_id: str) -> Concept:
        """The concept behind a link's id. Raises KeyError for an id that the base does not have."""
        return self._concepts[concept_id]


def _keys(text: str) -> _Keys:
    return _Keys(_normalise.acronym(text), _normalise.exact_form(text), _normalise.normal_key(text))


def _match(name: _base_tsv.Name, method: str) -> Match:
    return Match(name.concept_id, SCORES[method, name.scope], method)


def _rank(name: _base_tsv.Name) -> tuple[int, int]:
    return (_SCOPE_RANK[name.scope], _SOURCE_RANK.get(name.source, len(SOURCES)))


PLUGIN = LexicalLinker
