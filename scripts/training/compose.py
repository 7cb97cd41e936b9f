"""Compose training pictures: people over rooms, real photos as they are, empty rooms; then degrade them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from training.clothes import banded, dyed
from training.cutouts import Cutout, Material
from training.drawing import Image, any_colour, blend, motion_kernel, shaded
from training.styles import Head, restyle

DARK = ((True, False), (False, True), (True, True))
"""What may be dim in a picture: the room, the people."""


@dataclass(frozen=True)
class Sample:
    """One training example; height and width are those asked for."""

    picture: NDArray[np.uint8]
    """BGR (h, w, 3) while clean, RGB once `filmed`."""
    alpha: NDArray[np.uint8]
    """Truth (h, w)."""
    trust: NDArray[np.uint8]
    """Weight in the loss (h, w), 0 to 255."""


def compose(material: Material, width: int, height: int, rng: Generator) -> Sample:
    """Draw one clean sample: 25 % real photos, 4 % empty rooms, the rest composites (one in eight of two people,
    one in ten behind something flat)."""
    kind = rng.random()
    if kind < 0.25:
        picture, alpha, trust = _photo(_pick(material.cutouts, rng), width, height, rng)
    else:
        dark_room, dark_people = DARK[int(rng.integers(len(DARK)))] if rng.random() < 0.27 else (False, False)
        picture = _room(material, width, height, rng)
        if dark_room:
            picture = _dim(picture, rng)
        empty = picture
        alpha = np.zeros((height, width), np.uint8)
        trust = np.full((height, width), 255, np.uint8)
        people = 0 if kind < 0.29 else 2 if rng.random() < 0.12 else 1
        for i in range(people):
            smaller = 0.75 if people == 2 and i == 0 else 1.0
            picture, alpha, trust = _paste(material, picture, alpha, trust, smaller, dark_people, rng)
        if people and rng.random() < 0.1:
            picture, alpha = _desk(material, empty, picture, alpha, rng)
    if rng.random() < 0.5:
        picture, alpha, trust = picture[:, ::-1], alpha[:, ::-1], trust[:, ::-1]
    return Sample(*(np.ascontiguousarray(x) for x in (picture, alpha, trust)))


def filmed(sample: Sample, rng: Generator) -> Sample:
    """Degrade a clean sample as a camera does (RGB out of BGR): noise, compression, low resolution, colour cast."""
    return replace(sample, picture=cv2.cvtColor(_spoil(sample.picture, rng), cv2.COLOR_BGR2RGB))


def next_frame(sample: Sample, rng: Generator) -> Sample:
    """Return the same clean scene a moment later: all of it moved a little, as by a hand-held camera or a nod."""
    height, width = sample.alpha.shape
    turn, zoom = rng.normal(0, 0.006), np.exp(rng.normal(0, 0.006))
    linear = zoom * np.array([[1, -turn], [turn, 1]])
    middle = np.array([width / 2, height / 2])
    shift = middle - linear @ middle + rng.normal(0, 0.006, 2) * width
    matrix = np.column_stack([linear, shift])
    picture = _warp(sample.picture, matrix, width, height, cv2.BORDER_REFLECT_101)
    alpha = _warp(sample.alpha, matrix, width, height, cv2.BORDER_REFLECT_101)
    trust = _warp(sample.trust, matrix, width, height, cv2.BORDER_REFLECT_101)
    return Sample(picture, alpha, _strict(trust))


def _pick(items: list[Cutout], rng: Generator) -> Cutout:
    return items[int(rng.integers(len(items)))]


def _warp(image: Image, matrix: NDArray[np.float64], width: int, height: int, border: int, outside: int = 0) -> Image:
    size = (width, height)
    return cv2.warpAffine(image, matrix, size, flags=cv2.INTER_LINEAR, borderMode=border, borderValue=outside)


def _photo(cutout: Cutout, width: int, height: int, rng: Generator) -> tuple[Image, Image, Image]:
    """Crop the original photo around the head: no compositing, the teacher's matte is the truth."""
    h, w = cutout.alpha.shape
    largest = min(w / width, h / height)
    scale = largest * rng.uniform(0.7, 1.0)
    x = rng.uniform(0, w - scale * width)
    y = (h - scale * height) * rng.beta(1.0, 2.0)
    if cutout.head:
        y = float(np.clip(y, cutout.head.eyes - 0.7 * scale * height, cutout.head.eyes - 0.2 * scale * height))
        y = float(np.clip(y, 0, h - scale * height))
    matrix = np.array([[1 / scale, 0, -x / scale], [0, 1 / scale, -y / scale]])
    picture = _warp(cutout.picture, matrix, width, height, cv2.BORDER_REFLECT_101)
    alpha = _warp(cutout.alpha, matrix, width, height, cv2.BORDER_REPLICATE)
    trust = _warp(cutout.trust, matrix, width, height, cv2.BORDER_REPLICATE)
    return _relight(picture, rng), alpha, _strict(trust)


