"""Whose each cell is of people who were never seen apart: from their heads on, by place, colours, motion and edges."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from birefvideo.directing.apart import Beside, moving_along
from birefvideo.directing.coarse import Picture
from birefvideo.directing.colours import ColourModel
from birefvideo.directing.cut import cut, main_colours
from birefvideo.directing.pieces import colours_of, histogram
from birefvideo.directing.split import by_colour, settled
from birefvideo.matting.grid import Map, Mask

_NEAR = 0.2
"""Of the way between two heads: how far from the middle one of them is clearly nearer."""
_SURE = 0.8
"""How much nearer a pixel is to a head whose colours are learnt from it."""
_ROUNDS = 3
_BY_PLACE, _BY_COLOUR, _BY_MOTION, _BY_PAST = 1.5, 3.0, 10.0, 4.0
"""Logarithm of the odds that each of these gives at most."""
_MOST = 10.0
"""What a cut counts against odds."""
_DECIDED = 0.95
"""Share of a cell that goes to the one who gets it."""


def parted(
    beside: Beside, mask: Mask, heads: Sequence[Mask], expected: Sequence[Map] | None = None
) -> tuple[list[Map], list[NDArray[np.float64]]]:
    """Return how much of a piece is of each head's owner, and the histograms of their colours.

    Args:
        beside: the picture, and those beside it in time.
        mask: the piece's cells.
        heads: of the piece, of two people or more.
        expected: what other pictures have told of whose each cell is, if they have.
    """
    colours = colours_of(beside.picture)
    near = _nearness(heads)
    shares = _by_heads(beside.picture, colours, near, mask) if expected is None else expected
    edges = main_colours(beside.picture)
    for number in range(_ROUNDS if expected is None else 1):
        odds = _odds(beside, shares, near, mask, is_known=number > 0 or expected is not None)
        for one, share in zip(odds, expected or (), strict=False):
            one += np.float32(_BY_PAST) * (2 * share - 1) * mask
        best = _owners(edges, odds, heads)
        rest = np.float32((1 - _DECIDED) / (len(heads) - 1))
        shares = [np.where(best == i, np.float32(_DECIDED), rest) * mask for i in range(len(heads))]
    return list(shares), [histogram(colours, (share > 0.5) & mask) for share in shares]


def _by_heads(picture: Picture, colours: NDArray[np.int32], near: Sequence[Map], mask: Mask) -> list[Map]:
    """Return shares by place and by the colours that are near to each head."""
    looks = [histogram(colours, (share > _SURE) & mask) for share in near]
    chances = by_colour(colours, list(range(len(near))), dict(enumerate(looks)))
    luma: NDArray[np.uint8] = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    return settled(_adding_up([share * chance for share, chance in zip(near, chances, strict=True)]), mask, luma)


def _nearness(heads: Sequence[Mask]) -> list[Map]:
    """Return how much nearer each cell is to a head than to the others, adding up to 1."""
    away = [cv2.distanceTransform((~head).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5) for head in heads]
    middles = [np.argwhere(head).mean(axis=0) for head in heads]
    apart = min(float(np.linalg.norm(a - b)) for i, a in enumerate(middles) for b in middles[:i])
    return _adding_up(list(np.exp(-np.stack(away) / np.float32(_NEAR * apart))))


def _adding_up(shares: Sequence[Map]) -> list[Map]:
    total = np.maximum(sum(shares), np.float32(1e-6))
    return [share / total for share in shares]


def _others(masks: Sequence[Mask], number: int) -> Mask:
    others: Mask = np.logical_or.reduce([mask for i, mask in enumerate(masks) if i != number])
    return others


def _owners(edges: Map, odds: Sequence[Map], heads: Sequence[Mask]) -> NDArray[np.intp]:
    """Return whose each cell is: cut from the others along edges, and by the odds where such cuts differ."""
    own = [cut(edges, one, head, _others(heads, i)) for i, (one, head) in enumerate(zip(odds, heads, strict=True))]
    best: NDArray[np.intp] = np.argmax(
        np.stack([one + _MOST * cells for one, cells in zip(odds, own, strict=True)]), axis=0
    )
    return best


def _odds(beside: Beside, shares: Sequence[Map], near: Sequence[Map], mask: Mask, *, is_known: bool) -> list[Map]:
    """Return the odds (logarithm) that each cell is each person's, rather than one of the others'."""
    own = [(share > (0.5 if is_known else _SURE)) & mask for share in shares]
    found = []
    for number, (mine, place) in enumerate(zip(own, near, strict=True)):
        others = _others(own, number)
        model = ColourModel.of(beside.picture, mine.astype(np.float32))
        odds = model.odds(beside.picture, others.astype(np.float32), _BY_COLOUR)
        odds += np.float32(_BY_MOTION) * moving_along(beside, mine, others, is_known=is_known)
        odds *= mask
        odds += np.float32(_BY_PLACE) * (2 * place - 1)
        found.append(odds)
    return found
