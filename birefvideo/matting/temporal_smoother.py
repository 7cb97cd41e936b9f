"""Temporal smoothing of mattes: a motion-compensated, two-sided, robust average with finite support.

A network that sees frames alone errs anew in each: edges boil, a part drops out for a frame. The places of a frame are
followed into the frames before and after it, the mattes found there are brought back, and what most of them agree on
is averaged; a neighbour counts by how well its motion leads back, its picture matches and its alpha agrees. Where none
can be trusted, the frame keeps its own. All this is decided at reduced size and only where alpha may change. What the
average adds is found at twice that size, no more, and enlarged, so that a large picture keeps its own finest detail.

Output t is a function of frames t - radius … t + radius, so that a clip cut into segments with that much context comes
out the same; reversed time gives the reversed result.
"""

from __future__ import annotations

import functools
import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from birefvideo.frames import Alpha, AlphaFrame
from birefvideo.matting.grid import Grid, Map, Mask
from birefvideo.matting.motion import (
    Cells,
    Look,
    Motion,
    MotionSearch,
    change,
    falloff,
    follow,
    is_repeat,
    length,
    look_at,
    sample,
)
from birefvideo.matting.scene_cuts import is_cut
from birefvideo.matting.working_size import add_correction, to_working_size
from birefvideo.prefetch import Once

_NOISE = 2.0
"""Change of the picture, in 8-bit codes, that noise and compression make where nothing else does."""
_CHANGE = 16.0
"""Change beyond noise, in 8-bit codes, at which a neighbour's weight is a quarter."""
_FAST = 5.0
"""Motion, in cells a frame, at which a neighbour's weight is a quarter: its edges are found less exactly."""
_AGREEMENT = 0.3
"""Difference of alpha at which a neighbour's weight is a quarter: more is a change of shape, less is boiling."""
_SOFT = 1 / 255
"""Alpha within this of 0 or 1 is empty or opaque; a pixel that is so in the whole window stays as it is."""


@dataclass(frozen=True, eq=False)
class _Seen:
    """A frame with what the windows that hold it need of it, computed once."""

    frame: AlphaFrame
    """The frame."""
    full: Alpha
    """Its alpha."""
    alpha: Alpha
    """Its alpha at working size."""
    small: Map
    """Its alpha at one value a cell."""
    look: Look
    """Its picture at one value a cell."""
    motion: Once[Motion | None]
    """Gives the motion between the frame before and this one; None at the start, after a cut and in a repeat."""
    repeats: bool
    """Whether its picture is that of the frame before, bit for bit."""


@dataclass(frozen=True, eq=False)
class _Neighbour:
    """A frame near the one being smoothed, as seen from the cells in question."""

    alpha: Alpha
    """Its alpha at working size."""
    nearness: Map
    """Its weight by distance in time and speed, up to 1."""
    shift: Map
    """How far each cell's place lies from the cell, in cells (column, row)."""
    trust: Map
    """How surely that place shows the same thing, 0 to 1."""
    values: Map
    """Its alpha there."""


_Ring = list[_Neighbour]
"""The frames at one distance from another, the earlier first; at most two."""


class TemporalSmoother:
    """Smooths the alpha of frames pushed in order; each comes back once the `radius` ≥ 1 frames after it are known.

    Alpha changes only where it is soft or disputed within the window. Nothing is carried across a cut or a flash. A
    frame repeated up to `radius` times comes out the same each time; of one repeated more often, each is smoothed with
    its own repeats only. Holds 2 · radius + 1 frames. It is a `Smoother`.
    """

    def __init__(self, radius: int) -> None:
        assert radius >= 1
        self.radius = radius
        """Frames on each side of the window."""
        self._search = MotionSearch()
        self.reset()

    def reset(self) -> None:
        """Forget all frames."""
        self._window: deque[_Seen] = deque()
        self._due = 0
        """Position in the window of the next frame to come out."""

    def push(self, frame: AlphaFrame) -> Callable[[], AlphaFrame] | None:
        """Take the next frame, with alpha; return the one `radius` frames before it, if there is one and it is core."""
        assert frame.alpha is not None
        self._window.append(self._see(frame, frame.alpha))
        return self._emit() if len(self._window) - self._due > self.radius else None

    def flush(self) -> Iterator[Callable[[], AlphaFrame]]:
        """Yield the frames still held, at the end of the stream, and forget them."""
        while self._due < len(self._window):
            smoothing = self._emit()
            if smoothing is not None:
                yield smoothing
        self.reset()

    def _see(self, frame: AlphaFrame, alpha: Alpha) -> _Seen:
        """Reduce a frame and compare it with the one before."""
        look = look_at(frame.picture, Grid(*alpha.shape))
        working = to_working_size(alpha)
        small = Grid(*working.shape).reduce(working)
        before = self._window[-1] if self._window else None
        repeats = before is not None and is_repeat(before.frame.picture, frame.picture)
        motion = Once(functools.partial(self._motion, None if repeats or before is None else before.look, look))
        return _Seen(frame, alpha, working, small, look, motion, repeats)

    def _motion(self, before: Look | None, look: Look) -> Motion | None:
        if before is None:
            return None
        found = self._search.between(before, look)
        return None if is_cut(before, look, found) else found

    def _emit(self) -> Callable[[], AlphaFrame] | None:
        """Return the smoothing of the frame that is due, and let go of what no later window holds."""
        smoothing = None
        if self._window[self._due].frame.core:
            smoothing = functools.partial(_smoothed, tuple(self._window), self._due, self.radius)
        if self._due == self.radius:
            self._window.popleft()
        else:
            self._due += 1
        return smoothing


