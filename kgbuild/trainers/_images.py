"""Image embeddings of the training pairs: computed once for an image encoder, kept beside the pairs, memory-mapped.

The file is named by the encoder and by every image's size and time of change, so that images that were replaced, or
that could not be read and came back, are looked at anew.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.parquet as pq
import torch

from kgbuild import files
from kgbuild.errors import StudyError
from kgbuild.models.embedding_cache import embed_images, stamp_of
from kgbuild.models.memory import BatchLimit
from kgbuild.trainers import _processes
from kgbuild.trainers.base import Progress, TrainingData

if TYPE_CHECKING:
    from kgbuild.models.medclip import ImageEncoder

_BLOCK = 256
_SPLITS = ("train", "validate")


class Embeddings:
    """Image id → embedding, shape (width,), float32. An id of null, or of an image that cannot be read, gives NaN."""

    def __init__(self, values: Path, index: dict[str, int], unreadable: dict[str, str], width: int) -> None:
        self.index, self.unreadable, self.width = index, unreadable, width
        shape = (len(index), width)
        self._values = np.memmap(values, np.float32, "r", shape=shape) if index else np.zeros(shape, np.float32)
        self.name = values.name

    def __getitem__(self, image_id: str | None) -> torch.Tensor:
        if not self.usable(image_id):
            return torch.full((self.width,), torch.nan)
        return torch.from_numpy(np.array(self._values[self.index[str(image_id)]]))

    def some(self, most: int = 10_000) -> torch.Tensor:
        """The first embeddings. *Shape:* ``(up to most, width)``."""
        names = [name for name in self.index if name not in self.unreadable][:most]
        return torch.stack([self[name] for name in names]) if names else torch.zeros(0, self.width)

    def usable(self, image_id: str | None) -> bool:
        """Whether there is an embedding."""
        return image_id is not None and image_id in self.index and image_id not in self.unreadable


def embed(data: TrainingData, encoder: ImageEncoder, width: int, progress: Progress) -> Embeddings:
    """Embed the images of training and validation pairs, or find that it was done.

    Args:
        data: the pairs; embeddings lie in its folder, and in the workspace's own cache of them.
        encoder: with its preprocessing; its hash is in the file's name.
        width: of an embedding.
        progress: told of images.
    """
    wanted = dict(_images(data))
    stamps = json.dumps([(name, stamp_of(path)) for name, path in wanted.items()])
    state = hashlib.sha256(stamps.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    values = data.folder / f"embeddings-{encoder.hash[:16]}-{state}.f32"
    index = values.with_suffix(".json")
    with _processes.first(index):
        if not index.is_file():
            _make(data, wanted, encoder, width, values, progress)
    facts = json.loads(index.read_text(encoding="utf-8"))
    return Embeddings(values, {name: row for row, name in enumerate(facts["ids"])}, facts["unreadable"], width)


def _make(
    data: TrainingData, wanted: dict[str, Path], encoder: ImageEncoder, width: int, values: Path, progress: Progress
) -> None:
    names = list(wanted)
    unreadable: dict[str, str] = {}
    shared = data.folder.parents[1] / "cache" / "embeddings"  # of the workspace: generation looks there too
    limit = BatchLimit(warn=logging.getLogger("kgbuild").warning)
    encoder.to("cuda" if torch.cuda.is_available() else "cpu").eval()
    with files.atomic(values) as part, part.open("wb") as sink:
        for start in range(0, len(names), _BLOCK):
            block = names[start : start + _BLOCK]
            found = embed_images(encoder, [(name, wanted[name]) for name in block], shared, limit=limit)
            rows = np.full((len(block), width), np.nan, np.float32)
            for place, name in enumerate(block):
                one = found[name]
                if isinstance(one, StudyError):
                    unreadable[name] = one.reason
                else:
                    rows[place] = one.numpy()
            sink.write(rows.tobytes())
            progress("images", min(start + _BLOCK, len(names)), len(names))
    files.write_text(values.with_suffix(".json"), json.dumps({"ids": names, "unreadable": unreadable}))
    encoder.to("cpu")


def _images(data: TrainingData) -> Iterator[tuple[str, Path]]:
    for split in _SPLITS:
        path = data.folder / f"{split}.parquet"
        if not path.is_file():
            continue
        for batch in pq.ParquetFile(path).iter_batches(4096, columns=["image_id", "image_path"]):
            for row in batch.to_pylist():
                if row["image_id"] is not None and row["image_path"] is not None:
                    yield row["image_id"], Path(row["image_path"])
