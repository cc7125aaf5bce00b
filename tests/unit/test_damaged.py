"""A workspace whose files were cut short or altered: the file is named, and the named command repairs it."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import kgbuild
from kgbuild import parquet
from kgbuild.errors import KgbuildError, StoreError, UsageError, WorkspaceError
from kgbuild.pipelines import runs, stages
from kgbuild.pipelines.evaluate import evaluate_triplets
from kgbuild.pipelines.evaluate_text import evaluate_text
from kgbuild.pipelines.explain import explain
from kgbuild.pipelines.export import export
from kgbuild.pipelines.status import doctor, status
from kgbuild.pipelines.training_examples import Form, from_run
from kgbuild.pipelines.workspace import Workspace
from kgbuild.stores.embedded import EmbeddedStore

COMMAND = "kgbuild build --dataset examples --limit 20 -w kg"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    workspace = tmp_path_factory.mktemp("made") / "kg"
    again(workspace)
    return workspace


@pytest.fixture
def kg(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "kg"))


def again(workspace: Path) -> list[stages.Summary]:
    return stages.build(kgbuild.resolve("examples", limit=20), workspace, chunk_size=6, command=COMMAND)


def only(folder: Path, pattern: str) -> Path:
    (found,) = folder.glob(pattern)
    return found


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def scratch(path: Path) -> None:
    """Alter bytes within, of the first column's first page, and leave the footer."""
    data = bytearray(path.read_bytes())
    data[4:60] = b"\xff" * 56
    path.write_bytes(data)


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*.parquet"))}


def reading(kg: Path) -> list[Callable[[], Any]]:
    """Everything that reads a whole annotation run."""
    run = only(kg, "runs/rules-*").name
    return [
        lambda: explain(kg, "examples:ex020"),
        lambda: examples(runs.find(Workspace.open(kg), run)),
        lambda: export(kg, "radgraph", kg.parent / "out.json"),
        lambda: export(kg, "triplets", kg.parent / "out.jsonl"),
        lambda: evaluate_triplets(run, run, workspace=kg),
        lambda: evaluate_text(run, run, workspace=kg),
        lambda: stages.link(kg),
        lambda: stages.load(kg),
    ]


def examples(run: runs.Run) -> list[dict[str, Any]]:
    """What is trained on."""
    form = Form("{report}", "full", "frontal", "skip", None)
    return [*from_run(run, form, Counter())]


def test_a_chunk_cut_short_is_named_by_all_and_made_anew_by_the_command_named(kg: Path, made: Path) -> None:
    chunk = only(kg, "runs/rules-*/chunks/000003.parquet")
    cut(chunk)
    for read in reading(kg):
        with pytest.raises(WorkspaceError) as caught:
            read()
        assert str(caught.value).splitlines() == [
            f"{chunk} of run {chunk.parents[1].name} is damaged",
            "  expected  a whole Parquet file",
            f"  next      `{COMMAND}` makes it anew and keeps the others",
        ]
    told = {run.kind: (run.chunks_done, run.chunks, run.damaged) for run in status(kg)}
    assert told == {"annotations": (3, 4, 1), "links": (4, 4, 0)}
    assert [summary.done_now for summary in again(kg)] == [1, 0, 0]
    assert files(kg / "runs") == files(made / "runs")
    for read in reading(kg):
        read()


def test_a_link_chunk_cut_short_is_made_anew_too(kg: Path, made: Path) -> None:
    chunk = only(kg, "runs/lexical-*/chunks/000001.parquet")
    cut(chunk)
    for read in (lambda: stages.load(kg), lambda: explain(kg, "examples:ex001")):
        with pytest.raises(WorkspaceError, match=r"000001.parquet of run lexical-\w+ is damaged"):
            read()
    assert stages.link(kg).done_now == 1
    assert files(kg / "runs") == files(made / "runs")


def test_several_are_counted_and_a_lost_catalog_is_no_matter(kg: Path) -> None:
    for number in (1, 2):
        cut(only(kg, f"runs/rules-*/chunks/00000{number}.parquet"))
    (kg / "catalog.sqlite").unlink()
    with pytest.raises(WorkspaceError) as caught:
        stages.link(kg)
    assert "000001.parquet and 1 other chunks of run rules-" in caught.value.message
    assert caught.value.next_step == "the command that started the run makes it anew and keeps the others"


