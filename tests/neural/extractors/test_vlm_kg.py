"""``generate --extractor vlm-kg``: a study's image is found, embedded once, and missed or damaged without harm."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from PIL import Image as Picture
from typer.testing import CliRunner

import kgbuild
from kgbuild.cli import app
from kgbuild.errors import KgbuildError, UsageError
from kgbuild.extractors.vlm_kg import VlmKgExtractor
from kgbuild.pipelines import runs, stages
from kgbuild.pipelines.workspace import Workspace
from kgbuild.synthesis import make_mimic
from tests.neural.extractors import made


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made.vlm(tmp_path_factory.mktemp("vlm") / "c", made.encoder())


@pytest.fixture
def iu(tmp_path: Path) -> Path:
    """Four studies: two with an image, one without, one whose image is damaged."""
    root = tmp_path / "iu"
    (root / "images").mkdir(parents=True)
    (root / "reports.csv").write_text(
        "uid,findings,impression\n1,Small right pleural effusion.,Stable.\n2,No pneumothorax.,Normal.\n"
        "3,Clear lungs.,Normal.\n4,Opacity at the left base.,Stable.\n"
    )
    rows = ["1,1_IM-0001-3001.dcm.png,Lateral", "1,1_IM-0001-4001.dcm.png,Frontal", "2,2_IM-0002-1001.dcm.png,Frontal"]
    (root / "projections.csv").write_text(
        "\n".join(["uid,filename,projection", *rows, "4,4_IM-0004-1001.dcm.png,Frontal"])
    )
    for i, row in enumerate(rows):
        Picture.new("L", (40, 32), 60 * i + 20).save(root / "images" / row.split(",")[1])
    (root / "images" / "4_IM-0004-1001.dcm.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    return root


def generate(root: Path, workspace: Path, checkpoint: Path, **options: str) -> stages.Summary:
    return stages.generate(
        kgbuild.resolve("iu-xray", root),
        workspace,
        extractor="vlm-kg",
        options={"checkpoint": str(checkpoint), **options},
    )


def rows(workspace: Path, run: str) -> dict[str, dict[str, Any]]:
    found = runs.find(Workspace.open(workspace), run)
    return {row["study_id"]: row for _, path in found.chunks() for row in pq.read_table(path).to_pylist()}


def test_no_image_is_skipped_and_counted_and_a_damaged_one_is_quarantined(
    iu: Path, tmp_path: Path, checkpoint: Path
) -> None:
    summary = generate(iu, tmp_path / "W", checkpoint)
    got = rows(tmp_path / "W", summary.runs[0])
    assert {study: row["status"] for study, row in got.items()} == {
        "CXR1": "annotated",
        "CXR2": "annotated",
        "CXR3": "skipped",
        "CXR4": "failed",
    }
    assert got["CXR3"]["reason"] == "no image"
    [failure] = summary.failures
    assert (failure.study_id, failure.where) == ("CXR4", "images/4_IM-0004-1001.dcm.png")
    assert "damaged" in failure.reason
    assert str(tmp_path) not in failure.reason
    assert summary.counts["skipped"] == 1


def test_or_read_without_one(iu: Path, tmp_path: Path, checkpoint: Path) -> None:
    summary = generate(iu, tmp_path / "W", checkpoint, no_image="text-only")
    got = rows(tmp_path / "W", summary.runs[0])["CXR3"]
    assert (got["status"], got["notes"][-1]) == ("annotated", "text only: no image")
    assert summary.counts["text only: no image"] == 1


def test_embeddings_are_computed_once_and_anew_where_the_file_changed(
    iu: Path, tmp_path: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kgbuild.models.medclip import ImageEncoder

    embed, sizes = ImageEncoder.embed, []

    def counted(self: Any, images: Any) -> Any:
        sizes.append(len(images))
        return embed(self, images)

    monkeypatch.setattr(ImageEncoder, "embed", counted)
    first = generate(iu, tmp_path / "W", checkpoint)
    second = generate(iu, tmp_path / "W", checkpoint, max_new_tokens="25")
    assert first.runs != second.runs
    assert sizes == [2]
    Picture.new("L", (48, 32), 200).save(iu / "images" / "2_IM-0002-1001.dcm.png")
    generate(iu, tmp_path / "W", checkpoint, max_new_tokens="26")
    assert sizes == [2, 1]
    [cache] = (tmp_path / "W" / "cache" / "embeddings").glob("*.sqlite")
    cache.write_bytes(b"no database" * 1000)
    generate(iu, tmp_path / "W", checkpoint, max_new_tokens="27")
    assert sizes == [2, 1, 2]


def test_images_may_lie_in_a_folder_of_their_own(iu: Path, tmp_path: Path, checkpoint: Path) -> None:
    (iu / "images").rename(tmp_path / "pictures")
    source = kgbuild.resolve("iu-xray", iu, tmp_path / "pictures")
    options = {"checkpoint": str(checkpoint)}
    summary = stages.generate(source, tmp_path / "W", extractor="vlm-kg", options=options)
    assert summary.counts["annotated"] == 2


def test_another_image_encoder_than_the_one_trained_with_is_refused(iu: Path, tmp_path: Path) -> None:
    trained, other = made.encoder(0), made.encoder(1)
    bare = made.vlm(tmp_path / "bare", None, trained)
    trained.save(tmp_path / "trained")
    other.save(tmp_path / "other")
    with pytest.raises(KgbuildError, match="image encoder differs"):
        generate(iu, tmp_path / "W", bare, image_encoder=str(tmp_path / "other"))
    assert not list((tmp_path / "W").glob("runs/*/chunks/*.parquet"))
    summary = generate(iu, tmp_path / "W", bare, image_encoder=str(tmp_path / "trained"))
    assert summary.counts["annotated"] == 2


def test_the_image_options_are_part_of_the_run(checkpoint: Path) -> None:
    given: list[dict[str, str]] = [{}, {"no_image": "text-only"}, {"images": "first"}]
    assert len({VlmKgExtractor(checkpoint=str(checkpoint), **more).fingerprint() for more in given}) == 3


def test_from_the_command_line_on_a_synthetic_mimic_into_a_graph(tmp_path: Path, checkpoint: Path) -> None:
    make_mimic(tmp_path / "mimic", 6, 3, images=True)
    common = ["--dataset", "mimic", "--root", str(tmp_path / "mimic"), "-w", str(tmp_path / "W")]
    model = [
        "--extractor",
        "vlm-kg",
        "--checkpoint",
        str(checkpoint),
        "--option",
        "strategy=beam",
        "--option",
        "beams=2",
    ]
    run = CliRunner()
    plan = run.invoke(app, ["generate", *common, *model, "--dry-run", "--format", "json"], prog_name="kgbuild")
    assert (plan.exit_code, json.loads(plan.stdout)["extractor"]) == (0, "vlm-kg")
    done = run.invoke(app, ["generate", *common, *model], prog_name="kgbuild")
    assert done.exit_code == 0, done.stderr
    assert "6 studies" in done.stderr
    assert f"run {json.loads(plan.stdout)['run']}" in done.stderr
    for command in ("link", "load"):
        assert run.invoke(app, [command, "-w", str(tmp_path / "W"), "--quiet"]).exit_code == 0
    table = kgbuild.query(tmp_path / "W", "graph-counts")
    counts = {str(row[0]): row[-1] for row in table.rows}
    assert counts["Study"] == 6
    mentions = counts.get("Observation", 0) + counts.get("Anatomy", 0)
    assert mentions > 0
    unknown = run.invoke(app, ["generate", *common, *model, "--option", "no_images=skip"], prog_name="kgbuild")
    assert unknown.exit_code == 2
    assert "has no option 'no_images'" in unknown.stderr


@pytest.mark.parametrize("where", ["_load", "embed"])
def test_a_fault_of_the_machine_stops_the_run_and_marks_no_study(
    iu: Path, tmp_path: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    import torch

    from kgbuild.models.medclip import ImageEncoder

    def full(*given: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory")

    def broken(*given: Any) -> Any:
        raise RuntimeError("CUDA error: device-side assert triggered")

    owner: Any = VlmKgExtractor if where == "_load" else ImageEncoder
    for fault, message in ((full, "memory"), (broken, "RuntimeError while preparing images")):
        with monkeypatch.context() as patch:
            patch.setattr(owner, where, fault)
            with pytest.raises(KgbuildError, match=message):
                generate(iu, tmp_path / "W", checkpoint)
    assert not list((tmp_path / "W").glob("runs/*/chunks/*.parquet"))
    assert generate(iu, tmp_path / "W", checkpoint).counts["annotated"] == 2


@pytest.mark.parametrize("device", ["foo", "cuda:99", "cuda:", "cuda:-1", "cpu:0"])
def test_a_device_that_is_not_there_is_refused_before_anything_is_read(
    iu: Path, tmp_path: Path, checkpoint: Path, device: str
) -> None:
    with pytest.raises(UsageError, match=f"device={device} is none of this machine's devices") as caught:
        generate(tmp_path / "absent", tmp_path / "W", checkpoint, device=device)
    assert "cpu, cuda or cuda:N with N < " in str(caught.value)
    generate(iu, tmp_path / "W", checkpoint, device="cpu")
    with pytest.raises(UsageError):  # although all is done
        generate(iu, tmp_path / "W", checkpoint, device=device)


def test_studies_that_failed_are_not_said_to_lack_their_sections(iu: Path, tmp_path: Path, checkpoint: Path) -> None:
    for picture in (iu / "images").iterdir():
        picture.write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    (iu / "reports.csv").write_text("uid,findings,impression\n1,Effusion.,Stable.\n2,Clear.,Normal.\n")
    summary = generate(iu, tmp_path / "W", checkpoint)
    assert (summary.counts["failed"], summary.hints) == (2, ())
    (iu / "reports.csv").write_text("uid,findings,impression\n1,,\n2,,\n")
    assert generate(iu, tmp_path / "W", checkpoint, max_new_tokens="25").hints == (
        "no study has a section findings, impression: the graph will hold studies and images only",
    )
