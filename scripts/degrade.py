"""Add a network's kind of frame-by-frame noise to true mattes, for a temporal smoother to remove.

A network that sees frames alone errs anew in each: its edges jitter and swell, its blur changes, hair boils, a part
drops out or a phantom shows for a frame. `degrade` imitates that: each frame's noise is drawn from the clip's seed and
the frame's number alone, so that frames can be made in any order. Amplitudes are set so that edge-band error and
flicker come out near those of published networks.

`TUNING` are the kinds that the smoother's constants were chosen on, `HELD_OUT` those that it has never seen.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator

import cv2
import numpy as np

from birefvideo.frames import Alpha

Noise = Callable[[Alpha, np.random.Generator], Alpha]
"""Degrade one frame's alpha, float32 (height, width) in [0, 1]; the result may leave the range a little."""


def field(rng: np.random.Generator, shape: tuple[int, int], wavelength: float) -> Alpha:
    """Return a smooth random field, normal with a deviation of 1.2, of features about `wavelength` pixels wide."""
    rows, columns = (int(np.ceil(side / wavelength)) + 3 for side in shape)
    size = (round(columns * wavelength), round(rows * wavelength))
    coarse = cv2.resize(rng.standard_normal((rows, columns)).astype(np.float32), size, interpolation=cv2.INTER_CUBIC)
    # A random offset, so that the coarse grid does not stand still.
    top, left = (int(rng.integers(0, int(wavelength))) for _ in range(2))
    return coarse[top : top + shape[0], left : left + shape[1]] / np.float32(0.72)


def unit(alpha: Alpha) -> float:
    """Return pixels in a 640-pixel-wide picture's pixel: noise scales with the picture, as a network's does."""
    return max(alpha.shape) / 640


def blob(rng: np.random.Generator, shape: tuple[int, int], centre: tuple[float, float], radius: float) -> Alpha:
    """Return a soft-edged, ragged disc of height 1."""
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    distance = np.hypot(rows - centre[0], columns - centre[1]).astype(np.float32)
    ragged = distance / np.float32(radius) + np.float32(0.25) * field(rng, shape, radius)
    return np.clip((1 - ragged) * 3, 0, 1)