def test_a_chunk_altered_within_is_named_and_made_anew_once_removed(kg: Path, made: Path) -> None:
    chunk = only(kg, "runs/rules-*/chunks/000001.parquet")
    scratch(chunk)
    for read in reading(kg)[1:6]:  # explain looks at the footers only, to find the chunk
        with pytest.raises(WorkspaceError) as caught:
            read()
        assert str(caught.value).splitlines() == [
            f"{chunk} is damaged",
            f"  next      remove that file; then `{COMMAND}` makes it anew and keeps the others",
        ]
    chunk.unlink()
    assert [summary.done_now for summary in again(kg)] == [1, 0, 0]
    assert files(kg / "runs") == files(made / "runs")


@pytest.mark.parametrize("harm", [cut, Path.unlink, lambda path: path.write_bytes(b"")])
def test_a_graph_table_that_is_not_whole_is_built_anew(harm: Callable[[Path], Any], kg: Path, made: Path) -> None:
    harm(kg / "graph" / "edges" / "modify.Observation.Observation.parquet")
    assert export(kg, "parquet", kg.parent / "tables")["written"] > 30
    assert files(kg.parent / "tables") == files(made / "graph") == files(kg / "graph")
    harm(kg / "graph" / "nodes" / "Study.parquet")
    assert stages.load(kg, replace=True).counts == stages.load(made).counts
    assert files(kg / "graph") == files(made / "graph")


def test_a_graph_table_of_other_rows_is_built_anew(kg: Path, made: Path) -> None:
    edges = kg / "graph" / "edges"
    shutil.copy(edges / "has_absent.Study.Concept.parquet", edges / "has_present.Study.Concept.parquet")
    stages.load(kg)
    assert files(kg / "graph") == files(made / "graph")


@pytest.mark.parametrize("fmt", ["nt", "graphml", "neo4j-csv"])
def test_a_graph_table_altered_within_is_named_and_the_named_repair_works(fmt: str, kg: Path, made: Path) -> None:
    table = kg / "graph" / "nodes" / "Concept.parquet"
    scratch(table)
    with pytest.raises(WorkspaceError) as caught:
        export(kg, fmt, kg.parent / "out")
    assert str(caught.value).splitlines() == [
        f"a table of {kg / 'graph'} is damaged" if fmt == "neo4j-csv" else f"{table} is damaged",
        f"  next      remove {kg / 'graph'}; then kgbuild load --replace -w {kg} makes them anew from the runs",
    ]
    assert not (kg.parent / "out").exists()
    with pytest.raises(StoreError, match=r"if a table is damaged, remove .*; then kgbuild load --replace -w"):
        stages.load(kg, replace=True)
    shutil.rmtree(kg / "graph")
    stages.load(kg, replace=True)
    assert files(kg / "graph") == files(made / "graph")
    assert export(kg, fmt, kg.parent / "out")["written"] > 0


def test_a_store_is_not_built_from_a_table_that_is_not_whole(kg: Path) -> None:
    cut(kg / "graph" / "nodes" / "Study.parquet")
    store = EmbeddedStore(kg / "store" / "graph.lbug")
    with pytest.raises(StoreError, match=r"Study.parquet is absent or damaged\n  next      remove .*/graph; then"):
        store.load(kg / "graph")


@pytest.mark.parametrize("text", ["[]", "", "{", '{"annotations": 1, "links": {}}', '{"annotations": null}'])
def test_a_damaged_pointer_is_named_and_the_named_repair_works(text: str, kg: Path, made: Path) -> None:
    pointer = kg / "current" / "examples.json"
    pointer.write_text(text)
    for use in (lambda: status(kg), lambda: stages.link(kg), lambda: stages.load(kg), lambda: explain(kg, "x")):
        with pytest.raises(WorkspaceError) as caught:
            use()
        assert caught.value.message == f"{pointer} is damaged"
        assert str(caught.value.next_step).startswith("remove that file; then the same kgbuild build, or generate and")
    pointer.unlink()
    assert [summary.done_now for summary in again(kg)] == [0, 0, 0]
    assert pointer.read_bytes() == (made / "current" / "examples.json").read_bytes()


