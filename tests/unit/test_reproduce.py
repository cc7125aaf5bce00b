"""``reproduce``: the paper's figures as data, rows found by recipe, one's own figures only where they were computed."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from kgbuild import recipes
from kgbuild.cli import app
from kgbuild.domain import Failure
from kgbuild.errors import KgbuildError, UsageError
from kgbuild.pipelines import stages
from kgbuild.pipelines.published import find, tables
from kgbuild.pipelines.reproduce import Data, reproduce
from kgbuild.pipelines.source import resolve
from kgbuild.pipelines.stages import Summary
from tests.unit.test_evaluate_text import A, B, lines, radgraph, run_with

MEASURES = ["bleu1", "bleu2", "bleu3", "bleu4", "rouge_l"]


def checkpoint(folder: Path, recipe: str, certainty: str = "none", **more: str) -> Path:
    """What of a checkpoint is read here: its card."""
    folder.mkdir(parents=True)
    kind = "vlm-kg" if recipe.startswith("vlm") else "llm-kg"
    meta = {"format": 1, "kind": kind, "recipe": {"name": recipe, **more}, "certainty": certainty}
    (folder / "kgbuild.json").write_text(json.dumps(meta))
    return folder


def row(found: dict[str, Any], name: str) -> dict[str, Any]:
    return next(one for one in found["rows"] if one["name"] == name)


def test_the_papers_figures() -> None:
    assert list(tables()) == ["table1", "table2", "table3", "table4"]
    best = find("table1").row("vlm-kg (mimic)")
    assert list(best.figures) == MEASURES
    assert best.figures["bleu1"] == pytest.approx(0.5498)
    assert find("table1").row("DyGIE++").figures["rouge_l"] == pytest.approx(0.5649)
    assert find("table2").row("LLM frozen").figures["bleu4"] == pytest.approx(0.0262)
    assert find("table3").row("n = 128, k = 64").figures == dict.fromkeys(MEASURES)  # not read: never guessed
    assert [one.figures["bleu1"] for one in find("table4").rows] == pytest.approx([0.3358, 0.3866, 0.4052, 0.4052])
    assert all("arxiv.org" in str(table.source["url"]) for table in tables().values())


def test_every_row_names_recipes_that_ship_and_say_so() -> None:
    known = {recipe.name: recipe for recipe in recipes.listing()}
    for table in tables().values():
        for one in table.rows:
            assert set(one.recipes) <= set(known), one
            if one.recipes:
                assert known[one.recipes[0]].paper, one
            if "max_new_tokens" in one.options:
                assert known[one.recipes[0]].decoding.max_new_tokens == int(one.options["max_new_tokens"])
    for name in ("n = 64, k = 128", "n = 128, k = 64", "n = 128, k = 128"):
        projector = known[find("table3").row(name).recipes[0]].model.projector
        assert projector is not None
        assert name == f"n = {projector.prefix_length}, k = {projector.clip_length}"


@pytest.mark.parametrize("table", ["table1", "table2", "table3", "table4"])
def test_without_anything_it_prints_the_paper_and_commands(table: str) -> None:
    found = reproduce(table)
    assert all(one["own"] == [] for one in found["rows"])
    assert all(re.match(r"kgbuild (train|reproduce) ", command) for command in found["commands"])
    known = {recipe.name for recipe in recipes.listing()}
    trained = {command.split()[2] for command in found["commands"] if command.startswith("kgbuild train")}
    assert trained
    assert trained <= known
    done = CliRunner().invoke(app, ["reproduce", table])
    assert done.exit_code == 0
    assert "none of them was computed here" in done.stderr
    assert done.stdout.count("paper") == len(found["rows"])


def test_predictions_stand_beside_the_row_of_the_checkpoints_recipe(tmp_path: Path) -> None:
    gold = radgraph(tmp_path / "g.json")
    model = checkpoint(tmp_path / "m", "vlm-kg_mimic_paper")
    said = lines(tmp_path / "p.txt", A, B, "")
    found = reproduce("table1", checkpoints=[model], predicted=[said], reference=gold)
    own = row(found, "VLM-KG (MIMIC)")["own"]
    assert [(one["checkpoint"], one["recipe"], one["predicted"]) for one in own] == [
        (str(model), "vlm-kg_mimic_paper", said)
    ]
    assert own[0]["scores"]["bleu4"]["value"] == pytest.approx(1.0)
    assert own[0]["scores"]["n_studies"] == 3
    assert all(not one["own"] for one in found["rows"] if one["name"] != "VLM-KG (MIMIC)")
    assert not any("vlm-kg_mimic_paper" in command for command in found["commands"])
    args = ["--checkpoint", str(model), "--predicted", said, "--reference", gold]
    table = CliRunner().invoke(app, ["reproduce", "table1", *args])
    assert table.exit_code == 0
    line = next(one for one in table.stdout.splitlines() if str(model) in one)
    assert line.split()[-4:] == ["100", "1", "1", "3"]
    assert "54.98" in table.stdout
    for name in ("table2", "table3"):
        assert len(reproduce(name, checkpoints=[model], predicted=[said], reference=gold)["rows"]) in (2, 4)


def test_a_row_can_be_named(tmp_path: Path) -> None:
    gold, said = radgraph(tmp_path / "g.json"), lines(tmp_path / "p.txt", A, "", "")
    found = reproduce("table1", rows=["dygie++"], predicted=[said], reference=gold)
    assert row(found, "DyGIE++")["own"][0]["scores"]["triplet"]["recall"]["value"] == 0.5
    assert row(found, "DyGIE++")["own"][0]["checkpoint"] is None
    mine = checkpoint(tmp_path / "m", "my-own", paper="Table 1, LLM-KG (IU)")
    assert row(reproduce("table1", checkpoints=[mine], predicted=[said], reference=gold), "LLM-KG (IU)")["own"]
    other = checkpoint(tmp_path / "o", "my-other")
    with pytest.raises(UsageError, match="no row of table1 is for recipe my-other"):
        reproduce("table1", checkpoints=[other], predicted=[said], reference=gold)
    beside = reproduce("table1", checkpoints=[other], rows=["LLM-KG (IU)"], predicted=[said], reference=gold)
    assert row(beside, "LLM-KG (IU)")["own"][0]["recipe"] == "my-other"


def test_a_checkpoint_without_data_gives_the_commands(tmp_path: Path) -> None:
    model = checkpoint(tmp_path / "my model", "vlm-kg_mimic_frozen")
    found = reproduce("table2", checkpoints=[model])
    assert row(found, "LLM frozen")["own"] == []
    generate, score = found["commands"][:2]
    assert f"--extractor vlm-kg --checkpoint '{model}'" in generate
    assert "--row 'LLM frozen' --predicted RUN" in score
    assert not any("train vlm-kg_mimic_frozen" in command for command in found["commands"])


def test_with_a_data_set_it_generates_and_scores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One checkpoint of Table 4 fills its four rows, each asked for outputs of another length."""
    asked: list[tuple[str, dict[str, str]]] = []

    def generate(source: Any, workspace: Path, *, extractor: str, options: dict[str, str], **_: Any) -> Summary:
        asked.append((extractor, options))
        cut = A if int(options["max_new_tokens"]) < 300 else f"{A} ; x , modify , y"
        return Summary("generate", (lines(tmp_path / f"{options['max_new_tokens']}.txt", cut, B, ""),), {}, (), 1, True)

    monkeypatch.setattr(stages, "generate", generate)
    model = checkpoint(tmp_path / "m", "llm-kg_mimic_paper")
    data = Data(resolve("examples"), tmp_path / "kg")
    found = reproduce("table4", checkpoints=[model], reference=radgraph(tmp_path / "g.json"), data=data)
    assert [(kind, options["max_new_tokens"]) for kind, options in asked] == [
        ("llm-kg", n) for n in ("200", "256", "300", "512")
    ]
    assert {options["checkpoint"] for _, options in asked} == {str(model)}
    values = [one["own"][0]["scores"]["triplet"]["precision"]["value"] for one in found["rows"]]
    assert values == pytest.approx([1.0, 1.0, 2 / 3, 2 / 3])
    assert found["commands"] == []


