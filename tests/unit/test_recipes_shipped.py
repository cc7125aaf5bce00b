"""Every shipped recipe: loads, checks clean, says what it is for, and its commands exist."""

from __future__ import annotations

import gzip
import itertools
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from kgbuild import recipes
from kgbuild.cli import app
from kgbuild.resources import data

ROOT = Path(__file__).parents[2]
LAUNCH = ROOT / "training" / "launch"
PAGE = ROOT / "docs" / "training.md"
STANDING_APART = {"trainer", "model.base", "model.text_encoder", "model.image_encoder", "training.report_to"}
PAPERS = {"data.certainty"}  # the paper's form, warned of on purpose
OPTIONS = {"max_new_tokens", "strategy"}  # of the extractors, as named in recipes


def commands(text: str) -> Iterator[list[str]]:
    """The kgbuild command lines of a comment or a page, split into words."""
    for line in text.splitlines():
        words = line.strip().removeprefix("# ").strip()
        if words.startswith("kgbuild "):
            yield shlex.split(words, comments=True)[1:]


def refused(words: list[str]) -> str | None:
    """Why a command line cannot be, as the command line's own parser sees it; files need not exist."""
    command: Any = typer.main.get_command(app)
    while hasattr(command, "commands"):
        name, *words = words
        if name not in command.commands:
            return f"no command {name}"
        command = command.commands[name]
    try:
        command.make_context(command.name, list(words)).close()
    except Exception as error:  # Typer carries a Click of its own, which need not be importable
        if not hasattr(error, "format_message"):
            raise
        return str(error.format_message())
    named = words[0].endswith(".yaml") or words[0].startswith("--") or words[0] in recipes.names()
    if command.name == "train" and not named:
        return f"no recipe {words[0]}"
    for option, value in itertools.pairwise(words):
        if option == "--option" and value.partition("=")[0] not in OPTIONS:
            return f"no option {value}"
        if option == "--set":
            recipes.with_settings(recipes.read(words[0]), dict([value.split("=", 1)]))
    return None


@pytest.mark.parametrize("name", recipes.names())
def test_a_shipped_recipe_loads_and_checks_clean(name: str) -> None:
    recipe = recipes.load(name)
    assert recipe.name == name
    assert recipe.purpose
    assert "(estimate)" in recipe.memory
    problems = {problem.key: problem for problem in recipes.check(recipe)}
    assert {p.level for p in problems.values()} <= {"warning"}
    assert set(problems) - STANDING_APART - PAPERS == set()
    assert ("data.certainty" in problems) == (recipe.data.certainty == "none")


@pytest.mark.parametrize("name", recipes.names())
def test_a_shipped_recipe_says_how_it_is_run(name: str) -> None:
    top = recipes.header(name)
    assert re.search(r"^(GPU memory \(estimate\)|Memory): ", top, re.M)
    given = list(commands(top))
    assert any(words[:2] == ["train", name] for words in given)
    wanted = {"train"} | (set() if name.startswith("medclip") else {"generate", "evaluate"})
    wanted |= {"reproduce"} if recipes.load(name).paper else set()
    assert wanted <= {words[0] for words in given}
    for words in given:
        assert refused(words) is None, f"kgbuild {shlex.join(words)}: {refused(words)}"


@pytest.mark.parametrize("name", [one for one in recipes.names() if not one.startswith("medclip")])
def test_a_model_trained_with_certainty_is_scored_as_a_graph(name: str) -> None:
    """Its words bear marks that the paper's form of the reference does not have."""
    scored = [" ".join(words) for words in commands(recipes.header(name)) if words[:2] == ["evaluate", "text"]]
    assert ["--as graph" in one for one in scored] == [recipes.load(name).data.certainty == "full"]


@pytest.mark.parametrize("name", recipes.names())
def test_what_a_shipped_recipe_states_has_its_cost_beside_it(name: str) -> None:
    stated = (data("training") / "recipes" / f"{name}.yaml").read_text(encoding="utf-8")
    assert len(re.findall(r"^ +\w+: .*  # ", stated, re.M)) >= (1 if "extends:" in stated else 5)


