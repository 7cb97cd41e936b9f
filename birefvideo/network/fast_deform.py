"""Deformable ASPP for inference: sampling as an embedding bag, in bands of pixels that stay in cache."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from birefvideo.network.birefnet import AsppBranch, AsppDeformable
from birefvideo.network.deform import DeformableConv2d
from birefvideo.network.fft_conv import FftConv2d, transforms_pay
from birefvideo.network.folding import bias_of, fold_norm, frozen, norm_scale

BAND_PIXELS = 1024
"""Pixels sampled at a time on a CPU: 60 taps of 64 channels are 8 MB in bf16, which the outer caches hold."""
WIDE_BAND_PIXELS = 16384
"""The same on other devices, which need many pixels at once: 126 MB."""


def bilinear_corners(
    y: Tensor, x: Tensor, modulation: Tensor, size: tuple[int, int], dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """Return what bilinear sampling reads: four rows of a table of pixels, and their weights.

    The table is the map with a frame of zeros, one pixel above and left and two below and right. A position is
    first clamped to one pixel outside, where it reads only zeros. So any finite or infinite position is in the
    table, and no corner needs a check of its own.

    Args:
        y, x: positions in pixels of the map (…), fp32. Overwritten.
        modulation: factor of each sample, same shape, fp32.
        size: (H, W) of the map.
        dtype: of the weights.

    Returns indices (…, 4) int32 into the table of (H + 3)·(W + 3) rows, and weights (…, 4).
    """
    height, width = size
    pitch = width + 3
    y.clamp_(-1, height)
    x.clamp_(-1, width)
    top, left = y.floor(), x.floor()
    y -= top
    x -= left
    first = torch.add(left, top, alpha=pitch).add_(pitch + 1).to(torch.int32)
    # NaN converts to an arbitrary index, which must still be inside the table. The weights carry the NaN on.
    first.clamp_(0, (height + 1) * pitch + width + 1)
    index = torch.stack((first, first + 1, first + pitch, first + (pitch + 1)), dim=-1)
    lower = modulation * y
    upper = modulation - lower
    upper_right, lower_right = upper * x, lower * x
    # Complex numbers put left beside right twice as fast as stacking four tensors would.
    pairs = (torch.complex(upper - upper_right, upper_right), torch.complex(lower - lower_right, lower_right))
    weight = torch.view_as_real(torch.stack(pairs, dim=-1)).flatten(-2)
    return index, weight.to(dtype)


def pixel_table(x: Tensor) -> Tensor:
    """Lay out a map (C, H, W) as rows of a table with a frame of zeros: ((H + 3)·(W + 3), C)."""
    return F.pad(x.permute(1, 2, 0), (0, 0, 1, 2, 1, 2)).flatten(0, 1)


class _Predictor(nn.Module):
    """Offsets and modulation of all taps of several deformable convolutions on the same map."""

    def __init__(self, convs: Sequence[DeformableConv2d]) -> None:
        super().__init__()
        self.sizes = [conv.kernel_size for conv in convs]
        self.taps = sum(size * size for size in self.sizes)
        self.reach = max(self.sizes) // 2
        # Per convolution, channels go tap by tap as (y, x) pairs and then the modulation: sorted to y, x, m.
        self.weights = nn.ParameterList(frozen(_sorted(c, "weight")) for c in convs)
        self.biases = nn.ParameterList(frozen(_sorted(c, "bias")) for c in convs)
        self.spectral = FftConv2d(*self.widest())

    def widest(self) -> tuple[Tensor, Tensor]:
        """Return filters and biases of one convolution that predicts all: first y of all taps, then x, modulation."""
        widened = [F.pad(w, (self.reach - s // 2,) * 4) for w, s in zip(self.weights, self.sizes, strict=True)]
        return _by_kind(widened), _by_kind(list(self.biases))

    def bands(self, x: Tensor) -> Iterator[tuple[int, Tensor]]:
        """One image (C, H, W) -> pairs of a first row and (3, rows, W, taps) fp32: y, x, modulation's logit."""
        if transforms_pay(x):
            for row, values in self.spectral.bands(x):
                yield row, values.reshape(3, self.taps, *values.shape[1:]).permute(0, 2, 3, 1).contiguous()
            return
        parts = []
        for size, weight, bias in zip(self.sizes, self.weights, self.biases, strict=True):
            values = F.conv2d(x.unsqueeze(0), weight, bias, padding=size // 2)[0]
            parts.append(values.reshape(3, size * size, *values.shape[1:]).permute(0, 2, 3, 1))
        yield 0, torch.cat(parts, dim=-1).float()

    def grid(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Where each tap sits around its pixel without an offset: dy and dx, (taps,) fp32."""
        axes = [torch.arange(size, device=device, dtype=torch.float32) - size // 2 for size in self.sizes]
        dy = torch.cat([axis.repeat_interleave(len(axis)) for axis in axes])
        return dy, torch.cat([axis.repeat(len(axis)) for axis in axes])


def _sorted(conv: DeformableConv2d, name: str) -> Tensor:
    offsets, modulation = getattr(conv.offset_conv, name), getattr(conv.modulator_conv, name)
    return torch.cat((offsets[0::2], offsets[1::2], modulation))


def _by_kind(tensors: list[Tensor]) -> Tensor:
    return torch.cat([t.reshape(3, -1, *t.shape[1:]) for t in tensors], dim=1).flatten(0, 1)


class FastAsppDeformable(nn.Module):
    """`AsppDeformable` in eval mode, the same result up to rounding.

    All taps of all branches are sampled at once into a matrix (pixels, taps·C); a branch is a matrix product on
    its columns. Norms are folded. The branch of the global mean is the same at every pixel, so it enters as
    the bias of the projection. Each band of pixels runs through all steps before the next, so neither the samples
    nor the branches ever exist for the whole map.
    """

    def __init__(self, aspp: AsppDeformable) -> None:
        super().__init__()
        branches = [aspp.aspp1, *aspp.aspp_deforms]
        convs = [_deformable(branch) for branch in branches]
        self.predictor = _Predictor(convs)
        scales, shifts = zip(*(norm_scale(branch.bn) for branch in branches), strict=True)
        # The modulation is 2·sigmoid; the 2 goes into the filters.
        filters = [2 * s.view(-1, 1, 1, 1) * c.regular_conv.weight for s, c in zip(scales, convs, strict=True)]
        self.filters = nn.ParameterList(frozen(f.permute(0, 2, 3, 1).flatten(1)) for f in filters)
        self.shifts = nn.ParameterList(frozen(s) for s in shifts)
        project = fold_norm(aspp.conv1, aspp.bn1)
        width = sum(len(s) for s in self.shifts)
        self.project = frozen(project.weight[:, :width, 0, 0])
        self.mean_project = frozen(project.weight[:, width:, 0, 0])
        self.project_bias = frozen(bias_of(project))
        pooled = fold_norm(aspp.global_avg_pool[1], aspp.global_avg_pool[2])
        self.mean = frozen(pooled.weight[:, :, 0, 0])
        self.mean_bias = frozen(bias_of(pooled))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> same, channels-last."""
        biases = self.pooled(x)
        images = [torch.cat(list(self._bands(image, bias))) for image, bias in zip(x, biases, strict=True)]
        out = torch.stack(images) if len(images) > 1 else images[0].unsqueeze(0)
        return out.view(len(x), *x.shape[-2:], -1).permute(0, 3, 1, 2)

    def pooled(self, x: Tensor) -> Tensor:
        """Return the projection's bias, with what the branch of the global mean of `x` adds to it: (N, C)."""
        means = F.relu(F.linear(x.mean((2, 3)), self.mean, self.mean_bias))
        return F.linear(means, self.mean_project, self.project_bias)

    def _bands(self, image: Tensor, bias: Tensor) -> Iterator[Tensor]:
        """One image (C, H, W) -> its result, (pixels, C), a few rows at a time."""
        _, height, width = image.shape
        table = pixel_table(image)
        dy, dx = self.predictor.grid(image.device)
        columns = torch.arange(width, device=image.device).view(1, -1, 1) + dx
        step = max(1, (BAND_PIXELS if image.device.type == "cpu" else WIDE_BAND_PIXELS) // width)
        for start, predicted in self.predictor.bands(image):
            for first in range(0, predicted.shape[1], step):
                y, x, modulation = predicted[:, first : first + step]
                rows = torch.arange(y.shape[0], device=image.device).view(-1, 1, 1) + (start + first + dy)
                corners = bilinear_corners(y + rows, x + columns, modulation.sigmoid(), (height, width), table.dtype)
                yield self._mix(table, *corners, bias)

    def _mix(self, table: Tensor, index: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """Table and corners (rows, W, taps, 4) -> the ASPP's result at these pixels, (rows·W, C)."""
        samples = F.embedding_bag(index.view(-1, 4), table, mode="sum", per_sample_weights=weight.view(-1, 4))
        samples = samples.view(-1, self.predictor.taps * table.shape[1])
        branches = []
        used = 0
        for filters, shift in zip(self.filters, self.shifts, strict=True):
            columns = samples[:, used : used + filters.shape[1]]
            branches.append(F.relu_(F.linear(columns, filters, shift)))
            used += filters.shape[1]
        return F.relu_(F.linear(torch.cat(branches, dim=1), self.project, bias))


def _deformable(branch: nn.Module) -> DeformableConv2d:
    assert isinstance(branch, AsppBranch) and isinstance(branch.atrous_conv, DeformableConv2d)
    return branch.atrous_conv
