"""The embedded store's refusals in our words, with the labels, types or properties that there are."""

from __future__ import annotations

import difflib
import re

from kgbuild.errors import StoreError
from kgbuild.tables import EDGES, NODES

_TABLE = re.compile(r"Table (\S+) does not exist")
_PROPERTY = re.compile(r"Cannot find property (\S+) for (\S+?)\.?$")
_ORDER = re.compile(r"Order by (NODE|REL|RECURSIVE_REL) is not supported")


def refusal(cypher: str, words: str, timeout_s: float | None) -> StoreError:
    """What is raised where the store gave ``words`` to the statement ``cypher``."""
    if timeout_s is not None and words.strip().startswith("Interrupted"):
        return StoreError(f"the query took longer than its {timeout_s:g} s", next_step="give a longer --timeout")
    return StoreError(f"the embedded store refused the query: {words}", expected=_expected(cypher, words))


def _expected(cypher: str, words: str) -> str | None:
    if found := _TABLE.search(words):
        types = sorted(edge.type for edge in EDGES.values())
        near = _nearest(found.group(1), [*NODES, *types])
        return f"{near}a label ({', '.join(NODES)}) or a type ({', '.join(types)})"
    if found := _PROPERTY.search(words.strip()):
        owner = _label(cypher, found.group(2))
        known = _properties(owner)
        return f"{_nearest(found.group(1), known)}a property{f' of {owner}' if owner else ''}: {', '.join(known)}"
    if _ORDER.search(words):
        return "a property to order by, as s.id; an alias of the same name as a node is taken for the node"
    return None


def _nearest(word: str, known: list[str]) -> str:
    lowered = {name.lower(): name for name in known}
    near = difflib.get_close_matches(word.lower(), lowered, n=1)
    return f"{lowered[near[0]]}? Else " if near else ""


def _label(cypher: str, variable: str) -> str | None:
    """The label or type that the statement gives a variable, where it gives it one that is known."""
    found = re.search(rf"[(\[]\s*`?{re.escape(variable)}`?\s*:\s*`?(\w+)", cypher)
    known = {name.lower(): name for name in (*NODES, *(edge.type for edge in EDGES.values()))}
    return known.get(found.group(1).lower()) if found else None


def _properties(owner: str | None) -> list[str]:
    nodes = {label: [str(name) for name in schema.names] for label, schema in NODES.items()}
    edges = {edge.type: [name for name, _ in edge.properties] for edge in EDGES.values()}
    every = nodes | edges
    if owner is not None:
        return every[owner]
    return sorted({name for names in every.values() for name in names})
