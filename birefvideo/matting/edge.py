"""The shape of a matte's edge, as an editor sets it: levels, holes, islands, grow or shrink, feather; in that order.

Each control is a function of one frame's alpha, and goes smoothly with it: an island fades out between twice the area
from which on it stays and the area at which it is gone, so that nothing pops as it grows. So what smoothing has made
quiet stays quiet, and segments of any length come out the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from math import isqrt
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from birefvideo.frames import Alpha, AlphaFrame
from birefvideo.matting.grid import Grid, Map, Mask

Area: TypeAlias = tuple[slice, slice]
"""Rows and columns of a picture."""

_SEEN = 0.1
"""Alpha from which on pixels hang together as a piece; fainter ones go with the piece that is nearest."""
_SIGMAS = 3
"""Where the bell curve of a feather is cut off."""
_FRINGE = 16
"""Pixels around a piece in which fainter ones may go with it."""


@dataclass(frozen=True)
class Edge:
    """What to do to the edge of every frame; the default leaves it as it is."""

    grow: float = 0.0
    """Pixels by which the subject grows on every side; negative ones shrink it."""
    feather: float = 0.0
    """Standard deviation, in pixels, of the bell curve that blurs the edge."""
    levels: tuple[float, float, float] = (0.0, 1.0, 1.0)
    """Alpha that becomes 0, alpha that becomes 1, and the gamma between: above 1 it makes soft parts denser."""
    fill_holes: float = 0.0
    """Area in pixels up to which a hole in the subject is filled; from twice that on it is left."""
    drop_islands: float = 0.0
    """Area in pixels up to which a piece apart is dropped; from twice that on it is left."""


def shaped(frame: AlphaFrame, edge: Edge) -> AlphaFrame:
    """Return a frame with its edge shaped."""
    return frame if edge == Edge() else replace(frame, alpha=shape(frame.alpha, edge))


def shape(alpha: Alpha, edge: Edge) -> Alpha:
    """Return alpha, float32 (height, width) in [0, 1], with its edge shaped; the array given is not written to."""
    if edge.levels != Edge.levels:
        alpha = _levelled(alpha, *edge.levels)
    if edge.drop_islands:
        alpha = _without_islands(alpha, edge.drop_islands)
    if edge.fill_holes:
        alpha = _without_holes(alpha, edge.fill_holes)
    if edge.grow:
        alpha = _grown(alpha, edge.grow)
    if edge.feather:
        alpha = _feathered(alpha, edge.feather)
    return alpha


def _levelled(alpha: Alpha, black: float, white: float, gamma: float) -> Alpha:
    stretched: Alpha = (alpha - np.float32(black)) * np.float32(1 / (white - black))
    np.clip(stretched, 0, 1, out=stretched)
    if gamma != 1:
        soft = (stretched > 0) & (stretched < 1)
        stretched[soft] = np.power(stretched[soft], np.float32(1 / gamma))
    return stretched


def _feathered(alpha: Alpha, sigma: float) -> Alpha:
    reach = int(np.ceil(_SIGMAS * sigma))
    side = 2 * reach + 1
    result: Alpha = alpha.copy()
    for inner, outer in _uneven(alpha, reach):
        blurred = cv2.GaussianBlur(alpha[outer], (side, side), sigma, borderType=cv2.BORDER_REPLICATE)
        result[inner] = np.clip(blurred[_within(inner, outer)], 0, 1)
    return result


def _grown(alpha: Alpha, radius: float) -> Alpha:
    """Return the largest alpha within a disc around each pixel, or of a negative radius the smallest.

    Between whole radii it is their mean by weight. What lies outside the picture does not count.
    """
    whole = int(abs(radius))
    part = np.float32(abs(radius) - whole)
    result: Alpha = alpha.copy()
    for inner, outer in _uneven(alpha, whole + 1):
        area = _extreme_in_disc(alpha[outer], whole, is_largest=radius > 0)
        if part:
            area = (1 - part) * area + part * _extreme_in_disc(alpha[outer], whole + 1, is_largest=radius > 0)
        result[inner] = area[_within(inner, outer)]
    return result


def _extreme_in_disc(alpha: Map, radius: int, *, is_largest: bool) -> Map:
    """Return the maximum, or minimum, over x² + y² <= radius²: row by row of the disc."""
    if radius == 0:
        return alpha
    along, across = (cv2.dilate, np.maximum) if is_largest else (cv2.erode, np.minimum)
    height = len(alpha)
    extreme = np.full_like(alpha, 1 - is_largest)
    for dy in range(min(radius, height - 1) + 1):
        reach = isqrt(radius * radius - dy * dy)
        row: Map = along(alpha, np.ones((1, 2 * reach + 1), np.uint8))
        across(extreme[: height - dy], row[dy:], out=extreme[: height - dy])
        across(extreme[dy:], row[: height - dy], out=extreme[dy:])
    return extreme


def _uneven(alpha: Map, reach: int) -> Iterator[tuple[Area, Area]]:
    """Yield (tile, tile with `reach` pixels around it); together they hold every pixel near which alpha changes."""
    grid = Grid(*alpha.shape)
    differs = np.zeros(alpha.shape, np.bool_)
    differs[:, 1:] = alpha[:, 1:] != alpha[:, :-1]
    differs[1:] |= alpha[1:] != alpha[:-1]
    # Thick enough that one pixel is not averaged away over a cell, however large.
    cells = grid.reduce(255 * cv2.dilate(differs.view(np.uint8), np.ones((3, 3), np.uint8)))
    around = cv2.dilate(cells, np.ones((2 * -(-reach // grid.factor) + 1,) * 2, np.uint8))
    for tile in grid.tiles(around > 0):
        yield tile.pixels, _around(tile.pixels, reach)


def _around(area: Area, reach: int) -> Area:
    """Return an area with `reach` pixels more on each side, or as many as the picture has."""
    rows, columns = area
    return np.s_[max(rows.start - reach, 0) : rows.stop + reach, max(columns.start - reach, 0) : columns.stop + reach]


def _within(inner: Area, outer: Area) -> Area:
    """Return where an area lies in an array that was cut out by a larger one."""
    (top, left), (i, j) = (outer[0].start, outer[1].start), inner
    return np.s_[i.start - top : i.stop - top, j.start - left : j.stop - left]


def _without_islands(alpha: Alpha, area: float) -> Alpha:
    """Return alpha without its small pieces; the largest one always stays."""
    outlines = [outline for outline, is_hole in _outlines(alpha >= _SEEN) if not is_hole]
    if len(outlines) < 2:
        return alpha
    outlines.sort(key=cv2.contourArea)
    boxes = map(cv2.boundingRect, outlines[:-1])
    return _lessened(alpha, [np.s_[y : y + rows, x : x + columns] for x, y, columns, rows in boxes], area)


def _without_holes(alpha: Alpha, area: float) -> Alpha:
    """Return alpha with its small holes filled; a gap that touches the border is none."""
    missing = 1 - alpha
    boxes = [cv2.boundingRect(outline) for outline, is_hole in _outlines(missing < _SEEN) if is_hole]
    # OpenCV's outline of a hole goes through the pixels around it.
    inner = [np.s_[y + 1 : y + rows - 1, x + 1 : x + columns - 1] for x, y, columns, rows in boxes]
    less = _lessened(missing, inner, area, connectivity=4)
    return alpha if less is missing else 1 - less


def _outlines(mask: Mask) -> list[tuple[NDArray[np.int32], bool]]:
    """Return (outline, is it a hole's) of every piece and every hole; pieces hang together by corners too."""
    outlines, hierarchy = cv2.findContours(mask.view(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    return [(outline, hierarchy[0, index, 3] >= 0) for index, outline in enumerate(outlines)]


def _lessened(alpha: Alpha, boxes: Iterable[Area], area: float, connectivity: int = 8) -> Alpha:
    """Return alpha with pieces up to an area gone, and those up to twice that faint; the same array if there is none.

    The area of a piece is the sum of its alpha. `boxes` are where the pieces lie that may go.
    """
    result = alpha
    for box in boxes:
        seen = (alpha[box] >= _SEEN).view(np.uint8)
        _, labels, stats, _ = cv2.connectedComponentsWithStats(seen, connectivity=connectivity)
        # Of all pieces in the box, only the one whose box it is reaches all four sides.
        (own,) = np.flatnonzero((stats[1:, 2:4] == labels.shape[::-1]).all(axis=1))
        share = float(alpha[box][labels == own + 1].sum()) / area - 1
        if share < 1:
            result = alpha.copy() if result is alpha else result
            place = _around(box, _FRINGE)
            result[place][_nearest(alpha[place], labels == own + 1, _within(box, place))] *= np.float32(max(share, 0))
    return result


def _nearest(alpha: Map, piece: Mask, where: Area) -> Mask:
    """Return the pixels of a piece at `where`, and those fainter ones that no other piece is nearer to."""
    apart = (alpha < _SEEN).view(np.uint8)
    _, nearest = cv2.distanceTransformWithLabels(apart, cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL)
    owner = np.zeros(int(nearest.max()) + 1, np.bool_)
    owner[nearest[where][piece]] = True
    found: Mask = owner[nearest]
    return found