def test_the_variants_of_the_papers_tables() -> None:
    """Only what a table varies differs from the paper's recipe."""

    def difference(name: str, base: str) -> dict[str, object]:
        one, other = (dict(_flat(recipes.as_dict(recipes.load(n)), "")) for n in (name, base))
        return {key: value for key, value in one.items() if other.get(key) != value and "." in key}

    vlm, llm = "vlm-kg_mimic_paper", "llm-kg_mimic_paper"
    assert difference("vlm-kg_mimic_frozen", vlm) == {"model.freeze_language_model": True}
    assert difference("vlm-kg_mimic_n64_k128", vlm) == {"model.projector.clip_length": 128}
    assert difference("vlm-kg_mimic_n128_k64", vlm) == {"model.projector.prefix_length": 128}
    assert difference("vlm-kg_mimic_n128_k128", vlm) == {
        "model.projector.prefix_length": 128,
        "model.projector.clip_length": 128,
    }
    assert [recipes.load(f"{llm[:-6]}_tokens{n}").decoding.max_new_tokens for n in (200, 256, 300, 512)] == [
        200,
        256,
        300,
        512,
    ]
    assert difference("llm-kg_mimic_tokens300", llm) == {}
    assert difference("vlm-kg_mimic_beam", vlm) == {}
    for way in ("greedy", "top-p", "top-k"):
        assert difference(f"vlm-kg_mimic_{way}", vlm) == {"decoding.strategy": way}
    assert set(difference("vlm-kg_mimic_paper", "vlm-kg_mimic")) == {
        "model.base",
        "data.certainty",
        "decoding.max_new_tokens",
    }


def _flat(values: dict[str, object], prefix: str) -> Iterator[tuple[str, object]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def test_the_papers_numbers() -> None:
    llm, vlm = recipes.load("llm-kg_mimic_paper"), recipes.load("vlm-kg_mimic_paper")
    assert llm.model.base == "Qwen/Qwen1.5-0.5B"
    assert (llm.training.batch_size, llm.training.accumulation, llm.training.epochs) == (2, 2, 5)
    assert (llm.training.learning_rate, llm.decoding.strategy) == (1e-4, "beam")
    assert (vlm.training.batch_size, vlm.training.epochs, vlm.training.learning_rate) == (2, 5, 2e-5)
    assert vlm.training.warmup_steps == 5000
    assert vlm.model.projector == recipes.Projector(prefix_length=64, clip_length=64, layers=8)
    assert {llm.data.certainty, vlm.data.certainty} == {"none"}
    assert {recipes.load(n).data.certainty for n in ("llm-kg_mimic", "vlm-kg_mimic", "llm-kg_iu", "vlm-kg_iu")} == {
        "full"
    }


@pytest.mark.parametrize("script", ["torchrun_1gpu.sh", "torchrun_8gpu.sh"])
def test_the_launch_scripts_pass_their_arguments_on(script: str, tmp_path: Path) -> None:
    (tmp_path / "torchrun").write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    (tmp_path / "torchrun").chmod(0o755)
    done = subprocess.run(
        ["sh", str(LAUNCH / script), "llm-kg_mimic", "--out", "a b"],
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
    )
    n = re.sub(r"\D", "", script)
    assert done.stdout.splitlines() == [
        "--master_addr",
        "127.0.0.1",
        "--nproc_per_node",
        n,
        *("-m", "kgbuild", "train", "llm-kg_mimic", "--out", "a b"),
    ]


def test_every_command_of_the_training_page_exists() -> None:
    given = list(commands(PAGE.read_text(encoding="utf-8").replace("\\\n", " ")))
    assert {words[0] for words in given} >= {"import", "train", "generate", "evaluate", "reproduce"}
    for words in given:
        assert refused(words) is None, f"kgbuild {shlex.join(words)}: {refused(words)}"


def test_the_pages_script_keeps_the_tested_patients_out_of_the_training(tmp_path: Path) -> None:
    (script,) = re.findall(r"```python\n(# lists\.py.*?)```", PAGE.read_text(encoding="utf-8"), re.S)
    keys = ["p10/p10000001/s50000001.txt", "p10/p10000002/s50000003.txt", "patient00003/study1/view1_frontal.txt"]
    (tmp_path / "test.json").write_text(json.dumps({key: {} for key in keys}))
    rows = [(10000001, 50000001), (10000001, 50000002), (10000002, 50000003), (10000004, 50000004)]
    listed = "".join(f"{subject},{study},files/x.txt\n" for subject, study in rows)
    with gzip.open(tmp_path / "cxr-study-list.csv.gz", "wt") as out:
        out.write("subject_id,study_id,path\n" + listed)
    here = script.replace("/data/mimic-cxr/", "")
    subprocess.run([sys.executable, "-c", here], cwd=tmp_path, check=True)
    assert (tmp_path / "test50.txt").read_text() == "s50000001\ns50000003\n"
    assert (tmp_path / "train.txt").read_text() == "s50000004\n"
