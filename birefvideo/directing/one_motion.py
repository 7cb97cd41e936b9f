"""What moves as one: the motion that most of some cells share, whatever the search has found in the others."""

from __future__ import annotations

from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from birefvideo.matting.grid import Map

_FAINT = 1e-3
_FITS, _MOST_CELLS, _STIFF, _FEWEST = 4, 1500, 1e-3, 6.0
_UNIT = 100
"""Cells that places are counted in, so that turns and shifts are numbers of one size."""
_OFF = 0.5
"""Cells that a vector lies off the motion of the whole at which it is trusted to a quarter."""

_COARSER = 4
_ALONE = 0.2
"""Weight of a cell from which on it tells its own motion rather than that of the whole thing."""
_LITTLE = 0.4
"""Cells by which a part must move apart from the whole thing to be followed by half of it."""


Fit: TypeAlias = "NDArray[np.float64]"
"""What moves a cell, (3, 2): a hundred cells to the right, a hundred cells down, and the shift at (0, 0)."""


def as_one(vectors: Map, weights: Map, rest: Map | float = 0.0) -> Map:
    """Return the shift, turn, scaling and shear nearest to most of some vectors, as vectors of all cells.

    Args:
        vectors: motion of each cell, float32 (rows, columns, 2).
        weights: of each cell; those of what moves.
        rest: what it is where there are no weights.
    """
    rows, columns = weights.shape
    across, down, shift = fitted_to(vectors, weights, rest).astype(np.float32)
    along = np.arange(columns, dtype=np.float32)[:, None] / np.float32(_UNIT) * across
    found: Map = (np.arange(rows, dtype=np.float32)[:, None] / np.float32(_UNIT) * down + shift)[:, None] + along
    return found


def as_matrix(fit: Fit) -> NDArray[np.float64]:
    """Return the matrix (2, 3) from the places of cells to where they have moved."""
    matrix: NDArray[np.float64] = fit.T / (_UNIT, _UNIT, 1) + np.eye(2, 3)
    return matrix


def fitted_to(vectors: Map, weights: Map, rest: Map | float = 0.0) -> Fit:
    """Return the motion that `as_one` gives to all cells."""
    step = max(1, int(np.sqrt(float(cv2.sumElems(weights)[0]) / _MOST_CELLS)))
    few = weights[::step, ::step]
    down, across = np.nonzero(few > _FAINT)
    x, y = across * step / _UNIT, down * step / _UNIT
    right, below = vectors[::step, ::step][down, across].astype(np.float64).T.copy()
    weight = trust = few[down, across].astype(np.float64)
    fit = np.zeros((3, 2))
    if weight.sum() < _FEWEST:
        fit[2] = weighted_mean(vectors, weights, rest)
    # One axis at a time: numpy is slow where the last axis is short.
    for _ in range(_FITS):
        total = weight.sum()
        if total < _FEWEST:
            break
        middle = np.array([weight @ x, weight @ y]) / total
        shift = np.array([weight @ right, weight @ below]) / total
        # Nearly no turn where it cannot be told, such as along a line.
        apart_x, apart_y, off_right, off_below = x - middle[0], y - middle[1], right - shift[0], below - shift[1]
        by_x, by_y = weight * apart_x, weight * apart_y
        spread = np.array([[by_x @ apart_x, by_x @ apart_y], [by_y @ apart_x, by_y @ apart_y]])
        both = np.array([[by_x @ off_right, by_x @ off_below], [by_y @ off_right, by_y @ off_below]])
        turn = np.linalg.solve(spread + np.eye(2) * _STIFF * total, both)
        fit = np.vstack([turn, shift - middle @ turn])
        astray = [value - (x * k[0] + y * k[1] + k[2]) for value, k in zip((right, below), fit.T, strict=True)]
        weight = trust / np.square(1 + (astray[0] * astray[0] + astray[1] * astray[1]) / _OFF**2)
    return fit


def spread_out(vectors: Map, weights: Map, sigma: float, rest: Map | float = 0.0) -> Map:
    """Return vectors (rows, columns, 2) averaged by weights over a bell of width `sigma`.

    Farther off they are those of all that moves as one: shifted, turned and scaled; `rest`, where there are no weights.
    """
    rows, columns = weights.shape
    whole = as_one(vectors, weights, rest)
    # What is this smooth needs no more than every fourth cell.
    size = (-(-columns // _COARSER), -(-rows // _COARSER))
    apart = cv2.multiply(vectors - whole, cv2.merge([weights, weights]))
    scaled = cv2.resize(apart, size, interpolation=cv2.INTER_AREA)
    share = cv2.resize(weights, size, interpolation=cv2.INTER_AREA)
    scaled, share = (cv2.GaussianBlur(plane, (0, 0), sigma / _COARSER) for plane in (scaled, share))
    share += np.float32(_ALONE)
    alone = scaled / share[..., None]
    # What is that little is the search's own error, and would add up.
    square = np.square(alone).sum(axis=-1, keepdims=True)
    alone *= square / (square + np.float32(_LITTLE**2))
    spread: Map = cv2.resize(alone, (columns, rows)) + whole
    return spread


def weighted_mean(values: Map, weights: Map, rest: Map | float = 0.0) -> Map:
    """Return the mean of values (rows, columns[, channels]), float32 (channels); nearly `rest` without weights."""
    channels = 1 if values.ndim == 2 else values.shape[2]
    total = np.array(cv2.sumElems(cv2.multiply(values, cv2.merge([weights] * channels)))[:channels])
    mean: Map = ((total + _FAINT * np.asarray(rest)) / (cv2.sumElems(weights)[0] + _FAINT)).astype(np.float32)
    return mean
