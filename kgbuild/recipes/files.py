"""Recipe files: shipped ones by name, anybody's by path, each perhaps extending another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from kgbuild.errors import FileMissing, UsageError
from kgbuild.recipes.checking import impossible
from kgbuild.recipes.parts import Recipe
from kgbuild.recipes.reading import from_dict, parse, suggest
from kgbuild.resources import data

_OWN = ("name", "purpose", "paper")  # what a file says of itself and does not take from the one it extends


@dataclass(frozen=True, slots=True)
class _File:
    """One recipe file: ``label`` stands in messages, ``folder`` is where its neighbours lie (null: shipped)."""

    label: str
    stem: str
    text: str
    folder: Path | None


def load(name_or_path: str | Path) -> Recipe:
    """A recipe by its shipped name (``vlm-kg_mimic``) or its file.

    Raises:
        UsageError: unknown name, no valid YAML, an unknown key, a value of another type or an impossible one.
        FileMissing: the file is absent.
    """
    recipe = read(name_or_path)
    refuse_impossible(recipe, f"recipe {name_or_path}")
    return recipe


def read(name_or_path: str | Path) -> Recipe:
    """As ``load``, but impossible values are left to ``check``."""
    file = _open(str(name_or_path), None)
    return from_dict(_merged(file, ()), file.label)


def refuse_impossible(recipe: Recipe, where: str) -> None:
    """Raise for the first value that cannot be, and say how many more there are.

    Raises:
        UsageError: there is one.
    """
    problems = impossible(recipe)
    if problems:
        first = problems[0]
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        next_step = f"kgbuild train --check {recipe.name} lists them" if more else None
        raise UsageError(f"{first.key}: {first.message}{more}", where=where, next_step=next_step)


def names() -> list[str]:
    """Names of the shipped recipes, sorted."""
    files = (entry.name for entry in _shipped().iterdir())
    return sorted(file.removesuffix(".yaml") for file in files if file.endswith(".yaml"))


def listing() -> list[Recipe]:
    """The shipped recipes, sorted by name."""
    return [load(name) for name in names()]


def header(name_or_path: str | Path) -> str:
    """The comment at the top of a recipe file, without its ``#``: purpose, commands, memory, cost."""
    lines = []
    for line in _open(str(name_or_path), None).text.splitlines():
        if not line.startswith("#"):
            break
        lines.append(line[1:].removeprefix(" "))
    return "\n".join(lines)


def costs(name_or_path: str | Path) -> dict[str, str]:
    """Dotted key → the comment beside its value, of the file and those that it extends (the nearest one counts)."""
    file = _open(str(name_or_path), None)
    own: dict[str, str] = {}
    path: list[tuple[int, str]] = []
    for line in file.text.splitlines():
        stated, _, comment = line.partition("  # ")
        key, colon, _ = stated.strip().partition(":")
        if not colon or key.startswith("#"):
            continue
        depth = len(stated) - len(stated.lstrip())
        path = [*(step for step in path if step[0] < depth), (depth, key)]
        if comment:
            own[".".join(step for _, step in path)] = comment.strip()
    parent = _values(file).get("extends")
    return {**costs(_reference(str(parent), file)), **own} if parent else own


def _shipped() -> Traversable:
    return data("training") / "recipes"


def _open(name: str, folder: Path | None) -> _File:
    if "/" in name or "\\" in name or name.endswith((".yaml", ".yml")):
        path = (folder / name if folder else Path(name)).expanduser()
        try:
            return _File(str(path), path.stem, path.read_text(encoding="utf-8-sig"), path.parent)
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            raise FileMissing(
                f"{path} is absent", expected="a recipe file (YAML)", next_step="kgbuild train --list"
            ) from None
        except UnicodeDecodeError as error:
            raise UsageError(f"{path} is not UTF-8 at byte {error.start}") from None
    if name not in names():
        raise UsageError(
            f"unknown recipe {name!r}",
            expected=suggest(name, names()),
            next_step="kgbuild train --list; a file of your own needs its suffix .yaml",
        )
    text = (_shipped() / f"{name}.yaml").read_text(encoding="utf-8")
    return _File(f"training/recipes/{name}.yaml", name, text, None)


def _values(file: _File) -> dict[str, Any]:
    values = parse(file.text, file.label)
    if not isinstance(values, dict):
        raise UsageError("a recipe is a group of keys", where=file.label, expected="trainer: llm-kg and so on")
    return values


def _merged(file: _File, extending: tuple[str, ...]) -> dict[str, Any]:
    """The file's values over those of the recipe that it extends."""
    values = {"name": file.stem, **_values(file)}
    parent = values.pop("extends", None)
    if parent is None:
        return values
    if not isinstance(parent, str):
        raise UsageError("extends: not a name", where=file.label, expected="a recipe's name or file")
    if file.label in extending:
        raise UsageError("extends: the recipes extend one another in a circle", where=file.label)
    try:
        base = _open(parent, file.folder)
    except (UsageError, FileMissing) as error:
        told, step = f"extends: {error.message}", error.next_step
        raise type(error)(told, where=file.label, expected=error.expected, next_step=step) from None
    below = _merged(base, (*extending, file.label))
    from_dict(below, base.label)  # so that what is wrong in the other file is said of the other file
    return _over({key: value for key, value in below.items() if key not in _OWN}, values)


def _reference(parent: str, file: _File) -> str:
    is_path = "/" in parent or parent.endswith((".yaml", ".yml"))
    return str(file.folder / parent) if is_path and file.folder else parent


def _over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    out = dict(below)
    for key, value in above.items():
        under = out.get(key)
        out[key] = _over(under, value) if isinstance(under, Mapping) and isinstance(value, Mapping) else value
    return out
