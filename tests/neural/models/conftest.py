"""Models so small that a test takes well under a second."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from kgbuild.models.language import new_language
from kgbuild.models.vlm_kg import VLMKGForCausalLM
from kgbuild.recipes import Projector, Scratch

TEXTS = (
    "small left pleural effusion , located_at , left ; effusion (absent)",
    "the heart is enlarged . no pneumothorax . lungs are clear .",
    "opacity , suggestive_of , pneumonia (uncertain) ; opacity , located_at , right lower lobe",
)
SHAPE = Scratch(hidden=64, layers=2, heads=4, feed_forward=128, vocabulary=400)
PROJECTOR = Projector(prefix_length=4, clip_length=3, layers=2, heads=4)


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def tiny_language(seed: int = 0) -> tuple[Any, Any]:
    model, tokenizer = new_language(TEXTS * 5, SHAPE, seed=seed)
    return livelier(model), tokenizer


def tiny_vlm(seed: int = 0) -> tuple[VLMKGForCausalLM, Any]:
    language, tokenizer = tiny_language(seed)
    return VLMKGForCausalLM.from_language(language, tokenizer, PROJECTOR, seed=seed), tokenizer


def livelier(model: Any) -> Any:
    """Weights large enough that an untrained model does not say the same word for ever."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter *= 5.0
    return model
