"""``datasets sections``: the bytes of the CSV, what is left out and counted, and the command around it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from typer.testing import CliRunner

from kgbuild.cli import app
from kgbuild.datasets.mimic import Mimic
from kgbuild.domain import Failure, Study
from kgbuild.pipelines.sections_csv import Sectioned, write_sectioned
from tests.unit import mimic_mini as mini
from tests.unit.mimic_mini import BANNER, FIRST, SECOND, THIRD, Made

TWICE = Made(
    11000016,
    50000077,
    BANNER + ' FINDINGS: One.\n FINDINGS: "Two",\n three.\n COMPARISON: ___\n COMPARISON:\n \n',
)
BY_HAND = Made(11851243, 50913680, BANNER + " FINDINGS: Other.\n RECOMMENDATIONS: Clear.\n")
HEADER = "study,impression,findings,last_paragraph,comparison\r\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return mini.write(tmp_path / "mimic", (THIRD, FIRST, SECOND, TWICE, BY_HAND))


def text_of(path: Path) -> str:
    return path.read_bytes().decode()


def test_mit_lcp(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "mimic_cxr_sectioned.csv"
    written = write_sectioned(Mimic(root, section_parser="mit-lcp"), out, "mit-lcp")
    assert written == Sectioned(
        {"rows": 4, "set by hand, left out": 1, "failed": 0, "without findings and impression": 1}, ()
    )
    assert text_of(out) == (
        f"{HEADER}"
        "s50000023,No change.,,,\r\n"
        's50000041,Normal.,"Invented lungs are\n clear.",,\r\n'
        "s50000012,,,Invented: small effusion.,\r\n"
        's50000077,,"""Two"",\n three.",,\r\n'  # its last comparison is empty
    )


def test_tolerant(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "sections.csv"
    assert write_sectioned(Mimic(root), out).counts["rows"] == 5
    assert text_of(out) == (
        f"{HEADER}"
        "s50000023,No change.,,,\r\n"
        's50000041,Normal.,"Invented lungs are\n clear.",,\r\n'
        "s50000012,,,Invented: small effusion.,\r\n"
        's50000077,,"One.\n""Two"",\n three.",,___\r\n'
        "s50913680,,Other.,,\r\n"
    )


def test_a_study_that_fails_has_no_row_and_is_counted(root: Path, tmp_path: Path) -> None:
    (root / f"{FIRST.folder}.txt").unlink()
    out = tmp_path / "sections.csv"
    told: list[tuple[str, int, int]] = []
    written = write_sectioned(
        Mimic(root),
        out,
        ids=["s50000041", "s50000023"],
        progress=lambda stage, done, total: told.append((stage, done, total)),
    )
    assert [failure.study_id for failure in written.failures] == ["s50000041"]
    assert (written.counts["rows"], written.counts["failed"]) == (1, 1)
    assert text_of(out) == f"{HEADER}s50000023,No change.,,,\r\n"
    assert told == [("sections", 0, 2), ("sections", 2, 2)]


def test_it_is_written_whole_or_not_at_all(root: Path, tmp_path: Path) -> None:
    class Breaks(Mimic):
        def studies(self, ids: Sequence[str] | None = None) -> Iterator[Study | Failure]:
            yield next(super().studies(ids))
            raise KeyboardInterrupt

    out = tmp_path / "sections.csv"
    out.write_text("before")
    with pytest.raises(KeyboardInterrupt):
        write_sectioned(Breaks(root), out)
    assert text_of(out) == "before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mimic", "sections.csv"]


def run(*args: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, [str(arg) for arg in args], prog_name="kgbuild")
    return result.exit_code, result.stdout, result.stderr


def test_the_command(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.csv"
    given = ("datasets", "sections", "mimic-cxr", "--root", root, "--section-parser", "mit-lcp", "--out", out)
    code, stdout, stderr = run(*given, "--dry-run")
    assert (code, stderr, out.exists()) == (0, "", False)
    assert stdout.split() == f"data set mimic studies 5 set by hand, left out 1 would write {out}".split()
    code, stdout, stderr = run(*given)
    assert (code, stdout) == (0, "")
    assert stderr.splitlines()[-1] == f"{out}: 4 rows, 1 set by hand, left out, 1 without findings and impression"
    (root / f"{FIRST.folder}.txt").unlink()
    assert run(*given, "--quiet")[0] == 4


@pytest.mark.parametrize("command", [("datasets", "check", "mimic"), ("generate", "--dataset", "mimic")])
def test_a_section_parser_that_does_not_exist(root: Path, tmp_path: Path, command: tuple[str, ...]) -> None:
    code, _, stderr = run(*command, "--root", root, "--section-parser", "best", "-w", tmp_path / "kg")
    assert (code, "unknown section parser 'best'" in stderr) == (2, True)


def test_a_data_set_without_section_parsers(tmp_path: Path) -> None:
    code, _, stderr = run("datasets", "sections", "examples", "--section-parser", "mit-lcp", "--out", tmp_path / "x")
    assert (code, "has no option 'section_parser'" in stderr) == (2, True)


def test_another_data_set(tmp_path: Path) -> None:
    out = tmp_path / "x.csv"
    assert run("datasets", "sections", "examples", "--limit", 3, "--out", out, "--quiet") == (0, "", "")
    assert [line.partition(",")[0] for line in text_of(out).split("\r\n")] == [
        "study",
        "examples:ex001",
        "examples:ex002",
        "examples:ex003",
        "",
    ]


@pytest.mark.parametrize("parser", ["tolerant", "mit-lcp"])
def test_the_whole_path(root: Path, tmp_path: Path, parser: str) -> None:
    (root / f"{FIRST.folder}.txt").write_bytes(b"\xff")
    code, _, stderr = run(
        "build", "--dataset", "mimic", "--root", root, "--section-parser", parser, "-w", tmp_path / "kg", "--workers", 1
    )
    assert (code, "s50000041: byte 0xff at offset 0 is not UTF-8" in stderr) == (4, True)
    query = "MATCH (s:Study) RETURN s.id AS id ORDER BY id"
    code, stdout, _ = run("query", "--cypher", query, "-w", tmp_path / "kg", "--format", "csv")
    assert stdout.split() == ["id", "s50000012", "s50000023", "s50000041", "s50000077", "s50913680"]
