"""What ``benchmarks/llm_iu.py`` chooses and copies; its model is not run here."""

from __future__ import annotations

import importlib.util
from collections import Counter
from pathlib import Path
from types import ModuleType

import pytest

from kgbuild import recipes
from kgbuild.domain import Annotation, Token
from kgbuild.metrics.text import score_text
from kgbuild.metrics.text_counting import Written
from kgbuild.pipelines.splits import text_key


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    path = Path(__file__).parents[2] / "benchmarks" / "llm_iu.py"
    spec = importlib.util.spec_from_file_location("llm_iu", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def report(study: str, text: str) -> Annotation:
    return Annotation(study, tuple(Token(word, "findings", -1, -1) for word in text.split()))


def test_no_text_is_chosen_twice_and_none_that_is_held_out(benchmark: ModuleType) -> None:
    texts = [f"text {n % 20}" for n in range(60)]
    reports = [report(f"s{n}", text) for n, text in enumerate(texts)]
    split = {f"s{n}": ("train", "test", "val", None)[n % 20 % 4] for n in range(60)}
    held_out = {text_key("TEXT 0"), text_key("text 1")}
    chosen = benchmark.choose(reports, split, held_out, n_train=3, n_test=100)
    said = {one.study_id: one.text for one in reports}
    assert len(chosen.train) == 3
    assert {said[study] for study in chosen.train} <= {f"text {n}" for n in (4, 8, 12, 16)}
    assert sorted(said[study] for study in chosen.test) == sorted(f"text {n}" for n in (5, 9, 13, 17))
    assert sorted(said[study] for study in chosen.validate) == sorted(f"text {n}" for n in (2, 6, 10, 14, 18))
    assert benchmark.choose(reports[::-1], split, held_out, n_train=3, n_test=100) == chosen


def test_the_nearest_report_shares_most_of_its_words_and_not_just_many(benchmark: ModuleType) -> None:
    among = [
        (
            Counter(["no", "effusion", "is", "seen", "in", "a", "long", "report", "of", "many", "other", "words"]),
            "long",
        ),
        (Counter(["no", "effusion"]), "short"),
        (Counter(["heart", "normal"]), "other"),
    ]
    assert benchmark.nearest(Counter(["no", "effusion", "seen"]), among) == "short"
    assert benchmark.nearest(Counter(["heart"]), among) == "other"


def test_the_copied_answer_is_the_triplets_of_another_report(benchmark: ModuleType, tmp_path: Path) -> None:
    from kgbuild.extractors.rules import RulesExtractor
    from kgbuild.notation import encode

    rules = RulesExtractor()
    known = []
    for study, text in (("a", "No pleural effusion ."), ("b", "The heart is enlarged .")):
        entities, relations = rules.annotate(text.split())
        known.append(Annotation(study, report(study, text).tokens, entities, relations))
    path = benchmark.copy_nearest(tmp_path / "n.jsonl", known, [report("q", "Left pleural effusion .")])
    row = benchmark.json.loads(Path(path).read_text())
    assert row == {"study_id": "q", "output": encode(known[0])}
    assert "effusion (absent)" in row["output"]


def test_a_row_of_the_table_has_as_many_cells_as_its_head(benchmark: ModuleType) -> None:
    text = "effusion (absent) , located_at , pleural"
    scores = score_text([(Written(text, "no pleural effusion"), Written(text), None)], 1)
    row = benchmark.line("perfect", scores, "0 cut")
    assert row.count("|") == benchmark.HEAD.splitlines()[0].count("|") == benchmark.HEAD.splitlines()[1].count("|")
    assert "| 1.000 (1.000–1.000) |" in row
    assert row.endswith("| 0.000 | 0.000 | 0.000 | 0 cut |")


def test_the_recipe_takes_the_benchmarks_settings(benchmark: ModuleType) -> None:
    recipe = recipes.with_settings(recipes.load(benchmark.RECIPE), benchmark.SETTINGS)
    assert recipes.impossible(recipe) == []
    assert (recipe.training.precision, recipe.training.learning_rate, recipe.data.max_length) == ("fp32", 2e-4, 400)
    assert recipe.model.base == benchmark.BASE
