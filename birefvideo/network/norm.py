"""Batch norms whose statistics keep their range when a network is cast to half precision."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

STATISTICS = ("running_mean", "running_var")
"""Names of what a norm has measured in training."""
_HALVES = (torch.float16, torch.bfloat16)


class BatchNorm2d(nn.BatchNorm2d):
    """`nn.BatchNorm2d` whose running statistics stay in fp32, and which computes in fp32 when it is used in half.

    Variances of trained networks go beyond fp16's 65,504: cast, they are infinite, and the norm gives a constant.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        for name in STATISTICS:  # which a half-precision default dtype has made them
            setattr(self, name, getattr(self, name).float())

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> same, in the input's dtype."""
        if self.training or x.dtype not in _HALVES:
            out: Tensor = super().forward(x)
            return out
        weight, bias = self.weight.float(), self.bias.float()
        return F.batch_norm(x, self.running_mean, self.running_var, weight, bias, eps=self.eps)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        """Move the module as torch does, which casts every tensor, but for the statistics' dtype."""
        before = {name: getattr(self, name) for name in STATISTICS}
        result = super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        for name, kept in before.items():
            moved = getattr(self, name)
            if kept is not None and moved is not None and moved.dtype in _HALVES:
                setattr(self, name, kept.to(moved.device, torch.float32))
        return result
