"""Swin Transformer as the BiRefNet family uses it: four feature maps, published key names.

Source: Liu et al., Swin Transformer: Hierarchical Vision Transformer using Shifted Windows (2021).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class SwinSize:
    """The numbers in which the published Swin backbones differ."""

    width: int
    """Channels of the first stage; each later stage doubles them."""
    depths: tuple[int, int, int, int]
    """Blocks a stage."""
    heads: tuple[int, int, int, int]
    """Attention heads a stage."""
    window: int
    """Side of an attention window, in tokens."""


SWIN_SIZES = {
    "swin_v1_t": SwinSize(96, (2, 2, 6, 2), (3, 6, 12, 24), 7),
    "swin_v1_s": SwinSize(96, (2, 2, 18, 2), (3, 6, 12, 24), 7),
    "swin_v1_b": SwinSize(128, (2, 2, 18, 2), (4, 8, 16, 32), 12),
    "swin_v1_l": SwinSize(192, (2, 2, 18, 2), (6, 12, 24, 48), 12),
}


def relative_position_index(window: int) -> Tensor:
    """Return the row of the bias table for every pair of tokens in a window: int64 (window², window²)."""
    axis = torch.arange(window)
    y, x = (t.flatten() for t in torch.meshgrid(axis, axis, indexing="ij"))
    dy = y[:, None] - y[None, :] + window - 1
    dx = x[:, None] - x[None, :] + window - 1
    return dy * (2 * window - 1) + dx


class WindowAttention(nn.Module):
    """Multi-head self-attention inside windows, with a learned bias per relative position."""

    relative_position_index: Tensor

    def __init__(self, dim: int, window: int, heads: int) -> None:
        super().__init__()
        self.window = window
        self.heads = heads
        self.relative_position_bias_table = nn.Parameter(torch.zeros((2 * window - 1) ** 2, heads))
        self.register_buffer("relative_position_index", relative_position_index(window))
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)
        nn.init.trunc_normal_(self.relative_position_bias_table, std=0.02)

    def bias(self) -> Tensor:
        """Return the position bias, (heads, tokens, tokens)."""
        tokens = self.window**2
        table = self.relative_position_bias_table[self.relative_position_index.flatten()]
        return table.view(tokens, tokens, self.heads).permute(2, 0, 1)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """(windows·N, tokens, dim) -> same; `mask` is (windows, tokens, tokens), 0 or -inf."""
        windows, tokens, dim = x.shape
        q, k, v = self.qkv(x).view(windows, tokens, 3, self.heads, dim // self.heads).permute(2, 0, 3, 1, 4)
        bias = self.bias().to(q.dtype).unsqueeze(0)
        if mask is not None:
            images = windows // mask.shape[0]
            bias = (bias + mask.to(q.dtype).unsqueeze(1)).repeat(images, 1, 1, 1)
        attended = F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
        # A copy: which layout attention has is its kernel's choice, and an exporter puts another one in its place.
        joined = attended.transpose(1, 2).clone(memory_format=torch.contiguous_format).view(windows, tokens, dim)
        projected: Tensor = self.proj(joined)
        return projected


class Mlp(nn.Module):
    """Two linear layers with a GELU between them."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        """(..., dim) -> (..., dim)."""
        out: Tensor = self.fc2(F.gelu(self.fc1(x)))
        return out


def to_windows(x: Tensor, window: int) -> Tensor:
    """(N, H, W, C) with sides that are multiples of `window` -> (N·windows, window², C)."""
    n, h, w, c = x.shape
    x = x.view(n, h // window, window, w // window, window, c)
    return x.transpose(2, 3).reshape(-1, window * window, c)


def from_windows(windows: Tensor, window: int, h: int, w: int) -> Tensor:
    """Undo `to_windows`: (N·windows, window², C) -> (N, h, w, C)."""
    c = windows.shape[-1]
    x = windows.view(-1, h // window, w // window, window, window, c)
    return x.transpose(2, 3).reshape(-1, h, w, c)


def shift_mask(h: int, w: int, window: int, device: torch.device) -> Tensor:
    """Mask which tokens of a rolled map may attend to each other: (windows, tokens, tokens), 0 or -inf.

    `h` and `w` are padded sides; a roll by window // 2 brings up to four image regions into one window.
    """
    shift = window // 2
    from_end = (torch.arange(-side, 0, device=device) for side in (h, w))
    rows, columns = ((axis >= -window).long() + (axis >= -shift) for axis in from_end)
    region = rows.unsqueeze(1) * 3 + columns
    ids = to_windows(region.view(1, h, w, 1), window).squeeze(-1)
    apart = ids.unsqueeze(1) != ids.unsqueeze(2)
    return torch.zeros_like(apart, dtype=torch.float32).masked_fill(apart, float("-inf"))


class SwinBlock(nn.Module):
    """Window attention, shifted in every second block, then an MLP, both residual."""

    def __init__(self, dim: int, heads: int, window: int, shifted: bool) -> None:
        super().__init__()
        self.window = window
        self.shift = window // 2 if shifted else 0
        self.norm1 = nn.LayerNorm(dim)
        self.attn = WindowAttention(dim, window, heads)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = Mlp(dim, 4 * dim)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(N, H, W, C) -> same; `mask` is the stage's shift mask."""
        _, h, w, _ = x.shape
        pad_h, pad_w = -h % self.window, -w % self.window
        # Padding comes after the norm: padded tokens are zeros that still take part as keys (qkv bias).
        y = F.pad(self.norm1(x), (0, 0, 0, pad_w, 0, pad_h))
        if self.shift:
            y = torch.roll(y, (-self.shift, -self.shift), (1, 2))
        y = self.attn(to_windows(y, self.window), mask if self.shift else None)
        y = from_windows(y, self.window, h + pad_h, w + pad_w)
        if self.shift:
            y = torch.roll(y, (self.shift, self.shift), (1, 2))
        x = x + y[:, :h, :w]
        out: Tensor = x + self.mlp(self.norm2(x))
        return out


