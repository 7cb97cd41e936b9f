"""Other colours for what a placed person wears: layers are BGR uint8 (h, w, 3); alpha stays as it is."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from training.cutouts import Cutout
from training.drawing import Image, any_colour, blend, shaded
from training.styles import Head


def dyed(foreground: Image, cutout: Cutout, matrix: NDArray[np.float64], rng: Generator) -> Image:
    """Give everything under a soft line below the head another hue, saturation and brightness."""
    rows = np.flatnonzero(cutout.alpha.max(axis=1) > 127)
    if len(rows) < 8:
        return foreground
    chin = rows[0] + (rows[-1] - rows[0]) * rng.uniform(0.68, 0.8)
    line = matrix[1] @ np.array([cutout.alpha.shape[1] / 2, chin, 1.0])
    h, w = foreground.shape[:2]
    soft = 255 / (1 + np.exp(-(np.arange(h) - line) / (0.03 * h)))
    hsv = cv2.cvtColor(foreground, cv2.COLOR_BGR2HSV)
    codes = np.arange(256, dtype=np.float32)
    table = np.stack(
        [
            (codes + rng.integers(180)) % 180,
            codes * rng.uniform(0.3, 1.6) + rng.uniform(0, 70),
            codes * rng.uniform(0.5, 1.8) + rng.uniform(-10, 60),
        ],
        axis=-1,
    )
    hsv = cv2.LUT(hsv, np.clip(table, 0, 255).astype(np.uint8)[None])
    mask = np.ascontiguousarray(np.broadcast_to(soft.astype(np.uint8)[:, None], (h, w)))
    return blend(cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR), foreground, mask)


def banded(foreground: Image, head: Head, rng: Generator) -> Image:
    """Put stripes or a block of another colour across the clothes: not every straight line is the end of a person."""
    h, w = foreground.shape[:2]
    x = np.arange(w) - head.x
    line = rng.uniform(head.shoulders, h) + rng.normal(0, 0.06) * x + rng.normal(0, 0.05) * x**2 / head.width
    depth = np.arange(h)[:, None] - line
    thick, gap = head.width * np.exp(rng.uniform(np.log(0.04), np.log(0.5), 2))
    stripes = (depth % (thick + gap) < thick) & (depth < (thick + gap) * rng.integers(1, 5))
    is_block = rng.random() < 0.35
    mask = np.where((depth > 0) & (stripes | is_block), rng.uniform(128, 255), 0).astype(np.uint8)
    mask = cv2.GaussianBlur(mask, (0, 0), float(rng.uniform(0.3, 1.0)))
    return blend(shaded(any_colour(rng), np.full_like(mask, 255), head.width, rng), foreground, mask)
