"""LLM-KG through vLLM, for greedy decoding and sampling of many reports on a GPU.

vLLM pins its own torch and transformers, so it lives in an environment of its own (``training/requirements-vllm.txt``)
and is imported here only. It has been written to vLLM's documented interface but could not be run where kgbuild is
built, which has no GPU. Texts may differ from transformers' in ties, and sampling draws other numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from kgbuild.errors import DependencyMissing, UsageError
from kgbuild.models.generated import Generated

if TYPE_CHECKING:
    from kgbuild.extractors._llm_options import Settings
    from kgbuild.recipes import Decoding


def check_vllm(decoding: Decoding) -> None:
    """Refuse what this path cannot do.

    Raises:
        UsageError: beams, or a constraint.
        DependencyMissing: vLLM is not installed.
    """
    from importlib.util import find_spec

    if decoding.strategy == "beam" or decoding.constraint != "none":
        raise UsageError(
            f"engine vllm has no {'beams' if decoding.strategy == 'beam' else 'constraint'} here",
            expected="--option strategy=greedy (or top-p, top-k) and constraint=none",
        )
    if find_spec("vllm") is None:
        raise DependencyMissing(
            "engine vllm needs the Python package vllm",
            next_step="make an environment of its own: pip install -r training/requirements-vllm.txt",
        )


def generate_with_vllm(
    settings: Settings, decoding: Decoding, prompts: list[str], on_batch: Callable[[int, int], None]
) -> list[Generated]:
    """One completion a prompt, in order; vLLM batches by itself."""
    from vllm import SamplingParams

    engine = _engine(str(settings.checkpoint or settings.model), settings.dtype)
    room = engine.llm_engine.model_config.max_model_len
    sizes = [len(engine.get_tokenizer().encode(prompt)) for prompt in prompts]
    fits = [size + decoding.max_new_tokens <= room for size in sizes]
    sampling = SamplingParams(
        temperature=0.0 if decoding.strategy == "greedy" else decoding.temperature,
        top_p=decoding.top_p if decoding.strategy == "top-p" else 1.0,
        top_k=decoding.top_k if decoding.strategy == "top-k" else -1,
        max_tokens=decoding.max_new_tokens,
        seed=decoding.seed,
    )
    todo = [prompt for prompt, fit in zip(prompts, fits, strict=True) if fit]
    outputs = iter(engine.generate(todo, sampling, use_tqdm=False) if todo else [])
    results = []
    for size, fit in zip(sizes, fits, strict=True):
        if fit:
            one = next(outputs).outputs[0]
            results.append(Generated(one.text.lstrip(), len(one.token_ids), one.finish_reason == "stop"))
        else:
            results.append(Generated.refused(size, decoding.max_new_tokens, room))
    on_batch(len(prompts), len(prompts))
    return results


@lru_cache(maxsize=1)
def _engine(model: str, dtype: str) -> Any:
    from vllm import LLM

    names = {"auto": "auto", "fp32": "float32", "bf16": "bfloat16"}
    return LLM(model=model, dtype=names[dtype], generation_config="vllm")  # "vllm": no settings of the folder's own
