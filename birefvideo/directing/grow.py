"""From a stroke, a point or a box to the thing that it is drawn on: by edges, colours and alpha."""

from __future__ import annotations

from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from birefvideo.directing.marks import BOX, POLYGON, REMOVE, Shape
from birefvideo.directing.regions import covered
from birefvideo.matting.grid import Map, Mask

Picture: TypeAlias = "NDArray[np.uint8]"
"""R'G'B' codes, uint8 (rows, columns, 3)."""

_ROUNDS = 4
_REACH_OF_STROKE, _REACH_OF_PICTURE = 1.0, 0.12
"""How far a thing may reach from a stroke: shares of the stroke's length and of the picture's long side."""
_SOLID, _EMPTY = 0.7, 0.03
"""Alpha from which on a pixel is somebody else's, and up to which there is nothing to remove."""
_SEED = 0
_GAP = 3
"""Cells of a gap in a thing, such as a highlight, that is closed."""


def grown(picture: Picture, alpha: Map, shape: Shape, against: Mask, do: str) -> Map:
    """Return which cells belong to the thing that a shape is drawn on, 0 or 1.

    Args:
        picture: the cells' colours.
        alpha: what the network found.
        shape: in cells.
        against: cells that other marks of the same picture claim.
        do: what is to be done with the thing: what is removed lies in alpha, and what is kept mostly outside of it.

    Source of the cut: Rother et al., "GrabCut" (SIGGRAPH 2004), as OpenCV implements it.
    """
    seeds = covered(shape, alpha.shape) >= 0.5
    seeds |= _middle(shape, alpha.shape)
    if shape.kind == POLYGON:
        return seeds.astype(np.float32)
    labels = np.full(alpha.shape, cv2.GC_PR_BGD, np.uint8)
    if shape.kind == BOX:
        labels[seeds] = cv2.GC_PR_FGD
        labels[~seeds] = cv2.GC_BGD
    else:
        away = cv2.distanceTransform((~seeds).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
        (left, right), (top, bottom) = ((min(v), max(v)) for v in zip(*shape.points, strict=True))
        extent = max(right - left, bottom - top)
        labels[away > max(_REACH_OF_STROKE * extent, _REACH_OF_PICTURE * max(alpha.shape))] = cv2.GC_BGD
        # Colours near the stroke give the cut a first guess of the thing.
        labels[(away <= _GAP) & (labels == cv2.GC_PR_BGD)] = cv2.GC_PR_FGD
    labels[_elses(alpha, seeds, do) & ~(seeds & (shape.kind != BOX))] = cv2.GC_BGD
    if shape.kind != BOX:
        labels[seeds] = cv2.GC_FGD
    labels[against] = cv2.GC_BGD
    return _cut(picture, labels, seeds)


def _elses(alpha: Map, seeds: Mask, do: str) -> Mask:
    """Return the cells that alpha says belong to no thing that is marked here."""
    elses: Mask = alpha < _EMPTY if do == REMOVE else alpha > _SOLID
    # A thing that is drawn on there is one of another kind: a kept one that is to go, or what a person holds.
    return elses if not seeds.any() or float(elses[seeds].mean()) < 0.5 else np.zeros_like(elses)


def _cut(picture: Picture, labels: NDArray[np.uint8], seeds: Mask) -> Map:
    is_front = (labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)
    if is_front.all() or not is_front.any():
        all_alike: Map = is_front.astype(np.float32)
        return all_alike
    cv2.setRNGSeed(_SEED)
    models = np.zeros((1, 65)), np.zeros((1, 65))
    # Its colour models need pictures in any three channels; Lab's distances are nearer to what edges look like.
    lab = cv2.cvtColor(picture, cv2.COLOR_RGB2LAB)
    labels, *_ = cv2.grabCut(lab, labels, None, *models, _ROUNDS, cv2.GC_INIT_WITH_MASK)
    front = ((labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)).view(np.uint8)
    front = cv2.morphologyEx(front, cv2.MORPH_CLOSE, np.ones((_GAP, _GAP), np.uint8)).astype(np.bool_)
    front &= labels != cv2.GC_BGD
    thing: Map = _joined_to(front, seeds).astype(np.float32)
    return thing


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
