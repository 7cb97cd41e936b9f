"""Places without people: views of rooms, and things in them that are easily mistaken for a person.

Layers are BGR uint8 (h, w, 3), masks uint8 (h, w).
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from training.cutouts import Cutout, Material
from training.drawing import Image, any_colour, blend, shaded
from training.light import relight
from training.styles import Head


def warp(image: Image, matrix: NDArray[np.float64], width: int, height: int, border: int, outside: int = 0) -> Image:
    """Map an image by a (2, 3) matrix into a frame; `border` is OpenCV's mode beyond its sides."""
    size = (width, height)
    return cv2.warpAffine(image, matrix, size, flags=cv2.INTER_LINEAR, borderMode=border, borderValue=outside)


def room(material: Material, width: int, height: int, rng: Generator) -> Image:
    """Draw a random view of a room: mirrored, zoomed, at times out of focus, with posters or foreign patches."""
    picture = view(material.background(rng), width, height, rng)
    if rng.random() < 0.1:
        _poster(picture, material, rng)
    if rng.random() < 0.35:
        for _ in range(int(rng.integers(1, 4))):
            _patch(picture, material, rng)
    if rng.random() < 0.3:
        picture = cv2.GaussianBlur(picture, (0, 0), float(rng.uniform(0.6, 6.0)) * width / 288)
    return relight(picture, rng)


def view(image: NDArray[np.uint8], width: int, height: int, rng: Generator) -> Image:
    """Cut a random piece of `image` in the frame's size, at times mirrored.

    Often no more than twice enlarged, its borders reflected: were large frames all blown up from small rooms, the
    network would take what is sharp for the person.
    """
    h, w = image.shape[:2]
    scale = min(w / width, h / height) * rng.uniform(0.35, 1.0)
    if rng.random() < 0.65:
        scale = max(scale, rng.uniform(0.5, 1.3))
    x, y = rng.random(2) * (w - scale * width, h - scale * height)
    matrix = np.array([[1 / scale, 0, -x / scale], [0, 1 / scale, -y / scale]])
    if rng.random() < 0.5:
        matrix = np.array([[-1.0, 0, width - 1], [0, 1, 0], [0, 0, 1]])[:2] @ np.vstack([matrix, [0, 0, 1]])
    return warp(image, matrix, width, height, cv2.BORDER_REFLECT_101)


def _poster(picture: Image, material: Material, rng: Generator) -> None:
    """Hang a photo of somebody on the wall, in place: within a straight frame, people are background."""
    h, w = picture.shape[:2]
    photo = material.person(rng).picture
    high = h * rng.uniform(0.15, 0.5)
    scale = high / photo.shape[0]
    wide = scale * photo.shape[1]
    x, y = rng.uniform(-0.2 * wide, w - 0.8 * wide), rng.uniform(-0.2 * high, 0.7 * h)
    matrix = np.array([[scale, 0, x], [0, scale, y]])
    size = np.full(photo.shape[:2], 255, np.uint8)
    if rng.random() < 0.7:
        colour = any_colour(rng).astype(int).tolist()
        thick = round(rng.uniform(2, 12) / scale)
        edged = cv2.copyMakeBorder(photo, thick, thick, thick, thick, cv2.BORDER_CONSTANT, value=colour)
        photo, size = edged, np.full(edged.shape[:2], 255, np.uint8)
    layer = warp(photo, matrix, w, h, cv2.BORDER_REPLICATE)
    picture[:] = blend(layer, picture, warp(size, matrix, w, h, cv2.BORDER_CONSTANT))


