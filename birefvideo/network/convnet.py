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
    context: tuple[int, int, int, int] = (0, 0, 0, 0)
    """Context blocks after those."""


CONV_SIZES = {
    "conv_t": ConvSize(16, (32, 64, 128, 192), (1, 2, 3, 2)),
    "conv_m": ConvSize(16, (32, 64, 128, 192), (1, 3, 6, 4)),
    "conv_s": ConvSize(24, (48, 96, 192, 256), (2, 2, 3, 2)),
    "conv_c": ConvSize(16, (32, 64, 128, 192), (2, 4, 8, 6), (0, 0, 2, 3)),
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

    def become_identity(self) -> None:
        """Zero what the block adds, so that one put into a trained network changes nothing at first."""
        nn.init.zeros_(self.get_parameter("conv2.1.weight"))


class ContextBlock(nn.Module):
    """Every place looks at every other one: attention and a small MLP around shortcuts (Vaswani et al., 2017).

    A depthwise convolution tells where a place is (Chu et al., 2021), so that any size of picture will do.
    """

    HEAD = 32
    """Channels of one attention head."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.position = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        self.norm1 = nn.LayerNorm(channels)
        self.qkv = nn.Linear(channels, 3 * channels)
        self.proj = nn.Linear(channels, channels)
        self.norm2 = nn.LayerNorm(channels)
        self.widen = nn.Linear(channels, 2 * channels)
        self.narrow = nn.Linear(2 * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> same."""
        x = x + self.position(x)
        n, c, h, w = x.shape
        tokens = x.flatten(2).transpose(1, 2)
        heads = self.qkv(self.norm1(tokens)).view(n, h * w, 3, c // self.HEAD, self.HEAD).permute(2, 0, 3, 1, 4)
        seen = F.scaled_dot_product_attention(heads[0], heads[1], heads[2])
        tokens = tokens + self.proj(seen.transpose(1, 2).reshape(n, h * w, c))
        tokens = tokens + self.narrow(F.gelu(self.widen(self.norm2(tokens))))
        out: Tensor = tokens.transpose(1, 2).reshape(n, c, h, w)
        return out

    def become_identity(self) -> None:
        """Zero what the block adds, so that one put into a trained network changes nothing at first."""
        for layer in (self.position, self.proj, self.narrow):
            for weight in layer.parameters():
                nn.init.zeros_(weight)


class ConvNet(nn.Module):
    """Image to four feature maps at strides 4, 8, 16 and 32."""

    def __init__(self, size: ConvSize) -> None:
        super().__init__()
        self.channels = list(size.widths)
        self.stem = conv_norm(3, size.stem, stride=2)
        inputs = [size.stem, *size.widths[:3]]
        self.downs = nn.ModuleList(conv_norm(a, b, stride=2) for a, b in zip(inputs, size.widths, strict=True))
        self.stages = nn.ModuleList(
            nn.Sequential(*(ResidualBlock(width) for _ in range(depth)), *(ContextBlock(width) for _ in range(context)))
            for width, depth, context in zip(size.widths, size.depths, size.context, strict=True)
        )

    def forward(self, x: Tensor) -> Sequence[Tensor]:
        """(N, 3, H, W) -> four maps (N, channels[i], H/2^(i+2), W/2^(i+2))."""
        x = F.relu(self.stem(x))
        maps = []
        for down, stage in zip(self.downs, self.stages, strict=True):
            x = stage(F.relu(down(x)))
            maps.append(x)
        return maps
