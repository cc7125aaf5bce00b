"""A recipe as a person reads it: its file's comment, then every value, with what it costs beside it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from kgbuild.recipes.files import costs, header
from kgbuild.recipes.parts import Recipe
from kgbuild.recipes.reading import as_dict


def as_yaml(recipe: Recipe, name_or_path: str) -> str:
    """The whole recipe as a YAML file that ``load`` reads back to the same values.

    Args:
        recipe: as loaded, perhaps with other settings.
        name_or_path: where it was loaded from; the comments are taken from there.
    """
    comment = "".join(f"# {line}".rstrip() + "\n" for line in header(name_or_path).splitlines())
    return comment + "".join(_lines(as_dict(recipe), "", costs(name_or_path)))


def _lines(values: Mapping[str, Any], prefix: str, notes: Mapping[str, str]) -> Iterator[str]:
    indent = "  " * prefix.count(".")
    for name, value in values.items():
        key = prefix + name
        note = f"  # {notes[key]}" if key in notes else ""
        if isinstance(value, dict):
            yield f"{indent}{name}:{note}\n"
            yield from _lines(value, f"{key}.", notes)
        else:
            yield f"{indent}{name}: {_scalar(value)}{note}\n"


def _scalar(value: Any) -> str:
    """JSON, which is YAML too; a word that needs no quotes goes without."""
    if isinstance(value, str) and value and value[0].isalpha() and all(c.isalnum() or c in "-_/. " for c in value):
        return value if value not in ("true", "false", "null") and not value.endswith(" ") else json.dumps(value)
    return json.dumps(value, ensure_ascii=False)
