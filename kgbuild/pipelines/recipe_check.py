"""A recipe judged where it would run: what it says by itself, and whether its data are here. No torch."""

from __future__ import annotations

from pathlib import Path

from kgbuild import plugins
from kgbuild.config import find_roots
from kgbuild.errors import UsageError
from kgbuild.recipes import Problem, Recipe, check
from kgbuild.recipes.reading import suggest


def check_here(
    recipe: Recipe, workspace: Path, *, root: Path | None = None, images: Path | None = None
) -> list[Problem]:
    """``recipes.check``, and the data set: an unknown one is an error; an absent one a warning, if images matter."""
    found = check(recipe)
    try:
        kind = plugins.find("datasets", recipe.data.dataset)
    except UsageError:
        known = suggest(recipe.data.dataset, plugins.names("datasets"))
        errors = [Problem("error", "data.dataset", f"{recipe.data.dataset!r} is unknown; {known}")]
        return sorted([*found, *errors], key=lambda one: one.level)
    roots = find_roots(kind.name, root, images, workspace)
    if getattr(kind, "ships", False) or recipe.trainer == "llm-kg":
        return found  # text alone is trained on annotations, which need no data set beside them
    if roots.root is None:
        variable = f"KGBUILD_{kind.name.upper().replace('-', '_')}_ROOT"
        why = f"no root for data set {kind.name}: --root DIR, {variable}, or kgbuild.toml"
    elif not roots.root.exists():
        why = f"{roots.root} does not exist"
    else:
        return found
    return [*found, Problem("warning", "data.dataset", f"{why} (training needs its images, beside a run of it)")]
