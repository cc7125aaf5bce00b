"""The surface: commands, help, exit codes, stdout and stderr, and errors that say how to go on."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from kgbuild.cli import app

COMMANDS = [
    "demo",
    "build",
    "train",
    "generate",
    "link",
    "load",
    "reproduce",
    "query",
    "export",
    "explain",
    "status",
    "doctor",
]
GROUPS = {"datasets": ["list", "check", "sections", "make"], "import": ["radgraph"], "evaluate": ["triplets", "text"]}
Kg = Callable[..., "Result"]


class Result:
    """Exit code and both streams of one command."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def kg() -> Kg:
    def run(*args: object) -> Result:
        result = CliRunner().invoke(app, [str(arg) for arg in args], prog_name="kgbuild")
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Result(result.exit_code, result.stdout, result.stderr)

    return run


def iu(folder: Path, *rows: tuple[object, str, str], header: str = "uid,findings,impression") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "reports.csv").open("w", newline="") as stream:
        stream.write(header + "\n")
        csv.writer(stream, lineterminator="\n").writerows(rows)
    return folder


def python(*args: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *args], capture_output=True, text=True, cwd=cwd, timeout=120)


def test_every_command_is_listed_and_helps_with_an_example(kg: Kg) -> None:
    listed = kg("--help").out
    for command in COMMANDS:
        assert re.search(rf"^  {command} ", listed, re.M), command
        text = kg(command, "--help").out
        assert f"Example: kgbuild {command}" in text
    for group, words in GROUPS.items():
        assert re.search(rf"^  {group} ", listed, re.M)
        for word in words:
            assert f"Example: kgbuild {group} {word}" in kg(group, word, "--help").out


def test_no_help_line_is_cut(kg: Kg) -> None:
    for args in ([], ["datasets"], ["evaluate"]):
        assert "..." not in kg(*args, "--help").out.split("Commands:")[1]


def test_help_loads_nothing_heavy() -> None:
    heavy = [
        "torch",
        "transformers",
        "trl",
        "neo4j",
        "rdflib",
        "ray",
        "scispacy",
        "polars",
        "networkx",
        "pyarrow",
        "ladybug",
    ]
    code = (
        "import sys\nfrom kgbuild.cli import app\n"
        "try: app(['--help'], prog_name='kgbuild')\nexcept SystemExit: pass\n"
        f"print([m for m in {heavy!r} if m in sys.modules], file=sys.stderr)"
    )
    assert python("-c", code).stderr.strip() == "[]"


def test_python_dash_m_works() -> None:
    done = python("-m", "kgbuild", "--version")
    assert (done.returncode, done.stdout) == (0, "kgbuild 0.1.0\n")


