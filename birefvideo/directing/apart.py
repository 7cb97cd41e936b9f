"""Which cells of a picture move along with a thing in it, and which with what is around it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np

from birefvideo.directing.coarse import Picture
from birefvideo.directing.one_motion import Fit, as_matrix, fitted_to
from birefvideo.matting.grid import Map, Mask
from birefvideo.matting.motion import Flow, MotionSearch

_TELLING = 3.0
"""Cells that a thing has moved apart from its surroundings from which on no picture farther in time is looked at."""
_APART, _LEAST = 1.5, 0.3
"""Cells from which on that counts in full, and up to which it says nothing."""
_DIFFERENCE = 10.0
"""Codes by which one motion must explain a cell better than the other to count in full."""
_UNLIKE = 12.0
"""Codes that a cell differs by although it is taken along, at which its motion is trusted to a half."""
_ANOTHER = 24.0
"""Codes that most cells differ by if the other picture is one of another scene."""
_FEWER = 5
"""Of so many cells, one is looked at to tell whether it is."""
_BESIDE = (1, 4, 12, 32)
"""Frames between one that is looked at and those that show what moves apart from what."""
_MEAN = np.full((1, 3), 1 / 3, np.float32)


class Pictures(Protocol):
    """A clip's pictures by their numbers."""

    def __len__(self) -> int:
        """Return how many there are."""

    def picture(self, number: int) -> Picture:
        """Return one."""


class Later(Protocol):
    """Pictures that lie as far from one in time: before, after, or both."""

    def __call__(self) -> Sequence[Picture]:
        """Return them."""


class Beside:
    """A picture and those beside it in time, with the motion between them; each is looked at once, when it is needed.

    Args:
        picture: the picture.
        later: other pictures, the nearest ones first.
    """

    def __init__(self, picture: Picture, later: Sequence[Later]) -> None:
        self.picture = picture
        self._later = later
        self._seen: list[list[tuple[Picture, Flow]]] = []

    def groups(self) -> Iterator[list[tuple[Picture, Flow]]]:
        """Yield pictures that lie as far in time, with where each cell of the picture lies in them."""
        search = MotionSearch()
        luma = cv2.cvtColor(self.picture, cv2.COLOR_RGB2GRAY)
        for number, group in enumerate(self._later):
            if number == len(self._seen):
                seen = [(other, search.search(luma, cv2.cvtColor(other, cv2.COLOR_RGB2GRAY))) for other in group()]
                self._seen.append(seen)
            yield self._seen[number]


def pictures_beside(clip: Pictures, number: int) -> list[Later]:
    """Return what reads the pictures before and after one of a clip, the nearest ones first."""
    pairs = ([n for n in (number - far, number + far) if 0 <= n < len(clip)] for far in _BESIDE)
    return [lambda pair=pair: [clip.picture(n) for n in pair] for pair in pairs]


def moving_along(beside: Beside, core: Mask, around: Mask, *, is_known: bool) -> Map:
    """Return how much better a cell moves along with a thing than with what is around it, in [-1, 1]; 0: unknown.

    Args:
        beside: where it is, and what is before and after it.
        core: cells of the thing.
        around: cells that are not the thing's.
        is_known: whether the core is all of the thing, so that it also turns and scales; else it is only shifted.
    """
    nothing = np.zeros(core.shape, np.float32)
    if not core.any() or not around.any():
        return nothing
    nearer: list[list[_Ways]] = []
    for group in beside.groups():
        ways = [_ways(other, flow, core, around, is_known=is_known) for other, flow in group]
        if _farthest(ways) >= _TELLING:
            told, moved = _told(beside.picture, ways, core, around)
            if moved >= _TELLING:
                return told
        nearer.append(ways)
    best, most = nothing, _LEAST
    # Where motion differs most, it tells most; the others need not be looked at cell by cell.
    for ways in sorted(nearer, key=_farthest, reverse=True):
        if _farthest(ways) > most:
            told, moved = _told(beside.picture, ways, core, around)
            best, most = (told, moved) if moved > most else (best, most)
    return best


