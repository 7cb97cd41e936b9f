"""Convolutions for inference: on a CPU, the sum and the ReLU that follow are fused into the convolution."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from birefvideo.network.convnet import ConvNet, ResidualBlock
from birefvideo.network.fast_linear import can_fuse
from birefvideo.network.folding import fold_norm

_FUSED: Any = getattr(torch.ops.mkldnn, "_convolution_pointwise", None)
"""oneDNN's convolution with what follows fused in, which torch's own compiler calls; None if torch was built without.
Each step less is a pass over the map less, and a point less at which all threads wait for each other."""

_SMALL = 20480
"""Numbers in a map up to which torch takes another way than oneDNN, with other roundings."""


def conv_relu(x: Tensor, conv: nn.Conv2d) -> Tensor:
    """`F.relu(conv(x))`: (N, C, H, W) -> (N, C', H', W')."""
    if not _can_fuse(x):
        return F.relu(conv(x))
    out: Tensor = _FUSED(x, conv.weight, conv.bias, *_geometry(conv), "relu", [], "")
    return out


def add_conv_relu(other: Tensor, x: Tensor, conv: nn.Conv2d) -> Tensor:
    """`F.relu(other + conv(x))`: (N, C, H, W) -> (N, C', H', W'), in bf16 with one rounding less."""
    if not _can_fuse(x) or other.dtype != x.dtype:
        return F.relu(other + conv(x))
    out: Tensor = _FUSED.binary(x, other, conv.weight, conv.bias, *_geometry(conv), "add", None, "relu", [], None)
    return out


def _can_fuse(x: Tensor) -> bool:
    return _FUSED is not None and x.numel() > _SMALL and can_fuse(x)


def _geometry(conv: nn.Conv2d) -> tuple[object, ...]:
    assert not isinstance(conv.padding, str)
    return conv.padding, conv.stride, conv.dilation, conv.groups


class ConvRelu(nn.Module):
    """A convolution followed by a ReLU."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.conv = conv

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C', H', W')."""
        return conv_relu(x, self.conv)


class FastResidualBlock(nn.Module):
    """A residual block, norms folded."""

    def __init__(self, block: ResidualBlock) -> None:
        super().__init__()
        self.conv1, self.conv2 = fold_norm(*block.conv1), fold_norm(*block.conv2)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> same."""
        return add_conv_relu(x, conv_relu(x, self.conv1), self.conv2)


class FastConvNet(nn.Module):
    """`ConvNet` for inference."""

    def __init__(self, net: ConvNet) -> None:
        super().__init__()
        self.channels = list(net.channels)
        self.stem = ConvRelu(fold_norm(*net.stem))
        self.stages = nn.ModuleList()
        for down, stage in zip(net.downs, net.stages, strict=True):
            assert isinstance(down, nn.Sequential) and isinstance(stage, nn.Sequential)
            self.stages.append(nn.Sequential(ConvRelu(fold_norm(*down)), *(_fast(block) for block in stage)))

    def forward(self, x: Tensor) -> Sequence[Tensor]:
        """(N, 3, H, W) -> four maps (N, channels[i], H/2^(i+2), W/2^(i+2))."""
        x = self.stem(x)
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps


def _fast(block: nn.Module) -> nn.Module:
    return FastResidualBlock(block) if isinstance(block, ResidualBlock) else copy.deepcopy(block)
