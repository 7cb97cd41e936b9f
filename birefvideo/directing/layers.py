"""People who touch as layers: each moves by themselves, and one is in front of the other.

Motion that is searched cell by cell is wrong where one person covers another, and that is just where they are to be
parted. Each person's own motion is known well inside of them, and goes on to their edge.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TypeAlias

import cv2
import numpy as np

from birefvideo.directing.coarse import Picture
from birefvideo.directing.one_motion import spread_out
from birefvideo.matting.grid import Map, Mask
from birefvideo.matting.motion import falloff, sample

_SPREAD = 6.0
"""Of the side of a person, one part in so many is how far their cells move together."""
_UNLIKE = 16.0
"""Codes by which a cell differs from what is carried there at which that explains it to a quarter."""
_RIM = np.ones((5, 5), np.uint8)
_MEAN = np.full((1, 3), 1 / 3, np.float32)
_KEPT = 0.9
"""Of what told who is in front, what still counts a frame later."""
_FEW = 10.0
"""Cells that tell who is in front by which that is believed to a half."""

Shares: TypeAlias = "dict[int, Map]"
"""How much each pixel is of each person, by the person's number: float32 (rows, columns)."""
Maps: TypeAlias = "list[Map]"


@dataclass(frozen=True, eq=False)
class Way:
    """Where the cells of a part of a picture were in another one."""

    home: Map
    """Their places in their own picture: column and row."""
    back: Map
    """Where they were, relative to that, as it is searched cell by cell."""
    trust: Map
    """In that, in [0, 1]."""


class Layers:
    """Explains cells by who moves there; for one pass over a clip, one way in time."""

    def __init__(self) -> None:
        self._told: dict[tuple[int, int], tuple[float, float]] = {}
        """(by how much the first is in front, cells that told it) of two people, the lower number first."""

    def explained(self, shares: Shares, one: Picture, other: Picture, way: Way, mask: Mask, who: Sequence[int]) -> Maps:
        """Return how far each cell is explained as each person's, in [0, 1].

        Args:
            shares: how much each cell is of each person in the picture that they are carried from.
            one: that picture.
            other: a part of the one that they are carried to.
            way: from the cells of that part back to the other picture.
            mask: the part's cells in which people touch.
            who: these people's numbers.
        """
        found: dict[int, tuple[Map, Map]] = {}
        for person in who:
            if person in shares:
                at = way.home + _own_motion(shares[person], way)
                taken = cv2.remap(one, at, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
                differs = cv2.blur(cv2.absdiff(taken, other), (3, 3)).astype(np.float32)
                found[person] = sample(shares[person], at), falloff(cv2.transform(differs, _MEAN), _UNLIKE)
        self._learn(found, mask)
        return [self._unhidden(person, found, mask.shape) for person in who]

    def apart(self, people: Sequence[Sequence[int]]) -> None:
        """Forget who is in front of whom, but of those who touch: groups of numbers."""
        touching = {pair for group in people for pair in combinations(sorted(group), 2)}
        self._told = {pair: told for pair, told in self._told.items() if pair in touching}

    def _learn(self, found: dict[int, tuple[Map, Map]], mask: Mask) -> None:
        """Take note of who is seen where two of them would be."""
        for one, other in combinations(sorted(found), 2):
            both = np.minimum(found[one][0], found[other][0]) * mask
            more = both * (found[one][1] - found[other][1])
            front, cells = self._told.get((one, other), (0.0, 0.0))
            total = _KEPT * cells + cv2.sumElems(np.abs(more))[0]
            self._told[one, other] = (_KEPT * front + cv2.sumElems(more)[0], total)

    def _front(self, one: int, other: int) -> float:
        """Return how sure it is that one is in front of another, in [0, 1]."""
        front, cells = self._told.get((min(one, other), max(one, other)), (0.0, 0.0))
        return min(max((front if one < other else -front) / (cells + _FEW), 0.0), 1.0)

    def _unhidden(self, person: int, found: dict[int, tuple[Map, Map]], shape: tuple[int, ...]) -> Map:
        """Return what is explained as a person's, but for what those in front of them hide."""
        if person not in found:
            return np.zeros(shape, np.float32)
        left = found[person][0] * found[person][1]
        for other, (share, alike) in found.items():
            front = self._front(other, person) if other != person else 0.0
            if front:
                left *= 1 - np.float32(front) * share * alike
        return left


def _own_motion(share: Map, way: Way) -> Map:
    """Return where a person's cells were, relative to their places, as the inside of them has moved."""
    inside = sample(cv2.erode(share, _RIM), way.home + way.back)
    spread = max(float(np.sqrt(cv2.sumElems(share)[0])) / _SPREAD, 1.5)
    return spread_out(way.back, inside * np.square(way.trust), spread)
