"""Composes training pictures: people over rooms, real photos as they are, empty rooms; then spoils them."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from training.cutouts import Cutout, Material

Image = NDArray[np.uint8]
"""BGR (h, w, 3), or one plane (h, w)."""


@dataclass(frozen=True)
class Sample:
    """One training example; height and width are those asked for."""

    picture: NDArray[np.uint8]
    """RGB (h, w, 3)."""
    alpha: NDArray[np.uint8]
    """Truth (h, w)."""
    trust: NDArray[np.uint8]
    """Weight in the loss (h, w), 0 to 255."""


def compose(material: Material, width: int, height: int, rng: Generator) -> Sample:
    """Draws one sample: 30 % real photos, 3 % empty rooms, the rest composites (one in ten with two people)."""
    kind = rng.random()
    if kind < 0.30:
        picture, alpha, trust = _photo(_pick(material.cutouts, rng), width, height, rng)
    else:
        picture = _room(material, width, height, rng)
        alpha = np.zeros((height, width), np.uint8)
        trust = np.full((height, width), 255, np.uint8)
        people = 0 if kind < 0.33 else 2 if rng.random() < 0.1 else 1
        for i in range(people):
            smaller = 0.75 if people == 2 and i == 0 else 1.0
            cutout = _pick(material.cutouts, rng)
            picture, alpha, trust = _paste(cutout, picture, alpha, trust, smaller, rng)
    if rng.random() < 0.5:
        picture, alpha, trust = picture[:, ::-1], alpha[:, ::-1], trust[:, ::-1]
    picture = _spoil(np.ascontiguousarray(picture), rng)
    return Sample(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.ascontiguousarray(alpha), np.ascontiguousarray(trust))


def _pick(items: list[Cutout], rng: Generator) -> Cutout:
    return items[int(rng.integers(len(items)))]


def _warp(image: Image, matrix: NDArray[np.float64], width: int, height: int, border: int, outside: int = 0) -> Image:
    size = (width, height)
    return cv2.warpAffine(image, matrix, size, flags=cv2.INTER_LINEAR, borderMode=border, borderValue=outside)


def _photo(cutout: Cutout, width: int, height: int, rng: Generator) -> tuple[Image, Image, Image]:
    """A crop of the original photo: no compositing, the teacher's matte is the truth."""
    h, w = cutout.alpha.shape
    largest = min(w / width, h / height)
    scale = largest * rng.uniform(0.55, 1.0)
    x = rng.uniform(0, w - scale * width)
    # The head is at the top: a landscape crop of a tall photo is mostly taken from there.
    y = (h - scale * height) * rng.beta(1.0, 2.0)
    matrix = np.array([[1 / scale, 0, -x / scale], [0, 1 / scale, -y / scale]])
    picture = _warp(cutout.picture, matrix, width, height, cv2.BORDER_REFLECT_101)
    alpha = _warp(cutout.alpha, matrix, width, height, cv2.BORDER_REPLICATE)
    trust = _warp(cutout.trust, matrix, width, height, cv2.BORDER_REPLICATE)
    return _relight(picture, rng), alpha, _strict(trust)


def _strict(trust: Image) -> Image:
    """Interpolated weights next to an ignored pixel are ignored too."""
    return cv2.threshold(trust, 115, 0, cv2.THRESH_TOZERO)[1]


def _room(material: Material, width: int, height: int, rng: Generator) -> Image:
    """A random view of a room: mirrored, zoomed, often out of focus, sometimes with foreign patches."""
    image = material.rooms[int(rng.integers(len(material.rooms)))]
    picture = _view(image, width, height, rng)
    if rng.random() < 0.25:
        for _ in range(int(rng.integers(1, 4))):
            _patch(picture, material, rng)
    if rng.random() < 0.45:
        picture = cv2.GaussianBlur(picture, (0, 0), float(rng.uniform(0.6, 6.0)) * width / 288)
    return _relight(picture, rng)


