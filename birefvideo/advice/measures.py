"""What the choice of a variant depends on, measured on a few frames and the embedded model's mattes of them.

A frame is measured by itself (`measured`), and a clip is the summary of its frames (`summary`). Lengths at edges are
given in parts of the network's own pixels, since the matte cannot show an edge finer than the network saw it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from statistics import fmean, median
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from birefvideo.advice.surface import lone_object, lost_detail
from birefvideo.frames import Alpha

RGB = NDArray[np.uint8]
Mask = NDArray[np.bool_]

WORKING_SIDE = 960
"""Long side in pixels at which colours and edges are compared."""
_LEAST_SUBJECT = 0.005
"""Share of the picture under which a piece of the matte counts as nobody."""
_LEAST_OF_LARGEST = 0.15
"""Share of the largest piece under which another one counts as no subject of its own."""
_NETWORK_SIDE = 640
"""Long side at which the embedded model sees a picture."""
_SOFT_PIXELS = 6.0
"""Width of the half-transparent band, in network pixels, from which the outline counts as soft there."""
_BLENDING = 10.0
"""CIE76 distance under which two colours beside each other are hard to tell apart."""
_STEEP = 24.0
"""Change of luma (of 255) within a pixel at the working size from which it counts as an edge."""


@dataclass(frozen=True)
class Measures:
    """What was measured; shares are from 0 to 1."""

    frames: int = 1
    """Frames that were looked at."""
    width: int = 0
    """Columns of the picture, in pixels."""
    height: int = 0
    """Rows of the picture, in pixels."""
    people: float = 0.0
    """Share of the frames in which the embedded model finds somebody: a piece of matte over 0.5 % of the picture."""
    share: float = 0.0
    """Share of the picture that is subject: the mean of alpha; median of the frames with somebody."""
    subjects: int = 0
    """Pieces of the matte that are apart, from 15 % of the largest one's size; median of those frames."""
    head_room: float = 0.0
    """Share of the picture's height above the subject; median."""
    at_bottom: float = 0.0
    """Share of the subject's width that lies on the picture's lower edge; median."""
    at_top: float = 0.0
    """Share of the subject's width that lies on the upper edge; median."""
    at_sides: float = 0.0
    """Share of the subject's height that lies on the left or right edge, whichever is more; median."""
    subject_size: float = 0.0
    """Longer side of the box around all subjects, in source pixels; median."""
    soft_width: float = 0.0
    """Area of the half-transparent band (0.05 < alpha < 0.95) over the outline's length, in source pixels; mean."""
    soft_share: float = 0.0
    """Share of the outline that is soft: a band of 6 network pixels or more; mean of the two softest frames."""
    detail: float = 0.0
    """Strength of what 1024 pixels cannot hold beside that of the octave below, at edges and less noise; median. A
    sharp 4K picture has 0.5 or more, one enlarged from up to 1024 pixels 0 to 0.35; sharp 1080p has some."""
    contrast: float = 0.0
    """Difference in colour across the outline: median of CIE76 between both sides; median of the frames."""
    blended: float = 0.0
    """Share of the outline with a difference under 10; mean."""
    clutter: float = 0.0
    """Share of the surroundings' pixels that are edges, at a long side of 960; of the picture's where nobody is."""
    own_edges: float = 0.0
    """The same within the subject."""
    motion: float = 0.0
    """Movement of the subject's fastest twentieth to the next frame or from the one before, whichever is less, in
    shares of the long side; mean of the two fastest frames."""
    tones: float = 0.0
    """Range of lightness of the whole picture, from its 2nd to its 98th percentile (L* from 0 to 100); median."""
    object_share: float = 0.0
    """Where nobody is: share of the picture that differs from a plain border around it; 0 where it is not plain."""
    object_contrast: float = 0.0
    """Difference in colour (CIE76) between that and the border; 0 where there is none."""

    @property
    def long_side(self) -> int:
        """Longer side of the picture, in pixels."""
        return max(self.width, self.height)

    def as_dict(self) -> dict[str, float | int]:
        """Return every measure by name, rounded to what is meant by it."""
        return {name: round(value, 4) for name, value in asdict(self).items()}


