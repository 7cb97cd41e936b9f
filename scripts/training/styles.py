"""Give a placed person what the portraits lack: bare shoulders, other clothes, locks and big hair, headphones, arms.

Everything is drawn relative to the head and returned with its exact alpha. Layers are BGR uint8 with alpha uint8.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from training.drawing import (
    SUBPIXEL,
    Image,
    Person,
    any_colour,
    behind,
    blend,
    fixed,
    limb,
    over,
    polygon,
    shaded,
    smear,
)


@dataclass(frozen=True)
class Head:
    """Where a head is, in pixels."""

    x: float
    """Its middle."""
    top: float
    """Its highest row, hair included."""
    width: float
    """Its width at the height of the eyes, hair included: the unit of everything drawn."""
    shoulders: float
    """Row where the body becomes much wider than the head."""

    @property
    def eyes(self) -> float:
        """Row of the eyes, roughly."""
        return self.top + 0.62 * self.width

    def moved(self, matrix: NDArray[np.float64]) -> Head:
        """Return this head after the (2, 3) affine map `matrix`, whose rotation is ignored."""
        scale = float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
        top = matrix @ (self.x, self.top, 1.0)
        bottom = matrix @ (self.x, self.shoulders, 1.0)
        middle = matrix @ (self.x, self.eyes, 1.0)
        return Head(float(middle[0]), float(top[1]), self.width * scale, float(bottom[1]))


def find_head(alpha: Image) -> Head | None:
    """Find the head from the widths of an upright person's matte (h, w); None if they make no sense."""
    solid = alpha > 127
    widths = np.convolve(solid.sum(axis=1), np.ones(5) / 5, "same")
    rows = np.flatnonzero(widths > 0.03 * alpha.shape[1])
    if len(rows) < 20:
        return None
    top, bottom = int(rows[0]), int(rows[-1])
    eyes = next((y for y in range(top + 4, bottom) if y - top >= 0.62 * widths[y]), bottom)
    width = float(widths[eyes])
    shoulders = next((y for y in range(eyes, bottom) if widths[y] > 1.4 * width), bottom)
    columns = np.flatnonzero(solid[eyes])
    if not len(columns) or not 0.7 < (shoulders - top) / width < 2.5:
        return None
    return Head(float(columns.mean()), float(top), width, float(shoulders))


def restyle(person: Person, head: Head, texture: Callable[[], Image], rng: Generator) -> Person:
    """Draws zero or more changes on a person; `texture` gives any picture of the same size, for cloth."""
    if head.width < 12:
        return person
    draw = rng.random()
    if draw < 0.24:
        person = bare_shoulders(person, head, texture, rng)
    elif draw < 0.34:
        person = _cloth(person, _below(head, person[1], rng.uniform(-0.05, 0.25)), texture(), rng)
    draw = rng.random()
    if draw < 0.14:
        person = strands(person, head, rng)
    elif draw < 0.19:
        person = big_hair(person, head, rng)
    elif draw < 0.26:
        person = (headphones, cap)[int(rng.integers(2))](person, head, rng)
    if rng.random() < 0.08:
        person = raised_arm(person, head, rng)
    return person


def bare_shoulders(person: Person, head: Head, texture: Callable[[], Image], rng: Generator) -> Person:
    """Turn the clothes into skin and put a vest, a dress, a wide neckline or nothing over it."""
    colours, alpha = person
    skin = skin_colour(colours, alpha, head)
    if skin is None:
        return person
    body = _below(head, alpha, -0.08)
    bare = blend(shaded(skin, alpha, head.width, rng), colours, body)
    kind = rng.random()
    if kind < 0.12:
        return bare, alpha
    cloth = colours
    if rng.random() < 0.6:
        cloth = shaded(any_colour(rng), alpha, head.width, rng)
        if rng.random() < 0.5:
            _decorate(cloth, head, rng)
    elif rng.random() < 0.5:
        cloth = texture()
    cut = polygon(alpha.shape, _vest(head, rng) if kind < 0.75 else _dress(head, rng))
    if rng.random() < 0.5:
        thick = max(1, round(rng.uniform(0.02, 0.07) * head.width))
        edge = cv2.subtract(cut, cv2.erode(cut, np.ones((thick, thick), np.uint8)))
        cloth = blend(np.full_like(cloth, any_colour(rng)), cloth, edge)
    cut = cv2.GaussianBlur(cut, (0, 0), 0.6)
    return blend(cloth, bare, cut), alpha


