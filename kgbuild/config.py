"""Where a data set lies: ``--root``, else ``KGBUILD_<DATASET>_ROOT``, else ``kgbuild.toml`` (workspace, then here).

.. code-block:: toml

    [iu-xray]
    root = "/data/iu_xray"
    images = "/data/iu_xray/images"
"""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass
from pathlib import Path

from kgbuild.errors import KgbuildError

FILE = "kgbuild.toml"


@dataclass(frozen=True, slots=True)
class Roots:
    """A data set's folders; null means that the data set was told of none."""

    root: Path | None
    images: Path | None


def find_roots(dataset: str, root: Path | None, images: Path | None, workspace: Path | None = None) -> Roots:
    """Resolve both folders of one data set, each by the first source that names it.

    A ``kgbuild.toml`` is read only where neither command line nor environment name a root: its images belong to it.

    Raises:
        KgbuildError: a ``kgbuild.toml`` that does not parse, with its path and line.
    """
    stem = "KGBUILD_" + dataset.upper().replace("-", "_")
    files = [folder / FILE for folder in (workspace, Path.cwd()) if folder is not None]
    root = root or _from_environment(f"{stem}_ROOT")
    images = images or _from_environment(f"{stem}_IMAGES")
    if root is not None:
        return Roots(root, images)
    return Roots(_from_files(files, dataset, "root"), images or _from_files(files, dataset, "images"))


def _from_environment(name: str) -> Path | None:
    value = os.environ.get(name)
    return Path(value) if value else None


def _from_files(files: list[Path], dataset: str, key: str) -> Path | None:
    for file in files:
        if not file.is_file():
            continue
        try:
            section = tomllib.loads(file.read_text(encoding="utf-8")).get(dataset, {})
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise KgbuildError(f"{FILE} is not valid TOML: {error}", where=str(file)) from None
        value = section.get(key) if isinstance(section, dict) else None
        if isinstance(value, str) and value:
            return file.parent / Path(value).expanduser()
    return None
