"""Runs: chunks done once, shards, a catalog that can be lost, and a process that can be killed."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import kgbuild
from kgbuild import plugins
from kgbuild.domain import Annotation, Failure, Study
from kgbuild.errors import KgbuildError, UsageError, WorkspaceError
from kgbuild.pipelines import runs, stages
from kgbuild.pipelines.generate import Annotate
from kgbuild.pipelines.runs import Manifest, parse_shard
from kgbuild.pipelines.source import Source
from kgbuild.pipelines.status import status
from kgbuild.pipelines.workspace import Workspace


def source(limit: int = 20) -> Source:
    return kgbuild.resolve("examples", limit=limit)


def chunks(workspace: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted(workspace.glob("runs/rules-*/chunks/*"))}


def test_the_id_is_made_of_data_code_and_options() -> None:
    one = Manifest("annotations", "rules", "d", "data", "code", {"limit": 1}, 10, 25)
    assert one.id == Manifest("annotations", "rules", "d", "data", "code", {"limit": 1}, 10, 25, {"x": 1}).id
    others = [
        Manifest("annotations", "rules", "d", "other", "code", {"limit": 1}, 10, 25),
        Manifest("annotations", "rules", "d", "data", "other", {"limit": 1}, 10, 25),
        Manifest("annotations", "rules", "d", "data", "code", {"limit": 2}, 10, 25),
        Manifest("annotations", "rules", "e", "data", "code", {"limit": 1}, 10, 25),
    ]
    assert len({one.id, *(other.id for other in others)}) == 5
    assert one.id.startswith("rules-")
    assert (one.n_chunks, one.bounds(2)) == (3, (20, 25))
    assert Manifest("annotations", "rules", "d", "data", "code", {}, 10, 0).n_chunks == 1


def test_equal_content_at_another_root_is_the_same_run(tmp_path: Path) -> None:
    ids = set()
    for name in ("a", "b"):
        root = tmp_path / name
        root.mkdir()
        (root / "reports.csv").write_text("uid,findings,impression\n1,No effusion.,Normal.\n")
        ids.add(stages.generate(kgbuild.resolve("iu-xray", root), tmp_path / "W").runs)
    (root / "reports.csv").write_text("uid,findings,impression\n1,Small effusion.,Normal.\n")
    ids.add(stages.generate(kgbuild.resolve("iu-xray", root), tmp_path / "W").runs)
    ids.add(stages.generate(kgbuild.resolve("iu-xray", root), tmp_path / "W", sections=("impression",)).runs)
    assert len(ids) == 3
    pointers = Workspace.open(tmp_path / "W").pointers("iu-xray")
    newest = runs.find(Workspace.open(tmp_path / "W"), pointers["annotations"])
    assert newest.manifest.options["sections"] == ["impression"]


def test_no_time_host_or_path_stands_in_the_files(tmp_path: Path) -> None:
    stages.generate(source(), tmp_path / "W", command="kgbuild secret-command")
    for path in (tmp_path / "W").rglob("*"):
        if path.is_file() and path.name != "catalog.sqlite":
            data = path.read_bytes()
            assert str(tmp_path).encode() not in data, path
            assert b"secret-command" not in data, path


def test_the_workspace_is_private(tmp_path: Path) -> None:
    stages.generate(source(1), tmp_path / "W")
    assert (tmp_path / "W").stat().st_mode & 0o777 == 0o700


def test_shards_together_are_the_whole(tmp_path: Path) -> None:
    whole = stages.generate(source(), tmp_path / "A", chunk_size=6)
    assert (whole.done_now, whole.complete) == (4, True)
    for i in range(3):
        part = stages.generate(source(), tmp_path / "B", chunk_size=6, shard=(i, 3))
        assert part.complete == (i == 2)
        if not part.complete:
            with pytest.raises(KgbuildError, match="no complete annotation run"):
                stages.link(tmp_path / "B")
    assert chunks(tmp_path / "A") == chunks(tmp_path / "B")
    again = stages.generate(source(), tmp_path / "B", chunk_size=6)
    assert (again.done_now, again.counts) == (0, whole.counts)


def test_processes_give_the_same_bytes(tmp_path: Path) -> None:
    stages.generate(source(), tmp_path / "A", chunk_size=5, workers=1)
    stages.generate(source(), tmp_path / "B", chunk_size=5, workers=2)
    assert chunks(tmp_path / "A") == chunks(tmp_path / "B")


def test_an_incomplete_run_is_not_used(tmp_path: Path) -> None:
    first = stages.build(source(), tmp_path / "W", chunk_size=6)[0]
    next((tmp_path / "W").glob("runs/rules-*/chunks/000002.parquet")).unlink()
    with pytest.raises(WorkspaceError, match="1 of 4 chunks are still to be done"):
        stages.link(tmp_path / "W", run=first.runs[0])
    assert stages.generate(source(), tmp_path / "W", chunk_size=6).done_now == 1


def test_a_lost_catalog_is_rebuilt_from_the_files(tmp_path: Path) -> None:
    root = tmp_path / "iu"
    root.mkdir()
    (root / "reports.csv").write_text("uid,findings,impression\n1,No effusion.,\n1,Other.,\n2,,\n")
    workspace = tmp_path / "W"
    stages.build(kgbuild.resolve("iu-xray", root), workspace)
    before = status(workspace)
    (workspace / "catalog.sqlite").unlink()
    assert status(workspace) == before
    annotations = next(run for run in before if run.kind == "annotations")
    assert annotations.counts["studies"] == 2
    assert annotations.counts["empty"] == 1
    assert [failure.study_id for failure in annotations.failures] == ["CXR1"]


def test_a_damaged_catalog_says_how_to_go_on(tmp_path: Path) -> None:
    stages.generate(source(1), tmp_path / "W")
    (tmp_path / "W" / "catalog.sqlite").write_bytes(b"not a database" * 100)
    with pytest.raises(WorkspaceError, match=r"catalog cannot be used(.|\n)*rebuilt from the run files"):
        status(tmp_path / "W")


def test_failures_hold_no_report_text(tmp_path: Path) -> None:
    root = tmp_path / "iu"
    root.mkdir()
    (root / "reports.csv").write_bytes(b"uid,findings,impression\n1,SECRETWORD \xff here,\nx,SECRETWORD,\n2,fine,\n")
    summary = stages.generate(kgbuild.resolve("iu-xray", root), tmp_path / "W")
    assert summary.counts["failed"] + summary.counts["rejected"] == 2
    with sqlite3.connect(tmp_path / "W" / "catalog.sqlite") as db:
        dumped = "\n".join(db.iterdump())
    db.close()
    assert "SECRETWORD" not in dumped
    assert "CXR1" in dumped


class Breaks:
    """An extractor that cannot stand one study."""

    name = "breaks"

    def __init__(self, sections: Sequence[str], **options: str) -> None:
        self.sections = sections

    def fingerprint(self) -> str:
        return "0"

    def extract(self, studies: Iterable[Study]) -> Iterator[Annotation | Failure]:
        for study in studies:
            if study.id == "examples:ex003":
                raise ZeroDivisionError("with words of the report")
            yield Annotation(study.id, ())


def test_one_bad_study_never_stops_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find = plugins.find
    monkeypatch.setattr(plugins, "find", lambda kind, name: Breaks if name == "breaks" else find(kind, name))
    summary = stages.generate(source(6), tmp_path / "W", extractor="breaks")
    assert summary.counts["studies"] == 6
    assert summary.counts["failed"] == 1
    assert [(f.study_id, f.stage, f.reason) for f in summary.failures] == [
        ("examples:ex003", "extract", "ZeroDivisionError in the extractor")
    ]
    rows = pq.read_table(next((tmp_path / "W").glob("runs/breaks-*/chunks/*.parquet"))).to_pylist()
    assert [row["study_id"] for row in rows] == [f"examples:ex{i:03d}" for i in range(1, 7)]
    assert rows[2]["images"]


@pytest.mark.parametrize("text", ["", "1", "a/2", "2/2", "-1/2", "0/0", "0/2/3"])
def test_shards_that_are_none(text: str) -> None:
    with pytest.raises(UsageError, match="--shard"):
        parse_shard(text)


def test_kill_minus_nine_and_run_again_ends_the_same(tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    stages.build(source(48), whole, chunk_size=1)
    killed = tmp_path / "killed"
    code = (
        "import kgbuild, sys\nfrom pathlib import Path\n"
        "if __name__ == '__main__':\n"
        "    source = kgbuild.resolve('examples', limit=48)\n"
        f"    kgbuild.build(source, Path({str(killed)!r}), chunk_size=1, workers=int(sys.argv[1]))\n"
    )
    script = tmp_path / "script.py"
    script.write_text(code)
    for workers in ("1", "2"):
        process = subprocess.Popen(
            [sys.executable, str(script), workers], stderr=subprocess.DEVNULL, start_new_session=True
        )
        deadline = time.monotonic() + 60
        start = len(list(killed.glob("runs/*/chunks/*.parquet")))
        while len(list(killed.glob("runs/*/chunks/*.parquet"))) < start + 3 and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.wait()
        _wait_for_the_group(process.pid)  # its workers notice that it is gone, and end
    for path in killed.glob("runs/*/chunks/*.parquet"):
        pq.read_table(path)  # what exists is whole
    stages.build(source(48), killed, chunk_size=1)
    first = {
        p.relative_to(whole): p.read_bytes() for p in sorted(whole.rglob("*")) if p.suffix in (".parquet", ".json")
    }
    second = {
        p.relative_to(killed): p.read_bytes() for p in sorted(killed.rglob("*")) if p.suffix in (".parquet", ".json")
    }
    assert first == second
    assert not list(killed.rglob("*.part"))


def _wait_for_the_group(leader: int, seconds: float = 30) -> None:
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        try:
            os.killpg(leader, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)


def test_workers_end_with_their_parent(tmp_path: Path) -> None:
    code = (
        "import os, time\nfrom concurrent.futures import ProcessPoolExecutor\nimport multiprocessing\n"
        "from kgbuild.pipelines.runs import _follow_parent\n"
        "if __name__ == '__main__':\n"
        "    spawn = multiprocessing.get_context('spawn')\n"
        "    pool = ProcessPoolExecutor(1, mp_context=spawn, initializer=_follow_parent)\n"
        "    print(pool.submit(os.getpid).result(), flush=True)\n    time.sleep(60)\n"
    )
    script = tmp_path / "pool.py"
    script.write_text(code)
    process = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    worker = int(process.stdout.readline())
    process.kill()
    process.wait()
    process.stdout.close()
    for _ in range(100):
        try:
            os.kill(worker, 0)
        except ProcessLookupError:
            break
        if Path(f"/proc/{worker}/stat").read_text().split()[2] == "Z":
            break
        time.sleep(0.1)
    else:
        pytest.fail("the worker outlived its parent")


def test_the_manifest_says_what_was_run(tmp_path: Path) -> None:
    summary = stages.generate(source(3), tmp_path / "W")
    manifest = json.loads((tmp_path / "W" / "runs" / summary.runs[0] / "run.json").read_text())
    assert manifest["dataset"] == "examples"
    assert manifest["options"] == {"limit": 3, "sections": ["findings", "impression"], "split": None, "studies": None}
    assert manifest["n_studies"] == 3
    job = Annotate(source(3))
    assert job.manifest().id == summary.runs[0]
