"""Spill suppression: takes the light that a coloured wall throws on the subject out of its edges.

Of each colour near the edge, what leans towards the wall's hue by more than it leans aside is removed, as keyers do:
for pure green that is about "no more green than the larger of red and blue". Luma stays, so that no edge gets darker.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from birefvideo.matting.grid import Grid, Map, Mask
from birefvideo.matting.patches import Patch, patches
from birefvideo.planes import Codes

REACH = 8
"""How far spill is looked for inside the opaque subject, in cells: 1.7 % of the picture's long side."""

_ASIDE = math.tan(math.radians(40))
"""A hue 50 degrees away from the wall's has no spill in it: in the plane of U and V, yellow and cyan beside green."""
_COLOURED = 0.25
"""Chroma, as a share of the most that codes hold, from which a background's own hue counts fully; a grey wall's does
not count at all."""


@dataclass(frozen=True)
class Spill:
    """The coloured light to be taken out."""

    hue: tuple[float, float] | None = None
    """Its direction in the plane of U and V, of any length but 0; None: that of the background beside each edge."""


def suppress(
    spill: Spill, grid: Grid, chroma: tuple[Codes, Codes], behind: tuple[Map, Map], near: Mask, solid: Mask
) -> None:
    """Take spill out of the foreground's U and V planes, in place: all of it at soft edges, less and less inside.

    Args:
        spill: what to take out.
        grid: the cells of the picture.
        chroma: U and V of the foreground, uint8 or uint16 of 10 bits, at full size.
        behind: U and V of the background for each cell, in codes.
        near: cells that hold any foreground or are close to one.
        solid: cells that are opaque.
    """
    weight = _weight(near, solid)
    neutral = 128 if chroma[0].dtype == np.uint8 else 512
    toward = _direction(spill, behind, neutral)
    for patch in patches(grid, weight > 0):
        _suppress_patch(patch, chroma, toward, weight, neutral)


def _weight(near: Mask, solid: Mask) -> Map:
    """Return 1 at soft edges, falling smoothly to 0 at `REACH` cells inside the subject."""
    depth = cv2.distanceTransform((near & solid).view(np.uint8), cv2.DIST_L2, 3)
    share = np.clip(1 - depth / np.float32(REACH), 0, 1)
    weight: Map = share * share * (3 - 2 * share) * near
    return weight


def _direction(spill: Spill, behind: tuple[Map, Map], neutral: int) -> tuple[Map, Map]:
    """Return the hue to look for in each cell as a vector: of length 1 where sure, of length 0 where there is none."""
    if spill.hue is not None:
        u, v = (np.full_like(behind[0], part / math.hypot(*spill.hue)) for part in spill.hue)
        return u, v
    u, v = (codes - np.float32(neutral) for codes in behind)
    scale = 1 / np.maximum(np.hypot(u, v), np.float32(_COLOURED * neutral))
    return u * scale, v * scale


def _suppress_patch(
    patch: Patch, chroma: tuple[Codes, Codes], toward: tuple[Map, Map], weight: Map, neutral: int
) -> None:
    parts = [patch.pick(plane) for plane in chroma]
    u, v = (part - np.float32(neutral) for part in parts)
    hue_u, hue_v = (patch.enlarge(part) for part in toward)
    # Both products have the hue's length in them, and the result once more: where that is small nothing is taken.
    excess = u * hue_u + v * hue_v - np.float32(_ASIDE) * np.abs(u * hue_v - v * hue_u)
    excess = np.maximum(excess, 0) * patch.enlarge(weight)
    for plane, part, values, hue in zip(chroma, parts, (u, v), (hue_u, hue_v), strict=True):
        np.copyto(part, np.rint(values - excess * hue) + np.float32(neutral), where=excess > 0, casting="unsafe")
        patch.put(part, plane)
