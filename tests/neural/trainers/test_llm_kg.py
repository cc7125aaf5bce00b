"""LLM-KG: it learns, stops, goes on, and leaves a whole checkpoint."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from kgbuild.errors import KgbuildError
from kgbuild.models.checkpoint import load_checkpoint, read_meta
from kgbuild.models.generating import generate
from kgbuild.pipelines.train import triplet_scores
from kgbuild.trainers.base import Trained, TrainingData
from kgbuild.trainers.llm_kg import LLMKG

from . import made


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> TrainingData:
    return made.pairs(tmp_path_factory.mktemp("pairs") / "data")


@pytest.fixture(scope="module")
def learned(data: TrainingData, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    out = tmp_path_factory.mktemp("learned") / "out"
    return LLMKG().train(made.recipe(max_steps=150, batch_size=12, evaluate_steps=1000), data, out)


def test_it_learns_its_training_pairs_by_heart_and_ends_them(data: TrainingData, learned: Trained) -> None:
    loaded = load_checkpoint(learned.checkpoint)
    rows = pq.read_table(data.folder / "train.parquet").to_pylist()
    recipe = made.recipe()
    written = generate(loaded.model, loaded.tokenizer, [r["prompt"] for r in rows], decoding=recipe.decoding)
    assert [f" {one.text}" for one in written] == [row["completion"] for row in rows]
    assert all(one.finished for one in written)


def test_the_checkpoint_says_what_it_is(learned: Trained, data: TrainingData) -> None:
    meta = read_meta(learned.checkpoint)
    assert meta.kind == "llm-kg"
    assert meta.recipe["name"] == "made"
    assert "{report}" in meta.prompt
    assert meta.data["fingerprint"] == data.fingerprint
    assert meta.metrics["steps"] == 150
    assert meta.metrics["validate_loss"] > 0
    assert "train: studies" in (learned.checkpoint / "README.md").read_text()


def test_a_finished_checkpoint_is_not_written_over(learned: Trained, data: TrainingData) -> None:
    with pytest.raises(KgbuildError, match="holds a finished checkpoint"):
        LLMKG().train(made.recipe(max_steps=1), data, learned.checkpoint)
    assert read_meta(learned.checkpoint).metrics["steps"] == 150


def weights(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()


def test_stopped_by_ctrl_c_and_resumed_it_ends_as_the_straight_run(data: TrainingData, tmp_path: Path) -> None:
    recipe = made.recipe(max_steps=9, save_steps=4, evaluate_steps=1000)
    LLMKG().train(recipe, data, tmp_path / "straight")

    def stop(stage: str, done: int, total: int) -> None:
        if done == 4 * 6:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        LLMKG().train(recipe, data, tmp_path / "halves", progress=stop)
    assert (tmp_path / "halves" / "checkpoint-6").is_dir() or (tmp_path / "halves" / "checkpoint-7").is_dir()
    assert not (tmp_path / "halves" / "kgbuild.json").exists()
    with pytest.raises(KgbuildError, match="--resume"):
        LLMKG().train(recipe, data, tmp_path / "halves")
    with pytest.raises(KgbuildError, match=r"training.learning_rate: 0.003 → 0.1"):
        LLMKG().train(made.recipe(max_steps=9, learning_rate=0.1), data, tmp_path / "halves", resume=True)
    note = tmp_path / "halves" / "training.json"
    begun = json.loads(note.read_text())
    assert begun["processes"] == 1
    note.write_text(json.dumps({**begun, "processes": 2}))
    with pytest.raises(KgbuildError, match="number of processes: 2 → 1"):
        LLMKG().train(recipe, data, tmp_path / "halves", resume=True)
    del begun["processes"]  # as older trainings noted it
    note.write_text(json.dumps(begun))
    LLMKG().train(recipe, data, tmp_path / "halves", resume=True)
    assert weights(tmp_path / "halves") == weights(tmp_path / "straight")
    steps = [line["step"] for line in made.log(tmp_path / "halves") if "loss" in line]
    assert steps == [line["step"] for line in made.log(tmp_path / "straight") if "loss" in line]


def test_a_checkpoint_that_a_kill_left_half_written_is_passed_over(data: TrainingData, tmp_path: Path) -> None:
    recipe = made.recipe(max_steps=4, save_steps=2, evaluate_steps=1000)
    out = tmp_path / "out"
    LLMKG().train(recipe, data, out)
    before = weights(out)
    shutil.rmtree(out / "checkpoint-2")
    (out / "checkpoint-4" / "trainer_state.json").unlink()
    (out / "kgbuild.json").unlink()
    LLMKG().train(recipe, data, out, resume=True)
    assert weights(out) == before


def test_a_finished_checkpoint_without_its_steps_is_not_begun_anew(data: TrainingData, tmp_path: Path) -> None:
    out = tmp_path / "out"
    LLMKG().train(made.recipe(max_steps=2, save_steps=2, evaluate_steps=1000), data, out)
    before = weights(out)
    shutil.rmtree(out / "checkpoint-2")
    with pytest.raises(KgbuildError, match="finished checkpoint, and no checkpoint-N to go on from"):
        LLMKG().train(made.recipe(max_steps=2, save_steps=2, evaluate_steps=1000), data, out, resume=True)
    assert (weights(out), (out / "kgbuild.json").is_file()) == (before, True)
    (out / "kgbuild.json").unlink()  # and an unfinished one without any is still this training's
    with pytest.raises(KgbuildError, match=r"training.max_steps: 2 → 3"):
        LLMKG().train(made.recipe(max_steps=3, evaluate_steps=1000), data, out, resume=True)


def test_what_helps_a_stopped_training_may_change_and_the_card_says_so(data: TrainingData, tmp_path: Path) -> None:
    recipe = made.recipe(max_steps=6, save_steps=3, evaluate_steps=1000, precision="bf16")

    def stop(stage: str, done: int, total: int) -> None:
        if stage == "training" and done == 4 * 4:
            raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        LLMKG().train(recipe, data, tmp_path / "out", progress=stop)
    other = replace(recipe, training=replace(recipe.training, precision="fp32", gradient_checkpointing=True))
    LLMKG().train(other, data, tmp_path / "out", resume=True)
    said = [
        "training.gradient_checkpointing: False → True from checkpoint-3 on",
        "training.precision: bf16 → fp32 from checkpoint-3 on",
    ]
    assert read_meta(tmp_path / "out").recipe["changed"] == said
    assert f"Changed when it was resumed: {said[0]}; {said[1]}." in (tmp_path / "out" / "README.md").read_text()


def test_pairs_that_are_too_long_are_refused_or_dropped_and_never_cut(data: TrainingData, tmp_path: Path) -> None:
    recipe = made.recipe(max_steps=2, evaluate_steps=1000)
    rows = pq.read_table(data.folder / "train.parquet").to_pylist()
    rows[3]["completion"] = rows[3]["completion"] * 40
    folder = tmp_path / "pairs"
    folder.mkdir()
    pq.write_table(pa.Table.from_pylist(rows), folder / "train.parquet")
    longer = TrainingData(folder, "longer")
    with pytest.raises(KgbuildError, match=r"1 of 12 pairs of train\.parquet are longer than 256 tokens"):
        LLMKG().train(recipe, longer, tmp_path / "out")
    dropping = replace(recipe, data=replace(recipe.data, too_long="drop"))
    trained = LLMKG().train(dropping, longer, tmp_path / "out")
    assert any(note.startswith("1 pairs of train are longer than 256 tokens") for note in trained.warnings)


def test_a_loss_that_is_no_number_stops_it_with_the_step(data: TrainingData, tmp_path: Path) -> None:
    recipe = made.recipe(max_steps=20, learning_rate=1e38, evaluate_steps=1000)
    with pytest.raises(KgbuildError, match=r"no longer a finite number \((nan|inf)\) at step \d+"):
        LLMKG().train(recipe, data, tmp_path / "out")
    assert not (tmp_path / "out" / "kgbuild.json").exists()


def test_early_stopping_keeps_the_weights_that_wrote_the_best_triplets(data: TrainingData, tmp_path: Path) -> None:
    values = iter([0.2, 0.6, 0.5, 0.4, 0.9])

    def score(predicted: Sequence[str], reference: Sequence[str]) -> dict[str, float]:
        assert len(predicted) == len(reference) == 2
        return {"triplet_f1": next(values)}

    recipe = made.recipe(max_steps=30, evaluate_steps=2, evaluate_studies=2, patience=2, save_steps=2)
    recipe = replace(recipe, decoding=replace(recipe.decoding, max_new_tokens=2))
    trained = LLMKG().train(recipe, data, tmp_path / "out", score=score)
    assert trained.metrics["stopped_early"]
    assert trained.metrics["steps"] == 8
    assert (trained.metrics["triplet_f1"], trained.metrics["best_step"]) == (0.6, 4)
    short = made.recipe(max_steps=30, evaluate_steps=1000, save_steps=4)

    def stop(stage: str, done: int, total: int) -> None:
        if done == 4 * 4:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        LLMKG().train(short, data, tmp_path / "four", progress=stop)
    assert weights(tmp_path / "out") == (tmp_path / "four" / "checkpoint-4" / "model.safetensors").read_bytes()


def test_lora_is_merged_and_bf16_trains(data: TrainingData, tmp_path: Path) -> None:
    from kgbuild.recipes import Lora

    recipe = made.recipe(
        model={"lora": Lora(rank=4, alpha=8)},
        max_steps=12,
        precision="bf16",
        gradient_checkpointing=True,
        evaluate_steps=1000,
        log_steps=1,
    )
    LLMKG().train(recipe, data, tmp_path / "out")
    losses = [line["loss"] for line in made.log(tmp_path / "out") if "loss" in line]
    assert losses[-1] < losses[0]
    loaded = load_checkpoint(tmp_path / "out")
    assert not any("lora" in name for name, _ in loaded.model.named_parameters())
    again = load_checkpoint(tmp_path / "out").model
    ids = torch.tensor([[5, 9, 7]])
    with torch.inference_mode():
        assert torch.equal(loaded.model(ids).logits, again(ids).logits)


@pytest.mark.parametrize("can", [True, False])
def test_a_processor_without_bf16_is_told_of(can: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    from kgbuild.trainers._settings import slow_machine

    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: can)
    told = slow_machine(made.recipe(precision="bf16"))
    assert (told is None) == (can or torch.cuda.is_available())
    assert slow_machine(made.recipe(precision="fp32")) is None


def test_packed_texts_do_not_see_one_another(data: TrainingData, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"max_steps": 1, "log_steps": 1, "evaluate_steps": 1000}
    apart = LLMKG().train(made.recipe(batch_size=12, **settings), data, tmp_path / "apart")
    recipe = made.recipe(batch_size=4, packing=True, **settings)
    packed = LLMKG().train(replace(recipe, data=replace(recipe.data, max_length=200)), data, tmp_path / "packed")
    assert packed.metrics["epochs"] == 1.0  # twelve rows became at most four
    assert packed.metrics["train_loss"] == pytest.approx(apart.metrics["train_loss"], rel=1e-5)
    assert packed.metrics["validate_loss"] == pytest.approx(apart.metrics["validate_loss"], rel=1e-3)


def test_rows_of_equal_length_share_a_batch_and_every_epoch_has_its_own_order() -> None:
    from kgbuild.trainers._trainer import ByLength

    lengths = [number % 50 for number in range(500)]
    sampler = ByLength(lengths, 5, seed=1)
    first = list(sampler)
    assert sorted(first) == list(range(500))
    batches = [first[at : at + 5] for at in range(0, 500, 5)]
    assert max(max(lengths[row] for row in one) - min(lengths[row] for row in one) for one in batches) <= 2
    assert [lengths[one[0]] for one in batches] != sorted((lengths[one[0]] for one in batches), reverse=True)
    sampler.set_epoch(1)
    assert list(sampler) != first
    sampler.set_epoch(0)
    assert list(sampler) == first


def test_scores_of_texts() -> None:
    same = triplet_scores([" a , modify , b ; c (absent)"], ["c (absent) ; A , modify , b"])
    assert same["triplet_f1"] == 1.0
    half = triplet_scores(["a , modify , b ; c"], [" a , modify , b ; c (absent)"])
    assert half["triplet_f1"] == 0.5
    assert triplet_scores(["a , eats , b"], [""])["unfit_pieces"] == 1.0
    assert triplet_scores([""], [" "])["triplet_f1"] == 1.0
