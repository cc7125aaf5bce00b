"""A ``datasets`` set: a folder of ``save_to_disk``, a folder of Parquet files as on the hub, or a set by its hub name.

Files on disk are read with pyarrow alone; only a hub name (``--root owner/name``) needs the package ``datasets``. The
split is the name of the file or its folder. Columns are guessed or mapped as those of ``reports``; where none looks
like an id, rows are numbered: ``huggingface:train-1``. Images inside the files are listed, but not opened here.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from kgbuild.datasets._table_arrow import ArrowTable, ParquetTable
from kgbuild.datasets._table_check import check_tables
from kgbuild.datasets._table_choose import choose_columns, mapping_text
from kgbuild.datasets._table_files import Table
from kgbuild.datasets._table_images import ImageFolders
from kgbuild.datasets._table_mapping import read_given
from kgbuild.datasets._table_studies import TableStudies
from kgbuild.datasets.base import FileCheck, Listing
from kgbuild.domain import Failure, Study
from kgbuild.errors import DependencyMissing, RootMissing, UsageError

_KINDS = {".arrow": ArrowTable, ".parquet": ParquetTable}
_SHARD = re.compile(r"(?P<split>.*?)[-_.]?\d+(?:[-_]of[-_]\d+)?$")
_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
_NOT_SPLITS = ("data", "default", "")


class HuggingFace:
    """The data set behind ``--dataset huggingface``.

    Args:
        root: the folder, one ``.arrow`` or ``.parquet`` file, or ``owner/name`` on the hub.
        images: where image paths begin, if not at the root.
        **options: ``mapping`` and ``map``, as for ``reports``.

    Raises:
        UsageError: an option or a mapping entry that does not exist.
        RootMissing: the root is absent or holds no such files.
        ColumnMissing: a table lacks a mapped column, or none is known to hold the report.
        DependencyMissing: a hub name, and the package ``datasets`` is not installed.
    """

    name = "huggingface"
    title = "A Hugging Face data set: saved to disk, Parquet files, or owner/name on the hub"
    options: tuple[str, ...] = ("mapping", "map")
    remote = True  # the root may be a name instead of a folder

    def __init__(self, root: Path, images: Path | None = None, **options: str) -> None:
        unknown = sorted(set(options) - set(self.options))
        if unknown:
            raise UsageError(f"unknown option {', '.join(unknown)} of huggingface", expected=", ".join(self.options))
        given = read_given(mapping_text(options.get("mapping")), options.get("map"))
        root = Path(root)
        tables: Sequence[Table]
        if root.exists():
            base = root if root.is_dir() else root.parent
            tables = _tables(root, base)
        else:
            base, tables = _from_hub(root)
        folders = ImageFolders(base, Path(images) if images is not None else None)
        columns = choose_columns(tables, given, number_rows=True)
        self.source = TableStudies(self.name, tables, columns, folders)

    def fingerprint(self) -> str:
        """SHA-256 of the mapped cells of every row and of which of the images are there."""
        return self.source.fingerprint()

    def listing(self) -> Listing:
        """Studies in the order of the files (train, validation, test, then by name) and rows."""
        return self.source.listing()

    def studies(self, ids: Sequence[str] | None = None) -> Iterator[Study | Failure]:
        """Studies with their sections and images; an unknown id is a Failure."""
        return self.source.studies(ids)

    def check(self) -> list[FileCheck]:
        """The files, the mapping and what share of the rows fills it, the sections found, the mapping as YAML."""
        return check_tables(self.source)


def _tables(root: Path, base: Path) -> list[Table]:
    """Every table under a root. Arrow files win over Parquet; caches, indices and hidden folders are passed over."""
    found: dict[str, list[str]] = {kind: [] for kind in _KINDS}
    if root.is_file():
        names = [root.name]
    else:
        names = []
        for folder, folders, files in os.walk(root, followlinks=False):
            folders[:] = [name for name in folders if not name.startswith(".")]
            start = os.path.relpath(folder, root).replace(os.sep, "/")
            names += [name if start == "." else f"{start}/{name}" for name in files if not name.startswith("cache-")]
    for name in names:
        if (end := os.path.splitext(name)[1]) in found:
            found[end].append(name)
    kinds = [kind for kind, listed in found.items() if listed]
    if not kinds:
        raise _nothing(root, "holds no .arrow and no .parquet file")
    kind = kinds[0]
    splits = [(name, _split(name) or _saved_split(base / name)) for name in found[kind]]
    splits.sort(key=lambda item: (_rank(item[1]), item[1] or "", item[0]))
    return [_KINDS[kind](base / name, name, split) for name, split in splits]


def _split(name: str) -> str | None:
    """The split of a file: its folder, or what stands before the shard's number.

    >>> _split("data/train-00000-of-00002.parquet"), _split("default/test/0000.parquet")
    ('train', 'test')
    >>> _split("val/data-00000-of-00001.arrow")
    'val'
    """
    *folders, file = name.split("/")
    stem = os.path.splitext(file)[0]
    shard = _SHARD.fullmatch(stem)
    own = (shard["split"] if shard else stem).rpartition(".")[2]
    for word in (own, *reversed(folders)):
        if word.lower() not in _NOT_SPLITS:
            return word
    return None


def _saved_split(path: Path) -> str | None:
    """The split that ``save_to_disk`` notes beside a set of one split."""
    try:
        split = json.loads((path.parent / "state.json").read_text(encoding="utf-8"))["_split"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return split if isinstance(split, str) and split else None


def _rank(split: str | None) -> int:
    words = ("train", "val", "dev", "test")
    return next((place for place, word in enumerate(words) if (split or "").lower().startswith(word)), len(words))


def _from_hub(root: Path) -> tuple[Path, list[Table]]:
    """The tables that ``datasets`` downloads for a name, each Arrow file under its split."""
    name = root.as_posix()
    if not _HUB_NAME.fullmatch(name):
        raise _nothing(root, "does not exist")
    try:
        import datasets  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        raise DependencyMissing(
            f"{name} is not a folder, and reading a set by its hub name needs the package datasets",
            next_step="pip install datasets; or download the set and give its folder as --root",
        ) from None
    try:
        loaded: Any = datasets.load_dataset(name)
    except Exception as error:  # whatever the package raises: no such set, no network, no right to it
        raise RootMissing(
            f"the hub did not give {name}: {type(error).__name__}",
            next_step="check the name, the network and the login; or give a folder as --root",
        ) from None
    tables: list[Table] = []
    for split in sorted(loaded, key=lambda split: (_rank(split), split)):
        for cached in loaded[split].cache_files:
            path = Path(cached["filename"])
            tables.append(ArrowTable(path, path.name, split))
    if not tables:
        raise _nothing(root, "has no rows")
    return tables[0].path.parent, tables


def _nothing(root: Path, what: str) -> RootMissing:
    return RootMissing(
        f"huggingface root {root} {what}",
        where=str(root),
        expected="a folder of save_to_disk or of .parquet files; or owner/name on the hub",
        next_step="pass --root with the folder or the name",
    )


PLUGIN = HuggingFace