def _patch(picture: Image, material: Material, rng: Generator) -> None:
    """Paste a blob into the background, in place: cloth, hair or skin of nobody, or a piece of another room."""
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
        colour = person_colour(material.person(rng), rng)
        noise = rng.normal(0, rng.uniform(2, 25), (h // 8 + 1, w // 8 + 1, 1)) + colour
        patch = cv2.resize(np.clip(noise, 0, 255).astype(np.uint8), (w, h))
    else:
        patch = view(material.background(rng), w, h, rng)
    picture[:] = blend(patch, picture, mask)


def toward(colour: NDArray[np.float32], picture: Image, rng: Generator) -> Image:
    """Tint a picture with the person's skin, hair or clothes, so that only shape separates the two."""
    amount, light = rng.uniform(0.3, 0.8), rng.uniform(0.4, 1.0)
    tinted = cv2.addWeighted(picture, (1 - amount) * light, np.full_like(picture, colour), amount * light, 0)
    return np.asarray(tinted, np.uint8)


def furniture(material: Material, picture: Image, head: Head, rng: Generator) -> tuple[Image, Image, Image]:
    """Draw something behind the person that is easily mistaken for one: (layer, picture, mask) to blend.

    The back of a chair, a monitor, a lamp, a shelf: a rounded or straight block, often dark, near head or shoulders.
    """
    h, w = picture.shape[:2]
    unit = head.width
    x = head.x + unit * rng.uniform(-2.2, 2.2)
    levels = (head.eyes, head.shoulders, head.shoulders + unit, head.top - 0.2 * unit)
    y = rng.choice(levels) + unit * rng.uniform(-0.6, 0.8)
    half = unit * np.exp(rng.uniform(np.log(0.15), np.log(1.4), 2))
    turn = rng.normal(0, 8)
    mask = np.zeros((h, w), np.uint8)
    if rng.random() < 0.35:
        cv2.ellipse(mask, (int(x), int(y)), (int(half[0]), int(half[1])), turn, 0, 360, 255, -1, cv2.LINE_AA)
    else:
        box = cv2.boxPoints(((x, y), tuple(2 * half), turn))
        cv2.fillPoly(mask, [box.astype(np.int32)], 255, cv2.LINE_AA)
        radius = int(rng.uniform(0, 0.5) * min(half))
        if radius > 1:
            disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
            mask = cv2.morphologyEx(mask, cv2.MORPH_OPEN, disc)
    mask = cv2.GaussianBlur(mask, (0, 0), float(rng.uniform(0.4, 0.05 * unit + 0.5)))
    return _stuff(material, picture, rng), picture, mask


def overhead(material: Material, picture: Image, head: Head, rng: Generator) -> tuple[Image, Image, Image]:
    """Draw something right above the head, touching it or nearly: (layer, picture, mask) to blend.

    A tent's or roof's corner, a lamp, a picture on the wall, a duct or beam, all as sharp as the person.
    """
    h, w = picture.shape[:2]
    unit = head.width
    base = head.top + unit * rng.uniform(-0.25, 0.3)
    middle = head.x + unit * rng.normal(0, 0.4)
    wide, high = unit * rng.uniform(0.4, 2.2), unit * rng.uniform(0.4, 2.5)
    kind = rng.random()
    if kind < 0.3:  # a slope to each side of a tip: tents, roofs, lampshades
        tip = wide * rng.uniform(0.0, 0.5)
        outline = [(-wide, 0), (-tip, -high), (tip, -high), (wide, 0)]
    elif kind < 0.6:
        outline = [(-wide, 0), (-wide, -high), (wide, -high), (wide, 0)]
    elif kind < 0.8:  # across the whole picture
        drop = unit * rng.normal(0, 0.6)
        outline = [(-2 * w, drop), (-2 * w, drop - 0.4 * high), (2 * w, -drop - 0.4 * high), (2 * w, -drop)]
    else:
        turn = np.linspace(0, 2 * np.pi, 40)
        wobble = 1 + rng.uniform(0, 0.25) * np.sin(rng.integers(2, 9) * turn + rng.uniform(0, 6))
        outline = list(zip(wide * wobble * np.cos(turn), high * (wobble * np.sin(turn) / 2 - 0.5), strict=True))
    points = np.array(outline) + np.array([middle, base])
    mask = np.zeros((h, w), np.uint8)
    cv2.fillPoly(mask, [(points * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
    if rng.random() < 0.5:
        mask = cv2.GaussianBlur(mask, (0, 0), float(rng.uniform(0.4, 1.5)))
    return _stuff(material, picture, rng), picture, mask


def _stuff(material: Material, picture: Image, rng: Generator) -> Image:
    """Fill a layer: a piece of another place, a colour of somebody, or something dark."""
    h, w = picture.shape[:2]
    kind = rng.random()
    colour: NDArray[Any] = np.full(3, rng.uniform(5, 60)) + rng.normal(0, 5, 3)
    if kind > 0.6:
        return view(material.background(rng), w, h, rng)
    if kind > 0.3:
        colour = person_colour(material.person(rng), rng)
    shade = cv2.resize(rng.normal(1, 0.18, (4, 4)).astype(np.float32), (w, h), interpolation=cv2.INTER_CUBIC)
    return cv2.merge([np.clip(shade * float(c), 0, 255).astype(np.uint8) for c in colour])


def desk(material: Material, empty: Image, picture: Image, alpha: Image, rng: Generator) -> tuple[Image, Image]:
    """Put something flat in front, below a straight line: a desk, a shelf, or the `empty` room seen under a cut-out."""
    h, w = alpha.shape
    edge = h * (1 - 0.3 * rng.beta(1, 2.5)) + rng.normal(0, 0.04) * (np.arange(w) - w / 2)
    mask = np.clip(255 * (np.arange(h)[:, None] - edge + 0.5), 0, 255).astype(np.uint8)
    if rng.random() < 0.7:
        mask = cv2.GaussianBlur(mask, (0, 0), float(rng.uniform(0.3, 1.2)))
    kind = rng.random()
    layer = empty
    if kind < 0.3:
        layer = view(material.background(rng), w, h, rng)
    elif kind < 0.6:
        layer = shaded(any_colour(rng), mask, h / 3, rng)
    return blend(layer, picture, mask), blend(np.zeros_like(alpha), alpha, mask)


def person_colour(cutout: Cutout, rng: Generator) -> NDArray[np.float32]:
    """Pick the colour of one pixel of a person."""
    rows, columns = np.nonzero(cutout.alpha > 250)
    i = int(rng.integers(len(rows)))
    return cutout.foreground[rows[i], columns[i]].astype(np.float32)
