"""Shapes as areas of a picture: how much of each pixel they cover."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from birefvideo.directing.marks import BOX, POINT, POLYGON, Shape
from birefvideo.matting.grid import Map

_SHIFT = 4
"""Bits of a pixel's parts that OpenCV draws with."""
_OUTSIDE = 1 << 26
"""Parts of a pixel beyond which OpenCV counts no further."""
_POINT = 1.5
"""Radius of a point, in pixels of what it is drawn in."""
_SIGMAS = 3


def covered(shape: Shape, size: tuple[int, ...], feather: float = 0.0) -> Map:
    """Return how much of each pixel a shape covers, float32 (rows, columns) in [0, 1].

    A box is exact to parts of a pixel; other shapes are as exact as OpenCV's smoothed lines. Pixel (0, 0) reaches from
    0 to 1.

    Args:
        shape: in pixels of the picture.
        size: rows and columns of the picture.
        feather: standard deviation of the blur of its border, in pixels; it is half covered where its border was.
    """
    area = _box(shape, size) if shape.kind == BOX else _drawn(shape, size)
    if feather:
        side = 2 * int(np.ceil(_SIGMAS * feather)) + 1
        blurred = cv2.GaussianBlur(area, (side, side), feather, borderType=cv2.BORDER_REPLICATE)
        area = np.clip(blurred, 0, 1, dtype=np.float32)
    return area


def _box(shape: Shape, size: tuple[int, ...]) -> Map:
    (left, top), (right, bottom) = shape.points
    area: Map = np.outer(_overlap(top, bottom, size[0]), _overlap(left, right, size[1])).astype(np.float32)
    return area


def _overlap(begin: float, end: float, count: int) -> NDArray[np.float64]:
    """Return how much of each pixel of a row lies between two places."""
    edges = np.clip(np.arange(count + 1, dtype=np.float64), begin, end)
    return np.diff(edges)


def _drawn(shape: Shape, size: tuple[int, ...]) -> Map:
    canvas = np.zeros(size[:2], np.uint8)
    # OpenCV counts from the middle of a pixel.
    parts = np.rint((np.array(shape.points, np.float64) - 0.5) * (1 << _SHIFT))
    points = np.clip(parts, -_OUTSIDE, _OUTSIDE).astype(np.int32)
    if shape.kind == POLYGON:
        cv2.fillPoly(canvas, [points], 255, cv2.LINE_AA, _SHIFT)
    else:
        radius = _POINT if shape.kind == POINT else shape.width / 2
        for x, y in points:
            whole = min(round(radius * (1 << _SHIFT)), _OUTSIDE)
            cv2.circle(canvas, (int(x), int(y)), whole, 255, cv2.FILLED, cv2.LINE_AA, _SHIFT)
        if len(points) > 1:
            thickness = min(max(1, round(shape.width)), 32_000)
            cv2.polylines(canvas, [points], False, 255, thickness, cv2.LINE_AA, _SHIFT)
    area: Map = canvas.astype(np.float32) / np.float32(255)
    return area