def strands(person: Person, head: Head, rng: Generator) -> Person:
    """Hangs locks, curls or loose hairs behind the head."""
    hair = _hair_colour(person, head)
    layer = np.empty_like(person[0])
    layer[:] = np.clip(hair * rng.uniform(0.7, 1.2), 0, 255)
    mask = np.zeros_like(person[1])
    thick = head.width * float(np.exp(rng.uniform(np.log(0.006), np.log(0.06))))
    count = int(rng.uniform(8, 30)) if thick > 0.02 * head.width else int(rng.uniform(20, 80))
    length = head.width * rng.uniform(0.3, 1.5)
    curl, turns = rng.uniform(0.0, 0.07) * head.width, rng.uniform(0.5, 5)
    for _ in range(count):
        angle = rng.uniform(-0.1, 1.0) * rng.choice((-1, 1)) * np.pi / 2
        # Angle 0 is the crown; roots lie on an ellipse a little inside the head's outline.
        start = np.array([head.x, head.eyes]) + head.width * np.array([0.46 * np.sin(angle), -0.55 * np.cos(angle)])
        along = np.linspace(0, 1, 36)
        outward = np.sin(angle) * rng.uniform(0.0, 0.45) * head.width
        own = length * rng.uniform(0.5, 1.2)
        x = start[0] + outward * np.sqrt(along) + curl * np.sin(turns * 2 * np.pi * along + rng.uniform(0, 6)) * along
        y = start[1] + own * along - 0.12 * head.width * np.sin(np.pi * along)
        shade = np.clip(hair * rng.uniform(0.55, 1.6), 0, 255)
        _taper(mask, layer, np.stack((x, y), axis=-1), thick * rng.uniform(0.6, 1.2), shade)
    if thick < 1.0:
        mask = cv2.convertScaleAbs(mask, alpha=max(0.35, float(thick)))
    return behind(person, layer, mask)


