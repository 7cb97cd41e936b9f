"""The heads that rise from one piece of alpha: how many people stand in it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from birefvideo.matting.grid import Mask

_HEIGHT, _AREA = 0.1, 0.015
"""Shares of a piece's height and area that somebody has at least who rises from it beside another."""
_WIDTH = 0.5
"""How wide a head is at least, against how far it rises: an arm is longer."""


@dataclass(eq=False)
class _Rise:
    """What hangs together above a row."""

    top: int
    area: int = 0
    width: int = 0
    runs: list[tuple[int, int, int]] = field(default_factory=list)
    """(row, left, right) of its rows."""
    heads: list[_Rise] = field(default_factory=list)
    """Those that have met in it."""


def heads_of(mask: Mask) -> list[Mask]:
    """Return what rises above the place where it meets another, from left to right; nothing where one stands alone."""
    rows = np.flatnonzero(mask.any(axis=1))
    if not rows.size:
        return []
    least = max(3, round(_HEIGHT * (rows[-1] - rows[0] + 1))), _AREA * int(mask.sum())
    above: list[tuple[int, int, _Rise]] = []
    for row in range(int(rows[0]), int(rows[-1]) + 1):
        now: list[tuple[int, int, _Rise]] = []
        for left, right in _runs(mask[row]):
            met = list({id(rise): rise for a, b, rise in [*above, *now] if a <= right and left <= b}.values())
            rise = _joined(met, row, least) if met else _Rise(row)
            rise.area += right - left
            rise.width = max(rise.width, right - left)
            rise.runs.append((row, left, right))
            gone = {id(other) for other in met}
            above = [(a, b, rise if id(other) in gone else other) for a, b, other in above]
            now = [(a, b, rise if id(other) in gone else other) for a, b, other in now]
            now.append((left, right, rise))
        above = now
    found = [
        _drawn(head, mask.shape) for rise in {id(rise): rise for _, _, rise in above}.values() for head in rise.heads
    ]
    return sorted(found, key=lambda head: float(np.flatnonzero(head.any(axis=0)).mean()))


def _runs(row: Mask) -> list[tuple[int, int]]:
    """Return (left, right) of what is marked in a row; right is the first cell after it."""
    steps = np.flatnonzero(np.diff(np.concatenate([[False], row, [False]])))
    return list(zip(steps[::2].tolist(), steps[1::2].tolist(), strict=True))


def _joined(met: list[_Rise], row: int, least: tuple[int, float]) -> _Rise:
    """Return one of what meets in a row; those that are large enough to be somebody are its heads."""
    if len(met) == 1:
        return met[0]
    large = [rise for rise in met if rise.heads or _is_head(rise, row, least)]
    result = _Rise(min(rise.top for rise in met), sum(rise.area for rise in met), max(rise.width for rise in met))
    result.runs = [run for rise in met for run in rise.runs]
    result.heads = large[0].heads if len(large) == 1 else [one for rise in large for one in (rise.heads or [rise])]
    return result


def _is_head(rise: _Rise, row: int, least: tuple[int, float]) -> bool:
    height = row - rise.top
    return height >= least[0] and rise.area >= least[1] and rise.width >= _WIDTH * height


def _drawn(rise: _Rise, shape: tuple[int, ...]) -> Mask:
    mask = np.zeros(shape, np.bool_)
    for row, left, right in rise.runs:
        mask[row, left:right] = True
    return mask
