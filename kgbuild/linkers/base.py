"""What every linker offers: mentions in, links out, and the concepts that links may name.

A new linker is one new module in this folder that sets ``PLUGIN``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

from kgbuild.domain import Concept, Link, Mention


class Linker(Protocol):
    """Built as ``PLUGIN(concepts=None, **options)``; ``concepts`` is a folder with another concept base."""

    name: str

    def __init__(self, concepts: Path | None = None, **options: str) -> None: ...

    def fingerprint(self) -> str:
        """Hex digest of everything that can change a link: code, concept base, options."""
        ...

    def link(self, mentions: Iterable[Mention]) -> Iterator[Link]:
        """At most one link a mention, in order; a mention that nothing fits well enough is left out."""
        ...

    def concept(self, concept_id: str) -> Concept:
        """The concept behind a link's id. Raises KeyError for an id that no link can name."""
        ...
