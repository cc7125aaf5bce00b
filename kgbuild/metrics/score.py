"""A score with its n and its 95 % interval, and the study-level bootstrap that gives the interval.

Every measure here is a function of per-study numbers summed over studies, such as F1 = 2 tp / (reference +
predicted). So a column of numbers, one a study, is summed once as it is and once for each of 1,000 resamples of the
studies (drawn with replacement); the measure is computed on all sums at once, and the interval is the 2.5th to 97.5th
percentile of the resampled values. The draws depend on (seed, number of studies) alone: the same input gives the same
interval, and two systems scored on the same studies share their draws, so that their difference is a paired one.
"""

from __future__ import annotations

import math
import random
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import polars as pl
import pyarrow as pa

RESAMPLES = 1000
SEED = 20
_AT_ONCE = 4_000_000  # draws held in memory at a time
_LOW, _HIGH = 0.025, 0.975


@dataclass(frozen=True, slots=True)
class Score:
    """A value (a fraction, unless its name says otherwise), what it was measured on, and its 95 % interval.

    Attributes:
        value: null where it is undefined (0/0, or a ratio to 0): nothing to find and nothing found.
        n: items the value was measured on; for an F1 the reference's items.
    """

    value: float | None
    n: int
    low: float | None
    high: float | None

    def as_dict(self) -> dict[str, float | int | None]:
        """The JSON object of ``evaluate --format json``."""
        return {"value": self.value, "n": self.n, "low": self.low, "high": self.high}


@dataclass(frozen=True, slots=True)
class Sampled:
    """A measure on the data (first element) and on each resample (the others); NaN where undefined."""

    values: pl.Series
    n: int

    def score(self) -> Score:
        """Value and percentile interval; resamples in which the measure is undefined are left out."""
        value = _number(self.values[0])
        drawn = self.values[1:].filter(self.values[1:].is_finite())
        if value is None or drawn.is_empty():
            return Score(value, self.n, None, None)
        low, high = (drawn.quantile(at, interpolation="linear") for at in (_LOW, _HIGH))
        return Score(value, self.n, low, high)

    def minus(self, other: Sampled) -> Sampled:
        """The difference, resample by resample: paired if both come from one ``Bootstrap``, else unpaired."""
        return Sampled(self.values - other.values, self.n)


class Bootstrap:
    """Draws of studies, made once and used for every column.

    Args:
        n: number of studies.
        resamples: how many times they are drawn anew.
        seed: two Bootstraps of equal n and seed draw alike.
    """

    def __init__(self, n: int, *, resamples: int = RESAMPLES, seed: int = SEED) -> None:
        self.n, self.resamples, self.seed = n, resamples, seed
        self._batches: list[pl.Series] | None = None

    def _draw(self) -> Iterable[pl.Series]:
        """Study numbers of the resamples, whole resamples a batch. Kept if they fit one batch."""
        if self._batches is not None:
            return self._batches
        batches = self._fresh()
        if self.n * self.resamples <= _AT_ONCE:
            self._batches = list(batches)
            return self._batches
        return batches

    def _fresh(self) -> Iterable[pl.Series]:
        source = random.Random(f"{self.seed}:{self.n}")  # noqa: S311 (statistics, not secrets)
        each = max(1, _AT_ONCE // self.n)
        for done in range(0, self.resamples, each):
            size = min(each, self.resamples - done) * self.n
            drawn = pa.Array.from_buffers(pa.uint32(), size, [None, pa.py_buffer(source.randbytes(4 * size))])
            yield pl.Series(drawn) % self.n

    def sums(self, column: Sequence[float]) -> pl.Series:
        """The column's sum, then its sum in each resample. Shape: (1 + resamples,)."""
        return self.sums_of({"": column})[""]

    def sums_of(self, columns: Mapping[str, Sequence[float]]) -> dict[str, pl.Series]:
        """``sums`` of many columns in one pass over the draws, which for 200,000 studies cost more than the sums."""
        values = {name: _series(column) for name, column in columns.items()}
        for column in values.values():
            if len(column) != self.n:
                raise ValueError(f"{len(column)} values for {self.n} studies")
        parts = {name: [pl.Series([float(column.sum())])] for name, column in values.items()}
        for batch in self._draw() if self.n and self.resamples else ():
            for name, column in values.items():
                parts[name].append(column.gather(batch).reshape((-1, self.n)).arr.sum())
        return {name: pl.concat(some) for name, some in parts.items()}


def _series(column: Sequence[float]) -> pl.Series:
    if isinstance(column, array):  # of doubles: taken as it lies in memory
        return pl.Series(pa.Array.from_buffers(pa.float64(), len(column), [None, pa.py_buffer(column)]))
    return pl.Series(column, dtype=pl.Float64)


def ratio(top: pl.Series, bottom: pl.Series, n: int) -> Sampled:
    """``top / bottom``, undefined where the bottom is 0."""
    return Sampled(top / bottom, n)


def average(parts: Sequence[Sampled], n: int) -> Sampled:
    """Unweighted mean of the parts (at least one) that are defined, resample by resample (macro averages)."""
    total, defined = pl.zeros(len(parts[0].values), eager=True), pl.zeros(len(parts[0].values), eager=True)
    for part in parts:
        total = total + part.values.fill_nan(0.0)
        defined = defined + part.values.is_not_nan().cast(pl.Float64)
    return Sampled(total / defined, n)


def _number(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)
