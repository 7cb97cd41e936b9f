"""The heads that rise from one piece of alpha: how many people stand in it, and whose each pixel is."""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from birefvideo.directing.coarse import Picture
from birefvideo.directing.pieces import colours_of, histogram
from birefvideo.directing.split import by_colour, settled
from birefvideo.matting.grid import Map, Mask

_HEIGHT, _AREA = 0.1, 0.015
"""Shares of a piece's height and area that somebody has at least who rises from it beside another."""
_WIDTH = 0.5
"""How wide a head is at least, against how far it rises: an arm is longer."""
_NEAR = 0.2
"""Of the way between two heads: how far from the middle one of them is clearly nearer."""
_SURE = 0.8
"""How much nearer a pixel is to a head whose colours are learnt from it."""


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


def parted(picture: Picture, mask: Mask, heads: list[Mask]) -> tuple[list[Map], list[NDArray[np.float64]]]:
    """Return how much of a piece is of each head's owner, by place and colour, and the histograms of their colours."""
    away = [cv2.distanceTransform((~head).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5) for head in heads]
    middles = [np.argwhere(head).mean(axis=0) for head in heads]
    apart = min(float(np.linalg.norm(a - b)) for i, a in enumerate(middles) for b in middles[:i])
    near = np.exp(-np.stack(away) / np.float32(_NEAR * apart))
    shares = near / near.sum(axis=0)
    colours = colours_of(picture)
    looks = [histogram(colours, (share > _SURE) & mask) for share in shares]
    chances = by_colour(colours, list(range(len(heads))), dict(enumerate(looks)))
    mixed = [share * chance for share, chance in zip(shares, chances, strict=True)]
    total = np.maximum(sum(mixed), np.float32(1e-6))
    luma: NDArray[np.uint8] = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    return settled([one / total for one in mixed], mask, luma), looks