class PatchMerging(nn.Module):
    """Joins each 2×2 tokens into one with twice the channels."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.reduction = nn.Linear(4 * dim, 2 * dim, bias=False)
        self.norm = nn.LayerNorm(4 * dim)

    def forward(self, x: Tensor) -> Tensor:
        """(N, H, W, C) -> (N, ⌈H/2⌉, ⌈W/2⌉, 2C)."""
        _, h, w, _ = x.shape
        x = F.pad(x, (0, 0, 0, w % 2, 0, h % 2))
        corners = (x[:, 0::2, 0::2], x[:, 1::2, 0::2], x[:, 0::2, 1::2], x[:, 1::2, 1::2])
        out: Tensor = self.reduction(self.norm(torch.cat(corners, dim=-1)))
        return out


class SwinStage(nn.Module):
    """The blocks of one resolution and, but for the last stage, the step to the next."""

    def __init__(self, dim: int, depth: int, heads: int, window: int, last: bool) -> None:
        super().__init__()
        self.window = window
        self.blocks = nn.ModuleList(SwinBlock(dim, heads, window, shifted=i % 2 == 1) for i in range(depth))
        self.downsample = None if last else PatchMerging(dim)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(N, H, W, C) -> this stage's map and the next stage's input."""
        _, h, w, _ = x.shape
        mask = shift_mask(h + -h % self.window, w + -w % self.window, self.window, x.device)
        for block in self.blocks:
            x = block(x, mask)
        return x, x if self.downsample is None else self.downsample(x)


class PatchEmbed(nn.Module):
    """Cuts the image into 4×4 patches, one token each."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, dim, kernel_size=4, stride=4)
        self.norm = nn.LayerNorm(dim)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, ⌈H/4⌉, ⌈W/4⌉, dim)."""
        _, _, h, w = x.shape
        x = self.proj(F.pad(x, (0, -w % 4, 0, -h % 4)))
        out: Tensor = self.norm(x.permute(0, 2, 3, 1))
        return out


class SwinTransformer(nn.Module):
    """Image to four feature maps at strides 4, 8, 16 and 32."""

    def __init__(self, size: SwinSize) -> None:
        super().__init__()
        self.channels = [size.width * 2**i for i in range(4)]
        self.patch_embed = PatchEmbed(size.width)
        self.layers = nn.ModuleList(
            SwinStage(self.channels[i], size.depths[i], size.heads[i], size.window, last=i == 3) for i in range(4)
        )
        for i, channels in enumerate(self.channels):
            self.add_module(f"norm{i}", nn.LayerNorm(channels))

    def forward(self, x: Tensor) -> Sequence[Tensor]:
        """(N, 3, H, W) -> four maps (N, channels[i], H/2^(i+2), W/2^(i+2))."""
        tokens = self.patch_embed(x)
        maps = []
        for i, stage in enumerate(self.layers):
            out, tokens = stage(tokens)
            maps.append(self.get_submodule(f"norm{i}")(out).permute(0, 3, 1, 2).contiguous())
        return maps
