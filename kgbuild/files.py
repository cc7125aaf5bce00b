"""Files that exist are complete: write aside, flush to disk, move into place.

A file being written ends in ``.part`` and names the process that writes it, so that the next run can tell a dead
process's leavings from a live neighbour's work (shards share a folder).
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_OWNER = re.compile(r"\.([A-Za-z0-9_-]+)-(\d+)\.part$")
_DAY_S = 86_400


def _host() -> str:
    return re.sub(r"[^A-Za-z0-9_]", "_", socket.gethostname()) or "host"


def part_path(path: Path) -> Path:
    """Where ``path`` is written until it is whole."""
    return path.with_name(f"{path.name}.{_host()}-{os.getpid()}.part")


def commit(part: Path, path: Path) -> None:
    """Flush ``part`` (a closed file) to disk and move it to ``path``; from then on it is there, whole."""
    descriptor = os.open(part, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    os.replace(part, path)


@contextmanager
def atomic(path: Path, *, private: bool = False) -> Iterator[Path]:
    """Give a path to write to; move it to ``path`` at the end, or remove it if the block fails.

    A ``private`` file (of report text) can be read by its owner only, from its first byte on.

    A link is followed, so that it stays one. What is no file (a pipe, ``/dev/stdout``) cannot be moved into place: it
    is given the bytes once they are whole.
    """
    if is_stream(path):
        with tempfile.TemporaryDirectory() as folder:
            whole = Path(folder) / "whole"
            yield whole
            with whole.open("rb") as source, path.open("wb") as target:
                shutil.copyfileobj(source, target)
        return
    path = path.resolve() if path.is_symlink() else path
    path.parent.mkdir(parents=True, exist_ok=True)
    part = part_path(path)
    try:
        if private:
            part.unlink(missing_ok=True)
            os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        yield part
        commit(part, path)
    finally:
        part.unlink(missing_ok=True)


def is_stream(path: Path) -> bool:
    """Whether ``path`` is a device, a pipe or one of the process's own streams rather than a place for a file."""
    return str(path).startswith(("/dev/", "/proc/")) or (path.exists() and not path.is_file() and not path.is_dir())


def write_text(path: Path, text: str) -> None:
    """Write a whole text file, or nothing."""
    with atomic(path) as part:
        part.write_text(text, encoding="utf-8")


def sweep(folder: Path) -> int:
    """Remove ``.part`` files and folders that no living process can still be writing; returns how many went."""
    swept = 0
    for part in list(folder.rglob("*.part")):
        if not part.exists():
            continue  # it lay in a folder that has just gone
        owner = _OWNER.search(part.name)
        if owner and owner.group(1) == _host() and _alive(int(owner.group(2))):
            continue
        if owner and owner.group(1) != _host() and time.time() - part.stat().st_mtime < _DAY_S:
            continue
        if part.is_dir():
            shutil.rmtree(part, ignore_errors=True)
        else:
            part.unlink(missing_ok=True)
        swept += 1
    return swept


def _alive(pid: int) -> bool:
    if pid == os.getpid():
        return False  # this process is only starting: what carries its number is an older one's
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def sha256(path: Path) -> str:
    """Hex digest of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
