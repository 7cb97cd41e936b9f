"""Errors of a video matte against the true one, with the definitions and scales that the papers' tables use.

Every function takes float32 (height, width) arrays in [0, 1] of one size. `ClipScore` gathers a whole clip frame by
frame in constant memory. Scales are those of Lin et al., "Robust High-Resolution Video Matting with Temporal Guidance"
(WACV 2022; RVM below): MAD and MSE × 10³, Grad and Conn ÷ 10³, dtSSD × 10².

Smaller is better everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from birefvideo.errors import InputError
from birefvideo.frames import Alpha

BAND_RADIUS = 3
"""How far the edge band reaches from soft truth, in pixels (a square neighbourhood)."""

Colours = NDArray[np.float32]
"""R'G'B' colours, float32 (height, width, 3) in [0, 1]."""

_SOFT_LOW, _SOFT_HIGH = 0.02, 0.98
_STILL = 1.5 / 255
"""Truth that changes by less than this stands still: a code up or down in 8 bits is rounding."""
_CONN_STEP, _CONN_TOLERANCE = 0.1, 0.15


def mad(alpha: Alpha, truth: Alpha) -> float:
    """Mean absolute difference × 10³ over all pixels (RVM)."""
    return float(np.abs(alpha - truth).mean(dtype=np.float64)) * 1e3


def mse(alpha: Alpha, truth: Alpha) -> float:
    """Mean squared error × 10³ over all pixels (RVM)."""
    return float(np.square(alpha - truth).mean(dtype=np.float64)) * 1e3


def grad(alpha: Alpha, truth: Alpha) -> float:
    """Sum of squared differences of gradient magnitudes ÷ 10³.

    Gradients are first-order Gaussian derivatives, sigma 1.4, filters of unit energy (Rhemann et al., "A Perceptually
    Motivated Online Benchmark for Image Matting", CVPR 2009). The common code stretches both mattes to [0, 1] first;
    that changes nothing where a frame holds 0 and 1, and is left out because it blows up noise where one does not.
    """
    difference = _gradient_magnitude(alpha) - _gradient_magnitude(truth)
    return float(np.square(difference).sum(dtype=np.float64)) / 1e3


def conn(alpha: Alpha, truth: Alpha) -> float:
    """Return the connectivity error ÷ 10³: how differently the pixels hang on to the body of the foreground.

    A pixel's level is the highest of 0, 0.1 … 1 at which it still belongs to the largest 4-connected region where both
    mattes reach that level; what a matte has above that level counts from 0.15 on (Rhemann et al., CVPR 2009, with
    theta = 0.15, p = 1; steps as in the code of RVM).
    """
    level = np.ones(truth.shape, np.float32)
    connected = np.ones(truth.shape, bool)
    for step in range(1, round(1 / _CONN_STEP) + 1):
        threshold = np.float32(step * _CONN_STEP)
        still = _largest_region((alpha >= threshold) & (truth >= threshold))
        level[connected & ~still] = (step - 1) * _CONN_STEP
        connected &= still
    return float(np.abs(_disconnected(alpha - level) - _disconnected(truth - level)).sum(dtype=np.float64)) / 1e3


def dtssd(alpha: Alpha, previous: Alpha, truth: Alpha, previous_truth: Alpha) -> float:
    """Root mean square difference of the temporal derivatives of matte and truth × 10².

    Erofeev et al., "Perceptually Motivated Benchmark for Video Matting" (BMVC 2015), over all pixels as in RVM.
    """
    return math.sqrt(float(np.square((alpha - previous) - (truth - previous_truth)).mean(dtype=np.float64))) * 1e2


def edge_band(truth: Alpha) -> NDArray[np.bool_]:
    """Mark the pixels within `BAND_RADIUS` of soft truth, soft being between 0.02 and 0.98.

    The band is where mattes differ visibly; an error averaged over the whole picture mostly measures its empty part.
    """
    soft = ((truth > _SOFT_LOW) & (truth < _SOFT_HIGH)).astype(np.uint8)
    side = 2 * BAND_RADIUS + 1
    band: NDArray[np.bool_] = cv2.dilate(soft, np.ones((side, side), np.uint8)) > 0
    return band


def flicker(alpha: Alpha, previous: Alpha, truth: Alpha, previous_truth: Alpha) -> float | None:
    """Mean absolute change × 10³ of the matte at those pixels of the edge band where truth stands still, or None.

    Our own: dtSSD mixes flicker with motion that is followed badly; where nothing moves, every change is flicker.
    """
    still = _still_band(truth, previous_truth)
    return float(np.abs(alpha - previous)[still].mean(dtype=np.float64)) * 1e3 if still.any() else None


def foreground_sad(colours: Colours, true_colours: Colours, truth: Alpha) -> float:
    """Sum of absolute differences ÷ 10³ of straight colours, averaged over channels, where the true alpha is above 0.

    The pixels are those that RVM's foreground errors count; the sum and its scale are those of SAD in Xu et al., "Deep
    Image Matting" (CVPR 2017).
    """
    difference = np.abs(colours - true_colours).mean(axis=2)
    return float(difference.sum(where=truth > 0, dtype=np.float64)) / 1e3


@dataclass(frozen=True)
class FrameScore:
    """The errors of one frame; None is what the frame does not show or was not asked."""

    mad: float
    """See `mad`."""
    mse: float
    """See `mse`."""
    grad: float
    """See `grad`."""
    conn: float | None
    """See `conn`."""
    dtssd: float | None
    """See `dtssd`; None for the first frame."""
    band_mad: float | None
    """Mean absolute difference × 10³ over the `edge_band`; None where truth is nowhere soft."""
    flicker: float | None
    """See `flicker`; None for the first frame and where nothing soft stands still."""
    foreground_sad: float | None
    """See `foreground_sad`."""


