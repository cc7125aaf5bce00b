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
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from kgbuild.errors import KgbuildError, StudyError
from kgbuild.models.memory import BatchLimit, unless_memory_ends
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
    limit: BatchLimit | None = None,
) -> dict[str, Tensor | StudyError]:
    """Embed image files; one that cannot be read gives its error in its place.

    Args:
        encoder: a MedCLIP image encoder; computes where its weights are.
        images: (image id, file).
        cache_folder: where to remember; None remembers nothing.
        batch_size: images decoded and embedded at a time; bounds the memory.
        on_batch: told of (images done, images in all).
        limit: the batch size found by earlier calls to fit the GPU; its ``warn`` hears when it shrinks.

    Returns:
        by image id: float32 on the CPU, L2-normalised. Shape of each: (512,)

    Raises:
        KgbuildError: not even one image fits the GPU's memory.
    """
    limit = limit if limit is not None else BatchLimit()
    cache = _Cache(cache_folder / f"{encoder.hash[:32]}.sqlite" if cache_folder is not None else None)
    stamps = {name: stamp_of(path) for name, path in images}
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
                vectors = _embedded(encoder, [one for _, one in good], limit)
                new = {name: vector.clone() for (name, _), vector in zip(good, vectors, strict=True)}
                found |= new
                cache.write({name: (stamps[name], vector) for name, vector in new.items()})
            if on_batch:
                on_batch(len(found), len(stamps))
    return found


def _embedded(encoder: ImageEncoder, pixels: list[Pixels], limit: BatchLimit) -> Tensor:
    """Embeddings on the CPU; a batch that does not fit the GPU is halved and tried again.

    Shape: (len(pixels), 512)
    """
    parts: list[Tensor] = []
    done = 0
    while done < len(pixels):
        some = pixels[done : done + min(limit.size or len(pixels), len(pixels))]
        part = unless_memory_ends(partial(encoder.embed, some))
        if part is not None:
            parts.append(part)
            done += len(some)
            continue
        if len(some) == 1:
            raise KgbuildError(
                "the GPU's memory is too small to embed even one image",
                expected="free memory beside what other programs hold",
                next_step="end the other programs (nvidia-smi lists them), or --option device=cpu",
            )
        first, limit.size = limit.size is None, max(1, len(some) // 2)
        if first:  # once is enough to know of it
            limit.warn(f"out of GPU memory with {len(some)} images at a time: going on with fewer")
    return torch.cat(parts)


def _batches(items: Sequence[tuple[str, Path]], size: int) -> Iterator[list[tuple[str, Path]]]:
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch


def _pixels(name: str, path: Path) -> Pixels | StudyError:
    try:
        return read_pixels(path, name)
    except StudyError as error:
        return error


def stamp_of(path: Path) -> str:
    """What tells a replaced file from the one before: its size and time of change."""
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
