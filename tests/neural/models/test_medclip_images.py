"""MedCLIP's preprocessing against NumPy, down to the last constant."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from kgbuild.models.medclip_images import to_input

MEAN, STD = 0.5862785803043838, 0.27950088968644304


def bicubic(image: Any, side: int) -> Any:
    """Pillow's filter (Catmull-Rom, widened when a picture shrinks) in floats, rows then columns."""

    def weights(size: int) -> Any:
        scale = size / side
        reach = 2.0 * max(scale, 1.0)
        matrix = np.zeros((side, size))
        for out in range(side):
            centre = (out + 0.5) * scale
            low, high = max(int(centre - reach + 0.5), 0), min(int(centre + reach + 0.5), size)
            x = np.abs((np.arange(low, high) + 0.5 - centre) / max(scale, 1.0))
            near = 1.5 * x**3 - 2.5 * x**2 + 1
            far = -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
            row = np.where(x < 1, near, np.where(x < 2, far, 0.0))
            matrix[out, low:high] = row / row.sum()
        return matrix

    across = np.clip(np.rint(image @ weights(image.shape[1]).T), 0, 255)
    return np.clip(np.rint(weights(image.shape[0]) @ across), 0, 255)


def prepared(image: Any, side: int) -> Any:
    edge = max(side, *image.shape)
    square = np.zeros((edge, edge))
    top, left = (edge - image.shape[0]) // 2, (edge - image.shape[1]) // 2
    square[top : top + image.shape[0], left : left + image.shape[1]] = image
    return (bicubic(square, side) / 255 - MEAN) / STD


@pytest.mark.parametrize("size", [(301, 250), (250, 301), (100, 90), (224, 224), (225, 224)])
def test_it_pads_scales_and_normalises_as_numpy_does(size: tuple[int, int]) -> None:
    image = np.random.default_rng(3).integers(0, 256, size, dtype=np.uint8)
    given = to_input([image]).numpy()
    assert given.shape == (1, 3, 224, 224)
    assert np.array_equal(given[0, 0], given[0, 1])
    assert np.array_equal(given[0, 0], given[0, 2])
    grey = 1 / 255 / STD  # Pillow's fixed-point weights may round a grey level the other way
    np.testing.assert_allclose(given[0, 0], prepared(image, 224), rtol=0, atol=1.01 * grey)
    exact = np.isclose(given[0, 0], prepared(image, 224), rtol=0, atol=1e-5).mean()
    assert exact > 0.95


def test_a_small_picture_gets_a_black_margin_and_is_not_enlarged() -> None:
    given = to_input([np.full((101, 100), 255, dtype=np.uint8)]).numpy()[0, 0]
    black, white = -MEAN / STD, (1 - MEAN) / STD
    expected = np.full((224, 224), black)
    expected[61:162, 62:162] = white  # 123 rows to spare, 61 above and 62 below
    np.testing.assert_allclose(given, expected, rtol=0, atol=1e-6)


def test_one_size_does_not_change_another_in_the_batch() -> None:
    draw = np.random.default_rng(5)
    images = [draw.integers(0, 256, size, dtype=np.uint8) for size in ((70, 64), (64, 64), (200, 90))]
    together = to_input(images, side=64).numpy()
    for row, image in zip(together, images, strict=True):
        assert np.array_equal(row, to_input([image], side=64).numpy()[0])
