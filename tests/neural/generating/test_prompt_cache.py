"""A prompt is read once and its part of the cache stays; what is written is what transformers' own cache gives."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import GenerationConfig, MistralConfig, MistralForCausalLM

from kgbuild.models import prompt_cache
from kgbuild.models.prompt_cache import NAME, read_prompts
from tests.neural.generating.conftest import REPORTS, prompt
from tests.neural.models.conftest import tiny_vlm


def padded(tokenizer: Any, texts: list[str]) -> dict[str, Any]:
    tokenizer.padding_side = "left"
    batch = tokenizer(texts, padding=True, return_tensors="pt")
    return {"input_ids": batch["input_ids"], "attention_mask": batch["attention_mask"]}


def written(model: Any, inputs: dict[str, Any], beams: int, new: int) -> list[list[int]]:
    settings = GenerationConfig(max_new_tokens=new, num_beams=beams, do_sample=False, pad_token_id=0)
    with torch.inference_mode():
        return model.generate(**inputs, generation_config=settings)[:, inputs["input_ids"].shape[1] :].tolist()


@pytest.mark.parametrize("beams", [1, 3])
def test_writes_what_transformers_own_cache_writes(
    tiny: tuple[Any, Any], beams: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, tokenizer = tiny
    monkeypatch.setattr(prompt_cache, "_ROOM", 5)  # so that it must grow
    inputs = padded(tokenizer, [prompt(report) for report in REPORTS])
    begun = read_prompts(model, inputs, beams)
    cache = begun[NAME]
    assert [layer.keys.shape[0] for layer in cache.layers] == [len(REPORTS) * beams] * 2
    expected = written(model, inputs, beams, 23)
    assert len({tuple(row) for row in expected}) > 3  # or the test could not fail
    assert written(model, begun, beams, 23) == expected
    assert cache.get_seq_length() == inputs["input_ids"].shape[1] + 22
    prompt_part = cache.layers[0].keys[:, :, : inputs["input_ids"].shape[1] - 1]
    assert torch.equal(prompt_part, prompt_part[::beams].repeat_interleave(beams, 0))


def test_images_go_in_with_the_prompt() -> None:
    model, tokenizer = tiny_vlm()
    texts = ["<image>" * model.n_image_tokens + prompt(report) for report in REPORTS[:3]]
    images = torch.randn(3, 512, generator=torch.Generator().manual_seed(0))
    inputs = {**padded(tokenizer, texts), "image_embeds": images}
    expected = written(model, inputs, 2, 12)
    begun = read_prompts(model, inputs, 2)
    assert "image_embeds" not in begun
    assert written(model, begun, 2, 12) == expected
    other = read_prompts(model, {**inputs, "image_embeds": images.roll(1, 0)}, 2)
    assert written(model, other, 2, 12) != expected


def test_a_model_with_a_sliding_window_is_left_to_transformers() -> None:
    config = MistralConfig(
        vocab_size=50,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        sliding_window=4,
    )
    model = MistralForCausalLM(config).eval()
    ids = torch.arange(2, 14).view(2, 6)
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    assert read_prompts(model, inputs, 2) is inputs


def test_a_prompt_of_one_token_is_left_to_transformers(tiny: tuple[Any, Any]) -> None:
    inputs = {"input_ids": torch.tensor([[5]]), "attention_mask": torch.tensor([[1]])}
    assert read_prompts(tiny[0], inputs, 2) is inputs
