"""``evaluate text``: what can be a side, how sides are met, and what is refused."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from kgbuild import tables
from kgbuild.cli import app
from kgbuild.domain import Failure, Study
from kgbuild.errors import FileMissing, KgbuildError, UsageError
from kgbuild.pipelines import runs
from kgbuild.pipelines.evaluate_text import evaluate_text
from kgbuild.pipelines.generate import study_row
from kgbuild.pipelines.runs import Manifest
from kgbuild.pipelines.workspace import Workspace
from tests.unit.test_metrics_triplets import note

A, B = "effusion , located_at , left", "opacity , suggestive_of , pneumonia"
REPORTS = {
    "s1": note("s1", "left effusion , no edema", "0-1:ANAT-DP 1-2:OBS-DP 4-5:OBS-DA", "1>located_at>0"),
    "s2": note("s2", "opacity may be pneumonia", "0-1:OBS-DP 3-4:OBS-U", "0>suggestive_of>1"),
    "s3": note("s3", "normal", ""),
}


def lines(path: Path, *texts: str) -> str:
    path.write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
    return str(path)


def radgraph(path: Path, ids: Sequence[str] = ("s1", "s2", "s3")) -> str:
    from kgbuild.exports import radgraph as export

    export.write(path, [(REPORTS[key], None) for key in ids])
    return str(path)


def run(workspace: Path, outputs: dict[str, str | None]) -> str:
    """A finished run as a language model's extractor leaves it."""
    space = Workspace.create(workspace)
    begun = runs.start(space, Manifest("annotations", "llm-kg", "made-up", "x", "y", {}, 512, len(outputs)))
    rows = [
        study_row(Study(key, "made-up"), replace(REPORTS[key], extractor="llm-kg", output=output))
        for key, output in outputs.items()
    ]
    pq.write_table(pa.Table.from_pylist(rows, schema=tables.ANNOTATIONS), begun.chunk(0))
    return begun.id


def value(scores: dict[str, Any], *path: str) -> Any:
    for key in path:
        scores = scores[key]
    return scores["value"]


def test_plain_lines_are_scored_as_written(tmp_path: Path) -> None:
    """Nothing is dropped: empty lines, odd line ends and unicode's own line breaks stay where they are."""
    gold = lines(tmp_path / "a.txt", A, "", f"{B}\u2028x", A)
    same, failures = evaluate_text(gold, gold)
    assert failures == []
    assert same["n_studies"] == 4
    assert value(same, "rouge_l") == 1.0
    guess = tmp_path / "b.txt"
    guess.write_bytes(f"\ufeff{A.replace(' ', '  ')}\r\n\r\n{B.replace(' , ', ',')}\u2028x\r\n{A}".encode())
    other, _ = evaluate_text(gold, str(guess))
    assert {name: value(other, name) for name in ("bleu1", "bleu4", "rouge_l")} == {
        name: pytest.approx(1.0) for name in ("bleu1", "bleu4", "rouge_l")
    }


def test_lines_must_be_as_many(tmp_path: Path) -> None:
    gold, guess = lines(tmp_path / "a.txt", A, B), lines(tmp_path / "b.txt", A)
    with pytest.raises(UsageError, match=r"b\.txt has 1 lines, .*a\.txt 2 lines"):
        evaluate_text(gold, guess)
    with pytest.raises(UsageError, match="3 studies"):
        evaluate_text(radgraph(tmp_path / "g.json"), guess)
    with pytest.raises(UsageError, match="0 lines"):
        evaluate_text(gold, lines(tmp_path / "none.txt"))


def test_lines_beside_studies_go_by_place(tmp_path: Path) -> None:
    """The n-th line is the n-th study of the file, not of the sorted ids."""
    gold = tmp_path / "g.json"
    loaded = json.loads(Path(radgraph(gold)).read_text())
    gold.write_text(json.dumps({key: loaded[key] for key in ("s3", "s1", "s2")}))
    scores, _ = evaluate_text(str(gold), lines(tmp_path / "p.txt", "", A, B))
    assert value(scores, "triplet", "f1") == 1.0
    assert value(scores, "invented_entities") == 0.0
    turned, _ = evaluate_text(lines(tmp_path / "r.txt", "", A, B), str(gold), baseline=str(gold))
    assert value(turned, "triplet", "f1") == 1.0
    assert value(turned, "difference", "triplet", "f1") == 0.0


