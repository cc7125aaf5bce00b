"""Made-up training pairs and recipes of a second's training, for the tests of the trainers."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from kgbuild import recipes
from kgbuild.notation.prompts import instruction_prompt, template_for
from kgbuild.recipes import Recipe
from kgbuild.tables import TRAINING_PAIRS
from kgbuild.trainers.base import TrainingData

PROMPT = "triplets_short"
SIDES, FINDINGS, LOBES = ("left", "right"), ("effusion", "opacity", "nodule"), ("upper lobe", "lower lobe")


def report(number: int) -> tuple[str, str]:
    """A report and its triplets."""
    side = SIDES[number % 2]
    finding = FINDINGS[number // 2 % 3]
    lobe = LOBES[number // 6 % 2]
    return f"{side} {finding} in the {lobe} .", f"{side} , modify , {finding} ; {finding} , located_at , {lobe}"


def pairs(folder: Path, *, train: int = 12, validate: int = 4, images: bool = False) -> TrainingData:
    """``train.parquet`` and ``validate.parquet``; with images the side stands in the image alone."""
    folder.mkdir(parents=True)
    template = template_for(PROMPT, "full")
    for split, count in (("train", train), ("validate", validate)):
        rows: list[dict[str, Any]] = []
        for number in range(count):
            text, triplets = report(number)
            row = {"study_id": f"{split}{number}", "split": split, "completion": f" {triplets}"}
            if images:
                text = text.replace("left ", "").replace("right ", "")
                path = folder / f"{split}{number}.png"
                draw(path, number)
                row |= {"image_id": path.stem, "image_path": str(path)}
            rows.append({**row, "prompt": instruction_prompt(text, template)})
        if rows:
            pq.write_table(pa.Table.from_pylist(rows, schema=TRAINING_PAIRS), folder / f"{split}.parquet")
    return TrainingData(folder, f"made-{train}-{validate}-{images}", {"train: studies": train}, "made-up")


def draw(path: Path, number: int) -> None:
    """A grey image whose one half is bright."""
    values = np.random.default_rng(number).integers(0, 40, (48, 48), dtype=np.uint8)
    half = slice(0, 24) if number % 2 else slice(24, 48)
    values[:, half] += 200
    Image.fromarray(values).save(path)


def recipe(trainer: Any = "llm-kg", *, model: dict[str, Any] | None = None, **training: Any) -> Recipe:
    """A recipe of a scratch model with 64 channels."""
    base = Recipe("made", trainer)
    shape = recipes.Scratch(hidden=64, layers=2, heads=4, feed_forward=128, vocabulary=320)
    part = recipes.ModelPart(base="scratch", scratch=shape, **(model or {}))
    settings = {"batch_size": 4, "accumulation": 1, "learning_rate": 3e-3, "precision": "fp32", "log_steps": 2}
    return replace(
        base,
        model=part,
        data=recipes.DataPart(dataset="made", prompt=PROMPT, max_length=256),
        training=recipes.TrainingPart(**{**settings, "save_steps": 500, "evaluate_studies": 0, **training}),
        decoding=recipes.Decoding(strategy="greedy", max_new_tokens=40),
    )


def log(out: Path) -> list[dict[str, Any]]:
    """The lines of a training's log."""
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
