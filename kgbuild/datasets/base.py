"""What every data set offers: a cheap listing first, then reports and images of chosen studies.

Listing and reading are apart so that work can be split into chunks and shards, and filtered by split or id, before a
single report is opened. A new data set is one new module in this folder that sets ``PLUGIN``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from kgbuild.domain import Failure, Study, StudyRef


@dataclass(frozen=True, slots=True)
class Listing:
    """All studies a data set names, in its own stable order, and the rows or files that name none.

    ``counts`` says what is normal but worth knowing (images listed but absent, studies without images, …).
    """

    studies: tuple[StudyRef, ...]
    failures: tuple[Failure, ...] = ()
    counts: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FileCheck:
    """One file or folder of ``datasets check``. ``found`` counts rows or files; ``expected`` is the published count."""

    path: str
    needed: bool
    present: bool
    found: int | None = None
    expected: int | None = None
    size_bytes: int | None = None
    note: str = ""


class Dataset(Protocol):
    """A data set on disk.

    Built as ``PLUGIN(root, images=None, **options)``; raises ``RootMissing``, ``FileMissing``, ``ColumnMissing``
    (exit code 3) from the constructor or ``listing`` where the root is none of this data set.
    """

    name: str
    title: str
    options: tuple[str, ...]

    def __init__(self, root: Path, images: Path | None = None, **options: str) -> None: ...

    def fingerprint(self) -> str:
        """Hex digest of what the data set holds, equal on every machine for equal content, without paths or times."""
        ...

    def listing(self) -> Listing:
        """What there is; reads no report and opens no image."""
        ...

    def studies(self, ids: Sequence[str] | None = None) -> Iterator[Study | Failure]:
        """The studies of ``ids`` in that order (all, in listing order, if None). A bad one comes as a Failure."""
        ...

    def check(self) -> list[FileCheck]:
        """Every needed and optional file: there or not, how much is in it, what will be skipped and why."""
        ...
