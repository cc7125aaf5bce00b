"""``generate --extractor llm-kg``: outputs kept, resumable, safe where a checkpoint says nothing of presence."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch

import kgbuild
from kgbuild.domain import Annotation, Study
from kgbuild.errors import KgbuildError
from kgbuild.extractors.llm_kg import LlmKgExtractor
from kgbuild.notation.triplets import parse_triplets
from kgbuild.pipelines import runs, stages
from kgbuild.pipelines.workspace import Workspace
from tests.neural.extractors import made
from tests.neural.generating.conftest import lively


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made.llm(tmp_path_factory.mktemp("llm") / "c")


def rows(workspace: Path, run: str) -> list[dict[str, Any]]:
    found = runs.find(Workspace.open(workspace), run)
    return [row for _, path in found.chunks() for row in pq.read_table(path).to_pylist()]


def generate(workspace: Path, checkpoint: Path, limit: int = 8, **options: str) -> stages.Summary:
    source = kgbuild.resolve("examples", limit=limit)
    return stages.generate(
        source, workspace, extractor="llm-kg", workers=2, options={"checkpoint": str(checkpoint), **options}
    )


def test_outputs_are_kept_counted_and_grounded(checkpoint: Path, tmp_path: Path) -> None:
    summary = generate(tmp_path, checkpoint, constraint="triplets", max_new_tokens="40", strategy="top-p")
    got = [row for row in rows(tmp_path, summary.runs[0]) if row["status"] == "annotated"]
    assert got
    assert all(isinstance(row["output"], str) for row in got)
    assert summary.counts["rejected pieces"] == sum(len(row["rejected"]) for row in got) > 0
    assert summary.counts["studies with rejected pieces"] == sum(bool(row["rejected"]) for row in got)
    cut = sum("cut at max_new_tokens" in row["notes"] for row in got)
    assert summary.counts.get("cut at max_new_tokens", 0) == cut > 0
    shown = kgbuild.explain(tmp_path, got[0]["study_id"])
    assert shown.written == {name: got[0][name] for name in ("output", "rejected", "notes")}
    for row in got:
        for entity in row["entities"]:
            assert row["tokens"][entity["start"] : entity["end"]] == entity["text"].split(" ")


def test_held_to_the_reports_words_nothing_whole_is_rejected_and_a_graph_comes_of_it(
    checkpoint: Path, tmp_path: Path
) -> None:
    summaries = stages.build(
        kgbuild.resolve("examples", limit=6),
        tmp_path,
        extractor="llm-kg",
        options={"checkpoint": str(checkpoint), "strategy": "beam", "beams": "2"},
    )
    got = [row for row in rows(tmp_path, summaries[0].runs[0]) if row["output"]]
    assert summaries[0].counts["entities"] > 0
    for row in got:
        cut = "cut at max_new_tokens" in row["notes"]
        assert len(row["rejected"]) <= cut or set(" ".join(row["rejected"]).lower().split()) & {"no", "not", "without"}
        assert cut or not parse_triplets(row["output"])[1]
    counts = kgbuild.query(tmp_path, "graph-counts").rows
    assert counts


def test_the_run_is_the_checkpoints_the_options_and_the_codes_not_the_batchs_or_the_paths(
    checkpoint: Path, tmp_path: Path
) -> None:
    shutil.copytree(checkpoint, tmp_path / "elsewhere")
    same = {
        LlmKgExtractor(checkpoint=str(folder), **more).fingerprint()
        for folder, more in ((checkpoint, {}), (tmp_path / "elsewhere", {"batch_size": "2", "device": "cpu"}))
    }
    other = made.llm(tmp_path / "other", seed=5)
    more = {
        LlmKgExtractor(checkpoint=str(other)).fingerprint(),
        LlmKgExtractor(checkpoint=str(checkpoint), beams="3").fingerprint(),
        LlmKgExtractor(("impression",), checkpoint=str(checkpoint)).fingerprint(),
    }
    assert (len(same), len(more), len(same | more)) == (1, 3, 4)


def test_progress_moves_within_a_chunk(checkpoint: Path, tmp_path: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    stages.generate(
        kgbuild.resolve("examples", limit=8),
        tmp_path,
        extractor="llm-kg",
        options={"checkpoint": str(checkpoint), "batch_size": "2", "chunk": "4"},
        progress=lambda *call: seen.append(call),
    )
    steps = list(dict.fromkeys(done for _, done, _ in seen))
    assert {2, 4, 6, 8} <= set(steps)
    assert steps == sorted(steps)
    assert {total for _, _, total in seen} == {8}


def test_a_killed_run_goes_on_and_ends_as_a_straight_one(checkpoint: Path, tmp_path: Path) -> None:
    options = {"checkpoint": str(checkpoint), "chunk": "2"}
    source = kgbuild.resolve("examples", limit=8)
    straight = stages.generate(source, tmp_path / "A", extractor="llm-kg", options=options)
    command = [sys.executable, "-m", "kgbuild", "generate", "--dataset", "examples", "--limit", "8", "--quiet"]
    command += [
        "--extractor",
        "llm-kg",
        "--checkpoint",
        str(checkpoint),
        "--option",
        "chunk=2",
        "-w",
        str(tmp_path / "B"),
    ]
    process = subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"})
    ends = time.monotonic() + 120
    while process.poll() is None and not list((tmp_path / "B").glob("runs/*/chunks/*.parquet")):
        assert time.monotonic() < ends
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    again = stages.generate(source, tmp_path / "B", extractor="llm-kg", options=options)
    assert again.runs == straight.runs
    assert 0 < len(list((tmp_path / "B").glob("runs/*/chunks/*"))) == 4
    assert again.done_now < 4
    assert rows(tmp_path / "B", again.runs[0]) == rows(tmp_path / "A", straight.runs[0])


def test_shards_together_are_the_whole(checkpoint: Path, tmp_path: Path) -> None:
    options = {"checkpoint": str(checkpoint), "chunk": "2"}
    source = kgbuild.resolve("examples", limit=6)
    whole = stages.generate(source, tmp_path / "A", extractor="llm-kg", options=options)
    parts = [
        stages.generate(source, tmp_path / "B", extractor="llm-kg", options=options, shard=(i, 2)) for i in range(2)
    ]
    assert [part.complete for part in parts] == [False, True]
    assert rows(tmp_path / "B", whole.runs[0]) == rows(tmp_path / "A", whole.runs[0])


def test_a_checkpoint_that_says_nothing_of_presence_makes_no_denied_finding_present(tmp_path: Path) -> None:
    plain = made.llm(tmp_path / "plain", certainty="none", max_new_tokens=60)
    for mode in ("rules", "none"):
        summary = generate(tmp_path / mode, plain, limit=8, certainty=mode)
        assert any("carry no presence" in hint for hint in summary.hints)
        for row in rows(tmp_path / mode, summary.runs[0]):
            for entity in row["entities"] or ():
                if mode == "none":
                    assert entity["presence"] == ("present" if entity["type"] == "Anatomy" else "uncertain")
                assert entity["rule"] == f"presence by {mode}"


def test_a_report_longer_than_the_context_is_quarantined_with_its_tokens(checkpoint: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    long = "No pleural effusion. " * 700
    (root / "reports.csv").write_text(f"uid,findings,impression\n1,{long},Stable.\n2,Small effusion.,Stable.\n")
    source = kgbuild.resolve("iu-xray", root)
    options = {"checkpoint": str(checkpoint)}
    summary = stages.generate(source, tmp_path / "W", extractor="llm-kg", options=options)
    [failure] = summary.failures
    assert failure.study_id == "CXR1"
    assert "more than the model's context of 2048" in failure.reason
    assert "effusion" not in failure.reason
    assert (summary.counts["annotated"], summary.counts["failed"]) == (1, 1)


def test_an_error_in_generating_stops_and_blames_no_study(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: Any, **inputs: Any) -> Any:
        raise RuntimeError("CUDA error: device-side assert triggered")

    monkeypatch.setattr("transformers.generation.GenerationMixin.generate", broken)
    with pytest.raises(KgbuildError, match="RuntimeError while generating"):
        generate(tmp_path, checkpoint)
    assert not list(tmp_path.glob("runs/*/chunks/*"))


def test_memory_that_runs_out_is_told_in_the_summary(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers.generation import GenerationMixin

    whole = GenerationMixin.generate

    def small(self: Any, **inputs: Any) -> Any:
        if len(inputs["input_ids"]) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return whole(self, **inputs)

    before = generate(tmp_path / "A", checkpoint)
    monkeypatch.setattr(GenerationMixin, "generate", small)
    after = generate(tmp_path / "B", checkpoint)
    assert after.hints == ("out of GPU memory with 4 reports at a time: going on with 2",)
    assert rows(tmp_path / "A", before.runs[0]) == rows(tmp_path / "B", after.runs[0])


def test_empty_reports_are_empty_and_an_untuned_model_is_told_to_be_one(tmp_path: Path) -> None:
    folder = tmp_path / "hf"
    model, tokenizer = lively()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    extractor = LlmKgExtractor(model=str(folder), strategy="greedy", max_new_tokens="8")
    assert any("baseline" in hint for hint in extractor.hints)
    found = kgbuild.resolve("examples", limit=2).open().studies()
    good = [study for study in islice(found, 2) if isinstance(study, Study)]
    got = list(extractor.extract([replace(good[0], report=None), good[1]]))
    assert got[0] == Annotation(good[0].id, (), extractor="llm-kg")
    assert isinstance(got[1], Annotation)
    assert got[1].output
