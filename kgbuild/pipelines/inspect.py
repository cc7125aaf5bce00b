"""What data sets there are, and what of one is on disk."""

from __future__ import annotations

import importlib
from dataclasses import dataclass

from kgbuild import plugins
from kgbuild.datasets.base import FileCheck
from kgbuild.domain import Failure
from kgbuild.pipelines.source import Source


@dataclass(frozen=True, slots=True)
class DatasetInfo:
    """A data set that can be read."""

    name: str
    title: str
    aliases: tuple[str, ...]
    options: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DatasetReport:
    """What was found under a root."""

    name: str
    studies: int
    counts: dict[str, int]
    files: tuple[FileCheck, ...]
    failures: tuple[Failure, ...]


def list_datasets() -> list[DatasetInfo]:
    """Every data set, by name."""
    found = []
    for name in plugins.names("datasets"):
        kind = plugins.find("datasets", name)
        aliases = getattr(importlib.import_module(kind.__module__), "ALIASES", ())
        found.append(DatasetInfo(name, kind.title, tuple(aliases), tuple(kind.options)))
    return found


def check_dataset(source: Source) -> DatasetReport:
    """Look at every file of a data set without reading reports.

    Raises:
        MissingError: the root, a needed file or a needed column is absent.
    """
    dataset = source.open()
    files = tuple(dataset.check())
    listing = dataset.listing()
    return DatasetReport(dataset.name, len(listing.studies), dict(listing.counts), files, tuple(listing.failures))
