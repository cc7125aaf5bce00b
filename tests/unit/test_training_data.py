"""Training pairs: from a run and from RadGraph's files, their splits, counts, images and fingerprint. No torch."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import kgbuild
from kgbuild.domain import Image
from kgbuild.errors import KgbuildError
from kgbuild.image_choice import choose_image
from kgbuild.pipelines import runs, stages, training_data, training_examples
from kgbuild.pipelines.runs import Run
from kgbuild.pipelines.workspace import Workspace
from kgbuild.recipes import DataPart, Recipe
from kgbuild.tables import ANNOTATIONS
from kgbuild.trainers.base import TrainingData

HEADER = "uid,findings,impression\n"
RECIPE = Recipe("made", "llm-kg", data=DataPart(dataset="iu-xray", prompt="triplets_short"))
TEXTS = {
    1: "No effusion.",
    2: "NO EFFUSION.",
    3: "Small left effusion.",
    4: "Large mass.",
    5: "",
    6: "Right nodule.",
    7: "xyzzy.",
}
SPLITS = {1: "train", 2: "test", 3: "train", 4: "val", 5: "train", 6: "train", 7: "train"}


def run_of(folder: Path, texts: dict[int, str] = TEXTS, splits: dict[int, str] = SPLITS) -> Run:
    root = folder / "iu"
    root.mkdir(parents=True)
    (root / "reports.csv").write_text(HEADER + "".join(f"{uid},{text},\n" for uid, text in texts.items()))
    rows = "".join(f"CXR{uid},{uid},{split},\n" for uid, split in splits.items())
    (root / "r2gen_split.csv").write_text("id,uid,split,image_ids\n" + rows)
    summary = stages.generate(kgbuild.resolve("iu-xray", root), folder / "W")
    return runs.find(Workspace.open(folder / "W"), summary.runs[0])


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return run_of(tmp_path_factory.mktemp("run"))


def rows(data: TrainingData, split: str) -> list[dict[str, Any]]:
    path = data.folder / f"{split}.parquet"
    return pq.read_table(path).to_pylist() if path.is_file() else []


def ids(data: TrainingData) -> dict[str, list[str]]:
    return {split: [row["study_id"] for row in rows(data, split)] for split in training_data.SPLITS}


def test_a_run_gives_pairs_by_split_without_texts_that_are_tested(run: Run, tmp_path: Path) -> None:
    data = training_data.prepare(run, RECIPE, tmp_path / "data")
    assert ids(data) == {"train": ["CXR3", "CXR6", "CXR7"], "validate": ["CXR4"], "test": ["CXR2"]}
    first = rows(data, "train")[0]
    assert first["prompt"] == "Report: Small left effusion .\nTriplets:"
    assert first["completion"] == " Small , modify , effusion ; effusion , located_at , left"
    assert rows(data, "test")[0]["completion"] == " EFFUSION (absent)"
    assert data.counts["left out: no text"] == 1
    assert data.counts["left out: shares text or patient with another split"] == 1
    assert data.counts["train: studies"] == 3
    assert data.counts["train: empty completions"] == 1  # kept: a model must learn to write nothing
    assert data.counts["train: triplets"] == 3
    assert data.counts["test: texts that stand in training"] == 0
    assert data.source == run.id
    assert training_data.read_prepared(tmp_path / "data") == data
    assert (tmp_path / "data").stat().st_mode & 0o077 == 0


def test_the_papers_split_keeps_repeated_texts_and_says_so(run: Run, tmp_path: Path) -> None:
    data = training_data.prepare(run, RECIPE, tmp_path / "data", paper_split=True)
    assert ids(data)["train"] == ["CXR1", "CXR3", "CXR6", "CXR7"]
    assert data.counts["test: texts that stand in training"] == 1


def test_the_papers_split_leaves_out_what_is_in_none(tmp_path: Path) -> None:
    run = run_of(tmp_path, {1: "Mass.", 2: "Nodule.", 3: "Mass."}, {1: "train", 2: "test"})
    data = training_data.prepare(run, RECIPE, tmp_path / "data", paper_split=True)
    assert ids(data) == {"train": ["CXR1"], "validate": [], "test": ["CXR2"]}
    assert data.counts["left out: not in the data set's own split"] == 1
    assert ids(training_data.prepare(run, RECIPE, tmp_path / "all"))["train"] == ["CXR1", "CXR3"]


def test_the_papers_form_drops_presence_and_lone_entities(run: Run, tmp_path: Path) -> None:
    recipe = replace(RECIPE, data=replace(RECIPE.data, certainty="none", prompt=None))
    data = training_data.prepare(run, recipe, tmp_path / "data")
    assert rows(data, "test")[0]["completion"] == " "
    assert "(absent)" not in rows(data, "test")[0]["prompt"]
    assert data.counts["test: empty completions"] == 1


def test_counts_beside_the_papers(run: Run, tmp_path: Path) -> None:
    data = training_data.prepare(run, RECIPE, tmp_path / "data")
    table = training_data.beside_paper("iu-xray", data.counts)
    assert ("train", "studies", 3, 2069) in table
    assert ("validate", "triplets", 1, 296) in table
    assert training_data.beside_paper("reports", {})[0] == ("train", "studies", 0, None)


def test_equal_pairs_have_equal_fingerprints_and_keys_tell_preparations_apart(run: Run, tmp_path: Path) -> None:
    one = training_data.prepare(run, RECIPE, tmp_path / "a")
    two = training_data.prepare(run, RECIPE, tmp_path / "b")
    assert one.fingerprint == two.fingerprint
    assert (one.folder / "train.parquet").read_bytes() == (two.folder / "train.parquet").read_bytes()
    other = training_data.prepare(run, RECIPE, tmp_path / "c", paper_split=True)
    assert other.fingerprint != one.fingerprint
    paper = replace(RECIPE, data=replace(RECIPE.data, certainty="none"))
    keys = {
        training_data.key(run, RECIPE),
        training_data.key(run, paper),
        training_data.key(run, RECIPE, paper_split=True),
        training_data.key(run, RECIPE, root="here", find_image=lambda image: None),
    }
    assert len(keys) == 4
    assert training_data.key(run, RECIPE) == training_data.key(run, replace(RECIPE, name="other"))


def test_nothing_to_train_on_is_an_error_that_says_why(tmp_path: Path) -> None:
    run = run_of(tmp_path, {1: "", 2: "Mass."}, {1: "train", 2: "test"})
    with pytest.raises(KgbuildError, match="no study is left to train on") as error:
        training_data.prepare(run, RECIPE, tmp_path / "data")
    assert error.value.where == "1 left out: no text"
    assert training_data.read_prepared(tmp_path / "data") is None


def entry(words: str, label: str = "OBS-DP") -> dict[str, Any]:
    """A RadGraph entry whose first word is an entity."""
    found = {"tokens": words.split()[0], "label": label, "start_ix": 0, "end_ix": 0, "relations": []}
    return {"text": words, "entities": {"1": found}}


def release(folder: Path) -> dict[str, Path]:
    """Made-up files in the shape of RadGraph's release."""
    files = {
        "train.json": {"p10/p10000001/s50000001.txt": entry("effusion is small")},
        "dev.json": {"p10/p10000002/s50000002.txt": entry("nodule seen", "OBS-U")},
        "test.json": {
            "p10/p10000003/s50000003.txt": {
                "text": "mass seen",
                "labeler_1": {"entities": entry("mass seen", "OBS-DA")["entities"]},
                "labeler_2": {"entities": {}},
            }
        },
        "MIMIC-CXR_graphs.json": {
            "p10/p10000003/s50000009.txt": entry("edema again"),  # a tested patient's
            "p10/p10000004/s50000004.txt": entry("Mass seen"),  # a tested text
            "p10/p10000005/s50000005.txt": entry("opacity left"),
            "p10/p10000001/s50000001.txt": entry("effusion is small"),
            "p10/p10000006/s50000006.txt": {"text": "", "entities": {}},
        },
    }
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content))
    return {name: folder / name for name in files}


