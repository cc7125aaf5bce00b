"""What every trainer offers: a recipe and training pairs in, a checkpoint folder out.

A new trainer is one new module in this folder that sets ``PLUGIN``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from kgbuild.recipes import Recipe

Progress = Callable[[str, int, int], None]
ScoreTexts = Callable[[Sequence[str], Sequence[str]], dict[str, float]]
"""(predicted completions, reference completions) → measures, ``triplet_f1`` among them."""


@dataclass(frozen=True, slots=True)
class TrainingData:
    """Training pairs on disk (``tables.TRAINING_PAIRS``, one Parquet file a split) and where they came from.

    Attributes:
        folder: holds ``train.parquet`` and, where there are such studies, ``validate.parquet`` and ``test.parquet``.
        fingerprint: hex digest of the pairs.
        counts: how many pairs a split has, and what was left out and why.
        source: run id or RadGraph file names, no machine paths.
    """

    folder: Path
    fingerprint: str
    counts: dict[str, int] = field(default_factory=dict)
    source: str = ""


@dataclass(frozen=True, slots=True)
class Trained:
    """What a training left behind: the checkpoint folder, measures and what a user must know."""

    checkpoint: Path
    metrics: dict[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def unseen(stage: str, done: int, total: int) -> None:
    """A Progress that shows nothing."""


class Trainer(Protocol):
    """Built as ``PLUGIN()``."""

    name: str

    def train(
        self,
        recipe: Recipe,
        data: TrainingData,
        out: Path,
        *,
        resume: bool = False,
        score: ScoreTexts | None = None,
        progress: Progress = unseen,
    ) -> Trained:
        """Train and write the checkpoint folder ``out``, which is complete once its ``kgbuild.json`` is there.

        Raises:
            DependencyMissing: torch, transformers or trl is not installed.
            KgbuildError: a loss that is no number (names the step), a recipe that the data cannot satisfy.
        """
        ...
