"""Measures of a picture's surface that need no matte: detail that a smaller network input loses, and a lone object."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

_SEEN_SIDE = 1024
"""Long side in pixels at which most published variants see a picture."""
_LEAST_STEP = 3.0
"""Strength of what is just coarse enough to be seen (of 255, in a small window) from which there is an edge."""
_MOST_SIDE = 2048
"""Rows and columns of a picture that are looked at for detail, which bounds the memory."""
_WINDOW = 9
"""Side of that window, in source pixels."""
_PLAIN = 6.0
"""Spread of the border's colours (CIE76, 90th percentile) up to which it is plain."""
_APART = 2.0
"""How many times further than the border's own colours something must be to count as an object."""
_LEAST_OBJECT, _MOST_OBJECT = 0.01, 0.7
"""Shares of the picture between which an object lies."""


def lost_detail(rgb: NDArray[np.uint8], where: NDArray[np.bool_] | None = None) -> float:
    """Return the share of the detail at edges that a picture of 1024 pixels cannot hold.

    What flat parts lose, which is noise and what a codec made of it, is taken off. An enlarged picture loses next to
    nothing, however many pixels it has, nor does one of up to 1024 pixels.

    Args:
        rgb: uint8 (height, width, 3).
        where: the part to look at; None: all of it.
    """
    height, width = rgb.shape[:2]
    longest = max(height, width)
    if longest <= _SEEN_SIDE:
        return 0.0
    part = _window(where, rgb.shape[:2])
    rgb, where = rgb[part], where if where is None else where[part]
    luma = np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), np.float32)
    fine, coarse = _bands(luma, _SEEN_SIDE / 2 / longest)
    lost, kept = (cv2.blur(band * band, (_WINDOW, _WINDOW)) for band in (fine, coarse))
    inner = np.zeros_like(lost, bool)
    inner[_WINDOW:-_WINDOW, _WINDOW:-_WINDOW] = True
    steps = (kept > _LEAST_STEP**2) & inner
    if where is not None:
        steps &= where
    if steps.sum() < 0.001 * steps.size:
        return 0.0
    flat = (kept <= np.median(kept)) & inner
    real = max(0.0, float(lost[steps].mean()) - float(lost[flat].mean()))
    return float(np.sqrt(real / float(kept[steps].mean())))


def _window(where: NDArray[np.bool_] | None, shape: tuple[int, ...]) -> tuple[slice, slice]:
    """Return the part of a large picture that is looked at: around the middle of what is asked for."""
    slices = []
    for axis, length in enumerate(shape):
        inside = np.arange(length) if where is None else np.flatnonzero(where.any(axis=1 - axis))
        middle = (int(inside[0]) + int(inside[-1])) // 2 if len(inside) else length // 2
        first = max(0, min(middle - _MOST_SIDE // 2, length - _MOST_SIDE))
        slices.append(slice(first, first + _MOST_SIDE))
    return slices[0], slices[1]


def _bands(luma: NDArray[np.float32], cutoff: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return what lies above a frequency (cycles a pixel), and what lies in the octave below it."""
    pad = 32
    padded = cv2.copyMakeBorder(luma, pad, pad, pad, pad, cv2.BORDER_REFLECT_101)
    height, width = padded.shape
    spectrum = np.fft.rfft2(padded)
    across = np.fft.rfftfreq(width).astype(np.float32)[None]
    distance = np.hypot(np.fft.fftfreq(height).astype(np.float32)[:, None], across) / np.float32(cutoff)
    bands = []
    for mask in (distance >= 1, (distance >= 0.5) & (distance < 1)):
        band = np.fft.irfft2(spectrum * mask, s=padded.shape)
        bands.append(np.asarray(band[pad:-pad, pad:-pad], np.float32))
    return bands[0], bands[1]


def lone_object(lab: NDArray[np.float32]) -> tuple[float, float]:
    """Return the share of a picture that stands out from a plain border, and by how much (CIE76); else zeros.

    Args:
        lab: L*a*b*, float32 (height, width, 3).
    """
    height, width = lab.shape[:2]
    rim = max(2, round(0.04 * min(height, width)))
    smooth = cv2.GaussianBlur(lab, (0, 0), 1.5)
    border = np.concatenate(
        [part.reshape(-1, 3) for part in (smooth[:rim], smooth[-rim:], smooth[:, :rim], smooth[:, -rim:])]
    )
    ground = np.median(border, axis=0)
    spread = float(np.percentile(np.linalg.norm(border - ground, axis=1), 90))
    if spread > _PLAIN:
        return 0.0, 0.0
    distance = np.linalg.norm(smooth - ground, axis=2)
    apart = (distance > max(4.0, _APART * spread)).astype(np.uint8)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(cv2.morphologyEx(apart, cv2.MORPH_OPEN, np.ones((5, 5))))
    if len(stats) < 2:
        return 0.0, 0.0
    largest = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
    share = float(stats[largest, cv2.CC_STAT_AREA] / labels.size)
    if not _LEAST_OBJECT <= share <= _MOST_OBJECT:
        return 0.0, 0.0
    return share, float(np.median(distance[labels == largest]))
