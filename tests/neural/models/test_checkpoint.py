"""Checkpoint folders: complete or not, what they hold, what their fingerprint depends on, and what does not load."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from kgbuild.errors import FileMissing, KgbuildError
from kgbuild.models.checkpoint import (
    CheckpointMeta,
    begin,
    check_encoder,
    fingerprint,
    load_checkpoint,
    read_meta,
    save_checkpoint,
    write_card,
)
from kgbuild.models.language import load_language
from kgbuild.models.medclip import new_image_encoder
from kgbuild.models.vlm_kg import VLMKGForCausalLM, image_prompt

from .conftest import PROJECTOR, TEXTS, tiny_language, tiny_vlm

LLM = CheckpointMeta(
    kind="llm-kg",
    recipe={"name": "llm-kg_iu", "model": {"base": "scratch"}, "decoding": {"beams": 4}, "data": {"certainty": "full"}},
    prompt="Report: {report}\nTriplets:",
    base="scratch",
    data={"fingerprint": "abc", "source": "rules-1", "counts": {"train": 12}},
    metrics={"triplet_f1": 0.5},
    versions={"torch": "2.13.0"},
)


def vlm_meta(encoder: Any) -> CheckpointMeta:
    return replace(LLM, kind="vlm-kg", image_encoder={"variant": encoder.variant, "sha256": encoder.hash})


@pytest.fixture
def llm(tmp_path: Path) -> Path:
    save_checkpoint(tmp_path / "llm", *tiny_language(), LLM)
    return tmp_path / "llm"


@pytest.fixture(scope="module")
def encoder() -> Any:
    return new_image_encoder("resnet", seed=0, tiny=True)


@pytest.fixture
def vlm(tmp_path: Path, encoder: Any) -> Path:
    save_checkpoint(tmp_path / "vlm", *tiny_vlm(), vlm_meta(encoder), encoder)
    return tmp_path / "vlm"


def test_an_llm_kg_comes_back_as_it_was(llm: Path, capfd: pytest.CaptureFixture[str]) -> None:
    model, tokenizer = tiny_language()
    loaded = load_checkpoint(llm, kind="llm-kg")
    batch = tokenizer(list(TEXTS), padding=True, return_tensors="pt")
    assert loaded.tokenizer(list(TEXTS), padding=True).input_ids == batch["input_ids"].tolist()
    torch.testing.assert_close(loaded.model(**batch).logits, model(**batch).logits, rtol=0, atol=1e-4)
    assert loaded.meta == LLM
    assert loaded.image_encoder is None
    assert not loaded.model.training
    assert capfd.readouterr().err == ""  # no bars of transformers'


def test_a_vlm_kg_comes_back_with_its_image_encoder(vlm: Path, encoder: Any) -> None:
    model, tokenizer = tiny_vlm()
    loaded = load_checkpoint(vlm, kind="vlm-kg")
    assert loaded.image_encoder is not None
    assert loaded.image_encoder.hash == encoder.hash
    embeds = loaded.image_encoder.embed([np.zeros((64, 64), dtype=np.uint8)])
    batch = tokenizer([image_prompt(TEXTS[1], 4)], return_tensors="pt")
    given, expected = (m(**batch, image_embeds=embeds).logits for m in (loaded.model, model))
    torch.testing.assert_close(given, expected, rtol=0, atol=1e-4)
    assert loaded.tokenizer(image_prompt("no", 4)).input_ids == tokenizer(image_prompt("no", 4)).input_ids


def test_bf16_is_for_the_language_model(vlm: Path) -> None:
    loaded = load_checkpoint(vlm, dtype="bf16")
    assert {value.dtype for value in loaded.model.parameters()} == {torch.bfloat16}
    assert loaded.image_encoder is not None
    assert {value.dtype for value in loaded.image_encoder.parameters()} == {torch.float32}
    batch = loaded.tokenizer([image_prompt(TEXTS[1], 4)], return_tensors="pt")
    out = loaded.model.generate(**batch, image_embeds=torch.zeros(1, 512), max_new_tokens=3, num_beams=2)
    assert out.shape[1] > batch["input_ids"].shape[1]


def test_an_llm_kg_is_a_base_to_go_on_from_and_a_vlm_kg_is_not(llm: Path, vlm: Path) -> None:
    model, _ = load_language(str(llm))
    assert model.config.model_type == "qwen2"
    with pytest.raises(KgbuildError, match="a checkpoint of kind vlm-kg is no language model"):
        load_language(str(vlm))


def test_without_its_last_file_it_is_half_written(llm: Path) -> None:
    (llm / "kgbuild.json").unlink()
    for read in (read_meta, fingerprint, load_checkpoint):
        with pytest.raises(KgbuildError, match=r"half-written, or is none: it holds no kgbuild\.json"):
            read(llm)
    with pytest.raises(FileMissing, match="no such checkpoint"):
        read_meta(llm / "nowhere")


def test_a_training_into_an_old_checkpoint_makes_it_unfinished_at_once(llm: Path) -> None:
    begin(llm)
    with pytest.raises(KgbuildError, match="half-written"):
        read_meta(llm)
    write_card(llm, LLM)
    assert read_meta(llm) == LLM


def test_the_card_waits_for_the_weights(tmp_path: Path) -> None:
    with pytest.raises(FileMissing, match="written after its weights"):
        write_card(tmp_path, LLM)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"format": 2, "kind": "llm-kg"}', '{"format": 1, "kind": "gpt"}', '{"format": 1}']
)
def test_a_last_file_of_another_kind_is_refused(llm: Path, text: str) -> None:
    (llm / "kgbuild.json").write_text(text, encoding="utf-8")
    with pytest.raises(KgbuildError, match=r"kgbuild\.json (cannot be read|is of another kind or version)"):
        read_meta(llm)


@pytest.mark.parametrize("name", ["recipe", "data", "metrics", "versions"])
def test_a_last_file_that_says_nothing_where_a_part_must_be_is_refused(llm: Path, name: str) -> None:
    said = json.loads((llm / "kgbuild.json").read_text(encoding="utf-8"))
    (llm / "kgbuild.json").write_text(json.dumps({**said, name: None}), encoding="utf-8")
    with pytest.raises(KgbuildError, match=rf"kgbuild\.json cannot be read\n  where     .*: {name}\n") as caught:
        read_meta(llm)
    assert caught.value.expected == "a JSON object"


def test_weights_cut_short_are_said_to_be(llm: Path) -> None:
    whole = (llm / "model.safetensors").read_bytes()
    (llm / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(KgbuildError, match="half-written or damaged"):
        load_checkpoint(llm)


def test_the_other_kind_is_refused(llm: Path, vlm: Path) -> None:
    with pytest.raises(KgbuildError, match="the checkpoint is of kind llm-kg") as error:
        load_checkpoint(llm, kind="vlm-kg")
    assert "one of kind vlm-kg" in str(error.value)
    with pytest.raises(KgbuildError, match="the checkpoint is of kind vlm-kg"):
        load_checkpoint(vlm, kind="llm-kg")


def test_weights_of_another_architecture_are_refused(llm: Path, vlm: Path) -> None:
    shutil.copy(llm / "config.json", vlm / "config.json")
    with pytest.raises(KgbuildError, match="of another architecture: qwen2") as error:
        load_checkpoint(vlm)
    assert "expected  kgbuild-vlm-kg" in str(error.value)


def edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def test_missing_extra_and_reshaped_keys_are_listed(llm: Path, vlm: Path) -> None:
    edit(llm, lambda weights: weights.update({"model.layers.9.spare": torch.zeros(1)}))
    with pytest.raises(KgbuildError, match=r"1 extra: model\.layers\.9\.spare"):
        load_checkpoint(llm)
    edit(llm, lambda weights: [weights.pop("model.layers.9.spare"), weights.pop("model.layers.1.mlp.up_proj.weight")])
    with pytest.raises(KgbuildError, match=r"1 missing: model\.layers\.1\.mlp\.up_proj\.weight"):
        load_checkpoint(llm)
    edit(vlm, lambda weights: weights.update({"model.projector.prefix_const": torch.zeros(7, 64)}))
    with pytest.raises(KgbuildError, match=r"1 of another shape: model\.projector\.prefix_const"):
        load_checkpoint(vlm)
    edit(vlm, lambda weights: [weights.pop(key) for key in list(weights) if "projector" in key])
    with pytest.raises(KgbuildError, match=r"27 missing: model\.projector\.linear\.bias, .*, and 7 more"):
        load_checkpoint(vlm)


def test_another_image_encoder_than_the_one_trained_with_is_refused(vlm: Path, encoder: Any) -> None:
    meta = read_meta(vlm)
    check_encoder(meta, encoder.hash, where=vlm)
    other = new_image_encoder("resnet", seed=1, tiny=True)
    with pytest.raises(KgbuildError, match="image encoder differs from the one that the checkpoint was trained with"):
        check_encoder(meta, other.hash, where=vlm)
    other.save(vlm / "image_encoder")
    with pytest.raises(KgbuildError) as error:
        load_checkpoint(vlm)
    assert encoder.hash[:16] in str(error.value)
    assert other.hash[:16] in str(error.value)


def test_the_fingerprint_is_of_what_decides_the_output(tmp_path: Path) -> None:
    parts = tiny_language()
    first, again = tmp_path / "a", tmp_path / "elsewhere" / "b"
    save_checkpoint(first, *parts, LLM)
    save_checkpoint(again, *parts, replace(LLM, metrics={"triplet_f1": 0.9}, versions={}, base="/data/models/scratch"))
    assert fingerprint(first) == fingerprint(again)
    prints = {fingerprint(first)}
    for other in (
        replace(LLM, prompt="{report}"),
        replace(LLM, certainty="none"),
        replace(LLM, recipe={**LLM.recipe, "decoding": {"beams": 1}}),
    ):
        write_card(again, other)
        prints.add(fingerprint(again))
    write_card(again, LLM)
    edit(again, lambda weights: weights["model.norm.weight"].add_(1e-3))
    prints.add(fingerprint(again))
    assert len(prints) == 5


def test_nothing_in_the_folder_names_this_machine(llm: Path, tmp_path: Path) -> None:
    model, tokenizer = load_language(str(llm))
    recipe = {**LLM.recipe, "model": {"base": str(llm), "image_encoder": str(tmp_path / "medclip" / "vit.bin")}}
    save_checkpoint(tmp_path / "next", model, tokenizer, replace(LLM, base=str(llm), recipe=recipe))
    for path in (tmp_path / "next").iterdir():
        assert str(tmp_path).encode() not in path.read_bytes(), path.name
    seeing = VLMKGForCausalLM.from_language(model, tokenizer, PROJECTOR, seed=1)
    save_checkpoint(tmp_path / "seeing", seeing, tokenizer, replace(LLM, kind="vlm-kg"))
    for path in (tmp_path / "seeing").iterdir():
        assert str(tmp_path).encode() not in path.read_bytes(), path.name
    meta = read_meta(tmp_path / "next")
    assert meta.base == "llm"
    assert meta.recipe["model"] == {"base": "llm", "image_encoder": "vit.bin"}


def test_the_card_says_what_a_reader_needs(vlm: Path, encoder: Any) -> None:
    card = (vlm / "README.md").read_text(encoding="utf-8")
    assert card.startswith("---\nlibrary_name: transformers\n")
    for row in (
        "| base | scratch |",
        f"| image encoder, sha256 | {encoder.hash} |",
        "| fingerprint | abc |",
        "| counts.train | 12 |",
        "| triplet_f1 | 0.5000 |",
        "| decoding.beams | 4 |",
        "| torch | 2.13.0 |",
        "kgbuild generate --dataset NAME --root DIR --extractor vlm-kg --checkpoint THIS",
    ):
        assert row in card
    said = json.loads((vlm / "kgbuild.json").read_text(encoding="utf-8"))
    assert said["format"] == 1
    assert set(said) == {"format", *CheckpointMeta.__dataclass_fields__}
