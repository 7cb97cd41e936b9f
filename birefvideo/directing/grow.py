"""From a stroke, a point or a box to the thing that it is drawn on: by colours, edges, motion, alpha and distance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import cv2
import numpy as np

from birefvideo.directing.apart import Beside, Later, moving_along
from birefvideo.directing.coarse import Picture
from birefvideo.directing.colours import ColourModel
from birefvideo.directing.cut import cut, main_colours, rough_cut
from birefvideo.directing.marks import BOX, POLYGON, REMOVE, Shape
from birefvideo.directing.regions import covered
from birefvideo.matting.grid import Map, Mask

Window: TypeAlias = "tuple[slice, slice]"

_ROUNDS = 3
_LEAST_EXTENT = 0.055
"""What a point or a short stroke is taken to span: share of the picture's long side."""
_REACH, _HALF = 2.5, 0.7
"""How far a thing may reach from a stroke, and where distance speaks neither for nor against: shares of its extent."""
_SOLID, _EMPTY = 0.7, 0.03
"""Alpha from which on a pixel is somebody else's, and up to which there is nothing to remove."""
_BY_PLACE, _BY_COLOUR, _BY_MOTION = 1.5, 9.0, 10.0
"""Logarithm of the odds that each of these gives at most."""
_COLOURS = 3.0
_GUESS = 0.02
"""What a cell that lies near a stroke counts as one of the thing's, against one of the stroke."""
_STROKE = 2.0
_OTHERS = 0.1
"""What a cell counts as one of the surroundings that only alpha says is not the thing's."""
_FAR = 2.0
"""Extents of a stroke from which on surroundings count for less, as the square of the distance."""
_MARGIN, _STEP = 8, 20
"""Cells around what may be a thing that are looked at, and by which it may grow from one outline to the next one."""
_GAP = 3
"""Cells of a gap in a thing, such as a highlight, that is closed."""


def grown(picture: Picture, alpha: Map, shape: Shape, against: Mask, do: str, later: Sequence[Later] = ()) -> Map:
    """Return which cells belong to the thing that a shape is drawn on, 0 or 1.

    Args:
        picture: the cells' colours.
        alpha: what the network found.
        shape: in cells.
        against: cells that other marks of the same picture claim.
        do: what is to be done with the thing: what is removed lies in alpha, and what is kept mostly outside of it.
        later: pictures before or after this one, those nearest in time first; what moves otherwise shows in them.
    """
    seeds = covered(shape, alpha.shape) >= 0.5
    seeds |= _middle(shape, alpha.shape)
    if shape.kind == POLYGON:
        return seeds.astype(np.float32)
    elses = _elses(alpha, seeds, do)
    place, never = _place(shape, seeds)
    never |= against | (elses if shape.kind == BOX else elses & ~seeds)
    if never.all() or not (seeds & ~never).any():
        return np.zeros_like(alpha)
    sure = np.zeros_like(seeds) if shape.kind == BOX else seeds & ~never
    front = _found(picture, place, sure, never, _counted(shape, seeds, elses), later)
    closed = cv2.morphologyEx(front.view(np.uint8), cv2.MORPH_CLOSE, np.ones((_GAP, _GAP), np.uint8))
    thing: Map = _joined_to(closed.astype(np.bool_) & ~never, seeds).astype(np.float32)
    return thing


def _place(shape: Shape, seeds: Mask) -> tuple[Map, Mask]:
    """Return the odds (logarithm) that where a cell lies gives it, and which cells cannot be the thing's."""
    if shape.kind == BOX:
        within = cv2.distanceTransform(np.pad(seeds, 1).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)[1:-1, 1:-1]
        inner: Map = np.clip(within * np.float32(4 / max(float(within.max()), 1.0)) - 1, -1, 1)
        return inner * np.float32(_BY_PLACE), ~seeds
    extent, away = _extent(shape, seeds), _away(seeds)
    place: Map = np.float32(_BY_PLACE) * np.clip(1 - away / np.float32(_HALF * extent), -1, 1)
    never: Mask = away > _REACH * extent
    return place, never


def _counted(shape: Shape, seeds: Mask, elses: Mask) -> Map:
    """Return what each cell counts as one of the surroundings' colours, if it is not the thing's."""
    counts = np.where(elses, np.float32(_OTHERS), np.float32(1))
    if shape.kind != BOX:
        counts *= np.square(np.clip(_FAR * _extent(shape, seeds) / (_away(seeds) + np.float32(1e-3)), 0, 1))
    shares: Map = counts.astype(np.float32)
    return shares


