"""Resizing as the published network does it throughout."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def resize(x: Tensor, like: Tensor | tuple[int, int]) -> Tensor:
    """Resize (N, C, H, W) bilinearly with aligned corners, to the height and width of `like`."""
    size = tuple(like.shape[-2:]) if isinstance(like, Tensor) else like
    return x if x.shape[-2:] == size else F.interpolate(x, size=size, mode="bilinear", align_corners=True)
