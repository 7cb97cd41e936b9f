"""Put a body under a head and shoulders: torso, arms in many poses, legs that stand or sit, all with exact alpha.

Photos of heads are many and photos of whole people few. What is drawn takes its cloth and skin from the photo.
Lengths are in head widths; layers are BGR uint8 (h, w, 3), masks and alpha uint8 (h, w).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from training.cutouts import Cutout
from training.drawing import Image, Person, any_colour, behind, blend, limb, over, polygon, shaded, smear
from training.styles import Head, hand, skin_colour

Point = NDArray[np.float64]

UPPER_ARM, FOREARM, THIGH, SHIN = 1.75, 1.5, 2.3, 2.2
"""Lengths of bones."""
POSES = ("hang", "akimbo", "folded", "out", "wide", "chin", "lap", "raised")
"""Where arms may go."""
POSE_SHARES = (0.18, 0.15, 0.15, 0.15, 0.1, 0.08, 0.1, 0.09)


@dataclass(frozen=True)
class Frame:
    """What the drawing of one body keeps at hand."""

    head: Head
    """Where the head is in the frame."""
    cut: float
    """Row at which the photo ends and the drawing begins."""
    left: float
    """Where the photo's body ends on the left at that row."""
    right: float
    """The same on the right."""
    cloth: Image
    """The person's clothes, carried on below the cut."""
    skin: NDArray[np.float32]
    """Colour of the skin, BGR."""
    sleeve: float
    """How far the sleeves go, 0 shoulder, 1 elbow, 2 wrist."""

    @property
    def unit(self) -> float:
        return self.head.width

    @property
    def hips(self) -> float:
        """Row of the hip joints."""
        return max(self.head.shoulders + 2.9 * self.unit, self.cut + 0.5 * self.unit)

    def joint(self, side: float) -> Point:
        """Return where a drawn arm begins: at the shoulder, or where the photo cuts the arm; `side` is −1 or 1."""
        row = max(self.head.shoulders + 0.35 * self.unit, self.cut - 0.25 * self.unit)
        edge = self.left if side < 0 else self.right
        reach = np.clip(side * (edge - self.head.x), 0.85 * self.unit, 1.5 * self.unit)
        return np.array([self.head.x + side * (reach - 0.3 * self.unit), row])


def can_complete(cutout: Cutout) -> bool:
    """Return whether a body can be drawn under this person: cut by the photo's lower side, and by no other."""
    return cutout.head is not None and cutout.cut == (False, False, False, True) and "people" not in cutout.kind


def standing_place(cutout: Cutout, width: int, height: int, rng: Generator) -> NDArray[np.float64]:
    """Return a (2, 3) map that puts the head small into the frame, so that there is room for a body."""
    head = cutout.head
    assert head is not None
    unit = height / np.exp(rng.uniform(np.log(4.0), np.log(11.0)))
    scale = min(unit, width / 3.2) / head.width
    x = width * rng.uniform(0.2, 0.8) - scale * head.x
    y = height * rng.uniform(0.02, 0.3) - scale * head.top
    turn = np.deg2rad(np.clip(rng.normal(0, 2), -5, 5))
    linear = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    pivot = np.array([head.x, float(cutout.alpha.shape[0])])
    return np.column_stack([linear, scale * pivot + (x, y) - linear @ pivot])


def complete(person: Person, head: Head, cut: float, rng: Generator) -> Person:
    """Draw what the photo lacks below row `cut`, where `person` ends; return the person unchanged if it is no body."""
    colours, alpha = person
    row = int(cut) - 2
    if not 4 < row < alpha.shape[0] - 2:
        return person
    solid = np.flatnonzero(alpha[row] > 127)
    skin = skin_colour(colours, alpha, head)
    if len(solid) < 0.9 * head.width or skin is None or row < head.shoulders + 0.1 * head.width:
        return person
    strip = max(int(head.shoulders + 0.2 * head.width), row - int(1.5 * head.width))
    cloth = _carried_on(colours, min(strip, row - 3), row)
    left = max(float(solid[0]), head.x - 1.7 * head.width)
    right = min(float(solid[-1]), head.x + 1.7 * head.width)
    frame = Frame(head, cut, left, right, cloth, skin, float(rng.choice((0.3, 0.8, 1.9, 1.95), p=(0.1, 0.3, 0.3, 0.3))))
    pose = str(rng.choice(POSES, p=POSE_SHARES))
    arms = [_arm(frame, side, pose, rng) for side in (-1.0, 1.0)]
    torso = _torso(frame, rng)
    mask = alpha.copy()
    mask[row + 1 :] = 0
    person = behind((colours, mask), _modelled(frame.cloth, torso, frame.unit, rng), torso)
    if pose in ("hang", "akimbo") and rng.random() < 0.4:
        for arm in arms:
            person = behind(person, *arm)
        arms = []
    person = _legs(person, frame, rng)
    for arm in arms:
        person = over(person, *arm)
    return person