def measured(rgb: RGB, alpha: Alpha, flow: NDArray[np.float32] | None = None, opacity: Alpha | None = None) -> Measures:
    """Measure one frame.

    Args:
        rgb: uint8 (height, width, 3), full range.
        alpha: its matte by the embedded model, float32 (height, width).
        flow: movement to the next frame, see `look.Flow`.
        opacity: the picture's own, float32 (height, width); None where it is opaque. What it hides is no surroundings.
    """
    if opacity is not None:
        alpha = alpha * opacity
    height, width = alpha.shape
    scale = min(1.0, WORKING_SIDE / max(height, width))
    size = max(16, round(width * scale)), max(16, round(height * scale))
    small = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
    matte = np.asarray(cv2.resize(alpha, size, interpolation=cv2.INTER_AREA), np.float32)
    lab = np.asarray(cv2.cvtColor(small.astype(np.float32) / 255, cv2.COLOR_RGB2Lab), np.float32)
    edges = _edges(small)
    low, high = np.percentile(lab[..., 0], (2, 98))
    facts: dict[str, Any] = {"width": width, "height": height, "tones": float(high - low)}
    pieces = _pieces(matte)
    if not pieces:
        share, contrast = lone_object(lab)
        facts |= {"object_share": share, "object_contrast": contrast, "clutter": float(edges.mean())}
        return Measures(**facts, detail=lost_detail(rgb), motion=_motion(flow, None))
    whole = np.logical_or.reduce(pieces)
    facts |= {
        **_framing(whole, max(height, width) / max(size)),
        **_softness(np.where(_near(whole, 9), matte, 0), max(height, width) / max(size)),
        **_contrast(lab, matte, whole, opacity),
        **_clutter(edges, whole),
    }
    return Measures(
        **facts,
        people=1.0,
        share=float(alpha.mean()),
        subjects=len(pieces),
        detail=lost_detail(rgb, np.asarray(cv2.resize(_near(whole, 9).astype(np.uint8), (width, height)), bool)),
        motion=_motion(flow, whole),
    )


def summary(frames: Sequence[Measures]) -> Measures:
    """Return what is true of all frames together; of those with somebody, where that is most of them."""
    shown = [frame for frame in frames if frame.people]
    people = len(shown) / len(frames)
    if people < 0.5:
        shown = [frame for frame in frames if not frame.people]
    values: dict[str, Any] = {f.name: median(getattr(one, f.name) for one in shown) for f in fields(Measures)}
    for name in ("soft_width", "blended"):
        values[name] = fmean(getattr(one, name) for one in shown)
    for name in ("soft_share", "motion"):
        values[name] = fmean(sorted((getattr(one, name) for one in shown), reverse=True)[:2])
    values |= {"frames": len(frames), "people": people, "width": frames[0].width, "height": frames[0].height}
    return Measures(**{**values, "subjects": int(values["subjects"])})


def _pieces(matte: Alpha) -> list[Mask]:
    """Return the subjects: the pieces of a matte that are large enough, the largest first."""
    solid = (matte > 0.5).astype(np.uint8)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(solid, connectivity=8)
    areas = sorted(((int(row[cv2.CC_STAT_AREA]), number) for number, row in enumerate(stats) if number), reverse=True)
    least = max(_LEAST_SUBJECT * matte.size, _LEAST_OF_LARGEST * areas[0][0]) if areas else 0
    return [labels == number for area, number in areas if area >= least]


def _near(mask: Mask, reach: int) -> Mask:
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    grown: Mask = cv2.dilate(mask.astype(np.uint8), kernel) > 0
    return grown


