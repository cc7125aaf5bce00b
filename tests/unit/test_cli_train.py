"""``kgbuild train`` where torch is not installed: listing, showing, judging, planning, and how it refuses."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from kgbuild import recipes
from kgbuild.cli import app

WITHOUT_TORCH = """
import sys
HEAVY = ("torch", "transformers", "trl", "accelerate", "datasets", "peft", "safetensors", "numpy")
class Without:
    def __init__(self, finder): self.finder = finder
    def __getattr__(self, name): return getattr(self.finder, name)
    def find_spec(self, name, path=None, target=None):
        return None if name.split(".")[0] in HEAVY else self.finder.find_spec(name, path, target)
sys.meta_path[:] = [Without(finder) for finder in sys.meta_path]
from kgbuild.cli import main
main()
"""
Kg = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def kg(tmp_path: Path) -> Kg:
    """Runs kgbuild in a folder of its own, in a process that has no torch."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("KGBUILD_", "HF_"))}

    def run(*args: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", WITHOUT_TORCH, *map(str, args)],
            env={**environment, "HF_HOME": str(tmp_path / "hf")},
            capture_output=True,
            text=True,
            cwd=tmp_path,
            timeout=120,
        )

    return run


def test_every_line_of_the_list_is_a_recipe_and_begins_with_its_name(kg: Kg) -> None:
    done = kg("train", "--list")
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split()[0] for line in done.stdout.splitlines()] == recipes.names()
    assert all(recipe.purpose in done.stdout for recipe in recipes.listing())
    listed = json.loads(kg("train", "--list", "--format", "json").stdout)
    assert [(one["name"], one["trainer"]) for one in listed] == [(r.name, r.trainer) for r in recipes.listing()]
    rows = list(csv.DictReader(io.StringIO(kg("train", "--list", "--format", "csv").stdout)))
    assert [row["name"] for row in rows] == recipes.names()


def test_a_recipe_is_shown_with_its_settings(kg: Kg, tmp_path: Path) -> None:
    done = kg("train", "--show", "vlm-kg_mimic", "--set", "training.epochs=1")
    assert (done.returncode, done.stderr) == (0, "")
    assert "GPU memory (estimate)" in done.stdout
    (tmp_path / "vlm-kg_mimic.yaml").write_text(done.stdout)
    shown = recipes.load(tmp_path / "vlm-kg_mimic.yaml")
    assert shown == recipes.with_settings(recipes.load("vlm-kg_mimic"), {"training.epochs": "1"})
    plain = json.loads(kg("train", "--show", "vlm-kg_mimic", "--format", "json").stdout)
    assert plain == recipes.as_dict(recipes.load("vlm-kg_mimic"))


def test_what_is_absent_is_a_warning_and_what_cannot_be_is_an_error(kg: Kg, tmp_path: Path) -> None:
    done = kg("train", "--check", "vlm-kg_mimic", "--format", "json")
    assert done.returncode == 0
    found = {row["key"]: row for row in json.loads(done.stdout)}
    assert {row["level"] for row in found.values()} == {"warning"}
    assert {"trainer", "model.base", "model.image_encoder", "data.dataset"} == set(found)
    assert "torch, transformers, accelerate, trl, datasets not installed" in found["trainer"]["message"]
    assert done.stderr.strip() == "vlm-kg_mimic: 0 errors, 4 warnings"

    (tmp_path / "mine.yaml").write_text("extends: llm-kg_mimic\ntraining: {epochs: 0}\ndata: {dataset: mimik}\n")
    wrong = kg("train", "--check", "mine.yaml", "--set", "decoding.beams=0")
    assert wrong.returncode == 2
    assert "mine: 3 errors" in wrong.stderr
    lines = [line.split()[:2] for line in wrong.stdout.splitlines()[2:5]]
    assert sorted(lines) == [["error", "data.dataset"], ["error", "decoding.beams"], ["error", "training.epochs"]]


def test_a_plan_is_printed_and_nothing_written(kg: Kg, tmp_path: Path) -> None:
    done = kg("train", "llm-kg_iu", "--dry-run", "--format", "json", "--out", "m", "--radgraph", "a.json")
    assert done.returncode == 0
    plan = json.loads(done.stdout)
    assert plan["would train on"] == "a.json"
    assert plan["would write"] == "m"
    assert plan["length"] == "5 epochs"
    assert list(tmp_path.iterdir()) == []
    other = json.loads(kg("train", "llm-kg_iu", "--dry-run", "--format", "json").stdout)
    assert other["would write"] == str(Path("models") / "llm-kg_iu")
    assert other["would train on"] == "newest run of iu-xray in kg"


def test_training_without_torch_says_what_to_install_before_anything_is_read(kg: Kg, tmp_path: Path) -> None:
    done = kg("train", "llm-kg_iu")
    assert done.returncode == 3
    assert "training needs torch, transformers, accelerate, trl, datasets" in done.stderr
    assert "pip install 'kgbuild[train]'" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        ((), 2, "train takes one RECIPE"),
        (("--show",), 2, "train takes one RECIPE"),
        (("llm-kg_iu", "--show", "--check"), 2, "train takes one RECIPE"),
        (("llm-kg_iu", "--list"), 2, "train --list takes no recipe"),
        (("llm-kg_ui",), 2, "did you mean 'llm-kg_iu'?"),
        (("absent.yaml",), 3, "absent.yaml is absent"),
        (("llm-kg_iu", "--set", "epochs"), 2, "--set 'epochs' cannot be read"),
        (("llm-kg_iu", "--set", "training.epoch=1"), 2, "did you mean 'epochs'?"),
        (("llm-kg_iu", "--set", "training.epochs=0"), 2, "training.epochs: 0 is out of range"),
        (("llm-kg_iu", "--show", "--format", "csv"), 2, "--show has no CSV form"),
        (("llm-kg_iu", "--run", "r", "--radgraph", "f"), 2, "exclude each other"),
        (("vlm-kg_iu", "--radgraph", "f.json"), 2, "name no images"),
        (("vlm-kg_iu", "--dataset", "mimik"), 2, "unknown data set 'mimik'"),
    ],
)
def test_exit_codes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, args: tuple[str, ...], code: int, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["train", *args], prog_name="kgbuild")
    assert isinstance(done.exception, SystemExit)
    assert done.exit_code == code, done.stderr
    assert words in done.stderr
    assert done.stdout == ""
    assert list(tmp_path.iterdir()) == []