def big_hair(person: Person, head: Head, rng: Generator) -> Person:
    """Put a cloud of curls behind the head: an afro, or hair that falls wide."""
    h, w = person[1].shape
    mask = np.zeros((h, w), np.uint8)
    reach, low = rng.uniform(0.5, 0.85), rng.uniform(0.2, 1.25)
    for angle in np.linspace(-low * np.pi, low * np.pi, 60):
        distance = head.width * (reach + rng.normal(0, 0.02)) * rng.uniform(0.5, 1)
        at = (head.x + distance * np.sin(angle), head.eyes - 0.1 * head.width - distance * np.cos(angle))
        cv2.circle(mask, fixed(at), int(head.width * rng.uniform(0.1, 0.24) * 2**SUBPIXEL), 255, -1, 0, SUBPIXEL)
    grain = rng.normal(0, 1, (h // 2 + 1, w // 2 + 1)).astype(np.float32)
    grain = cv2.GaussianBlur(grain, (0, 0), max(0.5, 0.02 * head.width)) * max(1.0, 0.04 * head.width)
    grain = cv2.resize(grain, (w, h))
    # A soft outline moved by noise makes frizz: thin, half transparent curls.
    soft = cv2.GaussianBlur(mask, (0, 0), max(0.8, 0.035 * head.width)).astype(np.float32) / 255
    mask = (255 * np.clip((soft + 0.35 * np.tanh(grain) - 0.5) * rng.uniform(1.5, 5) + 0.5, 0, 1)).astype(np.uint8)
    mask[soft < 0.02] = 0  # or the noise alone would be hair, all over the picture
    mask[int(np.clip(head.eyes + 1.6 * head.width, 0, h)) :] = 0
    hair = _hair_colour(person, head)
    layer = np.clip(hair + (18 * grain)[..., None] * (0.4 + hair / 255), 0, 255).astype(np.uint8)
    return behind(person, layer, mask)


def headphones(person: Person, head: Head, rng: Generator) -> Person:
    """Put headphones on the head, at times with a microphone on a boom: what is worn counts as person."""
    mask = np.zeros_like(person[1])
    unit = head.width
    thick = max(1, round(unit * rng.uniform(0.05, 0.12)))
    center = np.array([head.x, head.eyes + 0.05 * unit])
    half = np.array([0.52, rng.uniform(0.62, 0.72)]) * unit
    cv2.ellipse(mask, fixed(center), fixed(half), 0, 185, 355, 255, thick, cv2.LINE_AA, SUBPIXEL)
    cup = np.array([rng.uniform(0.07, 0.14), rng.uniform(0.17, 0.26)]) * unit
    for side in (-1, 1):
        at = np.add(center, (side * 0.52 * unit, 0.05 * unit))
        cv2.ellipse(mask, fixed(at), fixed(cup), 0, 0, 360, 255, -1, cv2.LINE_AA, SUBPIXEL)
    if rng.random() < 0.4:
        ends = (np.add(center, (-0.52 * unit, 0.15 * unit)), np.add(center, (-0.15 * unit, 0.5 * unit)))
        cv2.line(mask, fixed(ends[0]), fixed(ends[1]), 255, max(1, thick // 2), cv2.LINE_AA, SUBPIXEL)
        cv2.circle(mask, fixed(ends[1]), int(0.05 * unit * 2**SUBPIXEL), 255, -1, cv2.LINE_AA, SUBPIXEL)
    return over(person, shaded(any_colour(rng), mask, head.width, rng), mask)


def cap(person: Person, head: Head, rng: Generator) -> Person:
    """Put a cap, a beanie or a wide hat on the head."""
    mask = np.zeros_like(person[1])
    unit = head.width
    brow = np.array([head.x, head.top + unit * rng.uniform(0.28, 0.4)])
    crown = np.array([rng.uniform(0.5, 0.58), rng.uniform(0.36, 0.55)]) * unit
    cv2.ellipse(mask, fixed(brow), fixed(crown), 0, 180, 360, 255, -1, cv2.LINE_AA, SUBPIXEL)
    brim = np.array([rng.uniform(0.3, 1.0), rng.uniform(0.06, 0.14)]) * unit
    at = np.add(brow, (rng.uniform(-0.25, 0.25) * unit, 0))
    cv2.ellipse(mask, fixed(at), fixed(brim), 0, 0, 360, 255, -1, cv2.LINE_AA, SUBPIXEL)
    return over(person, shaded(any_colour(rng), mask, head.width, rng), mask)


def raised_arm(person: Person, head: Head, rng: Generator) -> Person:
    """Raise a forearm and a hand in front of the body or beside it, often blurred by motion."""
    skin = skin_colour(*person, head)
    if skin is None:
        return person
    h = person[1].shape[0]
    unit, side = head.width, rng.choice((-1.0, 1.0))
    elbow = np.array([head.x + side * unit * rng.uniform(0.7, 1.7), h + unit * rng.uniform(-0.1, 0.5)])
    lowest = max(head.eyes + 0.3 * unit, h - 0.2 * unit)
    wrist = np.array([head.x + side * unit * rng.uniform(0.0, 1.7), rng.uniform(head.eyes, lowest)])
    mask, sleeve = np.zeros_like(person[1]), np.zeros_like(person[1])
    thick = unit * rng.uniform(0.2, 0.3)
    limb(mask, elbow, wrist, 1.3 * thick, thick)
    covered = elbow + (wrist - elbow) * rng.uniform(-0.2, 0.95)
    limb(sleeve, elbow, covered, 1.6 * thick, 1.4 * thick)
    hand(mask, wrist, (wrist - elbow) / (np.linalg.norm(wrist - elbow) + 1e-6), unit, rng)
    layer = shaded(skin, mask, head.width, rng)
    cloth = shaded(_cloth_colour(person, head, rng), sleeve, head.width, rng)
    layer = blend(cloth, layer, sleeve)
    mask = cv2.max(mask, sleeve)
    if rng.random() < 0.4:
        layer, mask = smear(layer, mask, unit * rng.uniform(0.03, 0.3), rng.uniform(0, np.pi))
    return over(person, layer, mask)


def skin_colour(colours: Image, alpha: Image, head: Head) -> NDArray[np.float32] | None:
    """Median colour (3,) of the middle of the face; None where that is out of the frame or no skin."""
    y, x, reach = head.eyes + 0.1 * head.width, head.x, 0.2 * head.width
    window = np.s_[max(0, int(y - reach)) : max(0, int(y + reach)), max(0, int(x - reach)) : max(0, int(x + reach))]
    pixels = colours[window][alpha[window] > 250]
    if len(pixels) < 20:
        return None
    skin = np.median(pixels, axis=0).astype(np.float32)
    blue, _, red = skin
    return skin if red > blue + 4 else None


def _hair_colour(person: Person, head: Head) -> NDArray[np.float32]:
    colours, alpha = person
    y, x, reach = head.top + 0.1 * head.width, head.x, 0.25 * head.width
    window = np.s_[max(0, int(head.top)) : max(0, int(y)), max(0, int(x - reach)) : max(0, int(x + reach))]
    pixels = colours[window][alpha[window] > 200]
    if len(pixels) < 4:
        return np.array([25, 28, 34], np.float32)
    return np.median(pixels, axis=0).astype(np.float32)


def _cloth_colour(person: Person, head: Head, rng: Generator) -> NDArray[np.float32]:
    colours, alpha = person
    below = int(head.shoulders + 0.3 * head.width)
    pixels = colours[max(0, below) :][alpha[max(0, below) :] > 250]
    return pixels[int(rng.integers(len(pixels)))].astype(np.float32) if len(pixels) else any_colour(rng)


def _decorate(cloth: Image, head: Head, rng: Generator) -> None:
    """Print stripes or a word on the chest, in place."""
    unit = head.width
    colour = tuple(float(c) for c in any_colour(rng))
    if rng.random() < 0.5:
        step, slope = unit * rng.uniform(0.12, 0.5), rng.uniform(-0.4, 0.4)
        upright = rng.random() < 0.5
        for i in range(-12, 13):
            near, far = (i * step, -2 * unit), (i * step + slope * unit, 4 * unit)
            ends = [
                (head.x + a, head.shoulders + b) if upright else (head.x + b - unit, head.shoulders + a)
                for a, b in (near, far)
            ]
            cv2.line(cloth, fixed(ends[0]), fixed(ends[1]), colour, max(1, int(step * 0.4)), cv2.LINE_AA, SUBPIXEL)
        return
    word = "".join(chr(int(c)) for c in rng.integers(48, 91, int(rng.integers(1, 7))))
    at = (int(head.x - unit * rng.uniform(0.1, 0.7)), int(head.shoulders + unit * rng.uniform(0.6, 1.2)))
    size = unit * rng.uniform(0.008, 0.025)
    cv2.putText(cloth, word, at, cv2.FONT_HERSHEY_DUPLEX, size, colour, max(1, int(2 * size)), cv2.LINE_AA)


def _vest(head: Head, rng: Generator) -> NDArray[np.float64]:
    """Outline of a sleeveless top in pixels, (n, 2): straps, neckline, armholes."""
    inner, outer = rng.uniform(0.3, 0.55), rng.uniform(0.6, 1.05)
    strap, depth = rng.uniform(-0.15, 0.12), rng.uniform(0.25, 0.9)
    armpit, wide = rng.uniform(0.7, 1.4), rng.uniform(0.8, 1.3)
    power = rng.uniform(0.5, 3.0)
    t = np.linspace(-1, 1, 13)
    neckline = np.stack((inner * t, strap + depth * (1 - np.abs(t) ** power)), axis=-1)
    s = np.linspace(0, 1, 7)
    hole = np.stack((outer + (wide - outer) * s**2 - 0.12 * np.sin(np.pi * s), strap + (armpit - strap) * s), axis=-1)
    right = np.concatenate((hole, [(3.0, armpit + 0.3), (3.0, 6.0)]))
    left = right[::-1] * (-1, 1)
    outline = np.concatenate((left, neckline, right))
    return outline * head.width + (head.x, head.shoulders)


def _dress(head: Head, rng: Generator) -> NDArray[np.float64]:
    """Outline of a dress without straps, or with one shoulder, in pixels (n, 2)."""
    left, right = rng.uniform(0.2, 1.1), rng.uniform(0.2, 1.1)
    middle = rng.uniform(0.3, 1.1)
    outline = np.array([(-3.0, left), (-0.6, left), (0.0, middle), (0.6, right), (3.0, right), (3.0, 6.0), (-3.0, 6.0)])
    return outline * head.width + (head.x, head.shoulders)


def hand(mask: Image, wrist: NDArray[np.float64], along: NDArray[np.float64], unit: float, rng: Generator) -> None:
    """Add a palm and a fan of fingers to a mask, in place."""
    across = np.array([-along[1], along[0]])
    palm = wrist + along * 0.16 * unit
    axes = np.array([0.2, rng.uniform(0.12, 0.19)]) * unit
    angle = float(np.degrees(np.arctan2(along[1], along[0])))
    cv2.ellipse(mask, fixed(palm), fixed(axes), angle, 0, 360, 255, -1, cv2.LINE_AA, SUBPIXEL)
    spread, bent = rng.uniform(0.05, 0.5), rng.uniform(0.3, 1.0)
    for finger in range(-2, 3):
        direction = along + across * spread * finger
        base = palm + across * 0.065 * unit * finger + along * 0.08 * unit
        tip = base + direction * 0.32 * unit * bent * (1 - 0.08 * abs(finger))
        limb(mask, base, tip, 0.075 * unit, 0.06 * unit)


def _taper(mask: Image, layer: Image, path: NDArray[np.float64], thick: float, colour: NDArray[np.float32]) -> None:
    """Draws one lock of hair along `path` (n, 2), thinner toward its end, into mask and layer, in place."""
    points = (path * 2**SUBPIXEL).astype(np.int32)
    cut = len(points) * 2 // 3
    shade = tuple(float(c) for c in colour)
    for part, width in ((points[: cut + 1], thick), (points[cut:], 0.6 * thick)):
        pixels = max(1, round(width))
        cv2.polylines(mask, [part], False, 255, pixels, cv2.LINE_AA, SUBPIXEL)
        cv2.polylines(layer, [part], False, shade, pixels, cv2.LINE_8, SUBPIXEL)


def _below(head: Head, alpha: Image, offset: float) -> Image:
    """Return a soft mask (h, w) of everything lower than the shoulders plus `offset` head widths."""
    line = head.shoulders + offset * head.width
    ramp = 255 / (1 + np.exp(-(np.arange(alpha.shape[0]) - line) / (0.03 * head.width + 0.3)))
    return np.ascontiguousarray(np.broadcast_to(ramp.astype(np.uint8)[:, None], alpha.shape))


def _cloth(person: Person, where: Image, texture: Image, rng: Generator) -> Person:
    """Put a pattern on the clothes, keeping some of their folds."""
    colours, alpha = person
    folds = cv2.cvtColor(colours, cv2.COLOR_BGR2GRAY).astype(np.float32) / 255
    fold = (1 - rng.uniform(0, 0.6) + folds * rng.uniform(0, 1.2))[..., None]
    return blend(np.clip(texture * fold, 0, 255).astype(np.uint8), colours, where), alpha
