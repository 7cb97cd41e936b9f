"""Compose training pictures: people over places, real photos as they are, empty places; then degrade them.

Who counts as the subject: everybody near the camera, and whatever they wear, hold or sit with in their arms. People in
a straight frame on a wall, people far away and statues are background.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from training.bodies import can_complete, complete, gesture, standing_place
from training.clothes import banded, dyed
from training.cutouts import Cutout, Material
from training.drawing import Image, blend, motion_kernel
from training.light import brighten, dim, relight, sharpen, spoil
from training.places import desk, furniture, overhead, person_colour, room, toward, view, warp
from training.styles import restyle

DARK = ((True, False), (False, True), (True, True))
"""What may be dim in a picture: the place, the people."""


@dataclass(frozen=True)
class Sample:
    """One training example; height and width are those asked for."""

    picture: NDArray[np.uint8]
    """BGR (h, w, 3) while clean, RGB once `filmed`."""
    alpha: NDArray[np.uint8]
    """Truth (h, w)."""
    trust: NDArray[np.uint8]
    """Weight in the loss (h, w), 0 to 255."""


@dataclass(frozen=True)
class Place:
    """Where one person goes, and how."""

    smaller: float = 1.0
    """Factor of the person's size."""
    dark: bool = False
    """Whether little light falls on the person."""
    middle: float | None = None
    """Where the person's middle is, as a share of the width; None leaves it to chance."""


def compose(material: Material, width: int, height: int, rng: Generator) -> Sample:
    """Draw one clean sample: 22 % real photos, 4 % empty places, the rest composites (a fifth of two or three
    people, one in ten behind something flat)."""
    kind = rng.random()
    if kind < 0.22:
        picture, alpha, trust = _photo(material.person(rng), width, height, rng)
    else:
        dark_room, dark_people = DARK[int(rng.integers(len(DARK)))] if rng.random() < 0.27 else (False, False)
        picture = room(material, width, height, rng)
        if dark_room:
            picture = dim(picture, rng)
        elif rng.random() < 0.08:
            picture, dark_people = brighten(picture, rng), True
        empty = picture
        alpha = np.zeros((height, width), np.uint8)
        trust = np.full((height, width), 255, np.uint8)
        for place in _places(0 if kind < 0.26 else int(rng.choice((1, 2, 3), p=(0.8, 0.15, 0.05))), rng):
            picture, alpha, trust = _paste(material, picture, alpha, trust, replace(place, dark=dark_people), rng)
        if alpha.any() and rng.random() < 0.1:
            picture, alpha = desk(material, empty, picture, alpha, rng)
    if rng.random() < 0.5:
        picture, alpha, trust = picture[:, ::-1], alpha[:, ::-1], trust[:, ::-1]
    return Sample(*(np.ascontiguousarray(x) for x in (picture, alpha, trust)))


def _places(people: int, rng: Generator) -> list[Place]:
    """Return where people go, the farthest first; of several, most stand close enough to touch."""
    if people <= 1:
        return [Place()] * people
    if rng.random() < 0.3:
        return [Place(0.75), *[Place()] * (people - 1)]
    gap = rng.uniform(0.14, 0.32)
    first = rng.uniform(0.5, 0.6) - gap * (people - 1) / 2
    places = [Place(float(rng.uniform(0.6, 0.9)), middle=first + gap * i) for i in range(people)]
    return [places[i] for i in rng.permutation(people)]


def filmed(sample: Sample, rng: Generator) -> Sample:
    """Degrade a clean sample as a camera does (RGB out of BGR): noise, compression, low resolution, colour cast."""
    return replace(sample, picture=cv2.cvtColor(spoil(sample.picture, rng), cv2.COLOR_BGR2RGB))


def next_frame(sample: Sample, rng: Generator) -> Sample:
    """Return the same clean scene a moment later: all of it moved a little, as by a hand-held camera or a nod."""
    height, width = sample.alpha.shape
    turn, zoom = rng.normal(0, 0.006), np.exp(rng.normal(0, 0.006))
    linear = zoom * np.array([[1, -turn], [turn, 1]])
    middle = np.array([width / 2, height / 2])
    shift = middle - linear @ middle + rng.normal(0, 0.006, 2) * width
    matrix = np.column_stack([linear, shift])
    picture = warp(sample.picture, matrix, width, height, cv2.BORDER_REFLECT_101)
    alpha = warp(sample.alpha, matrix, width, height, cv2.BORDER_REFLECT_101)
    trust = warp(sample.trust, matrix, width, height, cv2.BORDER_REFLECT_101)
    return Sample(picture, alpha, _strict(trust))


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
    picture = warp(cutout.picture, matrix, width, height, cv2.BORDER_REFLECT_101)
    alpha = warp(cutout.alpha, matrix, width, height, cv2.BORDER_REPLICATE)
    trust = warp(cutout.trust, matrix, width, height, cv2.BORDER_REPLICATE)
    return relight(picture, rng), alpha, _strict(trust)