@pytest.mark.parametrize("text", ["[]", "3", '{"runs": [], "rows": 1, "kgbuild": ""}'])
def test_damaged_notes_of_graph_and_store_are_written_anew(text: str, kg: Path, made: Path) -> None:
    (kg / "graph" / "graph.json").write_text(text)
    (kg / "store" / "graph.json").write_text(text)
    stages.load(kg)
    for place in ("graph", "store"):
        assert (kg / place / "graph.json").read_bytes() == (made / place / "graph.json").read_bytes()


def test_a_damaged_manifest_is_named(kg: Path) -> None:
    manifest = only(kg, "runs/rules-*/run.json")
    manifest.write_text("[]")
    with pytest.raises(WorkspaceError, match=r"run.json is damaged\n  next      remove .* and run the command again"):
        status(kg)


def test_a_link_run_is_no_annotation_run_wherever_one_is_wanted(made: Path, tmp_path: Path) -> None:
    links, good = only(made, "runs/lexical-*").name, only(made, "runs/rules-*").name
    for use in (
        lambda: explain(made, "examples:ex001", links),
        lambda: export(made, "radgraph", tmp_path / "x", run_id=links),
        lambda: evaluate_triplets(good, links, workspace=made),
        lambda: evaluate_text(links, good, workspace=made),
        lambda: stages.link(made, run=links),
        lambda: stages.plan_link(made, run=links),
        lambda: stages.load(made, run_ids=[links]),
    ):
        with pytest.raises(UsageError) as caught:
            use()
        assert str(caught.value) == f"{links} is a links run\n  expected  an annotation run"


def test_a_wrong_run_id_is_usage_and_an_absent_file_is_missing(made: Path) -> None:
    with pytest.raises(UsageError, match="rules-0123456789ab is neither a file nor a run of"):
        evaluate_triplets("rules-0123456789ab", "x", workspace=made)
    with pytest.raises(UsageError, match="rules-0123456789ab is neither a file nor a run of"):
        evaluate_text("rules-0123456789ab", "x", workspace=made)
    with pytest.raises(KgbuildError, match=r"gold.json is neither a file nor a run of") as caught:
        evaluate_triplets("gold.json", "x", workspace=made)
    assert caught.value.exit_code == 3


def test_doctor_finds_what_is_damaged(kg: Path) -> None:
    def found() -> dict[str, str]:
        return {check.what: check.detail for check in doctor(kg) if check.needed and check.state != "ok"}

    assert found() == {}
    chunk = only(kg, "runs/rules-*/chunks/000003.parquet")
    table = kg / "graph" / "nodes" / "Study.parquet"
    cut(chunk)
    cut(table)
    assert found() == {
        f"workspace run {chunk.parents[1].name}": f"damaged: {chunk}",
        "workspace graph": f"damaged: {table}",
    }
    again(kg)
    assert found() == {}
    scratch(chunk)
    assert found() == {f"workspace run {chunk.parents[1].name}": f"other bytes than the catalog noted: {chunk}"}
    chunk.unlink()
    again(kg)
    assert found() == {}
    (kg / "current" / "examples.json").write_text("[]")
    assert found()["workspace"] == f"{kg / 'current' / 'examples.json'} is damaged"


def test_how_a_file_is_told_to_be_whole(made: Path, tmp_path: Path) -> None:
    good = only(made, "runs/rules-*/chunks/000000.parquet")
    assert parquet.rows(good) == 6
    data = good.read_bytes()
    for size in (0, 3, 8, 1000, len(data) - 9, len(data) - 1):
        (tmp_path / "x.parquet").write_bytes(data[:size])
        assert not parquet.is_whole(tmp_path / "x.parquet")
    assert not parquet.is_whole(tmp_path / "absent.parquet")
    run = runs.find(Workspace.open(made), good.parents[1].name)
    assert (run.done(), run.damaged()) == ({0, 1, 2, 3}, [])
