"""Values and intervals of the bootstrap: exact where they can be worked out by hand, equal on every run."""

from __future__ import annotations

import math
import random

import polars as pl
import pytest

from kgbuild.metrics import score as module
from kgbuild.metrics.score import Bootstrap, Sampled, Score, average, ratio


def test_sums_of_resamples() -> None:
    """Study 0 holds 1, study 1 holds 10: a resample of two is 2, 11 or 20, and 11 half the time."""
    sums = Bootstrap(2).sums([1, 10])
    assert len(sums) == 1001
    assert sums[0] == 11
    counts = {value: sums[1:].to_list().count(value) for value in (2.0, 11.0, 20.0)}
    assert sum(counts.values()) == 1000
    assert abs(counts[11.0] - 500) < 60


def test_one_draw_for_every_column() -> None:
    boot = Bootstrap(5)
    assert (boot.sums([1, 2, 3, 4, 5]) * 3).equals(boot.sums([3, 6, 9, 12, 15]))


def test_same_seed_same_draws() -> None:
    column = [float(n) for n in range(50)]
    assert Bootstrap(50).sums(column).equals(Bootstrap(50).sums(column))
    assert not Bootstrap(50).sums(column).equals(Bootstrap(50, seed=1).sums(column))


def test_draws_are_pinned() -> None:
    """Published intervals must not move with a version: a change here is a change of every interval."""
    sums = Bootstrap(4, resamples=6).sums([1, 10, 100, 1000])
    assert sums.to_list() == [
        1111.0,
        1102.0,
        1102.0,
        2020.0,
        1111.0,
        1021.0,
        1201.0,
    ]


def test_batches_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    column = [float(n * n) for n in range(40)]
    whole = Bootstrap(40).sums(column)
    monkeypatch.setattr(module, "_AT_ONCE", 1000)
    boot = Bootstrap(40)
    assert boot.sums(column).equals(whole)
    assert boot.sums(column).equals(whole), "drawn anew, and the same again"


def test_interval_agrees_with_theory() -> None:
    """A proportion of 400 studies: the interval is near p ± 1.96 sqrt(p(1-p)/n)."""
    source = random.Random(3)
    column = [float(source.random() < 0.3) for _ in range(400)]
    p = sum(column) / 400
    boot = Bootstrap(400)
    found = ratio(boot.sums(column), boot.sums([1.0] * 400), 400).score()
    half = 1.96 * math.sqrt(p * (1 - p) / 400)
    assert found.value == p
    assert found.low == pytest.approx(p - half, abs=0.006)
    assert found.high == pytest.approx(p + half, abs=0.006)


def test_undefined_is_null() -> None:
    nothing = Bootstrap(3).sums([0, 0, 0])
    assert ratio(nothing, nothing, 0).score() == Score(None, 0, None, None)
    empty = Bootstrap(0).sums([])
    assert empty.to_list() == [0.0]
    assert ratio(empty, empty, 0).score().as_dict() == {"value": None, "n": 0, "low": None, "high": None}


def test_average_leaves_out_the_undefined() -> None:
    nan = math.nan
    parts = [Sampled(pl.Series([1.0, nan, nan]), 1), Sampled(pl.Series([0.5, 0.25, nan]), 1)]
    values = average(parts, 2).values.to_list()
    assert values[:2] == [0.75, 0.25]
    assert math.isnan(values[2])


def test_paired_difference_of_equal_systems_has_no_width() -> None:
    boot = Bootstrap(30)
    f1 = ratio(boot.sums([float(n % 3) for n in range(30)]), boot.sums([2.0] * 30), 30)
    assert f1.minus(f1).score() == Score(0.0, 30, 0.0, 0.0)


def test_wrong_length_is_refused() -> None:
    with pytest.raises(ValueError, match="2 values for 3 studies"):
        Bootstrap(3).sums([1, 2])