def _strict(trust: Image) -> Image:
    """Ignore interpolated weights next to an ignored pixel too."""
    return cv2.threshold(trust, 115, 0, cv2.THRESH_TOZERO)[1]


def _paste(
    material: Material, under: Image, alpha: Image, trust: Image, place: Place, rng: Generator
) -> tuple[Image, Image, Image]:
    """Put one person over `under`; where the photo cut the person, the frame, a body or another edge hides the cut."""
    cutout = material.person(rng)
    height, width = alpha.shape
    whole = can_complete(cutout) and rng.random() < 0.3
    matrix = standing_place(cutout, width, height, rng) if whole else _placement(cutout, width, height, place, rng)
    foreground = warp(cutout.foreground, matrix, width, height, cv2.BORDER_REPLICATE)
    own = warp(_open_sides(cutout), matrix, width, height, cv2.BORDER_REPLICATE)
    own_trust = _strict(warp(cutout.trust, matrix, width, height, cv2.BORDER_CONSTANT, outside=255))
    foreground = _evenly_sharp(foreground, float(np.sqrt(abs(np.linalg.det(matrix[:, :2])))), rng)
    if rng.random() < 0.3:
        foreground = dyed(foreground, cutout, matrix, rng)
    if cutout.head:
        head = cutout.head.moved(matrix)
        if whole:
            foot = matrix @ (cutout.head.x, cutout.alpha.shape[0] - 1, 1)
            foreground, own = complete((foreground, own), head, float(foot[1]), rng)
        elif rng.random() < 0.16:
            foreground, own = gesture((foreground, own), head, rng)
        if rng.random() < 0.15:
            under = toward(person_colour(cutout, rng), under, rng)
        for _ in range(int(rng.choice(3, p=(0.6, 0.28, 0.12)))):
            under = blend(*furniture(material, under, head, rng))
        if rng.random() < 0.15:
            under = blend(*overhead(material, under, head, rng))
        foreground, own = restyle(
            (foreground, own), head, lambda: view(material.background(rng), width, height, rng), rng
        )
        if head.shoulders < height and rng.random() < 0.15:
            foreground = banded(foreground, head, rng)
    foreground = relight(foreground, rng)
    if place.dark:
        foreground = dim(foreground, rng)
    foreground, own = _lens(foreground, own, width, rng)
    alpha = blend(np.full_like(own, 255), alpha, own)
    return blend(foreground, under, own), alpha, np.where(own > 5, own_trust, np.minimum(trust, own_trust))


def _evenly_sharp(foreground: Image, scale: float, rng: Generator) -> Image:
    """Sharpen about half of those that are enlarged: soft people in sharp places would be known by that alone."""
    if scale < 1.15 or rng.random() < 0.5:
        return foreground
    return sharpen(foreground, float(rng.uniform(0.5, 1.5)), 0.6 * scale)


def _lens(foreground: Image, own: Image, width: int, rng: Generator) -> tuple[Image, Image]:
    """Make the edge crisper, or the person out of focus, or blurred by motion."""
    if rng.random() < 0.25:
        own = _crisp(own, rng)
    if rng.random() < 0.12:
        sigma = float(rng.uniform(0.4, 1.6)) * width / 288
        foreground, own = (cv2.GaussianBlur(x, (0, 0), sigma) for x in (foreground, own))
    if rng.random() < 0.08:
        kernel = motion_kernel(int(rng.integers(3, 12)), float(rng.uniform(0, np.pi)))
        foreground, own = (cv2.filter2D(x, -1, kernel) for x in (foreground, own))
    return foreground, own


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


def _placement(cutout: Cutout, width: int, height: int, place: Place, rng: Generator) -> NDArray[np.float64]:
    """Return the affine map from cut-out to frame, with every cut side of the photo at or outside the frame's."""
    h, w = cutout.alpha.shape
    left, top, right, bottom = cutout.cut
    rows = np.flatnonzero(cutout.alpha.max(axis=1) > 127)
    columns = np.flatnonzero(cutout.alpha.max(axis=0) > 127)
    head, feet = (float(rows[0]), float(rows[-1])) if len(rows) else (0.0, h - 1.0)
    middle = float(columns.mean()) if len(columns) else w / 2
    scale = place.smaller * height * float(np.exp(rng.uniform(np.log(0.4), np.log(1.5)))) / (feet - head + 1)
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
    x = width * (rng.uniform(0.1, 0.9) if place.middle is None else place.middle) - scale * middle
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
