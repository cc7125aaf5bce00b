"""Export ``nt``: the graph as N-Triples (https://www.w3.org/TR/n-triples/), one sorted stream of lines per table.

The names are those of DESIGN §5 under one vocabulary. Certainty: between mentions, and between concepts, a relation
is a plain triple only where it is **present**. Every relation, whatever its presence, is also a statement node
(``kg:Evidence`` with rdf:subject, rdf:predicate, rdf:object, kg:presence, kg:run), so that a denial is never lost and
never becomes a plain positive edge. ``has_present``, ``has_uncertain`` and ``has_absent`` say it in their name.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from kgbuild import files
from kgbuild.exports import _graph

BASE = "https://w3id.org/kgbuild/"
VOCABULARY = BASE + "schema#"
RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
RDFS_LABEL = "<http://www.w3.org/2000/01/rdf-schema#label>"
_XSD = "http://www.w3.org/2001/XMLSchema#"
_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\f": "\\f"})
_GUARDED = ("located_at", "modify", "suggestive_of", "concept_located_at", "concept_modify", "concept_suggestive_of")


def write(path: Path, tables: Path, base: str = BASE) -> int:
    """Write the graph; returns the number of triples.

    Args:
        path: file to write.
        tables: the graph's folder.
        base: prefix of the minted IRIs; nothing is claimed to be served there.
    """
    written = 0
    with files.atomic(path) as part, part.open("w", encoding="utf-8", errors="replace", newline="\n") as stream:
        for line in lines(tables, base):
            stream.write(line)
            written += 1
    return written


def lines(tables: Path, base: str = BASE) -> Iterator[str]:
    """The triples, in table order."""
    for label, batch in _graph.nodes(tables):
        for row in _graph.rows(batch):
            node = iri(base, label, row.pop("id"))
            yield f"{node} <{RDF}type> {_term(label)} .\n"
            if label == "Concept":
                yield f"{node} {RDFS_LABEL} {literal(row['name'])} .\n"
            yield from _properties(node, row)
    for kind, start, end, batch in _graph.edges(tables):
        for row in _graph.rows(batch):
            subject, target = iri(base, start, row.pop("source")), iri(base, end, row.pop("target"))
            yield from _edge(base, kind, subject, target, row)


def _edge(base: str, kind: str, subject: str, target: str, row: dict[str, Any]) -> Iterator[str]:
    predicate = _term(kind)
    if kind not in _GUARDED or row["presence"] == "present":
        yield f"{subject} {predicate} {target} .\n"
    if not any(value is not None for value in row.values()):
        return
    key = hashlib.sha256(f"{subject} {predicate} {target} {row.get('presence')}".encode()).hexdigest()[:24]
    node = iri(base, "Evidence", key)
    yield f"{node} <{RDF}type> {_term('Evidence')} .\n"
    yield f"{node} <{RDF}subject> {subject} .\n"
    yield f"{node} <{RDF}predicate> {predicate} .\n"
    yield f"{node} <{RDF}object> {target} .\n"
    yield from _properties(node, row)


def _properties(node: str, row: dict[str, Any]) -> Iterator[str]:
    for name, value in row.items():
        for item in value if isinstance(value, list) else [value]:
            if item is not None:
                yield f"{node} {_term(name)} {literal(item)} .\n"


def iri(base: str, label: str, key: str) -> str:
    """IRI of a node: ``<base>study/CXR1``; what an IRI may not hold is percent-encoded."""
    return f"<{base}{label.lower()}/{quote(key, safe=':._-', errors='replace')}>"


def _term(name: str) -> str:
    return f"<{VOCABULARY}{name}>"


def literal(value: Any) -> str:
    """A Python value as an RDF literal."""
    if isinstance(value, bool):
        return f'"{"true" if value else "false"}"^^<{_XSD}boolean>'
    if isinstance(value, int):
        return f'"{value}"^^<{_XSD}integer>'
    if isinstance(value, float):
        return f'"{value!r}"^^<{_XSD}double>'
    if isinstance(value, dt.date):
        return f'"{value.isoformat()}"^^<{_XSD}date>'
    return f'"{str(value).translate(_ESCAPES)}"'


NEEDS = "graph"
PLUGIN = write
