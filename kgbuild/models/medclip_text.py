"""MedCLIP's text side, the whole two-sided model, and the loss that trains it.

A sentence's embedding is the mean over its tokens and over three of BERT's layers (the first, the second, the last),
through a linear layer without bias. Image and sentence are drawn together as far as their labels agree, not only
where they come from one report: "no effusion" is as good a description of the neighbour's clear costophrenic angle.

Source: Wang et al., MedCLIP (2022), §3.3; constants from its code.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from kgbuild.models._loading import fit, quiet, read_weights
from kgbuild.models.medclip import WIDTH, ImageEncoder, save_weights

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

MAX_TOKENS = 77
LOGIT_SCALE = math.log(1 / 0.07)
LOGIT_SCALE_LIMITS = (0.0, 4.6052)
TEXT = "text"
_LAYERS = (1, 2, -1)
_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


class TextEncoder(nn.Module):
    """BERT and a linear layer: sentences → 512 numbers of length 1.

    Args:
        model: a BERT, or another encoder with hidden states.
        tokenizer: its tokenizer.
        count_pads: whether the mean runs over padding too, as MedCLIP's does (a sentence's embedding then depends a
            little on its batch); needed for its published weights, better left off for new ones.
    """

    def __init__(self, model: Any, tokenizer: PreTrainedTokenizerFast, *, count_pads: bool) -> None:
        super().__init__()
        self.model = model
        self.tokenizer = tokenizer
        self.count_pads = count_pads
        self.projection_head = nn.Linear(model.config.hidden_size, WIDTH, bias=False)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Embed tokens.

        Args:
            input_ids: *Shape:* ``(batch, tokens)``
            attention_mask: 1 where there is a token, 0 where there is padding. *Shape:* ``(batch, tokens)``

        Returns:
            Each row of length 1. *Shape:* ``(batch, 512)``
        """
        states = self.model(input_ids=input_ids, attention_mask=attention_mask, output_hidden_states=True).hidden_states
        mixed = torch.stack([states[layer] for layer in _LAYERS]).mean(0)  # Shape: (batch, tokens, hidden)
        if self.count_pads:
            pooled = mixed.mean(1)
        else:
            weights = attention_mask.unsqueeze(-1).to(mixed.dtype)
            pooled = (mixed * weights).sum(1) / weights.sum(1)
        return functional.normalize(self.projection_head(pooled), dim=-1)

    def tokenize(self, sentences: Sequence[str]) -> dict[str, Tensor]:
        """Tokens and mask of a batch; a sentence's tokens beyond the 77th are cut, as MedCLIP does."""
        batch = self.tokenizer(
            list(sentences), padding=True, truncation=True, max_length=MAX_TOKENS, return_tensors="pt"
        )
        return {"input_ids": batch["input_ids"], "attention_mask": batch["attention_mask"]}


