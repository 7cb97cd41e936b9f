"""How steady a matte is: coverage and flicker of every frame, and the frames that look wrong. Nothing of it feeds back.

Per frame this costs a mean over alpha (which the job takes anyway) and a few thousand samples on a coarse grid.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from birefvideo.frames import Alpha

_GRID = 54
"""Least number of samples along a picture's short side, where it has as many pixels."""
_WINDOW = 5
"""Frames before and after a frame that define what is normal for it."""
_LEAST_COVERAGE = 0.01
"""Share of the picture under which a subject is too small to be missed."""
_LEAST_FLICKER = 0.004
"""Flicker that is never suspected, in alpha averaged over the picture."""

Samples = NDArray[np.uint8]
"""Alpha on the coarse grid, 0 to 255, flat."""


@dataclass
class Curve:
    """Coverage and flicker of consecutive frames, gathered one by one in constant memory beside the figures.

    Flicker is the mean over the picture of |alpha - (alpha before + alpha after) / 2|: even motion cancels, what
    comes and goes does not. A frame's is known once the next frame is.
    """

    coverage: list[float] = field(default_factory=list)
    """Share of the picture that is foreground, 0 to 1, of every frame."""
    flicker: list[float] = field(default_factory=list)
    """0 to 1, of every frame but the first and the last."""
    head: list[str] = field(default_factory=list)
    """Samples of the first two frames, base64."""
    tail: list[str] = field(default_factory=list)
    """Samples of the last two frames, base64."""

    def __post_init__(self) -> None:
        self._last = [_decoded(text) for text in self.tail]

    def add(self, alpha: Alpha) -> None:
        """Take note of the next frame's alpha."""
        samples = _sampled(alpha)
        self.coverage.append(round(float(alpha.mean()), 6))
        if len(self._last) == 2:
            self.flicker.append(_flicker(self._last[0], self._last[1], samples))
        self._last = [*self._last[-1:], samples]
        text = _encoded(samples)
        self.tail = [*self.tail[-1:], text]
        if len(self.head) < 2:
            self.head.append(text)


@dataclass(frozen=True)
class Suspect:
    """A frame whose matte looks wrong."""

    frame: int
    """Its index."""
    kind: str
    """'dropout' (the subject goes and comes back), 'jump' (coverage changes at once) or 'flicker'."""


def joined(curves: Sequence[Curve]) -> tuple[list[float], list[float]]:
    """Return (coverage, flicker) of every frame of the segments' curves in order.

    At either end of the clip flicker cannot be measured: there the figure is that of the frame beside.
    """
    coverage: list[float] = []
    flicker: list[float] = []
    known: dict[int, Samples] = {}
    unknown: list[int] = []
    for curve in curves:
        first, count = len(coverage), len(curve.coverage)
        if not count:
            continue
        coverage += curve.coverage
        inner = list(curve.flicker)
        flicker += ([0.0, *inner, 0.0])[:count] if count > 1 else [0.0]
        known |= {first + i: _decoded(text) for i, text in enumerate(curve.head)}
        known |= {first + count - len(curve.tail) + i: _decoded(text) for i, text in enumerate(curve.tail)}
        unknown += [first, first + count - 1]
    for index in unknown:
        around = [known.get(index + step) for step in (-1, 0, 1)]
        samples = [one for one in around if one is not None]
        if len(samples) == 3:
            flicker[index] = _flicker(*samples)
    if len(flicker) > 2:
        flicker[0], flicker[-1] = flicker[1], flicker[-2]
    return coverage, flicker


def suspects(coverage: Sequence[float], flicker: Sequence[float]) -> list[Suspect]:
    """Return the frames to look at, in order; of a run of flickering frames, only the worst."""
    shares, shakes = np.asarray(coverage, float), np.asarray(flicker, float)
    found: dict[int, str] = {}
    for index in range(len(shares)):
        before = shares[max(0, index - _WINDOW) : index]
        after = shares[index + 1 : index + 1 + _WINDOW]
        if _is_dropout(shares[index], before, after):
            found[index] = "dropout"
        elif _is_jump(shares, index):
            found[index] = "jump"
    for index in _flickering(shakes):
        if not any(near in found for near in range(index - 2, index + 3)):
            found[index] = "flicker"
    return [Suspect(index, found[index]) for index in sorted(found)]


def _is_dropout(share: float, before: NDArray[np.float64], after: NDArray[np.float64]) -> bool:
    if not len(before) or not len(after):
        return False
    usual = min(np.median(before), after.max())
    return bool(usual >= _LEAST_COVERAGE and share < 0.6 * usual)


def _is_jump(shares: NDArray[np.float64], index: int) -> bool:
    """Return whether coverage steps to another level at `index` and stays there."""
    before = shares[max(0, index - _WINDOW) : index]
    after = shares[index : index + _WINDOW]
    if len(before) < 2 or len(after) < 2:
        return False
    step = abs(shares[index] - shares[index - 1])
    restless = max(np.abs(np.diff(before)).max(), np.abs(np.diff(after)).max())
    level = max(np.median(before), np.median(after))
    return bool(level >= _LEAST_COVERAGE and step > 0.25 * level and step > 3 * restless)


def _flickering(shakes: NDArray[np.float64]) -> list[int]:
    """Return the worst frame of every run whose flicker stands out from the frames around."""
    usual = np.array([np.median(shakes[max(0, i - 2 * _WINDOW) : i + 2 * _WINDOW + 1]) for i in range(len(shakes))])
    runs: list[list[int]] = []
    for index in np.flatnonzero(shakes > np.maximum(_LEAST_FLICKER, 5 * usual)):
        if runs and index - runs[-1][-1] <= 2:
            runs[-1].append(int(index))
        else:
            runs.append([int(index)])
    return [max(run, key=lambda i: float(shakes[i])) for run in runs]


def _sampled(alpha: Alpha) -> Samples:
    step = max(1, min(alpha.shape) // _GRID)
    samples: Samples = (alpha[step // 2 :: step, step // 2 :: step] * 255 + 0.5).astype(np.uint8).ravel()
    return samples


def _flicker(before: Samples, samples: Samples, after: Samples) -> float:
    middle = (before.astype(np.int16) + after) / 2
    return round(float(np.abs(samples - middle).mean()) / 255, 6)


def _encoded(samples: Samples) -> str:
    return base64.b64encode(samples.tobytes()).decode()


def _decoded(text: str) -> Samples:
    return np.frombuffer(base64.b64decode(text), np.uint8)
