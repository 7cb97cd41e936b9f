"""Light and cameras: exposure, colour, dimness, noise, compression; pictures are BGR uint8 (h, w, 3)."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.random import Generator

from training.drawing import Image


def relight(picture: Image, rng: Generator) -> Image:
    """Vary exposure, gamma, white balance and saturation, and now and then add a light from one side."""
    codes = np.linspace(0, 1, 256)[:, None] ** np.exp(rng.normal(0, 0.25))
    gains = np.exp(rng.normal(0, 0.18)) * np.exp(rng.normal(0, 0.06, 3))
    table = np.clip(codes * gains * 255 + 0.5, 0, 255).astype(np.uint8)
    picture = cv2.LUT(picture, table[None])
    saturation = float(np.clip(rng.normal(1.0, 0.22), 0.1, 1.8))
    picture = cv2.transform(picture, np.eye(3) * saturation + (1 - saturation) / 3)
    if rng.random() < 0.3:
        h, w = picture.shape[:2]
        angle, strength = rng.uniform(0, 2 * np.pi), rng.uniform(0.1, 0.6)
        ramp = np.cos(angle) * np.linspace(-1, 1, w)[None, :] + np.sin(angle) * np.linspace(-1, 1, h)[:, None]
        light = (1 + strength * ramp).astype(np.float32)
        picture = cv2.multiply(picture, cv2.merge([light] * 3), dtype=cv2.CV_8U)
    return picture


def dim(picture: Image, rng: Generator) -> Image:
    """Dim skin, cloth and floors, well below the brightness of the photos."""
    codes = np.linspace(0, 1, 256) ** rng.uniform(1.1, 2.2) * rng.uniform(0.5, 1.0)
    return cv2.LUT(picture, (255 * codes + 0.5).astype(np.uint8))


def brighten(picture: Image, rng: Generator) -> Image:
    """Lift a background toward white, as a window or a stage light behind a person does, with a little bloom."""
    codes = np.linspace(0, 1, 256) ** rng.uniform(0.35, 0.8) * rng.uniform(1.0, 1.5)
    bright = cv2.LUT(picture, (255 * np.clip(codes, 0, 1) + 0.5).astype(np.uint8))
    if rng.random() < 0.5:
        glow = cv2.GaussianBlur(bright, (0, 0), 0.03 * picture.shape[0] + 1)
        bright = np.asarray(cv2.addWeighted(bright, 0.7, glow, 0.4, 0), np.uint8)
    return bright


def sharpen(picture: Image, amount: float, radius: float) -> Image:
    """Add to a picture what a blur of `radius` pixels takes away, `amount` times."""
    soft = cv2.GaussianBlur(picture, (0, 0), radius)
    return np.asarray(cv2.addWeighted(picture, 1 + amount, soft, -amount, 0), np.uint8)


def spoil(picture: Image, rng: Generator) -> Image:
    """Degrade a picture as cameras and codecs do: colour cast, low resolution, sharpening, noise, compression."""
    if rng.random() < 0.4:
        picture = relight(picture, rng)
    h, w = picture.shape[:2]
    if rng.random() < 0.2:
        scale = rng.uniform(0.45, 0.9)
        small = cv2.resize(picture, (int(w * scale), int(h * scale)), interpolation=cv2.INTER_AREA)
        picture = cv2.resize(small, (w, h), interpolation=cv2.INTER_LINEAR)
    if rng.random() < 0.25:
        picture = sharpen(picture, float(rng.uniform(0.3, 1.5)), float(rng.uniform(0.6, 1.6)))
    if rng.random() < 0.6:
        noise = np.empty((h, w, 3), np.int16)
        cv2.setRNGSeed(int(rng.integers(2**31)))
        cv2.randn(noise, (0.0,) * 3, (float(rng.gamma(2.0, 2.0)),) * 3)
        picture = cv2.add(picture, noise, dtype=cv2.CV_8U)
    if rng.random() < 0.6:
        quality = int(rng.integers(30, 96))
        _, code = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
        picture = np.asarray(cv2.imdecode(code, cv2.IMREAD_COLOR), np.uint8)
    if rng.random() < 0.03:
        picture = cv2.cvtColor(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    return picture
