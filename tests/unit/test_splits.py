"""Training data: no patient and no text in two splits, published test sets kept."""

from __future__ import annotations

import json
from pathlib import Path

import kgbuild
from kgbuild.pipelines import runs, stages
from kgbuild.pipelines.export import export
from kgbuild.pipelines.splits import disjoint
from kgbuild.pipelines.workspace import Workspace

HEADER = "uid,findings,impression\n"


def assigned(tmp_path: Path, texts: dict[int, str], splits: dict[int, str]) -> dict[str, str | None]:
    root = tmp_path / "iu"
    root.mkdir()
    (root / "reports.csv").write_text(HEADER + "".join(f"{uid},{text},\n" for uid, text in texts.items()))
    if splits:
        rows = "".join(f"CXR{uid},{uid},{split},\n" for uid, split in splits.items())
        (root / "r2gen_split.csv").write_text("id,uid,split,image_ids\n" + rows)
    summary = stages.generate(kgbuild.resolve("iu-xray", root), tmp_path / "W")
    return disjoint(runs.find(Workspace.open(tmp_path / "W"), summary.runs[0])).split


def test_a_training_text_that_is_also_tested_is_left_out(tmp_path: Path) -> None:
    texts = {1: "Clear.", 2: "CLEAR.", 3: "Effusion.", 4: "Mass.", 5: "", 6: "Mass."}
    found = assigned(tmp_path, texts, {1: "train", 2: "test", 3: "train", 4: "val"})
    assert found == {"CXR1": None, "CXR2": "test", "CXR3": "train", "CXR4": "val", "CXR5": None, "CXR6": None}


def test_a_study_without_a_split_goes_with_those_that_share_its_text(tmp_path: Path) -> None:
    texts = {uid: f"Nodule {uid % 30}." for uid in range(1, 61)}  # 31 to 60 repeat 1 to 30
    found = assigned(tmp_path, texts, {uid: "train" if uid < 20 else "test" for uid in range(1, 31)})
    assert {found[f"CXR{uid}"] for uid in range(31, 50)} == {"train"}
    assert {found[f"CXR{uid}"] for uid in range(50, 61)} == {None}


def test_without_a_split_equal_texts_go_together(tmp_path: Path) -> None:
    texts = {uid: f"Nodule {uid % 40}." for uid in range(1, 201)}
    found = assigned(tmp_path, texts, {})
    by_text: dict[str, set[str | None]] = {}
    for uid, text in texts.items():
        by_text.setdefault(text, set()).add(found[f"CXR{uid}"])
    assert all(len(splits) == 1 for splits in by_text.values())
    assert set(found.values()) == {"train", "validate", "test"}


def test_instruction_data_of_the_examples(built: Path, tmp_path: Path) -> None:
    counts = export(built, "triplets", tmp_path / "t.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "t.jsonl").read_text().splitlines()]
    assert counts["written"] == len(rows) == 47
    assert counts["left out: no text"] == 1
    assert set(rows[0]) == {"study_id", "split", "prompt", "completion"}
    assert {row["split"] for row in rows} == {"train", "validate", "test"}
    assert all(row["completion"].startswith(" ") for row in rows)
    assert any("(absent)" in row["completion"] for row in rows)
    export(built, "triplets", tmp_path / "plain.jsonl", certainty="none")
    assert "(absent)" not in (tmp_path / "plain.jsonl").read_text()
