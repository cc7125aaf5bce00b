"""Every error kgbuild raises, in one tree, each class carrying the exit code it ends a command with.

    KgbuildError            1  failed
    ├── WorkspaceError      1  made by another version, not a workspace, held by another process
    ├── StoreError          1  a store refused a statement or a load
    ├── StudyError          1  one study cannot be read or annotated (quarantined by the pipelines)
    ├── UsageError          2  unknown command, option, data set, run, query or parameter
    └── MissingError        3  something that must be there is not
        ├── DependencyMissing   a Python package or a program
        ├── RootMissing         a data set's folder
        ├── FileMissing         a file or a table
        └── ColumnMissing       a column that a table must have

A message says what was wrong; ``where``, ``expected`` and ``next_step`` say the rest. All carry ids,
paths and offsets only, never report text: reports are under data use agreements and logs travel.
"""

from __future__ import annotations


class KgbuildError(Exception):
    """Root of the tree: a sentence about what was wrong, and three optional ones on how to mend it."""

    exit_code = 1

    def __init__(
        self, message: str, *, where: str | None = None, expected: str | None = None, next_step: str | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.where = where
        self.expected = expected
        self.next_step = next_step

    def __str__(self) -> str:
        rows = (("where", self.where), ("expected", self.expected), ("next", self.next_step))
        return "\n".join([self.message, *(f"  {name:<9} {text}" for name, text in rows if text)])


class WorkspaceError(KgbuildError):
    """The workspace folder is not one, or was written by a version this one cannot read."""


class StoreError(KgbuildError):
    """A graph store refused a statement, or its contents do not match the tables it was built from."""


class StudyError(KgbuildError):
    """One study cannot be used. Pipelines quarantine it with ``reason`` and go on.

    Args:
        study_id: the study, or the file it would have come from where no id could be read.
        reason: one sentence with ids and offsets, no report text.
    """

    def __init__(self, study_id: str, reason: str, *, where: str | None = None) -> None:
        super().__init__(f"study {study_id}: {reason}", where=where)
        self.study_id = study_id
        self.reason = reason

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        return (StudyError, (self.study_id, self.reason))


class UsageError(KgbuildError):
    """The command was asked for something that does not exist or cannot be read as what it should be."""

    exit_code = 2


class MissingError(KgbuildError):
    """Something that must be there is not."""

    exit_code = 3


class DependencyMissing(MissingError):
    """A Python package or program is not installed."""


class RootMissing(MissingError):
    """A data set's root folder is absent, or holds none of the files of that data set."""


class FileMissing(MissingError):
    """A file or table is absent."""


class ColumnMissing(MissingError):
    """A table lacks a column that it must have."""
