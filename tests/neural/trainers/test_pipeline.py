"""From a workspace's annotations, or RadGraph's files, to a checkpoint that generates."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import kgbuild
from kgbuild.errors import UsageError
from kgbuild.models.checkpoint import read_meta
from kgbuild.pipelines import stages
from kgbuild.pipelines.train import prepared, train
from kgbuild.recipes import Recipe

from . import made


def recipe(**training: Any) -> Recipe:
    base = made.recipe(max_steps=2, evaluate_studies=2, **training)
    data = replace(base.data, dataset="examples", max_length=2000)
    return replace(base, data=data, decoding=replace(base.decoding, max_new_tokens=8))


def test_a_workspaces_annotations_become_a_checkpoint(tmp_path: Path) -> None:
    summary = stages.generate(kgbuild.resolve("examples"), tmp_path / "W")
    told: list[str] = []
    trained = train(
        recipe(), tmp_path / "W", out=tmp_path / "out", progress=lambda stage, done, total: told.append(stage)
    )
    assert set(trained.metrics) >= {"validate_loss", "validate_triplet_f1", "validate_cut", "seconds_per_step"}
    assert trained.metrics["validate_cut"] == 1.0  # eight tokens end no triplet text
    assert any("max_new_tokens 8" in note for note in trained.warnings)
    assert {"training", "validation"} <= set(told)
    meta = read_meta(tmp_path / "out")
    assert meta.data["source"] == summary.runs[0]
    data = prepared(recipe(), tmp_path / "W")
    assert meta.data["fingerprint"] == data.fingerprint
    assert data.folder.parent == tmp_path / "W" / "training"
    texts = " ".join(path.read_text() for path in (tmp_path / "out").glob("*.json") if path.name != "tokenizer.json")
    assert "effusion" not in texts  # a checkpoint's facts hold no report text


def test_radgraphs_files_train_a_model_of_text_alone(tmp_path: Path) -> None:
    found = {"tokens": "effusion", "label": "OBS-DA", "start_ix": 1, "end_ix": 1, "relations": [["located_at", "2"]]}
    where = {"tokens": "left", "label": "ANAT-DP", "start_ix": 2, "end_ix": 2, "relations": []}
    entities = {"1": found, "2": where}
    entries = {
        f"p10/p1000000{n}/s5000000{n}.txt": {"text": f"no effusion left {n}", "entities": entities} for n in "12"
    }
    file = tmp_path / "train.json"
    file.write_text(json.dumps(entries))
    trained = train(recipe(), tmp_path / "W", radgraph=[file], out=tmp_path / "out")
    assert read_meta(trained.checkpoint).data["source"] == "train.json"
    with pytest.raises(UsageError, match="name no images"):
        train(
            replace(recipe(), trainer="vlm-kg"),
            tmp_path / "W",
            radgraph=[file],
            source=kgbuild.resolve("examples"),
            out=tmp_path / "v",
        )
