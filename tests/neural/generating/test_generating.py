"""Batches give what single prompts give; what does not fit memory or context is told, not cut."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch

from kgbuild.errors import KgbuildError
from kgbuild.models.generated import Generated
from kgbuild.models.generating import BatchLimit, Draw, generate
from kgbuild.models.vlm_kg import VLMKGForCausalLM
from kgbuild.recipes import Decoding, Projector
from tests.neural.generating.conftest import REPORTS, lively, prompt

PROMPTS = [prompt(report) for report in REPORTS]
STRATEGIES = [
    Decoding(strategy="greedy", max_new_tokens=16, batch_size=4),
    Decoding(strategy="beam", beams=4, max_new_tokens=16, batch_size=4),
    Decoding(strategy="top-p", max_new_tokens=16, batch_size=4, seed=1),
    Decoding(strategy="top-k", top_k=7, max_new_tokens=16, batch_size=4, seed=1, temperature=0.7),
]


@pytest.mark.parametrize("decoding", STRATEGIES, ids=lambda one: one.strategy)
def test_a_batch_gives_what_each_prompt_gives_alone_in_the_order_given(
    tiny: tuple[Any, Any], decoding: Decoding
) -> None:
    together = generate(*tiny, PROMPTS, decoding=decoding)
    alone = [generate(*tiny, [one], decoding=decoding)[0] for one in PROMPTS]
    assert together == alone
    assert len({one.text for one in together}) > 1
    assert generate(*tiny, PROMPTS[::-1], decoding=decoding) == together[::-1]


def test_greedy_is_what_the_model_itself_gives(tiny: tuple[Any, Any]) -> None:
    model, tokenizer = tiny
    for text in PROMPTS[:3]:
        ids = tokenizer(text, return_tensors="pt")
        raw = model.generate(**ids, do_sample=False, max_new_tokens=16)[0, ids["input_ids"].shape[1] :]
        [ours] = generate(model, tokenizer, [text], decoding=STRATEGIES[0])
        assert ours.text == tokenizer.decode(raw, skip_special_tokens=True).lstrip()
        assert (ours.n_tokens, ours.finished) == (16, False)


def test_another_seed_draws_another_text(tiny: tuple[Any, Any]) -> None:
    one, two = (
        generate(*tiny, PROMPTS, decoding=Decoding(strategy="top-p", max_new_tokens=16, seed=seed)) for seed in (1, 2)
    )
    assert one != two


def test_draws_follow_the_probabilities_of_what_top_p_or_top_k_leaves() -> None:
    shares = torch.tensor([0.5, 0.3, 0.15, 0.05])

    def drawn(decoding: Decoding) -> list[float]:
        rows = 4000
        draw = Draw(decoding, [str(row) for row in range(rows)])
        scores = draw(torch.zeros(rows, 1, dtype=torch.long), shares.log().repeat(rows, 1))
        assert bool((scores.isfinite().sum(-1) == 1).all())
        return torch.bincount(scores.argmax(-1), minlength=4).div(rows).tolist()

    # of 0.5, 0.3, 0.15 the first two make 0.8 >= 0.7; sampling error of a share at n = 4000 is below 0.8 %
    assert drawn(Decoding(strategy="top-p", top_p=0.7)) == pytest.approx([0.625, 0.375, 0, 0], abs=0.04)
    assert drawn(Decoding(strategy="top-k", top_k=3)) == pytest.approx([0.526, 0.316, 0.158, 0], abs=0.04)
    assert drawn(Decoding(strategy="top-k", top_k=1)) == [1, 0, 0, 0]


def test_the_generation_config_of_a_checkpoint_does_not_change_the_decoding(tiny: tuple[Any, Any]) -> None:
    model, tokenizer = tiny
    plain = generate(model, tokenizer, PROMPTS, decoding=STRATEGIES[0])
    before = model.generation_config.to_dict()
    model.generation_config.update(repetition_penalty=1.3, do_sample=True, top_p=0.8, temperature=0.7, num_beams=2)
    try:
        assert generate(model, tokenizer, PROMPTS, decoding=STRATEGIES[0]) == plain
    finally:
        model.generation_config.update(**{key: before[key] for key in ("repetition_penalty", "do_sample", "num_beams")})
        model.generation_config.update(top_p=before["top_p"], temperature=before["temperature"])


@contextmanager
def memory_for(model: Any, rows: int, error: Exception | None = None) -> Iterator[list[int]]:
    """A GPU that holds so many prompts at a time; gives the sizes of the batches that were tried."""
    whole, tried = model.generate, []

    def small(**inputs: Any) -> Any:
        tried.append(len(inputs["input_ids"]))
        if tried[-1] > rows:
            raise error or torch.OutOfMemoryError("CUDA out of memory")
        return whole(**inputs)

    model.generate = small
    try:
        yield tried
    finally:
        del model.generate


@pytest.mark.parametrize("error", [None, RuntimeError("CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate")])
def test_a_batch_that_does_not_fit_is_halved_told_and_remembered(
    tiny: tuple[Any, Any], error: Exception | None
) -> None:
    whole = generate(*tiny, PROMPTS, decoding=STRATEGIES[0])
    said: list[str] = []
    limit = BatchLimit(warn=said.append)
    seen: list[tuple[int, int]] = []
    with memory_for(tiny[0], 1, error) as tried:
        got = generate(
            *tiny, PROMPTS, decoding=STRATEGIES[0], limit=limit, on_batch=lambda done, total: seen.append((done, total))
        )
        assert tried == [4, 2, 1, 1, 1, 1, 1, 1]
        generate(*tiny, PROMPTS, decoding=STRATEGIES[0], limit=limit)
        assert tried[8:] == [1] * 6
    assert got == whole
    assert limit.size == 1
    assert said == [
        "out of GPU memory with 4 reports at a time: going on with 2",
        "out of GPU memory with 2 reports at a time: going on with 1",
    ]
    assert seen == [(i, 6) for i in range(1, 7)]


def test_a_prompt_too_large_alone_is_refused_and_a_gpu_too_small_for_any_stops(tiny: tuple[Any, Any]) -> None:
    with memory_for(tiny[0], 0), pytest.raises(KgbuildError, match="too small for this model"):
        generate(*tiny, PROMPTS, decoding=STRATEGIES[0])
    with memory_for(tiny[0], 0):
        [one] = generate(*tiny, PROMPTS[:1], decoding=STRATEGIES[0])
    assert one.error is not None
    assert one.error.startswith("out of GPU memory with ")
    with memory_for(tiny[0], 0, RuntimeError("something else")), pytest.raises(RuntimeError, match="something else"):
        generate(*tiny, PROMPTS, decoding=STRATEGIES[0])


def test_a_prompt_longer_than_the_context_is_marked_with_its_tokens_and_the_others_go_on(tiny: tuple[Any, Any]) -> None:
    model, tokenizer = tiny
    long = prompt("No pleural effusion . " * 700)
    n = len(tokenizer(long)["input_ids"])
    got = generate(model, tokenizer, [PROMPTS[0], long, PROMPTS[1]], decoding=STRATEGIES[0])
    assert got[1] == Generated(
        "", 0, False, f"{n} tokens of prompt and 16 new ones are more than the model's context of 2048"
    )
    assert [got[0], got[2]] == generate(model, tokenizer, PROMPTS[:2], decoding=STRATEGIES[0])


def test_nothing_to_do_is_nothing_done(tiny: tuple[Any, Any]) -> None:
    assert generate(*tiny, [], decoding=STRATEGIES[0]) == []


def test_images_and_text_alone_in_one_call_and_the_image_matters() -> None:
    language, tokenizer = lively()
    small = Projector(prefix_length=3, clip_length=2, layers=1, heads=2)
    model = VLMKGForCausalLM.from_language(language, tokenizer, small, seed=3)
    torch.manual_seed(0)
    images = torch.nn.functional.normalize(torch.randn(len(PROMPTS), 512), dim=-1)
    images[[1, 4]] = torch.nan
    for decoding in STRATEGIES[:2]:
        got = generate(model, tokenizer, PROMPTS, decoding=decoding, image_embeds=images)
        alone = [
            generate(model, tokenizer, [one], decoding=decoding, image_embeds=images[i : i + 1])[0]
            for i, one in enumerate(PROMPTS)
        ]
        assert got == alone
        blind = generate(model, tokenizer, PROMPTS, decoding=decoding)
        same = [i for i in range(len(PROMPTS)) if got[i] == blind[i]]
        assert set(same) >= {1, 4}
        assert len(same) < len(PROMPTS)