def edge_jitter(alpha: Alpha, rng: np.random.Generator) -> Alpha:
    """Move the outline to and fro by about a pixel."""
    scale = unit(alpha)
    rows, columns = np.indices(alpha.shape, np.float32)
    dx, dy = (np.float32(0.5 * scale) * field(rng, alpha.shape, 14 * scale) for _ in range(2))
    return cv2.remap(alpha, columns + dx, rows + dy, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def blur_change(alpha: Alpha, rng: np.random.Generator) -> Alpha:
    """Blur here and there, more or less in every frame."""
    blurred = cv2.GaussianBlur(alpha, (0, 0), 1.6 * unit(alpha))
    share = np.clip(0.4 * field(rng, alpha.shape, 40 * unit(alpha)) + rng.uniform(-0.2, 0.4), 0, 1)
    return alpha + share * (blurred - alpha)


def hair_boil(alpha: Alpha, rng: np.random.Generator) -> Alpha:
    """Shake what is soft, at the scale of strands and of locks."""
    scale = unit(alpha)
    noise = 0.7 * field(rng, alpha.shape, 2.5 * scale) + 0.7 * field(rng, alpha.shape, 9 * scale)
    soft = cv2.blur(4 * alpha * (1 - alpha), (3, 3))
    return alpha + np.float32(0.08) * soft * noise


def hole(alpha: Alpha, rng: np.random.Generator) -> Alpha:
    """Let a patch of the subject drop out, wholly or in part, in one frame of eight."""
    inside = np.argwhere(alpha[::8, ::8] > 0.9)
    if rng.random() > 0.125 or not len(inside):
        return alpha
    centre = 8 * inside[rng.integers(len(inside))]
    depth = np.float32(rng.uniform(0.4, 1))
    return alpha * (1 - depth * blob(rng, alpha.shape, tuple(centre), rng.uniform(8, 24) * unit(alpha)))


def phantom(alpha: Alpha, rng: np.random.Generator) -> Alpha:
    """Show something in the background that is not there, in one frame of eight."""
    outside = np.argwhere(alpha[::8, ::8] < 0.1)
    if rng.random() > 0.125 or not len(outside):
        return alpha
    centre = 8 * outside[rng.integers(len(outside))]
    height = np.float32(rng.uniform(0.3, 1))
    ghost = height * blob(rng, alpha.shape, tuple(centre), rng.uniform(8, 24) * unit(alpha))
    return np.maximum(alpha, ghost)


def certainty(alpha: Alpha, rng: np.random.Generator) -> Alpha:
    """Shift what the network's last layer would say before its sigmoid."""
    clipped = np.clip(alpha, 0.002, 0.998)
    shift = np.float32(0.5) * field(rng, alpha.shape, 24 * unit(alpha)) + np.float32(rng.normal(0, 0.2))
    moved = 1 / (1 + np.exp(-shift) * (1 - clipped) / clipped)
    return np.where((alpha > 0) & (alpha < 1), moved, alpha)


def swell(alpha: Alpha, rng: np.random.Generator) -> Alpha:
    """Thicken and thin the subject by about a pixel, in places."""
    side = 2 * round(1.2 * unit(alpha)) + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    share = np.clip(0.5 * field(rng, alpha.shape, 30 * unit(alpha)), -1, 1)
    thick, thin = cv2.dilate(alpha, kernel), cv2.erode(alpha, kernel)
    return alpha + np.maximum(share, 0) * (thick - alpha) - np.maximum(-share, 0) * (alpha - thin)


def coarse_grid(alpha: Alpha, rng: np.random.Generator) -> Alpha:
    """Sample alpha on a grid up to twice as coarse, which lies elsewhere in every frame."""
    step = rng.uniform(1.2, 2.2) * unit(alpha)
    rows, columns = (int(np.ceil(side / step)) + 1 for side in alpha.shape)
    left, top = rng.uniform(0, step, 2)
    matrix = np.array([[step, 0, -left], [0, step, -top]], np.float32)
    small = cv2.warpAffine(
        alpha, matrix, (columns, rows), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE
    )
    return cv2.warpAffine(small, matrix, alpha.shape[::-1], flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def torn_edge(alpha: Alpha, rng: np.random.Generator) -> Alpha:
    """Bite small pieces out of the outline and hang others on, several in every frame."""
    soft = np.argwhere(np.abs(alpha[::4, ::4] - 0.5) < 0.45)
    result = alpha
    for _ in range(int(rng.integers(1, 4)) if len(soft) else 0):
        row, column = 4 * soft[rng.integers(len(soft))]
        piece = np.float32(rng.uniform(0.3, 0.9)) * blob(
            rng, alpha.shape, (float(row), float(column)), rng.uniform(3, 7) * unit(alpha)
        )
        result = result * (1 - piece) if rng.random() < 0.5 else np.maximum(result, piece)
    return result


TUNING: dict[str, tuple[Noise, ...]] = {
    "jitter": (edge_jitter,),
    "blur": (blur_change,),
    "boil": (hair_boil,),
    "drop-outs": (hole, phantom),
    "all of these": (blur_change, edge_jitter, hair_boil, hole, phantom),
}
"""Kinds of noise by name that constants may be tuned on."""

HELD_OUT: dict[str, tuple[Noise, ...]] = {
    "certainty": (certainty,),
    "swelling": (swell,),
    "coarse grid": (coarse_grid,),
    "torn edge": (torn_edge,),
    "all of those": (certainty, coarse_grid, swell, torn_edge),
}
"""Kinds of noise by name that are kept out of tuning."""


def degrade(truth: Iterable[Alpha], kind: str, seed: int) -> Iterator[Alpha]:
    """Yield each true alpha with noise of a kind named in `TUNING` or `HELD_OUT`, clipped to [0, 1]."""
    noises = {**TUNING, **HELD_OUT}[kind]
    for number, alpha in enumerate(truth):
        rng = np.random.default_rng([seed, number, zlib.crc32(kind.encode())])
        for noise in noises:
            alpha = np.clip(noise(alpha, rng), 0, 1).astype(np.float32)
        yield alpha