def gesture(person: Person, head: Head, rng: Generator) -> Person:
    """Put one or two arms in front of a body that the photo shows, or reach out of the frame with them."""
    skin = skin_colour(*person, head)
    if skin is None:
        return person
    h = person[1].shape[0]
    cut = min(float(h), head.shoulders + rng.uniform(0.6, 2.0) * head.width)
    row = int(cut) - 2
    solid = np.flatnonzero(person[1][row] > 127) if 4 < row < h else np.zeros(0)
    if len(solid) < head.width:
        return person
    cloth = _carried_on(person[0], max(0, int(head.shoulders)), max(int(head.shoulders) + 4, row))
    sleeve = float(rng.choice((0.3, 0.8, 1.9)))
    frame = Frame(head, cut, float(solid[0]), float(solid[-1]), cloth, skin, sleeve)
    pose = str(rng.choice(("folded", "out", "wide", "chin", "raised"), p=(0.2, 0.25, 0.15, 0.15, 0.25)))
    sides = (-1.0, 1.0) if pose == "folded" or rng.random() < 0.5 else (rng.choice((-1.0, 1.0)),)
    for side in sides:
        layer, mask = _arm(frame, side, pose, rng)
        if pose != "folded" and rng.random() < 0.35:
            layer, mask = smear(layer, mask, head.width * rng.uniform(0.03, 0.3), rng.uniform(0, np.pi))
        person = over(person, layer, mask)
    return person


def _carried_on(colours: Image, top: int, bottom: int) -> Image:
    """Mirror the rows from `top` to `bottom` again and again, above and below."""
    top = max(0, min(top, bottom - 2))
    period = 2 * (bottom - top)
    rows = (np.arange(len(colours)) - top) % period
    return colours[np.clip(top + np.minimum(rows, period - 1 - rows), 0, len(colours) - 1)]


def _modelled(layer: Image, mask: Image, unit: float, rng: Generator) -> Image:
    """Shade a layer as if what the mask shows were round."""
    shade = shaded(np.full(3, 200, np.float32), mask, unit, rng)
    return cv2.multiply(layer, shade, scale=1 / 190)


def _torso(frame: Frame, rng: Generator) -> Image:
    """Return the mask from the cut down to the hips."""
    u, head = frame.unit, frame.head
    chest, waist, hip = rng.uniform(0.95, 1.25), rng.uniform(0.75, 1.1), rng.uniform(0.9, 1.15)
    chest_row = max(frame.cut + 0.5 * u, head.shoulders + 0.8 * u)
    rows = np.array([frame.cut - 3, chest_row, chest_row + 0.8 * u, frame.hips, frame.hips + 0.5 * u])
    rows = np.maximum.accumulate(rows + np.arange(5) * 0.01)
    lefts = np.array([frame.left - head.x, -chest * u, -waist * u, -hip * u, -0.9 * hip * u])
    rights = np.array([frame.right - head.x, chest * u, waist * u, hip * u, 0.9 * hip * u])
    y = np.linspace(rows[0], rows[-1], 40)
    outline = np.concatenate(
        (
            np.stack((head.x + np.interp(y, rows, lefts), y), axis=-1),
            np.stack((head.x + np.interp(y, rows, rights), y), axis=-1)[::-1],
        )
    )
    mask = polygon(frame.cloth.shape[:2], outline)
    return _soften(mask, u)


def _soften(mask: Image, unit: float) -> Image:
    """Round corners and take the stair-steps off an outline."""
    size = max(3, 2 * int(0.06 * unit) + 1)
    return cv2.GaussianBlur(cv2.medianBlur(mask, min(size, 31)), (0, 0), 0.6)


def _toward(start: Point, angle: float, length: float) -> Point:
    """Return the point `length` away; angle 0 is down, positive to the right, in radians."""
    return start + length * np.array([np.sin(angle), np.cos(angle)])


def _elbow_and_wrist(frame: Frame, side: float, pose: str, rng: Generator) -> tuple[Point, Point]:
    u, head, start = frame.unit, frame.head, frame.joint(side)
    gone = (start[1] - head.shoulders) / u - 0.35
    upper = max(0.35, UPPER_ARM - gone) * u * rng.uniform(0.85, 1.0)
    fore = FOREARM * u * rng.uniform(0.8, 1.0)
    if pose == "folded":
        elbow = _toward(start, side * rng.uniform(0.05, 0.35), upper)
        across = head.x + side * rng.uniform(-0.9, -0.2) * u
        return elbow, np.array([across, elbow[1] + rng.uniform(-0.6, 0.0) * u])
    if pose == "akimbo":
        elbow = _toward(start, side * rng.uniform(0.5, 0.95), upper)
        return elbow, np.array([head.x + side * rng.uniform(0.7, 1.0) * u, frame.hips - rng.uniform(0.1, 0.6) * u])
    if pose == "chin":
        elbow = _toward(start, side * rng.uniform(-0.15, 0.35), upper)
        return elbow, np.array([head.x + side * rng.uniform(-0.1, 0.5) * u, head.eyes + rng.uniform(0.75, 1.1) * u])
    if pose == "lap":
        elbow = _toward(start, side * rng.uniform(0.0, 0.4), upper)
        return elbow, np.array([head.x + side * rng.uniform(-0.2, 0.8) * u, frame.hips + rng.uniform(-0.2, 0.5) * u])
    if pose == "wide":
        elbow = _toward(start, side * rng.uniform(0.7, 2.0), upper)
        return elbow, _toward(elbow, side * rng.uniform(0.8, 2.7), fore)
    if pose == "raised":
        elbow = _toward(start, side * rng.uniform(0.9, 2.4), 0.8 * upper)
        row = head.top + rng.uniform(-0.9, 1.3) * u
        return elbow, np.array([head.x + side * rng.uniform(-0.1, 1.1) * u, row])
    if pose == "out":
        elbow = _toward(start, side * rng.uniform(0.1, 0.7), upper)
        return elbow, _toward(elbow, side * rng.uniform(-0.4, 2.6), fore)
    elbow = _toward(start, side * rng.uniform(0.0, 0.25), upper)
    return elbow, _toward(elbow, side * rng.uniform(-0.15, 0.2), fore)


