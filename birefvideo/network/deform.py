"""Modulated deformable convolution in pure torch."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class DeformableConv2d(nn.Module):
    """Stride-1 deformable convolution v2, its offsets and modulation predicted from the input.

    Same result as torchvision's ``deform_conv2d`` with the offsets in (y, x) order per tap, a mask of
    ``2 * sigmoid`` and zeros outside the image, but it needs no compiled extension and runs in every dtype.
    Source: Zhu et al., Deformable ConvNets v2 (2018), as used in BiRefNet's ASPP.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int) -> None:
        super().__init__()
        taps = kernel_size * kernel_size
        padding = kernel_size // 2
        self.kernel_size = kernel_size
        self.offset_conv = nn.Conv2d(in_channels, 2 * taps, kernel_size, padding=padding)
        self.modulator_conv = nn.Conv2d(in_channels, taps, kernel_size, padding=padding)
        self.regular_conv = nn.Conv2d(in_channels, out_channels, kernel_size, padding=padding, bias=False)
        for conv in (self.offset_conv, self.modulator_conv):
            nn.init.zeros_(conv.weight)
            nn.init.zeros_(conv.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) float -> (N, out_channels, H, W), same dtype."""
        n, c, h, w = x.shape
        size = self.kernel_size
        mask = 2.0 * torch.sigmoid(self.modulator_conv(x))
        # Positions in fp32 whatever the network's dtype: bf16 cannot tell neighbouring columns apart past 256.
        down, right = self.offset_conv(x).float().view(n, size**2, 2, h, w).unbind(2)
        taps = torch.arange(size, device=x.device, dtype=torch.float32) - size // 2
        rows = torch.arange(h, device=x.device, dtype=torch.float32).view(h, 1)
        columns = torch.arange(w, device=x.device, dtype=torch.float32)
        y = down + rows + taps.repeat_interleave(size).view(-1, 1, 1)
        x_ = right + columns + taps.repeat(size).view(-1, 1, 1)
        grid = torch.stack(((2 * x_ + 1) / w - 1, (2 * y + 1) / h - 1), dim=-1).view(n, -1, w, 2)
        values = F.grid_sample(x.float(), grid, mode="bilinear", padding_mode="zeros", align_corners=False)
        # A single matmul over all taps is the exact im2col form.
        sampled = values.to(x.dtype).view(n, c, size**2, h, w) * mask.unsqueeze(1)
        weight = self.regular_conv.weight.reshape(-1, c * size**2, 1, 1)
        return F.conv2d(sampled.view(n, -1, h, w), weight)
