"""``import.py`` of the neo4j-csv export: what it makes of neo4j-admin's output, without a neo4j-admin."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kgbuild.exports import _neo4j_import as reader

MANIFEST: dict[str, Any] = {"nodes": 3, "relationships": 2, "tables": []}
DONE = """Starting to import, output will be saved to: /x
Nodes, started 2026-11-22 10:00:00.000+0000
IMPORT DONE in 1s 234ms. 
Imported:
  {nodes} nodes
  {relationships} relationships
  17 properties
Peak memory usage: 1.0GiB
"""  # noqa: W291  neo4j-admin ends that line with a space
GONE = "s1 (Study)-[has_image]->i9 (Image) referring to missing node i9"


def output(nodes: str = "3", relationships: str = "2", report: str = "", code: int = 0, body: str | None = None) -> str:
    """As ``neo4j-admin.sh`` prints it."""
    text = DONE.format(nodes=nodes, relationships=relationships) if body is None else body
    return f"{text}\n{reader.REPORT_MARK}\n{report}{reader.END_MARK}{code}\n"


def test_all_of_it() -> None:
    found = reader.read_output(output(), 0)
    assert (found.nodes, found.relationships, found.properties, found.seconds) == (3, 2, 17, "1s 234ms")
    assert found.exit_code(MANIFEST) == 0
    said = reader.summary(found, MANIFEST, "neo4j")
    assert said.splitlines()[0] == "imported into database neo4j in 1s 234ms"
    assert "skipped, and why" not in said
    assert "does not say why" not in said


def test_numbers_with_separators() -> None:
    found = reader.read_output(output("5,002,999", "14.265.257"), 0)
    assert (found.nodes, found.relationships) == (5_002_999, 14_265_257)


def test_skipped_rows_are_counted_by_reason_with_few_examples() -> None:
    report = "".join(f"s{i} (Study)-[has_image]->i{i} (Image) referring to missing node i{i}\n" for i in range(5))
    report += "nobody (Study)-[has_image]->i1 (Image) referring to missing node nobody\n"
    report += " (Study)-[mentions]->x (Observation) is missing data\n"
    found = reader.read_output(output("3", "2", report), 0)
    manifest = {**MANIFEST, "relationships": 9}
    assert found.exit_code(manifest) == 4
    assert {words: reason.count for words, reason in found.reasons.items()} == {
        "has_image relationship, Study to Image: no Image node has the id that it ends at": 5,
        "has_image relationship, Study to Image: no Study node has the id that it starts at": 1,
        "mentions relationship, Study to Observation: an end or the type is empty": 1,
    }
    said = reader.summary(found, manifest, "kg").splitlines()
    assert said[4] == "skipped, and why:"
    assert said[5].split(maxsplit=1)[0] == "5"  # the most frequent first
    assert said[6:10] == [
        *(f"            as Study s{i} -> Image i{i}" for i in range(3)),
        "            and 2 more in the report",
    ]
    assert not [line for line in said if "does not say why" in line]


def test_rows_that_are_gone_without_a_word_are_told() -> None:
    found = reader.read_output(output("3", "1"), 0)
    assert found.exit_code(MANIFEST) == 4
    assert "1 rows fewer than the files should hold" in reader.summary(found, MANIFEST, "neo4j")
    more = reader.read_output(output("4", "2"), 0)
    assert more.exit_code(MANIFEST) == 4
    assert "1 rows more than the files should hold" in reader.summary(more, MANIFEST, "neo4j")


@pytest.mark.parametrize("odd", ["a\nb", "a) (b", "x)-[y]->z", "(Study)", "referring to missing node"])
def test_ids_that_look_like_the_report_itself(odd: str) -> None:
    report = f"s1 (Study)-[has_image]->{odd} (Image) referring to missing node {odd}\n{GONE}\n"
    (reason,) = reader.read_report(report).values()
    assert (reason.words.endswith("no Image node has the id that it ends at"), reason.count) == (True, 2)
    assert "\n" not in "".join(reason.examples)


def test_other_rows_of_a_report() -> None:
    report = (
        "Id 's1' is defined more than once in group 'Study'\n"
        "Extra column not present in header on line 7 in /out/nodes/Study.0001.csv.gz with value secret words\n"
        "something that no version has said yet\n"
    )
    found = reader.read_report(report)
    assert [(reason.count, reason.examples) for reason in found.values()] == [
        (1, ["s1"]),
        (1, ["Study.0001.csv.gz, line 7"]),
        (1, ["see the report"]),
    ]
    assert "secret" not in str(found)  # values can be words of a report
    long = reader.short("k" * 1_000)
    assert (len(long) < 110, "1,000 characters" in long) == (True, True)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("Caused by: org.neo4j.kernel.impl.FileLockException: Lock file has been locked", "the database is in use"),
        ("Database already exist. Re-run with `--overwrite-destination`", "nothing was touched"),
        ("java.io.IOException: No space left on device", "the disk is full"),
        ("java.lang.OutOfMemoryError: Java heap space", "not enough memory"),
        ("java.nio.file.AccessDeniedException: /data/databases", "a file may not be read or written"),
        ("Unknown option: '--strict=true'", "does not know one of the options"),
        ("Exception in thread main UnsupportedClassVersionError: x", "this Java does not fit"),
        ("Cannot connect to the Docker daemon at unix:///var/run/docker.sock", "docker compose could not start"),
        ("File 'nodes/Study.header.csv' doesn't exist", "nodes/Study.header.csv is missing"),
        ("Id 's1' is defined more than once in group 'Study'", "two Study nodes have the id s1"),
        (
            "Import aborted the import because 4 bad entries were found, which exceeds the tolerance (3)",
            "no more than 3",
        ),
        (
            "ERROR in input\n  data source: BufferedCharSeeker[source:/o/nodes/Study.0001.csv.gz, position:9, line:0]\n"
            "  in field: n_tokens:long:2\n  raw field value: secret words",
            "Study.0001.csv.gz, line 1, column n_tokens: the value cannot be read",
        ),
        ("a new reason\n    at org.neo4j.Something(Something.java:7)", "neo4j-admin says: a new reason"),
        ("", "neo4j-admin gave no reason"),
    ],
)
def test_a_failure_in_plain_words(said: str, words: str) -> None:
    found = reader.read_output(output(body=said + "\n", code=1), 0)
    assert found.exit_code(MANIFEST) == 1
    told = reader.summary(found, MANIFEST, "neo4j")
    assert words in told
    assert told.startswith("error: the import into database neo4j failed: ")
    assert "secret" not in told


def test_a_failure_that_leaves_the_database_broken_says_so() -> None:
    broken = "IMPORT FAILED in 1s\njava.lang.OutOfMemoryError: x\n"
    assert "import again with --overwrite" in reader.summary(reader.read_output(broken, 1), MANIFEST, "neo4j")
    untouched = "IMPORT FAILED in 1s\nDatabase already exist\n"
    assert "cannot be used" not in reader.summary(reader.read_output(untouched, 1), MANIFEST, "neo4j")


def test_output_that_ends_in_the_middle_is_a_failure() -> None:
    cut = DONE.format(nodes=3, relationships=2).partition("IMPORT DONE")[0]
    assert reader.read_output(cut, 137).exit_code(MANIFEST) == 1
    assert reader.read_output(cut, 0).exit_code(MANIFEST) == 1
    # the exit code that neo4j-admin.sh prints counts where docker gives none
    assert reader.read_output(output(code=1), 0).exit_code(MANIFEST) == 1


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An export with one file, its import.py, and a stand-in for what runs neo4j-admin."""
    place = tmp_path / "out"
    place.mkdir()
    (place / "import.py").write_bytes(Path(reader.__file__).read_bytes())
    (place / "Study.csv").write_text("s1\n")
    table = {"name": "nodes/Study", "files": [{"name": "Study.csv", "bytes": 3}]}
    (place / "manifest.json").write_text(json.dumps({**MANIFEST, "tables": [table]}))
    (place / "told.txt").write_text(output())
    stand_in = place / "stand-in"
    stand_in.write_text(f'#!/bin/sh\necho "$@" >"{place}/asked"\ncat "{place}/told.txt"\nexit "${{CODE:-0}}"\n')
    stand_in.chmod(0o755)
    return place


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """With nothing of kgbuild on the path: it must stand alone."""
    command = [sys.executable, "-I", str(folder / "import.py"), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, cwd="/")


