"""The catalog in a real PostgreSQL: many machines share it by URL, and the files stay the truth."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import kgbuild
from kgbuild.pipelines import stages
from kgbuild.pipelines.status import status

pytestmark = pytest.mark.integration
USER = "postgres"  # PostgreSQL refuses to run as root


def _bin() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    which = shutil.which("initdb")
    return found[-1].parent if found else Path(which).parent if which else None


def _run(*args: str, cwd: Path) -> None:
    as_user = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups"] if os.geteuid() == 0 else []
    subprocess.run([*as_user, *args], check=True, cwd=cwd, stdout=subprocess.DEVNULL, timeout=120)


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a fresh server on a free port, its data in a temporary folder."""
    folder = _bin()
    if folder is None:
        if os.environ.get("CI") == "true":
            pytest.fail("no PostgreSQL: install the Debian package postgresql")
        pytest.skip("no PostgreSQL: install the Debian package postgresql")
    home = Path("/tmp") / f"kgbuild-pg-{os.getpid()}"
    home.mkdir(mode=0o700)
    if os.geteuid() == 0:
        shutil.chown(home, USER, USER)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    data = home / "data"
    _run(str(folder / "initdb"), "-D", str(data), "-U", "kg", "--auth=trust", "--no-sync", cwd=home)
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={home} -c fsync=off"
    _run(str(folder / "pg_ctl"), "-D", str(data), "-w", "-l", str(home / "log"), "-o", options, "start", cwd=home)
    try:
        yield f"postgresql+psycopg://kg@127.0.0.1:{port}/postgres"
    finally:
        _run(str(folder / "pg_ctl"), "-D", str(data), "-m", "immediate", "stop", cwd=home)
        shutil.rmtree(home, ignore_errors=True)


def test_a_shared_catalog(postgres: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KGBUILD_CATALOG", postgres)
    root = tmp_path / "iu"
    root.mkdir()
    (root / "reports.csv").write_text("uid,findings,impression\n1,No effusion.,\n1,Other.,\n2,,\n3,Small effusion.,\n")
    source = kgbuild.resolve("iu-xray", root)
    for i in range(2):
        stages.generate(source, tmp_path / "W", chunk_size=1, shard=(i, 2))
    stages.link(tmp_path / "W")
    found = {run.kind: run for run in status(tmp_path / "W")}
    assert not (tmp_path / "W" / "catalog.sqlite").exists()
    assert found["annotations"].counts["studies"] == 3
    assert [failure.study_id for failure in found["annotations"].failures] == ["CXR1"]
    monkeypatch.delenv("KGBUILD_CATALOG")
    assert {run.kind: run for run in status(tmp_path / "W")} == found


def test_a_password_in_the_url_is_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KGBUILD_CATALOG", "postgresql+psycopg://kg:hunter22@127.0.0.1:1/none")
    with pytest.raises(kgbuild.errors.WorkspaceError) as caught:
        stages.generate(kgbuild.resolve("examples", limit=1), tmp_path / "W")
    assert "hunter22" not in str(caught.value)
    assert "127.0.0.1:1" in str(caught.value)
