"""ResNet-50 under torchvision's names, and the numbers that its weights alone give."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from kgbuild.models.resnet import ResNet


def torchvision_names() -> set[str]:
    """Keys of torchvision.models.resnet50().state_dict()."""
    norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    names = {"conv1.weight", "fc.weight", "fc.bias", *(f"bn1.{part}" for part in norm)}
    for stage, blocks in enumerate((3, 4, 6, 3), start=1):
        for block in range(blocks):
            stem = f"layer{stage}.{block}."
            for i in (1, 2, 3):
                names |= {f"{stem}conv{i}.weight", *(f"{stem}bn{i}.{part}" for part in norm)}
        stem = f"layer{stage}.0.downsample."
        names |= {f"{stem}0.weight", *(f"{stem}1.{part}" for part in norm)}
    return names


def test_resnet50_has_torchvisions_keys_and_parameters() -> None:
    with torch.device("meta"):
        model = ResNet()
    weights = model.state_dict()
    assert set(weights) == torchvision_names()
    assert len(weights) == 320
    assert sum(value.numel() for value in model.parameters()) == 25_557_032
    assert tuple(weights["layer3.0.conv2.weight"].shape) == (256, 256, 3, 3)
    assert tuple(weights["layer4.2.conv3.weight"].shape) == (2048, 512, 1, 1)
    assert tuple(weights["layer2.0.downsample.0.weight"].shape) == (512, 256, 1, 1)


def by_hand(weights: dict[str, Tensor], x: Tensor) -> Tensor:
    """The network in torch's functions, from the names alone; the picture is halved in a stage's first 3x3."""

    def norm(x: Tensor, stem: str) -> Tensor:
        mean, var = weights[f"{stem}.running_mean"], weights[f"{stem}.running_var"]
        return functional.batch_norm(x, mean, var, weights[f"{stem}.weight"], weights[f"{stem}.bias"])

    x = norm(functional.conv2d(x, weights["conv1.weight"], stride=2, padding=3), "bn1").relu()
    x = functional.max_pool2d(x, 3, 2, 1)
    for stage in (1, 2, 3, 4):
        block = 0
        while (stem := f"layer{stage}.{block}") + ".conv1.weight" in weights:
            stride = 2 if stage > 1 and block == 0 else 1
            y = norm(functional.conv2d(x, weights[f"{stem}.conv1.weight"]), f"{stem}.bn1").relu()
            y = functional.conv2d(y, weights[f"{stem}.conv2.weight"], stride=stride, padding=1)
            y = functional.conv2d(norm(y, f"{stem}.bn2").relu(), weights[f"{stem}.conv3.weight"])
            if block == 0:
                x = norm(
                    functional.conv2d(x, weights[f"{stem}.downsample.0.weight"], stride=stride), f"{stem}.downsample.1"
                )
            x = (norm(y, f"{stem}.bn3") + x).relu()
            block += 1
    return functional.linear(x.mean((2, 3)), weights["fc.weight"], weights["fc.bias"])


def test_its_output_follows_from_its_weights_alone() -> None:
    torch.manual_seed(0)
    model = ResNet(5, blocks=(2, 1, 1, 1), width=8).double()
    model(torch.randn(4, 3, 64, 64, dtype=torch.float64))  # fills the running means
    model.eval()
    pixels = torch.randn(2, 3, 64, 48, dtype=torch.float64)
    torch.testing.assert_close(model(pixels), by_hand(model.state_dict(), pixels), rtol=0, atol=1e-10)


def test_features_are_read_after_any_stage() -> None:
    model = ResNet(blocks=(1, 1, 1, 1), width=4)
    pixels = torch.zeros(1, 3, 64, 64)
    sizes = [tuple(model.features(pixels, stages=stage).shape[1:]) for stage in (1, 2, 3, 4)]
    assert sizes == [(16, 16, 16), (32, 8, 8), (64, 4, 4), (128, 2, 2)]


def test_parts_of_the_picture_reach_the_last_layer_side_by_side() -> None:
    torch.manual_seed(1)
    model = ResNet(6, blocks=(1, 1, 1, 1), width=4, fc_bias=False, places=2).eval()
    pixels = torch.randn(1, 3, 128, 128)
    maps = model.features(pixels)  # 4 by 4: each part is 2 by 2
    parts = [
        maps[..., rows, columns].mean((2, 3)) for rows in (slice(2), slice(2, 4)) for columns in (slice(2), slice(2, 4))
    ]
    by_place = model.fc.weight.view(6, -1, 2, 2)  # channel first, then row and column
    weights = [by_place[:, :, row, column] for row in (0, 1) for column in (0, 1)]
    wanted = sum(part @ weight.T for part, weight in zip(parts, weights, strict=True))
    torch.testing.assert_close(model(pixels), wanted, rtol=0, atol=1e-5)