def test_radgraphs_files_with_presence_from_their_labels(tmp_path: Path) -> None:
    files = release(tmp_path)
    data = training_data.prepare(list(files.values()), RECIPE, tmp_path / "data")
    assert ids(data) == {"train": ["s50000001", "s50000005"], "validate": ["s50000002"], "test": ["s50000003"]}
    assert rows(data, "validate")[0]["completion"] == " nodule (uncertain)"
    assert rows(data, "test")[0]["completion"] == " mass (absent)"
    assert data.counts["left out: comes twice"] == 1
    assert data.counts["left out: no text"] == 1
    assert data.counts["left out: shares text or patient with another split"] == 2
    assert data.source == "MIMIC-CXR_graphs.json, dev.json, test.json, train.json"


def test_the_inference_graphs_alone_are_split_by_hash(tmp_path: Path) -> None:
    many = {f"p10/p1{n // 2:07}/s5{n:07}.txt": entry(f"nodule {n}") for n in range(200)}
    (tmp_path / "MIMIC-CXR_graphs.json").write_text(json.dumps(many))
    data = training_data.prepare([tmp_path / "MIMIC-CXR_graphs.json"], RECIPE, tmp_path / "data")
    found = ids(data)
    assert sum(map(len, found.values())) == 200
    assert all(found.values())
    patient = {f"s5{n:07}": n // 2 for n in range(200)}
    apart = [{patient[study] for study in studies} for studies in found.values()]
    assert not apart[0] & apart[1]
    assert not apart[0] & apart[2]


def test_images_are_chosen_by_view_and_studies_without_are_skipped_or_text_only(tmp_path: Path) -> None:
    run = run_of(tmp_path)
    seeing = replace(RECIPE, trainer="vlm-kg")
    shots: dict[str, list[tuple[str, str | None, str | None]]] = {
        "CXR3": [("a", "Lateral", "a.png"), ("b", "PA", "b.png")],
        "CXR6": [("c", "LATERAL", "c.png")],
        "CXR7": [("d", None, "d.png")],
        "CXR4": [("e", "PA", None), ("f", "AP", "f.png")],
        "CXR2": [("g", "Frontal", "gone.png")],
    }
    for _, path in run.chunks():
        table = pq.read_table(path).to_pylist()
        for row in table:
            row["images"] = [
                {"id": name, "view": view, "path": file, "rows": None, "columns": None}
                for name, view, file in shots.get(row["study_id"], [])
            ]
        pq.write_table(pa.Table.from_pylist(table, schema=ANNOTATIONS), path)

    def find(image: Image) -> Path | None:
        return None if image.path in (None, "gone.png") else tmp_path / str(image.path)

    data = training_data.prepare(run, seeing, tmp_path / "skip", find_image=find)
    assert ids(data) == {"train": ["CXR3", "CXR7"], "validate": ["CXR4"], "test": []}
    assert [row["image_id"] for row in rows(data, "train")] == ["b", "d"]
    assert rows(data, "validate")[0]["image_path"] == str(tmp_path / "f.png")
    assert data.counts["left out: no image"] == 3  # one of them would have shared its text with a tested one
    text = replace(seeing, data=replace(seeing.data, no_image="text-only"))
    data = training_data.prepare(run, text, tmp_path / "text", find_image=find)
    assert ids(data)["train"] == ["CXR3", "CXR6", "CXR7"]
    assert rows(data, "train")[1]["image_id"] is None
    assert (data.counts[training_examples.TEXT_ONLY], data.counts["train: images"]) == (3, 2)
    first = replace(seeing, data=replace(seeing.data, images="first"))
    data = training_data.prepare(run, first, tmp_path / "first", find_image=find)
    assert [row["image_id"] for row in rows(data, "train")] == ["a", "c", "d"]


@pytest.mark.parametrize(
    ("views", "which", "wanted"),
    [
        (["LATERAL"], "frontal", None),
        (["AP", "PA"], "frontal", "1"),
        (["LATERAL", "FRONTAL"], "frontal", "1"),
        (["Lateral", "Frontal"], "frontal", "1"),
        (["LATERAL", None], "frontal", "1"),
        (["LATERAL", "PA"], "first", "0"),
    ],
)
def test_training_takes_the_image_that_generating_takes(
    views: list[str | None], which: Any, wanted: str | None
) -> None:
    shots: list[dict[str, Any]] = [
        {"id": str(n), "view": v, "path": f"{n}.png", "rows": None, "columns": None} for n, v in enumerate(views)
    ]
    form = training_examples.Form("", "full", which, "skip", lambda image: Path(str(image.path)))
    image, _ = training_examples._image(shots, "s", form)
    generated = choose_image([Image(one["id"], "s", one["view"], one["path"]) for one in shots], which)
    assert (image.id if image else None, generated[0].id if generated else None) == (wanted, wanted)


def test_images_that_come_later_make_another_preparation(tmp_path: Path) -> None:
    run = run_of(tmp_path)
    shot = {"id": "a", "view": "PA", "path": "a.png", "rows": None, "columns": None}
    for _, path in run.chunks():
        table = pq.read_table(path).to_pylist()
        for row in table:
            row["images"] = [shot] if row["study_id"] == "CXR3" else []
        pq.write_table(pa.Table.from_pylist(table, schema=ANNOTATIONS), path)

    def find(image: Image) -> Path | None:
        place = tmp_path / str(image.path)
        return place if place.is_file() else None

    keys = [training_data.key(run, RECIPE, find_image=find)]
    for content in ("x", "xy"):  # a copy of the images on another machine makes the same pairs
        (tmp_path / "a.png").write_text(content)
        keys.append(training_data.key(run, RECIPE, find_image=find))
    assert keys[0] != keys[1] == keys[2]
    text = training_data.key(run, RECIPE)
    (tmp_path / "a.png").unlink()
    assert training_data.key(run, RECIPE, find_image=find) == keys[0]
    assert training_data.key(run, RECIPE) == text


def test_files_of_other_names_make_another_preparation(tmp_path: Path) -> None:
    file = release(tmp_path)["train.json"]
    named = training_data.key([file], RECIPE)
    assert training_data.key([file.rename(tmp_path / "dev.json")], RECIPE) != named


def test_splits_are_known_by_their_usual_names_and_others_are_counted(tmp_path: Path) -> None:
    names = ["Train", "training", " TRAIN", "val", "Valid", "dev", "Validation", "testing", "TEST", "holdout"]
    run = run_of(tmp_path, {n: f"Mass {n}." for n in range(1, 11)}, dict(enumerate(names, 1)))
    for paper_split in (False, True):
        data = training_data.prepare(run, RECIPE, tmp_path / f"data{paper_split}", paper_split=paper_split)
        assert ids(data) == {
            "train": ["CXR1", "CXR2", "CXR3"],
            "validate": ["CXR4", "CXR5", "CXR6", "CXR7"],
            "test": ["CXR8", "CXR9"],
        }
        assert data.counts["left out: split holdout"] == 1
