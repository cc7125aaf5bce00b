"""Image embeddings, computed once: a SQLite file per image encoder, named by the encoder's hash.

An entry belongs to an image id and its file's size and time of change, so that a replaced file is embedded anew. The
cache only saves time: where it cannot be opened or written (read-only disk, another process for too long, damage),
embeddings are computed. Nothing of a report or a patient's name is in it, but embeddings fall under the data use
agreement as the images do: it lies in the workspace.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from kgbuild.errors import StudyError
from kgbuild.pixels import read_pixels

if TYPE_CHECKING:
    from kgbuild.models.medclip import ImageEncoder
    from kgbuild.pixels import Pixels

_READERS = 8  # decoding a JPEG of MIMIC's size takes about 60 ms of one core
_WAIT_S = 30.0
_TABLE = "CREATE TABLE IF NOT EXISTS embeddings (id TEXT PRIMARY KEY, stamp TEXT NOT NULL, vector BLOB NOT NULL)"


def embed_images(
    encoder: ImageEncoder,
    images: Sequence[tuple[str, Path]],
    cache_folder: Path | None = None,
    batch_size: int = 16,
    on_batch: Callable[[int, int], None] | None = None,
) -> dict[str, Tensor | StudyError]:
    """Embed image files; one that cannot be read gives its error in its place.

    Args:
        encoder: a MedCLIP image encoder; computes where its weights are.
        images: (image id, file).
        cache_folder: where to remember; None remembers nothing.
        batch_size: images decoded and embedded at a time; bounds the memory.
        on_batch: told of (images done, images in all).

    Returns:
        by image id: float32 on the CPU, L2-normalised. Shape of each: (512,)
    """
    cache = _Cache(cache_folder / f"{encoder.hash[:32]}.sqlite" if cache_folder is not None else None)
    stamps = {name: _stamp(path) for name, path in images}
    found: dict[str, Tensor | StudyError] = dict(cache.read(stamps))
    todo = [(name, path) for name, path in dict(images).items() if name not in found]
    with ThreadPoolExecutor(min(_READERS, os.cpu_count() or 1)) as readers:
        for batch in _batches(todo, batch_size):
            pixels = list(readers.map(lambda one: _pixels(*one), batch))
            good = [
                (name, one) for (name, _), one in zip(batch, pixels, strict=True) if not isinstance(one, StudyError)
            ]
            found |= {name: one for (name, _), one in zip(batch, pixels, strict=True) if isinstance(one, StudyError)}
            if good:
                with torch.inference_mode():
                    vectors = encoder.embed([one for _, one in good]).float().cpu()
                new = {name: vector.clone() for (name, _), vector in zip(good, vectors, strict=True)}
                found |= new
                cache.write({name: (stamps[name], vector) for name, vector in new.items()})
            if on_batch:
                on_batch(len(found), len(stamps))
    return found


def _batches(items: Sequence[tuple[str, Path]], size: int) -> Iterator[list[tuple[str, Path]]]:
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch


def _pixels(name: str, path: Path) -> Pixels | StudyError:
    try:
        return read_pixels(path, name)
    except StudyError as error:
        return error


def _stamp(path: Path) -> str:
    try:
        stat = path.stat()
    except OSError:
        return "absent"
    return f"{stat.st_size}:{stat.st_mtime_ns}"


class _Cache:
    """A file that may fail: what cannot be read is not there, what cannot be written is not kept."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        if path is not None:
            with suppress(OSError):
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)

    def read(self, stamps: dict[str, str]) -> Iterator[tuple[str, Tensor]]:
        """Embeddings of the files that have not changed."""
        for name, stamp, blob in self._run(lambda db: self._rows(db, list(stamps))) or []:
            if stamps[name] == stamp:
                yield name, torch.frombuffer(bytearray(blob), dtype=torch.float32)

    @staticmethod
    def _rows(db: sqlite3.Connection, names: list[str]) -> list[tuple[str, str, bytes]]:
        rows: list[tuple[str, str, bytes]] = []
        for start in range(0, len(names), 500):  # SQLite takes so many parameters at least
            some = names[start : start + 500]
            marks = ",".join("?" * len(some))
            rows += db.execute(f"SELECT id, stamp, vector FROM embeddings WHERE id IN ({marks})", some).fetchall()
        return rows

    def write(self, new: dict[str, tuple[str, Tensor]]) -> None:
        """Keep embeddings."""
        rows = [(name, stamp, vector.numpy().tobytes()) for name, (stamp, vector) in new.items()]
        self._run(lambda db: db.executemany("INSERT OR REPLACE INTO embeddings VALUES (?, ?, ?)", rows))

    def _run(self, work: Callable[[sqlite3.Connection], Any]) -> Any:
        if self._path is None:
            return None
        try:
            with closing(sqlite3.connect(self._path, timeout=_WAIT_S)) as db, db:
                db.execute(_TABLE)
                return work(db)
        except sqlite3.Error:
            return None
