"""``reproduce`` from a checkpoint: studies generated, their outputs scored as the paper's are, beside its figures."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from kgbuild.cli import app
from kgbuild.resources import data
from tests.neural.extractors import made


def test_a_checkpoint_fills_its_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint that was trained the paper's way is scored by its own words; the run stays in the workspace."""
    folder = made.llm(tmp_path / "model", certainty="none")
    card = json.loads((folder / "kgbuild.json").read_text())
    card["recipe"]["name"] = "llm-kg_mimic_paper"
    (folder / "kgbuild.json").write_text(json.dumps(card))
    gold = str(data("schemas") / "examples" / "gold.json")
    (tmp_path / "ids.txt").write_text("\n".join(sorted(json.loads(Path(gold).read_text()))[:3]))
    monkeypatch.chdir(tmp_path)
    args = ["--checkpoint", str(folder), "--dataset", "examples", "--reference", gold, "--studies", "ids.txt"]
    done = CliRunner().invoke(app, ["reproduce", "table1", *args, "-w", "kg", "--format", "json"])
    assert done.exit_code == 0, done.stderr
    found = json.loads(done.stdout)
    (own,) = next(row["own"] for row in found["rows"] if row["name"] == "LLM-KG (MIMIC)")
    assert (tmp_path / "kg" / "runs" / own["predicted"] / "run.json").is_file()
    assert own["scores"]["n_studies"] == 3
    assert own["scores"]["missing"] == 0
    assert own["scores"]["length_ratio"]["value"] > 0
    assert own["scores"]["settings"]["as"] == "outputs"
    assert sum(bool(row["own"]) for row in found["rows"]) == 1
    few = CliRunner().invoke(app, ["reproduce", "table1", *args[:-2], "--limit", "2", "-w", "kg", "--format", "json"])
    assert few.exit_code == 0, few.stderr
    (own,) = next(row["own"] for row in json.loads(few.stdout)["rows"] if row["name"] == "LLM-KG (MIMIC)")
    assert (own["scores"]["n_studies"], own["scores"]["missing"], own["scores"]["extra"]) == (2, 0, 0)