def _smoothed(window: Sequence[_Seen], due: int, radius: int) -> AlphaFrame:
    """Return the frame at `due` with its alpha smoothed; a function of the window alone, for any thread."""
    return replace(window[due].frame, alpha=_smooth(window, due, radius))


def _smooth(window: Sequence[_Seen], due: int, radius: int) -> Alpha:
    """Return the full-size alpha of the frame at `due`, smoothed."""
    run, reach = _run(window, due, radius)
    same = [window[index] for index in run]
    own, small = _mean([seen.alpha for seen in same]), _mean([seen.small for seen in same])
    full = own if own.shape == window[due].full.shape else _mean([seen.full for seen in same])
    sides = (_path(window, range(run[0], reach.start - 1, -1)), _path(window, range(run[-1], reach.stop)))
    disputed = _disputed([small, *(seen.small for side in sides for seen, _ in side)])
    if not disputed.any():
        return full
    # One cell more, so that interpolating to working size finds motion all around.
    cells = Cells(cv2.dilate(disputed.view(np.uint8), np.ones((3, 3), np.uint8)).view(np.bool_))
    colours = cells.pick(window[due].look.colours)
    near = [_neighbours(cells, colours, side, radius) for side in sides]
    rings = [[side[step] for side in near if step < len(side)] for step in range(max(map(len, near)))]
    shares = _shares(cells.pick(small), cells.pick(disputed), rings)
    parts = [
        [(n.alpha, cells.spread(np.dstack([n.shift, share]))) for n, share in zip(ring, ring_shares, strict=True)]
        for ring, ring_shares in zip(rings, shares, strict=True)
    ]
    return add_correction(full, disputed, _correction(own, disputed, parts))


def _run(window: Sequence[_Seen], due: int, radius: int) -> tuple[range, range]:
    """Return the positions smoothed as one frame, that at `due` and its repeats, and those that they look at."""
    first = last = due
    while first > max(due - radius, 0) and window[first].repeats:
        first -= 1
    while last < min(due + radius, len(window) - 1) and window[last + 1].repeats:
        last += 1
    if last - first < radius:
        # All repeats give the same: they are seen through the window that they have in common.
        return range(first, last + 1), range(max(last - radius, 0), min(first + radius + 1, len(window)))
    # No window holds all repeats: they are smoothed among themselves, so that equal mattes stay as they are.
    return range(due, due + 1), range(first, last + 1)


def _mean(mattes: Sequence[Map]) -> Map:
    """Return the mean of a few mattes; equal ones give the same bits."""
    return mattes[0] if len(mattes) == 1 else np.stack(mattes).mean(axis=0, dtype=np.float64).astype(np.float32)


def _path(window: Sequence[_Seen], positions: range) -> list[tuple[_Seen, Motion | None]]:
    """Return the frames on the way from the first position, up to a cut, and the motion to each; None is a repeat's."""
    path: list[tuple[_Seen, Motion | None]] = []
    for here, there in itertools.pairwise(positions):
        later = window[max(here, there)]
        motion = later.motion()
        if motion is None and not later.repeats:
            break
        if motion is not None and there < here:
            motion = motion.reversed()
        path.append((window[there], motion))
    return path


def _disputed(mattes: Sequence[Map]) -> Mask:
    """Mark the cells that are not plainly empty, nor plainly opaque, in all mattes; grown by one cell."""
    highest, lowest = functools.reduce(np.maximum, mattes), functools.reduce(np.minimum, mattes)
    soft = ((highest > _SOFT) & (lowest < 1 - _SOFT)).astype(np.uint8)
    disputed: Mask = cv2.dilate(soft, np.ones((3, 3), np.uint8)).view(np.bool_)
    return disputed


