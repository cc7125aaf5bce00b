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

import kgbuild
from kgbuild import recipes
from kgbuild.cli import app
from kgbuild.cli.train import _next
from kgbuild.pipelines import stages

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
    (tmp_path / "a.json").write_text(json.dumps({"s1": {"text": "no effusion", "entities": {}}}))
    done = kg("train", "llm-kg_iu", "--dry-run", "--format", "json", "--out", "m", "--radgraph", "a.json")
    assert (done.returncode, done.stderr) == (0, "")
    plan = json.loads(done.stdout)
    assert plan["would train on"] == "a.json"
    assert plan["would write"] == "m"
    assert plan["length"] == "5 epochs"
    assert [one.split(":")[0] for one in plan["warnings"]] == ["trainer", "model.base"]  # no root for text alone
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]
    made = stages.generate(kgbuild.resolve("examples"), tmp_path / "kg")
    other = kg("train", "llm-kg_iu", "--dataset", "examples", "--resume", "--dry-run", "--format", "json")
    plan = json.loads(other.stdout)
    assert plan["would write"] == str(Path("models") / "llm-kg_iu")
    assert plan["would train on"] == made.runs[0]
    assert plan["warnings"][0] == "nothing to resume in models/llm-kg_iu: the training starts from the beginning"


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (("llm-kg_iu", "-w", "absent"), 3, "no workspace at absent"),
        (("llm-kg_iu",), 2, "no annotations of data set 'iu-xray' in kg"),
        (("llm-kg_iu", "--run", "rules-0"), 2, "no run 'rules-0' in kg"),
        (("llm-kg_iu", "--radgraph", "absent.json"), 3, "there is no file absent.json"),
        (("llm-kg_iu", "--radgraph", "bad.json"), 1, "bad.json is not valid JSON"),
        (("llm-kg_iu", "--radgraph", "a.json", "-w", "done"), 1, "done is not a kgbuild workspace"),
        (("llm-kg_iu", "--dataset", "examples", "--out", "a.json"), 1, "a.json is a file, not a folder"),
        (("llm-kg_iu", "--dataset", "examples", "--out", "a.json/m"), 1, "a.json is a file, not a folder"),
        (("llm-kg_iu", "--dataset", "examples", "--out", "done"), 1, "expected  another --out\n"),
        (("llm-kg_iu", "--dataset", "examples", "--out", "done", "--resume"), 1, "nothing to resume in done"),
        (("llm-kg_iu", "--dataset", "examples", "--out", "empty", "--resume"), 1, "nothing to resume in empty"),
        (("llm-kg_iu", "--dataset", "examples", "--out", "stopped"), 1, "stopped holds an unfinished training"),
        (("vlm-kg_mimic", "--run", "RUN"), 3, "no root for data set mimic"),
        (("medclip_mimic", "--run", "RUN", "--root", "nowhere"), 3, "nowhere does not exist"),
        (("medclip_mimic", "--run", "RUN", "--root", ".", "--images", "nowhere"), 3, "nowhere does not exist"),
    ],
)
def test_a_dry_run_fails_as_the_training_itself_before_it_prepares_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, args: tuple[str, ...], code: int, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(recipes, "require_packages", lambda recipe: None)
    monkeypatch.delenv("KGBUILD_MIMIC_ROOT", raising=False)
    run = stages.generate(kgbuild.resolve("examples"), tmp_path / "kg").runs[0]
    (tmp_path / "a.json").write_text(json.dumps({"s1": {"text": "no effusion", "entities": {}}}))
    (tmp_path / "bad.json").write_text("no JSON")
    for folder in ("done", "empty", "stopped/checkpoint-3"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "done" / "kgbuild.json").write_text("{}")
    (tmp_path / "stopped" / "checkpoint-3" / "state.pt").touch()
    before = sorted(tmp_path.rglob("*"))
    typed = ["train", *(word.replace("RUN", run) for word in args)]
    for more in ([], ["--dry-run"]):
        done = CliRunner().invoke(app, [*typed, *more], prog_name="kgbuild")
        assert (done.exit_code, done.stdout) == (code, ""), done.stderr
        assert words in done.stderr
        assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("name", "trainer", "workspace", "given", "words"),
    [
        ("mimic", "llm-kg", "kg", (None, None), "--root DIR --extractor llm-kg --checkpoint m -w kg-generated"),
        (
            "mimic",
            "vlm-kg",
            "a b",
            (Path("/r"), Path("/i")),
            "--root /r --images /i --extractor vlm-kg --checkpoint m -w 'a b-generated'",
        ),
        ("examples", "llm-kg", ".", (None, None), "--extractor llm-kg --checkpoint m -w generated"),
    ],
)
def test_the_next_command_generates_in_another_workspace(
    name: str, trainer: str, workspace: str, given: tuple[Path | None, Path | None], words: str
) -> None:
    recipe = recipes.from_dict({"name": "r", "trainer": trainer, "data": {"dataset": name}})
    said = _next(recipe, Path("m"), Path(workspace), *given)
    assert said == f"kgbuild generate --dataset {name} {words}"


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
