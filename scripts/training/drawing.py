"""Drawing with exact alpha: layers of colour, soft shapes, and straight compositing of both.

Layers are BGR uint8 (h, w, 3), masks and alpha uint8 (h, w); `unit` is a length in pixels.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Image = NDArray[np.uint8]
"""BGR (h, w, 3), or one plane (h, w)."""
Person = tuple[Image, Image]
"""Straight colours (h, w, 3) and alpha (h, w)."""

MARGIN = 8
"""Pixels around a shape that are shaded like it: what a blur may reach."""
SUBPIXEL = 4
"""Binary digits after the point in the coordinates given to OpenCV's drawing functions."""


def any_colour(rng: Generator) -> NDArray[np.float32]:
    """Choose a colour of cloth: any, but dark and pale ones more often than vivid ones."""
    grey = rng.beta(0.6, 0.6) * 235 + 10
    colour: NDArray[np.float32] = np.clip(grey + rng.normal(0, rng.choice((5.0, 70.0)), 3), 4, 250).astype(np.float32)
    return colour


def shaded(colour: NDArray[np.float32], alpha: Image, unit: float, rng: Generator) -> Image:
    """Fill a layer with one colour, darker toward the outline as on round things, lit unevenly, with some grain.

    Away from what `alpha` shows it is flat: shading it takes long, and nobody sees it.
    """
    layer = np.empty((*alpha.shape, 3), np.uint8)
    layer[:] = np.clip(colour, 0, 255)
    x, y, width, height = cv2.boundingRect(alpha)
    if not width:
        return layer
    x, y, right, bottom = max(0, x - MARGIN), max(0, y - MARGIN), x + width + MARGIN, y + height + MARGIN
    part = layer[y:bottom, x:right]
    h, w = part.shape[:2]
    solid = (alpha[y:bottom, x:right] > 127).astype(np.uint8)
    depth = cv2.distanceTransform(solid, cv2.DIST_L2, 3) / (rng.uniform(0.1, 0.6) * unit)
    darkest = rng.uniform(0.45, 0.95)
    shade = darkest + (1 - darkest) * np.sqrt(np.clip(depth, 0, 1))
    waves = cv2.resize(
        rng.normal(1, rng.uniform(0.0, 0.12), (5, 6)).astype(np.float32), (w, h), interpolation=cv2.INTER_CUBIC
    )
    shade = (shade * waves * rng.uniform(0.75, 1.2)).astype(np.float32)
    grain = np.empty((h, w), np.float32)
    cv2.setRNGSeed(int(rng.integers(2**31)))
    cv2.randn(grain, 0.0, float(rng.uniform(0, 5)))
    part[:] = np.clip(cv2.merge([shade * float(c) + grain for c in colour]), 0, 255)
    return layer


def limb(mask: Image, start: NDArray[np.float64], end: NDArray[np.float64], thick: float, thin: float) -> None:
    """Add a rounded limb that narrows from `thick` to `thin` pixels to a mask, in place."""
    along = (end - start) / (float(np.linalg.norm(end - start)) + 1e-6)
    across = np.array([-along[1], along[0]]) / 2
    corners = np.array([start + across * thick, end + across * thin, end - across * thin, start - across * thick])
    cv2.fillPoly(mask, [(corners * 2**SUBPIXEL).astype(np.int32)], 255, cv2.LINE_AA, SUBPIXEL)
    for at, across_ in ((start, thick), (end, thin)):
        cv2.circle(mask, fixed(at), max(1, int(across_ / 2 * 2**SUBPIXEL)), 255, -1, cv2.LINE_AA, SUBPIXEL)


def polygon(shape: tuple[int, ...], outline: NDArray[np.float64]) -> Image:
    mask = np.zeros(shape[:2], np.uint8)
    cv2.fillPoly(mask, [(outline * 2**SUBPIXEL).astype(np.int32)], 255, cv2.LINE_AA, SUBPIXEL)
    return mask


def smear(layer: Image, mask: Image, length: float, angle: float) -> Person:
    """Blurs a layer along a line, as motion does: colours are weighted by alpha."""
    kernel = motion_kernel(max(3, round(length)), angle)
    weight = mask.astype(np.float32) / 255
    premultiplied = cv2.filter2D(layer.astype(np.float32) * weight[..., None], -1, kernel)
    weight = cv2.filter2D(weight, -1, kernel)
    colours = premultiplied / np.maximum(weight, 1e-3)[..., None]
    return np.clip(colours, 0, 255).astype(np.uint8), np.clip(255 * weight + 0.5, 0, 255).astype(np.uint8)


def motion_kernel(length: int, angle: float) -> NDArray[np.float32]:
    """Return a blur kernel (length, length): a line of `length` pixels at `angle` radians that sums to one."""
    kernel = np.zeros((length, length), np.float32)
    middle = (length - 1) / 2
    dx, dy = np.cos(angle) * middle, np.sin(angle) * middle
    start = (round(middle - dx), round(middle - dy))
    cv2.line(kernel, start, (round(middle + dx), round(middle + dy)), 1.0)
    return kernel / kernel.sum()


def over(person: Person, layer: Image, mask: Image) -> Person:
    """Put a layer in front of the person; colours stay straight."""
    colours, alpha = person
    return mix(layer, mask, colours, alpha)


def behind(person: Person, layer: Image, mask: Image) -> Person:
    """Put a layer behind the person; colours stay straight."""
    colours, alpha = person
    return mix(colours, alpha, layer, mask)


def mix(front: Image, front_alpha: Image, back: Image, back_alpha: Image) -> Person:
    a = front_alpha.astype(np.float32) / 255
    b = back_alpha.astype(np.float32) / 255 * (1 - a)
    total = a + b
    # Where neither layer is, the front one's colours stand: they are plausible beyond its edge.
    weight = np.where(total > 1e-3, a / np.maximum(total, 1e-3), 1).astype(np.float32)
    return cv2.blendLinear(front, back, weight, 1 - weight), np.clip(255 * total + 0.5, 0, 255).astype(np.uint8)


def blend(over: Image, under: Image, alpha: Image) -> Image:
    weight = alpha.astype(np.float32) / 255
    return cv2.blendLinear(over, under, weight, 1 - weight)


def fixed(point: NDArray[np.float64] | tuple[float, float]) -> tuple[int, int]:
    x, y = point
    return int(x * 2**SUBPIXEL), int(y * 2**SUBPIXEL)
