"""A cache of keys and values for generation: each prompt is read once, and its part is never copied again.

transformers' own cache lets a model read a prompt once a beam, and each step appends by making all of it anew and, with
beams, puts all of it in another order. Beams of one prompt differ in what they have written only, so here only that is
moved, within memory that was set aside.
"""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import Tensor
from transformers import Cache, DynamicCache, GenerationMixin
from transformers.cache_utils import DynamicLayer

_ARGUMENTS = inspect.signature(GenerationMixin.prepare_inputs_for_generation).parameters
NAME = "cache" if "cache" in _ARGUMENTS else "past_key_values"  # of the argument; renamed within transformers 5
_ROOM = 64  # tokens set aside at a time


class _Layer(DynamicLayer):
    """One layer's keys and values; *shape* of each: ``(prompts x beams, heads, tokens, size)``."""

    def __init__(self, prompt: DynamicLayer, beams: int) -> None:
        super().__init__()
        self.lazy_initialization(prompt.keys, prompt.values)
        self._prompt = self._tokens = prompt.keys.shape[-2]
        self._held = [self._larger(prompt.keys, beams), self._larger(prompt.values, beams)]
        self._show()

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Append."""
        end = self._tokens + key_states.shape[-2]
        while end > self._held[0].shape[-2]:
            self._held = [self._larger(held, 1) for held in self._held]
        for held, states in zip(self._held, (key_states, value_states), strict=True):
            held[:, :, self._tokens : end] = states
        self._tokens = end
        self._show()
        return self.keys, self.values

    def reorder_cache(self, beam_idx: Tensor) -> None:
        """Row i becomes what row ``beam_idx[i]``, of the same prompt, was."""
        for held in self._held:
            written = held[:, :, self._prompt : self._tokens]
            written.copy_(written.index_select(0, beam_idx.to(held.device)))

    def _show(self) -> None:
        self.keys, self.values = (held[:, :, : self._tokens] for held in self._held)

    @staticmethod
    def _larger(states: Tensor, times: int) -> Tensor:
        rows, heads, tokens, size = states.shape
        held = states.new_empty(rows * times, heads, tokens + _ROOM, size)
        held[:, :, :tokens] = states.repeat_interleave(times, dim=0) if times > 1 else states
        return held


def read_prompts(model: Any, inputs: dict[str, Tensor], beams: int) -> dict[str, Any]:
    """Let the model read all of each prompt but its last token; what ``generate`` needs to go on.

    Args:
        model: a causal language model.
        inputs: ``input_ids`` and ``attention_mask``, padded on the left, of *shape* ``(prompts, tokens)``, and whatever
            else belongs to the prompts; as they are for one beam.
        beams: how many rows each prompt is to have.

    Returns:
        ``inputs`` itself where the prompts have one token, or the model keeps anything else than all keys and values of
        all layers (a sliding window, a recurrent state).
    """
    cache = DynamicCache(config=model.config.get_text_config(decoder=True))
    if inputs["input_ids"].shape[1] < 2 or not all(type(layer) is DynamicLayer for layer in cache.layers):
        return inputs
    ids, mask = inputs["input_ids"], inputs["attention_mask"]
    others = {name: value for name, value in inputs.items() if name not in ("input_ids", "attention_mask")}
    with torch.inference_mode():
        model(
            input_ids=ids[:, :-1],
            attention_mask=mask[:, :-1],
            position_ids=(mask[:, :-1].cumsum(-1) - 1).clamp(min=0),  # as generate counts them
            use_cache=True,
            logits_to_keep=1,
            **others,
            **{NAME: cache},
        )
        layers = [_Layer(layer, beams) for layer in cache.layers]
    return {"input_ids": ids, "attention_mask": mask, NAME: Cache(layers=layers)}
