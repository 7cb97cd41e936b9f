"""Drawn scenes for the tests of advice: pictures of which the true alpha stands for the embedded model's matte."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from birefvideo.advice.measures import Measures, measured

RGB = NDArray[np.uint8]
Alpha = NDArray[np.float32]

WALL, SHIRT = (70, 90, 120), (200, 120, 60)


@dataclass(frozen=True)
class Scene:
    """One picture."""

    rgb: RGB
    alpha: Alpha
    speed: float = 0.0
    """Movement of everything to the next frame, in shares of the long side."""

    def measures(self) -> Measures:
        """What is measured on it."""
        flow = np.full((36, 64, 2), (self.speed, 0), np.float32) if self.speed else None
        return measured(self.rgb, self.alpha, flow)


def person(size: tuple[int, int], middle: float, height: float, bottom: float = 1.1) -> Alpha:
    """A head and a body of a share of the picture's height, at a share of its width; it ends at `bottom`."""
    columns, rows = size
    alpha = np.zeros((rows, columns), np.float32)
    x, head = round(middle * columns), round(0.13 * height * rows)
    top = round((bottom - height) * rows)
    cv2.circle(alpha, (x, top + head), head, 1.0, -1, cv2.LINE_AA)
    body = (x, round((top + 2 * head + bottom * rows) / 2))
    cv2.ellipse(alpha, body, (round(1.8 * head), body[1] - top - 2 * head + 2), 0, 0, 360, 1.0, -1, cv2.LINE_AA)
    return alpha


def over(alpha: Alpha, colour: tuple[int, int, int], ground: RGB) -> RGB:
    """A figure of one colour over a ground."""
    mixed = alpha[..., None] * np.array(colour, np.float32) + (1 - alpha[..., None]) * ground
    return np.rint(mixed).astype(np.uint8)


def wall(size: tuple[int, int], colour: tuple[int, int, int] = WALL, to: int = 60) -> RGB:
    """A wall that gets lighter to the right, so that its border is not plain."""
    ramp = np.linspace(0, to, size[0], dtype=np.float32)[None, :, None]
    return np.clip(np.array(colour, np.float32) + ramp + np.zeros((size[1], 1, 1)), 0, 255).astype(np.uint8)


def sharp(picture: RGB, where: Alpha) -> RGB:
    """The picture with thin lines in a part of it, as sharp as its pixels allow."""
    height, width, _ = picture.shape
    lines = np.zeros((height, width), np.uint8)
    rng = np.random.default_rng(5)
    for _ in range(500):
        x, y, dx, dy = (int(v) for v in rng.integers((0, 0, -200, -200), (width, height, 200, 200)))
        cv2.line(lines, (x, y), (x + dx, y + dy), 255, 2, cv2.LINE_AA)
    return over(np.asarray(lines / 255 * where, np.float32), (30, 30, 30), picture)


def enlarged(picture: RGB, through: int) -> RGB:
    """The picture as it is after being that wide."""
    height, width = picture.shape[:2]
    small = cv2.resize(picture, (through, height * through // width), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


HD, LARGE, TALL = (960, 540), (2560, 1440), (540, 960)


def _of(alpha: Alpha, colour: tuple[int, int, int] = SHIRT, ground: RGB | None = None, speed: float = 0.0) -> Scene:
    size = alpha.shape[1], alpha.shape[0]
    return Scene(over(alpha, colour, wall(size) if ground is None else ground), alpha, speed)


def _hairy(size: tuple[int, int]) -> Alpha:
    return np.asarray(cv2.GaussianBlur(person(size, 0.5, 0.9), (0, 0), size[0] / 90), np.float32)


def _many(*middles: float) -> Alpha:
    return np.asarray(np.maximum.reduce([person(HD, middle, 0.75) for middle in middles]), np.float32)


def _busy() -> Scene:
    rng = np.random.default_rng(3)
    tiles = rng.integers(0, 255, (HD[1] // 12, HD[0] // 12, 3)).astype(np.uint8)
    return _of(person(HD, 0.5, 0.8, 0.92), (255, 255, 255), cv2.resize(tiles, HD, interpolation=cv2.INTER_NEAREST))


def _fine(through: int | None = None, *, is_soft: bool = False) -> Scene:
    alpha = _hairy(LARGE) if is_soft else person(LARGE, 0.5, 0.9)
    picture = sharp(over(alpha, SHIRT, wall(LARGE)), alpha)
    return Scene(enlarged(picture, through) if through else picture, alpha)


def _product(size: tuple[int, int], *, is_sharp: bool = False) -> Scene:
    alpha = np.zeros((size[1], size[0]), np.float32)
    cv2.rectangle(alpha, (size[0] * 2 // 5, size[1] // 4), (size[0] * 3 // 5, size[1] * 3 // 4), 1.0, -1)
    picture = over(alpha, (190, 40, 40), np.full((size[1], size[0], 3), 235, np.uint8))
    return Scene(sharp(picture, alpha) if is_sharp else picture, np.zeros_like(alpha))


def _nobody(colour: tuple[int, int, int], to: int) -> Scene:
    return Scene(wall(HD, colour, to), np.zeros((HD[1], HD[0]), np.float32))


SCENES: dict[str, tuple[str, Callable[[], Scene]]] = {
    "a room without people": ("nobody", lambda: _nobody((20, 60, 90), 160)),
    "fog": ("nobody, low contrast", lambda: _nobody((180, 180, 180), 40)),
    "a product": ("object", lambda: _product(HD)),
    "a product, large and sharp": ("object, fine detail", lambda: _product(LARGE, is_sharp=True)),
    "beige on beige": ("person, low contrast", lambda: _of(person(HD, 0.5, 0.9), (96, 118, 146))),
    "loose hair": ("soft edges", lambda: _of(_hairy(HD))),
    "loose hair, large and sharp": ("soft edges, fine detail", lambda: _fine(is_soft=True)),
    "waving": ("fast motion", lambda: _of(person(HD, 0.5, 0.9), speed=0.04)),
    "four people": ("crowd", lambda: _of(_many(0.14, 0.38, 0.62, 0.86))),
    "two people": ("two people", lambda: _of(_many(0.3, 0.7))),
    "a whole figure in a market": ("busy surroundings", _busy),
    "a whole figure": ("whole body", lambda: _of(person(HD, 0.5, 0.8, 0.92))),
    "a talk, large and sharp": ("fine detail", _fine),
    "a talk, enlarged": ("talking head", lambda: _fine(960)),
    "a talk": ("talking head", lambda: _of(person(HD, 0.5, 0.9))),
    "a talk for telephones": ("talking head", lambda: _of(person(TALL, 0.5, 0.7))),
}
"""Scenes by what they show, with the rule that must hold."""
