"""Questions to a graph store: shipped queries by name, or a user's own Cypher."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kgbuild import plugins, queries
from kgbuild.errors import StoreError, UsageError
from kgbuild.pipelines.workspace import Workspace
from kgbuild.stores.base import Answer, Store


def query(
    workspace: Path,
    name: str,
    parameters: Mapping[str, str] | None = None,
    *,
    store: str = "embedded",
    store_options: Mapping[str, str] | None = None,
) -> Answer:
    """Answer a shipped query from a store.

    Args:
        workspace: its folder.
        name: see ``kgbuild query --list``.
        parameters: values as text; converted to the types in the query's header.
        store: which store to ask.
        store_options: its own options, such as ``{"uri": "bolt://localhost:7687"}``.

    Raises:
        UsageError: unknown query, parameter, store or option, or a value of the wrong type.
        FileMissing: no workspace, or nothing loaded.
    """
    question = queries.find(name)
    values = question.bind(parameters or {})
    return run(open_store(workspace, store, store_options), question.cypher, values, question)


def query_cypher(
    workspace: Path, cypher: str, *, store: str = "embedded", store_options: Mapping[str, str] | None = None
) -> Answer:
    """Answer a user's own read-only statement from a store."""
    return run(open_store(workspace, store, store_options), cypher, {})


def open_store(workspace: Path, name: str, options: Mapping[str, str] | None = None) -> Store:
    """A store by name: over one workspace's graph, or a server, for which the workspace need not exist.

    Raises:
        UsageError: an option that the store does not have.
    """
    kind = plugins.find("stores", name)
    given = dict(options or {})
    known = _options(name)
    for option in given:
        if option not in known:
            flags = ", ".join(f"--{word.replace('_', '-')}" for word in known)
            flag = f"--{option.replace('_', '-')}"
            having = [other for other in plugins.names("stores") if option in _options(other)]
            raise UsageError(
                f"store {name} has no option {flag}",
                expected=flags or "none",
                next_step=f"{flag} goes with --store {' or '.join(having)}" if having else None,
            )
    place = Workspace.open(workspace).store if getattr(kind, "local", True) else workspace
    opened: Store = kind(place, **given)
    return opened


def _options(name: str) -> tuple[str, ...]:
    return tuple(getattr(plugins.find("stores", name), "options", ()))


def run(store: Store, cypher: str, values: Mapping[str, Any], question: queries.Query | None = None) -> Answer:
    """Run one statement on any store and close it.

    Raises:
        StoreError: the store refused it, or a shipped query gave other columns than its header promises.
    """
    try:
        answer = store.query(cypher, values)
    finally:
        store.close()
    if question is not None and answer.columns != tuple(name for name, _ in question.returns):
        raise StoreError(
            f"query {question.name} gave the columns {', '.join(answer.columns)}",
            expected=", ".join(name for name, _ in question.returns),
        )
    return answer


def hints(question: queries.Query, given: Mapping[str, str], answer: Answer) -> list[str]:
    """What a person may want to know of an answer: that it was cut, or why it may be empty."""
    values = question.bind(given)
    if not answer.rows:
        asked = ", ".join(f"{name}={value}" for name, value in values.items() if name != "limit" and value != "")
        told = f"no rows{' for ' + asked if asked else ''}"
        if "finding" in values:
            told += "; a finding is a concept's id or whole name: kgbuild query findings shows them"
        elif "study" in values or "patient" in values:
            told += "; ids are those of the graph, as CXR1, s50414267 or examples:ex001"
        return [told]
    limit = values.get("limit")
    if limit is not None and len(answer.rows) == limit:
        return [f"the first {limit} rows; more with --param limit=N"]
    return []
