"""What hosted services do to a finished picture: cut it to its subject, make it smaller, store it as another kind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from birefvideo.errors import InputError, OutputError

Pixels = NDArray[np.uint8]

KINDS = {".png": "PNG", ".jpg": "JPEG", ".webp": "WEBP", ".gif": "GIF"}
"""What can be stored, by ending, as Pillow calls it."""
_VISIBLE = 13
"""Alpha, of 255, from which on a pixel belongs to the subject when a picture is cut to it: 5 %."""


def finish(
    path: str,
    target: str,
    *,
    alpha: str = "",
    margin: tuple[float, float, float, float] | None = None,
    is_margin_relative: bool = False,
    most_pixels: int | None = None,
    quality: int = 95,
) -> tuple[int, int]:
    """Store a picture anew; return its width and height.

    Args:
        path: a PNG of ours.
        target: where to; its ending says which kind.
        alpha: the PNG whose alpha says where the subject is; '' is `path`.
        margin: cut to the subject, with so much room above, right, below and left of it.
        is_margin_relative: whether the room is a part of the subject's size instead of pixels.
        most_pixels: make it smaller if it has more.
        quality: of JPEG and WebP, 1 to 100.

    Raises:
        InputError: there is no subject to cut to.
        OutputError: it cannot be stored.
    """
    pixels = _read(path)
    if margin is not None:
        pixels = _cut(pixels, _read(alpha or path)[..., 3], margin, is_margin_relative)
    if most_pixels is not None and pixels.shape[0] * pixels.shape[1] > most_pixels:
        pixels = _smaller(pixels, most_pixels)
    _write(pixels, Path(target), quality, _profile(path))
    return pixels.shape[1], pixels.shape[0]


def _read(path: str) -> Pixels:
    """Return a PNG as 8-bit R'G'B' and alpha, (height, width, 4)."""
    found = cv2.imread(path, cv2.IMREAD_UNCHANGED)
    if found is None:
        raise OutputError("the picture that was made is gone")
    if found.dtype == np.uint16:
        found = ((found.astype(np.uint32) + 128) // 257).astype(np.uint8)
    codes = {2: cv2.COLOR_GRAY2RGBA, 3: cv2.COLOR_BGR2RGBA, 4: cv2.COLOR_BGRA2RGBA}
    return np.asarray(cv2.cvtColor(found, codes[found.shape[2] if found.ndim == 3 else 2]), np.uint8)


def _profile(path: str) -> bytes | None:
    with Image.open(path) as image:
        found = image.info.get("icc_profile")
    return found if isinstance(found, bytes) else None


def _cut(pixels: Pixels, alpha: Pixels, margin: tuple[float, float, float, float], is_relative: bool) -> Pixels:
    rows, columns = (np.flatnonzero((alpha >= _VISIBLE).any(axis)) for axis in (1, 0))
    if not rows.size:
        raise InputError("no subject was found in the picture: there is nothing to cut it to")
    (top, bottom), (left, right) = (int(rows[0]), int(rows[-1]) + 1), (int(columns[0]), int(columns[-1]) + 1)
    high, wide = (bottom - top, right - left) if is_relative else (1, 1)
    above, beside, below, before = margin
    top, bottom = max(0, top - round(above * high)), bottom + round(below * high)
    left, right = max(0, left - round(before * wide)), right + round(beside * wide)
    return pixels[top:bottom, left:right]


def _smaller(pixels: Pixels, most: int) -> Pixels:
    """Return it with at most so many pixels; hidden colour does not run into what is seen."""
    height, width = pixels.shape[:2]
    scale = (most / (height * width)) ** 0.5
    size = (max(1, int(width * scale)), max(1, int(height * scale)))
    alpha = pixels[..., 3:].astype(np.float32) / 255
    seen = cv2.resize(pixels[..., :3] * alpha, size, interpolation=cv2.INTER_AREA)
    alpha = cv2.resize(alpha, size, interpolation=cv2.INTER_AREA)[..., None]
    colour = np.divide(seen, alpha, out=np.zeros_like(seen), where=alpha > 0)
    return np.asarray(np.rint(np.concatenate([colour, alpha * 255], axis=2)).clip(0, 255), np.uint8)


def _write(pixels: Pixels, target: Path, quality: int, profile: bytes | None) -> None:
    kind = KINDS[target.suffix]
    image = Image.fromarray(np.ascontiguousarray(pixels))
    options: dict[str, Any] = {"quality": quality, "exact": True} if kind in ("JPEG", "WEBP") else {}
    if kind == "JPEG" or (kind == "PNG" and pixels[..., 3].min() == 255):
        image = image.convert("RGB")
    if kind == "GIF":
        options, image = _as_gif(pixels)
    elif profile:
        options["icc_profile"] = profile
    part = target.with_name(f"{target.name}.part")
    try:
        image.save(part, format=kind, **options)
        part.replace(target)
    except (OSError, ValueError) as error:
        raise OutputError(f"{target.name} cannot be written ({error})") from error


def _as_gif(pixels: Pixels) -> tuple[dict[str, Any], Image.Image]:
    """Return a picture of 255 colours and one that is not there."""
    image = Image.fromarray(np.ascontiguousarray(pixels[..., :3])).quantize(255)
    codes = np.asarray(image).copy()
    codes[pixels[..., 3] < 128] = 255
    found = Image.fromarray(codes)
    palette = (image.getpalette() or [])[: 255 * 3]
    found.putpalette(palette + [0] * (768 - len(palette)))
    return {"transparency": 255}, found
