"""Read any annotation file: RadGraph JSON or DyGIE++ lines, told apart by what the file begins with."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from kgbuild.domain import Annotation, Failure
from kgbuild.notation.dygie import read_dygie
from kgbuild.notation.json_stream import UNREADABLE, open_text
from kgbuild.notation.radgraph import read_radgraph

_DYGIE = re.compile(
    r'\s*\{\s*"(?:dataset|doc_key|sentences|clusters|ner|relations|predicted_\w+|weight)"\s*:\s*[\["\d]'
)


def read_annotations(
    path: Path, *, labeler: int | None = None, extractor: str | None = None
) -> Iterator[tuple[str, Annotation | Failure]]:
    """Stream (key, annotation or what is wrong with it) from either format, gzipped or not.

    Raises:
        FileMissing, KgbuildError, UsageError: as ``read_radgraph`` and ``read_dygie``.
    """
    with open_text(path) as file:
        try:
            is_dygie = _DYGIE.match(file.read(4096)) is not None
        except UNREADABLE:
            is_dygie = False  # the reader will say where
    if is_dygie:
        return read_dygie(path, extractor=extractor or "dygie")
    return read_radgraph(path, labeler=labeler, extractor=extractor or "radgraph")
