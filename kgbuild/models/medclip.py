"""MedCLIP's image encoder in both its variants: radiograph → 512 numbers of length 1.

``vit`` is Swin-Tiny and a linear layer, ``resnet`` a ResNet-50 whose last layer is that linear layer. Both have the
published checkpoints' parameter names under ``vision_model.``; Swin's have changed since 2022, and transformers
itself turns the old ones into today's.

Source: Wang et al., MedCLIP (2022); names and constants from its code. The published weights could not be had where
this was built: names and shapes are tested, values are not.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from kgbuild.errors import FileMissing, KgbuildError
from kgbuild.files import atomic, write_text
from kgbuild.models import medclip_images
from kgbuild.models._loading import fit, quiet, read_weights, refuse_unfit
from kgbuild.models.resnet import RESNET50, ResNet

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Variant = Literal["vit", "resnet"]
WIDTH = 512
DESCRIPTION = "encoder.json"
WEIGHTS = "model.safetensors"
PREFIX = "vision_model."
_PUBLISHED = "pytorch_model.bin"
_SHAPES: dict[str, dict[str, Any]] = {
    "vit": {"embed_dim": 96, "depths": [2, 2, 6, 2], "num_heads": [3, 6, 12, 24], "window_size": 7, "patch_size": 4},
    "resnet": {"blocks": list(RESNET50), "width": 64},
}
_TINY: dict[str, dict[str, Any]] = {
    "vit": {"embed_dim": 24, "depths": [1, 1, 1], "num_heads": [2, 4, 8], "window_size": 4, "patch_size": 4},
    "resnet": {"blocks": [1, 1, 1, 1], "width": 16, "places": 2},  # quarters apart: sides are learned within minutes
}
_TINY_SIDE = 64


class ImageEncoder(nn.Module):
    """One of MedCLIP's image encoders.

    Attributes:
        variant: ``vit`` or ``resnet``.
        side: of the square picture it looks at, in pixels.
        shape: the backbone's sizes, as kept in ``encoder.json``.
    """

    def __init__(self, variant: Variant, *, side: int = medclip_images.SIDE, shape: Mapping[str, Any] | None = None):
        super().__init__()
        self.variant = variant
        self.side = side
        self.shape = dict(_SHAPES[variant] if shape is None else shape)
        self.model: nn.Module
        if variant == "vit":
            from transformers import SwinModel

            self.model = SwinModel(_swin_config(self.shape, side))
            features = self.shape["embed_dim"] * 2 ** (len(self.shape["depths"]) - 1)
            self.projection_head = nn.Linear(features, WIDTH, bias=False)
        else:
            self.model = ResNet(WIDTH, **self.shape, fc_bias=False)

    def forward(self, pixels: Tensor) -> Tensor:
        """Embed prepared pictures (``medclip_images.to_input``).

        Args:
            pixels: *Shape:* ``(batch, 3, side, side)``

        Returns:
            Each row of length 1. *Shape:* ``(batch, 512)``
        """
        embeds = self.model(pixels)
        if self.variant == "vit":
            embeds = self.projection_head(embeds.pooler_output)
        return functional.normalize(embeds, dim=-1)

    @torch.no_grad()
    def embed(self, images: Sequence[NDArray[np.uint8]]) -> Tensor:
        """Embed radiographs as they were read, in one batch, as in evaluation whatever the mode.

        Args:
            images: 0 is black. Shape of each: ``(rows, columns)``

        Returns:
            float32 on the CPU, each row of length 1. *Shape:* ``(len(images), 512)``
        """
        training = self.training
        self.eval()
        try:
            weight = next(self.parameters())
            pixels = medclip_images.to_input(images, side=self.side)
            return self(pixels.to(weight.device, weight.dtype)).float().cpu()
        finally:
            self.train(training)

    @property
    def hash(self) -> str:
        """Hex sha256 of everything that decides an embedding: weights, variant, side and preprocessing.

        Without the weights' names, which depend on transformers' version. Read anew each time, about 0.2 s.
        """
        digest = hashlib.sha256(f"{self.variant};{self.side};{medclip_images.SIGNATURE}".encode())
        for value in self.state_dict().values():
            digest.update(str(tuple(value.shape)).encode())
            digest.update(value.detach().float().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()

    def save(self, folder: Path) -> None:
        """Write ``model.safetensors`` with MedCLIP's names and ``encoder.json`` with variant and sizes."""
        save_weights(folder, {PREFIX + key: value for key, value in self.state_dict().items()})
        self.describe(folder)

    def describe(self, folder: Path) -> None:
        """Write ``encoder.json``; last, so that a folder without it is an unfinished one."""
        said = {"format": 1, "variant": self.variant, "side": self.side, "shape": self.shape, "sha256": self.hash}
        write_text(folder / DESCRIPTION, json.dumps(said, indent=2) + "\n")


