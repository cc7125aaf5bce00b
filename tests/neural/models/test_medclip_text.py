"""MedCLIP's text side and loss, against NumPy; its published key names."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from kgbuild.errors import FileMissing, KgbuildError
from kgbuild.models.medclip import load_image_encoder, new_image_encoder
from kgbuild.models.medclip_images import to_input
from kgbuild.models.medclip_text import MedCLIP, TextEncoder, contrastive_loss, load_medclip, new_text_encoder

SENTENCES = ["small left pleural effusion", "no pneumothorax is seen in the right lung", "heart size is normal"]


@pytest.fixture
def text() -> TextEncoder:
    return new_text_encoder(SENTENCES * 3, seed=0, layers=3)


@pytest.mark.parametrize("count_pads", [True, False])
def test_a_sentence_is_the_mean_of_three_layers_and_its_tokens(text: TextEncoder, count_pads: bool) -> None:
    text.count_pads = count_pads
    batch = text.tokenize(SENTENCES)
    states = text.model(**batch, output_hidden_states=True).hidden_states
    assert len(states) == 4
    expected = []
    for row in range(3):
        length = batch["input_ids"].shape[1] if count_pads else int(batch["attention_mask"][row].sum())
        tokens = [[states[layer][row, i].detach().numpy() for i in range(length)] for layer in (1, 2, 3)]
        vector = text.projection_head.weight.detach().numpy() @ np.mean(tokens, axis=(0, 1))
        expected.append(vector / np.linalg.norm(vector))
    np.testing.assert_allclose(text(**batch).detach().numpy(), np.stack(expected), rtol=0, atol=1e-5)


def test_without_counting_pads_a_sentence_does_not_depend_on_its_batch(text: TextEncoder) -> None:
    together, alone = text(**text.tokenize(SENTENCES)), text(**text.tokenize(SENTENCES[:1]))
    torch.testing.assert_close(together[:1], alone, rtol=0, atol=1e-5)
    text.count_pads = True
    together, alone = text(**text.tokenize(SENTENCES)), text(**text.tokenize(SENTENCES[:1]))
    assert (together[:1] - alone).abs().max() > 1e-3


def test_sentences_are_cut_at_77_tokens(text: TextEncoder) -> None:
    assert text.tokenize(["lung " * 200])["input_ids"].shape == (1, 77)


def test_soft_targets_are_the_softmax_of_label_products() -> None:
    logits = torch.tensor([[2.0, -1.0, 0.5], [0.0, 1.0, 3.0]])
    images, sentences = torch.tensor([[1.0, 0, -1], [0, 1, 1]]), torch.tensor([[1.0, 0, -1], [0, 0, 1], [-1, 0, 0]])
    similarity = images @ sentences.T
    assert similarity.tolist() == [[2, -1, -1], [-1, 1, 0]]

    def cross_entropy(scores: Any, soft: Any) -> float:
        logs = scores - np.log(np.exp(scores).sum(1, keepdims=True))
        targets = np.exp(soft) / np.exp(soft).sum(1, keepdims=True)
        return float(-(targets * logs).sum() / len(scores))

    expected = cross_entropy(logits.numpy(), similarity.numpy()) + cross_entropy(logits.T.numpy(), similarity.T.numpy())
    assert contrastive_loss(logits, similarity).item() == pytest.approx(expected / 2, abs=1e-6)


def test_without_labels_it_is_clips_loss() -> None:
    logits = torch.tensor([[3.0, 0.0], [1.0, 2.0]])
    by_row = (math.log(1 + math.exp(-3)) + math.log(1 + math.exp(-1))) / 2
    by_column = (math.log(1 + math.exp(-2)) + math.log(1 + math.exp(-2))) / 2
    assert contrastive_loss(logits).item() == pytest.approx((by_row + by_column) / 2, abs=1e-6)


def test_the_temperature_starts_at_0_07_and_stays_in_its_limits(text: TextEncoder) -> None:
    model = MedCLIP(new_image_encoder("resnet", seed=0, tiny=True), text).eval()
    assert model.logit_scale.item() == pytest.approx(math.log(1 / 0.07))
    pixels, batch = to_input([np.zeros((64, 64), dtype=np.uint8)], side=64), text.tokenize(SENTENCES)
    cosines = model.vision_model(pixels) @ text(**batch).T
    for given, scale in ((9.0, 4.6052), (-3.0, 0.0), (1.5, 1.5)):
        with torch.no_grad():
            model.logit_scale.fill_(given)
        torch.testing.assert_close(model(pixels, **batch), cosines * math.exp(scale))
        assert model.logit_scale.item() == pytest.approx(scale)


def test_a_step_of_training_reaches_both_sides_and_the_temperature(text: TextEncoder) -> None:
    model = MedCLIP(new_image_encoder("resnet", seed=0, tiny=True), text).train()
    images = [np.random.default_rng(i).integers(0, 256, (64, 64), dtype=np.uint8) for i in range(3)]
    contrastive_loss(model(to_input(images, side=64), **text.tokenize(SENTENCES)), torch.eye(3)).backward()
    learned = dict(model.named_parameters())
    for name in ("logit_scale", "vision_model.model.conv1.weight", "text_model.projection_head.weight"):
        gradient = learned[name].grad
        assert gradient is not None
        assert gradient.abs().sum() > 0


def test_a_saved_pair_comes_back_and_its_image_side_alone(text: TextEncoder, tmp_path: Path) -> None:
    model = MedCLIP(new_image_encoder("vit", seed=1, tiny=True), text).eval()
    model.save(tmp_path)
    pixels, batch = to_input([np.zeros((64, 64), dtype=np.uint8)], side=64), text.tokenize(SENTENCES)
    loaded = load_medclip(tmp_path)
    assert {k: v.tolist() for k, v in loaded.state_dict().items()} == {
        k: v.tolist() for k, v in model.state_dict().items()
    }
    given = loaded(pixels, **loaded.text_model.tokenize(SENTENCES))
    torch.testing.assert_close(given, model(pixels, **batch), rtol=0, atol=1e-5)
    assert load_image_encoder(tmp_path).hash == model.vision_model.hash


def published(model: MedCLIP) -> dict[str, Any]:
    """As in MedCLIP's own file: the same names, and BERT's position ids of 2022."""
    return {**model.state_dict(), "text_model.model.embeddings.position_ids": torch.arange(128).unsqueeze(0)}


def test_the_published_names_of_both_sides_load(tmp_path: Path) -> None:
    text = new_text_encoder(SENTENCES * 3, seed=0, heads=2, layers=3)  # 64 wide heads, as BERT-base has
    model = MedCLIP(new_image_encoder("resnet", seed=1, tiny=True), text).eval()
    model.vision_model.describe(tmp_path)  # a small image side, to be quick; the full ones are tested in test_medclip
    weights = published(model)
    assert {"logit_scale", "text_model.projection_head.weight"} < weights.keys()
    assert "text_model.model.encoder.layer.0.attention.self.query.weight" in weights
    torch.save(weights, tmp_path / "pytorch_model.bin")
    loaded = load_medclip(tmp_path, text.tokenizer)
    assert loaded.text_model.count_pads
    batch = text.tokenize(SENTENCES)
    text.count_pads = True
    torch.testing.assert_close(loaded.text_model(**batch), text(**batch), rtol=0, atol=1e-5)
    with pytest.raises(FileMissing, match="no tokenizer"):
        load_medclip(tmp_path)
    del weights["text_model.projection_head.weight"]
    torch.save(weights, tmp_path / "pytorch_model.bin")
    with pytest.raises(KgbuildError, match=r"1 missing: text_model\.projection_head\.weight"):
        load_medclip(tmp_path, text.tokenizer)
