"""VLM-KG: projector and language model together learn more than the projector alone; images that cannot be read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch

from kgbuild.errors import UsageError
from kgbuild.models.checkpoint import load_checkpoint
from kgbuild.models.generating import generate
from kgbuild.models.medclip import load_image_encoder
from kgbuild.recipes import Projector
from kgbuild.trainers._images import Embeddings, embed
from kgbuild.trainers.base import Trained, TrainingData, unseen
from kgbuild.trainers.vlm_kg import VLMKG

from . import made


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> TrainingData:
    return made.pairs(tmp_path_factory.mktemp("pairs") / "data", images=True, train=6, validate=0)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from kgbuild.models.medclip import new_image_encoder

    folder = tmp_path_factory.mktemp("encoder") / "encoder"
    new_image_encoder("resnet", seed=0, tiny=True, side=64).save(folder)
    return folder


def recipe(encoder: Path, *, frozen: bool = False, **training: Any) -> Any:
    model = {
        "projector": Projector(prefix_length=4, clip_length=4, layers=1, heads=4),
        "image_encoder": str(encoder),
        "image_variant": "resnet",
        "freeze_language_model": frozen,
    }
    return made.recipe("vlm-kg", model=model, **training)


@pytest.fixture(scope="module")
def joint(data: TrainingData, encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    out = tmp_path_factory.mktemp("joint") / "out"
    return VLMKG().train(recipe(encoder, max_steps=100, batch_size=6), data, out)


def test_language_model_and_projector_together_learn_more_than_the_projector_alone(
    data: TrainingData, encoder: Path, joint: Trained, tmp_path: Path
) -> None:
    frozen = VLMKG().train(recipe(encoder, frozen=True, max_steps=100, batch_size=6), data, tmp_path / "out")
    assert joint.metrics["train_loss"] < frozen.metrics["train_loss"] / 2
    losses = [line["loss"] for line in made.log(tmp_path / "out") if "loss" in line]
    assert losses[-1] < losses[0]  # yet the projector alone learns too


def test_the_checkpoint_holds_its_encoder_and_sees_the_side_in_the_image(
    data: TrainingData, encoder: Path, joint: Trained
) -> None:
    loaded = load_checkpoint(joint.checkpoint, kind="vlm-kg")
    assert loaded.image_encoder is not None
    assert loaded.meta.image_encoder is not None
    assert loaded.meta.image_encoder["sha256"] == loaded.image_encoder.hash
    rows = pq.read_table(data.folder / "train.parquet").to_pylist()
    from kgbuild.pixels import read_pixels

    images = loaded.image_encoder.embed([read_pixels(Path(row["image_path"])) for row in rows])
    written = generate(
        loaded.model,
        loaded.tokenizer,
        [row["prompt"] for row in rows],
        decoding=made.recipe().decoding,
        image_embeds=images,
    )
    assert [f" {one.text}" for one in written] == [row["completion"] for row in rows]


def test_no_fact_of_the_checkpoint_names_a_folder_of_this_machine(encoder: Path, joint: Trained) -> None:
    for name in ("kgbuild.json", "training.json", "README.md", "config.json", "log.jsonl"):
        assert str(encoder.parent) not in (joint.checkpoint / name).read_text()


def test_an_image_that_cannot_be_read_is_skipped_or_the_study_goes_on_as_text(
    data: TrainingData, encoder: Path, tmp_path: Path
) -> None:
    broken = made.pairs(tmp_path / "data", images=True, train=6, validate=0)
    (broken.folder / "train3.png").write_bytes(b"no image")
    skipping = recipe(encoder, max_steps=1)
    trained = VLMKG().train(skipping, broken, tmp_path / "skip")
    assert "1 images cannot be read" in trained.warnings
    assert "1 pairs of train were left out: their image cannot be read" in trained.warnings
    text = replace(skipping, data=replace(skipping.data, no_image="text-only"))
    trained = VLMKG().train(text, broken, tmp_path / "text")
    assert "1 images cannot be read" in trained.warnings
    assert not any("left out" in note for note in trained.warnings)
    made_rows = sorted(broken.folder.glob("train-*.arrow"))
    from datasets import Dataset

    sizes = sorted(len(Dataset.from_file(str(path))) for path in made_rows)
    assert sizes == [5, 6]


@pytest.mark.parametrize("whitened", [True, False])
def test_whitened_it_begins_with_what_tells_the_training_images_apart(
    data: TrainingData, encoder: Path, tmp_path: Path, whitened: bool
) -> None:
    plan = recipe(encoder, max_steps=1, learning_rate=1e-9, weight_decay=0.0)
    projector = Projector(prefix_length=4, clip_length=4, layers=1, heads=4, whiten=whitened)
    plan = replace(plan, model=replace(plan.model, projector=projector))
    loaded = load_checkpoint(VLMKG().train(plan, data, tmp_path / "out").checkpoint, kind="vlm-kg")
    from kgbuild.pixels import read_pixels

    paths = sorted(data.folder.glob("train*.png"))
    assert loaded.image_encoder is not None
    with torch.no_grad():
        given = loaded.model.model.projector.linear(loaded.image_encoder.embed([read_pixels(path) for path in paths]))
    size = (given - given.mean(0)).pow(2).mean().sqrt()
    if whitened:
        torch.testing.assert_close(size, torch.tensor(1.0), atol=1e-3, rtol=0)
        torch.testing.assert_close(given.mean(0), torch.zeros_like(given[0]), atol=1e-2, rtol=0)
    else:
        assert size < 0.1


def test_it_takes_no_random_eyes(data: TrainingData, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="names no image encoder"):
        VLMKG().train(made.recipe("vlm-kg"), data, tmp_path / "out")


def test_resumed_it_ends_as_the_straight_run(data: TrainingData, encoder: Path, tmp_path: Path) -> None:
    import shutil

    both = recipe(encoder, max_steps=6, save_steps=3)
    VLMKG().train(both, data, tmp_path / "a")
    shutil.copytree(tmp_path / "a", tmp_path / "b", ignore=shutil.ignore_patterns("checkpoint-6", "kgbuild.json"))
    VLMKG().train(both, data, tmp_path / "b", resume=True)
    one, other = (load_checkpoint(tmp_path / name).model.state_dict() for name in ("a", "b"))
    assert all(torch.equal(one[key], other[key]) for key in one)


def test_embeddings_lie_where_generation_looks_and_replaced_images_are_looked_at_anew(
    encoder: Path, tmp_path: Path
) -> None:
    seeing = load_image_encoder(encoder, "resnet")
    pairs = made.pairs(tmp_path / "W" / "training" / "pairs", images=True, train=3, validate=0)
    picture = pairs.folder / "train1.png"
    whole = picture.read_bytes()
    picture.write_bytes(b"no picture")

    def embedded() -> Embeddings:
        return embed(pairs, seeing, 512, unseen)

    first = embedded()
    assert (first.usable("train0"), first.usable("train1"), list(first.unreadable)) == (True, False, ["train1"])
    shared = tmp_path / "W" / "cache" / "embeddings"
    assert [path.name for path in shared.iterdir()] == [f"{seeing.hash[:32]}.sqlite"]
    assert sorted(path.name for path in (tmp_path / "W").iterdir()) == ["cache", "training"]
    picture.write_bytes(whole)
    back = embedded()
    assert (back.usable("train1"), back.unreadable) == (True, {})
    made.draw(picture, 2)  # the other half is bright now
    other = embedded()
    assert not torch.allclose(other["train1"], back["train1"])
    assert torch.equal(other["train0"], back["train0"])
    assert embedded().name == other.name  # nothing changed, nothing is made
