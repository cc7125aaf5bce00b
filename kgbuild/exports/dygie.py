"""``export dygie``: DyGIE++ lines, one a study, sorted by study id; one sentence a document."""

from __future__ import annotations

from pathlib import Path

from kgbuild.exports._sorted import Pairs, write_lines
from kgbuild.files import atomic
from kgbuild.notation.dygie import to_dygie
from kgbuild.notation.radgraph import Spelling


def write(path: Path, pairs: Pairs, *, labels: Spelling = "v1", dataset: str = "kgbuild") -> int:
    """Write (annotation, split) pairs, in any order (the form has no place for the split); returns their number.

    Raises:
        KgbuildError: a study comes twice; nothing is written.
    """
    with atomic(path, private=True) as part:
        return write_lines(pairs, lambda annotation, _: to_dygie(annotation, labels=labels, dataset=dataset), part)


PLUGIN = write