def _arm(frame: Frame, side: float, pose: str, rng: Generator) -> Person:
    """Draw one arm with its sleeve and hand: (layer, mask)."""
    u, shape = frame.unit, frame.cloth.shape[:2]
    shoulder, (elbow, wrist) = frame.joint(side), _elbow_and_wrist(frame, side, pose, rng)
    thick = u * rng.uniform(0.42, 0.72)
    bare, sleeve = np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)
    limb(bare, shoulder, elbow, thick, 0.85 * thick)
    limb(bare, elbow, wrist, 0.85 * thick, 0.55 * thick)
    along = (wrist - elbow) / (float(np.linalg.norm(wrist - elbow)) + 1e-6)
    hand(bare, wrist, along, u, rng)
    wider = thick * rng.uniform(1.05, 1.3)
    limb(sleeve, shoulder, shoulder + (elbow - shoulder) * min(1.0, frame.sleeve), wider, 0.95 * wider)
    if frame.sleeve > 1:
        limb(sleeve, elbow, elbow + (wrist - elbow) * (frame.sleeve - 1), 0.95 * wider, 0.75 * wider)
    layer = shaded(frame.skin * float(rng.uniform(0.85, 1.45)), bare, u, rng)
    layer = blend(_modelled(frame.cloth, sleeve, u, rng), layer, sleeve)
    return layer, cv2.GaussianBlur(cv2.max(bare, sleeve), (0, 0), 0.6)


def _legs(person: Person, frame: Frame, rng: Generator) -> Person:
    """Draw trousers, a skirt or shorts with shoes behind the torso's lower edge, standing or seated."""
    u, x, hips = frame.unit, frame.head.x, frame.hips
    shape = person[1].shape
    if hips > shape[0] + 0.5 * u:
        return person
    colour = any_colour(rng)
    cloth = frame.cloth if rng.random() < 0.1 else np.full_like(frame.cloth, colour)
    seated, short = rng.random() < 0.45, rng.random() < 0.2
    spread, thick = rng.uniform(0.0, 0.6), u * rng.uniform(0.85, 1.1)
    shoe = any_colour(rng)
    for side in rng.permutation((-1.0, 1.0)):
        hip = np.array([x + side * 0.5 * u, hips])
        if seated:
            knee = np.array([x + side * rng.uniform(0.2, 1.5) * u, hips + rng.uniform(0.1, 1.2) * u])
            foot = _toward(knee, side * rng.normal(0, 0.25), SHIN * u * rng.uniform(0.8, 1.0))
        else:
            knee = _toward(hip, side * spread * rng.uniform(0.2, 1.0), THIGH * u)
            foot = _toward(knee, side * spread * rng.uniform(-0.1, 0.6), SHIN * u)
        bare, covered = np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)
        limb(bare, hip, knee, 0.9 * thick, 0.65 * thick)
        limb(bare, knee, foot, 0.62 * thick, 0.36 * thick)
        limb(covered, hip, knee, 1.05 * thick, 0.8 * thick)
        if not short:
            limb(covered, knee, foot, 0.8 * thick, rng.uniform(0.5, 0.75) * thick)
        sole = np.zeros(shape, np.uint8)
        toe = foot + np.array([side * rng.uniform(0.0, 0.5), 0.15]) * u
        limb(sole, foot, toe, 0.45 * thick, 0.35 * thick)
        layer = shaded(frame.skin * float(rng.uniform(0.85, 1.3)), bare, u, rng)
        layer = blend(_modelled(cloth, covered, u, rng), layer, covered)
        layer = blend(np.full_like(layer, shoe), layer, sole)
        mask = cv2.GaussianBlur(cv2.max(cv2.max(bare, covered), sole), (0, 0), 0.6)
        person = over(person, layer, mask) if seated else behind(person, layer, mask)
    if not seated and rng.random() < 0.2:
        hem = hips + rng.uniform(0.8, 3.5) * u
        half = rng.uniform(0.8, 1.6) * u
        outline = np.array([(x - u, hips - 0.4 * u), (x + u, hips - 0.4 * u), (x + half, hem), (x - half, hem)])
        skirt = _soften(polygon(shape, outline), u)
        person = over(person, _modelled(cloth, skirt, u, rng), skirt)
    return person
