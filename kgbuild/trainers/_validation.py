"""Texts written for the validation studies while a model is being trained, and their scores."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import torch

from kgbuild.models.generating import generate
from kgbuild.recipes import Recipe
from kgbuild.trainers import _processes
from kgbuild.trainers.base import Progress, ScoreTexts, TrainingData

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from kgbuild.trainers._images import Embeddings


class Validation:
    """Called at every evaluation; each process writes its share of the studies."""

    def __init__(
        self,
        data: TrainingData,
        recipe: Recipe,
        model: Any,
        tokenizer: PreTrainedTokenizerFast,
        score: ScoreTexts,
        embeds: Embeddings | None,
        progress: Progress,
    ) -> None:
        if recipe.decoding.constraint == "copy":  # pairs hold a prompt, not a report's words apart
            recipe = replace(recipe, decoding=replace(recipe.decoding, constraint="triplets"))
        self.recipe, self.model, self.tokenizer = recipe, model, tokenizer
        self.score, self.embeds, self.progress = score, embeds, progress
        columns = ["prompt", "completion", "image_id"]
        table = pq.read_table(data.folder / "validate.parquet", columns=columns)
        self.rows = table.slice(0, recipe.training.evaluate_studies).to_pylist()

    def __call__(self) -> dict[str, float]:
        """``score``'s measures, and the share of texts that were cut at ``max_new_tokens``."""
        rank, world = _processes.rank(), _processes.world()
        mine = self.rows[rank::world]
        images = None
        if self.embeds is not None:
            images = torch.stack([self.embeds[row["image_id"]] for row in mine]) if mine else None
        self.progress("validation", 0, len(mine))
        side = self.tokenizer.padding_side
        device = next(self.model.parameters()).device
        with torch.autocast(device.type, torch.bfloat16, enabled=self.recipe.training.precision == "bf16"):
            written = generate(
                self.model,
                self.tokenizer,
                [row["prompt"] for row in mine],
                decoding=self.recipe.decoding,
                image_embeds=images,
                on_batch=lambda done, total: self.progress("validation", done, total),
                certainty=self.recipe.data.certainty,
            )
        self.tokenizer.padding_side = side
        texts = [(one.text, one.finished) for one in written]
        if world > 1:
            from accelerate.utils import gather_object

            every = gather_object([texts])
            texts = [every[place % world][place // world] for place in range(len(self.rows))]
        found_scores = self.score([text for text, _ in texts], [row["completion"] for row in self.rows])
        return {**found_scores, "cut": sum(not whole for _, whole in texts) / max(len(texts), 1)}
