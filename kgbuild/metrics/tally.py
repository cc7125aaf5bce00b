"""Per-study counts under names, and the sampled measures made of them.

A column that no study adds to is 0 everywhere. Names are paths in the result, as ``entity.by_label.OBS-DP``.
"""

from __future__ import annotations

from array import array
from collections import defaultdict

import polars as pl

from kgbuild.metrics.score import Bootstrap, Sampled, average, ratio

PRF = dict[str, Sampled]


class Tally:
    """Counts of each study: a plain one by ``add``, the three of a precision and recall by ``match``."""

    def __init__(self, bootstrap: Bootstrap) -> None:
        self.bootstrap = bootstrap
        self._columns: dict[str, array[float]] = defaultdict(lambda: array("d", bytes(8 * bootstrap.n)))
        self._sums: dict[str, pl.Series] = {}

    def add(self, name: str, study: int, amount: float) -> None:
        """Add to one study's count."""
        self._columns[name][study] += amount

    def match(self, name: str, study: int, right: int, reference: int, predicted: int) -> None:
        """Add what was right, what there was to find and what was found."""
        self.add(f"{name}/right", study, right)
        self.add(f"{name}/reference", study, reference)
        self.add(f"{name}/predicted", study, predicted)

    def total(self, name: str) -> int:
        """A count over all studies."""
        return int(sum(self._columns[name])) if name in self._columns else 0

    def under(self, prefix: str) -> list[str]:
        """Last parts of the names directly under a prefix, sorted."""
        start = f"{prefix}."
        return sorted({name[len(start) :].rpartition("/")[0] for name in self._columns if name.startswith(start)})

    def sums(self, name: str) -> pl.Series:
        """A count's total and its total in each resample. Asked for one, it sums all: count first, then measure."""
        if name not in self._sums:
            self._columns[name]  # a column of zeros where no study added to it
            left = {key: column for key, column in self._columns.items() if key not in self._sums}
            self._sums |= self.bootstrap.sums_of(left)
        return self._sums[name]

    def rate(self, top: str, bottom: str) -> Sampled:
        """One count as a fraction of another; n is the other."""
        return ratio(self.sums(top), self.sums(bottom), self.total(bottom))

    def mean(self, name: str) -> Sampled:
        """Mean over studies."""
        return Sampled(self.sums(name) / float(self.bootstrap.n or "nan"), self.bootstrap.n)

    def prf(self, name: str) -> PRF:
        """Micro precision, recall and F1. n: the predicted items, the reference's, the reference's."""
        right, wanted, found = (self.sums(f"{name}/{part}") for part in ("right", "reference", "predicted"))
        n = self.total(f"{name}/reference")
        return {
            "precision": ratio(right, found, self.total(f"{name}/predicted")),
            "recall": ratio(right, wanted, n),
            "f1": ratio(2 * right, wanted + found, n),
        }

    def prf_by(self, prefix: str) -> tuple[dict[str, PRF], PRF | None]:
        """``prf`` of each name under a prefix, and the macro average of those that the reference holds."""
        each = {name: self.prf(f"{prefix}.{name}") for name in self.under(prefix)}
        held = {name: scores for name, scores in each.items() if self.total(f"{prefix}.{name}/reference")}
        if not held:
            return each, None
        parts = {part: [scores[part] for scores in held.values()] for part in ("precision", "recall", "f1")}
        return each, {part: average(some, sum(one.n for one in some)) for part, some in parts.items()}