def test_the_api_has_the_commands() -> None:
    import kgbuild

    for name in kgbuild.__all__:
        assert getattr(kgbuild, name) is not None
    assert {"build", "generate", "link", "load", "query", "export", "explain", "status", "doctor"} <= set(dir(kgbuild))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = kgbuild.nothing


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (["nonsense"], 2, "No such command"),
        (["build", "--dataset", "iu-xray", "--colour"], 2, "No such option"),
        (["build", "--dataset", "mimik", "-w", "W"], 2, "unknown data set 'mimik'"),
        (["build", "--dataset", "iu-xray", "-w", "W"], 3, "KGBUILD_IU_XRAY_ROOT"),
        (["build", "--dataset", "iu-xray", "--root", "absent", "-w", "W"], 3, "absent does not exist"),
        (["generate", "--dataset", "examples", "--extractor", "magic", "-w", "W"], 2, "unknown extractor 'magic'"),
        (["generate", "--dataset", "examples", "--limit", "0", "-w", "W"], 2, "--limit 0 leaves no study"),
        (["generate", "--dataset", "examples", "--split", "dev", "-w", "W"], 2, "expected  test, train, validate"),
        (["generate", "--dataset", "examples", "--shard", "2/2", "-w", "W"], 2, "i/n with 0 <= i < n"),
        (["generate", "--dataset", "examples", "--form", "csv", "-w", "W"], 2, "has no option 'form'"),
        (["generate", "--dataset", "examples", "--studies", "ids.txt", "-w", "W"], 3, "ids.txt is absent"),
        (["generate", "--dataset", "examples", "--sections", " , ", "-w", "W"], 2, "--sections names no section"),
        (["link", "-w", "W"], 3, "no workspace at W"),
        (["load", "-w", "W"], 3, "no workspace at W"),
        (["query", "findings", "-w", "W"], 3, "no workspace at W"),
        (["query"], 2, "query takes one of NAME"),
        (["query", "findings", "--list"], 2, "query takes one of NAME"),
        (["query", "finding", "-w", "W"], 2, "unknown query 'finding'"),
        (["export", "radgraph", "--out", "x", "-w", "W"], 3, "no workspace at W"),
        (["evaluate", "triplets", "--reference", "a", "--predicted", "b"], 3, "a is neither a file nor a run"),
        (["status", "-w", "W"], 3, "no workspace at W"),
        (["explain", "CXR1", "-w", "W"], 3, "no workspace at W"),
    ],
)
def test_exit_codes(
    kg: Kg, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, args: list[str], code: int, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    done = kg(*args)
    assert done.code == code, done.err
    assert words in done.err
    assert done.out == ""
    assert not (tmp_path / "W").exists()


def test_queries_as_table_json_and_csv(kg: Kg, built: Path) -> None:
    args = ("query", "graph-counts", "-w", built)
    rows = kg(*args, "--format", "json").json()
    assert [row["label"] for row in rows] == ["Anatomy", "Concept", "Image", "Observation", "Patient", "Study"]
    assert {"label": "Study", "n": 48} in rows
    table = kg(*args).out.splitlines()
    assert table[0].split() == ["label", "n"]
    assert table[6].split() == ["Patient", "14"]
    found = list(csv.DictReader(io.StringIO(kg(*args, "--format", "csv").out)))
    assert found[5] == {"label": "Study", "n": "48"}
    listed = kg("query", "--list", "--format", "json").json()
    assert {"name", "title", "params", "returns"} == set(listed[0])
    assert [q["name"] for q in listed] == sorted(q["name"] for q in listed)


def test_a_query_with_parameters(kg: Kg, built: Path) -> None:
    base = ("query", "findings", "-w", built, "--format", "json")
    assert len(kg(*base, "--param", "limit=3").json()) == 3
    assert all(row["concept"] for row in kg(*base, "--param", "kind=device", "--param", "limit=5").json())
    assert kg(*base, "--param", "limit=three").code == 2
    assert kg(*base, "--param", "limit").code == 2
    assert kg(*base, "--param", "colour=red").code == 2


def test_own_cypher_is_read_only_and_its_errors_are_the_stores(kg: Kg, built: Path) -> None:
    rows = kg("query", "--cypher", "MATCH (s:Study) RETURN count(s) AS n", "-w", built, "--format", "json").json()
    assert rows == [{"n": 48}]
    refused = kg("query", "--cypher", "CREATE (:Patient {id: 'x'})", "-w", built)
    assert (refused.code, "read-only" in refused.err) == (1, True)
    wrong = kg("query", "--cypher", "MATCH (s:Stud) RETURN s", "-w", built)
    assert (wrong.code, "expected  Study? Else a label" in wrong.err) == (1, True)
    file = built / "workspace.json"
    before = file.read_bytes()
    copied = kg("query", "--cypher", f"COPY (MATCH (s:Study) RETURN s.id) TO '{file}'", "-w", built)
    assert (copied.code, "COPY is refused" in copied.err, file.read_bytes()) == (1, True, before)
    assert kg("query", "--cypher", "", "-w", built).code == 2


def test_status_explain_and_doctor(kg: Kg, built: Path) -> None:
    runs = kg("status", "-w", built, "--format", "json").json()
    assert [(r["kind"], r["complete"], r["newest"]) for r in runs] == [
        ("links", True, True),
        ("annotations", True, True),
    ]
    assert runs[1]["counts"]["studies"] == 48
    told = kg("explain", "examples:ex001", "-w", built, "--format", "json").json()
    assert set(told) == {"study", "run", "status", "reason", "tokens", "entities", "relations", "links"}
    assert all(entity["rule"] for entity in told["entities"])
    assert all(relation["rule"] for relation in told["relations"])
    assert "entities:" in kg("explain", "examples:ex001", "-w", built).out
    assert kg("explain", "examples:ex999", "-w", built).code == 2
    checks = kg("doctor", "-w", built, "--format", "json").json()
    assert all(check["state"] == "ok" for check in checks if check["needed"])


def test_bad_studies_are_quarantined_counted_and_listed(kg: Kg, tmp_path: Path) -> None:
    root = iu(tmp_path / "iu", (1, "No pneumothorax.", ""), (2, "Small effusion.", "Clear."), (1, "Other.", ""))
    workspace = tmp_path / "W"
    done = kg("build", "--dataset", "iu-xray", "--root", root, "-w", workspace)
    assert done.code == 4
    assert "quarantined: 1" in done.err
    assert "CXR1" in done.err
    listed = kg("status", "--failures", "-w", workspace, "--format", "json").json()
    assert [(row["study"], row["stage"]) for row in listed] == [("CXR1", "read")]
    counts = kg("query", "graph-counts", "-w", workspace, "--format", "json").json()
    assert {row["label"]: row["n"] for row in counts}["Study"] == 2
    assert "Other." not in done.err + done.out


def test_a_missing_column_names_both_headers(kg: Kg, tmp_path: Path) -> None:
    root = iu(tmp_path / "iu", (1, "No pneumothorax."), header="uid,finding")  # type: ignore[arg-type]
    done = kg("build", "--dataset", "iu-xray", "--root", root, "-w", tmp_path / "W")
    assert done.code == 3
    assert "no column findings, impression: its header is uid,finding" in done.err
    assert not (tmp_path / "W").exists()


def test_ids_that_are_not_listed_are_quarantined(kg: Kg, tmp_path: Path) -> None:
    ids = tmp_path / "ids.txt"
    ids.write_text("examples:ex001\nexamples:nope\n\n")
    done = kg("generate", "--dataset", "examples", "--studies", ids, "-w", tmp_path / "W")
    assert done.code == 4
    assert "examples:nope: named in --studies but not listed" in done.err
    ids.write_text("nope\n")
    assert kg("generate", "--dataset", "examples", "--studies", ids, "-w", tmp_path / "W").code == 2


def test_a_run_without_text_says_which_sections_there_are(kg: Kg, tmp_path: Path) -> None:
    done = kg("generate", "--dataset", "examples", "--limit", "2", "--sections", "lesions", "-w", tmp_path / "W")
    assert done.code == 0
    assert re.search(
        r"no study has a section lesions; there are .*findings.*: name what you want with --sections", done.err
    )


def test_dry_run_writes_nothing(kg: Kg, tmp_path: Path, built: Path) -> None:
    workspace = tmp_path / "W"
    for command in ("build", "generate"):
        done = kg(command, "--dataset", "examples", "-w", workspace, "--dry-run", "--format", "json")
        assert done.code == 0
        plan = done.json()
        assert (plan["studies"], plan["chunks already done"]) == (48, 0)
        assert not workspace.exists()
    assert kg("link", "-w", built, "--dry-run").code == 0
    assert kg("load", "-w", built, "--dry-run").code == 0
    out = tmp_path / "x.json"
    assert kg("export", "radgraph", "--out", out, "-w", built, "--dry-run").code == 0
    assert not out.exists()


def test_a_workspace_of_another_version_is_refused(kg: Kg, tmp_path: Path) -> None:
    workspace = tmp_path / "W"
    assert kg("generate", "--dataset", "examples", "--limit", "1", "-w", workspace).code == 0
    (workspace / "workspace.json").write_text('{"format": 99}\n')
    for args in (["status"], ["generate", "--dataset", "examples"], ["query", "findings"]):
        done = kg(*args, "-w", workspace)
        assert done.code == 1
        assert "has format 99" in done.err


def test_a_folder_of_other_things_is_not_made_a_workspace(kg: Kg, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("x")
    done = kg("generate", "--dataset", "examples", "-w", tmp_path)
    assert done.code == 1
    assert "is not a kgbuild workspace and is not empty" in done.err
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_full_disk_says_so_and_leaves_nothing_half_written(
    kg: Kg, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import errno

    import pyarrow.parquet as pq

    def full(*args: object, **kwargs: object) -> None:
        Path(str(args[1])).write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(pq, "write_table", full)
        done = kg("generate", "--dataset", "examples", "-w", tmp_path / "W")
    assert done.code == 1
    assert "No space left on device" in done.err
    assert "free disk space" in done.err
    assert not list((tmp_path / "W").rglob("*.part"))
    assert not list((tmp_path / "W").rglob("*.parquet"))
    assert kg("generate", "--dataset", "examples", "-w", tmp_path / "W").code == 0


def test_ctrl_c_prints_the_command_that_goes_on(kg: Kg, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from kgbuild.pipelines import runs

    def stop(*args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(runs, "_one_chunk", stop)
    monkeypatch.setattr(sys, "argv", ["kgbuild", "generate", "--dataset", "examples", "-w", "my kg"])
    done = kg("generate", "--dataset", "examples", "-w", tmp_path / "W")
    assert done.code == 130
    assert "kgbuild generate --dataset examples -w 'my kg'" in done.err


def test_roots_from_environment_and_kgbuild_toml(kg: Kg, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = iu(tmp_path / "data" / "iu", (1, "No pneumothorax.", ""))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "kgbuild.toml").write_text('[iu-xray]\nroot = "data/iu"\n')
    assert kg("generate", "--dataset", "iu-xray", "-w", tmp_path / "A").code == 0
    (tmp_path / "kgbuild.toml").write_text("[iu-xray\n")
    broken = kg("generate", "--dataset", "iu-xray", "-w", tmp_path / "B")
    assert (broken.code, "not valid TOML" in broken.err) == (1, True)
    monkeypatch.setenv("KGBUILD_IU_XRAY_ROOT", str(root))
    assert kg("generate", "--dataset", "iu-xray", "-w", tmp_path / "C").code == 0


def test_datasets_list_and_check(kg: Kg, tmp_path: Path) -> None:
    listed = kg("datasets", "list", "--format", "json").json()
    assert {"examples", "iu-xray"} <= {row["name"] for row in listed}
    root = iu(tmp_path / "iu", (1, "No pneumothorax.", ""))
    report = kg("datasets", "check", "iu-xray", "--root", root, "--format", "json").json()
    assert report["studies"] == 1
    assert any(file["needed"] and file["present"] for file in report["files"])
    assert kg("datasets", "check", "iu-xray", "--root", tmp_path).code == 3
    assert kg("datasets", "check", "nothing").code == 2


def test_evaluate_prints_nested_scores(kg: Kg, tmp_path: Path, built: Path) -> None:
    from kgbuild.resources import data

    predicted = tmp_path / "p.json"
    assert kg("export", "radgraph", "--out", predicted, "-w", built).code == 0
    gold = str(data("schemas") / "examples" / "gold.json")
    scores = kg("evaluate", "triplets", "--reference", gold, "--predicted", predicted, "--format", "json").json()
    assert set(scores["entity"]["f1"]) == {"value", "n", "low", "high"}
    assert scores["n_studies"] == 48
    assert scores["entity"]["f1"]["value"] > 0.9
    assert {"ANAT-DP", "OBS-DP", "OBS-DA", "OBS-U"} == set(scores["entity"]["by_label"])
    assert {"located_at", "modify", "suggestive_of"} == set(scores["relation"]["by_type"])
    run = next(r["run"] for r in kg("status", "-w", built, "--format", "json").json() if r["kind"] == "annotations")
    same = kg(
        "evaluate", "triplets", "--reference", run, "--predicted", predicted, "-w", built, "--format", "json"
    ).json()
    assert same["entity"]["f1"]["value"] == 1.0
    (tmp_path / "broken.json").write_text('{"a": {"text": ')
    broken = kg("evaluate", "triplets", "--reference", tmp_path / "broken.json", "--predicted", predicted)
    assert broken.code in (1, 4)
    assert "broken.json" in broken.err


def test_a_side_that_cannot_be_scored_says_what_can(kg: Kg, tmp_path: Path, built: Path) -> None:
    empty, text = tmp_path / "e.json", tmp_path / "triplets.out"
    empty.write_text("{}")
    text.write_text("effusion ; located_at ; left\n")
    run = next(r["run"] for r in kg("status", "-w", built, "--format", "json").json() if r["kind"] == "annotations")
    nothing = kg("evaluate", "triplets", "--reference", empty, "--predicted", run, "-w", built)
    assert (nothing.code, nothing.out) == (1, "")
    assert nothing.err.splitlines() == [
        f"error: {empty} holds no study",
        "  where     --reference",
        "  expected  at least one study to score",
    ]
    wrong = kg("evaluate", "triplets", "--reference", run, "--predicted", text, "-w", built)
    assert (wrong.code, wrong.out) == (1, "")
    assert wrong.err.splitlines()[-1] == "  next      if it holds triplet texts, kgbuild evaluate text scores them"


def test_an_export_refuses_a_place_that_cannot_be(kg: Kg, tmp_path: Path, built: Path) -> None:
    file = tmp_path / "file"
    file.write_text("mine")
    for args, message, expected in (
        (("parquet", "--out", file), f"{file} is a file", "a folder's name: parquet writes several files"),
        (("neo4j-csv", "--out", file), f"{file} is a file", "a folder's name: neo4j-csv writes several files"),
        (("radgraph", "--out", tmp_path), f"{tmp_path} is a folder", "a file's name"),
        (("nt", "--out", file / "a" / "x.nt"), f"{file / 'a' / 'x.nt'} cannot be made: {file} is a file", "a place in"),
    ):
        for more in ((), ("--dry-run",)):
            done = kg("export", *args, *more, "-w", built)
            assert (done.code, done.out) == (1, "")
            assert done.err.startswith(f"error: {message}\n  where     --out\n  expected  {expected}")
    assert file.read_text() == "mine"
    assert "unknown export format 'rdf'" in kg("export", "rdf", "--out", file, "-w", built).err


@pytest.mark.parametrize("fmt", ["radgraph", "dygie", "triplets"])
def test_exports_of_report_text_are_their_owners_alone(fmt: str, kg: Kg, tmp_path: Path, built: Path) -> None:
    out = tmp_path / "out"
    out.touch(0o644)
    assert kg("export", fmt, "--out", out, "-w", built).code == 0
    assert out.stat().st_mode & 0o777 == 0o600
    assert out.stat().st_size > 1000
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_explain_says_which_study_was_meant(kg: Kg, tmp_path: Path) -> None:
    table, workspace = tmp_path / "my.csv", tmp_path / "W"
    table.write_text("note_id,text\nA001,No effusion.\nA002,Small effusion.\nA002,Other.\n,No id.\n")
    root = iu(tmp_path / "iu", (1, "No pneumothorax.", ""), (7, "Small effusion.", "Clear."), (7, "Other.", ""))
    assert kg("generate", "--dataset", "reports", "--root", table, "--map", "study=note_id", "-w", workspace).code == 4
    assert kg("generate", "--dataset", "iu-xray", "--root", root, "-w", workspace).code == 4
    for asked, meant in (("A001", "reports:A001"), ("a002", "reports:A002"), ("cxr1", "CXR1")):
        told = kg("explain", asked, "-w", workspace)
        assert (told.code, told.out) == (2, "")
        assert told.err.splitlines()[1:] == [
            f"  expected  did you mean {meant}?",
            f"  next      kgbuild explain {meant} -w {workspace}",
        ]
    assert "expected  an id as in the graph" in kg("explain", "A999", "-w", workspace).err
    gone = kg("explain", "my.csv", "-w", workspace)
    assert gone.err.splitlines()[1:] == [f"  next      kgbuild status --failures -w {workspace} says why"]
    assert "study 'my.csv' of rules-" in gone.err


def test_doctor_names_what_training_needs_and_fails_on_damage(kg: Kg, tmp_path: Path, built: Path) -> None:
    sound = kg("doctor", "-w", built, "--format", "json")
    assert sound.code == 0
    checks = {check["what"]: check for check in sound.json()}
    for package in ("torch", "transformers", "peft", "trl", "datasets"):
        assert checks[package]["needed"] is False
        assert checks[package]["state"] in ("ok", "absent")
    workspace = tmp_path / "kg"
    shutil.copytree(built, workspace)
    (workspace / "current" / "examples.json").write_text("[]")
    damaged = kg("doctor", "-w", workspace, "--format", "json")
    assert damaged.code == 1
    check = next(check for check in damaged.json() if check["what"] == "workspace")
    assert (check["state"], check["detail"]) == ("problem", f"{workspace / 'current' / 'examples.json'} is damaged")
    (workspace / "workspace.json").write_text("[]")
    assert kg("doctor", "-w", workspace).code == 1


def test_exports_go_through_pipes(built: Path) -> None:
    done = python("-m", "kgbuild", "export", "radgraph", "--out", "-", "-w", str(built))
    assert done.returncode == 0
    assert len(json.loads(done.stdout)) == 48


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["export", "triplets", "--certainty", "nne"], "expected  full or none"),
        (["export", "radgraph", "--labels", "v2"], "expected  v1 or xl"),
    ],
)
def test_options_of_exports_are_checked(kg: Kg, built: Path, tmp_path: Path, args: list[str], words: str) -> None:
    done = kg(*args, "--out", tmp_path / "x", "-w", built)
    assert (done.code, words in done.err) == (2, True)


def test_a_missing_linker_or_concept_base_is_told_before_the_work(kg: Kg, tmp_path: Path) -> None:
    base = ("build", "--dataset", "examples", "-w", tmp_path / "W")
    assert kg(*base, "--linker", "foo").code == 2
    assert kg(*base, "--concepts", tmp_path / "nope").code == 3
    assert not (tmp_path / "W").exists()


def test_a_build_says_what_it_made_as_json_and_what_it_replaced(kg: Kg, tmp_path: Path) -> None:
    base = ("build", "--dataset", "examples", "-w", tmp_path / "W", "--format", "json")
    stages = kg(*base).json()
    assert [stage["stage"] for stage in stages] == ["generate", "link", "load"]
    assert stages[0]["counts"]["studies"] == 48
    smaller = kg(*base, "--limit", "3")
    assert smaller.json()[0]["counts"]["studies"] == 3
    assert "the graph held run rules-" in smaller.err


def test_an_empty_answer_and_a_cut_one_say_so(kg: Kg, built: Path) -> None:
    empty = kg("query", "finding-sites", "--param", "finding=nothing", "-w", built)
    assert (empty.code, "no rows for finding=nothing" in empty.err) == (0, True)
    assert (
        "the first 2 rows; more with --param limit=N" in kg("query", "findings", "--param", "limit=2", "-w", built).err
    )


def test_paths_may_be_plain_strings(tmp_path: Path) -> None:
    import kgbuild

    workspace: Any = str(tmp_path / "W")
    kgbuild.build(kgbuild.resolve("examples", limit=2), workspace)
    assert kgbuild.query(workspace, "graph-counts").rows
