"""Where a picture is cut in two: by the odds of each cell, along the edges of the picture."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from birefvideo.directing.coarse import Picture
from birefvideo.matting.grid import Map, Mask

_MOST = 10.0
"""Logarithm of the odds beyond which a cell is as good as sure."""
_AGAINST_EDGES = 3.0
"""Weight of the odds against the picture's edges: those of the room would else draw a faint outline to them."""
_CODES = 16.0
"""Codes that the odds take up on each side of the middle, in the picture that is cut."""
_MIDDLE, _ANY = 128.0, 1e6
_TO_XYZ = np.array(
    [[0.433953, 0.376219, 0.189828], [0.212671, 0.715160, 0.072169], [0.017758, 0.109477, 0.872766]], np.float32
)
"""Linear light to X, Y and Z as parts of white."""
_TO_LAB = np.array([[0, 116 * 2.55, 0, -16 * 2.55], [500, -500, 0, 128], [0, 200, -200, 128]], np.float32)
"""From their cube roots."""


def main_colours(picture: Picture) -> Map:
    """Return what edges are found in: a picture's two main colours, float32 (rows, columns, 2), 0 in the middle."""
    lab = _lab(picture).reshape(-1, 3)
    mean, axes = cv2.PCACompute(lab, None, maxComponents=2)
    main: Map = cv2.PCAProject(lab, mean, axes).reshape(*picture.shape[:2], 2)
    return main


def _lab(picture: Picture) -> Map:
    """Return CIE L*a*b* of sRGB under D65, each channel as 8 bits hold it: OpenCV's own takes 0.1 s to begin with."""
    codes = np.arange(256, dtype=np.float32) / np.float32(255)
    linear = np.where(codes > 0.04045, ((codes + 0.055) / 1.055) ** 2.4, codes / 12.92).astype(np.float32)
    tristimulus = cv2.transform(linear[picture], _TO_XYZ)
    bent = np.where(tristimulus > 0.008856, np.cbrt(tristimulus), 7.787 * tristimulus + 16 / 116).astype(np.float32)
    lab: Map = cv2.transform(bent, _TO_LAB)
    return lab


def cut(edges: Map, odds: Map, sure: Mask, never: Mask) -> Mask:
    """Return the cells in front: those whose odds are good, cut where the picture has edges.

    Source of the cut: Rother et al., "GrabCut" (SIGGRAPH 2004), as OpenCV implements it. It knows no odds but those of
    colours, so that they are one channel of what it is given, in which either side is one bell; edges are found in the
    picture's two main colours, and a little in the odds.
    """
    labels = np.where(odds > 0, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    labels[sure], labels[never] = cv2.GC_FGD, cv2.GC_BGD
    scaled = np.clip(odds / np.float32(_MOST), -1, 1) * np.float32(_CODES)
    planes = np.rint(np.clip(np.dstack([scaled, edges]) + np.float32(_MIDDLE), 0, 255)).astype(np.uint8)
    models = _bell(_MIDDLE - _CODES), _bell(_MIDDLE + _CODES)
    labels, *_ = cv2.grabCut(planes, labels, None, *models, 1, cv2.GC_EVAL_FREEZE_MODEL)
    front: Mask = (labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)
    return front


def rough_cut(edges: Map, odds: Map, sure: Mask, never: Mask) -> Mask:
    """Return what `cut` does at half the size and a quarter of its time, with outlines of two cells' steps."""
    rows, columns = odds.shape
    size = (-(-columns // 2), -(-rows // 2))
    halves = [cv2.resize(plane, size, interpolation=cv2.INTER_AREA) for plane in (edges, odds)]
    marks = [cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_AREA) >= 0.5 for mask in (sure, never)]
    front = cut(halves[0], halves[1], marks[0], marks[1]).view(np.uint8)
    whole: Mask = cv2.resize(front, (columns, rows), interpolation=cv2.INTER_NEAREST).astype(np.bool_)
    return (whole | sure) & ~never


def _bell(middle: float) -> NDArray[np.float64]:
    """Return a model of OpenCV's cut that is one bell in the first channel, so wide that codes are odds again."""
    weights, means, spreads = np.zeros(5), np.zeros((5, 3)), np.zeros((5, 3, 3))
    weights[0], means[0] = 1, (middle, _MIDDLE, _MIDDLE)
    spreads[0] = np.diag([2 * _CODES * _CODES / (_MOST * _AGAINST_EDGES), _ANY, _ANY])
    return np.concatenate([weights, means.ravel(), spreads.ravel()])[None]