@dataclass(frozen=True)
class Score:
    """The errors of one clip; None is what no frame shows or was asked."""

    frames: int
    """Number of frames compared."""
    mad: float
    """Mean over frames of `mad`."""
    mse: float
    """Mean over frames of `mse`."""
    grad: float
    """Mean over frames of `grad`."""
    conn: float | None
    """Mean over frames of `conn`."""
    dtssd: float | None
    """Mean of `dtssd` over frames 2 … (the code of RVM counts the first as 0)."""
    band_mad: float | None
    """Mean absolute difference × 10³ over the `edge_band` pixels of all frames."""
    flicker: float | None = None
    """Mean of `flicker` over the pixels of all frames that it counts."""
    foreground_sad: float | None = None
    """Mean over frames of `foreground_sad`."""


@dataclass
class _Mean:
    """A mean in the making; without a sample it is None."""

    total: float = 0.0
    weight: float = 0.0

    def add(self, value: float | None, weight: float = 1.0) -> None:
        if value is not None:
            self.total += value * weight
            self.weight += weight

    @property
    def value(self) -> float | None:
        return self.total / self.weight if self.weight else None


class ClipScore:
    """Gathers the errors of a clip; `add` every pair of frames in order, then read `score`.

    `with_conn=False` leaves out Conn, which takes longer than all the others together.
    """

    def __init__(self, with_conn: bool = True) -> None:
        self._with_conn = with_conn
        self.reset()

    def reset(self) -> None:
        """Forget all frames."""
        self._frames = 0
        self._means = {field.name: _Mean() for field in fields(FrameScore)}
        self._previous: tuple[Alpha, Alpha] | None = None

    def add(self, alpha: Alpha, truth: Alpha, colours: tuple[Colours, Colours] | None = None) -> FrameScore:
        """Compare one frame's matte with its truth, and its foreground's colours with the true ones; return the errors.

        Raises:
            InputError: the two differ in size.
        """
        if alpha.shape != truth.shape:
            raise InputError(
                f"matte of {_size(alpha)} against truth of {_size(truth)} at frame {self._frames}: "
                "scale one to the other's size first"
            )
        before = self._previous
        band = edge_band(truth)
        score = FrameScore(
            mad=mad(alpha, truth),
            mse=mse(alpha, truth),
            grad=grad(alpha, truth),
            conn=conn(alpha, truth) if self._with_conn else None,
            dtssd=dtssd(alpha, before[0], truth, before[1]) if before else None,
            band_mad=float(np.abs(alpha - truth)[band].mean(dtype=np.float64)) * 1e3 if band.any() else None,
            flicker=flicker(alpha, before[0], truth, before[1]) if before else None,
            foreground_sad=foreground_sad(*colours, truth) if colours else None,
        )
        pixels = {"band_mad": int(band.sum())}
        if score.flicker is not None and before:
            pixels["flicker"] = int(_still_band(truth, before[1]).sum())
        for name, mean in self._means.items():
            mean.add(getattr(score, name), pixels.get(name, 1))
        self._previous = alpha, truth
        self._frames += 1
        return score

    def score(self) -> Score:
        """Return the clip's errors so far.

        Raises:
            InputError: no frame was added.
        """
        if not self._frames:
            raise InputError("no frames were compared: give a matte and a truth of at least one frame")
        means: dict[str, Any] = {name: mean.value for name, mean in self._means.items()}
        return Score(frames=self._frames, **means)


def score_clip(pairs: Iterable[tuple[Alpha, Alpha]], with_conn: bool = True) -> Score:
    """Return the errors of a clip given as pairs of matte and truth, in order.

    Raises:
        InputError: there is no pair, or a pair differs in size.
    """
    gathered = ClipScore(with_conn)
    for alpha, truth in pairs:
        gathered.add(alpha, truth)
    return gathered.score()


def _still_band(truth: Alpha, previous_truth: Alpha) -> NDArray[np.bool_]:
    """Mark the pixels of the edge band where truth does not change."""
    still: NDArray[np.bool_] = edge_band(truth) & (np.abs(truth - previous_truth) < _STILL)
    return still


def _derivative_filter(sigma: float = 1.4, epsilon: float = 1e-2) -> NDArray[np.float64]:
    """Return d/dx of a Gaussian, cut where it falls below `epsilon`, scaled to unit energy."""
    half = math.ceil(sigma * math.sqrt(-2 * math.log(math.sqrt(2 * math.pi) * sigma * epsilon)))
    x = np.arange(-half, half + 1, dtype=np.float64)
    gauss = np.exp(-(x**2) / (2 * sigma**2))
    kernel = np.outer(gauss, -x * gauss)
    normalised: NDArray[np.float64] = kernel / np.sqrt(np.square(kernel).sum())
    return normalised


_FILTER_X = _derivative_filter()


def _gradient_magnitude(alpha: Alpha) -> Alpha:
    dx = cv2.filter2D(alpha, -1, _FILTER_X, borderType=cv2.BORDER_REPLICATE)
    dy = cv2.filter2D(alpha, -1, _FILTER_X.T, borderType=cv2.BORDER_REPLICATE)
    magnitude: Alpha = np.hypot(dx, dy)
    return magnitude


def _largest_region(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the largest 4-connected region of `mask`, empty where it is empty."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    if count == 1:
        return np.zeros(mask.shape, bool)
    largest: NDArray[np.bool_] = labels == 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
    return largest


def _disconnected(above: Alpha) -> Alpha:
    return np.where(above >= _CONN_TOLERANCE, above, np.float32(0))


def _size(alpha: Alpha) -> str:
    return "×".join(str(side) for side in reversed(alpha.shape))
