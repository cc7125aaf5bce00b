"""The medclip trainer: its checkpoint, resume, what it refuses, and the pictures that it shows to the encoder."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from kgbuild import recipes
from kgbuild.errors import KgbuildError
from kgbuild.models.checkpoint import read_meta
from kgbuild.models.medclip import load_image_encoder
from kgbuild.models.medclip_images import to_input
from kgbuild.models.medclip_text import load_medclip
from kgbuild.recipes import Recipe
from kgbuild.tables import IMAGE_SENTENCES
from kgbuild.trainers import _medclip_data
from kgbuild.trainers.base import TrainingData, unseen
from kgbuild.trainers.medclip import PLUGIN

SIDES = ("left", "right")


def made(folder: Path, *, train: int = 16, validate: int = 4, broken: int = 0) -> TrainingData:
    """Pictures of which one half is bright, and sentences that say which."""
    folder.mkdir()
    for split, count in (("train", train), ("validate", validate)):
        rows = []
        for number in range(count):
            path = folder / f"{split}{number}.png"
            grey = np.full((160, 200), 20, np.uint8)
            grey[:, slice(0, 100) if number % 2 else slice(100, 200)] = 220
            Image.fromarray(grey).save(path)
            if number < broken:
                path.write_bytes(b"no picture")
            side = SIDES[number % 2]
            said = {"sentences": [f"{side} opacity ."], "labels": [["opacity", f"opacity|{side}"]], "signs": [[1, 1]]}
            rows.append({"study_id": path.stem, "split": split, "image_id": path.stem, "image_path": str(path), **said})
        pq.write_table(pa.Table.from_pylist(rows, schema=IMAGE_SENTENCES), folder / f"{split}-sentences.parquet")
    (folder / "labels.json").write_text(json.dumps({"labels": ["opacity", "opacity|left", "opacity|right"]}))
    return TrainingData(folder, f"made {train} {validate}", {"train: studies": train}, "made-up")


def recipe(**training: Any) -> Recipe:
    """A tiny ResNet for some steps."""
    part = recipes.TrainingPart(epochs=4, batch_size=8, learning_rate=1e-3, precision="fp32", save_steps=3, log_steps=2)
    model = recipes.ModelPart(image_variant="resnet", image_tiny=True)
    return Recipe("made", "medclip", model=model, training=replace(part, **training))


def test_checkpoint_holds_both_sides_under_published_names(tmp_path: Path) -> None:
    out = tmp_path / "out"
    trained = PLUGIN().train(recipe(), made(tmp_path / "data", broken=1), out)
    assert trained.metrics["steps"] == 4
    assert trained.metrics["images"] == 15
    assert trained.warnings == ("1 images cannot be read and were left out",)
    meta = read_meta(out)
    assert meta.kind == "medclip"
    encoder = load_image_encoder(out)
    assert meta.image_encoder == {"variant": "resnet", "sha256": encoder.hash}
    both = load_medclip(out)
    assert {key.split(".")[0] for key in both.state_dict()} == {"logit_scale", "text_model", "vision_model"}


def test_resumed_training_equals_a_straight_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = made(tmp_path / "data")
    straight = PLUGIN().train(recipe(), data, tmp_path / "straight")

    def stop(stage: str, done: int, total: int) -> None:
        if stage == "training" and done == 4 * 8 - 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        PLUGIN().train(recipe(), data, tmp_path / "resumed", progress=stop)
    assert not (tmp_path / "resumed" / "kgbuild.json").exists()
    assert [path.name for path in (tmp_path / "resumed").glob("checkpoint-*")] == ["checkpoint-3"]
    resumed = PLUGIN().train(recipe(), data, tmp_path / "resumed", resume=True)
    assert resumed.metrics["validate_loss"] == straight.metrics["validate_loss"]
    weights = [load_medclip(tmp_path / name).state_dict() for name in ("straight", "resumed")]
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])


def test_another_recipe_is_not_resumed_and_a_training_not_overwritten(tmp_path: Path) -> None:
    data = made(tmp_path / "data")
    PLUGIN().train(recipe(), data, tmp_path / "out")
    with pytest.raises(KgbuildError, match="holds a finished checkpoint"):
        PLUGIN().train(recipe(), data, tmp_path / "out")
    with pytest.raises(KgbuildError, match=r"training.learning_rate: 0.001 → 0.01"):
        PLUGIN().train(recipe(learning_rate=1e-2), data, tmp_path / "out", resume=True)
    (tmp_path / "out" / "kgbuild.json").unlink()
    with pytest.raises(KgbuildError, match=r"holds an unfinished training with checkpoint-6"):
        PLUGIN().train(recipe(), data, tmp_path / "out")


def test_a_finished_one_that_saved_no_step_is_not_overwritten(tmp_path: Path) -> None:
    data = made(tmp_path / "data")
    PLUGIN().train(recipe(save_steps=100), data, tmp_path / "out")
    before = (tmp_path / "out" / "model.safetensors").read_bytes()
    for resume in (False, True):
        with pytest.raises(KgbuildError, match="holds a finished checkpoint"):
            PLUGIN().train(recipe(save_steps=100, seed=5), data, tmp_path / "out", resume=resume)
    assert (tmp_path / "out" / "model.safetensors").read_bytes() == before
    assert (tmp_path / "out" / "kgbuild.json").is_file()


def test_ctrl_c_saves_and_the_resumed_training_is_the_straight_one(tmp_path: Path) -> None:
    data = made(tmp_path / "data")
    slow = recipe(save_steps=100, log_steps=3)
    straight = PLUGIN().train(slow, data, tmp_path / "straight")

    def press(stage: str, done: int, total: int) -> None:
        if stage == "training" and done == 2 * 8:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        PLUGIN().train(slow, data, tmp_path / "halves", progress=press)
    assert [path.name for path in (tmp_path / "halves").glob("checkpoint-*")] == ["checkpoint-2"]
    assert not (tmp_path / "halves" / "kgbuild.json").exists()
    assert PLUGIN().train(slow, data, tmp_path / "halves", resume=True).metrics == straight.metrics
    assert (tmp_path / "halves" / "log.jsonl").read_text() == (tmp_path / "straight" / "log.jsonl").read_text()


def test_a_gpu_that_is_too_small_is_named_with_the_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*given: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(_medclip_data, "varied", full)
    with pytest.raises(KgbuildError, match="out of GPU memory at step 1"):
        PLUGIN().train(recipe(), made(tmp_path / "data"), tmp_path / "out")


def test_loss_that_is_no_number_stops_with_its_step(tmp_path: Path) -> None:
    with pytest.raises(KgbuildError, match=r"at step [2-9]"):
        PLUGIN().train(recipe(epochs=40, learning_rate=1e30), made(tmp_path / "data"), tmp_path / "out")
    assert not (tmp_path / "out" / "kgbuild.json").exists()


def test_several_processes_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(KgbuildError, match="one process"):
        PLUGIN().train(recipe(), made(tmp_path / "data"), tmp_path / "out")


def test_varied_pictures_keep_their_side(tmp_path: Path) -> None:
    held = _medclip_data.load(made(tmp_path / "data"), "train", 64, unseen)
    assert held is not None
    torch.manual_seed(0)
    seen = _medclip_data.varied(held.pictures(list(range(16))), 64)
    assert seen.shape == (16, 3, 64, 64)
    brighter_left = seen[:, 0, :, :32].mean((1, 2)) > seen[:, 0, :, 32:].mean((1, 2))
    assert brighter_left.tolist() == [number % 2 == 1 for number in range(16)]
    assert len({round(float(one.mean()), 3) for one in seen}) > 8


def test_plain_pictures_are_the_encoders(tmp_path: Path) -> None:
    held = _medclip_data.load(made(tmp_path / "data"), "train", 64, unseen)
    assert held is not None
    grey = np.asarray(Image.open(tmp_path / "data" / "train0.png"))
    mine, its = _medclip_data.plain(held.pictures([0]), 64), to_input([grey], side=64)
    assert float((mine - its).abs().mean()) < 0.15


def test_what_one_sentence_affirms_no_other_denies(tmp_path: Path) -> None:
    held = _medclip_data.load(made(tmp_path / "data"), "train", 64, unseen)
    assert held is not None
    held.labels[0][:] = [[(0, 1), (2, -1)], [(0, -1), (1, -1)]]
    assert held.image_vector(0).tolist() == [1.0, -1.0, -1.0]
