"""Small residual convolutional backbones for checkpoints that are trained from scratch and run without a GPU."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from birefvideo.network.norm import BatchNorm2d


@dataclass(frozen=True)
class ConvSize:
    """The numbers of one convolutional backbone."""

    stem: int
    """Channels at stride 2."""
    widths: tuple[int, int, int, int]
    """Channels at strides 4, 8, 16 and 32."""
    depths: tuple[int, int, int, int]
    """Residual blocks at each of them."""


CONV_SIZES = {
    "conv_t": ConvSize(16, (32, 64, 128, 192), (1, 2, 3, 2)),
    "conv_m": ConvSize(16, (32, 64, 128, 192), (1, 3, 6, 4)),
    "conv_s": ConvSize(24, (48, 96, 192, 256), (2, 2, 3, 2)),
}


def conv_norm(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """Return a 3×3 convolution followed by its batch norm."""
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), BatchNorm2d(outputs))


class ResidualBlock(nn.Module):
    """Two 3×3 convolutions around a shortcut (He et al., 2015)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = conv_norm(channels, channels)
        self.conv2 = conv_norm(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> same."""
        return F.relu(x + self.conv2(F.relu(self.conv1(x))))


class ConvNet(nn.Module):
    """Image to four feature maps at strides 4, 8, 16 and 32."""

    def __init__(self, size: ConvSize) -> None:
        super().__init__()
        self.channels = list(size.widths)
        self.stem = conv_norm(3, size.stem, stride=2)
        inputs = [size.stem, *size.widths[:3]]
        self.downs = nn.ModuleList(conv_norm(a, b, stride=2) for a, b in zip(inputs, size.widths, strict=True))
        self.stages = nn.ModuleList(
            nn.Sequential(*(ResidualBlock(width) for _ in range(depth)))
            for width, depth in zip(size.widths, size.depths, strict=True)
        )

    def forward(self, x: Tensor) -> Sequence[Tensor]:
        """(N, 3, H, W) -> four maps (N, channels[i], H/2^(i+2), W/2^(i+2))."""
        x = F.relu(self.stem(x))
        maps = []
        for down, stage in zip(self.downs, self.stages, strict=True):
            x = stage(F.relu(down(x)))
            maps.append(x)
        return maps
