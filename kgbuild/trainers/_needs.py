"""Packages of the extra ``train``, asked for before anything is begun."""

from __future__ import annotations

import os
from importlib.util import find_spec

from kgbuild.errors import DependencyMissing
from kgbuild.recipes import Recipe


def language(recipe: Recipe) -> None:
    """What tuning a language model by this recipe needs; see ``packages``."""
    more = ["peft"] if recipe.model.lora is not None else []
    if recipe.training.report_to != "none":
        more.append(recipe.training.report_to)
    packages("accelerate", "datasets", "torch", "transformers", "trl", *more)


def packages(*names: str) -> None:
    """Make sure that they are installed; keeps tokenizers from warning about processes started later.

    Raises:
        DependencyMissing: names those that are not.
    """
    missing = [name for name in names if find_spec(name) is None]
    if missing:
        others = " ".join(name for name in missing if name in ("tensorboard", "wandb")) or "'kgbuild[train]'"
        raise DependencyMissing(
            f"training needs {', '.join(missing)}",
            next_step=f"pip install {others} (see docs/training.md)",
        )
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
