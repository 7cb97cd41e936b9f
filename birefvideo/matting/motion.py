"""What moved from one frame to the next, found on small pictures: dense motion both ways, and repeated frames.

Everything here is a function of the two frames it is given: no motion is carried on from earlier frames, so that a clip
cut into segments gives the same answers.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from birefvideo.matting.grid import Grid, Map, Mask
from birefvideo.planes import bit_depth, plane_array

Flow = Map
"""Motion of each cell, float32 (rows, columns, 2): cells to the right and cells down."""

_LEAST_SIDE, _WIDEST = 32, 3
"""The flow fails on pictures smaller than this, and on those wider than this many times their height."""
_STILL = 0.15
"""Motion of fewer cells counts as none: what the flow finds in noise must not blur mattes by resampling them."""
_ASTRAY, _ASTRAY_SHARE = 1.0, 0.1
"""A cell that, brought there and back, ends this far off (plus this share of the way) is trusted to a quarter."""
_CHROMA = 0.5
"""Weight of a change of U or of V against one of luma."""
_STRIP = 64
"""Rows of a picture that are compared at a time."""
_ROW = 256
"""Cells being followed are held in rows of this length: OpenCV maps no picture of more than 32,767 rows."""


@dataclass(frozen=True, eq=False)
class Look:
    """What a frame looks like at one value a cell."""

    luma: NDArray[np.uint8]
    """Luma, uint8 (rows, columns)."""
    colours: NDArray[np.uint8]
    """Y, U and V, slightly blurred, uint8 (rows, columns, 3)."""


@dataclass(frozen=True, eq=False)
class Motion:
    """Motion between two successive frames."""

    onward: Flow
    """Where each cell of the earlier frame lies in the later one, relative to its place."""
    back: Flow
    """Where each cell of the later frame lies in the earlier one, relative to its place."""

    def reversed(self) -> Motion:
        """Return the same motion with time running backwards."""
        return Motion(self.back, self.onward)


def look_at(picture: av.VideoFrame, grid: Grid) -> Look:
    """Reduce a planar YUV picture of any subsampling and depth to 8-bit cells."""
    scale = 2.0 ** (8 - bit_depth(picture))
    luma = _to_8_bits(grid.reduce(plane_array(picture, 0)), scale)
    size = luma.shape[::-1]
    chroma = (cv2.resize(plane_array(picture, index), size, interpolation=cv2.INTER_AREA) for index in (1, 2))
    return Look(luma, cv2.blur(cv2.merge([luma, *(_to_8_bits(plane, scale) for plane in chroma)]), (3, 3)))


def is_repeat(one: av.VideoFrame, other: av.VideoFrame) -> bool:
    """Return whether two pictures are the same, bit for bit."""
    if (one.format.name, one.width, one.height) != (other.format.name, other.width, other.height):
        return False
    planes = [(plane_array(one, index), plane_array(other, index)) for index in range(3)]
    # Strip by strip: of most frames the first one differs.
    return all(
        np.array_equal(mine[top : top + _STRIP], its[top : top + _STRIP])
        for mine, its in planes
        for top in range(0, len(mine), _STRIP)
    )


class MotionSearch:
    """Finds the motion between frames, in any threads.

    Source: Kroeger et al., "Fast Optical Flow using Dense Inverse Search" (ECCV 2016), as OpenCV implements it.
    """

    def __init__(self) -> None:
        self._of_thread = threading.local()

    @property
    def _flow(self) -> Any:
        """OpenCV's search, which serves one thread."""
        found = getattr(self._of_thread, "flow", None)
        return self._made() if found is None else found

    def _made(self) -> Any:
        # One level finer than the preset and no variational refinement: more exact than either preset next to it in
        # cost, where edges are what counts. Patches farther apart than its 4 pixels save a third of the time and lose
        # small things that move.
        flow: Any = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)  # type: ignore[attr-defined,unused-ignore]
        flow.setFinestScale(1)
        self._of_thread.flow = flow
        return flow

    def between(self, earlier: Look, later: Look) -> Motion:
        """Return the motion between two successive frames, found across a cut or a flash too (see scene_cuts)."""
        return Motion(self.search(earlier.luma, later.luma), self.search(later.luma, earlier.luma))

    def search(self, one: NDArray[np.uint8], other: NDArray[np.uint8], expected: Map | None = None) -> Flow:
        """Return where each cell of one picture lies in another, relative to its place.

        Args:
            one: luma of the picture.
            other: luma of the other one.
            expected: motion of all of it, if that is known about: (2).
        """
        rows, columns = one.shape
        below = max(_LEAST_SIDE, -(-columns // _WIDEST)) - rows
        right = _LEAST_SIDE - columns
        if below > 0 or right > 0:
            pads = (0, max(below, 0), 0, max(right, 0), cv2.BORDER_REPLICATE)
            one, other = (cv2.copyMakeBorder(picture, *pads) for picture in (one, other))
        guess = None if expected is None else np.full((*one.shape, 2), expected, np.float32)
        flow: Flow = self._flow.calc(one, other, guess)[:rows, :columns]
        return flow


class Cells:
    """Some cells of a frame, as points that can be followed into other frames and looked up there.

    Values of the points are float32 arrays (rows of 256, 256[, channels]); the last row is filled up with the first
    cell.
    """

    def __init__(self, marked: Mask) -> None:
        self._shape = marked.shape
        index = np.flatnonzero(marked)
        self._count = index.size
        self._index = np.concatenate([index, np.repeat(index[:1], -index.size % _ROW)]).reshape(-1, _ROW)
        rows, columns = np.divmod(self._index, marked.shape[1])
        self.home: Map = np.stack([columns, rows], axis=-1).astype(np.float32)
        """Where the points are in their own frame: column and row."""

    def pick(self, cells: NDArray[np.generic]) -> Map:
        """Return the points' values of a map of their own frame."""
        values: Map = cells.reshape(-1, *cells.shape[2:])[self._index].astype(np.float32)
        return values

    def spread(self, values: Map) -> Map:
        """Return a map of the points' values, 0 elsewhere."""
        channels = values.shape[2:]
        cells: Map = np.zeros((self._shape[0] * self._shape[1], *channels), np.float32)
        cells[self._index.ravel()[: self._count]] = values.reshape(-1, *channels)[: self._count]
        whole: Map = cells.reshape(*self._shape, *channels)
        return whole


def sample(cells: NDArray[np.generic], places: Map) -> Map:
    """Interpolate a map of cells, of one or more channels, at places (…, 2) given as column and row."""
    values: Map = cv2.remap(cells, places, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return values.astype(np.float32, copy=False)


def follow(places: Map, motion: Motion) -> tuple[Map, Map]:
    """Move points (…, 2) onward; return where they end, and the trust in it: 1 where the way back leads home."""
    step = _unless_still(sample(motion.onward, places))
    ends = places + step
    astray = length(step + _unless_still(sample(motion.back, ends)))
    return ends, falloff(astray / (_ASTRAY + _ASTRAY_SHARE * length(step)), 1.0)


def change(one: Map, other: Map) -> Map:
    """Return how much colours (…, 3) differ, in 8-bit codes of luma."""
    difference = np.abs(one - other)
    codes: Map = difference[..., 0] + np.float32(_CHROMA) * (difference[..., 1] + difference[..., 2])
    return codes


def length(vectors: Map) -> Map:
    """Return the lengths of vectors (…, 2)."""
    across, down = vectors[..., 0], vectors[..., 1]
    lengths: Map = np.sqrt(across * across + down * down)  # np.hypot takes five times as long
    return lengths


def falloff(distance: Map, scale: float) -> Map:
    """Return (1 + (distance / scale)²)⁻²: a bell, 1 at 0 and a quarter at `scale`, cheaper than a Gaussian."""
    bell: Map = np.square(distance * np.float32(1 / scale))
    bell += 1
    bell *= bell
    np.reciprocal(bell, out=bell)
    return bell


def _unless_still(step: Map) -> Map:
    """Shrink motion smoothly to nothing where it is less than `_STILL`."""
    kept = 1 - np.square(_STILL / np.maximum(length(step), _STILL))
    shrunk: Map = step * kept[..., None]
    return shrunk


def _to_8_bits(plane: NDArray[np.generic], scale: float) -> NDArray[np.uint8]:
    eight: NDArray[np.uint8] = cv2.convertScaleAbs(plane, alpha=scale)
    return eight
