"""A tiny model of random weights, its tokenizer trained on made-up reports."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from kgbuild.models.language import new_language
from kgbuild.recipes import Scratch

SHAPE = Scratch(hidden=32, layers=2, heads=2, feed_forward=64, vocabulary=400)
REPORTS = [
    "No pleural effusion .",
    "The heart is mildly enlarged . There is a small right pleural effusion .",
    "Low lung volumes , stable .",
    "Heart size normal ( portable view ) ; lungs clear .",
    "Possible opacity at the left base , may represent atelectasis or pneumonia . No pneumothorax .",
    "Stable .",
]
TEXTS = [
    *REPORTS,
    " effusion (absent) , located_at , pleural ; small , modify , effusion ; opacity (uncertain) , suggestive_of , x",
]


def prompt(report: str) -> str:
    return f"Report: {report}\nTriplets:"


def lively(seed: int = 0) -> tuple[Any, Any]:
    """Weights large enough that an untrained model does not say the same word for ever."""
    torch.set_num_threads(1)
    model, tokenizer = new_language(TEXTS * 5, SHAPE, seed=seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter *= 5.0
    return model, tokenizer


@pytest.fixture(scope="package")
def tiny() -> tuple[Any, Any]:
    return lively()
