"""One mark carried over a clip: grown where it is drawn, followed both ways from there, and blended between."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise
from typing import Protocol

import cv2
import numpy as np

from birefvideo.directing.apart import pictures_beside
from birefvideo.directing.coarse import Picture
from birefvideo.directing.follow import LOST, Follower
from birefvideo.directing.grow import grown
from birefvideo.directing.marks import Mark, Shape, nearest_frame
from birefvideo.directing.regions import covered
from birefvideo.frames import Alpha
from birefvideo.matting.grid import Map, Mask

_SURE = 0.15
"""Likeness above that of a thing which is gone, from which on a mask counts in full."""
_FRINGE = 5
"""Cells around a thing in which fainter alpha may be its edge."""
_TRACE, _SOLID = 0.03, 0.8
"""Alpha from which on there is something, and below which nobody would call it solid."""


class Clip(Protocol):
    """What is looked at: a `CoarseClip`."""

    @property
    def full_size(self) -> tuple[int, int]:
        """(width, height) of the clip's own pictures."""

    def __len__(self) -> int:
        """Return how many frames there are."""

    def seconds(self, number: int) -> float:
        """Return the time of a frame in seconds from the clip's first one."""

    def picture(self, number: int) -> Picture:
        """Return the coarse picture of a frame."""

    def alpha(self, number: int) -> Alpha:
        """Return the coarse alpha of a frame."""


class Carried:
    """The masks of a mark in the frames around those in which it is drawn.

    Args:
        mark: in pixels of the clip.
        others: marks that may claim cells of the same pictures.
        clip: the clip.
        times: of its frames.
    """

    def __init__(self, mark: Mark, others: list[Mark], clip: Clip, times: list[Fraction]) -> None:
        self._mark, self._clip = mark, clip
        self._others = [other for other in others if other.do != mark.do]
        self._times = times
        self._within = [number for number, time in enumerate(times) if mark.acts_at(time)]
        self.lost: list[int] = []
        """Frames at which the thing was lost from sight."""
        self.missed: list[int] = []
        """Frames in which it is drawn but nothing was found."""

    def anchors(self) -> list[int]:
        """Return the frames in which it is drawn."""
        return [_number(key.time, self._mark, self._times) for key in self._mark.keys]

    def masks(self) -> Iterator[tuple[int, Map]]:
        """Yield (number of a frame, mask in [0, 1]), each frame at most once, in no order; the others have none.

        It may be drawn where it does not act: the thing is then followed to where it does.
        """
        within = set(self._within)
        for number, mask in self._all_masks():
            if number in within:
                yield number, mask

    def _all_masks(self) -> Iterator[tuple[int, Map]]:
        drawn = zip(self.anchors(), self._mark.keys, strict=True)
        anchors = {number: self._grown(number, key.shape) for number, key in drawn}
        numbers = sorted(anchors)
        for number in numbers:
            yield number, anchors[number]
        if not self._within:
            return
        first, last = self._within[0], self._within[-1]
        for number, mask in self._run(anchors, numbers[0], range(numbers[0] - 1, first - 1, -1)):
            yield number, mask
        for number, mask in self._run(anchors, numbers[-1], range(numbers[-1] + 1, last + 1)):
            yield number, mask
        for one, two in pairwise(numbers):
            yield from self._between(anchors, one, two)

    def _grown(self, number: int, shape: Shape) -> Map:
        picture, alpha = self._clip.picture(number), self._clip.alpha(number)
        against = np.zeros(alpha.shape, np.bool_)
        for other in self._others:
            for key in other.keys:
                if _number(key.time, other, self._times) == number:
                    against |= covered(self._in_cells(key.shape, alpha), alpha.shape) >= 0.5
        mask = grown(
            picture, alpha, self._in_cells(shape, alpha), against, self._mark.do, pictures_beside(self._clip, number)
        )
        if not mask.any():
            self.missed.append(number)
        return mask

    def _in_cells(self, shape: Shape, alpha: Alpha) -> Shape:
        width, height = self._clip.full_size
        rows, columns = alpha.shape
        return shape.scaled(columns / width, rows / height)

    def _run(self, anchors: dict[int, Map], start: int, numbers: range) -> Iterator[tuple[int, Map]]:
        """Yield the masks of successive frames until the thing is lost."""
        for number, mask, sure in self._followed(anchors[start], start, numbers):
            yield number, mask * np.float32(sure)

    def _between(self, anchors: dict[int, Map], one: int, two: int) -> Iterator[tuple[int, Map]]:
        """Yield the masks between two frames: carried from both, the nearer one counting for more."""
        numbers = range(one + 1, two)
        onward = {n: (mask, sure) for n, mask, sure in self._followed(anchors[one], one, numbers)}
        back = {n: (mask, sure) for n, mask, sure in self._followed(anchors[two], two, numbers[::-1])}
        nothing = np.zeros_like(anchors[one]), 0.0
        for number in numbers:
            share = (number - one) / (two - one)
            (early, sure), (late, certain) = onward.pop(number, nothing), back.pop(number, nothing)
            weights = (1 - share) * sure, share * certain
            if sum(weights):
                mixed = (weights[0] * early + weights[1] * late) * (max(sure, certain) / sum(weights))
                yield number, mixed.astype(np.float32)

    def _followed(self, mask: Map, start: int, numbers: range) -> Iterator[tuple[int, Map, float]]:
        if not mask.any():
            return
        follower = Follower(self._clip.picture(start), mask)
        for number in numbers:
            found, likeness = follower.next(self._clip.picture(number))
            if likeness == 0:
                self.lost.append(number)
                return
            yield number, found, sureness(likeness)


def sureness(likeness: float) -> float:
    """Return how much a mask counts whose thing looks so like itself."""
    return min(max((likeness - LOST) / _SURE, 0.0), 1.0)


def _number(time: Fraction | None, mark: Mark, times: list[Fraction]) -> int:
    return nearest_frame(mark.name, times[0] if time is None else time, times)


def claimed(mask: Map, alpha: Alpha) -> Map:
    """Return the mask of a thing with the faint alpha that is left of it: around it, and beside it in pieces.

    Nothing else is nearer to the one; the others touch the thing and are solid nowhere.
    """
    own: Mask = mask > 0.5
    others = (alpha > 0.5) & ~own
    to_own = cv2.distanceTransform((~own).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
    to_others = cv2.distanceTransform((~others).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
    fringe = (to_own < to_others) & (to_own <= _FRINGE)
    result: Map = np.maximum(mask, fringe.astype(np.float32))
    left = alpha * (1 - result)
    count, pieces = cv2.connectedComponents((left > _TRACE).view(np.uint8), connectivity=8)
    most, touches = np.zeros(count, np.float32), np.zeros(count, np.bool_)
    np.maximum.at(most, pieces.ravel(), left.ravel())
    touches[pieces[to_own <= _FRINGE + 1]] = True
    faint = touches & (most < _SOLID)
    faint[0] = False
    result[faint[pieces]] = 1
    return result
