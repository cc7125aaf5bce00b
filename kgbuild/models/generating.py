"""Prompts in, text out, in batches that give what one prompt at a time would give.

Prompts are sorted by length, so that a batch holds little padding, padded on the left, and decoded by beams, greedily
or by sampling. Sampling draws one number a step from a generator seeded by ``decoding.seed`` and the prompt, so that
neither batch nor order matters. The result depends on the batch only through rounding (in bf16 a tie may fall
otherwise). A batch that does not fit the GPU is halved and tried again. A prompt that leaves no room for
``max_new_tokens`` within the model's context is refused, never cut.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList

from kgbuild.errors import KgbuildError
from kgbuild.models.constraints import Constraint, Language, ReportWords, Vocabulary, vocabulary_of
from kgbuild.models.generated import Generated
from kgbuild.models.language import context_length
from kgbuild.models.memory import BatchLimit, unless_memory_ends
from kgbuild.models.prompt_cache import read_prompts
from kgbuild.notation.triplets import Certainty
from kgbuild.recipes import Decoding

__all__ = ["BatchLimit", "Draw", "Generated", "generate"]

OnBatch = Callable[[int, int], None]
_HOPELESS = 3  # prompts one after another that do not fit the GPU even alone


@dataclass(frozen=True, slots=True)
class _Item:
    """One prompt, encoded; ``image`` has shape (width,)."""

    number: int
    prompt: str
    ids: list[int]
    image: Tensor | None
    words: Sequence[str] | None


def generate(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[str],
    *,
    decoding: Decoding,
    image_embeds: Tensor | None = None,
    device: str | torch.device | None = None,
    on_batch: OnBatch | None = None,
    allowed_words: Sequence[Sequence[str]] | None = None,
    certainty: Certainty = "full",
    limit: BatchLimit | None = None,
) -> list[Generated]:
    """Generate a completion for every prompt.

    Args:
        model: a causal language model, or a VLM-KG where there are images; set to evaluation.
        tokenizer: its tokenizer; the padding side is set here.
        prompts: texts, without image tokens.
        decoding: strategy, batch size, constraint.
        image_embeds: one row a prompt, NaN where it has no image. Shape: (len(prompts), width)
        device: where to compute; by default where the model is.
        on_batch: told of (prompts done, prompts in all) after each batch.
        allowed_words: each report's tokens; needed where ``decoding.constraint`` is ``copy``.
        certainty: which triplet text a constraint allows.
        limit: the batch size found by earlier calls.

    Returns:
        one a prompt, in the order given.

    Raises:
        KgbuildError: several prompts one after another do not fit the GPU even alone.
    """
    if decoding.constraint == "copy" and allowed_words is None:
        raise ValueError("constraint copy needs allowed_words")
    limit = limit if limit is not None else BatchLimit()
    device = torch.device(device) if device is not None else next(model.parameters()).device
    model = model.to(device).eval()
    tokenizer.padding_side = "left"
    items = _encode(model, tokenizer, prompts, image_embeds, allowed_words)
    room = context_length(model)
    results: dict[int, Generated] = {}
    for item in items:
        if room is not None and len(item.ids) + decoding.max_new_tokens > room:
            results[item.number] = Generated.refused(len(item.ids), decoding.max_new_tokens, room)
    if results and on_batch:
        on_batch(len(results), len(prompts))
    # the longest first: what does not fit the GPU shows at once; rows without image apart, so that tensors are full
    todo = sorted((i for i in items if i.number not in results), key=lambda i: (i.image is None, -len(i.ids), i.number))
    decoder = _Decoder(model, tokenizer, decoding, device, certainty)
    size = min(limit.size or decoding.batch_size, decoding.batch_size)
    alone = 0
    while todo:
        batch = [item for item in todo[:size] if (item.image is None) == (todo[0].image is None)]
        done = unless_memory_ends(partial(decoder, batch))
        if done is None and len(batch) > 1:
            size = limit.size = max(1, len(batch) // 2)
            limit.warn(f"out of GPU memory with {len(batch)} reports at a time: going on with {size}")
            continue
        alone = alone + 1 if done is None else 0
        if alone == _HOPELESS:
            raise KgbuildError(
                "the GPU's memory is too small for this model, even for one report at a time",
                next_step="fewer beams (--option beams=1), fewer max_new_tokens, or --option dtype=bf16",
            )
        refused = Generated("", 0, False, f"out of GPU memory with {len(batch[0].ids)} tokens of prompt, alone")
        for item, result in zip(batch, done or [refused], strict=True):
            results[item.number] = result
        todo = todo[len(batch) :]
        if on_batch:
            on_batch(len(results), len(prompts))
    return [results[number] for number in range(len(prompts))]


def _encode(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[str],
    image_embeds: Tensor | None,
    words: Sequence[Sequence[str]] | None,
) -> list[_Item]:
    images: list[Tensor | None] = [None] * len(prompts)
    if image_embeds is not None:
        images = [None if bool(torch.isnan(row).any()) else row for row in image_embeds]
    texts = [_text(model, prompt, image is not None) for prompt, image in zip(prompts, images, strict=True)]
    ids = tokenizer(texts)["input_ids"] if texts else []
    return [
        _Item(number, prompts[number], list(row), images[number], words[number] if words is not None else None)
        for number, row in enumerate(ids)
    ]


def _text(model: Any, prompt: str, seen: bool) -> str:
    if not hasattr(model, "n_image_tokens"):
        return prompt
    from kgbuild.models.vlm_kg import image_prompt

    return image_prompt(prompt, model.n_image_tokens if seen else 0)


class _Decoder:
    """One batch through ``model.generate``."""

    def __init__(
        self, model: Any, tokenizer: Any, decoding: Decoding, device: torch.device, certainty: Certainty
    ) -> None:
        self._model, self._tokenizer, self._decoding, self._device = model, tokenizer, decoding, device
        self._certainty = certainty
        end = model.generation_config.eos_token_id
        end = tokenizer.eos_token_id if end is None else end
        self._end: list[int] = list(end) if isinstance(end, list | tuple) else [end]
        self._pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else self._end[0]
        self._beams = decoding.beams if decoding.strategy == "beam" else 1
        self._vocabulary = None if decoding.constraint == "none" else vocabulary_of(tokenizer)

    def __call__(self, batch: list[_Item]) -> list[Generated]:
        width = max(len(item.ids) for item in batch)
        ids = [[self._pad] * (width - len(item.ids)) + item.ids for item in batch]
        mask = [[0] * (width - len(item.ids)) + [1] * len(item.ids) for item in batch]
        inputs: dict[str, Any] = {
            "input_ids": torch.tensor(ids, device=self._device),
            "attention_mask": torch.tensor(mask, device=self._device),
        }
        images = [item.image for item in batch if item.image is not None]
        if images:
            dtype = next(self._model.parameters()).dtype
            inputs["image_embeds"] = torch.stack(images).to(self._device, dtype)
        with torch.inference_mode():
            begun = read_prompts(self._model, inputs, self._beams)
            out = self._model.generate(
                **begun, generation_config=self._settings(), logits_processor=self._processors(batch, width)
            )
        return [self._read(row) for row in out[:, width:].tolist()]

    def _settings(self) -> GenerationConfig:
        """All that a checkpoint's own generation_config could say otherwise (Qwen's chat models repeat-penalise)."""
        return GenerationConfig(
            max_new_tokens=self._decoding.max_new_tokens,
            num_beams=self._beams,
            do_sample=False,
            use_cache=True,
            repetition_penalty=1.0,
            temperature=1.0,
            top_p=1.0,
            top_k=50,
            eos_token_id=self._end,
            pad_token_id=self._pad,
        )

    def _processors(self, batch: list[_Item], width: int) -> LogitsProcessorList:
        processors = LogitsProcessorList()
        if self._vocabulary is not None:
            processors.append(
                Constraint(
                    self._vocabulary,
                    [self._language(self._vocabulary, item) for item in batch],
                    width=width,
                    beams=self._beams,
                    end=self._end,
                )
            )
        if self._decoding.strategy in ("top-p", "top-k"):
            processors.append(Draw(self._decoding, [item.prompt for item in batch]))
        return processors

    def _language(self, vocabulary: Vocabulary, item: _Item) -> Language:
        if self._decoding.constraint == "copy":
            return Language(ReportWords(item.words or ()), self._certainty)
        return vocabulary.any_words(self._certainty)

    def _read(self, ids: list[int]) -> Generated:
        end = next((i for i, token in enumerate(ids) if token in self._end), None)
        kept = ids if end is None else ids[:end]
        text = self._tokenizer.decode(kept, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return Generated(text.lstrip(), len(kept), end is not None)


class Draw(LogitsProcessor):
    """Sampling as a choice: all but the drawn token of each row go to -inf, so that greedy decoding takes it.

    The draw is by inverse cumulative probability over the tokens in order of score, with one uniform number a row and
    step; a row's numbers come from its own prompt and the seed, whatever stands beside it in the batch.
    """

    def __init__(self, decoding: Decoding, prompts: Sequence[str]) -> None:
        self._decoding = decoding
        self._random = [random.Random(f"{decoding.seed}\0{prompt}") for prompt in prompts]  # noqa: S311

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Shapes: (rows, tokens so far), (rows, vocabulary)."""
        ordered, ids = torch.sort(scores.float() / self._decoding.temperature, dim=-1, descending=True, stable=True)
        shares = ordered.softmax(-1)
        total = shares.cumsum(-1)
        if self._decoding.strategy == "top-k":
            shares[:, self._decoding.top_k :] = 0
        else:
            shares[total - shares >= self._decoding.top_p] = 0  # the first token always stays
        total = shares.cumsum(-1)
        drawn = torch.tensor([[one.random()] for one in self._random], device=scores.device) * total[:, -1:]
        places = (total <= drawn).sum(-1, keepdim=True).clamp(max=scores.shape[-1] - 1)
        chosen = ids.gather(-1, places)
        return torch.full_like(scores, float("-inf")).scatter(-1, chosen, 0.0)
