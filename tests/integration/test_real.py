"""The whole path on the real IU reports: counts, contracts, and the scores that this part promises."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import kgbuild
from kgbuild.pipelines.stages import Summary

pytestmark = [pytest.mark.integration, pytest.mark.real]


def test_every_study_and_image_is_there(iu: tuple[Path, list[Summary]]) -> None:
    workspace, summaries = iu
    counts = summaries[0].counts
    assert (counts["studies"], counts["empty"], counts["failed"], counts["rejected"]) == (3601, 25, 0, 0)
    assert (counts["images"], counts["images_absent"]) == (6959, 40)
    rows = dict(kgbuild.query(workspace, "graph-counts").rows)
    assert (rows["Study"], rows["Image"], rows["Patient"]) == (3601, 6959, 0)


def test_again_changes_no_byte(iu: tuple[Path, list[Summary]], real_data: Path) -> None:
    workspace, _ = iu
    before = {p: p.read_bytes() for p in workspace.rglob("*.parquet")}
    again = kgbuild.build(kgbuild.resolve("iu-xray", real_data / "iu_xray"), workspace)
    assert [summary.done_now for summary in again] == [0, 0, 0]
    assert {p: p.read_bytes() for p in workspace.rglob("*.parquet")} == before


def test_char_offsets_point_into_the_fields(iu: tuple[Path, list[Summary]], real_data: Path) -> None:
    workspace, _ = iu
    with (real_data / "iu_xray" / "reports.csv").open(newline="") as stream:
        reports = {f"CXR{row['uid']}": row for row in csv.DictReader(stream)}
    for label in ("Observation", "Anatomy"):
        for row in pq.read_table(workspace / "graph" / "nodes" / f"{label}.parquet").to_pylist():
            field = reports[row["study_id"]][row["section"]]
            place = (row["study_id"], row["char_start"], row["char_end"])
            assert "".join(field[row["char_start"] : row["char_end"]].split()) == row["text"].replace(" ", ""), place


def test_radgraph_export_is_the_contract_and_scores(
    iu: tuple[Path, list[Summary]], real_data: Path, tmp_path: Path
) -> None:
    workspace, _ = iu
    out = tmp_path / "radgraph.json"
    kgbuild.export(workspace, "radgraph", out)
    exported = json.loads(out.read_text())
    assert list(exported) == sorted(exported)
    assert len(exported) == 3601
    gold = json.loads((real_data / "iu_gold" / "dev.json").read_text())
    assert all(exported[key]["text"] == entry["text"] for key, entry in gold.items())
    scores, failures = kgbuild.evaluate_triplets(str(real_data / "iu_gold" / "dev.json"), str(out))
    assert failures == []
    assert scores["entity"]["f1"]["value"] >= 0.93
    assert scores["relation"]["f1"]["value"] >= 0.85


def test_the_three_forms_give_one_graph(iu: tuple[Path, list[Summary]], real_data: Path, tmp_path: Path) -> None:
    """The XML's 300 studies have the same mentions as in the CSV."""
    workspace, _ = iu
    source = kgbuild.resolve("iu-xray", real_data / "iu_xray", options={"form": "xml"})
    kgbuild.build(source, tmp_path / "xml")
    kept = set(pq.read_table(tmp_path / "xml" / "graph" / "nodes" / "Study.parquet")["id"].to_pylist())
    assert len(kept) == 300

    def mentions(where: Path) -> set[tuple[str, str]]:
        rows = pq.read_table(where / "graph" / "nodes" / "Observation.parquet", columns=["id", "presence"]).to_pylist()
        return {(row["id"], row["presence"]) for row in rows}

    csv_mentions = {m for m in mentions(workspace) if m[0].split(":")[0] in kept}
    in_both = {m[0].split(":")[0] for m in csv_mentions}
    assert {m for m in mentions(tmp_path / "xml") if m[0].split(":")[0] in in_both} == csv_mentions
