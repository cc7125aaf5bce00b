"""Reading recipes: types, unknown keys, extends, --set, and back to plain values."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from kgbuild import recipes
from kgbuild.errors import FileMissing, KgbuildError, UsageError
from kgbuild.recipes import DataPart, Lora, ModelPart, Projector, Recipe, TrainingPart
from kgbuild.recipes.showing import as_yaml


def written(folder: Path, text: str, name: str = "mine") -> Path:
    path = folder / f"{name}.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_file_states_what_differs_from_the_defaults(tmp_path: Path) -> None:
    text = "# mine\ntrainer: llm-kg\ntraining: {learning_rate: 1e-4, epochs: 3}\ndata:\n  dataset: iu-xray\n"
    assert recipes.load(written(tmp_path, text)) == Recipe(
        name="mine",
        trainer="llm-kg",
        data=DataPart(dataset="iu-xray"),
        training=TrainingPart(learning_rate=1e-4, epochs=3.0),
    )


def test_extends_takes_all_but_what_is_stated(tmp_path: Path) -> None:
    written(
        tmp_path,
        "trainer: vlm-kg\npurpose: below\npaper: Table 9\nmemory: 1 GB\nmodel: {image_encoder: e.bin, "
        "projector: {layers: 2, prefix_length: 8}, lora: {targets: [q_proj, v_proj]}}\ntraining: {seed: 3}\n",
        "below",
    )
    path = written(
        tmp_path,
        "extends: below.yaml\npurpose: above\nmodel: {projector: {layers: 4}, lora: {targets: [k_proj]}}\n",
        "above",
    )
    assert recipes.load(path) == Recipe(
        name="above",
        trainer="vlm-kg",
        purpose="above",
        memory="1 GB",
        model=ModelPart(
            image_encoder="e.bin", projector=Projector(layers=4, prefix_length=8), lora=Lora(targets=("k_proj",))
        ),
        training=TrainingPart(seed=3),
    )


def test_extends_a_shipped_recipe_and_takes_a_part_away(tmp_path: Path) -> None:
    path = written(tmp_path, "extends: llm-kg_mimic_lora\nname: full\nmodel: {lora: null}\n")
    found = recipes.load(path)
    assert (found.name, found.model.lora) == ("full", None)
    assert found.training.learning_rate == recipes.load("llm-kg_mimic_lora").training.learning_rate


@pytest.mark.parametrize(
    ("text", "message", "expected"),
    [
        ("trainer: llm-kg\ntrianing: {}\n", "unknown key 'trianing'", "did you mean 'training'?"),
        ("trainer: llm-kg\ntraining: {epoch: 1}\n", "unknown key 'epoch' of training", "did you mean 'epochs'?"),
        ("trainer: vlmkg\n", "trainer: 'vlmkg' is unknown", "did you mean 'vlm-kg'? one of llm-kg, vlm-kg, medclip"),
        ("purpose: x\n", "trainer is not stated", "one of llm-kg, vlm-kg, medclip"),
        ("trainer: llm-kg\ntraining: {epochs: many}\n", "training.epochs: 'many' is of the wrong type", "a number"),
        ("trainer: llm-kg\ntraining: {epochs: true}\n", "training.epochs: True is of the wrong type", "a number"),
        ("trainer: llm-kg\ntraining: {batch_size: 2.5}\n", "batch_size: 2.5 is of the wrong type", "a whole number"),
        ("trainer: llm-kg\ntraining: {batch_size: true}\n", "batch_size: True is of the wrong type", "a whole number"),
        ("trainer: llm-kg\ntraining: {packing: yes}\n", "training.packing: 'yes' is of the wrong", "true or false"),
        ("trainer: llm-kg\ntraining: {seed: null}\n", "training.seed: null is of the wrong type", "a whole number"),
        ("trainer: llm-kg\nmodel: {base: 7}\n", "model.base: 7 is of the wrong type", "text"),
        ("trainer: llm-kg\nmodel: {lora: 8}\n", "model.lora: 8 is of the wrong type", "keys: rank, alpha"),
        ("trainer: llm-kg\nmodel: {lora: {targets: q}}\n", "targets: 'q' is of the wrong type", "a list of words"),
        ("trainer: llm-kg\ndata: {certainty: no}\n", "data.certainty: 'no' is unknown", "one of full, none"),
        ("trainer: llm-kg\ndata: [x]\n", "data: ['x'] is of the wrong type", "keys: dataset, certainty"),
        ("trainer: llm-kg\ntrainer: vlm-kg\n", "no valid YAML: 'trainer' stands twice", ""),
        ("trainer: llm-kg\n 1: x\n", "no valid YAML", ""),
        ("trainer: [\n", "no valid YAML", ""),
        ("- a\n", "a recipe is a group of keys", ""),
        ("trainer: llm-kg\nextends: [a]\n", "extends: not a name", "a recipe's name or file"),
    ],
)
def test_what_cannot_be_read_is_named_with_file_key_and_what_was_expected(
    tmp_path: Path, text: str, message: str, expected: str
) -> None:
    path = written(tmp_path, text)
    with pytest.raises(UsageError) as caught:
        recipes.load(path)
    assert message in caught.value.message
    assert str(path) in (caught.value.where or "")
    assert expected in (caught.value.expected or "")


def test_the_file_that_is_wrong_is_the_one_that_is_named(tmp_path: Path) -> None:
    below = written(tmp_path, "trainer: llm-kg\ncolour: red\n", "below")
    above = written(tmp_path, "extends: below.yaml\n", "above")
    with pytest.raises(UsageError, match="unknown key 'colour'") as caught:
        recipes.load(above)
    assert caught.value.where == str(below)


def test_a_circle_is_an_error(tmp_path: Path) -> None:
    written(tmp_path, "extends: two.yaml\ntrainer: llm-kg\n", "one")
    path = written(tmp_path, "extends: one.yaml\ntrainer: llm-kg\n", "two")
    with pytest.raises(UsageError, match="in a circle"):
        recipes.load(path)


def test_unknown_names_and_absent_files(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unknown recipe 'vlm-kg_mimik'") as caught:
        recipes.load("vlm-kg_mimik")
    assert "did you mean 'vlm-kg_mimic'?" in (caught.value.expected or "")
    with pytest.raises(FileMissing, match=r"absent\.yaml is absent"):
        recipes.load(tmp_path / "absent.yaml")
    latin = tmp_path / "latin.yaml"
    latin.write_bytes(b"# caf\xe9\n")
    with pytest.raises(UsageError, match="not UTF-8 at byte 5"):
        recipes.load(latin)


def test_settings_replace_single_values_by_dotted_keys() -> None:
    before = Recipe("r", "llm-kg")
    after = recipes.with_settings(
        before,
        {
            "training.epochs": "1",
            "training.learning_rate": "3e-5",
            "training.max_steps": "7",
            "training.packing": "true",
            "model.base": "007",
            "model.lora.rank": "4",
            "model.lora.targets": "q_proj, v_proj",
            "data.prompt": "triplets_short",
            "decoding.strategy": "greedy",
            "name": "s",
        },
    )
    assert after == Recipe(
        "s",
        "llm-kg",
        model=ModelPart(base="007", lora=Lora(rank=4, targets=("q_proj", "v_proj"))),
        data=DataPart(prompt="triplets_short"),
        training=TrainingPart(epochs=1.0, learning_rate=3e-5, max_steps=7, packing=True),
        decoding=recipes.Decoding(strategy="greedy"),
    )
    back = {"model.lora": "null", "training.max_steps": "null", "data.prompt": "null"}
    assert recipes.with_settings(after, back).model == ModelPart(base="007")
    assert before == Recipe("r", "llm-kg")


@pytest.mark.parametrize(
    ("key", "value", "message", "expected"),
    [
        ("training.epoch", "1", "unknown key 'epoch' of training", "did you mean 'epochs'?"),
        ("trainings.epochs", "1", "unknown key 'trainings'", "did you mean 'training'?"),
        ("name.first", "1", "name has no parts", ""),
        ("training.epochs", "one", "training.epochs: 'one' is of the wrong type", "a number"),
        ("training.max_steps", "many", "training.max_steps: 'many' is of the wrong type", "a whole number"),
        ("decoding.strategy", "beams", "decoding.strategy: 'beams' is unknown", "did you mean 'beam'?"),
        ("training", "1", "training: 1 is of the wrong type", "keys: epochs"),
        ("training.epochs", "[1", "no valid YAML", ""),
    ],
)
def test_settings_that_cannot_be(key: str, value: str, message: str, expected: str) -> None:
    with pytest.raises(UsageError) as caught:
        recipes.with_settings(Recipe("r", "llm-kg"), {key: value})
    assert message in caught.value.message
    assert (caught.value.where or "").startswith(f"--set {key}")
    assert expected in (caught.value.expected or "")


def test_plain_values_and_back() -> None:
    for recipe in recipes.listing():
        assert recipes.from_dict(recipes.as_dict(recipe)) == recipe
    with pytest.raises(UsageError, match="unknown key 'more'") as caught:
        recipes.from_dict({"name": "r", "trainer": "llm-kg", "more": 1}, "kgbuild.json")
    assert caught.value.where == "kgbuild.json"


def test_what_is_shown_can_be_saved_and_loaded(tmp_path: Path) -> None:
    for recipe in recipes.listing():
        text = as_yaml(recipe, recipe.name)
        path = written(tmp_path, text)
        assert recipes.load(path) == recipe
        assert yaml.safe_load(text)["name"] == recipe.name  # any YAML reader can read it


def test_comments_beside_values_come_from_the_nearest_file(tmp_path: Path) -> None:
    written(tmp_path, "# below\ntrainer: llm-kg\ntraining:\n  epochs: 5  # five\n  seed: 1  # one\n", "below")
    path = written(tmp_path, "# above\n# twice\nextends: below.yaml\ntraining:\n  seed: 2  # two\n", "above")
    assert recipes.costs(str(path)) == {"training.epochs": "five", "training.seed": "two"}
    assert recipes.header(str(path)) == "above\ntwice"
    shown = as_yaml(recipes.load(path), str(path)).splitlines()
    assert shown[:4] == ["# above", "# twice", "name: above", "trainer: llm-kg"]
    assert [line for line in shown if "  # " in line] == ["  epochs: 5.0  # five", "  seed: 2  # two"]


@pytest.mark.parametrize(
    ("parent", "kind", "message"),
    [
        ("nothere", UsageError, "extends: unknown recipe 'nothere'"),
        ("nothere.yaml", FileMissing, "extends: {folder}/nothere.yaml is absent"),
    ],
)
def test_a_parent_that_is_not_there_is_said_of_the_file_that_names_it(
    parent: str, kind: type[KgbuildError], message: str, tmp_path: Path
) -> None:
    path = written(tmp_path, f"extends: {parent}\ntrainer: llm-kg\n")
    with pytest.raises(kind) as caught:
        recipes.load(str(path))
    assert (caught.value.message, caught.value.where) == (message.format(folder=tmp_path), str(path))
