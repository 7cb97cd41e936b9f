"""Where models disagree about a frame, and which of its edges are the hardest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from birefvideo.comparison.cutouts import RGBA
from birefvideo.matting.network_input import RGB

Spread = NDArray[np.uint8]
"""0 where all agree, 255 where one says subject and another background; uint8 (height, width)."""


_OF_A_FRAME = 4
"""Parts of one frame that may be looked at."""


@dataclass(frozen=True)
class Edge:
    """A part of a frame that is looked at closely, in source pixels."""

    frame: int
    """Number of the frame among those looked at."""
    left: int
    """Columns before it."""
    top: int
    """Rows above it."""
    width: int
    """Its columns."""
    height: int
    """Its rows."""
    score: float
    """How hard it is: the mean spread in it, 0 to 255."""


def spread_of(cutouts: Sequence[RGBA]) -> Spread:
    """Return by how much the alphas of one frame differ; of a single one, how undecided it is."""
    alphas: list[Spread] = [cutout[..., 3] for cutout in cutouts]
    if len(alphas) == 1:
        alpha = alphas[0].astype(np.float32) / 255
        undecided: Spread = np.rint(255 * 4 * alpha * (1 - alpha)).astype(np.uint8)
        return undecided
    stack = np.stack(alphas)
    differ: Spread = np.asarray(stack.max(axis=0) - stack.min(axis=0), np.uint8)
    return differ


def heat(source: RGB, spread: Spread) -> RGB:
    """Return a spread as colours over the frame, which is dimmed and grey."""
    grey = cv2.cvtColor(source, cv2.COLOR_RGB2GRAY).astype(np.float32) * 0.45 + 20
    colours = cv2.applyColorMap(spread, cv2.COLORMAP_INFERNO)[..., ::-1].astype(np.float32)
    weight = np.minimum(spread.astype(np.float32) / 64, 1)[..., None]
    codes: RGB = np.rint(grey[..., None] * (1 - weight) + colours * weight).astype(np.uint8)
    return codes


def hardest_edges(
    spreads: Sequence[Spread], frame_size: tuple[int, int], window: tuple[int, int], most: int
) -> list[Edge]:
    """Return the hardest parts of the frames, the hardest first; of parts at one place in several frames the hardest.

    Args:
        spreads: one a frame, all of one size.
        frame_size: (width, height) of the frames in source pixels.
        window: (width, height) of a part in source pixels.
        most: how many.
    """
    found = [edge for index, spread in enumerate(spreads) for edge in _of_frame(index, spread, frame_size, window)]
    chosen: list[Edge] = []
    for edge in sorted(found, key=lambda edge: -edge.score):
        if len(chosen) < most and not any(_overlap(edge, other) for other in chosen):
            chosen.append(edge)
    return chosen


def _overlap(one: Edge, other: Edge) -> bool:
    """Return whether two parts show much of the same place."""
    return abs(one.left - other.left) < 0.6 * one.width and abs(one.top - other.top) < 0.6 * one.height


def _of_frame(index: int, spread: Spread, frame_size: tuple[int, int], window: tuple[int, int]) -> list[Edge]:
    rows, columns = spread.shape
    wide, high = (min(part, whole) for part, whole in zip(window, frame_size, strict=True))
    across, down = columns / frame_size[0], rows / frame_size[1]
    inner = max(1, round(wide * across)), max(1, round(high * down))
    sums = cv2.boxFilter(
        spread.astype(np.float32), -1, inner, anchor=(0, 0), normalize=True, borderType=cv2.BORDER_CONSTANT
    )
    sums = sums[: max(1, rows - inner[1] + 1), : max(1, columns - inner[0] + 1)].copy()
    edges = []
    for _ in range(_OF_A_FRAME):
        top, left = (int(place) for place in np.unravel_index(int(sums.argmax()), sums.shape))
        score = float(sums[top, left])
        if score < 0.05:
            break
        x = min(round(left / across), frame_size[0] - wide)
        y = min(round(top / down), frame_size[1] - high)
        edges.append(Edge(index, x, y, wide, high, score))
        sums[max(0, top - inner[1]) : top + inner[1], max(0, left - inner[0]) : left + inner[0]] = 0
    return edges