def test_json_lines_meet_by_study(tmp_path: Path) -> None:
    gold = radgraph(tmp_path / "g.json")
    rows = [{"study_id": "s2", "output": f" {B}"}, {"study_id": "s9", "output": "x"}]
    guess = lines(tmp_path / "p.jsonl", *map(json.dumps, rows), "")
    scores, _ = evaluate_text(gold, guess)
    assert (scores["n_studies"], scores["missing"], scores["extra"]) == (3, 2, 1)
    assert value(scores, "triplet", "recall") == 0.5
    assert value(scores, "rouge_l") == pytest.approx(2 / 3)  # s3's two empty texts are alike
    training = lines(tmp_path / "t.jsonl", json.dumps({"study_id": "s2", "prompt": "?", "completion": f" {B}"}))
    again, _ = evaluate_text(gold, training)
    assert again["triplet"] == scores["triplet"]
    only, _ = evaluate_text(gold, guess, studies=["s2", "s3"])
    assert (only["n_studies"], only["missing"], only["extra"]) == (2, 1, 0)
    with pytest.raises(UsageError, match="none of the 1 ids"):
        evaluate_text(gold, guess, studies=["s7"])


def test_string_form_of_annotations(tmp_path: Path) -> None:
    gold = radgraph(tmp_path / "g.json")
    paper = lines(tmp_path / "p.txt", A, B, "")
    full = lines(tmp_path / "f.txt", f"{A} ; edema (absent)", "opacity , suggestive_of , pneumonia (uncertain)", "")
    assert value(evaluate_text(gold, paper)[0], "bleu4") == pytest.approx(1.0)
    assert value(evaluate_text(gold, full, certainty="full")[0], "bleu4") == pytest.approx(1.0)
    assert value(evaluate_text(gold, full)[0], "bleu1") < 1.0
    assert evaluate_text(gold, full)[0]["settings"]["certainty"] == "none"


def test_a_run_is_scored_by_its_models_words(tmp_path: Path) -> None:
    """The raw output where there is one, else the annotation's own form; ``graph`` never looks at outputs."""
    gold = radgraph(tmp_path / "g.json")
    name = run(tmp_path / "kg", {"s1": f"{A} ; junk", "s2": None, "s3": "heart , modify , size"})
    words, _ = evaluate_text(gold, name, workspace=tmp_path / "kg")
    assert value(words, "triplet", "precision") == 0.5
    assert value(words, "invented_entities") == pytest.approx(3 / 7)
    assert value(words, "spans", "entity", "f1") == 1.0
    graph, _ = evaluate_text(gold, name, workspace=tmp_path / "kg", form="graph")
    assert value(graph, "triplet", "f1") == 1.0
    assert value(graph, "bleu4") == pytest.approx(1.0)
    assert graph["settings"]["as"] == "graph"


def test_it_tells_of_what_it_reads_and_scores(tmp_path: Path) -> None:
    gold = radgraph(tmp_path / "g.json")  # how much is in a file is not known before its end
    name = run(tmp_path / "kg", {"s1": A, "s2": None, "s3": None})
    told: list[tuple[str, int, int]] = []
    evaluate_text(gold, name, workspace=tmp_path / "kg", progress=lambda *step: told.append(step))
    assert told == [("predicted", 0, 3), ("predicted", 3, 3), ("scored", 0, 3), ("scored", 3, 3)]


def test_equal_to_pycocoevalcap_through_files(tmp_path: Path) -> None:
    """The first of the published cases of test_metrics_text, through the command."""
    gold = lines(tmp_path / "a.txt", "effusion,located_at,left;small , modify , effusion", B)
    guess = lines(
        tmp_path / "b.txt", "small,modify,effusion ; effusion , located_at , left", B.replace("pneumonia", "edema")
    )
    done = CliRunner().invoke(
        app, ["evaluate", "text", "--reference", gold, "--predicted", guess, "--format", "json", "--quiet"]
    )
    assert done.exit_code == 0, done.output
    scores = json.loads(done.stdout)
    assert [scores[key]["value"] for key in ("bleu1", "bleu2", "bleu3", "bleu4", "rouge_l")] == pytest.approx(
        [0.9374999998828125, 0.8582582027958803, 0.7889477141611174, 0.7039286926543157, 0.6272727272727273], abs=1e-9
    )
    assert set(scores["rouge_l"]) == {"value", "n", "low", "high"}
    other = CliRunner().invoke(
        app, ["evaluate", "text", "--reference", gold, "--predicted", guess, "--beta", "1", "--format", "csv"]
    )
    assert other.stdout.startswith("metric,value,low,high,n\n")
    assert "ROUGE-L with beta 1" in other.stderr


