"""Telling a small step in a sound's times from jitter and from a clock that runs a little fast."""

from __future__ import annotations

from collections import deque
from fractions import Fraction
from statistics import median

from birefvideo.media.writing.audio import JITTER

_STEP = Fraction(3, 2000)
"""Seconds; Matroska's and FLV's rounding is less."""
_WITNESSES = 9
"""Frames that have to agree that a step is one."""


class StepFinder:
    """Compares the times of frames with their lengths added up."""

    def __init__(self) -> None:
        self._clock: Fraction | None = None
        self._offsets: deque[Fraction] = deque(maxlen=2 * _WITNESSES)
        self._since = _WITNESSES  # frames since the last sudden change

    def add(self, time: Fraction, length: Fraction) -> bool:
        """Take in a frame's time and length, in seconds; return whether sound is to be put in place from it on.

        Steps of more than JITTER are for the resampler, at once.
        """
        offset = Fraction(0) if self._clock is None else time - self._clock
        if self._clock is None or abs(offset) > JITTER:
            self._restart(time + length)
            return False
        self._clock += length
        if self._offsets and abs(offset - self._offsets[-1]) > _STEP:
            self._since = 0
        self._offsets.append(offset)
        self._since += 1
        if self._since != _WITNESSES or len(self._offsets) <= _WITNESSES:
            return False
        known = list(self._offsets)
        if abs(median(known[-_WITNESSES:]) - median(known[:-_WITNESSES])) <= _STEP:
            return False
        self._restart(time + length)
        return True

    def _restart(self, clock: Fraction) -> None:
        self._clock = clock
        self._offsets.clear()
        self._since = _WITNESSES