def save_weights(folder: Path, weights: Mapping[str, Tensor]) -> None:
    """Write ``model.safetensors``, whole or not at all."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    with atomic(folder / WEIGHTS) as part:
        save_file({key: value.detach().cpu().contiguous() for key, value in weights.items()}, part)


def new_image_encoder(variant: Variant, *, seed: int, tiny: bool = False, side: int | None = None) -> ImageEncoder:
    """An encoder with random weights; the process's own random state is left as it was.

    Args:
        variant: ``vit`` or ``resnet``.
        seed: of the weights.
        tiny: a small one that looks at 64 pixels, for experiments and tests on a CPU. The ResNet keeps the picture's
            quarters apart (``ResNet``'s ``places``), as the published shape does not.
        side: of the picture, in pixels; a multiple of 32. None: 224, tiny 64.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        side = side or (_TINY_SIDE if tiny else medclip_images.SIDE)
        return ImageEncoder(variant, side=side, shape=_TINY[variant] if tiny else None).eval()


def load_image_encoder(path: Path, variant: Variant | None = None) -> ImageEncoder:
    """Load MedCLIP's image side from a published checkpoint or from a folder that kgbuild wrote.

    Args:
        path: a weights file (``pytorch_model.bin``, ``.safetensors``), a folder that holds one, or a kgbuild checkpoint
            with an ``image_encoder`` folder.
        variant: what it has to be; None takes what it is.

    Raises:
        FileMissing: nothing there.
        KgbuildError: of the other variant or no MedCLIP; missing or extra keys, listed; damaged; unfinished.
    """
    folder = path if path.is_dir() else path.parent
    if path.is_dir() and (path / "image_encoder" / DESCRIPTION).is_file():
        folder = path = path / "image_encoder"
    said = _description(folder)
    weights = read_weights(weights_file(path))
    mine = {key.removeprefix(PREFIX): value for key, value in weights.items() if key.startswith(PREFIX)}
    found = _variant_of(mine)
    if found is None or (variant or found) != found or said.get("variant", found) != found:
        raise KgbuildError(
            f"the weights are of another architecture: {_looks_like(found, weights)}",
            where=str(path),
            expected=f"MedCLIP's image encoder {variant or said.get('variant', 'vit or resnet')}, "
            f"keys {PREFIX}model.* and {PREFIX}projection_head.weight (vit) or {PREFIX}model.fc.weight (resnet)",
        )
    encoder = ImageEncoder(found, side=said.get("side", medclip_images.SIDE), shape=said.get("shape"))
    _fit_encoder(encoder, mine, str(path))
    return encoder.eval()


def _fit_encoder(encoder: ImageEncoder, weights: Mapping[str, Tensor], where: str) -> None:
    if encoder.variant == "resnet":
        fit(encoder, weights, where, PREFIX)
        return
    from transformers import SwinModel

    # An index that follows from the window's size, not a weight; transformers makes it anew.
    mine = {key: value for key, value in weights.items() if not key.endswith("relative_position_index")}
    swin = {key.removeprefix("model."): value for key, value in mine.items() if key.startswith("model.")}
    with quiet():
        model, info = SwinModel.from_pretrained(
            None,
            config=_swin_config(encoder.shape, encoder.side),
            state_dict=swin,
            output_loading_info=True,
            ignore_mismatched_sizes=True,
        )
    head = mine.get("projection_head.weight")
    shaped = head is not None and head.shape == encoder.projection_head.weight.shape
    refuse_unfit(
        where,
        missing=[f"{PREFIX}model.{key}" for key in info["missing_keys"]],
        extra=[f"{PREFIX}model.{key}" for key in info["unexpected_keys"]]
        + [PREFIX + key for key in mine if not key.startswith("model.") and key != "projection_head.weight"],
        reshaped=[f"{PREFIX}model.{row[0] if isinstance(row, tuple) else row}" for row in info["mismatched_keys"]]
        + ([] if shaped else [f"{PREFIX}projection_head.weight"]),
    )
    encoder.model = model
    encoder.projection_head.weight = nn.Parameter(mine["projection_head.weight"].float())


def _swin_config(shape: Mapping[str, Any], side: int) -> Any:
    from transformers import SwinConfig

    return SwinConfig(image_size=side, **shape)


def _variant_of(weights: Mapping[str, Tensor]) -> Variant | None:
    if "model.fc.weight" in weights or "model.conv1.weight" in weights:
        return "resnet"
    return "vit" if any(key.startswith("model.encoder.layers.") for key in weights) else None


def _looks_like(variant: Variant | None, weights: Mapping[str, Tensor]) -> str:
    if variant is not None:
        return f"MedCLIP's image encoder {variant}"
    return f"{len(weights)} keys, the first {', '.join(sorted(weights)[:3])}"


def _description(folder: Path) -> dict[str, Any]:
    path = folder / DESCRIPTION
    if not path.is_file():
        return {}
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError):
        said = None
    if not isinstance(said, dict) or said.get("format") != 1 or said.get("variant") not in _SHAPES:
        raise KgbuildError(f"{DESCRIPTION} cannot be read", where=str(path), expected='"format": 1 and a variant')
    return said


def weights_file(path: Path) -> Path:
    """The file with the weights: ``path`` itself, or what a folder holds.

    Raises:
        FileMissing: there is none.
    """
    if path.is_file():
        return path
    for name in (WEIGHTS, _PUBLISHED):
        if (path / name).is_file():
            return path / name
    raise FileMissing(
        "no image encoder", where=str(path), expected=f"a MedCLIP checkpoint: {_PUBLISHED}, {WEIGHTS}, or a folder"
    )
