"""VLM-KG as a causal language model: images in place, batches, beams, saving, and rows that do not fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from kgbuild.errors import KgbuildError
from kgbuild.models.vlm_kg import IMAGE, VLMKGForCausalLM, image_prompt
from kgbuild.recipes import Projector

from .conftest import PROJECTOR, tiny_language, tiny_vlm

PROMPTS = ("the heart is enlarged .", "no", "opacity of the right lower lobe , small left pleural effusion")
N = 4


@pytest.fixture(scope="module")
def vlm() -> tuple[VLMKGForCausalLM, Any]:
    return tiny_vlm()


@pytest.fixture(scope="module")
def embeds() -> Tensor:
    return torch.randn(3, 512, generator=torch.Generator().manual_seed(0))


def batch_of(tokenizer: Any, prompts: Any, *, images: bool = True) -> Any:
    return tokenizer(
        [image_prompt(prompt, N if images else 0) for prompt in prompts], padding=True, return_tensors="pt"
    )


def written(model: Any, batch: Any, **options: Any) -> list[list[int]]:
    out = model.generate(**batch, max_new_tokens=12, do_sample=False, **options)
    return out[:, batch["input_ids"].shape[1] :].tolist()


def test_the_image_token_is_added_once_and_is_one_token(vlm: tuple[VLMKGForCausalLM, Any]) -> None:
    model, tokenizer = vlm
    ids = tokenizer(image_prompt("no", N)).input_ids
    assert ids[:N] == [model.config.image_token_id] * N
    assert ids[N:] == tokenizer("no").input_ids
    assert model.n_image_tokens == N
    assert len(model.lm_head.weight) == len(tokenizer)
    assert model.lm_head.weight is model.get_input_embeddings().weight


def test_a_report_that_says_image_token_does_not_make_one(vlm: tuple[VLMKGForCausalLM, Any]) -> None:
    model, tokenizer = vlm
    ids = tokenizer(image_prompt(f"see {IMAGE} above", 0)).input_ids
    assert model.config.image_token_id not in ids


@pytest.mark.parametrize("beams", [1, 4])
@pytest.mark.parametrize("images", [True, False])
def test_a_batch_with_left_padding_is_what_single_rows_are(
    vlm: tuple[VLMKGForCausalLM, Any], embeds: Tensor, beams: int, images: bool
) -> None:
    model, tokenizer = vlm
    together = written(
        model, batch_of(tokenizer, PROMPTS, images=images), num_beams=beams, image_embeds=embeds if images else None
    )
    for row, prompt in enumerate(PROMPTS):
        single = batch_of(tokenizer, [prompt], images=images)
        alone = written(model, single, num_beams=beams, image_embeds=embeds[row : row + 1] if images else None)
        assert alone[0] == together[row]
    assert len({tuple(row) for row in together}) == 3
    assert max(len(set(row)) for row in together) > 4  # not one word for ever, which would prove little


def test_rows_with_and_without_an_image_share_a_batch(vlm: tuple[VLMKGForCausalLM, Any], embeds: Tensor) -> None:
    model, tokenizer = vlm
    mixed = tokenizer(
        [image_prompt(PROMPTS[0], N), image_prompt(PROMPTS[1], 0), image_prompt(PROMPTS[2], N)],
        padding=True,
        return_tensors="pt",
    )
    gappy = embeds.clone()
    gappy[1] = float("nan")
    for beams in (1, 4):
        rows = written(model, mixed, image_embeds=gappy, num_beams=beams)
        assert rows[0] == written(model, batch_of(tokenizer, PROMPTS[:1]), image_embeds=embeds[:1], num_beams=beams)[0]
        assert rows[1] == written(model, batch_of(tokenizer, PROMPTS[1:2], images=False), num_beams=beams)[0]
        assert rows[2] == written(model, batch_of(tokenizer, PROMPTS[2:]), image_embeds=embeds[2:], num_beams=beams)[0]


def test_the_image_is_read(vlm: tuple[VLMKGForCausalLM, Any], embeds: Tensor) -> None:
    model, tokenizer = vlm
    batch = batch_of(tokenizer, PROMPTS)
    assert written(model, batch, image_embeds=embeds) != written(model, batch, image_embeds=embeds.flip(0))


def test_image_vectors_stand_where_the_image_tokens_were(vlm: tuple[VLMKGForCausalLM, Any], embeds: Tensor) -> None:
    """The same logits from vectors that were put together by hand and given to the language model alone."""
    model, tokenizer = vlm
    ids = tokenizer(image_prompt(PROMPTS[0], N), return_tensors="pt").input_ids
    words = model.get_input_embeddings()(ids)
    by_hand = torch.cat([model.model.projector(embeds[:1]), words[:, N:]], dim=1)
    expected = model.lm_head(model.model.language_model(inputs_embeds=by_hand).last_hidden_state)
    given = model(input_ids=ids, image_embeds=embeds[:1]).logits
    torch.testing.assert_close(given, expected, rtol=0, atol=1e-5)
    last = model(input_ids=ids, image_embeds=embeds[:1], logits_to_keep=1).logits
    torch.testing.assert_close(last, expected[:, -1:], rtol=0, atol=1e-5)


def test_without_an_image_it_is_the_language_model() -> None:
    language, tokenizer = tiny_language()
    batch = tokenizer(list(PROMPTS), padding=True, return_tensors="pt")
    expected = language(**batch).logits.detach().clone()
    model = VLMKGForCausalLM.from_language(language, tokenizer, PROJECTOR)
    given = model(**batch).logits
    assert torch.equal(given[:, :, : expected.shape[-1]], expected)


def test_the_loss_is_the_mean_over_labelled_tokens(vlm: tuple[VLMKGForCausalLM, Any], embeds: Tensor) -> None:
    model, tokenizer = vlm
    ids = tokenizer(image_prompt(PROMPTS[2], N), return_tensors="pt").input_ids
    labels = ids.clone()
    labels[:, : N + 3] = -100
    outputs = model(input_ids=ids, image_embeds=embeds[:1], labels=labels)
    logs = outputs.logits[0, :-1].log_softmax(-1)
    wanted = [-logs[i, ids[0, i + 1]].item() for i in range(N + 2, ids.shape[1] - 1)]
    assert outputs.loss.item() == pytest.approx(sum(wanted) / len(wanted), abs=1e-4)
    scaled = model(input_ids=ids, image_embeds=embeds[:1], labels=labels, num_items_in_batch=torch.tensor(50))
    assert scaled.loss.item() == pytest.approx(sum(wanted) / 50, abs=1e-4)


@pytest.mark.parametrize("read", ["prefix", "image"])
def test_saved_and_loaded_it_gives_equal_logits(read: Any, embeds: Tensor, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    language, tokenizer = tiny_language(1)
    model = VLMKGForCausalLM.from_language(language, tokenizer, Projector(5, 4, 1, 4, read=read), seed=1)
    model.save_pretrained(tmp_path)
    n = 5 if read == "prefix" else 4
    batch = tokenizer([image_prompt(PROMPTS[0], n)], return_tensors="pt")
    expected = model(**batch, image_embeds=embeds[:1]).logits
    for loaded in (VLMKGForCausalLM.from_pretrained(tmp_path), AutoModelForCausalLM.from_pretrained(tmp_path)):
        assert type(loaded) is VLMKGForCausalLM
        assert loaded.n_image_tokens == n
        same = [torch.equal(a, b) for a, b in zip(loaded.parameters(), model.parameters(), strict=True)]
        assert all(same)
        # Equal weights elsewhere in memory may be summed in another order.
        torch.testing.assert_close(loaded(**batch, image_embeds=embeds[:1]).logits, expected, rtol=0, atol=1e-4)
        assert loaded.lm_head.weight is loaded.get_input_embeddings().weight
        rows = [written(m, batch, image_embeds=embeds[:1], num_beams=4) for m in (loaded, model)]
        assert rows[0] == rows[1]


def test_a_language_model_with_a_head_of_its_own_keeps_it(embeds: Tensor, tmp_path: Path) -> None:
    from transformers import LlamaConfig, LlamaForCausalLM

    _, tokenizer = tiny_language()
    torch.manual_seed(0)
    llama = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer) + 7,
            hidden_size=32,
            intermediate_size=48,
            num_hidden_layers=1,
            num_attention_heads=2,
            tie_word_embeddings=False,
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
        )
    )
    model = VLMKGForCausalLM.from_language(llama, tokenizer, PROJECTOR)
    assert len(model.lm_head.weight) == len(tokenizer) + 6  # it had rows to spare: none was added
    assert model.lm_head.weight is not model.get_input_embeddings().weight
    model.save_pretrained(tmp_path)
    batch = tokenizer([image_prompt(PROMPTS[0], N)], return_tensors="pt")
    loaded = VLMKGForCausalLM.from_pretrained(tmp_path)
    assert torch.equal(loaded(**batch, image_embeds=embeds[:1]).logits, model(**batch, image_embeds=embeds[:1]).logits)


@pytest.mark.parametrize("name", ["final_logit_softcapping", "logits_scaling"])  # Gemma 2, Granite
def test_a_head_that_does_more_than_multiply_is_refused(name: str) -> None:
    language, tokenizer = tiny_language()
    setattr(language.config, name, 30.0)
    with pytest.raises(KgbuildError, match="head is not supported"):
        VLMKGForCausalLM.from_language(language, tokenizer, PROJECTOR)


def test_the_seed_decides_every_new_weight() -> None:
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    first, again, other = (tiny_vlm(seed=seed)[0] for seed in (0, 0, 1))
    assert torch.rand(1) == expected
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))
    assert not torch.equal(first.model.projector.linear.weight, other.model.projector.linear.weight)


def test_frozen_only_the_projector_learns() -> None:
    model, tokenizer = tiny_vlm()
    model.freeze_language_model()
    learning = {name for name, value in model.named_parameters() if value.requires_grad}
    assert learning == {f"model.projector.{name}" for name, _ in model.model.projector.named_parameters()}
    batch = batch_of(tokenizer, PROMPTS)
    model(**batch, image_embeds=torch.randn(3, 512), labels=batch["input_ids"]).loss.backward()
    gradient = model.model.projector.prefix_const.grad
    assert gradient is not None
    assert gradient.abs().sum() > 0


def test_a_batch_without_images_still_gives_the_projector_a_gradient() -> None:
    """Several processes sum their gradients: one whose batch holds no image must not wait for ever."""
    model, tokenizer = tiny_vlm()
    batch = batch_of(tokenizer, PROMPTS, images=False)
    expected = model(**batch, labels=batch["input_ids"]).loss.item()
    model.train()
    loss = model(**batch, labels=batch["input_ids"]).loss
    loss.backward()
    assert loss.item() == pytest.approx(expected, abs=1e-5)
    gradients = [value.grad for value in model.model.projector.parameters()]
    assert all(gradient is not None and not gradient.any() for gradient in gradients)


def test_a_row_whose_image_tokens_were_cut_is_refused(vlm: tuple[VLMKGForCausalLM, Any], embeds: Tensor) -> None:
    model, tokenizer = vlm
    ids = tokenizer(image_prompt(PROMPTS[0], N), return_tensors="pt").input_ids[:, 1:]
    with pytest.raises(KgbuildError, match="image tokens and image do not match") as error:
        model(input_ids=ids, image_embeds=embeds[:1])
    assert "rows with [3] image tokens" in str(error.value)
    with pytest.raises(KgbuildError, match="no image embeddings given"):
        model(input_ids=tokenizer(image_prompt("no", N), return_tensors="pt").input_ids)


def test_image_tokens_over_no_image_are_refused(vlm: tuple[VLMKGForCausalLM, Any]) -> None:
    model, tokenizer = vlm
    with pytest.raises(KgbuildError, match="a row with image tokens has no image"):
        model(**batch_of(tokenizer, PROMPTS[:1]), image_embeds=torch.full((1, 512), float("nan")))


def test_it_never_writes_an_image_token(vlm: tuple[VLMKGForCausalLM, Any], embeds: Tensor) -> None:
    model, tokenizer = vlm
    assert model.generation_config.suppress_tokens == [model.config.image_token_id]
    batch = batch_of(tokenizer, PROMPTS)
    sampled = model.generate(**batch, image_embeds=embeds, max_new_tokens=40, do_sample=True, temperature=50.0)
    assert model.config.image_token_id not in sampled[:, batch["input_ids"].shape[1] :]
