"""ResNet with bottleneck blocks and torchvision's parameter names, so that published weights load without torchvision.

torchvision's is the variant that halves the picture in a block's 3x3 convolution, not in its first 1x1 (v1.5).

Source: He et al., Deep Residual Learning (2016), Table 1; names as in torchvision.models.resnet50.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

_EXPANSION = 4
RESNET50 = (3, 4, 6, 3)


class ResNet(nn.Module):
    """Picture → one vector. With the defaults ResNet-50: 25,557,032 parameters with 1,000 outputs.

    Args:
        outputs: of the last linear layer, ``fc``.
        blocks: how many bottleneck blocks each of the four stages has.
        width: channels of the first stage's 3x3 convolutions; doubled from stage to stage.
        fc_bias: whether ``fc`` has a bias (MedCLIP's has none).
        places: ``fc`` takes the means of ``places`` by ``places`` parts of the picture, side by side; 1, as published:
            one mean of all, in which right and left are told apart only by what the convolutions make of the edges.
    """

    def __init__(
        self,
        outputs: int = 1000,
        *,
        blocks: Sequence[int] = RESNET50,
        width: int = 64,
        fc_bias: bool = True,
        places: int = 1,
    ) -> None:
        super().__init__()
        self.places = places
        self.conv1 = nn.Conv2d(3, width, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        channels = [width * _EXPANSION * 2**stage for stage in range(4)]
        self.layer1 = _stage(width, width, blocks[0], stride=1)
        self.layer2 = _stage(channels[0], width * 2, blocks[1], stride=2)
        self.layer3 = _stage(channels[1], width * 4, blocks[2], stride=2)
        self.layer4 = _stage(channels[2], width * 8, blocks[3], stride=2)
        self.fc = nn.Linear(channels[3] * places**2, outputs, bias=fc_bias)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def features(self, pixels: Tensor, *, stages: int = 4) -> Tensor:
        """What the first ``stages`` stages make of the pictures.

        Args:
            pixels: *Shape:* ``(batch, 3, rows, columns)``
            stages: 1 to 4; MedKLIP reads after 3.

        Returns:
            *Shape:* ``(batch, channels, rows / 2^(stages + 1), columns / 2^(stages + 1))``, rounded up
        """
        x = self.maxpool(self.relu(self.bn1(self.conv1(pixels))))
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4)[:stages]:
            x = stage(x)
        return x

    def forward(self, pixels: Tensor) -> Tensor:
        """Mean over each part of the picture (one part: all of it), then ``fc``.

        Args:
            pixels: *Shape:* ``(batch, 3, rows, columns)``

        Returns:
            *Shape:* ``(batch, outputs)``
        """
        return self.fc(torch.flatten(functional.adaptive_avg_pool2d(self.features(pixels), self.places), 1))


class _Bottleneck(nn.Module):
    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        out = width * _EXPANSION
        self.conv1 = nn.Conv2d(channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, out, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out)
        self.relu = nn.ReLU(inplace=True)
        self.downsample: nn.Sequential | None = None
        if stride != 1 or channels != out:
            self.downsample = nn.Sequential(nn.Conv2d(channels, out, 1, stride=stride, bias=False), nn.BatchNorm2d(out))

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return self.relu(y + (x if self.downsample is None else self.downsample(x)))


def _stage(channels: int, width: int, blocks: int, stride: int) -> nn.Sequential:
    first = _Bottleneck(channels, width, stride)
    return nn.Sequential(first, *(_Bottleneck(width * _EXPANSION, width, 1) for _ in range(blocks - 1)))
