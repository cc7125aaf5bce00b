"""Embeddings by image id; a file that cannot be read gives its error, a cache that fails costs only time."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from kgbuild.errors import KgbuildError, StudyError
from kgbuild.models.embedding_cache import embed_images
from kgbuild.models.medclip import ImageEncoder, new_image_encoder
from kgbuild.models.memory import BatchLimit
from kgbuild.pixels import read_pixels


@pytest.fixture(scope="module")
def encoder() -> ImageEncoder:
    return new_image_encoder("resnet", seed=0, tiny=True)


@pytest.fixture
def images(tmp_path: Path) -> list[tuple[str, Path]]:
    found = []
    for i in range(5):
        picture = Image.linear_gradient("L").rotate(40 * i).resize((50 + i, 40))
        picture.save(tmp_path / f"{i}.png")
        found.append((f"id{i}", tmp_path / f"{i}.png"))
    return found


def test_embeddings_are_the_encoders_own_from_the_cache_too(
    encoder: ImageEncoder, images: list[tuple[str, Path]], tmp_path: Path
) -> None:
    want = {name: encoder.embed([read_pixels(path)])[0] for name, path in images}
    for cache, steps in (
        (None, [(2, 5), (4, 5), (5, 5)]),
        (tmp_path / "cache", [(2, 5), (4, 5), (5, 5)]),
        (tmp_path / "cache", []),
    ):
        seen: list[tuple[int, int]] = []
        got = embed_images(encoder, images, cache, batch_size=2, on_batch=partial(_note, seen))
        assert seen == steps
        assert set(got) == set(want)
        for name, vector in want.items():
            found = got[name]
            assert isinstance(found, torch.Tensor)
            assert torch.allclose(found, vector, atol=1e-6)
            assert found.norm().item() == pytest.approx(1.0, abs=1e-5)


def _note(seen: list[tuple[int, int]], done: int, of: int) -> None:
    seen.append((done, of))


def test_another_encoder_has_another_cache(
    encoder: ImageEncoder, images: list[tuple[str, Path]], tmp_path: Path
) -> None:
    one = embed_images(encoder, images[:1], tmp_path / "cache")["id0"]
    other = embed_images(new_image_encoder("resnet", seed=9, tiny=True), images[:1], tmp_path / "cache")["id0"]
    assert isinstance(one, torch.Tensor)
    assert isinstance(other, torch.Tensor)
    assert not torch.allclose(one, other)
    assert len(list((tmp_path / "cache").glob("*.sqlite"))) == 2


def test_files_that_cannot_be_read_do_not_stop_the_others(
    encoder: ImageEncoder, images: list[tuple[str, Path]], tmp_path: Path
) -> None:
    images[1][1].write_bytes(b"\xff\xd8\xff nothing more")
    images[3][1].unlink()
    got = embed_images(encoder, images, tmp_path / "cache", batch_size=2)
    assert [name for name, one in sorted(got.items()) if isinstance(one, StudyError)] == ["id1", "id3"]
    Image.new("L", (20, 20), 99).save(images[3][1])
    assert isinstance(embed_images(encoder, images, tmp_path / "cache")["id3"], torch.Tensor)


def test_a_folder_that_cannot_be_written_costs_only_time(
    encoder: ImageEncoder, images: list[tuple[str, Path]], tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    got = embed_images(encoder, images[:2], tmp_path / "file" / "cache")
    assert all(isinstance(one, torch.Tensor) for one in got.values())
    assert embed_images(encoder, [], tmp_path / "cache") == {}


def test_a_batch_that_does_not_fit_the_gpu_is_halved_and_said_once(
    encoder: ImageEncoder, images: list[tuple[str, Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    want = embed_images(encoder, images)
    room = _Room(monkeypatch, 1)
    said: list[str] = []
    limit = BatchLimit(warn=said.append)
    for _ in range(2):
        got = embed_images(encoder, images, limit=limit)
        assert all(torch.allclose(torch.as_tensor(got[name]), torch.as_tensor(want[name]), atol=1e-6) for name in want)
    assert room.asked == [5, 2, *[1] * 5, *[1] * 5]
    assert said == ["out of GPU memory with 5 images at a time: going on with fewer"]


def test_where_not_even_one_image_fits_it_is_said(
    encoder: ImageEncoder, images: list[tuple[str, Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    _Room(monkeypatch, 0)
    with pytest.raises(KgbuildError, match="too small to embed even one image"):
        embed_images(encoder, images)


class _Room:
    """A GPU that holds so many images at a time; ``asked`` are the batches that were tried."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, holds: int) -> None:
        self.asked: list[int] = []
        embed = ImageEncoder.embed

        def tried(encoder: Any, pixels: Any) -> Any:
            self.asked.append(len(pixels))
            if len(pixels) > holds:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return embed(encoder, pixels)

        monkeypatch.setattr(ImageEncoder, "embed", tried)
