"""LLM-KG: a causal language model tuned to write a report's triplets (Abdullah & Kim, VLM-KG, stage one)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kgbuild.notation.prompts import template_for
from kgbuild.recipes import Recipe
from kgbuild.trainers import _needs
from kgbuild.trainers.base import Progress, ScoreTexts, Trained, TrainingData, unseen

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast


class LLMKG:
    """The trainer behind recipes with ``trainer: llm-kg``."""

    name = "llm-kg"

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
        """Tune all weights, or LoRA adapters; see ``Trainer.train``."""
        _needs.language(recipe)
        from kgbuild.trainers import _folder, _sft

        newest = _folder.check_folder(recipe, data, out, resume)
        model, tokenizer = start(recipe, data)
        job = _sft.Job(recipe, data, out, model, tokenizer, template_for(recipe.data.prompt, recipe.data.certainty))
        return _sft.fit(job, resume=newest, score=score, progress=progress)


def start(recipe: Recipe, data: TrainingData) -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    """The model and tokenizer that a recipe starts from, in fp32: tuning in bf16 weights loses small updates."""
    from kgbuild.models.language import load_language, new_language

    if recipe.model.scratch is not None:
        return new_language(_texts(data), recipe.model.scratch, seed=recipe.training.seed)
    return load_language(recipe.model.base)


def _texts(data: TrainingData) -> Iterator[str]:
    import pyarrow.parquet as pq

    for batch in pq.ParquetFile(data.folder / "train.parquet").iter_batches(1024, columns=["prompt", "completion"]):
        row: dict[str, Any]
        for row in batch.to_pylist():
            yield row["prompt"] + row["completion"]


PLUGIN = LLMKG
