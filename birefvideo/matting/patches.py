"""The pixels of some cells of a picture, packed: what is worked on there costs nothing elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from birefvideo.matting.grid import Grid, Map, Mask

_PIXELS = 1 << 15
"""Pixels of one patch: a few maps of them stay in the cache of a core."""


class Patch:
    """Some cells of a grid. Values of their pixels are arrays (factor, factor, cells): row and column in the cell."""

    def __init__(self, grid: Grid, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> None:
        self._grid, self._rows, self._columns = grid, rows, columns
        steps = np.arange(grid.factor)
        down, across = rows * grid.factor + steps[:, None, None], columns * grid.factor + steps[:, None]
        self._inside: Mask | None = None
        if down[-1].max() >= grid.height or across[-1].max() >= grid.width:
            self._inside = (down < grid.height) & (across < grid.width)
        self._down, self._across = np.minimum(down, grid.height - 1), np.minimum(across, grid.width - 1)
        self._places: dict[int, NDArray[np.intp]] = {}
        self._samples: dict[tuple[tuple[int, ...], int], NDArray[np.intp]] = {}

    def pick(self, plane: NDArray[Any]) -> NDArray[Any]:
        """Return the pixels' values of a full-size plane; what reaches out of the picture has its last ones."""
        flat, places = self._flat(plane)
        values: NDArray[Any] = flat.take(places)
        return values

    def put(self, values: NDArray[Any], plane: NDArray[Any]) -> None:
        """Write the pixels' values into a full-size plane."""
        flat, places = self._flat(plane)
        values = values.astype(plane.dtype, copy=False)
        if self._inside is None:
            flat[places] = values
        else:
            flat[places[self._inside]] = values[self._inside]

    def enlarge(self, cells: Map, samples: int = 1) -> Map:
        """Interpolate a map that has `samples` rows and columns of values a cell to the pixels."""
        first, weights = _interpolation(self._grid.factor, samples)
        near = np.ascontiguousarray(cells).ravel().take(self._around(cells.shape, samples))
        count = len(self._rows)
        wide = np.empty((len(near), len(first), count), np.float32)
        pixels = np.empty((len(first), len(first), count), np.float32)
        for j, (tap, weight) in enumerate(zip(first, weights, strict=True)):
            cv2.addWeighted(near[:, tap], 1 - weight, near[:, tap + 1], weight, 0, dst=wide[:, j])
        for i, (tap, weight) in enumerate(zip(first, weights, strict=True)):
            cv2.addWeighted(wide[tap], 1 - weight, wide[tap + 1], weight, 0, dst=pixels[i])
        return pixels

    def _around(self, shape: tuple[int, ...], samples: int) -> NDArray[np.intp]:
        """Return where the samples of each cell lie in a flat map, and those around it: (rows, columns, cells)."""
        if (shape, samples) not in self._samples:
            taps = np.arange(-1, samples + 1)[:, None]
            down = np.clip(self._rows * samples + taps, 0, shape[0] - 1)
            across = np.clip(self._columns * samples + taps, 0, shape[1] - 1)
            self._samples[shape, samples] = down[:, None] * shape[1] + across
        return self._samples[shape, samples]

    def _flat(self, plane: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.intp]]:
        """Return the memory of a plane in one row, and where the pixels lie there."""
        step = plane.strides[0] // plane.itemsize
        if step not in self._places:
            self._places[step] = self._down * step + self._across
        length = (plane.shape[0] - 1) * step + plane.shape[1]
        return np.lib.stride_tricks.as_strided(plane, (length,), (plane.itemsize,)), self._places[step]


def patches(grid: Grid, marked: Mask) -> Iterator[Patch]:
    """Yield patches that hold each marked cell once."""
    rows, columns = np.nonzero(marked)
    count = max(1, _PIXELS // grid.factor**2)
    for first in range(0, len(rows), count):
        yield Patch(grid, rows[first : first + count], columns[first : first + count])


@cache
def _interpolation(factor: int, samples: int) -> tuple[list[int], list[float]]:
    """Return, for each pixel along a cell, the earlier of the two samples it lies between and the later's weight.

    Samples count from the last one of the cell before.
    """
    places = (np.arange(factor) + 0.5) * samples / factor + 0.5
    first = np.floor(places).astype(int)
    return first.tolist(), (places - first).tolist()
