"""People who touch from the first frame to the last: parted between their heads, and carried from there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import permutations

import cv2
import numpy as np
from numpy.typing import NDArray

from birefvideo.directing.apart import Beside, pictures_beside
from birefvideo.directing.coarse import CoarseClip
from birefvideo.directing.heads import heads_of
from birefvideo.directing.layers import Shares
from birefvideo.directing.parting import parted
from birefvideo.directing.pieces import pieces_of
from birefvideo.directing.runs import Run
from birefvideo.directing.split import Carrier, score
from birefvideo.matting.grid import Mask

_LOOKED_AT = 15
"""Frames of a run in which heads are counted."""
_PARTED_AT, _AWAY = 5, 12
"""Of these frames, in how many at most people are parted anew; and how many frames such ones lie apart at least."""
_MOST = 5
"""Heads that are told apart."""
_USUALLY = 0.8
"""Share of these frames that show several heads, if they are people's: an arm is not held up so long."""


class Couple:
    """One run in which several people touch all the time.

    Args:
        clip: the clip.
        run: of it; what it is taken for does not matter.
    """

    def __init__(self, clip: CoarseClip, run: Run) -> None:
        self._clip, self._run = clip, run
        steps = np.linspace(run.first, run.last, min(_LOOKED_AT, run.last - run.first + 1))
        found = {frame: len(heads_of(self._mask(frame))) for frame in sorted({round(step) for step in steps.tolist()})}
        several = [count for count in found.values() if 2 <= count <= _MOST]
        self.count = max(set(several), key=several.count) if len(several) >= _USUALLY * len(found) else 1
        """How many people there are; 1 where there is no telling."""
        known = [frame for frame, count in found.items() if count == self.count]
        most = min(_PARTED_AT, 1 + (known[-1] - known[0]) // _AWAY, len(known)) if known else 0
        steps = np.linspace(0, len(known) - 1, most)
        self._beside = {
            frame: Beside(clip.picture(frame), pictures_beside(clip, frame))
            for frame in (known[round(step)] for step in steps.tolist())
        }

    def names(self) -> Iterator[tuple[int, Mask, NDArray[np.intp]]]:
        """Yield (frame, the run's cells, whose each cell is) in order of time; people are counted from the left."""
        first, last = min(self._beside), max(self._beside)
        start, looks = self._parted(first, None)
        forward = {frame: _packed(shares) for frame, shares in self._carried(start, looks, first, self._run.last)}
        end, looks = self._parted(last, _unpacked(forward[last])) if last > first else (start, looks)
        back = {frame: _packed(shares) for frame, shares in self._carried(end, looks, last, self._run.first)}
        for frame in range(self._run.first, self._run.last + 1):
            mask = self._mask(frame)
            past, future = (_unpacked(one[frame]) if frame in one else None for one in (forward, back))
            # Where one pass has begun it knows the least.
            weight = 1 - min(max((frame - first) / max(1, last - first), 0.0), 1.0)
            weight = weight if past and future else float(past is None)
            scores = [
                score(past[i] if past else None, future[i] if future else None, weight, mask) for i in range(self.count)
            ]
            yield frame, mask, np.argmax(np.stack(scores), axis=0)

    def _mask(self, frame: int) -> Mask:
        labels, _ = pieces_of(self._clip.alpha(frame))
        mask: Mask = labels == self._run.at(frame).label
        return mask

    def _parted(self, frame: int, expected: Shares | None) -> tuple[Shares, dict[int, NDArray[np.float64]]]:
        """Return who is where in a frame, and how they look, by the frame itself and by what is expected there."""
        mask = self._mask(frame)
        heads = heads_of(mask)
        if expected is not None:
            orders = permutations(heads)
            best = max(orders, key=lambda order: sum(float(expected[i][head].sum()) for i, head in enumerate(order)))
            heads = list(best)
        before = None if expected is None else [expected[i] for i in range(self.count)]
        shares, looks = parted(self._beside[frame], mask, heads, before)
        return dict(enumerate(shares)), dict(enumerate(looks))

    def _carried(
        self, shares: Shares, looks: dict[int, NDArray[np.float64]], start: int, end: int
    ) -> Iterator[tuple[int, Shares]]:
        """Yield (frame, shares) from one frame to another, either way."""
        carrier, people = Carrier(), list(range(self.count))
        yield start, shares
        step = 1 if end > start else -1
        for frame in range(start + step, end + step, step):
            pictures = self._clip.picture(frame - step), self._clip.picture(frame)
            shares = carrier.carried(shares, *pictures, [(self._mask(frame), people)], looks)
            if frame in self._beside:
                shares, looks = self._parted(frame, shares)
            yield frame, shares


def _packed(shares: Shares) -> list[NDArray[np.uint8]]:
    return [cv2.imencode(".png", np.rint(shares[i] * 255).astype(np.uint8))[1] for i in range(len(shares))]


def _unpacked(codes: Sequence[NDArray[np.uint8]]) -> Shares:
    planes = [cv2.imdecode(code, cv2.IMREAD_GRAYSCALE) for code in codes]
    return {i: plane.astype(np.float32) / np.float32(255) for i, plane in enumerate(planes) if plane is not None}
