"""What every extractor offers: studies in, annotations out, in the same order, one for each study.

A new extractor is one new module in this folder that sets ``PLUGIN``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from kgbuild.domain import Annotation, Failure, Study


class Extractor(Protocol):
    """Built as ``PLUGIN(sections=..., **options)``."""

    name: str

    def __init__(self, sections: Sequence[str], **options: str) -> None: ...

    def fingerprint(self) -> str:
        """Hex digest of everything that can change the output: code, lexicon, checkpoint, options."""
        ...

    def extract(self, studies: Iterable[Study]) -> Iterator[Annotation | Failure]:
        """One Annotation or Failure a study, in order. An empty report gives an empty annotation, not a failure."""
        ...
