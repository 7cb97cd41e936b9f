"""A size between the cells of a grid and the picture: where mattes are compared in detail, at a bounded cost.

It has 2 × 2 pixels a cell, which is at most 960 on the long side, or is the picture's own where that is no more.
"""

from __future__ import annotations

import cv2
import numpy as np

from birefvideo.frames import Alpha
from birefvideo.matting.grid import Grid, Map, Mask
from birefvideo.matting.patches import patches


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
    is_full_size = correction.shape == full.shape
    for patch in patches(Grid(*full.shape), disputed):
        change = patch.pick(correction) if is_full_size else patch.enlarge(correction, samples=2)
        change += patch.pick(full)
        patch.put(np.clip(change, 0, 1, out=change), result)
    return result
