"""Measures of a picture's surface that need no matte: detail that a smaller network input loses, and a lone object."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

_SEEN_SIDE = 1024
"""Long side in pixels at which most published variants see a picture."""
_LEAST_STEP = 12.0
"""Contrast of luma (of 255) in a small window from which it holds an edge."""
_WINDOW = 9
"""Side of that window, in source pixels."""
_PLAIN = 6.0
"""Spread of the border's colours (CIE76, 90th percentile) up to which it is plain."""
_APART = 2.0
"""How many times further than the border's own colours something must be to count as an object."""
_LEAST_OBJECT, _MOST_OBJECT = 0.01, 0.7
"""Shares of the picture between which an object lies."""


def lost_detail(rgb: NDArray[np.uint8], where: NDArray[np.bool_] | None = None) -> float:
    """Return the share of the contrast at edges that is lost by scaling to a long side of 1024 and back.

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
    luma = np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), np.float32)
    size = round(width * _SEEN_SIDE / longest), round(height * _SEEN_SIDE / longest)
    again = cv2.resize(cv2.resize(luma, size, interpolation=cv2.INTER_AREA), (width, height), interpolation=cv2.INTER_CUBIC)
    mean = cv2.blur(again, (_WINDOW, _WINDOW))
    contrast = np.maximum(cv2.blur(again * again, (_WINDOW, _WINDOW)) - mean * mean, 0)
    lost = cv2.blur((luma - again) ** 2, (_WINDOW, _WINDOW))
    looked_at = np.ones_like(contrast, bool) if where is None else where
    steps = looked_at & (contrast > _LEAST_STEP**2)
    if steps.sum() < 0.001 * steps.size:
        return 0.0
    flat = contrast < np.median(contrast)
    real = max(0.0, float(lost[steps].mean()) - float(lost[flat].mean()))
    return float(np.sqrt(real / float(contrast[steps].mean())))


def lone_object(lab: NDArray[np.float32]) -> tuple[float, float]:
    """Return the share of a picture that stands out from a plain border, and by how much (CIE76); zeros where none does.

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
