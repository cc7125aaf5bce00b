"""Packages of the extra ``train``, asked for before anything is begun."""

from __future__ import annotations

import os
from importlib.util import find_spec

from kgbuild.errors import DependencyMissing


def packages(*names: str) -> None:
    """Make sure that they are installed; keeps tokenizers from warning about processes started later.

    Raises:
        DependencyMissing: names those that are not.
    """
    missing = [name for name in names if find_spec(name) is None]
    if missing:
        raise DependencyMissing(
            f"training needs {', '.join(missing)}", next_step="pip install 'kgbuild[train]' (see docs/training.md)"
        )
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
