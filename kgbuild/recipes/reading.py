"""Plain values ⇄ recipe, strictly: every key must exist and every value be of its key's type.

YAML is read by its core schema (version 1.2): ``1e-4`` is a number, ``no`` and ``on`` are words, and a key stated
twice is an error.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import re
import types
from collections.abc import Iterable, Mapping
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import yaml

from kgbuild.errors import UsageError
from kgbuild.recipes.parts import Recipe


class _Loader(yaml.SafeLoader):
    """SafeLoader with the core schema's scalars and without repeated keys."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - PyYAML's own name

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise yaml.constructor.ConstructorError(None, None, f"the key {key!r} is no word", key_node.start_mark)
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"{key!r} stands twice", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


for _tag, _pattern, _first in (
    ("null", r"~|null|", ["~", "n", ""]),
    ("bool", r"true|false", ["t", "f"]),
    ("int", r"[-+]?[0-9]+", list("-+0123456789")),
    ("float", r"[-+]?(?:\.[0-9]+|[0-9]+\.[0-9]*|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?", list("-+.0123456789")),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"^(?:{_pattern})$"), _first)


def parse(text: str, where: str) -> Any:
    """The value of a YAML text.

    Raises:
        UsageError: it is no YAML, with line and column.
    """
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise UsageError(f"no valid YAML: {error.problem}", where=where + place) from None
    except (yaml.YAMLError, ValueError) as error:
        raise UsageError(f"no valid YAML: {error}", where=where) from None


def from_dict(values: Mapping[str, Any], where: str = "recipe") -> Recipe:
    """A recipe from what ``as_dict`` gave, or from a YAML file's mapping; absent keys take their defaults.

    Raises:
        UsageError: an unknown key or a value of another type, named with ``where``, its key and what was expected.
    """
    recipe: Recipe = _build(Recipe, values, "", where)
    return recipe


def as_dict(recipe: Recipe) -> dict[str, Any]:
    """The whole recipe as plain values (JSON and YAML hold them), in the dataclasses' order."""
    plain: dict[str, Any] = _plain(dataclasses.asdict(recipe))
    return plain


def with_settings(recipe: Recipe, settings: Mapping[str, str], *, option: str = "--set") -> Recipe:
    """The recipe with some values replaced, by dotted keys as ``training.epochs``; values as YAML writes them.

    ``null`` takes an optional part away; a key inside an absent part (``model.lora.rank``) makes it, with defaults.

    Raises:
        UsageError: an unknown key or a value of another type.
    """
    values = as_dict(recipe)
    for key, text in settings.items():
        where = f"{option} {key}"
        node, kind = values, Recipe
        *parents, last = key.split(".")
        for depth, part in enumerate(parents):
            kind = _dataclass_of(_kind_of(kind, part, ".".join(parents[:depth]), where))
            if kind is None:
                raise UsageError(f"{'.'.join(parents[: depth + 1])} has no parts", where=where)
            node[part] = {} if node[part] is None else node[part]
            node = node[part]
        node[last] = _text_value(text, _kind_of(kind, last, ".".join(parents), where), where)
        recipe = from_dict(values, where)
        values = as_dict(recipe)
    return recipe


def suggest(word: str, known: Iterable[str]) -> str:
    """``did you mean 'x'? one of a, b, x``: what to expect in place of a word that is not known."""
    choices = list(known)
    close = difflib.get_close_matches(word, choices, n=1)
    return (f"did you mean {close[0]!r}? " if close else "") + f"one of {', '.join(choices)}"


def _kind_of(kind: Any, key: str, prefix: str, where: str) -> Any:
    hints = get_type_hints(kind)
    if key not in hints:
        _unknown(key, hints, prefix, where)
    return hints[key]


def _unknown(key: str, hints: Mapping[str, Any], prefix: str, where: str) -> None:
    part = f" of {prefix}" if prefix else ""
    raise UsageError(f"unknown key {key!r}{part}", where=where, expected=suggest(key, hints))


def _build(kind: Any, value: Any, key: str, where: str) -> Any:
    if dataclasses.is_dataclass(kind):
        return _build_part(kind, value, key, where)
    origin = get_origin(kind)
    if origin in (types.UnionType, Union):
        if value is None:
            return None
        (inner,) = (arg for arg in get_args(kind) if arg is not type(None))
        return _build(inner, value, key, where)
    if origin is Literal:
        if value in get_args(kind) and isinstance(value, str):
            return value
        raise UsageError(f"{key}: {value!r} is unknown", where=where, expected=suggest(str(value), get_args(kind)))
    if origin is tuple:
        if isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
            return tuple(value)
        raise _wrong(key, value, "a list of words", where)
    if kind is float and isinstance(value, int | float) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:  # a whole number of more than 308 digits: checking refuses what is not finite
            return math.inf if value > 0 else -math.inf
    if isinstance(value, kind) and (kind is bool or not isinstance(value, bool)):
        return value
    raise _wrong(
        key, value, {bool: "true or false", int: "a whole number", float: "a number", str: "text"}[kind], where
    )


def _build_part(kind: Any, value: Any, key: str, where: str) -> Any:
    if not isinstance(value, Mapping):
        raise _wrong(key or "the recipe", value, "keys: " + ", ".join(get_type_hints(kind)), where)
    hints = get_type_hints(kind)
    for name in value:
        if name not in hints:
            _unknown(str(name), hints, key, where)
    for part in dataclasses.fields(kind):
        required = part.default is dataclasses.MISSING and part.default_factory is dataclasses.MISSING
        if required and part.name not in value:
            raise UsageError(f"{part.name} is not stated", where=where, expected=_expected(hints[part.name]))
    prefix = f"{key}." if key else ""
    return kind(**{name: _build(hints[name], inner, prefix + name, where) for name, inner in value.items()})


def _expected(kind: Any) -> str:
    return f"one of {', '.join(get_args(kind))}" if get_origin(kind) is Literal else "text"


def _wrong(key: str, value: Any, expected: str, where: str) -> UsageError:
    shown = "null" if value is None else "a group of keys" if isinstance(value, Mapping) else repr(value)
    return UsageError(f"{key}: {shown} is of the wrong type", where=where, expected=expected)


def _dataclass_of(kind: Any) -> Any:
    candidates = (kind, *get_args(kind))
    return next((candidate for candidate in candidates if dataclasses.is_dataclass(candidate)), None)


def _text_value(text: str, kind: Any, where: str) -> Any:
    """A value typed on a command line: where text is wanted it is taken as it stands (``model.base=007``)."""
    optional = type(None) in get_args(kind)
    if optional and text in ("null", "~"):
        return None
    wanted = {arg for arg in get_args(kind) if arg is not type(None)} if optional else {kind}
    if wanted == {str} or get_origin(kind) is Literal:
        return text
    if get_origin(kind) is tuple and not text.startswith("["):
        return [word.strip() for word in text.split(",")]
    return parse(text, where)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    return list(value) if isinstance(value, tuple) else value
