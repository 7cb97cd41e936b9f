"""A size between the cells of a grid and the picture: where mattes are compared in detail, at a bounded cost.

It has 2 × 2 pixels a cell, which is at most 960 on the long side, or is the picture's own where that is no more.
"""

from __future__ import annotations

import cv2
import numpy as np

from birefvideo.frames import Alpha
from birefvideo.matting.grid import Grid, Map, Mask, Tile


def to_working_size(alpha: Alpha) -> Alpha:
    """Return alpha averaged to 2 × 2 pixels a cell, or as it is where a cell is no larger."""
    grid = Grid(*alpha.shape)
    if grid.factor <= 2:
        return alpha
    below, right = -grid.height % grid.factor, -grid.width % grid.factor
    if below or right:
        alpha = cv2.copyMakeBorder(alpha, 0, below, 0, right, cv2.BORDER_REPLICATE)
    size = (2 * alpha.shape[1] // grid.factor, 2 * alpha.shape[0] // grid.factor)
    working: Alpha = cv2.resize(alpha, size, interpolation=cv2.INTER_AREA)
    return working


def add_correction(full: Alpha, disputed: Mask, correction: Map) -> Alpha:
    """Return a copy of `full` with the correction, enlarged from working size, added where something is disputed."""
    result: Alpha = full.copy()
    for tile in Grid(*full.shape).tiles(disputed):
        np.clip(full[tile.pixels] + _enlarged(tile, correction), 0, 1, out=result[tile.pixels])
    return result


def _enlarged(tile: Tile, correction: Map) -> Map:
    """Return a full-size tile of the correction without seams between tiles."""
    grid = tile.grid
    if correction.shape == (grid.height, grid.width):
        return correction[tile.pixels]
    top, left = max(tile.top - 1, 0), max(tile.left - 1, 0)
    part = correction[2 * top : 2 * (tile.bottom + 1), 2 * left : 2 * (tile.right + 1)]
    full: Map = cv2.resize(part, None, fx=grid.factor / 2, fy=grid.factor / 2, interpolation=cv2.INTER_LINEAR)
    full = full[(tile.top - top) * grid.factor :, (tile.left - left) * grid.factor :]
    height = min(tile.bottom * grid.factor, grid.height) - tile.top * grid.factor
    width = min(tile.right * grid.factor, grid.width) - tile.left * grid.factor
    return full[:height, :width]
