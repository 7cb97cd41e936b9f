"""A picture's own background out of focus: without the subject, and blurred as a lens blurs, in linear light."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from birefvideo.colour import Colour, code_scale, codes_to_rgb, rgb_to_normal
from birefvideo.frames import Alpha
from birefvideo.media.writing.rgb_frames import LEAST, MOST, linear_table
from birefvideo.planes import Codes, resized

_FINE = 8
"""Radius from which on the blur is computed on cells of several pixels; in cells it stays above half of this."""
_DECIDED = 8
"""One over the alpha from which on a pixel shows too much of the subject to count, with its neighbours."""
_FAINT = 1e-3
"""Share of a disc that shows background below which the mean of all background is mixed in."""
_STEPS = 65535 / (MOST - LEAST)


def out_of_focus(planes: Sequence[Codes], alpha: Alpha, radius: float, colour: Colour) -> list[Codes]:
    """Return the planes of a picture whose background alone is seen, through discs of `radius` pixels.

    Each disc averages what it sees of the background, so the subject's colour does not bleed into it.

    Args:
        planes: 8-bit 4:2:0, in the codes of `colour`.
        alpha: float32 (height, width) in [0, 1], as large as the luma plane.
        radius: of the disc, in pixels.
        colour: BT.709 or BT.601.
    """
    height, width = planes[0].shape
    factor = max(1, 2 * int(radius / _FINE))
    below, right = height % 2, width % 2  # so that a cell of chroma has four pixels of luma everywhere
    luma, alpha = (cv2.copyMakeBorder(each, 0, below, 0, right, cv2.BORDER_REPLICATE) for each in (planes[0], alpha))
    light = _light([luma, *planes[1:]], colour, at_chroma_size=factor > 1)
    clear = cv2.erode(np.clip(1 - _DECIDED * alpha, 0, 1), np.ones((3, 3), np.uint8))
    shows = cv2.resize(clear, light.shape[1::-1], interpolation=cv2.INTER_AREA)
    cells = (-(-luma.shape[1] // factor), -(-luma.shape[0] // factor))
    seen = np.dstack([light * shows[..., None], shows])
    seen = cv2.resize(seen, cells, interpolation=cv2.INTER_AREA)
    mean = seen[..., :3].sum((0, 1)) / seen[..., 3].sum() if shows.any() else light.mean((0, 1))
    blurred = cv2.filter2D(seen, -1, _disc(radius / factor), borderType=cv2.BORDER_CONSTANT)
    behind = (blurred[..., :3] + np.float32(_FAINT) * mean) / (blurred[..., 3:] + np.float32(_FAINT))
    sizes = [each.shape[::-1] for each in (luma, *planes[1:])]
    full = [
        cv2.resize(codes, size, interpolation=cv2.INTER_LINEAR).round().clip(0, 255).astype(np.uint8)
        for codes, size in zip(cv2.split(_codes(behind, colour)), sizes, strict=True)
    ]
    return [full[0][:height, :width], *full[1:]]


def _light(planes: Sequence[Codes], colour: Colour, *, at_chroma_size: bool) -> NDArray[Any]:
    """Return linear light, float32 (height, width, 3), at the size of the luma or the chroma planes."""
    size = planes[1 if at_chroma_size else 0].shape[::-1]
    codes = cv2.merge([resized(plane, size) for plane in planes]).astype(np.float32)
    places = cv2.transform(codes, codes_to_rgb(colour.matrix, colour.range, 8, _STEPS)) - np.float32(LEAST * _STEPS)
    light: NDArray[Any] = linear_table(colour.transfer)[places.round().clip(0, 65535).astype(np.uint16)]
    return light


def _codes(light: NDArray[Any], colour: Colour) -> NDArray[Any]:
    """Return Y, U and V codes, float32 (height, width, 3), of linear light."""
    table = linear_table(colour.transfer)
    signal = np.interp(light, table, np.linspace(LEAST, MOST, len(table))).astype(np.float32)
    scale, offset = code_scale(colour.range, 8)
    gains = scale[:, None] * rgb_to_normal(colour.matrix)
    codes: NDArray[Any] = cv2.transform(signal, np.column_stack([gains, offset]))
    return codes


def _disc(radius: float) -> NDArray[np.float32]:
    """Return the weights of a disc: cells count by how far its border takes them in."""
    reach = int(np.ceil(radius))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    weights: NDArray[np.float64] = np.clip(radius + 0.5 - np.hypot(x, y), 0, 1)
    whole: float = weights.sum()
    return (weights / whole).astype(np.float32)
