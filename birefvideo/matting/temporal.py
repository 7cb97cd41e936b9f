"""Temporal smoothing of mattes: a motion-gated, two-sided average with finite support.

A frame-by-frame network's edges boil. Where the picture stands still over neighbouring frames their mattes are
averaged; where it moves, or the mattes disagree too much, a frame keeps its own. Everything is decided at reduced size,
from pairs of frames inside the window only, so that output t is a function of frames t - radius … t + radius and a clip
cut into segments with that much context comes out the same.
"""

from __future__ import annotations

import functools
import itertools
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np

from birefvideo.errors import OptionError
from birefvideo.frames import Alpha, Frame
from birefvideo.matting.grid import Grid, Map, Mask, Tile
from birefvideo.planes import bit_depth, plane_array

DEFAULT_RADIUS = 2
"""Frames on each side of the window."""

_THUMBNAIL = (32, 18)
"""Size at which cuts are told: blind to all but the largest motion."""
_CUT_CHANGE, _CUT_SHARE = 16.0, 0.5
"""A cut is where more than this share of the thumbnail changes by more than this many 8-bit codes."""
_NOISE = 2.0
"""Mean change of luma, in 8-bit codes, that noise and compression make where nothing moves."""
_MOTION = 6.0
"""Change beyond noise, in 8-bit codes, at which a neighbour's weight is a quarter."""
_AGREEMENT = 0.2
"""Difference of alpha at which a neighbour's weight is a quarter: more is a change of shape, less is boiling."""
_SOFT = 1 / 255
"""Alpha within this of 0 or 1 is empty or opaque; a pixel that is so in the whole window stays as it is."""


@dataclass(frozen=True, eq=False)
class _Seen:
    """A frame with what the windows that hold it need of it, computed once."""

    frame: Frame
    """The frame."""
    alpha: Alpha
    """Its alpha."""
    luma: Map
    """Luma at reduced size, in 8-bit codes."""
    thumbnail: Map
    """Luma at thumbnail size, for telling cuts."""
    small: Map
    """Alpha at reduced size."""
    alike: tuple[Map, ...]
    """Likeness in [0, 1] to the frame 1, 2 … before, as far back as no cut lies between."""


_Ring = list[tuple[_Seen, Map]]
"""The frames at one distance from another, the earlier first, each with its likeness to it; at most two."""


class TemporalSmoother:
    """Smooths the alpha of frames pushed in order; each comes back once the `radius` frames after it are known.

    Holds 2 · radius + 1 frames.

    Raises:
        OptionError: radius is negative.
    """

    def __init__(self, radius: int = DEFAULT_RADIUS) -> None:
        if radius < 0:
            raise OptionError(f"smoothing radius {radius}: give 0 (off) or a number of frames, e.g. {DEFAULT_RADIUS}")
        self._radius = radius
        self.reset()

    def reset(self) -> None:
        """Forget all frames."""
        self._window: deque[_Seen] = deque()
        self._due = 0
        """Position in the window of the next frame to come out."""

    def push(self, frame: Frame) -> Frame | None:
        """Take the next frame; return the one `radius` frames before it, if there is one and it is core.

        Raises:
            ValueError: the frame has no alpha.
        """
        if frame.alpha is None:
            raise ValueError(f"the frame at pts {frame.pts} has no alpha: predict before smoothing")
        if self._radius == 0:
            return frame if frame.core else None
        self._window.append(_see(frame, frame.alpha, itertools.islice(reversed(self._window), self._radius)))
        return self._emit() if len(self._window) - self._due > self._radius else None

    def flush(self) -> Iterator[Frame]:
        """Return the frames still held, at the end of the stream, and forget them."""
        while self._due < len(self._window):
            frame = self._emit()
            if frame is not None:
                yield frame
        self.reset()

    def _emit(self) -> Frame | None:
        """Smooth the frame that is due and let go of what no later window holds."""
        due = self._due
        seen = self._window[due]
        smoothed = replace(seen.frame, alpha=_smooth(seen, self._neighbours(due))) if seen.frame.core else None
        if due == self._radius:
            self._window.popleft()
        else:
            self._due += 1
        return smoothed

    def _neighbours(self, due: int) -> list[_Ring]:
        """Return, for each distance, the frames before and after with their likeness to the frame at `due`."""
        window = self._window
        rings: list[_Ring] = []
        for step in range(1, self._radius + 1):
            ring: _Ring = []
            if step <= min(due, len(window[due].alike)):
                ring.append((window[due - step], window[due].alike[step - 1]))
            if due + step < len(window) and step <= len(window[due + step].alike):
                ring.append((window[due + step], window[due + step].alike[step - 1]))
            rings.append(ring)
        return rings


def smooth(frames: Iterable[Frame], radius: int = DEFAULT_RADIUS) -> Iterator[Frame]:
    """Yield the core frames with their alpha smoothed over `radius` frames on each side; 0 passes them through.

    Alpha changes only where it is soft or disputed within the window. Nothing is carried across a cut.

    Raises:
        OptionError: radius is negative.
        ValueError: a frame has no alpha.
    """
    smoother = TemporalSmoother(radius)
    for frame in frames:
        smoothed = smoother.push(frame)
        if smoothed is not None:
            yield smoothed
    yield from smoother.flush()


