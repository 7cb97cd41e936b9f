"""What is done to each frame by itself, after smoothing, so that it is exact: areas, mended frames, the garbage box."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction

import numpy as np

from birefvideo.directing.marks import KEEP, SUBJECT, Mark, Marks, Mend
from birefvideo.directing.mend import read_alpha
from birefvideo.directing.regions import covered
from birefvideo.frames import Alpha, AlphaFrame

_DECIDED = 0.5
"""Difference that the network's answer makes, under which they decide."""


@dataclass(frozen=True)
class Holds:
    """The plain areas and the mends of a clip; false where there are none."""

    marks: Marks = field(default_factory=Marks)
    """In pixels."""
    start: int = 0
    """pts of the clip's first frame."""
    time_base: Fraction = Fraction(1)
    """Seconds a tick."""
    mends: Mapping[int, Mend] = field(default_factory=dict)
    """The mends by the pts of their frames."""

    def __bool__(self) -> bool:
        plain = any(map(_is_plain, self.marks.marks))
        return plain or self.marks.garbage is not None or bool(self.mends)

    def acting(self, pts: Sequence[int]) -> str:
        """Return what tells from others all that is held in the frames at some times."""
        times = [(time - self.start) * self.time_base for time in pts]
        marks = [mark for mark in self.marks.marks if _is_plain(mark) and any(map(mark.acts_at, times))]
        return repr((marks, self.marks.garbage, [(time, self.mends[time]) for time in pts if time in self.mends]))

    def decide(self, pts: int, place: tuple[float, float], size: tuple[int, ...]) -> bool:
        """Return whether they say what alpha is in the frame at a time, at a place (across, down) in parts of it.

        Args:
            pts: of the frame.
            place: where.
            size: rows and columns of the picture.
        """
        if not self:
            return False
        row, column = (min(int(share * count), count - 1) for share, count in zip(place[::-1], size, strict=True))
        lowest, highest = (self.on(np.full(size, alpha, np.float32), pts)[row, column] for alpha in (0, 1))
        return bool(highest - lowest < _DECIDED)

    def held(self, frame: AlphaFrame) -> AlphaFrame:
        """Return a frame with its alpha as it is held.

        Raises:
            InputError: a mend's picture is not what it was.
        """
        return replace(frame, alpha=self.on(frame.alpha, frame.pts)) if self else frame

    def on(self, alpha: Alpha, pts: int) -> Alpha:
        """Return the alpha of the frame at a time; the array given is not written to."""
        time = (pts - self.start) * self.time_base
        is_mended = pts in self.mends
        if is_mended:
            alpha = read_alpha(self.mends[pts], *alpha.shape[::-1])
        for mark in () if is_mended else self.marks.marks:
            if not (_is_plain(mark) and mark.acts_at(time)):
                continue
            area = covered(mark.shape_at(time), alpha.shape, mark.feather)
            alpha = np.maximum(alpha, area) if mark.do == KEEP else np.minimum(alpha, 1 - area)
        if self.marks.garbage is not None:
            alpha = np.minimum(alpha, covered(self.marks.garbage, alpha.shape))
        return alpha


def _is_plain(mark: Mark) -> bool:
    return not mark.carry and mark.do != SUBJECT
