"""Options of the extractors that are language models, read from text and checked before anything is loaded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from kgbuild.errors import UsageError
from kgbuild.recipes import Decoding

_CHOICES: Mapping[str, tuple[str, ...]] = {
    "strategy": ("beam", "greedy", "top-p", "top-k"),
    "constraint": ("none", "triplets", "copy"),
    "certainty": ("rules", "none"),
    "dtype": ("auto", "fp32", "bf16"),
    "engine": ("transformers", "vllm"),
    "images": ("frontal", "first"),
    "no_image": ("skip", "text-only"),
}
_DECODING: Mapping[str, Callable[[str], Any]] = {
    "strategy": str,
    "beams": int,
    "max_new_tokens": int,
    "batch_size": int,
    "top_p": float,
    "top_k": int,
    "temperature": float,
    "constraint": str,
    "seed": int,
}
#: Options of every such extractor → what they may be, for messages.
COMMON: Mapping[str, str] = {
    "checkpoint": "a folder that kgbuild train wrote",
    "model": "an untuned model's name or folder, in place of a checkpoint",
    **{name: " or ".join(_CHOICES[name]) if name in _CHOICES else "a number" for name in _DECODING},
    "certainty": "rules or none, for a checkpoint whose triplets carry no presence",
    "device": "cuda, cuda:1, cpu",
    "dtype": "auto, fp32 or bf16",
    "engine": "transformers or vllm",
    "chunk": "studies in a chunk",
}
IMAGE: Mapping[str, str] = {
    "image_encoder": "a MedCLIP file or folder",
    "images": "frontal or first",
    "no_image": "skip or text-only",
}


@dataclass(frozen=True, slots=True)
class Settings:
    """What was asked for. ``decoding`` overrides the checkpoint's; null fields were not given."""

    checkpoint: Path | None = None
    model: str | None = None
    image_encoder: Path | None = None
    decoding: Mapping[str, Any] | None = None
    certainty: str = "rules"
    device: str | None = None
    dtype: str = "auto"
    engine: str = "transformers"
    images: str | None = None
    no_image: str | None = None
    chunk: int = 64

    def decode_with(self, trained: Mapping[str, Any]) -> Decoding:
        """The checkpoint's decoding with what was asked for in its place."""
        known = Decoding.__dataclass_fields__
        own = Decoding(**{key: value for key, value in trained.items() if key in known})
        return replace(own, **dict(self.decoding or {}))


def read_options(extractor: str, known: Mapping[str, str], options: Mapping[str, str]) -> Settings:
    """Check names and values.

    Raises:
        UsageError: an option that the extractor does not have, or a value it cannot be; neither or both of checkpoint
            and model.
    """
    values: dict[str, Any] = {}
    decoding: dict[str, Any] = {}
    for name, text in options.items():
        if name not in known:
            raise UsageError(f"extractor {extractor} has no option {name!r}", expected=", ".join(sorted(known)))
        value = _value(name, str(text), known[name])
        (decoding if name in _DECODING else values)[name] = value
    if ("checkpoint" in values) == ("model" in values):
        raise UsageError(
            f"extractor {extractor} needs a trained model",
            expected="--checkpoint DIR, a folder that `kgbuild train` wrote"
            + (", or model, not both" * ("model" in values)),
        )
    return Settings(**values, decoding=decoding)


def check_device(device: str | None) -> None:
    """Whether this machine has what ``device`` names; null is chosen later.

    Raises:
        UsageError: it has not.
    """
    if device is None or device == "cpu":
        return
    import torch

    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    kind, colon, number = device.partition(":")
    known = kind == "cuda" and (not colon or (number.isascii() and number.isdigit()))
    if not known or int(number or 0) >= gpus:
        raise UsageError(
            f"option device={device} is none of this machine's devices",
            expected=f"cpu, cuda or cuda:N with N < {gpus}, the number of GPUs here",
        )


def _value(name: str, text: str, expected: str) -> Any:
    if name in _CHOICES:
        if text not in _CHOICES[name]:
            raise UsageError(f"option {name}={text} is none of {', '.join(_CHOICES[name])}")
        return text
    if name in ("checkpoint", "image_encoder"):
        return Path(text)
    kind = int if name == "chunk" else _DECODING.get(name)
    if kind is None:
        return text
    try:
        value = kind(text)
    except ValueError:
        raise UsageError(f"option {name}={text} is no number", expected=expected) from None
    if not (value >= 0 if name == "seed" else value > 0) or (name == "top_p" and value > 1):
        raise UsageError(
            f"option {name}={text} is out of range", expected="above 0" + ", at most 1" * (name == "top_p")
        )
    return value
