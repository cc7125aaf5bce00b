"""Weights into models, with every way in which they may not fit said in words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch

from kgbuild.errors import FileMissing, KgbuildError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
VLM_TYPE = "kgbuild-vlm-kg"
_SHOWN = 20


def load_model(
    source: str | Path, kind: Literal["llm-kg", "vlm-kg"], dtype: Literal["fp32", "bf16"]
) -> PreTrainedModel:
    """A causal language model, or a VLM-KG, from a folder or (language models) by Hugging Face name.

    Raises:
        FileMissing: it is not there.
        KgbuildError: another architecture; keys that are missing, of another shape, or, in a kgbuild checkpoint,
            too many; weights cut short.
    """
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM

    from kgbuild.models.language import config_type

    where = str(source)
    found = config_type(Path(source))
    if found is not None and (found == VLM_TYPE) != (kind == "vlm-kg"):
        raise KgbuildError(
            f"the weights are of another architecture: {found}",
            where=where,
            expected=VLM_TYPE if kind == "vlm-kg" else "a causal language model",
        )
    maker: Any = AutoModelForCausalLM
    if kind == "vlm-kg":
        from kgbuild.models.vlm_kg import VLMKGForCausalLM

        maker = VLMKGForCausalLM
    try:
        with quiet():
            model, info = maker.from_pretrained(
                where, dtype=DTYPES[dtype], output_loading_info=True, ignore_mismatched_sizes=True
            )
    except SafetensorError as error:
        raise KgbuildError(
            "the weights are half-written or damaged", where=where, expected=f"whole safetensors ({error})"
        ) from None
    except (OSError, ValueError) as error:
        raise FileMissing(
            "no model that can be loaded here",
            where=where,
            expected="a folder with config.json and model.safetensors, or a name that Hugging Face knows "
            f"({type(error).__name__}: {_first_line(error)})",
            next_step="where this machine may not ask Hugging Face, copy the model's folder here and name that",
        ) from None
    ours = (Path(source) / "kgbuild.json").is_file()
    refuse_unfit(
        where,
        missing=info["missing_keys"],
        extra=info["unexpected_keys"] if ours else (),
        reshaped=[str(row[0]) if isinstance(row, tuple) else str(row) for row in info["mismatched_keys"]],
    )
    return model


def fit(module: torch.nn.Module, weights: Mapping[str, torch.Tensor], where: str, prefix: str = "") -> None:
    """Load a state dict whose keys and shapes must be exactly the module's.

    Args:
        module: what to load into.
        weights: keys as the module's own, without ``prefix``.
        where: for the error message.
        prefix: what the file has before each key, for the error message.

    Raises:
        KgbuildError: they are not; lists what is missing, extra, or of another shape.
    """
    own = module.state_dict()
    refuse_unfit(
        where,
        missing=[prefix + key for key in own.keys() - weights.keys()],
        extra=[prefix + key for key in weights.keys() - own.keys()],
        reshaped=[prefix + key for key in own.keys() & weights.keys() if own[key].shape != weights[key].shape],
    )
    module.load_state_dict(dict(weights))


def refuse_unfit(where: str, *, missing: Iterable[str], extra: Iterable[str], reshaped: Iterable[str] = ()) -> None:
    """Say which keys do not fit, if any.

    Raises:
        KgbuildError: lists up to 20 of each.
    """
    faults = [("missing", sorted(missing)), ("extra", sorted(extra)), ("of another shape", sorted(reshaped))]
    faults = [(name, keys) for name, keys in faults if keys]
    if faults:
        said = "; ".join(f"{len(keys)} {name}: {_listed(keys)}" for name, keys in faults)
        raise KgbuildError(
            f"the weights do not fit the architecture: {said}", where=where, expected="the keys and shapes of the model"
        )


def _listed(keys: list[str]) -> str:
    more = f", and {len(keys) - _SHOWN} more" if len(keys) > _SHOWN else ""
    return ", ".join(keys[:_SHOWN]) + more


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [""])[0][:200]


@contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers' own report of a load, and its bars, off stderr: the errors here say the same in one line."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """A state dict from ``.safetensors``, or from a ``.bin``/``.pt`` that holds tensors only.

    Raises:
        FileMissing: no such file.
        KgbuildError: damaged, cut short, or holding code that would have to be run.
    """
    import pickle

    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not path.is_file():
        raise FileMissing("no such weights", where=str(path))
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        weights = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        raise KgbuildError(
            f"the weights are half-written or damaged ({type(error).__name__})",
            where=str(path),
            expected="a safetensors file, or a state dict of tensors written by torch.save",
        ) from None
    if not isinstance(weights, dict) or not all(isinstance(value, torch.Tensor) for value in weights.values()):
        raise KgbuildError("the file holds no state dict", where=str(path), expected="names and tensors")
    return weights
