"""Errors of a video matte against the true one, with the definitions and scales that the papers' tables use.

Every function takes float32 (height, width) arrays in [0, 1] of one size. `ClipScore` gathers a whole clip frame by
frame in constant memory. Scales are those of Lin et al., "Robust High-Resolution Video Matting with Temporal Guidance"
(WACV 2022; RVM below): MAD and MSE × 10³, Grad and Conn ÷ 10³, dtSSD × 10².
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from birefvideo.errors import InputError
from birefvideo.frames import Alpha

BAND_RADIUS = 3
"""How far the edge band reaches from soft truth, in pixels (a square neighbourhood)."""

_SOFT_LOW, _SOFT_HIGH = 0.02, 0.98
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
    """Connectivity error ÷ 10³: how differently the pixels hang on to the body of the foreground.

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


@dataclass(frozen=True)
class Score:
    """The errors of one clip."""

    frames: int
    """Number of frames compared."""
    mad: float
    """Mean over frames of `mad`."""
    mse: float
    """Mean over frames of `mse`."""
    grad: float
    """Mean over frames of `grad`."""
    conn: float | None
    """Mean over frames of `conn`, or None where it was not asked for."""
    dtssd: float | None
    """Mean of `dtssd` over frames 2 …, or None for a single frame."""
    band_mad: float | None
    """Mean absolute difference × 10³ over the `edge_band` pixels of all frames, or None where truth is nowhere soft."""


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
        self._mad = self._mse = self._grad = self._conn = self._dtssd = 0.0
        self._band_error, self._band_pixels = 0.0, 0
        self._previous: tuple[Alpha, Alpha] | None = None

    def add(self, alpha: Alpha, truth: Alpha) -> None:
        """Compare one frame's matte with its truth.

        Raises:
            InputError: the two differ in size.
        """
        if alpha.shape != truth.shape:
            raise InputError(
                f"matte of {_size(alpha)} against truth of {_size(truth)} at frame {self._frames}: "
                "scale one to the other's size first"
            )
        self._mad += mad(alpha, truth)
        self._mse += mse(alpha, truth)
        self._grad += grad(alpha, truth)
        if self._with_conn:
            self._conn += conn(alpha, truth)
        if self._previous is not None:
            previous, previous_truth = self._previous
            self._dtssd += dtssd(alpha, previous, truth, previous_truth)
        band = edge_band(truth)
        self._band_error += float(np.abs(alpha - truth).sum(where=band, dtype=np.float64)) * 1e3
        self._band_pixels += int(band.sum())
        self._previous = alpha, truth
        self._frames += 1

    def score(self) -> Score:
        """Return the clip's errors so far.

        Raises:
            InputError: no frame was added.
        """
        if not self._frames:
            raise InputError("no frames were compared: give a matte and a truth of at least one frame")
        return Score(
            frames=self._frames,
            mad=self._mad / self._frames,
            mse=self._mse / self._frames,
            grad=self._grad / self._frames,
            conn=self._conn / self._frames if self._with_conn else None,
            dtssd=self._dtssd / (self._frames - 1) if self._frames > 1 else None,
            band_mad=self._band_error / self._band_pixels if self._band_pixels else None,
        )


def score_clip(pairs: Iterable[tuple[Alpha, Alpha]], with_conn: bool = True) -> Score:
    """Return the errors of a stream of (matte, truth) pairs; see `ClipScore`."""
    gathered = ClipScore(with_conn)
    for alpha, truth in pairs:
        gathered.add(alpha, truth)
    return gathered.score()


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