class MedCLIP(nn.Module):
    """Image side, text side and the temperature, with the published checkpoint's parameter names."""

    def __init__(self, vision_model: ImageEncoder, text_model: TextEncoder) -> None:
        super().__init__()
        self.vision_model = vision_model
        self.text_model = text_model
        self.logit_scale = nn.Parameter(torch.tensor(LOGIT_SCALE))

    def forward(self, pixels: Tensor, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """How well each image and each sentence go together.

        Returns:
            Cosines times the temperature. *Shape:* ``(images, sentences)``
        """
        images = self.vision_model(pixels)
        sentences = self.text_model(input_ids, attention_mask)
        # The limits hold before use, as in MedCLIP, where they are forced on the parameter itself.
        with torch.no_grad():
            self.logit_scale.clamp_(*LOGIT_SCALE_LIMITS)
        return images @ sentences.T * self.logit_scale.exp()

    def save(self, folder: Path) -> None:
        """Write all weights under MedCLIP's names, the text side's configuration and tokenizer, and ``encoder.json``.

        ``load_image_encoder(folder)`` reads the image side alone.
        """
        save_weights(folder, self.state_dict())
        self.text_model.model.config.save_pretrained(folder / TEXT)
        self.text_model.tokenizer.save_pretrained(folder / TEXT)
        self.vision_model.describe(folder)


def contrastive_loss(logits: Tensor, similarity: Tensor | None = None) -> Tensor:
    """MedCLIP's loss: cross-entropy to soft targets, mean of both directions.

    With labels in {-1, 0, 1} (denied, not said or uncertain, affirmed) a pair's similarity is the product of its
    image's and its sentence's label vector, and the targets are its softmax over a row, and over a column.

    Args:
        logits: *Shape:* ``(images, sentences)``
        similarity: *Shape:* ``(images, sentences)``; None: the i-th sentence belongs to the i-th image alone (CLIP).

    Returns:
        *Shape:* ``()``
    """
    if similarity is None:
        place = torch.arange(len(logits), device=logits.device)
        return (functional.cross_entropy(logits, place) + functional.cross_entropy(logits.T, place)) / 2
    soft = similarity.to(logits)
    by_image = functional.cross_entropy(logits, soft.softmax(1))
    by_sentence = functional.cross_entropy(logits.T, soft.T.softmax(1))
    return (by_image + by_sentence) / 2


def load_text_encoder(base: str, *, seed: int, count_pads: bool = False) -> TextEncoder:
    """A BERT by Hugging Face name or from a folder, under a new linear layer.

    Raises:
        FileMissing: it is not there.
    """
    from transformers import AutoModel, AutoTokenizer

    from kgbuild.errors import FileMissing

    try:
        with quiet():
            model, tokenizer = AutoModel.from_pretrained(base), AutoTokenizer.from_pretrained(base)
    except (OSError, ValueError) as error:
        raise FileMissing(
            f"no text encoder that can be loaded ({type(error).__name__})",
            where=base,
            expected="a BERT's folder, or a name that Hugging Face knows",
        ) from None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return TextEncoder(model, tokenizer, count_pads=count_pads)


def new_text_encoder(
    texts: Iterable[str], *, seed: int, hidden: int = 128, layers: int = 2, heads: int = 4, vocabulary: int = 1000
) -> TextEncoder:
    """A small BERT from random weights, its WordPiece vocabulary learned from ``texts`` (lower case)."""
    from transformers import BertConfig, BertModel

    tokenizer = _train_wordpiece(texts, vocabulary)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=hidden * 4,
        max_position_embeddings=128,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return TextEncoder(BertModel(config, add_pooling_layer=False), tokenizer, count_pads=False).eval()


def load_medclip(path: Path, tokenizer: PreTrainedTokenizerFast | None = None) -> MedCLIP:
    """Both sides, from a published MedCLIP file or folder, or from a folder that ``MedCLIP.save`` wrote.

    Args:
        path: as for ``load_image_encoder``.
        tokenizer: Bio_ClinicalBERT's, which MedCLIP's checkpoint does not hold; not needed for our own folders.

    Raises:
        FileMissing: nothing there, or no tokenizer.
        KgbuildError: as ``load_image_encoder``, and for the text side's keys.
    """
    from transformers import AutoConfig, BertModel

    from kgbuild.errors import FileMissing
    from kgbuild.models.language import load_words
    from kgbuild.models.medclip import load_image_encoder, weights_file

    ours = path / TEXT
    vision = load_image_encoder(path)
    weights = read_weights(weights_file(path))
    if ours.is_dir():
        config, tokenizer = AutoConfig.from_pretrained(ours), load_words(ours)
    elif tokenizer is None:
        raise FileMissing("MedCLIP's checkpoint holds no tokenizer", where=str(path), expected="Bio_ClinicalBERT's")
    else:
        config = _bert_config(weights)
    mine = {
        key.removeprefix("text_model."): value
        for key, value in weights.items()
        if key.startswith("text_model.") and not key.endswith("embeddings.position_ids")  # no weight, and gone since
    }
    pooler = any(key.startswith("model.pooler.") for key in mine)
    text = TextEncoder(BertModel(config, add_pooling_layer=pooler), tokenizer, count_pads=not ours.is_dir())
    fit(text, mine, str(path), "text_model.")
    model = MedCLIP(vision, text)
    fit(_Scale(model), {key: weights[key] for key in ("logit_scale",) if key in weights}, str(path))
    return model.eval()


def _bert_config(weights: Mapping[str, Tensor]) -> Any:
    """The sizes of the BERT that the weights are of; BERT-base's where they do not say. A head is 64 wide."""
    from transformers import BertConfig

    stem = "text_model.model."
    config = BertConfig()
    words = weights.get(f"{stem}embeddings.word_embeddings.weight")
    places = weights.get(f"{stem}embeddings.position_embeddings.weight")
    inner = weights.get(f"{stem}encoder.layer.0.intermediate.dense.weight")
    if words is not None and places is not None and inner is not None:
        layers = {key.split(".")[4] for key in weights if key.startswith(f"{stem}encoder.layer.")}
        config.vocab_size, config.hidden_size = words.shape
        config.max_position_embeddings, config.intermediate_size = places.shape[0], inner.shape[0]
        config.num_hidden_layers, config.num_attention_heads = len(layers), words.shape[1] // 64
    return config


class _Scale(nn.Module):
    """The temperature alone, to be loaded like the rest."""

    def __init__(self, model: MedCLIP) -> None:
        super().__init__()
        self.logit_scale = model.logit_scale


def _train_wordpiece(texts: Iterable[str], size: int) -> PreTrainedTokenizerFast:
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    inner: Any = Tokenizer(models.WordPiece(unk_token="[UNK]"))  # noqa: S106 - a token of text
    inner.normalizer = normalizers.BertNormalizer(lowercase=True)
    inner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    inner.decoder = decoders.WordPiece()
    trainer = trainers.WordPieceTrainer(vocab_size=size, special_tokens=list(_SPECIAL), show_progress=False)
    inner.train_from_iterator(texts, trainer)
    inner.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[(token, inner.token_to_id(token)) for token in ("[CLS]", "[SEP]")]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        pad_token="[PAD]",  # noqa: S106
        unk_token="[UNK]",  # noqa: S106
        cls_token="[CLS]",  # noqa: S106
        sep_token="[SEP]",  # noqa: S106
        mask_token="[MASK]",  # noqa: S106
        model_max_length=MAX_TOKENS,
    )
