"""Pictures to the network's pixels and alpha to the picture's size, in torch, on a device.

The filters are those of `PictureScaler` and `enlarge_alpha`, so that the network sees the same pixels on every device.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from birefvideo.matting.upsample_alpha import FLATNESS, RADIUS

Planes = Sequence[Tensor]
"""Luma and the two chroma planes, each (N, rows, columns) of codes, uint8 or int16."""
Size = tuple[int, int]
"""(width, height)."""

_LEFT = 0.25
"""MPEG puts chroma on the even columns of luma, a quarter of a chroma column left of the middle (H.264, figure 6-1)."""


def triangle(inputs: int, outputs: int, offset: float = 0.0) -> NDArray[np.float64]:
    """Return weights (outputs, inputs) of bilinear scaling, widened where an axis shrinks; edges repeat outwards.

    `offset` moves the samples taken to the right, in input steps. Source: swscale's bilinear filter.
    """
    step = inputs / outputs
    support = max(step, 1.0)
    centres = (np.arange(outputs) + 0.5) * step - 0.5 + offset
    reach = int(np.ceil(support)) + 1
    taps = np.arange(-reach, inputs + reach)
    weights = np.clip(1 - np.abs(taps - centres[:, None]) / support, 0, None)
    inside = weights[:, reach : reach + inputs]
    inside[:, 0] += weights[:, :reach].sum(1)
    inside[:, -1] += weights[:, reach + inputs :].sum(1)
    return np.asarray(inside / inside.sum(1, keepdims=True))


def area(inputs: int, outputs: int) -> NDArray[np.float64]:
    """Return weights (outputs, inputs) of the mean over areas where an axis shrinks, else of bilinear scaling."""
    if inputs <= outputs:
        return triangle(inputs, outputs)
    edges = np.arange(outputs + 1) * (inputs / outputs)
    pixels = np.arange(inputs)
    overlap = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    weights = np.clip(overlap, 0, None)
    return np.asarray(weights / weights.sum(1, keepdims=True))


class _Axis:
    """One axis of a scaling as an embedding bag: each output row is a weighted sum of the few inputs that count.

    As a product with the whole matrix, a 1080p frame would take 17 GFLOP in fp32, which is no less than the network
    takes on some cards; this takes one pass over memory.
    """

    def __init__(self, weights: NDArray[np.float64], device: torch.device) -> None:
        self._inputs = weights.shape[1]
        first = (weights > 0).argmax(1)
        last = self._inputs - (weights[:, ::-1] > 0).argmax(1)
        taps = int((last - first).max())
        index = np.minimum(first, self._inputs - taps)[:, None] + np.arange(taps)
        self._index = torch.tensor(index, dtype=torch.int32, device=device)
        self._weights = torch.tensor(np.take_along_axis(weights, index, 1), dtype=torch.float32, device=device)

    def __call__(self, planes: Tensor) -> Tensor:
        """Scale (N, inputs, M), contiguous float32, to (N, outputs, M)."""
        count, _, columns = planes.shape
        images = torch.arange(count, dtype=torch.int32, device=planes.device) * self._inputs
        index = (images.view(-1, 1, 1) + self._index).flatten(0, 1)
        weights = self._weights.repeat(count, 1)
        rows = F.embedding_bag(index, planes.view(-1, columns), mode="sum", per_sample_weights=weights)
        return rows.view(count, -1, columns)


class Resampler:
    """Scales planes (N, rows, columns) to another size, by weights for each axis, on `device` and in float32."""

    def __init__(self, down: NDArray[np.float64], across: NDArray[np.float64], device: torch.device) -> None:
        self._down = _Axis(down, device)
        self._across = _Axis(across, device)

    def __call__(self, planes: Tensor) -> Tensor:
        """Scale (N, rows, columns) float32 to the new size."""
        return self._across(self._down(planes).transpose(1, 2).contiguous()).transpose(1, 2)


class PictureScaling:
    """Turns the planes of pictures of one size into RGB at the network's, and the network's alpha into alpha at theirs.

    All tensors lie on one device. `shapes` are the (rows, columns) of the three planes, `bits` those of a sample.
    """

    def __init__(self, shapes: Sequence[tuple[int, int]], bits: int, size: Size, device: torch.device) -> None:
        self.device = device
        (height, width), chroma = shapes[0], shapes[1]
        columns, rows = size
        self._shape = (height, width)
        self._enlarges = width > columns and height > rows
        self._unit = 1 / ((1 << bits) - 1)
        self._to_8_bits = 1 / (1 << (bits - 8))
        offset = _LEFT if chroma[1] < width else 0.0
        self._luma = Resampler(triangle(height, rows), triangle(width, columns), device)
        self._chroma = Resampler(triangle(chroma[0], rows), triangle(chroma[1], columns, offset), device)
        if self._enlarges:
            self._guide = Resampler(area(height, rows), area(width, columns), device)
        else:
            self._resize = Resampler(area(rows, height), area(columns, width), device)

    def rgb(self, planes: Planes, colour: Tensor) -> Tensor:
        """Convert planes by affine maps to RGB, (N, 3, 4) float32 -> (N, 3, h, w) float32 of whole codes, 0 to 255."""
        luma, *chroma = (plane.to(torch.float32) for plane in planes)
        scaled = torch.stack([self._luma(luma), *map(self._chroma, chroma)], 1)
        # Rounded where the host rounds: of 8-bit pictures 96 % of the samples are then the host's.
        codes = scaled.mul_(self._to_8_bits).round_().clamp_(0, 255).flatten(2)
        rgb = torch.baddbmm(colour[:, :, 3:], colour[:, :, :3], codes).round_().clamp_(0, 255)
        return rgb.view(len(rgb), 3, *scaled.shape[2:])

    def enlarged(self, alpha: Tensor, luma: Tensor) -> Tensor:
        """Enlarge alpha (N, h, w) float32 by luma codes -> alpha (N, height, width) float32; see `enlarge_alpha`."""
        if not self._enlarges:
            return self._resize(alpha).clamp_(0, 1)
        luma = luma.to(torch.float32)
        guide = self._guide(luma).round_().mul_(self._unit)  # whole codes, as OpenCV's
        slope = _slope(guide, alpha)
        both = torch.stack([slope, alpha - slope * guide], 1)
        slope, rest = F.interpolate(both, size=self._shape, mode="bilinear", align_corners=False).unbind(1)
        return torch.addcmul(rest, slope, luma, value=self._unit).clamp_(0, 1)


def _slope(guide: Tensor, alpha: Tensor) -> Tensor:
    """Return how alpha changes with the guide around each pixel, least squares over its window: (N, h, w)."""
    window = 2 * RADIUS + 1
    products = torch.stack([guide, alpha, guide * guide, guide * alpha], 1)
    # Repeating the edge is OpenCV's reflection for a radius of one pixel.
    means = F.avg_pool2d(F.pad(products, [RADIUS] * 4, mode="replicate"), window, stride=1)
    guide, mean, squares, product = means.unbind(1)
    highest, lowest = (F.max_pool2d(x, window, stride=1, padding=RADIUS) for x in (alpha, -alpha))
    # Rounding must not give constant alpha a slope.
    covariance = (product - guide * mean).masked_fill_(highest == -lowest, 0)
    return covariance / (squares - guide * guide + FLATNESS)
