"""Questions to a graph store: shipped queries by name, or a user's own Cypher."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kgbuild import queries
from kgbuild.errors import StoreError
from kgbuild.pipelines.workspace import Workspace
from kgbuild.stores.base import Answer, Store
from kgbuild.stores.embedded import EmbeddedStore


def query(workspace: Path, name: str, parameters: Mapping[str, str] | None = None) -> Answer:
    """Answer a shipped query from the workspace's embedded store.

    Args:
        workspace: its folder.
        name: see ``kgbuild query --list``.
        parameters: values as text; converted to the types in the query's header.

    Raises:
        UsageError: unknown query or parameter, or a value of the wrong type.
        FileMissing: no workspace, or nothing loaded.
    """
    question = queries.find(name)
    values = question.bind(parameters or {})
    return run(EmbeddedStore(Workspace.open(workspace).store), question.cypher, values, question)


def query_cypher(workspace: Path, cypher: str) -> Answer:
    """Answer a user's own read-only statement from the embedded store."""
    return run(EmbeddedStore(Workspace.open(workspace).store), cypher, {})


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
