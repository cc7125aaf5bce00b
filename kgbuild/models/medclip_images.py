"""MedCLIP's way from a radiograph's pixels to its image encoder's input, to the last constant.

Source: the feature extractor of the MedCLIP code (read, not run here): pad to a square with black, the picture in the
middle (odd remainders right and below), never below the encoder's side; scale with Pillow's bicubic filter; divide
by 255; one mean and one standard deviation; the grey channel three times.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SIDE = 224
MEAN = 0.5862785803043838
STD = 0.27950088968644304
SIGNATURE = "pad-square:0,bicubic,/255,mean:0.5862785803043838,std:0.27950088968644304,grey:3"
"""What decides the embedding besides the weights; part of an encoder's hash."""


def to_input(images: Sequence[NDArray[np.uint8]], *, side: int = SIDE) -> Tensor:
    """Radiographs as one batch for the encoder.

    Args:
        images: 0 is black. Shape of each: ``(rows, columns)``
        side: the encoder's picture, in pixels.

    Returns:
        float32, black is (0 - MEAN) / STD. *Shape:* ``(len(images), 3, side, side)``
    """
    grey = torch.stack([torch.from_numpy(square(image, side)) for image in images])
    return ((grey.float() / 255.0 - MEAN) / STD).unsqueeze(1).expand(-1, 3, -1, -1).contiguous()


def square(image: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """A radiograph padded to a square and scaled. Shape: (side, side)."""
    import numpy as np
    from PIL import Image

    rows, columns = image.shape
    edge = max(side, rows, columns)  # a smaller picture gets a margin, it is not enlarged
    canvas = Image.new("L", (edge, edge), 0)
    canvas.paste(Image.fromarray(image), ((edge - columns) // 2, (edge - rows) // 2))
    if edge != side:
        canvas = canvas.resize((side, side), Image.Resampling.BICUBIC)
    return np.array(canvas, dtype=np.uint8)
