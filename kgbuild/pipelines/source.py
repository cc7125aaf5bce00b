"""Which studies of which data set: opening one, and choosing by split, by id and by number."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from kgbuild import plugins
from kgbuild.config import find_roots
from kgbuild.datasets.base import Dataset, Listing
from kgbuild.domain import Failure, Image, StudyRef
from kgbuild.errors import FileMissing, RootMissing, UsageError


@dataclass(frozen=True, slots=True)
class Source:
    """A data set and what to take of it. Small and picklable: worker processes open their own.

    Attributes:
        dataset: name or alias.
        root, images: folders as resolved by ``config.find_roots``.
        split: keep studies of this split only.
        studies: keep these ids only (in listing order); null keeps all.
        limit: keep the first so many of what is left.
        options: data set options, as ``form`` of iu-xray.
    """

    dataset: str
    root: Path | None = None
    images: Path | None = None
    split: str | None = None
    studies: tuple[str, ...] | None = None
    limit: int | None = None
    options: tuple[tuple[str, str], ...] = field(default=())

    def open(self) -> Dataset:
        """The data set itself."""
        return open_dataset(self.dataset, self.root, self.images, **dict(self.options))

    def choose(self, listing: Listing) -> tuple[list[StudyRef], list[Failure]]:
        """The chosen studies, and what was refused: rows that give no study, ids that are not listed.

        Raises:
            UsageError: no study has that split, or none of the ids is listed.
        """
        chosen = list(listing.studies)
        failures = list(listing.failures)
        if self.split is not None:
            splits = sorted({ref.split for ref in chosen if ref.split})
            chosen = [ref for ref in chosen if ref.split == self.split]
            if not chosen:
                raise UsageError(
                    f"no study of {self.dataset} is in split {self.split!r}", expected=", ".join(splits) or "no splits"
                )
        if self.studies is not None:
            wanted = set(self.studies)
            listed = {ref.id for ref in chosen}
            missing = [study for study in self.studies if study not in listed]
            chosen = [ref for ref in chosen if ref.id in wanted]
            if not chosen:
                raise UsageError(
                    f"none of the {len(wanted)} ids of --studies is a study of {self.dataset}",
                    expected=f"ids such as {listing.studies[0].id}" if listing.studies else "a data set with studies",
                )
            failures += [
                Failure(study, "read", "named in --studies but not listed by the data set") for study in missing
            ]
        if self.limit is not None:
            chosen = chosen[: self.limit]
        return chosen, failures

    def find_image(self, image: Image) -> Path | None:
        """An image's file under ``images``, else under ``root``; None where there is none.

        Sources that keep images elsewhere (a data set without root) have none to give.
        """
        if image.path is None:
            return None
        for folder in (self.images, self.root):
            if folder is None:
                continue
            base = folder if folder.is_dir() else folder.parent  # a root may be an archive or a table
            if (base / image.path).is_file():
                return base / image.path
        return None

    def selection(self) -> dict[str, str | int | None]:
        """What was chosen, for the run's id."""
        studies = (
            hashlib.sha256("\n".join(self.studies).encode()).hexdigest()[:16] if self.studies is not None else None
        )
        return {"split": self.split, "studies": studies, "limit": self.limit, **dict(self.options)}


def open_dataset(name: str, root: Path | None = None, images: Path | None = None, **options: str) -> Dataset:
    """Open a data set by name.

    Raises:
        UsageError: unknown data set, or an option that it does not have.
        RootMissing: no root was given, or it is not a folder of this data set.
    """
    kind = plugins.find("datasets", name)
    unknown = sorted(set(options) - set(kind.options))
    if unknown:
        raise UsageError(f"data set {name} has no option {unknown[0]!r}", expected=", ".join(kind.options) or "none")
    if root is None and not getattr(kind, "ships", False):
        variable = f"KGBUILD_{name.upper().replace('-', '_')}_ROOT"
        raise RootMissing(
            f"no root for data set {name}", next_step=f"give --root DIR, set {variable}, or write it into kgbuild.toml"
        )
    if root is not None and not root.exists() and not getattr(kind, "remote", False):
        raise RootMissing(f"{root} does not exist", where=f"root of data set {name}")
    dataset: Dataset = kind(root, images, **options)
    return dataset


def resolve(
    dataset: str,
    root: Path | None = None,
    images: Path | None = None,
    workspace: Path | None = None,
    *,
    split: str | None = None,
    studies: Path | None = None,
    limit: int | None = None,
    options: dict[str, str] | None = None,
) -> Source:
    """A Source from what a user said: roots looked up, the id file read, an alias replaced by the name.

    Raises:
        FileMissing: the id file is absent.
        UsageError: unknown data set, or a limit below 1.
    """
    name = plugins.find("datasets", dataset).name
    if limit is not None and limit < 1:
        raise UsageError(f"--limit {limit} leaves no study", expected="1 or more")
    root, images, workspace = (Path(p) if p is not None else None for p in (root, images, workspace))
    roots = find_roots(name, root, images, workspace)
    ids = read_ids(studies) if studies is not None else None
    pairs = tuple(sorted((key, _content(key, value)) for key, value in (options or {}).items()))
    return Source(name, roots.root, roots.images, split, ids, limit, pairs)


def _content(option: str, value: str) -> str:
    """A mapping file's content in place of its path: options go into the run's id, and no path may."""
    if option != "mapping" or "\n" in value or not Path(value).is_file():
        return value
    return Path(value).read_text(encoding="utf-8-sig", errors="surrogateescape")


def read_ids(path: Path) -> tuple[str, ...]:
    """Study ids of a ``--studies`` file: one a line, ``#`` begins a comment line.

    Raises:
        FileMissing: it is absent.
    """
    if not path.is_file():
        raise FileMissing(f"{path} is absent", where="--studies", expected="a text file with one study id a line")
    lines = (line.strip() for line in path.read_text(encoding="utf-8-sig", errors="replace").splitlines())
    return tuple(dict.fromkeys(line for line in lines if line and not line.startswith("#")))
