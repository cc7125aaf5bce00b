"""The shipped Cypher questions: reading their headers, checking and typing a user's parameters.

A file ``cypher/queries/<name>.cypher`` opens with comment lines: ``// title: …``, ``// why: …``,
``// $name: type = default`` for each parameter, ``// returns: name: type, …``. The rest is one portable statement.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kgbuild.errors import KgbuildError, UsageError
from kgbuild.resources import data

_PARAMETER = re.compile(r"^\$(\w+): (string|int|float|bool|date) = (.*)$")
_HEADER = re.compile(r"^// (title|why|returns): (.*)$")
TYPES = ("string", "int", "float", "bool", "date", "list")


@dataclass(frozen=True, slots=True)
class Parameter:
    """One typed parameter of a query; every one has a default."""

    name: str
    type: str
    default: Any


@dataclass(frozen=True, slots=True)
class Query:
    """One shipped question: its header and its Cypher."""

    name: str
    title: str
    why: str
    parameters: tuple[Parameter, ...]
    returns: tuple[tuple[str, str], ...]
    cypher: str

    def bind(self, given: Mapping[str, str]) -> dict[str, Any]:
        """Parameter values: the given ones converted to their types, defaults for the rest.

        Raises:
            UsageError: a parameter that the query does not have, a value that is not of its type, a limit below 0.
        """
        known = {parameter.name: parameter for parameter in self.parameters}
        for name in given:
            if name not in known:
                names = ", ".join(f"{p.name}: {p.type}" for p in self.parameters) or "none"
                raise UsageError(f"query {self.name} has no parameter {name!r}", expected=names)
        values = {
            name: convert(f"--param {name}", given[name], p.type) if name in given else p.default
            for name, p in known.items()
        }
        if isinstance(values.get("limit"), int) and values["limit"] < 0:
            raise UsageError(
                f"--param limit: {values['limit']} is below 0", expected="how many rows at most, 0 or more"
            )
        return values


def convert(what: str, text: str, kind: str) -> Any:
    """Read a value as it stands on a command line or in a header.

    Raises:
        UsageError: it is not of that type; ``what`` names it in the message.
    """
    try:
        if kind == "string":
            return text
        if kind == "int":
            value = int(text)
            if not -(2**63) <= value < 2**63:  # what the stores' integers hold
                raise ValueError(text)
            return value
        if kind == "float":
            return float(text)
        if kind == "bool":
            return {"true": True, "false": False}[text.lower()]
        return dt.date.fromisoformat(text)
    except (ValueError, KeyError):
        words = {"bool": "true or false", "date": "a date as 2151-07-30", "int": "a whole number of at most 64 bits"}
        wanted = words.get(kind, kind)
        raise UsageError(f"{what}: {text!r} is not of type {kind}", expected=wanted) from None


def names() -> list[str]:
    """Names of all shipped queries, sorted."""
    folder = data("cypher") / "queries"
    return sorted(file.name.removesuffix(".cypher") for file in folder.iterdir() if file.name.endswith(".cypher"))


def find(name: str) -> Query:
    """One shipped query.

    Raises:
        UsageError: there is none of that name; the message lists those there are.
    """
    if name not in names():
        raise UsageError(f"unknown query {name!r}", expected=", ".join(names()), next_step="kgbuild query --list")
    return parse(name, (data("cypher") / "queries" / f"{name}.cypher").read_text(encoding="utf-8"))


def parse(name: str, text: str) -> Query:
    """Read one file.

    Raises:
        KgbuildError: the header is not as it must be, with the line.
    """
    header: dict[str, str] = {}
    parameters: list[Parameter] = []
    lines = text.splitlines()
    body = next((i for i, line in enumerate(lines) if not line.startswith("//")), len(lines))
    for number, line in enumerate(lines[:body], 1):
        if found := _HEADER.match(line):
            header[found.group(1)] = found.group(2).strip()
        elif parameter := _PARAMETER.match(line.removeprefix("// ")):
            word, kind, default = parameter.groups()
            parameters.append(Parameter(word, kind, convert(f"{name}.cypher line {number}", _bare(default), kind)))
        else:
            raise KgbuildError(
                f"query {name}: line {number} of the header cannot be read",
                expected="// title|why|returns: … or // $name: type = default",
            )
    missing = [key for key in ("title", "why", "returns") if key not in header]
    if missing:
        raise KgbuildError(f"query {name}: the header lacks {missing[0]}")
    columns = tuple(
        (part.partition(":")[0].strip(), part.partition(":")[2].strip()) for part in header["returns"].split(",")
    )
    cypher = "\n".join(lines[body:]).strip().removesuffix(";")
    return Query(name, header["title"], header["why"], tuple(parameters), columns, cypher)


def _bare(text: str) -> str:
    text = text.strip()
    return text[1:-1] if len(text) >= 2 and text[0] == text[-1] == '"' else text