def test_another_command_runs_neo4j_admin(folder: Path) -> None:
    done = run(folder, "--overwrite", "kg", "--", str(folder / "stand-in"), "run", "it")
    assert done.returncode == 0, done.stderr
    assert (folder / "asked").read_text() == "run it --overwrite kg\n"
    assert "imported into database kg" in done.stdout
    log = folder / "import.log"
    assert log.read_text() == output()
    assert stat.S_IMODE(log.stat().st_mode) == 0o600  # values of rows can be in it
    again = run(folder, "--read", str(log))
    assert (again.returncode, again.stdout) == (0, done.stdout.replace("database kg", "database neo4j"))


def test_what_is_missing_is_found_before_anything_runs(folder: Path) -> None:
    command = ("--", str(folder / "stand-in"))
    (folder / "Study.csv").write_text("s1\ns2\n")
    assert "Study.csv has 6 bytes instead of 3" in run(folder, *command).stderr
    (folder / "Study.csv").unlink()
    gone = run(folder, *command)
    assert (gone.returncode, "Study.csv is missing" in gone.stderr) == (3, True)
    assert not (folder / "asked").exists()
    assert run(folder, "--read", str(folder / "none.log")).returncode == 3
    (folder / "manifest.json").unlink()
    assert "manifest.json is missing or broken" in run(folder, *command).stderr


@pytest.mark.parametrize("words", [("--force",), ("one", "two"), ("--read",)])
def test_usage(folder: Path, words: tuple[str, ...]) -> None:
    assert run(folder, *words).returncode == 2


def test_a_program_that_is_not_there(folder: Path) -> None:
    done = run(folder, "--", str(folder / "no-docker"))
    assert (done.returncode, "no-docker is not installed" in done.stderr) == (3, True)
