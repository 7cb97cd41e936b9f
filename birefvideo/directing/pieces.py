"""What hangs together in a coarse alpha, and what it looks like."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from birefvideo.directing.coarse import Picture
from birefvideo.frames import Alpha

Labels: TypeAlias = "NDArray[np.int32]"
"""Which piece a pixel is of, int32 (rows, columns); 0 is none."""

OPAQUE = 0.5
"""Alpha from which on pixels hang together; fainter ones go with the nearest."""
_LEAST = 0.001, 0.01
"""Share of the picture, and of the largest piece, under which a piece goes with the nearest one."""
_BINS = 8
_CUT_CHANGE, _CUT_SHARE = 32, 0.5
"""A cut is where more than this share of pixels have changed by more than so many codes."""


@dataclass(frozen=True)
class Piece:
    """What hangs together in one frame."""

    label: int
    """Its number in the frame's `Labels`."""
    area: int
    """Its pixels."""
    x: float
    """Its middle, across in parts of the picture."""
    y: float
    """Its middle, down in parts of the picture."""
    left: float
    """Where it begins across, in parts of the picture."""
    right: float
    """Where it ends."""
    is_at_floor: bool
    """Whether it touches the lower edge of the picture."""


def pieces_of(alpha: Alpha) -> tuple[Labels, list[Piece]]:
    """Return the pieces of a frame that are large enough to be something by themselves, and which pixel is of which."""
    mask = (alpha >= OPAQUE).view(np.uint8)
    _, labels, stats, middles = cv2.connectedComponentsWithStats(mask, connectivity=8)
    rows, columns = alpha.shape
    largest = int(stats[1:, cv2.CC_STAT_AREA].max()) if len(stats) > 1 else 0
    least = max(_LEAST[0] * alpha.size, _LEAST[1] * largest)
    found = [
        Piece(
            label=number,
            area=int(area),
            x=float(middles[number, 0] + 0.5) / columns,
            y=float(middles[number, 1] + 0.5) / rows,
            left=float(left) / columns,
            right=float(left + width) / columns,
            is_at_floor=bool(top + height == rows),
        )
        for number, (left, top, width, height, area) in enumerate(stats)
        if number and area >= least
    ]
    return labels.astype(np.int32, copy=False), found


def colours_of(picture: Picture) -> NDArray[np.int32]:
    """Return the bin of every pixel's colour, int32 (rows, columns): 8 × 8 × 8 of Y, Cr and Cb, chroma stretched."""
    codes = cv2.cvtColor(picture, cv2.COLOR_RGB2YCrCb).astype(np.int32)
    luma = codes[..., 0] * _BINS // 256
    red, blue = (np.clip((codes[..., i] - 128) // 8 + _BINS // 2, 0, _BINS - 1) for i in (1, 2))
    bins: NDArray[np.int32] = (luma * _BINS + red) * _BINS + blue
    return bins


def histogram(colours: NDArray[np.int32], mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the share of each colour in a mask; neighbouring bins count a little too."""
    counts = np.bincount(colours[mask], minlength=_BINS**3).astype(np.float64).reshape((_BINS,) * 3)
    for axis in range(3):
        counts = counts + 0.25 * (_moved(counts, 1, axis) + _moved(counts, -1, axis))
    return counts.ravel() / max(1.0, float(counts.sum()))


def likeness(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Return how alike two histograms are, 0 to 1: Bhattacharyya's coefficient."""
    return float(np.sqrt(one * other).sum())


def is_cut(earlier: Picture, later: Picture) -> bool:
    """Return whether a cut parts two successive pictures."""
    change = cv2.absdiff(earlier, later).max(axis=2)
    return float((change > _CUT_CHANGE).mean()) > _CUT_SHARE


def _moved(counts: NDArray[np.float64], by: int, axis: int) -> NDArray[np.float64]:
    moved = np.roll(counts, by, axis)
    edge: list[slice | int] = [slice(None)] * 3
    edge[axis] = 0 if by > 0 else -1
    moved[tuple(edge)] = 0
    return moved
