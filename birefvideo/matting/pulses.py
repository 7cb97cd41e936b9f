"""Holes that come and go: the subject is transparent for a while although the picture there does not change.

An arm that is lifted opens a gap too, but then the picture changes with it. What is transparent while it looks as it
did before, and will again, was lost by the network. Every frame is looked at, on a coarse grid, in constant memory. A
hole in a part that moves is not found, nor is one that is open where a segment ends.

Nothing of it feeds back into the mattes.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from birefvideo.frames import Alpha, AlphaFrame
from birefvideo.matting.grid import Mask
from birefvideo.planes import bit_depth, plane_array

LEAST_AREA = 0.003
"""Share of the picture from which on a hole is told: in good mattes of real clips nothing of 0.13 % comes and goes."""

_GRID = 54
"""Least number of cells along a picture's short side, where it has as many pixels."""
_OPAQUE, _CLEAR = 0.7, 0.5
"""Alpha from which a cell is the subject's, and under which it is not."""
_SAME = (16, 10, 10)
"""Difference of luma and chroma, in codes of 8 bits, up to which a cell looks the same."""
_LONGEST = 48
"""Frames that a hole lasts at most."""
_TOGETHER = 5
"""Frames within which the cells of one hole are filled again."""
_THICK = 2
"""Cells that a hole measures across at least."""
_ENCLOSED = 0.7
"""Share of what is around a hole that is the subject's: beside an edge that sways, half is."""
_NEVER = -(10**6)


@dataclass(frozen=True)
class Pulse:
    """A hole that came and went."""

    first: int
    """Number of its first frame in its segment."""
    last: int
    """Number of its last one."""
    share: float
    """Share of the picture that it takes."""
    place: tuple[float, float]
    """Its middle, (across, down) in parts of the picture."""


class Pulses:
    """Looks at the finished frames of a segment, in order, for holes that come and go."""

    def __init__(self) -> None:
        self.found: list[Pulse] = []
        """In the order in which they end."""
        self._number = -1
        self._codes: NDArray[np.int16] | None = None

    def add(self, frame: AlphaFrame) -> None:
        """Take note of the next frame."""
        self._number += 1
        step = max(1, min(frame.alpha.shape) // _GRID)
        alpha: Alpha = frame.alpha[step // 2 :: step, step // 2 :: step]
        codes = _colours(frame, step)
        if self._codes is None:
            self._codes = codes.copy()
            self._opaque_at, self._began, self._came, self._filled = (
                np.full(alpha.shape, _NEVER, np.int32) for _ in range(4)
            )
        opaque = alpha >= _OPAQUE
        same = (np.abs(codes - self._codes) <= np.array(_SAME[: codes.shape[-1]], np.int16)).all(axis=-1)
        same &= self._number - self._opaque_at <= _LONGEST
        self._began[~same & ~opaque] = _NEVER  # something else is seen there: no hole
        self._began[same & (alpha < _CLEAR) & (self._began < 0)] = self._number
        filled = opaque & same & (self._began >= 0)
        self._filled[filled], self._came[filled] = self._number, self._began[filled]
        self._began[opaque] = _NEVER
        self._codes[opaque], self._opaque_at[opaque] = codes[opaque], self._number
        if filled.any():
            self._look(opaque)

    def _look(self, opaque: Mask) -> None:
        """Keep the largest hole that was filled in the last frames; of one that fills bit by bit, the whole."""
        of_late = (self._number - self._filled < _TOGETHER).view(np.uint8)
        square = np.ones((_THICK, _THICK), np.uint8)
        thick = cv2.dilate(cv2.erode(of_late, square, anchor=(0, 0)), square, anchor=(_THICK - 1, _THICK - 1))
        _, labels, stats, middles = cv2.connectedComponentsWithStats(thick)
        if len(stats) < 2:
            return
        largest = 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
        hole: Mask = labels == largest
        share = float(hole.mean())
        if share < LEAST_AREA or opaque[_ring(hole)].mean() < _ENCLOSED:
            return
        height, width = hole.shape
        x, y = middles[largest]
        place = round(float(x + 0.5) / width, 3), round(float(y + 0.5) / height, 3)
        pulse = Pulse(int(np.median(self._came[hole])), self._number - 1, round(share, 5), place)
        if self.found and pulse.first <= self.found[-1].last and pulse.last - self.found[-1].last < _TOGETHER:
            before = self.found.pop()
            if before.share > pulse.share:
                pulse = Pulse(min(before.first, pulse.first), pulse.last, before.share, before.place)
        self.found.append(pulse)


def _ring(hole: Mask) -> Mask:
    """Return the cells around a hole."""
    grown: Mask = cv2.dilate(hole.view(np.uint8), np.ones((3, 3), np.uint8)).view(np.bool_)
    return grown & ~hole


def _colours(frame: AlphaFrame, step: int) -> NDArray[np.int16]:
    """Return the codes of a picture's planes at every cell, in 8 bits: (rows, columns, planes)."""
    height, width = frame.alpha.shape
    rows, columns = np.arange(step // 2, height, step), np.arange(step // 2, width, step)
    planes = []
    for index in range(len(frame.picture.planes)):
        plane = plane_array(frame.picture, index)
        planes.append(plane[np.ix_(rows * plane.shape[0] // height, columns * plane.shape[1] // width)])
    codes: NDArray[np.int16] = (np.stack(planes, axis=-1) >> (bit_depth(frame.picture) - 8)).astype(np.int16)
    return codes