def test_gzipped_and_empty(tmp_path: Path) -> None:
    path = tmp_path / "a.txt.gz"
    path.write_bytes(gzip.compress(f"{A}\n{B}\n".encode()))
    assert value(evaluate_text(str(path), str(path))[0], "rouge_l") == 1.0
    empty = tmp_path / "none.json"
    empty.write_text("{}")
    scores, _ = evaluate_text(radgraph(tmp_path / "g.json"), str(empty))
    assert (scores["missing"], value(scores, "bleu1")) == (3, 0.0)
    nothing, _ = evaluate_text(str(empty), str(empty))
    assert nothing["n_studies"] == 0
    assert value(nothing, "bleu1") is None


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("x.jsonl", b'{"study_id": "s1", "output": "a"}\n{"study_id": "s1", "output": "b"}\n', "twice"),
        ("x.jsonl", b'{"study_id": "s1", "output": "a"}\n{"study_id": 7, "output": "b"}\n', "line 2"),
        ("x.jsonl", b'{"study_id": "s1", "output": "a"}\nnot json\n', "line 2"),
        ("x.jsonl", b'{"study_id": "s1", "text": "a"}\n', "output or completion"),
        ("x.json", b'["a", "b"]', "JSON list"),
        ("x.json", b'{"s1": {"text": ', "not valid JSON"),
        ("x.txt", b"caf\xe9 , modify , heart\n", "UTF-8"),
    ],
)
def test_unreadable_sides_are_named(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(KgbuildError) as caught:
        evaluate_text(radgraph(tmp_path / "g.json"), str(tmp_path / name))
    assert words in str(caught.value)
    assert "caf" not in str(caught.value)


def test_what_is_refused(tmp_path: Path) -> None:
    gold = radgraph(tmp_path / "g.json")
    with pytest.raises(FileMissing, match="neither a file nor a run"):
        evaluate_text(gold, "nothing")
    for beta in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(UsageError, match="beta"):
            evaluate_text(gold, gold, beta=beta)
    for option in (("--certainty", "some"), ("--as", "words")):
        done = CliRunner().invoke(app, ["evaluate", "text", "--reference", gold, "--predicted", gold, *option])
        assert done.exit_code == 2
        assert option[1] in done.stderr


def test_studies_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    gold = tmp_path / "g.json"
    loaded = json.loads(Path(radgraph(gold)).read_text())
    loaded["s2"]["entities"]["1"]["label"] = "NONSENSE"
    gold.write_text(json.dumps(loaded))
    scores, failures = evaluate_text(str(gold), str(gold))
    assert scores["n_studies"] == 2
    assert {failure.study_id for failure in failures} == {"s2"}
    with pytest.raises(UsageError, match="cannot be matched"):
        evaluate_text(str(gold), lines(tmp_path / "p.txt", A, B, ""))
    done = CliRunner().invoke(app, ["evaluate", "text", "--reference", str(gold), "--predicted", str(gold)])
    assert done.exit_code == 4


def run_with(workspace: Path, results: dict[str, Failure | str]) -> str:
    """A finished run of which some studies failed or were skipped."""
    space = Workspace.create(workspace)
    begun = runs.start(space, Manifest("annotations", "vlm-kg", "made-up", "x", "z", {}, 512, len(results)))
    rows = [
        study_row(
            Study(key, "made-up"),
            one if isinstance(one, Failure) else replace(REPORTS[key], extractor="vlm-kg", output=one),
        )
        for key, one in results.items()
    ]
    pq.write_table(pa.Table.from_pylist(rows, schema=tables.ANNOTATIONS), begun.chunk(0))
    return begun.id


def test_a_runs_failed_and_skipped_studies_are_missing_and_have_not_written_nothing(tmp_path: Path) -> None:
    broken = Failure("s2", "extract", "the image is damaged", "images/2.png")
    made = run_with(tmp_path / "W", {"s1": A, "s2": broken, "s3": Failure("s3", "skip", "no image")})
    gold = radgraph(tmp_path / "gold.json")
    scores, failures = evaluate_text(gold, made, workspace=tmp_path / "W")
    assert (scores["n_studies"], scores["missing"], scores["text_differs"]) == (3, 2, 0)
    assert failures == [broken]
    only, none = evaluate_text(gold, made, workspace=tmp_path / "W", studies=["s1", "s3"])
    assert (only["n_studies"], only["missing"], none) == (2, 1, [])
    turned, said = evaluate_text(made, gold, workspace=tmp_path / "W")
    assert (turned["n_studies"], turned["extra"], said) == (1, 2, [broken])
    done = CliRunner().invoke(
        app, ["evaluate", "text", "--reference", gold, "--predicted", made, "-w", str(tmp_path / "W")]
    )
    assert done.exit_code == 4
    assert "2 studies have no prediction and count as empty" in done.stderr
