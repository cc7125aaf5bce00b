"""MedCLIP's training gives an encoder that tells sides and findings of unseen drawings apart.

Whether the image then matters to VLM-KG is asked by ``benchmarks/image_matters.py`` (docs/image-matters.md).
"""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

import pyarrow as pa
import pyarrow.parquet as pq
import torch

from kgbuild import recipes
from kgbuild.models.medclip_text import load_medclip
from kgbuild.pixels import read_pixels
from kgbuild.recipes import Recipe
from kgbuild.synthesis.drawing import Artist
from kgbuild.synthesis.patients import Finding, State
from kgbuild.tables import IMAGE_SENTENCES
from kgbuild.trainers.base import TrainingData
from kgbuild.trainers.medclip import PLUGIN

PLACES = {"effusion": ("R", "L"), "pneumothorax": ("R", "L"), "consolidation": ("rll", "lll")}
SIDES = ("right", "left")
LABELS = [name for kind in PLACES for name in (kind, *(f"{kind}|{side}" for side in SIDES))]


def drawn(folder: Path, split: str, count: int) -> list[tuple[Path, str, str]]:
    """Drawings of one finding each, with sentences and labels: (file, finding, side)."""
    folder.mkdir(exist_ok=True)
    artist, source = Artist(), Random(split)
    found, rows = [], []
    for number in range(count):
        kind, side, grade = source.choice(list(PLACES)), source.randrange(2), source.randrange(3)
        finding = Finding(kind, PLACES[kind][side], grade + 2, sure=True)
        path = folder / f"{split}{number}.jpg"
        artist.save(State((finding,)), "AP", path.stem, str(path))
        sentence = f"there is a {SIDES[side]} {kind} ."
        said = {"sentences": [sentence], "labels": [[kind, f"{kind}|{SIDES[side]}"]], "signs": [[1, 1]]}
        rows.append({"study_id": path.stem, "split": split, "image_id": path.stem, "image_path": str(path), **said})
        found.append((path, kind, SIDES[side]))
    pq.write_table(pa.Table.from_pylist(rows, schema=IMAGE_SENTENCES), folder / f"{split}-sentences.parquet")
    return found


def test_unseen_drawings_are_nearest_to_what_they_show(tmp_path: Path) -> None:
    data = tmp_path / "data"
    drawn(data, "train", 384)
    drawn(data, "validate", 64)
    unseen = drawn(data, "unseen", 160)  # not what the numbers of this test were chosen by
    (data / "labels.json").write_text(json.dumps({"labels": LABELS}))
    recipe = Recipe(
        "proof",
        "medclip",
        model=recipes.ModelPart(image_variant="resnet", image_tiny=True),
        training=recipes.TrainingPart(
            max_steps=200, batch_size=32, learning_rate=2e-3, warmup_steps=10, precision="fp32", weight_decay=1e-4
        ),
    )
    trained = PLUGIN().train(recipe, TrainingData(data, "drawn"), tmp_path / "out")
    both = load_medclip(trained.checkpoint)
    classes = [(kind, side) for kind in PLACES for side in SIDES]
    prompts = [f"there is a {side} {kind} ." for kind, side in classes]
    with torch.no_grad():
        words = both.text_model(**both.text_model.tokenize(prompts))
    images = both.vision_model.embed([read_pixels(path) for path, _, _ in unseen])
    nearest = (images @ words.T).argmax(1).tolist()
    right = sum(classes[place] == (kind, side) for place, (_, kind, side) in zip(nearest, unseen, strict=True))
    sides = sum(classes[place][1] == side for place, (_, _, side) in zip(nearest, unseen, strict=True))
    assert sides / len(unseen) >= 0.75, (sides, right)  # chance 0.5: six standard errors above it
    assert right / len(unseen) >= 0.6, (sides, right)  # chance 0.17
    assert trained.metrics["validate_nearest_agrees"] > trained.metrics["validate_any_agrees"] + 0.3
