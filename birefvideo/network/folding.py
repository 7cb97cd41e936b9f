"""Convolutions that absorb the linear layers next to them, exactly up to rounding.

Everything here runs once, when a network is fused, except `TwoConvs.forward` and `upsampled_conv`.
"""

from __future__ import annotations

import copy
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from birefvideo.network.fft_conv import WideConv2d


def fold_norm(conv: nn.Module, norm: nn.Module) -> nn.Conv2d:
    """Return a convolution that equals `norm(conv(x))` in eval mode, for any geometry of the convolution.

    A batch norm at inference is y·s + t per channel, s = γ/√(σ²+ε) and t = β − μ·s: s scales the filters.
    """
    assert isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)
    scale, shift = norm_scale(norm)
    bias = shift if conv.bias is None else shift + conv.bias * scale
    return conv_like(conv.weight * scale.view(-1, 1, 1, 1), bias, conv)


def norm_scale(norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Return the scale and shift, each (channels,), that a batch norm applies in eval mode."""
    assert norm.running_mean is not None and norm.running_var is not None
    scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    return scale, norm.bias - norm.running_mean * scale


def conv_like(weight: Tensor, bias: Tensor | None, like: nn.Conv2d | None = None) -> nn.Conv2d:
    """Make a frozen convolution with these weights (O, I, kh, kw), and the stride, padding and dilation of `like`.

    Without `like`: stride 1, one group and the padding that keeps the size. I is the inputs of one group.
    """
    outputs, inputs, *kernel = weight.shape
    size = (kernel[0], kernel[1])
    # On "meta" first: no memory, and no random numbers drawn for weights that are replaced at once.
    groups = like.groups if like is not None else 1
    padding = (size[0] // 2, size[1] // 2)
    conv = nn.Conv2d(inputs * groups, outputs, size, padding=padding, groups=groups, device="meta")
    if like is not None:
        conv.stride, conv.padding, conv.dilation = like.stride, like.padding, like.dilation
    conv.weight = frozen(weight.contiguous(memory_format=torch.channels_last))
    conv.bias = None if bias is None else frozen(bias)
    return conv


def frozen(tensor: Tensor) -> nn.Parameter:
    """Copy a tensor into a parameter that needs no gradient."""
    return nn.Parameter(tensor.detach().clone(), requires_grad=False)


def after_pointwise(conv: Tensor, pointwise: Tensor) -> Tensor:
    """Return the filters of `conv(pointwise(x))`: (O, M, kh, kw) and (M, I) -> (O, I, kh, kw)."""
    return torch.einsum("omyx,mi->oiyx", conv, pointwise)


def before_pointwise(pointwise: Tensor, conv: Tensor) -> Tensor:
    """Return the filters of `pointwise(conv(x))`: (O, M) and (M, I, kh, kw) -> (O, I, kh, kw)."""
    return torch.einsum("om,miyx->oiyx", pointwise, conv)


def taps_of(weight: Tensor) -> Tensor:
    """Return the nine taps of a 3×3 convolution (O, I, 3, 3), each as a pointwise map: (9·O, I), tap-major."""
    return weight.permute(2, 3, 0, 1).reshape(-1, weight.shape[1])


class TwoConvs(nn.Module):
    """Two zero-padded 3×3 convolutions with nothing between them, as one of 5×5 and a correction of the border.

    The 5×5 filters are the full convolution of both. They also include what the first convolution would give one
    pixel *outside* the image, where the second one sees zero padding. Those values reach only the outermost ring of
    the result, so they are computed along the four sides, where most taps read padding, and subtracted. This saves
    work whenever 25·I·O < 9·M·(I+O); the map of M channels is never computed.
    """

    def __init__(self, first: nn.Conv2d, second: nn.Conv2d) -> None:
        super().__init__()
        v, w = first.weight, second.weight
        # Full convolution over space, matrix product over channels: flip one, correlate with padding 2.
        both = F.conv2d(v.transpose(0, 1).flip(2, 3).contiguous(), w, padding=2)
        bias = w.sum((2, 3)) @ bias_of(first) + bias_of(second)
        conv = conv_like(both.transpose(0, 1).flip(2, 3), bias)
        # With a handful of channels the transforms would cost more than the products that they save.
        many = conv.in_channels * conv.out_channels >= 1024
        self.conv: nn.Module = WideConv2d(conv) if many else conv
        # Side by side for top, bottom, left, right: only this tap row (column) reaches over the edge, and back.
        self.out = nn.ParameterList(frozen(t) for t in (v[:, :, 2], v[:, :, 0], v[..., 2], v[..., 0]))
        self.back = nn.ParameterList(frozen(t) for t in (w[:, :, 0], w[:, :, 2], w[..., 0], w[..., 2]))
        self.bias = frozen(bias_of(first))

    def forward(self, x: Tensor) -> Tensor:
        """(N, I, H, W) -> (N, O, H, W)."""
        y: Tensor = self.conv(x)
        # The rows own the corners of the ring: their strips are two longer than the image is wide.
        y[:, :, 0] -= self._beyond(0, x[:, :, 0], corners=True)
        y[:, :, -1] -= self._beyond(1, x[:, :, -1], corners=True)
        y[..., 0] -= self._beyond(2, x[..., 0], corners=False)
        y[..., -1] -= self._beyond(3, x[..., -1], corners=False)
        return y

    def _beyond(self, side: int, edge: Tensor, corners: bool) -> Tensor:
        ring = F.conv1d(edge, self.out[side], self.bias, padding=2 if corners else 1)
        return F.conv1d(ring, self.back[side], padding=0 if corners else 1)


def bias_of(conv: nn.Conv2d) -> Tensor:
    """Return a convolution's bias (O,), or zeros if it has none."""
    return conv.weight.new_zeros(conv.weight.shape[0]) if conv.bias is None else conv.bias


def joined(first: nn.Conv2d, second: nn.Conv2d) -> nn.Module:
    """Return `second(first(x))` in the form with fewer multiplications: two 3×3 convolutions or one 5×5."""
    inputs, width, outputs = first.in_channels, first.out_channels, second.out_channels
    if 25 * inputs * outputs < 9 * width * (inputs + outputs):
        return TwoConvs(first, second)
    return nn.Sequential(first, second)


def _lerp(positions: Tensor, size: int) -> tuple[Tensor, Tensor]:
    low = positions.floor().clamp(0, max(size - 2, 0))
    share = positions - low
    index = torch.stack((low, (low + 1).clamp(max=size - 1)), dim=-1).long()
    return index, torch.stack((1 - share, share), dim=-1)


def _tap_sources(size: int, target: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Find where a 3-tap filter over an upsampled axis reads the axis before the upsampling.

    Returns an index into the axis interleaved with taps (target, 6) and weights (target, 6): tap t of output i
    reads upsampled position i + t − 1, which mixes two source positions, or nothing beyond the ends.
    """
    at = torch.arange(target, device=device).unsqueeze(1) + torch.arange(-1, 2, device=device)
    inside = (at >= 0) & (at < target)
    scale = (size - 1) / (target - 1) if target > 1 else 0.0
    index, weight = _lerp(at.clamp(0, target - 1) * scale, size)
    index = index * 3 + torch.arange(3, device=device).view(1, 3, 1)
    return index.flatten(1), (weight * inside.unsqueeze(-1)).flatten(1)


def upsampled_conv(taps: Tensor, size: tuple[int, int]) -> Tensor:
    """Convolve an upsampled map by 3×3, from the taps applied before the upsampling.

    Bilinear upsampling (aligned corners) acts on each channel alone, so it can follow the pointwise map of
    a tap: conv(up(x))[p] = Σ_t up(W_t x)[p + t]. The W_t x are made at the small size, a quarter of the
    pixels; then every output row is a weighted sum of six (tap, row) pairs, and every pixel of six columns.

    Args:
        taps: (N, h, w, 9·C), tap-major (y, x), the products W_t x.
        size: (H, W) of the result.

    Returns (N, C, H, W), channels-last.
    """
    n, h, w, channels = taps.shape
    channels //= 9
    height, width = size
    row, row_weight = _tap_sources(h, height, taps.device)
    # Rows are (image, y, x, ty), each holding the three tx; y and ty are mixed away.
    index = (torch.div(row, 3, rounding_mode="floor") * (3 * w) + row % 3).unsqueeze(1)
    index = index + 3 * torch.arange(w, device=taps.device).view(1, w, 1)
    tall = _bags(taps.reshape(n, -1, 3 * channels), index, row_weight.unsqueeze(1).expand_as(index))
    column, column_weight = _tap_sources(w, width, taps.device)
    index = column + 3 * w * torch.arange(height, device=taps.device).view(height, 1, 1)
    full = _bags(tall.reshape(n, -1, channels), index, column_weight.unsqueeze(0).expand_as(index))
    return full.view(n, height, width, channels).permute(0, 3, 1, 2)


def _bags(rows: Tensor, index: Tensor, weight: Tensor) -> Tensor:
    """Compute weighted sums of rows: (N, R, C), (a, b, k) and weights alike -> (N, a·b, C)."""
    index = index.reshape(-1, index.shape[-1]).int()
    weight = weight.reshape(index.shape).to(rows.dtype)
    return torch.stack([F.embedding_bag(index, r, mode="sum", per_sample_weights=weight) for r in rows])


_NORMED = (("conv_in", "bn_in"), ("conv_out", "bn_out"), ("conv1", "bn1"), ("conv2", "bn2"), ("atrous_conv", "bn"))
"""Attribute names in the plain network of a convolution and the norm that is applied to it."""


def without_norms(module: nn.Module) -> nn.Module:
    """Copy a module in eval mode, with every batch norm that follows a convolution folded into it."""
    module = copy.deepcopy(module).eval().requires_grad_(False)
    for part in list(module.modules()):
        names = [n for n, _ in part.named_children()] if isinstance(part, nn.Sequential) else []
        for conv, norm in (*_NORMED, *pairwise(names)):
            before, after = getattr(part, conv, None), getattr(part, norm, None)
            if isinstance(before, nn.Conv2d) and isinstance(after, nn.BatchNorm2d):
                setattr(part, conv, fold_norm(before, after))
                setattr(part, norm, nn.Identity())
    return module