def test_a_model_that_says_presences_is_scored_as_a_graph(tmp_path: Path) -> None:
    """Its words carry marks that the paper's do not; the same run trained the paper's way is scored by its words."""
    from tests.unit.test_evaluate_text import run

    gold = radgraph(tmp_path / "g.json")
    name = run(tmp_path / "kg", {"s1": f"{A} ; edema (absent)", "s2": f"{B} (uncertain)", "s3": ""})
    for certainty, right in (("full", 1.0), ("none", 0.4)):
        model = checkpoint(tmp_path / certainty, "llm-kg_mimic_paper", certainty)
        found = reproduce("table1", checkpoints=[model], predicted=[name], reference=gold, workspace=tmp_path / "kg")
        own = row(found, "LLM-KG (MIMIC)")["own"][0]["scores"]
        assert own["triplet"]["f1"]["value"] == pytest.approx(right)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"table": "table9"}, "no published table 'table9'"),
        ({"predicted": ["x"]}, "1 predictions for 0 rows"),
        ({"rows": ["LLM-KG (IU)"], "predicted": ["x", "y"], "reference": "x"}, "2 predictions for 1 rows"),
        ({"rows": ["nothing"], "predicted": ["x"], "reference": "x"}, "no row 'nothing'"),
        ({"rows": ["LLM-KG (IU)"], "predicted": ["x"]}, "nothing to score against"),
        ({"rows": ["LLM-KG (IU)"]}, "1 rows for 0 checkpoints"),
        ({"data": Data(resolve("examples"), Path("kg")), "reference": "x"}, "of use to a checkpoint"),
    ],
)
def test_arguments_that_do_not_fit(given: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=re.escape(words)):
        reproduce(**{"table": "table1", **given})


def test_checkpoints_that_are_none_or_fit_several_rows(tmp_path: Path) -> None:
    (tmp_path / "half").mkdir()
    with pytest.raises(KgbuildError, match="half-written"):
        reproduce("table1", checkpoints=[tmp_path / "half"])
    model = checkpoint(tmp_path / "m", "llm-kg_mimic_paper")
    with pytest.raises(UsageError, match="fits 4 rows of table4") as caught:
        reproduce("table4", checkpoints=[model], predicted=["x"], reference="x")
    assert "max_new_tokens 256" in str(caught.value)


def test_quarantined_studies_are_said_and_end_it_with_4(tmp_path: Path) -> None:
    broken = Failure("s2", "extract", "the image is damaged")
    made = run_with(tmp_path / "W", {"s1": A, "s2": broken, "s3": ""})
    args = ["--row", "DyGIE++", "--predicted", made, "--reference", radgraph(tmp_path / "g.json")]
    done = CliRunner().invoke(app, ["reproduce", "table1", *args, "-w", str(tmp_path / "W"), "--format", "json"])
    assert done.exit_code == 4, done.stderr
    (own,) = row(json.loads(done.stdout), "DyGIE++")["own"]
    assert (own["quarantined"], own["unreadable"], own["scores"]["missing"]) == (1, 1, 1)
    assert "1 studies of the run were quarantined: they count as empty" in done.stderr