def _framing(mask: Mask, scale: float) -> dict[str, float]:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    height, width = int(rows[-1] - rows[0] + 1), int(columns[-1] - columns[0] + 1)
    return {
        "head_room": float(rows[0] / mask.shape[0]),
        "at_bottom": float(mask[-2:].any(axis=0).sum() / width),
        "at_top": float(mask[:2].any(axis=0).sum() / width),
        "at_sides": max(float(mask[:, edge].any(axis=1).sum() / height) for edge in (slice(2), slice(-2, None))),
        "subject_size": max(height, width) * scale,
    }


def _outline(mask: Mask) -> Mask:
    """Return the outline's pixels, without those where the picture's own edge cuts the subject."""
    inner = cv2.erode(mask.astype(np.uint8), np.ones((3, 3), np.uint8), borderType=cv2.BORDER_REPLICATE)
    line: Mask = mask & (inner == 0)
    line[:3], line[-3:], line[:, :3], line[:, -3:] = False, False, False, False
    return line


def _softness(matte: Alpha, scale: float) -> dict[str, float]:
    """Return the width of the half-transparent band and how much of the outline it is wide at.

    Locally, it is the band's area in a window over the outline's length there.
    """
    line = _outline(matte > 0.5)
    if not line.any():
        return {}
    band = ((matte > 0.05) & (matte < 0.95)).astype(np.float32)
    window = (round(max(matte.shape) / 30),) * 2
    areas = cv2.boxFilter(band, -1, window, normalize=False)
    lengths = cv2.boxFilter(line.astype(np.float32), -1, window, normalize=False)
    width = (areas / np.maximum(lengths, 1))[line]
    soft = _SOFT_PIXELS * max(matte.shape) / _NETWORK_SIDE
    return {"soft_width": float(band.sum() / line.sum()) * scale, "soft_share": float((width >= soft).mean())}


def _contrast(lab: NDArray[np.float32], matte: Alpha, whole: Mask, opacity: Alpha | None) -> dict[str, float]:
    """Compare the mean colours of both sides within a small window, at each pixel of the outline."""
    line = _outline(whole)
    around = matte < 0.05
    if opacity is not None:
        around &= cv2.resize(opacity, (matte.shape[1], matte.shape[0]), interpolation=cv2.INTER_AREA) > 0.5
    inside, outside = _side_mean(lab, matte > 0.95), _side_mean(lab, around)
    known = line & np.isfinite(inside[..., 0]) & np.isfinite(outside[..., 0])
    if not known.any():
        return {}
    distance = np.linalg.norm(inside[known] - outside[known], axis=1)
    return {"contrast": float(np.median(distance)), "blended": float((distance < _BLENDING).mean())}


def _side_mean(lab: NDArray[np.float32], side: Mask) -> NDArray[np.float32]:
    """Return the mean colour of one side around each pixel; NaN where the window holds hardly any of it."""
    window = (round(max(side.shape) / 40),) * 2
    weight = cv2.boxFilter(side.astype(np.float32), -1, window)
    total = cv2.boxFilter(lab * side[..., None], -1, window)
    found: NDArray[np.float32] = np.where(weight[..., None] > 0.08, total / np.maximum(weight, 1e-6)[..., None], np.nan)
    return found


def _edges(small: RGB) -> Mask:
    luma = cv2.GaussianBlur(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), (0, 0), 1.0)
    slope = cv2.magnitude(cv2.Sobel(luma, cv2.CV_32F, 1, 0) / 4, cv2.Sobel(luma, cv2.CV_32F, 0, 1) / 4)
    found: Mask = slope > _STEEP / 2
    return found


def _clutter(edges: Mask, whole: Mask) -> dict[str, float]:
    around, within = ~_near(whole, 12), ~_near(~whole, 6)
    shares = [float(edges[part].mean()) if part.any() else 0.0 for part in (around, within)]
    return {"clutter": shares[0], "own_edges": shares[1]}


def _motion(flow: NDArray[np.float32] | None, whole: Mask | None) -> float:
    if flow is None:
        return 0.0
    length = np.hypot(flow[..., 0], flow[..., 1])
    if whole is not None:
        size = (length.shape[1], length.shape[0])
        length = length[cv2.resize(whole.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0]
    return float(np.percentile(length, 95)) if length.size else 0.0
