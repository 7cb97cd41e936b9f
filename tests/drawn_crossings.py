"""Drawn people who walk, cross and come back, with exact truth of who is where: clips for tests of directions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from birefvideo.directing.coarse import CoarseClip, Picture
from birefvideo.frames import Alpha

COLUMNS, ROWS = 320, 180
RATE = 24


@dataclass(frozen=True)
class Walker:
    """Somebody drawn: a head on a body, with a pattern of their own."""

    colour: tuple[int, int, int]
    """Of the clothes."""
    way: Callable[[int], float]
    """Where they are across in a frame, in coarse pixels; far outside is nowhere."""
    seed: int
    """Of the pattern."""
    size: float = 1.0
    """Of the whole."""

    def mask(self, frame: int) -> NDArray[np.float32]:
        """Return their alpha in a frame as if nobody were in front, float32 (rows, columns)."""
        x, scale, shift = self.way(frame), self.size, 16
        large = np.zeros((ROWS * 4, COLUMNS * 4), np.uint8)

        def at(value: float) -> int:
            return round(value * 4 * shift)

        floor = ROWS + 4.0
        for y, a, b in ((floor - 105 * scale, 15.0, 18.0), (floor - 30 * scale, 28.0, 62.0)):
            axes = (at(a * scale), at(b * scale))
            cv2.ellipse(large, (at(x), at(y)), axes, 0, 0, 360, 255, -1, shift=4)
        return cv2.resize(large, (COLUMNS, ROWS), interpolation=cv2.INTER_AREA).astype(np.float32) / np.float32(255)

    def picture(self, frame: int) -> NDArray[np.float32]:
        """Return what they look like, everywhere: skin above, clothes with a pattern below."""
        rng = np.random.default_rng(self.seed)
        pattern = cv2.resize(rng.normal(0, 22, (ROWS // 4, COLUMNS // 4)).astype(np.float32), (COLUMNS, ROWS))
        plain = np.empty((ROWS, COLUMNS, 3), np.float32)
        plain[:] = self.colour
        plain[: int(ROWS + 4 - 88 * self.size)] = (200, 150, 120)
        plain += pattern[..., None]
        move = np.array([[1, 0, self.way(frame) % COLUMNS], [0, 1, 0]], np.float32)
        return cv2.warpAffine(plain, move, (COLUMNS, ROWS), borderMode=cv2.BORDER_WRAP)


class DrawnClip(CoarseClip):
    """A coarse clip of walkers; those further on in the list are in front."""

    def __init__(self, walkers: Sequence[Walker], frames: int) -> None:
        super().__init__([], [], [], (4 * COLUMNS, 4 * ROWS))
        self._pts, self._seconds = list(range(frames)), [frame / RATE for frame in range(frames)]
        self._walkers = walkers
        rng = np.random.default_rng(99)
        room = cv2.resize(rng.normal(110, 25, (ROWS // 12, COLUMNS // 12, 3)).astype(np.float32), (COLUMNS, ROWS))
        self._room = room
        self._drawn: dict[int, Picture] = {}
        self._mattes: dict[int, Alpha] = {}

    def picture(self, number: int) -> Picture:
        """Return what a camera sees, with its noise."""
        if number in self._drawn:
            return self._drawn[number]
        seen = self._room.copy()
        for walker in self._walkers:
            mask = walker.mask(number)[..., None]
            seen += mask * (walker.picture(number) - seen)
        seen += np.random.default_rng(1000 + number).normal(0, 2, seen.shape)
        self._drawn[number] = np.rint(np.clip(seen, 0, 255)).astype(np.uint8)
        return self._drawn[number]

    def alpha(self, number: int) -> Alpha:
        """Return the alpha of all of them."""
        if number in self._mattes:
            return self._mattes[number]
        clear = np.ones((ROWS, COLUMNS), np.float32)
        for walker in self._walkers:
            clear *= 1 - walker.mask(number)
        self._mattes[number] = np.rint((1 - clear) * 255).astype(np.float32) / np.float32(255)
        return self._mattes[number]

    def truth(self, number: int, who: int) -> NDArray[np.float32]:
        """Return what is to be seen of one of them, float32 (rows, columns)."""
        seen = self._walkers[who].mask(number)
        for walker in self._walkers[who + 1 :]:
            seen = seen * (1 - walker.mask(number))
        return seen
