"""The wheel: built from the sdist, installed into an empty environment, run from another folder."""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

import pytest

from kgbuild import queries

pytestmark = pytest.mark.integration
CHECKOUT = Path(__file__).parents[2]


def run(*args: object, cwd: Path) -> str:
    done = subprocess.run([str(arg) for arg in args], cwd=cwd, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, f"{args}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_an_installed_kgbuild_runs_from_any_folder(tmp_path: Path) -> None:
    env = tmp_path / "env"
    venv.create(env, with_pip=True)
    python = env / "bin" / "python"
    copy = tmp_path / "source"
    run("git", "clone", "--quiet", CHECKOUT, copy, cwd=tmp_path)
    # what is tested is the working tree, committed or not
    changed = run("git", "ls-files", "--modified", "--others", "--exclude-standard", cwd=CHECKOUT).splitlines()
    for name in changed:
        if (CHECKOUT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            (copy / name).write_bytes((CHECKOUT / name).read_bytes())
    run(python, "-m", "pip", "install", "-q", "--disable-pip-version-check", copy, cwd=tmp_path)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    kgbuild = env / "bin" / "kgbuild"
    location = run(python, "-c", "import kgbuild; print(kgbuild.__file__)", cwd=elsewhere)
    assert str(env) in location
    listed = run(kgbuild, "query", "--list", "--format", "csv", cwd=elsewhere)
    assert [line.split(",")[0] for line in listed.splitlines()[1:]] == queries.names()
    shown = run(kgbuild, "demo", cwd=elsewhere)
    assert "Study" in shown
    assert (elsewhere / "kgbuild-demo" / "workspace.json").is_file()
    top = {p.name for p in (Path(location.strip()).parents[1]).iterdir()}
    assert not top & {"cypher", "schemas", "training", "tests"}, "data folders must live inside the package"
    packages = run(python, "-m", "pip", "list", "--format", "freeze", cwd=elsewhere).lower()
    assert not any(f"{heavy}==" in packages for heavy in ("torch", "transformers", "neo4j", "rdflib", "scispacy"))


def test_python_is_the_one_that_is_promised() -> None:
    assert sys.version_info >= (3, 11)
