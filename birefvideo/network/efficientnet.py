"""EfficientNet-Lite: a backbone whose weights, learnt on photos of everything, tell a small network what it sees.

Source: Tan and Le, EfficientNet (2019), in the form without squeeze-and-excitation and with ReLU6 that its authors
published for mobile devices in 2020; its blocks are Sandler et al.'s (MobileNetV2, 2018).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from birefvideo.network.norm import BatchNorm2d
from birefvideo.network.resizing import resize


@dataclass(frozen=True)
class LiteSize:
    """The numbers of one EfficientNet-Lite, as factors of the smallest."""

    width: float
    """Of channels."""
    depth: float
    """Of blocks in a stage."""


LITE_SIZES = {
    "efficientnet_lite0": LiteSize(1.0, 1.0),
    "efficientnet_lite1": LiteSize(1.0, 1.1),
    "efficientnet_lite2": LiteSize(1.1, 1.2),
}
STEM = 32
"""Channels of the first convolution, whatever the size."""
STAGES = (
    # (kernel, stride, expansion, channels, blocks); the first and the last do not grow in depth
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)


class InvertedResidual(nn.Module):
    """Widen, filter each channel by itself, narrow; around a shortcut where the shapes agree."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = inputs * expansion
        self.has_shortcut = stride == 1 and inputs == outputs
        self.expand = nn.Sequential()
        if expansion > 1:
            self.expand = nn.Sequential(nn.Conv2d(inputs, wide, 1, bias=False), BatchNorm2d(wide), nn.ReLU6())
        depthwise = nn.Conv2d(wide, wide, kernel, stride, kernel // 2, groups=wide, bias=False)
        self.depthwise = nn.Sequential(depthwise, BatchNorm2d(wide), nn.ReLU6())
        self.project = nn.Sequential(nn.Conv2d(wide, outputs, 1, bias=False), BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) -> (N, outputs, H/stride, W/stride), sides rounded up."""
        out: Tensor = self.project(self.depthwise(self.expand(x)))
        return x + out if self.has_shortcut else out


class EfficientNetLite(nn.Module):
    """Image to the last feature maps at strides 4, 8, 16 and 32."""

    def __init__(self, size: LiteSize) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, STEM, 3, 2, 1, bias=False), BatchNorm2d(STEM), nn.ReLU6())
        blocks: list[nn.Module] = []
        outputs, strides = [STEM], [2]
        for i, (kernel, stride, expansion, channels, count) in enumerate(STAGES):
            grows = 0 < i < len(STAGES) - 1
            for _ in range(math.ceil(count * size.depth) if grows else count):
                width = _rounded(channels * size.width)
                blocks.append(InvertedResidual(outputs[-1], width, kernel, stride, expansion))
                outputs.append(width)
                strides.append(strides[-1] * stride)
                stride = 1
        self.blocks = nn.ModuleList(blocks)
        last = [i for i, (here, after) in enumerate(pairwise([*strides, 0])) if here != after and here > 2]
        self.taps = tuple(i - 1 for i in last)
        """Numbers of the blocks whose maps are returned."""
        self.channels = [outputs[i] for i in last]

    def forward(self, x: Tensor) -> list[Tensor]:
        """(N, 3, H, W) -> four maps (N, channels[i], H/2^(i+2), W/2^(i+2)), sides rounded up."""
        x = self.stem(x)
        maps = []
        for i, block in enumerate(self.blocks):
            x = block(x)
            if i in self.taps:
                maps.append(x)
        return maps


def _rounded(channels: float) -> int:
    """Return the multiple of 8 that is nearest, and not below nine tenths."""
    nearest = max(8, int(channels + 4) // 8 * 8)
    return nearest + 8 if nearest < 0.9 * channels else nearest


class SecondBackbone(nn.Module):
    """An EfficientNet-Lite that sees the image at half its size; what it knows is added to another backbone's maps.

    Half the size is a quarter of the cost, and nearer to the sizes at which such networks learn what things are.
    """

    def __init__(self, size: LiteSize, channels: list[int]) -> None:
        super().__init__()
        self.net = EfficientNetLite(size)
        targets = [*channels[1:], channels[3]]
        self.joins = nn.ModuleList(nn.Conv2d(a, b, 1) for a, b in zip(self.net.channels, targets, strict=True))

    def forward(self, image: Tensor, maps: list[Tensor]) -> list[Tensor]:
        """Image (N, 3, H, W) and maps at strides 4, 8, 16 and 32 -> the maps with what this network adds."""
        seen = self.net(F.avg_pool2d(image, 2))
        own = [join(x) for join, x in zip(self.joins, seen, strict=True)]
        deepest = resize(own[3], maps[3])
        return [maps[0], maps[1] + own[0], maps[2] + own[1], maps[3] + own[2] + deepest]

    def become_identity(self) -> None:
        """Zero what is added, so that one put beside a trained backbone changes nothing at first."""
        for weight in self.joins.parameters():
            nn.init.zeros_(weight)
