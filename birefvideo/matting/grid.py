"""A picture seen as a grid of square cells: decide at one value a cell, apply by tiles or patches where it matters."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Map = NDArray[np.float32]
"""A float32 map with one value, or one vector, a cell."""

Mask = NDArray[np.bool_]
"""A boolean map with one value a cell."""

_LONG_SIDE = 480
_TILE = 32


@dataclass(frozen=True)
class Grid:
    """The cells of a picture, at most 480 on the long side: cheap to compute on, and each averages some noise away."""

    height: int
    """Rows of the picture."""
    width: int
    """Columns of the picture."""

    @property
    def factor(self) -> int:
        """Side of a cell in pixels; the cells at the bottom and right may reach out of the picture."""
        return -(-max(self.height, self.width) // _LONG_SIDE)

    def reduce(self, full: NDArray[Any]) -> NDArray[Any]:
        """Average a full-size plane over each cell, in its own dtype; its last row and column are repeated outside."""
        factor = self.factor
        below, right = -self.height % factor, -self.width % factor
        if below or right:
            full = cv2.copyMakeBorder(full, 0, below, 0, right, cv2.BORDER_REPLICATE)
        # Two by two as long as it goes: OpenCV has vector code for that alone.
        while factor > 1:
            step = 2 if factor % 2 == 0 else factor
            size = (full.shape[1] // step, full.shape[0] // step)
            full = cv2.resize(full, size, interpolation=cv2.INTER_AREA)
            factor //= step
        return full

    def repeat(self, cells: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Give each pixel of the picture its cell's value."""
        factor = self.factor
        wide = cv2.resize(cells, None, fx=factor, fy=1, interpolation=cv2.INTER_NEAREST)
        full: NDArray[np.uint8] = np.repeat(wide, factor, axis=0)
        return full[: self.height, : self.width]

    def tiles(self, marked: Mask) -> Iterator[Tile]:
        """Yield tiles that hold all marked cells: of each 32 × 32 cells, the rectangle around the marked ones."""
        for top in range(0, marked.shape[0], _TILE):
            for left in range(0, marked.shape[1], _TILE):
                part = marked[top : top + _TILE, left : left + _TILE].view(np.uint8)
                x, y, columns, rows = cv2.boundingRect(part)
                if rows:
                    yield Tile(self, top + y, left + x, top + y + rows, left + x + columns)


@dataclass(frozen=True)
class Tile:
    """A rectangle of cells."""

    grid: Grid
    """The grid it belongs to."""
    top: int
    """First row of cells."""
    left: int
    """First column of cells."""
    bottom: int
    """The row after the last."""
    right: int
    """The column after the last."""

    @property
    def pixels(self) -> tuple[slice, slice]:
        """Index of the tile in a full-size plane; slicing cuts off what reaches out of the picture."""
        factor = self.grid.factor
        return np.s_[self.top * factor : self.bottom * factor, self.left * factor : self.right * factor]
