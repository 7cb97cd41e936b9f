"""What moves as one: the motion that most of some cells share, whatever the search has found in the others."""

from __future__ import annotations

import cv2
import numpy as np

from birefvideo.matting.grid import Map

_FAINT = 1e-3
_FITS, _MOST_CELLS, _STIFF, _FEWEST = 4, 1500, 1e-3, 6.0
_OFF = 0.5
"""Cells that a vector lies off the motion of the whole at which it is trusted to a quarter."""


def as_one(vectors: Map, weights: Map, rest: Map | float = 0.0) -> Map:
    """Return the shift, turn, scaling and shear nearest to most of some vectors, as vectors of all cells.

    Args:
        vectors: motion of each cell, float32 (rows, columns, 2).
        weights: of each cell; those of what moves.
        rest: what it is where there are no weights.
    """
    rows, columns = weights.shape
    step = max(1, int(np.sqrt(float(weights.sum()) / _MOST_CELLS)))
    down, across = np.mgrid[0:rows, 0:columns].astype(np.float32) / np.float32(100)
    places = np.stack([across, down, np.ones_like(across)], axis=-1)
    few = weights[::step, ::step].ravel().astype(np.float64)
    where = places[::step, ::step].reshape(-1, 3)[few > _FAINT].astype(np.float64)
    there = vectors[::step, ::step].reshape(-1, 2)[few > _FAINT].astype(np.float64)
    trust = few[few > _FAINT][:, None]
    mean = weighted_mean(vectors, weights, rest).astype(np.float64)
    fit = np.array([[0, 0], [0, 0], mean])
    weight = trust
    for _ in range(_FITS):
        if weight.sum() < _FEWEST:
            break
        middle = (weight * where).sum(axis=0) / weight.sum()
        shift = (weight * there).sum(axis=0) / weight.sum()
        # Nearly no turn where it cannot be told, such as along a line.
        apart = (where - middle)[:, :2]
        stiff = np.eye(2) * _STIFF * weight.sum()
        turn = np.linalg.solve((apart * weight).T @ apart + stiff, (apart * weight).T @ (there - shift))
        fit = np.vstack([turn, shift - middle[:2] @ turn])
        astray = np.square(there - where @ fit).sum(axis=-1, keepdims=True)
        weight = trust / (1 + astray / _OFF**2) ** 2
    found: Map = places @ fit.astype(np.float32)
    return found


def weighted_mean(values: Map, weights: Map, rest: Map | float = 0.0) -> Map:
    """Return the mean of values (rows, columns[, channels]), float32 (channels); nearly `rest` without weights."""
    channels = 1 if values.ndim == 2 else values.shape[2]
    total = np.array(cv2.sumElems(cv2.multiply(values, cv2.merge([weights] * channels)))[:channels])
    mean: Map = ((total + _FAINT * np.asarray(rest)) / (cv2.sumElems(weights)[0] + _FAINT)).astype(np.float32)
    return mean
