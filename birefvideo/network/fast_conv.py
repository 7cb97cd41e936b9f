"""Convolutional backbones for inference: on a CPU, the sum and the ReLU that follow are fused into a convolution."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from birefvideo.network.convnet import ConvNet, ResidualBlock
from birefvideo.network.efficientnet import InvertedResidual, SecondBackbone
from birefvideo.network.fast_linear import can_fuse
from birefvideo.network.folding import fold_norm

_FUSED: Any = getattr(torch.ops.mkldnn, "_convolution_pointwise", None)
"""oneDNN's convolution with what follows fused in, which torch's own compiler calls; None if torch was built without.
Each step less is a pass over the map less, and a point less at which all threads wait for each other."""
_SMALL = 20480
"""Numbers in a map up to which torch takes another way than oneDNN, with other roundings."""


@dataclass(frozen=True)
class Activation:
    """What follows a convolution."""

    apply: Callable[[Tensor], Tensor]
    """In torch."""
    fused: tuple[str | None, list[float], str | None]
    """As oneDNN's operation takes it."""
    after_sums: bool = True
    """Whether oneDNN also takes it after a sum."""


def _unchanged(x: Tensor) -> Tensor:
    return x


RELU = Activation(F.relu, ("relu", [], ""))
RELU6 = Activation(F.relu6, ("hardtanh", [0.0, 6.0], ""), after_sums=False)
LINEAR = Activation(_unchanged, (None, [], None))


class FusedConv(nn.Module):
    """A convolution and what follows it, by default a ReLU."""

    def __init__(self, conv: nn.Conv2d, activation: Activation = RELU) -> None:
        super().__init__()
        assert not isinstance(conv.padding, str)
        self.conv = conv
        self.activation = activation
        self._geometry = (conv.padding, conv.stride, conv.dilation, conv.groups)
        self._packed: Tensor | None = None
        """The weight as oneDNN lays it out, which it would else do anew for every map."""

    def forward(self, x: Tensor) -> Tensor:
        """`activation(conv(x))`: (N, C, H, W) -> (N, C', H', W')."""
        if not _can_fuse(x):
            return self.activation.apply(self.conv(x))
        name, *rest = self.activation.fused
        out: Tensor = _FUSED(x, self._weight(x), self.conv.bias, *self._geometry, name or "none", *rest)
        return out

    def added(self, other: Tensor, x: Tensor) -> Tensor:
        """`activation(other + conv(x))`: (N, C, H, W) -> (N, C', H', W'), in bf16 with one rounding less."""
        if not _can_fuse(x) or other.dtype != x.dtype or not self.activation.after_sums:
            return self.activation.apply(other + self.conv(x))
        weight, bias = self._weight(x), self.conv.bias
        out: Tensor = _FUSED.binary(x, other, weight, bias, *self._geometry, "add", None, *self.activation.fused)
        return out

    def _weight(self, x: Tensor) -> Tensor:
        packed = self._packed
        if packed is None:
            packed = torch.ops.mkldnn._reorder_convolution_weight(self.conv.weight, *self._geometry, list(x.shape))
            self._packed = packed
        return packed

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> FusedConv:
        self._packed = None
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_packed": None}  # nothing copies oneDNN's tensors


def _can_fuse(x: Tensor) -> bool:
    return _FUSED is not None and can_fuse(x) and x.numel() > _SMALL


class FastResidualBlock(nn.Module):
    """A residual block, norms folded."""

    def __init__(self, block: ResidualBlock) -> None:
        super().__init__()
        self.conv1, self.conv2 = (FusedConv(fold_norm(*conv)) for conv in (block.conv1, block.conv2))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> same."""
        return self.conv2.added(x, self.conv1(x))


class FastConvNet(nn.Module):
    """`ConvNet` for inference."""

    def __init__(self, net: ConvNet) -> None:
        super().__init__()
        self.channels = list(net.channels)
        self.stem = FusedConv(fold_norm(*net.stem))
        self.stages = nn.ModuleList()
        for down, stage in zip(net.downs, net.stages, strict=True):
            assert isinstance(down, nn.Sequential) and isinstance(stage, nn.Sequential)
            self.stages.append(nn.Sequential(FusedConv(fold_norm(*down)), *(_fast(block) for block in stage)))

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


class FastInvertedResidual(nn.Module):
    """An inverted residual block, norms folded."""

    def __init__(self, block: InvertedResidual) -> None:
        super().__init__()
        self.has_shortcut = block.has_shortcut
        layers = [layer for layer in (block.expand, block.depthwise) if len(layer)]
        self.wide = nn.Sequential(*(FusedConv(fold_norm(layer[0], layer[1]), RELU6) for layer in layers))
        self.project = FusedConv(fold_norm(block.project[0], block.project[1]), LINEAR)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) -> (N, outputs, H/stride, W/stride), sides rounded up."""
        wide = self.wide(x)
        return self.project.added(x, wide) if self.has_shortcut else self.project(wide)


def fast_second(second: SecondBackbone) -> SecondBackbone:
    """Return a second backbone for inference, of copies of its weights."""
    fast = copy.deepcopy(second)
    fast.net.stem = nn.Sequential(FusedConv(fold_norm(second.net.stem[0], second.net.stem[1]), RELU6))
    blocks = (block for block in second.net.blocks if isinstance(block, InvertedResidual))
    fast.net.blocks = nn.ModuleList(FastInvertedResidual(block) for block in blocks)
    return fast