def _found(picture: Picture, place: Map, sure: Mask, never: Mask, counted: Map, later: Sequence[Later]) -> Mask:
    """Return the thing: what is sure, and what in turn looks like it, moves like it and is bounded by edges."""
    window = _around(~never, _MARGIN)
    near: Map = 1 / (1 + np.exp(-_BY_PLACE * place))
    own = (sure + (_GUESS if sure.any() else 1.0) * near * ~never).astype(np.float32)
    outside = (1 - near) * ~sure
    core, front = sure if sure.any() else (near > 0.5) & ~never, np.zeros_like(sure)
    moving: Map = np.zeros_like(place)
    beside, edges = Beside(picture, later), np.zeros((*place.shape, 2), np.float32)
    edges[window] = main_colours(picture[window])
    for number in range(_ROUNDS):
        if number < _ROUNDS - 1:
            away = (~front if number else place < 0) & (counted > _OTHERS)
            moving = moving_along(beside, core, away, is_known=number > 0)
        colours = ColourModel.of(picture, own).odds(picture, outside * counted, _COLOURS)
        odds = np.float32(_BY_COLOUR / _COLOURS) * colours + place + np.float32(_BY_MOTION) * moving
        # The first outline need not be exact, and the next ones are not far from the one before.
        if number and front.any():
            window = _around(front | sure, _STEP)
        found = (cut if number else rough_cut)(edges[window], odds[window], sure[window], never[window])
        front = np.zeros_like(sure)
        front[window] = found
        own, outside = (front + np.float32(_STROKE - 1) * sure).astype(np.float32), (~front).astype(np.float32)
        core = front
    return front


def _around(mask: Mask, margin: int) -> Window:
    """Return the part of a picture that holds a mask, with so many cells around it."""
    left, top, columns, rows = cv2.boundingRect(mask.view(np.uint8))
    return np.s_[max(0, top - margin) : top + rows + margin, max(0, left - margin) : left + columns + margin]


def _elses(alpha: Map, seeds: Mask, do: str) -> Mask:
    """Return the cells that alpha says belong to no thing that is marked here."""
    elses: Mask = alpha < _EMPTY if do == REMOVE else alpha > _SOLID
    # A thing that is drawn on there is one of another kind: a kept one that is to go, or what a person holds.
    return elses if not seeds.any() or float(elses[seeds].mean()) < 0.5 else np.zeros_like(elses)


def _joined_to(front: Mask, seeds: Mask) -> Mask:
    """Return the pieces that touch the seeds, without small holes; the largest one where seeds are only probable."""
    count, pieces = cv2.connectedComponents(front.view(np.uint8), connectivity=4)
    if count == 1:
        return front
    touched = np.bincount(pieces[seeds & front], minlength=count)
    touched[0] = 0
    found = np.isin(pieces, np.flatnonzero(touched * 4 >= touched.max())) & front
    outlines, _ = cv2.findContours(found.view(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    area = int(found.sum())
    filled = found.view(np.uint8).copy()
    for outline in outlines:
        if cv2.contourArea(outline) < area / 50:
            cv2.drawContours(filled, [outline], -1, 1, cv2.FILLED)
    whole: Mask = filled.astype(np.bool_)
    return whole


def _middle(shape: Shape, size: tuple[int, ...]) -> Mask:
    """Return the cell in the middle of a shape that may be too thin to cover half of any; in the picture."""
    mask = np.zeros(size, np.bool_)
    if shape.kind not in (BOX, POLYGON):
        x, y = shape.points[len(shape.points) // 2]
        mask[min(max(int(y), 0), size[0] - 1), min(max(int(x), 0), size[1] - 1)] = True
    return mask


def _extent(shape: Shape, seeds: Mask) -> float:
    """Return the longer side of what a shape spans, in cells."""
    (left, right), (top, bottom) = ((min(v), max(v)) for v in zip(*shape.points, strict=True))
    return float(max(right - left, bottom - top, _LEAST_EXTENT * max(seeds.shape)))


def _away(seeds: Mask) -> Map:
    """Return each cell's distance from the seeds."""
    away: Map = cv2.distanceTransform((~seeds).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
    return away
