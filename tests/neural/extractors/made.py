"""Checkpoints of random weights that write real triplets, because they are held to the report's words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kgbuild.models.checkpoint import CheckpointMeta, save_checkpoint
from kgbuild.models.medclip import ImageEncoder, new_image_encoder
from kgbuild.models.vlm_kg import VLMKGForCausalLM
from kgbuild.recipes import Projector
from tests.neural.generating.conftest import lively

PROMPT = "Report: {report}\nTriplets:"
DECODING = {"strategy": "greedy", "max_new_tokens": 24, "batch_size": 4, "constraint": "copy"}


def encoder(seed: int = 0) -> ImageEncoder:
    return new_image_encoder("resnet", seed=seed, tiny=True)


def llm(folder: Path, certainty: Any = "full", seed: int = 0, **decoding: Any) -> Path:
    model, tokenizer = lively(seed)
    recipe = {"name": "made", "decoding": {**DECODING, **decoding}}
    save_checkpoint(
        folder, model, tokenizer, CheckpointMeta("llm-kg", recipe=recipe, prompt=PROMPT, certainty=certainty)
    )
    return folder


def vlm(folder: Path, image_encoder: ImageEncoder | None = None, trained_with: ImageEncoder | None = None) -> Path:
    language, tokenizer = lively()
    model = VLMKGForCausalLM.from_language(language, tokenizer, Projector(3, 2, 1, 2), seed=1)
    known = trained_with or image_encoder
    meta = CheckpointMeta(
        "vlm-kg",
        recipe={"name": "made", "decoding": DECODING},
        prompt=PROMPT,
        image_encoder={"variant": known.variant, "sha256": known.hash} if known else None,
    )
    save_checkpoint(folder, model, tokenizer, meta, image_encoder)
    return folder
