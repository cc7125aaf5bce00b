"""Files that exist are whole; what dead processes left goes, what living neighbours write stays."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from kgbuild import files


def test_a_file_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "a.txt"
    with files.atomic(target) as part:
        part.write_text("half")
        assert not target.exists()
    assert target.read_text() == "half"
    with pytest.raises(OSError, match="No space"):
        _fill_the_disk(target)
    assert target.read_text() == "half"
    assert os.listdir(target.parent) == ["a.txt"]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    files.write_text(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "new"


def test_a_pipe_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = subprocess.Popen(["cat", str(pipe)], stdout=subprocess.PIPE, text=True)
    files.write_text(pipe, "through")
    assert reader.communicate(timeout=30)[0] == "through"
    assert pipe.is_fifo()


def _fill_the_disk(target: Path) -> None:
    with files.atomic(target) as part:
        part.write_text("other")
        raise OSError(errno.ENOSPC, "No space left on device")


def test_sweep_removes_dead_processes_parts_and_keeps_the_living(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    host = files._host()
    living = tmp_path / f"1.parquet.{host}-{child.pid}.part"
    dead = tmp_path / f"2.parquet.{host}-999999.part"
    nameless = tmp_path / "sub" / "3.part"
    elsewhere = tmp_path / "4.parquet.other-1.part"
    old_elsewhere = tmp_path / "5.parquet.other-1.part"
    nameless.parent.mkdir()
    for path in (living, dead, nameless, elsewhere, old_elsewhere):
        path.write_text("x")
    folder = tmp_path / f"graph.{host}-999999.part"
    (folder / "nodes").mkdir(parents=True)
    (folder / "nodes" / f"a.parquet.{host}-999999.part").write_text("x")
    os.utime(old_elsewhere, (1, 1))
    try:
        assert files.sweep(tmp_path) in (4, 5)  # the folder, and what lay in it if it was met first
        assert not folder.exists()
        assert living.exists()
        assert elsewhere.exists()
        assert not dead.exists()
        assert not nameless.exists()
    finally:
        child.communicate(b"\n")
