"""Which cells of a picture move along with a thing in it, and which with what is around it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import cv2
import numpy as np

from birefvideo.directing.coarse import Picture
from birefvideo.directing.one_motion import as_one
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
_MEAN = np.full((1, 3), 1 / 3, np.float32)


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
    best, most = nothing, _LEAST
    for group in beside.groups():
        found = [_odds(beside.picture, other, flow, core, around, is_known=is_known) for other, flow in group]
        odds = [one for one in found if one is not None]
        apart = max((moved for _, moved in odds), default=0.0)
        if apart > most:
            # What is hidden in one picture shows in the other: the lesser error of each motion is the true one.
            errors = np.min([one for one, _ in odds], axis=0)
            best, most = _told(errors) * np.float32(min(1.0, apart / _APART)), apart
        if apart >= _TELLING:
            break
    return best


def _told(errors: Map) -> Map:
    """Return what the errors (2, rows, columns) of moving along and of staying behind say of each cell."""
    is_seen = np.isfinite(errors).all(axis=0)
    along, behind = np.where(is_seen, errors, 0)
    told: Map = np.clip((behind - along) / np.float32(_DIFFERENCE), -1, 1)
    # What neither motion explains is hidden in the other picture.
    trust = 1 / (1 + np.square(along / np.float32(_UNLIKE)))
    return np.where(told > 0, told * trust, told).astype(np.float32)


def _odds(
    picture: Picture, other: Picture, flow: Flow, core: Mask, around: Mask, *, is_known: bool
) -> tuple[Map, float] | None:
    """Return each cell's (errors of both motions, how far the thing moved apart), or None in another scene."""
    behind = as_one(flow, around.astype(np.float32))
    shift = np.full_like(flow, np.median(flow[core], axis=0))
    along = as_one(flow, core.astype(np.float32)) if is_known else shift
    moved, stayed = (_error(picture, other, motion) for motion in (along, behind))
    if float(np.median(moved[core])) > _ANOTHER or float(np.median(stayed[around])) > _ANOTHER:
        return None
    # What stays behind may be hidden by the thing there, and then looks like nothing that was here. Where the
    # surroundings look alike as far on, they seem to move along with the thing: that tells nothing either.
    alike = _error(picture, picture, along - behind)
    stayed = np.where(np.isfinite(alike), np.minimum(stayed, alike), stayed)
    return np.stack([moved, stayed]), float(np.sqrt(np.square((along - behind)[core]).sum(axis=-1)).mean())


def _error(picture: Picture, other: Picture, motion: Map) -> Map:
    """Return how far each cell's colour is from that where motion takes it; infinite outside of the picture."""
    rows, columns = motion.shape[:2]
    home = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), axis=-1).astype(np.float32)
    at = home + motion
    taken = cv2.remap(other, at[..., 0], at[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    error: Map = cv2.transform(cv2.blur(cv2.absdiff(picture, taken), (3, 3)).astype(np.float32), _MEAN)
    across, down = cv2.split(at)
    error[(across < 0) | (across > columns - 1) | (down < 0) | (down > rows - 1)] = np.inf
    return error
