"""Cuts and flashes: where a frame does not go on from the one before, so that nothing may be carried across."""

from __future__ import annotations

import numpy as np

from birefvideo.matting.motion import Cells, Look, Motion, change, length, sample

_CUT_CHANGE, _CUT_ASTRAY, _CUT_SHARE = 16.0, 2.0, 0.5
"""A cut is where more than this share of cells either changed by this many codes or went astray by this many cells."""
_CUT_STRIDE = 4
"""Of so many rows and columns of cells one is looked at for a cut."""


def is_cut(earlier: Look, later: Look, motion: Motion) -> bool:
    """Return whether a cut or a flash parts two successive frames: most of each is not the other's picture moved."""
    return _is_lost(earlier, later, motion) and _is_lost(later, earlier, motion.reversed())


def _is_lost(own: Look, other: Look, motion: Motion) -> bool:
    """Return whether most of `own` is not found in `other`, at the end of its motion."""
    marked = np.zeros(own.luma.shape, np.bool_)
    marked[::_CUT_STRIDE, ::_CUT_STRIDE] = True
    cells = Cells(marked)
    ends = cells.home + sample(motion.onward, cells.home)
    astray = length(ends + sample(motion.back, ends) - cells.home)
    changed = change(cells.pick(own.colours), sample(other.colours, ends))
    return float(np.mean((astray > _CUT_ASTRAY) | (changed > _CUT_CHANGE))) > _CUT_SHARE
