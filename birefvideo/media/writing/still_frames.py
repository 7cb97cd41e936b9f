"""From planar YUV 4:4:4 and alpha to the opaque R'G'B' and grey pictures that one photo becomes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from birefvideo.colour import Colour, rgb_colour, tag
from birefvideo.frames import Alpha
from birefvideo.planes import plane_array, to_444
from birefvideo.rgb import to_rgb

RGB = NDArray[Any]
"""R'G'B' in [0, 1], float32: (height, width, 3), or (3,) for one colour."""

_DEEP = frozenset({"rgb48be", "gray16be"})


def opaque(foreground: av.VideoFrame, alpha: Alpha, below: RGB | None, source: Colour, pix_fmt: str) -> av.VideoFrame:
    """Return alpha x foreground + (1 - alpha) x `below` on the codes, rounded to the nearest.

    Args:
        foreground: planar 4:4:4 in the codes of `source`.
        alpha: float32 (height, width) in [0, 1].
        below: what is under it; None leaves the foreground unblended, which fills the picture with its colour.
        source: colour of `foreground`.
        pix_fmt: rgb24 or rgb48be.
    """
    rgb = np.clip(to_rgb(foreground, source, 1.0), 0, 1)
    if below is not None:
        rgb = below + alpha[..., None] * (rgb - below)
    return _frame(rgb, source, pix_fmt)


def matte(alpha: Alpha, source: Colour, pix_fmt: str) -> av.VideoFrame:
    """Return alpha, float32 (height, width) in [0, 1], as gray or gray16be, of full range."""
    return _frame(alpha, source, pix_fmt)


def rgb_of(planes: Sequence[NDArray[Any]], colour: Colour) -> RGB:
    """Return R'G'B' in [0, 1] of 8-bit 4:2:0 planes in the codes of `colour`."""
    height, width = planes[0].shape
    picture = av.VideoFrame(width, height, "yuv420p")
    for index, plane in enumerate(planes):
        plane_array(picture, index)[:] = plane
    rgb: RGB = np.clip(to_rgb(to_444(picture), colour, 1.0), 0, 1)
    return rgb


def _frame(values: NDArray[Any], source: Colour, pix_fmt: str) -> av.VideoFrame:
    peak, dtype = (65535, np.uint16) if pix_fmt in _DEEP else (255, np.uint8)
    codes = np.rint(values * np.float32(peak)).astype(dtype)
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(codes), format=pix_fmt)
    tag(frame, rgb_colour(source))
    return frame
