"""From planar YUV 4:4:4 and alpha to R'G'B'A codes, for outputs that are RGB."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from birefvideo.colour import LINEAR, Colour, rgb_colour, tag
from birefvideo.frames import Alpha
from birefvideo.rgb import to_rgb

LEAST, MOST = -0.125, 1.25
"""R'G'B' that the table of a curve reaches from and to: limited-range codes end at -0.07 and 1.09."""
_DIFFUSE_WHITE = 203.0
"""cd/m² of what is 1.0 in linear light made from PQ (ITU-R BT.2408)."""

_ORDER = {"argb": "argb", "bgra": "bgra", "rgba": "rgba", "rgba64be": "rgba", "rgba64le": "rgba"}
"""The channels of each packed format, as they lie in memory."""


def packed(
    foreground: av.VideoFrame, alpha: Alpha, source: Colour, pix_fmt: str, *, premultiplied: bool = False
) -> av.VideoFrame:
    """Return foreground and alpha as a packed R'G'B'A frame of 8 or 16 bits a channel, rounded to the nearest code.

    Args:
        foreground: planar 4:4:4 in the codes of `source`.
        alpha: float32 (height, width) in [0, 1].
        source: colour of `foreground`.
        pix_fmt: argb, bgra, rgba, rgba64be or rgba64le.
        premultiplied: multiply the codes by alpha, as editors do.
    """
    dtype = np.dtype({"rgba64be": ">u2", "rgba64le": "<u2"}.get(pix_fmt, "u1"))
    peak = 65535.0 if dtype.itemsize == 2 else 255.0
    rgb = np.clip(to_rgb(foreground, source, peak), 0, peak)
    if premultiplied:
        rgb *= alpha[..., None]
    channels = {**dict(zip("rgb", cv2.split(rgb), strict=True)), "a": alpha * np.float32(peak)}
    height, width = alpha.shape
    frame = av.VideoFrame(width, height, pix_fmt)
    plane = frame.planes[0]
    strides = (plane.line_size, 4 * dtype.itemsize, dtype.itemsize)
    view: NDArray[Any] = np.ndarray((height, width, 4), dtype, memoryview(plane), strides=strides)
    view[:] = np.rint(cv2.merge([channels[name] for name in _ORDER[pix_fmt]]))
    tag(frame, rgb_colour(source))
    return frame


def linear(foreground: av.VideoFrame, alpha: Alpha, source: Colour) -> av.VideoFrame:
    """Return foreground and alpha as gbrapf32le in linear light, multiplied by alpha, in the source's primaries.

    The curve undone is the camera's (ITU-R BT.709's for BT.601, BT.709 and BT.2020), not a display's, as compositors
    have it. White is 1.0; of PQ it is 203 cd/m², and of HLG the signal of 75 % (BT.2408).

    Args:
        foreground: planar 4:4:4 in the codes of `source`.
        alpha: float32 (height, width) in [0, 1].
        source: colour of `foreground`.
    """
    steps = 65535 / (MOST - LEAST)
    places = to_rgb(foreground, source, steps) - np.float32(LEAST * steps)
    light = linear_table(source.transfer)[np.rint(np.clip(places, 0, 65535)).astype(np.uint16)]
    light *= alpha[..., None]
    height, width = alpha.shape
    frame = av.VideoFrame(width, height, "gbrapf32le")
    for plane, values in zip(frame.planes, (light[..., 1], light[..., 2], light[..., 0], alpha), strict=True):
        view: NDArray[Any] = np.ndarray((height, width), "<f4", memoryview(plane), strides=(plane.line_size, 4))
        view[:] = values
    frame.color_primaries, frame.color_trc = source.primaries, LINEAR
    return frame


@cache
def linear_table(transfer: int) -> NDArray[np.float32]:
    """Linear light, float32 (65536), of R'G'B' from -0.125 to 1.25, by a curve of ITU-T H.273 table 3."""
    signal = np.linspace(LEAST, MOST, 65536)
    light = np.sign(signal) * _CURVES.get(transfer, _camera)(np.abs(signal))
    return light.astype(np.float32)


def _camera(signal: NDArray[np.float64]) -> NDArray[np.float64]:
    """BT.601, BT.709 and BT.2020."""
    scale, knee = 1.09929682680944, 0.018053968510807
    return np.where(signal < 4.5 * knee, signal / 4.5, ((signal + scale - 1) / scale) ** (1 / 0.45))


def _smpte_240m(signal: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(signal < 4 * 0.0228, signal / 4, ((signal + 0.1115) / 1.1115) ** (1 / 0.45))


def _srgb(signal: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(signal < 0.04045, signal / 12.92, ((signal + 0.055) / 1.055) ** 2.4)


def _pq(signal: NDArray[np.float64]) -> NDArray[np.float64]:
    """SMPTE ST 2084, equation 4.1."""
    m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
    power = np.minimum(signal, 1) ** (1 / m2)
    return (np.maximum(power - c1, 0) / (c2 - c3 * power)) ** (1 / m1) * 10000 / _DIFFUSE_WHITE


def _hlg(signal: NDArray[np.float64]) -> NDArray[np.float64]:
    """ITU-R BT.2100 table 5, the inverse of its OETF, with the signal of 75 % at 1."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    light: NDArray[np.float64] = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)
    white: float = (np.exp((0.75 - c) / a) + b) / 12
    scaled: NDArray[np.float64] = light / white
    return scaled


_CURVES: dict[int, Callable[[NDArray[np.float64]], NDArray[np.float64]]] = {
    4: lambda signal: signal**2.2,
    5: lambda signal: signal**2.8,
    7: _smpte_240m,
    8: lambda signal: signal,
    13: _srgb,
    16: _pq,
    18: _hlg,
}
"""Light of a signal in [0, 1.25], by AVColorTransferCharacteristic; the others are `_camera`."""
