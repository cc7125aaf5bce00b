"""What a training refuses before and after its pairs are prepared: a model's own run, nothing to learn. No torch."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

import kgbuild
from kgbuild.errors import KgbuildError, UsageError
from kgbuild.pipelines import stages, train_checks
from kgbuild.pipelines.train import prepared
from kgbuild.pipelines.training_examples import TEXT_ONLY
from kgbuild.pipelines.workspace import Workspace
from kgbuild.recipes import DataPart, Recipe
from kgbuild.trainers.base import TrainingData

LLM = Recipe("made", "llm-kg", data=DataPart(dataset="examples"))
VLM = replace(LLM, trainer="vlm-kg", data=DataPart(dataset="examples", no_image="text-only"))


def copied(space: Workspace, run: str, name: str, id_: str) -> str:
    """The run once more, as another extractor's."""
    shutil.copytree(space.runs / run, space.runs / id_)
    file = space.runs / id_ / "run.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "name": name}))
    return id_


def test_a_models_own_run_is_trained_on_only_if_it_is_named(tmp_path: Path) -> None:
    run = stages.generate(kgbuild.resolve("examples"), tmp_path / "W").runs[0]
    space = Workspace.open(tmp_path / "W")
    older = copied(space, run, "radgraph", "radgraph-1")
    os.utime(space.runs / older / "run.json", (1, 1))
    own = copied(space, run, "llm-kg", "llm-kg-1")
    space.point("examples", annotations=own)
    with pytest.raises(UsageError) as error:
        prepared(LLM, tmp_path / "W")
    assert error.value.message == "the newest run of examples is a language model's own output: llm-kg-1"
    assert error.value.next_step == f"--run {run}"
    assert prepared(LLM, tmp_path / "W", run=own).source == own
    for one in (run, older):
        shutil.rmtree(space.runs / one)
    with pytest.raises(UsageError) as error:
        train_checks.source_of(LLM, tmp_path / "W", None, [])
    assert str(error.value.next_step).startswith("kgbuild generate --dataset examples --root DIR -w ")


def test_a_training_on_no_image_or_no_triplet_is_refused(tmp_path: Path) -> None:
    stages.generate(kgbuild.resolve("examples"), tmp_path / "W")
    with pytest.raises(KgbuildError, match="no study to train on has an image, and vlm-kg learns from images") as error:
        prepared(VLM, tmp_path / "W", source=kgbuild.resolve("examples"))
    studies = prepared(LLM, tmp_path / "W").counts
    assert (
        error.value.where == f"{sum(studies[f'{name}: studies'] for name in ('train', 'validate', 'test'))} {TEXT_ONLY}"
    )

    empty = TrainingData(tmp_path, "f", {"train: studies": 2, "train: triplets": 0, "train: images": 1}, "rules-1")
    for recipe in (LLM, VLM):
        with pytest.raises(KgbuildError, match="there are 0 triplets in all completions"):
            train_checks.check_pairs(recipe, empty)
    assert train_checks.check_pairs(replace(LLM, trainer="medclip"), empty) is empty
    some = replace(empty, counts={"train: triplets": 1, "train: images": 1, TEXT_ONLY: 5})
    assert train_checks.check_pairs(VLM, some) is some


def test_a_training_killed_before_it_saved_anything_begins_again(tmp_path: Path) -> None:
    note = f"nothing to resume in {tmp_path / 'm'}: the training starts from the beginning"
    assert train_checks.check_out(tmp_path / "m", resume=True) == note
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "training.json").write_text("{}")
    assert train_checks.check_out(tmp_path / "m", resume=True) == note
    assert train_checks.check_out(tmp_path / "m", resume=False) is None
    state = tmp_path / "m" / "checkpoint-3"
    state.mkdir()
    (state / "optimizer.pt").touch()
    (state / "trainer_state.json").write_text('{"global_step": 3}')
    assert train_checks.check_out(tmp_path / "m", resume=True) is None
