"""MedCLIP's image encoders: published key names, what does not load and why, and the hash that names them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from kgbuild.errors import FileMissing, KgbuildError
from kgbuild.models import medclip_images
from kgbuild.models.medclip import ImageEncoder, load_image_encoder, new_image_encoder

IMAGES = [
    np.random.default_rng(i).integers(0, 256, size, dtype=np.uint8) for i, size in enumerate([(90, 70), (64, 80)])
]
OLD_NAMES: list[tuple[str, Any]] = [  # transformers of 2022, in which MedCLIP was saved; today's name, then that one's
    (r"attention\.([qkv])_proj", lambda m: "attention.self." + {"q": "query", "k": "key", "v": "value"}[m[1]]),
    (r"attention\.o_proj", "attention.output.dense"),
    (r"attention\.relative_position_bias\.", "attention.self."),
    (r"mlp\.fc1", "intermediate.dense"),
    (r"mlp\.fc2", "output.dense"),
]


def published(encoder: ImageEncoder) -> dict[str, Tensor]:
    """The encoder's weights as MedCLIP's own ``pytorch_model.bin`` names them, beside keys of its text side."""
    weights = {"logit_scale": torch.tensor(2.65), "text_model.projection_head.weight": torch.zeros(512, 768)}
    for key, value in encoder.state_dict().items():
        old = key
        for pattern, replacement in OLD_NAMES:
            old = re.sub(pattern, replacement, old)
        weights[f"vision_model.{old}"] = value
    for key in [key for key in weights if key.endswith("relative_position_bias_table")]:
        weights[key.replace("bias_table", "index")] = torch.zeros(49, 49, dtype=torch.long)
    return weights


def write(path: Path, weights: Mapping[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(dict(weights), path)
    return path


@pytest.fixture(scope="module")
def vit() -> ImageEncoder:
    return new_image_encoder("vit", seed=1)


def test_the_published_swin_names_load_with_nothing_missing(vit: ImageEncoder, tmp_path: Path) -> None:
    old = published(vit)
    assert "vision_model.model.encoder.layers.2.blocks.5.attention.self.query.weight" in old
    assert "vision_model.model.encoder.layers.0.blocks.0.attention.self.relative_position_index" in old
    assert "vision_model.model.encoder.layers.3.blocks.1.attention.output.dense.bias" in old
    assert "vision_model.model.encoder.layers.1.blocks.0.intermediate.dense.weight" in old
    assert len([key for key in old if key.startswith("vision_model.")]) == 219 + 12 + 1  # 12 indices, 1 head
    loaded = load_image_encoder(write(tmp_path / "pytorch_model.bin", old))
    assert loaded.variant == "vit"
    assert loaded.hash == vit.hash
    embeds = loaded.embed(IMAGES)
    assert embeds.shape == (2, 512)
    torch.testing.assert_close(embeds.norm(dim=1), torch.ones(2))


def test_swin_tiny_is_swin_tiny(vit: ImageEncoder) -> None:
    assert sum(value.numel() for value in vit.model.parameters()) == 27_519_354
    assert tuple(vit.projection_head.weight.shape) == (512, 768)
    assert vit.projection_head.bias is None


def test_the_published_resnet_names_load(tmp_path: Path) -> None:
    encoder = new_image_encoder("resnet", seed=2)
    weights = published(encoder)
    assert tuple(weights["vision_model.model.fc.weight"].shape) == (512, 2048)
    assert "vision_model.model.fc.bias" not in weights
    assert "vision_model.model.layer4.2.bn3.running_var" in weights
    write(tmp_path / "medclip-resnet" / "pytorch_model.bin", weights)
    loaded = load_image_encoder(tmp_path / "medclip-resnet", "resnet")
    assert loaded.hash == encoder.hash


@pytest.mark.parametrize("variant", ["vit", "resnet"])
def test_a_saved_encoder_comes_back_whole(variant: Any, tmp_path: Path) -> None:
    encoder = new_image_encoder(variant, seed=3, tiny=True, side=96)
    encoder.save(tmp_path / "image_encoder")
    for path in (tmp_path / "image_encoder", tmp_path, tmp_path / "image_encoder" / "model.safetensors"):
        loaded = load_image_encoder(path, variant)
        assert (loaded.side, loaded.hash) == (96, encoder.hash)
        torch.testing.assert_close(loaded.embed(IMAGES), encoder.embed(IMAGES), rtol=0, atol=1e-5)


@pytest.mark.parametrize("variant", ["vit", "resnet"])
def test_the_same_seed_gives_the_same_encoder_and_leaves_the_random_state(variant: Any) -> None:
    torch.manual_seed(9)
    expected = torch.rand(1)
    torch.manual_seed(9)
    first, again, other = (new_image_encoder(variant, seed=seed, tiny=True).hash for seed in (4, 4, 5))
    assert torch.rand(1) == expected
    assert first == again != other


def test_the_hash_changes_with_weights_side_and_preprocessing(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = new_image_encoder("resnet", seed=6, tiny=True)
    before = encoder.hash
    assert new_image_encoder("resnet", seed=6, tiny=True, side=96).hash != before
    with monkeypatch.context() as patch:
        patch.setattr(medclip_images, "SIGNATURE", "bilinear")
        assert encoder.hash != before
    assert encoder.hash == before
    with torch.no_grad():
        encoder.state_dict()["model.bn1.running_mean"][0] += 1e-3
    assert encoder.hash != before


def test_embedding_is_evaluation_even_in_training_mode() -> None:
    encoder = new_image_encoder("resnet", seed=7, tiny=True)
    expected, before = encoder.embed(IMAGES), encoder.hash
    encoder.train()
    assert torch.equal(encoder.embed(IMAGES), expected)
    assert encoder.training
    assert encoder.hash == before
    torch.testing.assert_close(encoder.embed(IMAGES[1:])[0], expected[1], rtol=0, atol=1e-5)


@pytest.mark.parametrize("variant", ["vit", "resnet"])
def test_missing_and_extra_keys_are_listed(variant: Any, tmp_path: Path) -> None:
    encoder = new_image_encoder(variant, seed=8, tiny=True)
    encoder.save(tmp_path)
    from safetensors.torch import load_file, save_file

    weights = load_file(tmp_path / "model.safetensors")
    gone = next(key for key in weights if key.endswith(("fc1.bias", "layer1.0.bn2.bias")))
    head = next(key for key in weights if key.endswith(("projection_head.weight", "fc.weight")))
    del weights[gone]
    weights[head] = torch.zeros(512, 5)
    weights["vision_model.model.spare.weight"] = torch.zeros(2)
    save_file(weights, tmp_path / "model.safetensors")
    with pytest.raises(KgbuildError) as error:
        load_image_encoder(tmp_path)
    assert f"1 missing: {gone}" in str(error.value)
    assert "1 extra: vision_model.model.spare.weight" in str(error.value)
    assert f"1 of another shape: {head}" in str(error.value)


def test_the_other_variant_is_refused_by_name(tmp_path: Path) -> None:
    new_image_encoder("resnet", seed=0, tiny=True).save(tmp_path)
    with pytest.raises(KgbuildError, match="of another architecture: MedCLIP's image encoder resnet"):
        load_image_encoder(tmp_path, "vit")


def test_weights_of_something_else_are_refused_with_their_first_keys(tmp_path: Path) -> None:
    path = write(
        tmp_path / "pytorch_model.bin", {"bert.embeddings.weight": torch.zeros(2), "bert.pooler": torch.zeros(1)}
    )
    with pytest.raises(KgbuildError, match=r"2 keys, the first bert\.embeddings\.weight, bert\.pooler"):
        load_image_encoder(path)


def test_half_a_file_is_said_to_be_half(tmp_path: Path) -> None:
    new_image_encoder("resnet", seed=0, tiny=True).save(tmp_path)
    whole = (tmp_path / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(KgbuildError, match="half-written or damaged"):
        load_image_encoder(tmp_path)
    path = write(tmp_path / "old" / "pytorch_model.bin", {"a": torch.zeros(100)})
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(KgbuildError, match="half-written or damaged"):
        load_image_encoder(path)


class _Code:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return (print, ("run by a checkpoint",))


def test_a_checkpoint_that_would_run_code_does_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "pytorch_model.bin", {"vision_model.model.conv1.weight": _Code()})
    with pytest.raises(KgbuildError, match="damaged"):
        load_image_encoder(path)
    assert capsys.readouterr().out == ""


def test_what_is_not_there_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(FileMissing, match="no image encoder"):
        load_image_encoder(tmp_path)
    with pytest.raises(FileMissing):
        load_image_encoder(tmp_path / "nowhere.bin")