def _strict(trust: Image) -> Image:
    """Ignore interpolated weights next to an ignored pixel too."""
    return cv2.threshold(trust, 115, 0, cv2.THRESH_TOZERO)[1]


def _room(material: Material, width: int, height: int, rng: Generator) -> Image:
    """Draw a random view of a room: mirrored, zoomed, at times out of focus or with foreign patches."""
    picture = _view(_any_room(material, rng), width, height, rng)
    if rng.random() < 0.35:
        for _ in range(int(rng.integers(1, 4))):
            _patch(picture, material, rng)
    if rng.random() < 0.3:
        picture = cv2.GaussianBlur(picture, (0, 0), float(rng.uniform(0.6, 6.0)) * width / 288)
    return _relight(picture, rng)


def _view(image: NDArray[np.uint8], width: int, height: int, rng: Generator) -> Image:
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
    return _warp(image, matrix, width, height, cv2.BORDER_REFLECT_101)


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
        colour = _person_colour(_pick(material.cutouts, rng), rng)
        noise = rng.normal(0, rng.uniform(2, 25), (h // 8 + 1, w // 8 + 1, 1)) + colour
        patch = cv2.resize(np.clip(noise, 0, 255).astype(np.uint8), (w, h))
    else:
        patch = _view(_any_room(material, rng), w, h, rng)
    picture[:] = blend(patch, picture, mask)


def _toward(colour: NDArray[np.float32], picture: Image, rng: Generator) -> Image:
    """Tint a picture with the person's skin, hair or clothes, so that only shape separates the two."""
    amount, light = rng.uniform(0.3, 0.8), rng.uniform(0.4, 1.0)
    tinted = cv2.addWeighted(picture, (1 - amount) * light, np.full_like(picture, colour), amount * light, 0)
    return np.asarray(tinted, np.uint8)


def _furniture(material: Material, picture: Image, head: Head, rng: Generator) -> tuple[Image, Image, Image]:
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
    kind = rng.random()
    colour: NDArray[Any] = np.full(3, rng.uniform(5, 60)) + rng.normal(0, 5, 3)
    if kind > 0.6:
        return _view(_any_room(material, rng), w, h, rng), picture, mask
    if kind > 0.3:
        colour = _person_colour(_pick(material.cutouts, rng), rng)
    shade = cv2.resize(rng.normal(1, 0.18, (4, 4)).astype(np.float32), (w, h), interpolation=cv2.INTER_CUBIC)
    layer = cv2.merge([np.clip(shade * float(c), 0, 255).astype(np.uint8) for c in colour])
    return layer, picture, mask


def _desk(material: Material, empty: Image, picture: Image, alpha: Image, rng: Generator) -> tuple[Image, Image]:
    """Put something flat in front, below a straight line: a desk, a shelf, or the `empty` room seen under a cut-out."""
    h, w = alpha.shape
    edge = h * (1 - 0.3 * rng.beta(1, 2.5)) + rng.normal(0, 0.04) * (np.arange(w) - w / 2)
    mask = np.clip(255 * (np.arange(h)[:, None] - edge + 0.5), 0, 255).astype(np.uint8)
    if rng.random() < 0.7:
        mask = cv2.GaussianBlur(mask, (0, 0), float(rng.uniform(0.3, 1.2)))
    kind = rng.random()
    layer = empty
    if kind < 0.3:
        layer = _view(_any_room(material, rng), w, h, rng)
    elif kind < 0.6:
        layer = shaded(any_colour(rng), mask, h / 3, rng)
    return blend(layer, picture, mask), blend(np.zeros_like(alpha), alpha, mask)


def _any_room(material: Material, rng: Generator) -> Image:
    if material.surroundings and rng.random() < 0.3:
        return material.surroundings[int(rng.integers(len(material.surroundings)))]
    return material.rooms[int(rng.integers(len(material.rooms)))]


def _person_colour(cutout: Cutout, rng: Generator) -> NDArray[np.float32]:
    rows, columns = np.nonzero(cutout.alpha > 250)
    i = int(rng.integers(len(rows)))
    return cutout.foreground[rows[i], columns[i]].astype(np.float32)


def _paste(
    material: Material, under: Image, alpha: Image, trust: Image, smaller: float, dark: bool, rng: Generator
) -> tuple[Image, Image, Image]:
    """Put one person over `under`; where the photo cut the person, the frame or another edge hides the cut."""
    cutout = _pick(material.cutouts, rng)
    height, width = alpha.shape
    matrix = _placement(cutout, width, height, smaller, rng)
    foreground = _warp(cutout.foreground, matrix, width, height, cv2.BORDER_REPLICATE)
    own = _warp(_open_sides(cutout), matrix, width, height, cv2.BORDER_REPLICATE)
    own_trust = _strict(_warp(cutout.trust, matrix, width, height, cv2.BORDER_CONSTANT, outside=255))
    if rng.random() < 0.3:
        foreground = dyed(foreground, cutout, matrix, rng)
    if cutout.head:
        head = cutout.head.moved(matrix)
        if rng.random() < 0.15:
            under = _toward(_person_colour(cutout, rng), under, rng)
        for _ in range(int(rng.choice(3, p=(0.6, 0.28, 0.12)))):
            under = blend(*_furniture(material, under, head, rng))
        foreground, own = restyle(
            (foreground, own), head, lambda: _view(_any_room(material, rng), width, height, rng), rng
        )
        if head.shoulders < height and rng.random() < 0.15:
            foreground = banded(foreground, head, rng)
    foreground = _relight(foreground, rng)
    if dark:
        foreground = _dim(foreground, rng)
    if rng.random() < 0.25:
        own = _crisp(own, rng)
    if rng.random() < 0.12:
        sigma = float(rng.uniform(0.4, 1.6)) * width / 288
        foreground, own = (cv2.GaussianBlur(x, (0, 0), sigma) for x in (foreground, own))
    if rng.random() < 0.08:
        kernel = motion_kernel(int(rng.integers(3, 12)), float(rng.uniform(0, np.pi)))
        foreground, own = (cv2.filter2D(x, -1, kernel) for x in (foreground, own))
    alpha = blend(np.full_like(own, 255), alpha, own)
    return blend(foreground, under, own), alpha, np.where(own > 5, own_trust, np.minimum(trust, own_trust))


def _crisp(alpha: Image, rng: Generator) -> Image:
    """Harden the edge and move it a little out or in: the photos are small, and enlarging them softens every edge."""
    gain, middle = rng.uniform(1.2, 2.5), rng.uniform(0.35, 0.65)
    codes = np.clip((np.linspace(0, 1, 256) - middle) * gain + middle, 0, 1)
    return cv2.LUT(alpha, (255 * codes + 0.5).astype(np.uint8))


def _open_sides(cutout: Cutout) -> Image:
    """Return the cut-out's alpha, zero along every side of the photo that does not cut the person.

    So that repeating the border, which hides a cut behind a small turn, draws nothing out of a hair that touches it.
    """
    alpha = cutout.alpha.copy()
    left, top, right, bottom = cutout.cut
    for is_cut, side in ((left, np.s_[:, 0]), (top, np.s_[0]), (right, np.s_[:, -1]), (bottom, np.s_[-1])):
        if not is_cut:
            alpha[side] = 0
    return alpha


def _placement(cutout: Cutout, width: int, height: int, smaller: float, rng: Generator) -> NDArray[np.float64]:
    """Return the affine map from cut-out to frame, with every cut side of the photo at or outside the frame's."""
    h, w = cutout.alpha.shape
    left, top, right, bottom = cutout.cut
    rows = np.flatnonzero(cutout.alpha.max(axis=1) > 127)
    columns = np.flatnonzero(cutout.alpha.max(axis=0) > 127)
    head, feet = (float(rows[0]), float(rows[-1])) if len(rows) else (0.0, h - 1.0)
    middle = float(columns.mean()) if len(columns) else w / 2
    scale = smaller * height * float(np.exp(rng.uniform(np.log(0.45), np.log(1.4)))) / (feet - head + 1)
    if left and right:
        scale = max(scale, width / w * 1.02)
    if top and bottom:
        scale = max(scale, height / h * 1.05)
    # Vertical: the body leaves through the frame's bottom; the head may be cut only by the frame's top.
    if top:
        y = -rng.uniform(0, 0.15) * scale * h
    elif bottom:
        y = height - scale * h * (1 - 0.45 * rng.beta(1, 2.5))
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


def _relight(picture: Image, rng: Generator) -> Image:
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


def _dim(picture: Image, rng: Generator) -> Image:
    """Dim skin, cloth and floors, well below the brightness of the photos."""
    codes = np.linspace(0, 1, 256) ** rng.uniform(1.1, 2.2) * rng.uniform(0.5, 1.0)
    return cv2.LUT(picture, (255 * codes + 0.5).astype(np.uint8))


def _spoil(picture: Image, rng: Generator) -> Image:
    """Degrade a picture as cameras and codecs do: colour cast, low resolution, sharpening, noise, compression."""
    if rng.random() < 0.4:
        picture = _relight(picture, rng)
    h, w = picture.shape[:2]
    if rng.random() < 0.2:
        scale = rng.uniform(0.45, 0.9)
        small = cv2.resize(picture, (int(w * scale), int(h * scale)), interpolation=cv2.INTER_AREA)
        picture = cv2.resize(small, (w, h), interpolation=cv2.INTER_LINEAR)
    if rng.random() < 0.25:
        soft = cv2.GaussianBlur(picture, (0, 0), float(rng.uniform(0.6, 1.6)))
        amount = float(rng.uniform(0.3, 1.5))
        picture = np.asarray(cv2.addWeighted(picture, 1 + amount, soft, -amount, 0), np.uint8)
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