def _view(image: NDArray[np.uint8], width: int, height: int, rng: Generator) -> Image:
    h, w = image.shape[:2]
    scale = min(w / width, h / height) * rng.uniform(0.35, 1.0)
    x, y = rng.uniform(0, w - scale * width), rng.uniform(0, h - scale * height)
    matrix = np.array([[1 / scale, 0, -x / scale], [0, 1 / scale, -y / scale]])
    if rng.random() < 0.5:
        matrix = np.array([[-1.0, 0, width - 1], [0, 1, 0], [0, 0, 1]])[:2] @ np.vstack([matrix, [0, 0, 1]])
    return _warp(image, matrix, width, height, cv2.BORDER_REFLECT_101)


def _patch(picture: Image, material: Material, rng: Generator) -> None:
    """Pastes a blob into the background, in place: cloth, hair or skin of nobody, or a piece of another room."""
    h, w = picture.shape[:2]
    mask = np.zeros((h, w), np.uint8)
    size = (int(rng.uniform(0.04, 0.25) * w), int(rng.uniform(0.04, 0.35) * h))
    center = (int(rng.uniform(0, w)), int(rng.uniform(0, h)))
    if rng.random() < 0.5:
        cv2.ellipse(mask, center, size, float(rng.uniform(0, 180)), 0, 360, 255, -1)
    else:
        cv2.rectangle(mask, np.subtract(center, size).tolist(), np.add(center, size).tolist(), 255, -1)
    mask = cv2.GaussianBlur(mask, (0, 0), float(rng.uniform(0.5, 3)))
    if rng.random() < 0.5:
        colour = _person_colour(_pick(material.cutouts, rng), rng)
        noise = rng.normal(0, rng.uniform(2, 25), (h // 8 + 1, w // 8 + 1, 1)) + colour
        patch = cv2.resize(np.clip(noise, 0, 255).astype(np.uint8), (w, h))
    else:
        patch = _view(material.rooms[int(rng.integers(len(material.rooms)))], w, h, rng)
    picture[:] = _blend(patch, picture, mask)


def _person_colour(cutout: Cutout, rng: Generator) -> NDArray[np.float32]:
    rows, columns = np.nonzero(cutout.alpha > 250)
    i = int(rng.integers(len(rows)))
    return cutout.foreground[rows[i], columns[i]].astype(np.float32)


def _paste(
    cutout: Cutout, under: Image, alpha: Image, trust: Image, smaller: float, rng: Generator
) -> tuple[Image, Image, Image]:
    """Puts one person over `under`; where the photo cut the person, the frame or another edge hides the cut."""
    height, width = alpha.shape
    matrix = _placement(cutout, width, height, smaller, rng)
    foreground = _warp(cutout.foreground, matrix, width, height, cv2.BORDER_REPLICATE)
    # Past a side that cuts the person the border is repeated, so that a small turn shows no straight edge.
    border = cv2.BORDER_REPLICATE if any(cutout.cut) else cv2.BORDER_CONSTANT
    own = _warp(cutout.alpha, matrix, width, height, border)
    own_trust = _strict(_warp(cutout.trust, matrix, width, height, cv2.BORDER_CONSTANT, outside=255))
    if rng.random() < 0.3:
        foreground = _dye_clothes(foreground, cutout, matrix, rng)
    foreground = _relight(foreground, rng)
    if rng.random() < 0.12:
        sigma = float(rng.uniform(0.4, 1.6)) * width / 288
        foreground, own = (cv2.GaussianBlur(x, (0, 0), sigma) for x in (foreground, own))
    if rng.random() < 0.08:
        kernel = _motion_kernel(int(rng.integers(3, 12)), float(rng.uniform(0, np.pi)))
        foreground, own = (cv2.filter2D(x, -1, kernel) for x in (foreground, own))
    alpha = _blend(np.full_like(own, 255), alpha, own)
    return _blend(foreground, under, own), alpha, np.where(own > 5, own_trust, np.minimum(trust, own_trust))


def _blend(over: Image, under: Image, alpha: Image) -> Image:
    weight = alpha.astype(np.float32) / 255
    return cv2.blendLinear(over, under, weight, 1 - weight)


def _placement(cutout: Cutout, width: int, height: int, smaller: float, rng: Generator) -> NDArray[np.float64]:
    """The affine map from cut-out to frame, with every cut side of the photo at or outside the frame's."""
    h, w = cutout.alpha.shape
    left, top, right, bottom = cutout.cut
    rows = np.flatnonzero(cutout.alpha.max(axis=1) > 127)
    columns = np.flatnonzero(cutout.alpha.max(axis=0) > 127)
    head, feet = (float(rows[0]), float(rows[-1])) if len(rows) else (0.0, h - 1.0)
    middle = float(columns.mean()) if len(columns) else w / 2
    scale = smaller * height * float(np.exp(rng.uniform(np.log(0.5), np.log(1.7)))) / (feet - head + 1)
    if left and right:
        scale = max(scale, width / w * 1.02)
    # Vertical: the body leaves through the frame's bottom; the head may be cut only by the frame's top.
    if top:
        y = -rng.uniform(0, 0.15) * scale * h
    elif bottom:
        y = height - scale * h * rng.uniform(0.55, 1.0)
        y = min(max(y, height - scale * h), height * 0.55 - scale * head)
        y = max(y, height - scale * h)
    else:
        y = rng.uniform(-0.2, 0.6) * height - scale * head
    if bottom:
        y = max(y, height - scale * h)
    x = width * rng.uniform(0.2, 0.8) - scale * middle
    if left and right:
        x = rng.uniform(width - scale * w, 0)
    elif left:
        x = min(x, 0.0)
    elif right:
        x = max(x, width - scale * w)
    turn = np.deg2rad(np.clip(rng.normal(0, 4), -10, 10))
    shear = rng.normal(0, 0.03)
    linear = scale * np.array([[np.cos(turn), -np.sin(turn) + shear], [np.sin(turn), np.cos(turn)]])
    linear[:, 0] *= np.exp(rng.normal(0, 0.06))
    # Turn about the middle of the lower edge, where a sitting body is fixed.
    pivot = np.array([middle, float(h)])
    target = scale * pivot + np.array([x, y])
    return np.column_stack([linear, target - linear @ pivot])


def _dye_clothes(foreground: Image, cutout: Cutout, matrix: NDArray[np.float64], rng: Generator) -> Image:
    """Gives everything under a soft line below the head another hue, saturation and brightness."""
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
    return _blend(cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR), foreground, mask)


def _relight(picture: Image, rng: Generator) -> Image:
    """Exposure, gamma, white balance, saturation and now and then a light from one side."""
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


def _motion_kernel(length: int, angle: float) -> NDArray[np.float32]:
    kernel = np.zeros((length, length), np.float32)
    middle = (length - 1) / 2
    dx, dy = np.cos(angle) * middle, np.sin(angle) * middle
    start = (round(middle - dx), round(middle - dy))
    cv2.line(kernel, start, (round(middle + dx), round(middle + dy)), 1.0)
    return kernel / kernel.sum()


def _spoil(picture: Image, rng: Generator) -> Image:
    """What cameras and codecs do: colour cast, low resolution, noise, compression."""
    if rng.random() < 0.6:
        picture = _relight(picture, rng)
    h, w = picture.shape[:2]
    if rng.random() < 0.2:
        scale = rng.uniform(0.45, 0.9)
        small = cv2.resize(picture, (int(w * scale), int(h * scale)), interpolation=cv2.INTER_AREA)
        picture = cv2.resize(small, (w, h), interpolation=cv2.INTER_LINEAR)
    if rng.random() < 0.6:
        noise = np.empty((h, w, 3), np.int16)
        cv2.setRNGSeed(int(rng.integers(2**31)))
        cv2.randn(noise, (0.0,) * 3, (float(rng.gamma(2.0, 2.0)),) * 3)
        picture = cv2.add(picture, noise, dtype=cv2.CV_8U)
    if rng.random() < 0.6:
        quality = int(rng.integers(30, 96))
        _, code = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
        picture = cv2.imdecode(code, cv2.IMREAD_COLOR)
    if rng.random() < 0.03:
        picture = cv2.cvtColor(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    return picture
