"""The shipped questions: headers, parameters, answers."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path

import pytest

import kgbuild
from kgbuild import queries
from kgbuild.errors import KgbuildError, UsageError


def test_there_are_at_least_eight() -> None:
    assert len(queries.names()) >= 8


@pytest.mark.parametrize("name", queries.names())
def test_header_and_body_agree(name: str) -> None:
    query = queries.find(name)
    assert query.title
    assert query.why
    assert {p.name for p in query.parameters} == set(re.findall(r"\$(\w+)", query.cypher))
    assert all(kind in queries.TYPES for _, kind in query.returns)
    assert all(p.default is not None for p in query.parameters)


@pytest.mark.parametrize("name", queries.names())
def test_every_query_answers_with_its_columns_and_types(name: str, built: Path) -> None:
    answer = kgbuild.query(built, name)
    query = queries.find(name)
    assert answer.columns == tuple(column for column, _ in query.returns)
    wanted = {"string": str, "int": int, "float": float, "bool": bool, "date": dt.date, "list": list}
    for row in answer.rows:
        for (column, kind), value in zip(query.returns, row, strict=True):
            assert value is None or type(value) is wanted[kind], (column, value)
    if name not in ("empty-studies",):
        assert answer.rows or name in ("contradictions",)


@pytest.mark.parametrize("name", queries.names())
def test_every_query_is_ordered(name: str) -> None:
    assert "ORDER BY" in queries.find(name).cypher


def test_parameters_are_typed() -> None:
    query = queries.find("findings")
    assert query.bind({"limit": "3"}) == {"kind": "observation", "limit": 3}
    with pytest.raises(UsageError, match="--param limit: 'many' is not of type int"):
        query.bind({"limit": "many"})
    with pytest.raises(UsageError, match="--param limit: -3 is below 0\n  expected  how many rows at most, 0 or more"):
        query.bind({"limit": "-3"})
    with pytest.raises(UsageError, match="expected  a whole number of at most 64 bits"):
        query.bind({"limit": "9223372036854775808"})
    with pytest.raises(
        UsageError, match="query findings has no parameter 'kinds'\n  expected  kind: string, limit: int"
    ):
        query.bind({"kinds": "x"})
    assert queries.convert("x", "true", "bool") is True
    assert queries.convert("x", "2.5", "float") == 2.5
    assert queries.convert("x", "2151-07-30", "date") == dt.date(2151, 7, 30)
    with pytest.raises(UsageError, match="true or false"):
        queries.convert("x", "yes", "bool")


def test_an_unknown_query_lists_the_known_ones() -> None:
    with pytest.raises(UsageError, match="unknown query 'finding'\n  expected  contradictions"):
        queries.find("finding")


def test_a_bad_header_names_its_line() -> None:
    with pytest.raises(KgbuildError, match="query q: line 2 of the header cannot be read"):
        queries.parse("q", "// title: t\n// $n: integer = 1\n// why: w\n// returns: a: int\nRETURN 1 AS a")
    with pytest.raises(KgbuildError, match="query q: the header lacks why"):
        queries.parse("q", "// title: t\n// returns: a: int\nRETURN 1 AS a")
