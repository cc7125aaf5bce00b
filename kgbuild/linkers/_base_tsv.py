"""Read a concept base: a folder of tab-separated tables, the embedded one or a user's.

    concepts.tsv   id, name, kind, source, semantic_types   one row a concept; semantic_types joined by ``|``
    synonyms.tsv   id, synonym, scope, source               scope: exact, narrow, broad, related
    any other .tsv id, name, kind, exact, broad             hand-written, optional; names joined by ``|``

A hand-written row about an id of ``concepts.tsv`` gives it names, and a new ``name`` or ``kind`` where those cells are
filled; any other row is a concept of its own (source ``KGBUILD``). No quoting, no comments, further columns ignored.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.abc import Traversable
from typing import NamedTuple

from kgbuild.domain import Concept
from kgbuild.errors import ColumnMissing, FileMissing, UsageError

KINDS = ("anatomy", "observation", "device", "other")
SCOPES = ("exact", "narrow", "broad", "related")
OURS = "KGBUILD"
CONCEPTS, SYNONYMS = "concepts.tsv", "synonyms.tsv"
CONCEPT_COLUMNS = ("id", "name", "kind", "source", "semantic_types")
SYNONYM_COLUMNS = ("id", "synonym", "scope", "source")
HAND_COLUMNS = ("id", "name", "kind", "exact", "broad")


class Name(NamedTuple):
    """One string that names a concept, how closely, and who says so."""

    concept_id: str
    text: str
    scope: str
    source: str


@dataclass(frozen=True, slots=True)
class Base:
    """Concepts by id, and every name of each (preferred names included, each string possibly more than once)."""

    concepts: dict[str, Concept]
    names: list[Name]


def files(folder: Traversable) -> list[Traversable]:
    """The base's tables: the two needed ones, then the hand-written ones by name.

    Raises:
        FileMissing: the folder, or one of the two needed tables, is absent.
    """
    needed = [folder / CONCEPTS, folder / SYNONYMS]
    for table in needed:
        if not table.is_file():
            raise FileMissing(
                f"concept base without {table.name}",
                where=str(folder),
                expected=f"{CONCEPTS} ({', '.join(CONCEPT_COLUMNS)}) and {SYNONYMS} ({', '.join(SYNONYM_COLUMNS)})",
            )
    others = [f for f in folder.iterdir() if f.name.endswith(".tsv") and f.name not in (CONCEPTS, SYNONYMS)]
    return needed + sorted(others, key=lambda table: table.name)


def load(folder: Traversable) -> Base:
    """Read a whole base into memory.

    Raises:
        FileMissing: a needed table is absent.
        ColumnMissing: a table lacks a column, or a row a cell.
        UsageError: an unknown kind or scope, an id given twice, or a name of an id that no row describes.
    """
    concept_table, synonym_table, *hand_written = files(folder)
    concepts: dict[str, Concept] = {}
    names: list[Name] = []
    for where, (key, name, kind, source, types) in _rows(concept_table, CONCEPT_COLUMNS):
        if key in concepts:
            raise UsageError(f"concept {key} is given twice", where=where)
        _check(kind, KINDS, "kind", where)
        concepts[key] = Concept(key, name, kind, source, tuple(t for t in types.split("|") if t))
    listed: dict[tuple[str, str], str] = {}
    for where, (key, text, scope, source) in _rows(synonym_table, SYNONYM_COLUMNS):
        _check(scope, SCOPES, "scope", where)
        if key not in concepts:
            raise UsageError(f"synonym of {key}, which {CONCEPTS} does not have", where=where)
        names.append(Name(key, text, scope, source))
        listed[key, text] = scope
    # A preferred name is exact, unless the synonyms say that it is more closely the name of another concept.
    names[:0] = [
        Name(c.id, c.name, listed.get((c.id, c.name), "exact"), c.source.partition("|")[0]) for c in concepts.values()
    ]
    for table in hand_written:
        for where, (key, name, kind, *others) in _rows(table, HAND_COLUMNS):
            known = concepts.get(key)
            if known is None:
                _check(kind, KINDS, "kind", where)
                concepts[key] = Concept(key, name, kind, OURS)
            else:
                concepts[key] = replace(known, name=name or known.name, kind=kind or known.kind)
            scoped = zip(("exact", "exact", "broad"), (name, *others), strict=True)
            names += [Name(key, text, scope, OURS) for scope, cell in scoped for text in cell.split("|") if text]
    return Base(concepts, names)


def _rows(table: Traversable, columns: tuple[str, ...]) -> Iterator[tuple[str, list[str]]]:
    """(``file:line``, the wanted cells) of each row."""
    lines = table.read_text(encoding="utf-8").split("\n")
    header = lines[0].rstrip("\r").split("\t")
    if absent := [column for column in columns if column not in header]:
        raise ColumnMissing(f"{table.name} has no column {absent[0]!r}", where=str(table), expected="\t".join(columns))
    places = [header.index(column) for column in columns]
    for number, line in enumerate(lines[1:], 2):
        if not line.strip():
            continue
        cells = line.rstrip("\r").split("\t")
        if len(cells) <= max(places):
            raise ColumnMissing(f"row with {len(cells)} of {len(header)} cells", where=f"{table}:{number}")
        yield f"{table}:{number}", [cells[place] for place in places]


def _check(value: str, legal: tuple[str, ...], what: str, where: str) -> None:
    if value not in legal:
        raise UsageError(f"{what} {value!r} of a concept base", where=where, expected=f"one of {', '.join(legal)}")
