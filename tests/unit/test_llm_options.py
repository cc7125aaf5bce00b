"""Options of the language extractors, refused before anything is loaded; torch is needed only to generate."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from kgbuild import plugins
from kgbuild.domain import Image
from kgbuild.errors import DependencyMissing, FileMissing, KgbuildError, UsageError
from kgbuild.extractors import _llm_kg
from kgbuild.extractors._llm_options import COMMON, IMAGE, Settings, read_options
from kgbuild.extractors.llm_kg import LlmKgExtractor
from kgbuild.extractors.vlm_kg import VlmKgExtractor
from kgbuild.image_choice import choose_image
from kgbuild.pipelines import tally
from kgbuild.pipelines.records import read, to_annotation
from kgbuild.pipelines.runs import Manifest, Run
from kgbuild.pipelines.source import Source
from kgbuild.recipes import Decoding
from kgbuild.tables import ANNOTATIONS


def checkpoint(folder: Path, kind: str = "llm-kg", **more: Any) -> Path:
    folder.mkdir(parents=True)
    (folder / "kgbuild.json").write_text(json.dumps({"format": 1, "kind": kind, **more}))
    return folder


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "needs a trained model"),
        ({"checkpoint": "a", "model": "b"}, "needs a trained model"),
        ({"checkpoint": "a", "bums": "3"}, "has no option 'bums'"),
        ({"checkpoint": "a", "beams": "many"}, "beams=many is no number"),
        ({"checkpoint": "a", "beams": "0"}, "beams=0 is out of range"),
        ({"checkpoint": "a", "top_p": "1.5"}, "top_p=1.5 is out of range"),
        ({"checkpoint": "a", "temperature": "nan"}, "temperature=nan is out of range"),
        ({"checkpoint": "a", "chunk": "-1"}, "chunk=-1 is out of range"),
        ({"checkpoint": "a", "strategy": "luck"}, "strategy=luck is none of beam, greedy, top-p, top-k"),
        ({"checkpoint": "a", "certainty": "full"}, "certainty=full is none of rules, none"),
    ],
)
def test_what_cannot_be_is_refused(options: Mapping[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read_options("llm-kg", COMMON, options)


def test_an_unknown_option_names_the_known_ones() -> None:
    with pytest.raises(UsageError) as error:
        read_options("llm-kg", COMMON, {"no_image": "skip"})
    assert error.value.expected == ", ".join(sorted(COMMON))
    assert set(IMAGE) <= set(VlmKgExtractor.options)
    assert not set(IMAGE) & set(LlmKgExtractor.options)


def test_options_go_before_the_checkpoints_own_decoding() -> None:
    got = read_options("llm-kg", COMMON, {"checkpoint": "a", "beams": "2", "seed": "0"})
    assert got == Settings(checkpoint=Path("a"), decoding={"beams": 2, "seed": 0})
    trained = {"beams": 8, "max_new_tokens": 99, "of_another_version": 1}
    assert got.decode_with(trained) == Decoding(beams=2, max_new_tokens=99)


def test_a_missing_package_is_told_when_the_run_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = checkpoint(tmp_path / "c")
    monkeypatch.setattr(_llm_kg, "find_spec", lambda name: None)
    with pytest.raises(DependencyMissing, match="torch") as error:
        LlmKgExtractor(checkpoint=str(folder))
    assert error.value.exit_code == 3


@pytest.mark.skipif(find_spec("torch") is None, reason="the extra train is not installed")
def test_a_checkpoint_that_is_no_use_is_refused_when_the_run_starts(tmp_path: Path) -> None:
    with pytest.raises(FileMissing, match="no such checkpoint"):
        LlmKgExtractor(checkpoint=str(tmp_path / "nothing"))
    (tmp_path / "half").mkdir()
    with pytest.raises(KgbuildError, match="half-written"):
        LlmKgExtractor(checkpoint=str(tmp_path / "half"))
    with pytest.raises(KgbuildError, match="of kind vlm-kg"):
        LlmKgExtractor(checkpoint=str(checkpoint(tmp_path / "vlm", "vlm-kg")))
    with pytest.raises(UsageError, match="holds no image encoder"):
        VlmKgExtractor(checkpoint=str(tmp_path / "vlm"))


def test_vllm_takes_neither_beams_nor_constraints_and_is_asked_for_when_the_run_starts(tmp_path: Path) -> None:
    folder = str(checkpoint(tmp_path / "c"))
    with pytest.raises(UsageError, match="no beams"):
        LlmKgExtractor(checkpoint=folder, engine="vllm")
    with pytest.raises(UsageError, match="no constraint"):
        LlmKgExtractor(checkpoint=folder, engine="vllm", strategy="greedy", constraint="copy")
    with pytest.raises(DependencyMissing) as error:
        LlmKgExtractor(checkpoint=folder, engine="vllm", strategy="greedy")
    assert "requirements-vllm.txt" in (error.value.next_step or "")


def test_listing_the_extractors_imports_no_torch(tmp_path: Path) -> None:
    import subprocess

    code = (
        "import sys; from kgbuild import plugins; [plugins.find('extractors', n) for n in plugins.names('extractors')];"
        "sys.exit(any(name in sys.modules for name in ('torch', 'transformers', 'vllm')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert {"llm-kg", "vlm-kg"} <= set(plugins.names("extractors"))


def test_only_frontal_images_are_chosen_unless_the_first_is_asked_for() -> None:
    views = ["LATERAL", None, "AP", "pa", "LL", "Frontal", ""]
    images = [Image(str(i), "s", view, f"{i}.jpg") for i, view in enumerate(views)]
    images.append(Image("absent", "s", "PA", None))
    assert [image.id for image in choose_image(images)] == ["3", "2", "5", "1", "6"]
    assert [image.id for image in choose_image(images, "first")] == ["0", "1", "2", "3", "4", "5", "6"]
    assert choose_image(images[:1]) == []
    assert choose_image([]) == []


def test_an_image_is_found_under_the_image_folder_then_under_the_root(tmp_path: Path) -> None:
    root, images = tmp_path / "root", tmp_path / "images"
    for folder in (root, images):
        folder.mkdir()
        (folder / "both.png").touch()
    (root / "one.png").touch()
    source = Source("iu-xray", root, images)
    assert source.find_image(Image("1", "s", path="both.png")) == images / "both.png"
    assert source.find_image(Image("1", "s", path="one.png")) == root / "one.png"
    assert source.find_image(Image("1", "s", path="none.png")) is None
    assert source.find_image(Image("1", "s")) is None
    (tmp_path / "table.csv").touch()
    (tmp_path / "beside.png").touch()
    found = Source("huggingface", tmp_path / "table.csv").find_image(Image("1", "s", path="beside.png"))
    assert found == tmp_path / "beside.png"
    assert Source("examples").find_image(Image("1", "s", path="x.png")) is None


ROWS = [
    {
        "study_id": "a",
        "status": "annotated",
        "output": "x ; y",
        "rejected": ["y", "z"],
        "notes": ["cut at max_new_tokens"],
    },
    {"study_id": "b", "status": "annotated", "output": "", "rejected": [], "notes": []},
    {"study_id": "c", "status": "skipped", "stage": "skip", "reason": "no image"},
    {"study_id": "d", "status": "failed", "stage": "extract", "reason": "too long"},
]


def test_what_a_model_wrote_is_counted_and_a_skipped_study_is_no_failure() -> None:
    table = pa.Table.from_pylist(ROWS, schema=ANNOTATIONS)
    counts = tally.counts(table)
    assert {name: counts[name] for name in list(counts)[-4:]} == {
        "skipped": 1,
        "rejected pieces": 2,
        "studies with rejected pieces": 1,
        "cut at max_new_tokens": 1,
    }
    assert (counts["studies"], counts["failed"]) == (4, 1)
    assert [failure.study_id for failure in tally.failures(table)] == ["d"]


def test_what_a_model_wrote_is_read_back_and_older_chunks_lack_it(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    table = pa.Table.from_pylist(ROWS, schema=ANNOTATIONS)
    (tmp_path / "chunks").mkdir()
    pq.write_table(table, tmp_path / "chunks/000000.parquet")
    pq.write_table(table.drop_columns(["output", "rejected", "notes"]), tmp_path / "chunks/000001.parquet")
    run = Run(tmp_path, Manifest("annotations", "llm-kg", "d", "d", "c", {}, 4, 8))
    got = [annotation for annotation, _ in read(run)]
    assert [(one.output, one.rejected, one.notes) for one in got[:2]] == [
        ("x ; y", ("y", "z"), ("cut at max_new_tokens",)),
        ("", (), ()),
    ]
    assert [(one.output, one.rejected) for one in got[4:]] == [(None, ())] * 4
    assert to_annotation(table.to_pylist()[0]).output == "x ; y"
