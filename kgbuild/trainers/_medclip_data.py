"""Pictures and sentences of one split, as MedCLIP's training takes them: pixels memory-mapped, labels as vectors."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
from torch import Tensor
from torch.nn import functional

from kgbuild import files
from kgbuild.errors import FileMissing, StudyError
from kgbuild.models import medclip_images
from kgbuild.pixels import read_pixels
from kgbuild.trainers.base import Progress, TrainingData

MARGIN = 8 / 7  # pictures are kept at 256 pixels for a side of 224, and a part of that size is looked at
_BLOCK = 512


@dataclass(frozen=True, slots=True)
class Sentences:
    """Images that can be read and have at least one sentence with a label.

    Attributes:
        pixels: uint8, 0 is black. Shape: (images, kept, kept), in which kept = ``kept_side(side)``
        sentences: of each image.
        labels: of each image and sentence: (place in the label list, sign).
        n_labels: how long the label list is.
        unreadable: images left out because they cannot be read.
    """

    pixels: Any
    rows: list[int]
    sentences: list[list[str]]
    labels: list[list[list[tuple[int, int]]]]
    n_labels: int
    unreadable: int

    def __len__(self) -> int:
        return len(self.rows)

    def pictures(self, places: list[int]) -> Tensor:
        """Some images, 0 to 1. *Shape:* ``(len(places), 1, kept, kept)``."""
        block = np.stack([self.pixels[self.rows[place]] for place in places])
        return torch.from_numpy(block).unsqueeze(1).float() / 255.0

    def vector(self, said: list[tuple[int, int]]) -> Tensor:
        """A sentence's labels. *Shape:* ``(n_labels,)``."""
        vector = torch.zeros(self.n_labels)
        for place, sign in said:
            vector[place] = sign
        return vector

    def image_vector(self, place: int) -> Tensor:
        """An image's labels: what any of its sentences affirms; what one denies, if none affirms it."""
        rows = torch.stack([self.vector(said) for said in self.labels[place]])
        high, low = rows.amax(0), rows.amin(0)
        return torch.where(high > 0, high, low)


def kept_side(side: int) -> int:
    """Edge of the pictures as they are kept, in pixels."""
    return round(side * MARGIN)


def load(data: TrainingData, split: str, side: int, progress: Progress) -> Sentences | None:
    """Read a split; its pictures are decoded once and kept beside it. None where the split has no rows.

    Raises:
        FileMissing: the pairs have no sentences.
    """
    path = data.folder / f"{split}-sentences.parquet"
    if not path.is_file():
        raise FileMissing("training pairs without sentences", where=str(path), expected="medclip_data.add_sentences")
    names = json.loads((data.folder / "labels.json").read_text(encoding="utf-8"))["labels"]
    place = {name: number for number, name in enumerate(names)}
    table = pq.read_table(path).to_pylist()
    if not table:
        return None
    pixels, unreadable = _pixels(path, [(row["image_id"], row["image_path"]) for row in table], side, progress)
    rows, sentences, labels = [], [], []
    for number, row in enumerate(table):
        said = [
            (words, [(place[name], sign) for name, sign in zip(own, signs, strict=True) if name in place and sign])
            for words, own, signs in zip(row["sentences"], row["labels"], row["signs"], strict=True)
        ]
        said = [one for one in said if one[1]]
        if said and number not in unreadable:
            rows.append(number)
            sentences.append([words for words, _ in said])
            labels.append([own for _, own in said])
    return Sentences(pixels, rows, sentences, labels, len(names), len(unreadable))


def _pixels(path: Path, images: list[tuple[str, str]], side: int, progress: Progress) -> tuple[Any, set[int]]:
    kept = kept_side(side)
    parts = [medclip_images.SIGNATURE, kept, files.sha256(path)]
    made = path.with_name(f"{path.stem}-{hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]}.u8")
    index = made.with_suffix(".json")
    if not index.is_file():
        unreadable = []
        with files.atomic(made) as part, part.open("wb") as file:
            for start in range(0, len(images), _BLOCK):
                for number, (name, place) in enumerate(images[start : start + _BLOCK], start):
                    try:
                        picture = medclip_images.square(read_pixels(Path(place), name), kept)
                    except StudyError:
                        unreadable.append(number)
                        picture = np.zeros((kept, kept), np.uint8)
                    file.write(picture.tobytes())
                progress("images", min(start + _BLOCK, len(images)), len(images))
        files.write_text(index, json.dumps({"unreadable": unreadable}) + "\n")
    found = json.loads(index.read_text(encoding="utf-8"))["unreadable"]
    return np.memmap(made, np.uint8, "r", shape=(len(images), kept, kept)), set(found)


def varied(pictures: Tensor, side: int) -> Tensor:
    """Pictures turned, scaled, shifted, cut out and made brighter or darker at random, as the encoder takes them.

    MedCLIP's: up to 10 degrees, 0.8 to 1.1, a sixteenth of the picture; a part of 7/8 of the edge; brightness and
    contrast by 0.2. Not its horizontal flip: a radiograph flipped shows the other side's finding, and the sentence
    still says "right".

    Args:
        pictures: 0 to 1. *Shape:* ``(batch, 1, kept, kept)``
        side: of the encoder's picture.

    Returns:
        *Shape:* ``(batch, 3, side, side)``
    """
    n = len(pictures)
    angle = (torch.rand(n) * 2 - 1) * (10 * torch.pi / 180)
    zoom = (0.8 + 0.3 * torch.rand(n)) * MARGIN
    room = 1 - 1 / MARGIN
    turn = torch.zeros(n, 2, 3)
    turn[:, 0, 0] = turn[:, 1, 1] = angle.cos() / zoom
    turn[:, 0, 1], turn[:, 1, 0] = -angle.sin() / zoom, angle.sin() / zoom
    turn[:, :, 2] = (torch.rand(n, 2) * 2 - 1) * (room + 1 / 8)  # the picture is 2 wide here: a sixteenth is 1/8
    grid = functional.affine_grid(turn, [n, 1, side, side], align_corners=False)
    seen = functional.grid_sample(pictures, grid, padding_mode="zeros", align_corners=False)
    bright, contrast = 0.8 + 0.4 * torch.rand(2, n, 1, 1, 1)
    mean = seen.mean((1, 2, 3), keepdim=True)
    seen = (((seen * bright) - mean) * contrast + mean).clamp(0, 1)
    return _normal(seen)


def plain(pictures: Tensor, side: int) -> Tensor:
    """Whole pictures as the encoder takes them. *Shape:* ``(batch, 3, side, side)``."""
    return _normal(functional.interpolate(pictures, (side, side), mode="bicubic", antialias=True).clamp(0, 1))


def _normal(seen: Tensor) -> Tensor:
    return ((seen - medclip_images.MEAN) / medclip_images.STD).expand(-1, 3, -1, -1)