def _see(frame: Frame, alpha: Alpha, earlier: Iterable[_Seen]) -> _Seen:
    """Reduce a frame and compare it with those before it, nearest first."""
    grid = Grid(*alpha.shape)
    luma = grid.reduce(plane_array(frame.picture, 0)).astype(np.float32)
    luma *= np.float32(2.0 ** (8 - bit_depth(frame.picture)))
    luma = cv2.blur(luma, (3, 3))
    thumbnail: Map = cv2.resize(luma, _THUMBNAIL, interpolation=cv2.INTER_AREA)
    alike: list[Map] = []
    after = thumbnail
    for other in earlier:
        if _is_cut(other.thumbnail, after):
            break
        alike.append(_likeness(other.luma, luma))
        after = other.thumbnail
    return _Seen(frame, alpha, luma, thumbnail, grid.reduce(alpha), tuple(alike))


def _is_cut(one: Map, other: Map) -> bool:
    """Tell whether two successive frames show different scenes: most of the picture changed visibly."""
    return float(np.mean(np.abs(one - other) > _CUT_CHANGE)) > _CUT_SHARE


def _likeness(one: Map, other: Map) -> Map:
    """Return 1 where two pictures agree within noise, falling to 0 where something moved."""
    change = cv2.blur(cv2.absdiff(one, other), (5, 5))
    return _falloff(np.maximum(change - np.float32(_NOISE), 0), _MOTION)


def _falloff(distance: Map, scale: float) -> Map:
    """Return (1 + (distance / scale)²)⁻²: a bell, 1 at 0 and a quarter at `scale`, cheaper than a Gaussian."""
    bell: Map = np.square(distance * np.float32(1 / scale))
    bell += 1
    bell *= bell
    np.reciprocal(bell, out=bell)
    return bell


def _smooth(seen: _Seen, rings: list[_Ring]) -> Alpha:
    """Return the frame's alpha with the weighted differences of its neighbours added where they may matter."""
    neighbours = [neighbour for ring in rings for neighbour, _ in ring]
    disputed = _disputed([seen, *neighbours])
    if not disputed.any():
        return seen.alpha
    weights = _weights(seen, rings, disputed)
    result: Alpha = seen.alpha.copy()
    for tile in Grid(*result.shape).tiles(disputed):
        _apply(tile, seen.alpha, weights, result)
    return result


def _disputed(window: list[_Seen]) -> Mask:
    """Mark the reduced pixels that are not plainly empty, nor plainly opaque, in all frames; grown by one pixel."""
    highest = functools.reduce(np.maximum, (seen.small for seen in window))
    lowest = functools.reduce(np.minimum, (seen.small for seen in window))
    soft = ((highest > _SOFT) & (lowest < 1 - _SOFT)).astype(np.uint8)
    disputed: Mask = cv2.dilate(soft, np.ones((3, 3), np.uint8)).view(np.bool_)
    return disputed


def _weights(seen: _Seen, rings: list[_Ring], disputed: Mask) -> list[list[tuple[Alpha, Map]]]:
    """Return each neighbour's full-size alpha with its share of the average at reduced size, 0 where undisputed.

    A neighbour weighs by its distance in time, by the likeness of its picture, and by how well its alpha agrees with
    the pilot. The frame's own alpha must agree with the pilot too, so that a drop-out loses to its neighbours.
    """
    pilot = _pilot(seen, rings)
    total = _falloff(cv2.absdiff(seen.small, pilot), _AGREEMENT)
    weighted: list[list[tuple[Alpha, Map]]] = []
    for step, ring in enumerate(rings, start=1):
        nearness = np.float32(1 - (step / (len(rings) + 1)) ** 2)
        weighted.append(
            [
                (other.alpha, nearness * likeness * _falloff(cv2.absdiff(other.small, pilot), _AGREEMENT))
                for other, likeness in ring
            ]
        )
        # Before and after are added to each other first: the sum is then the same, bit for bit, in reversed time.
        if ring:
            total = total + functools.reduce(np.add, (weight for _, weight in weighted[-1]))
    scale = np.divide(disputed, total, dtype=np.float32)
    return [[(alpha, weight * scale) for alpha, weight in ring] for ring in weighted]


def _pilot(seen: _Seen, rings: list[_Ring]) -> Map:
    """Return the reduced alpha, replaced by the median of three where the picture is the same before and after."""
    if len(rings[0]) < 2:
        return seen.small
    (before, like_before), (after, like_after) = rings[0]
    lower, upper = np.minimum(before.small, after.small), np.maximum(before.small, after.small)
    median = np.clip(seen.small, lower, upper)
    pilot: Map = seen.small + np.minimum(like_before, like_after) * (median - seen.small)
    return pilot


def _apply(tile: Tile, own: Alpha, weights: list[list[tuple[Alpha, Map]]], result: Alpha) -> None:
    """Write one tile of `result`: `own` with the weighted differences of the neighbours added."""
    mine = own[tile.pixels]
    correction = np.zeros_like(mine)
    for ring in weights:
        parts = (tile.enlarge(weight) * (alpha[tile.pixels] - mine) for alpha, weight in ring)
        correction += functools.reduce(np.add, parts, np.float32(0))
    np.clip(mine + correction, 0, 1, out=result[tile.pixels])