def _neighbours(
    cells: Cells, colours: Map, path: Iterable[tuple[_Seen, Motion | None]], radius: int
) -> list[_Neighbour]:
    """Follow the cells along a path of frames and look up what is found there."""
    places = cells.home
    sure = np.ones(places.shape[:-1], np.float32)
    found: list[_Neighbour] = []
    for step, (seen, motion) in enumerate(path, start=1):
        changed = change(colours, sample(seen.look.colours, places))
        if motion is not None:
            ends, trust = follow(places, motion)
            changed_there = change(colours, sample(seen.look.colours, ends))
            # Flow spills from what moves over what stands still beside it: it must explain the picture better.
            moves = changed_there < changed
            places = np.where(moves[..., None], ends, places)
            sure = np.where(moves, sure * trust, sure)
            changed = np.minimum(changed, changed_there)
        shift: Map = places - cells.home
        found.append(
            _Neighbour(
                seen.alpha,
                nearness=(1 - (step / (radius + 1)) ** 4) * falloff(length(shift), _FAST * step),
                shift=shift,
                trust=sure * falloff(np.maximum(changed - np.float32(_NOISE), 0), _CHANGE),
                values=sample(seen.small, places),
            )
        )
    return found


def _shares(own: Map, counts: Map, rings: Sequence[_Ring]) -> list[list[Map]]:
    """Return each neighbour's share of the average, 0 where `counts` is.

    A neighbour weighs by its distance in time, its trust, and by how well its alpha agrees with the pilot. The frame's
    own alpha must agree with the pilot too, so that a drop-out loses to its neighbours.
    """
    pilot = _pilot(own, rings)
    total = falloff(own - pilot, _AGREEMENT)
    weights: list[list[Map]] = []
    for ring in rings:
        weights.append([n.nearness * n.trust * falloff(n.values - pilot, _AGREEMENT) for n in ring])
        # Before and after are added to each other first: the sum is then the same, bit for bit, in reversed time.
        total = total + _sum(weights[-1])
    return [[counts * weight / total for weight in ring] for ring in weights]


def _pilot(own: Map, rings: Sequence[_Ring]) -> Map:
    """Return alpha replaced by its median over three frames, then five, as far as motion is trusted on both sides."""
    pilot, trust = own, np.float32(1)
    pairs = []
    for ring in rings[:2]:
        if len(ring) < 2:
            break
        one, other = ring
        pairs.append((np.minimum(one.values, other.values), np.maximum(one.values, other.values)))
        # The median of five is that of the fifth and of the middle two of the other four.
        lower = functools.reduce(np.maximum, (low for low, _ in pairs))
        upper = functools.reduce(np.minimum, (high for _, high in pairs))
        median = np.clip(own, np.minimum(lower, upper), np.maximum(lower, upper))
        trust = np.minimum(trust, np.minimum(one.trust, other.trust))
        pilot = pilot + trust * (median - pilot)
    return pilot


def _correction(own: Alpha, disputed: Mask, parts: Sequence[Sequence[tuple[Alpha, Map]]]) -> Map:
    """Return what `own` gains: the weighted differences of its neighbours, moved into place; all at working size.

    Args:
        own: the frame's alpha.
        disputed: the cells where it may change.
        parts: for each distance, each neighbour's alpha and a map (rows, columns, 3) of how far each cell's place in it
            lies from the cell, to the right and down, and of its share in the average.
    """
    grid = Grid(*own.shape)
    factor = grid.factor
    pixels = Cells(grid.repeat(disputed.view(np.uint8)).view(np.bool_))
    centres = (pixels.home + np.float32(0.5)) / np.float32(factor) - np.float32(0.5)
    mine = pixels.pick(own)

    def gain(alpha: Alpha, cells: Map) -> Map:
        shift_and_share = sample(cells, centres)
        moved = _moved(alpha, pixels.home + factor * shift_and_share[..., :2])
        return shift_and_share[..., 2] * (moved - mine)

    correction = np.zeros_like(mine)
    for ring in parts:
        # Of one ring first, as in `_shares`.
        correction += _sum([gain(alpha, cells) for alpha, cells in ring])
    return pixels.spread(correction)


def _moved(alpha: Alpha, places: Map) -> Map:
    """Return alpha at places; linear interpolation would blur the very detail that several frames agree on."""
    moved: Map = cv2.remap(alpha, places, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return moved


def _sum(maps: Sequence[Map]) -> Map:
    total: Map = functools.reduce(np.add, maps)
    return total