@dataclass(frozen=True, eq=False)
class _Ways:
    """What moves from a picture to another one."""

    other: Picture
    along: Fit
    """Of the thing."""
    behind: Fit
    """Of what is around it."""
    apart: float
    """Cells by which the thing has moved apart."""


def _ways(other: Picture, flow: Flow, core: Mask, around: Mask, *, is_known: bool) -> _Ways:
    behind = fitted_to(flow, around.astype(np.float32))
    along = fitted_to(flow, core.astype(np.float32)) if is_known else _shift(np.median(flow[core], axis=0))
    down, across = np.nonzero(core)
    apart = as_matrix(along - behind) @ np.stack([across, down, np.ones_like(down)]) - (across, down)
    return _Ways(other, along, behind, float(np.hypot(*apart).mean()))


def _shift(by: Map) -> Fit:
    fit = np.zeros((3, 2))
    fit[2] = by
    return fit


def _farthest(ways: Sequence[_Ways]) -> float:
    return max((way.apart for way in ways), default=0.0)


def _told(picture: Picture, ways: Sequence[_Ways], core: Mask, around: Mask) -> tuple[Map, float]:
    """Return what pictures say of each cell, and how far the thing has moved apart in those of the same scene."""
    found = [(_errors(picture, way, core, around), way.apart) for way in ways]
    same = [(errors, apart) for errors, apart in found if errors is not None]
    if not same:
        return np.zeros(core.shape, np.float32), 0.0
    # What is hidden in one picture shows in the other: the lesser error of each motion is the true one.
    along, behind = np.minimum.reduce([errors for errors, _ in same])
    is_seen = np.isfinite(along) & np.isfinite(behind)
    along, behind = np.where(is_seen, along, 0), np.where(is_seen, behind, 0)
    told: Map = np.clip((behind - along) / np.float32(_DIFFERENCE), -1, 1)
    # What neither motion explains is hidden in the other picture.
    trust = 1 / (1 + np.square(along / np.float32(_UNLIKE)))
    apart = max(apart for _, apart in same)
    return np.where(told > 0, told * trust, told) * np.float32(min(1.0, apart / _APART)), apart


def _errors(picture: Picture, way: _Ways, core: Mask, around: Mask) -> Map | None:
    """Return each cell's errors (2, rows, columns): of moving along and of staying; or None in another scene."""
    moved, stayed = (_error(picture, way.other, motion) for motion in (way.along, way.behind))
    if float(np.median(moved[core])) > _ANOTHER or float(np.median(stayed[around][::_FEWER])) > _ANOTHER:
        return None
    # What stays behind may be hidden by the thing there, and then looks like nothing that was here. Where the
    # surroundings look alike as far on, they seem to move along with the thing: that tells nothing either.
    alike = _error(picture, picture, way.along - way.behind)
    np.minimum(stayed, alike, out=stayed, where=np.isfinite(alike))
    return np.stack([moved, stayed])


def _error(picture: Picture, other: Picture, motion: Fit) -> Map:
    """Return how far each cell's colour is from that where motion takes it; infinite outside of the picture."""
    rows, columns = picture.shape[:2]
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    taken = cv2.warpAffine(other, as_matrix(motion), (columns, rows), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    differs = cv2.transform(cv2.absdiff(picture, taken).astype(np.float32), _MEAN)
    error: Map = cv2.blur(differs, (3, 3))
    across, down = _axes(motion, rows, columns)
    error[(across < 0) | (across > columns - 1) | (down < 0) | (down > rows - 1)] = np.inf
    return error


def _axes(motion: Fit, rows: int, columns: int) -> tuple[Map, Map]:
    """Return where each cell goes: columns and rows."""
    (right, over, start), (below, under, first) = as_matrix(motion).astype(np.float32)
    x, y = np.arange(columns, dtype=np.float32), np.arange(rows, dtype=np.float32)[:, None]
    return y * over + (x * right + start), y * under + first + x * below
