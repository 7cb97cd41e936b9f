"""One person, animated from a single cut-out: head turns, mouth, blinks, breath, loose hairs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

# Places in the cut-out, in its own pixels.
MOUTH, MOUTH_HALF_WIDTH, LIP_SAG = (224.0, 140.3), 20.5, 9.0  # the lower lip's upper edge is a parabola
EYES = ((202.7, 102.2, 0.116, 6.3, 2.6), (247.7, 104.0, 0.0, 5.6, 3.6))  # centre, tilt, rise above and below it
EYE_HALF_WIDTH = 11.2
NECK, FACE, FACE_RADII = (222.0, 188.0), (225.0, 108.0), (72.0, 92.0)


def ramp(low: float, high: float, x: Array) -> Array:
    """Return a smooth step: 0 below `low`, 1 above `high`."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)


def wander(rng: np.random.Generator, seconds: Array, period: float) -> Array:
    """Return a smooth random curve of about unit size: four sines around `period` seconds."""
    waves = [
        np.sin(2 * math.pi * (seconds / (period * rng.uniform(0.5, 1.6)) + rng.uniform())) * rng.uniform(0.5, 1)
        for _ in range(4)
    ]
    return np.asarray(np.sum(waves, axis=0) / 1.8, np.float32)


def push_pull(colour: Array, weight: Array) -> Array:
    """Fill colour where weight is 0 from its surroundings, by a pyramid of weighted means."""
    if min(weight.shape) <= 2:
        return np.asarray((colour * weight[..., None]).sum((0, 1)) / weight.sum() + 0 * colour, np.float32)
    size = (weight.shape[1], weight.shape[0])
    half = (math.ceil(size[0] / 2), math.ceil(size[1] / 2))
    small_weight = cv2.resize(weight, half, interpolation=cv2.INTER_AREA)
    small = cv2.resize(colour * weight[..., None], half, interpolation=cv2.INTER_AREA)
    small = push_pull(small / np.maximum(small_weight, 1e-6)[..., None], np.minimum(small_weight * 2, 1))
    filled = cv2.resize(small, size, interpolation=cv2.INTER_LINEAR)
    return np.asarray(filled + (colour - filled) * weight[..., None], np.float32)


def add_strands(colour: Array, alpha: Array, rng: np.random.Generator) -> None:
    """Draw loose hairs around the head, in place: the cut-out's outline is smoother than hair is."""
    scale = colour.shape[1] / 512
    for _ in range(150):
        angle = rng.uniform(-0.15, math.pi + 0.15)
        direction = np.array([math.cos(angle), -math.sin(angle)])
        reach = np.arange(20, 140) * scale
        path = np.array([228.0, 95.0]) * scale + reach[:, None] * direction
        x, y = path.astype(int).T
        start = int(np.argmax(alpha[y, x] < 0.9))  # the first point outside the hair
        length, bend = rng.uniform(4, 12) * scale, rng.normal(0, 0.9)
        turn = angle + rng.choice([-1, 1]) * rng.uniform(1.0, 1.5)
        steps = np.linspace(-0.4, 1, 14) * length
        heading = turn + bend * steps / length
        points = path[start] + np.cumsum(np.stack([np.cos(heading), -np.sin(heading)], 1) * (length / 10), axis=0)
        points -= direction * rng.uniform(2, 4) * scale
        shape, shift = np.zeros(alpha.shape, np.uint8), 4
        cv2.polylines(shape, [np.round(points * 2**shift).astype(np.int32)], False, 255, 1, cv2.LINE_AA, shift)
        strand = cv2.GaussianBlur(shape.astype(np.float32) / 255, (0, 0), 0.5) * rng.uniform(0.1, 0.5)
        tint = colour[y[start - 6], x[start - 6]] * rng.uniform(0.9, 1.35)
        colour += (strand * (1 - alpha))[..., None] * (tint - colour)
        np.maximum(alpha, alpha + (1 - alpha) * strand, out=alpha)


def load_person(path: Path) -> Array:
    """Load the cut-out at twice its size, float32 (1024, 1024, 4): straight BGR in [0, 1], then alpha.

    Colour where the outline is soft still holds some of the photograph's background: it is taken from the inside.
    """
    picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED).astype(np.float32) / 255
    colour, alpha = picture[..., :3], picture[..., 3]
    inside = cv2.erode(cv2.morphologyEx(alpha, cv2.MORPH_CLOSE, np.ones((9, 9))), np.ones((13, 13)))
    alpha = np.maximum(alpha, np.float32(inside > 0.5))  # seams between suit, name tag and helmet
    colour = push_pull(colour, np.float32(cv2.erode(alpha, np.ones((3, 3))) > 0.97))
    colour = cv2.resize(colour, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    colour = colour + 0.45 * (colour - cv2.GaussianBlur(colour, (0, 0), 1.6))
    alpha = cv2.resize(alpha, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    alpha = np.clip((alpha - 0.12) / 0.76, 0, 1)
    add_strands(colour, alpha, np.random.default_rng(3))
    return np.dstack([np.clip(colour, 0, 1), alpha])


@dataclass(frozen=True)
class Pose:
    """How the person holds themselves in one frame; 0 everywhere is the photograph."""

    yaw: float
    pitch: float
    roll: float
    """Turns of the head, about ±1; roll in radians."""
    sway: tuple[float, float]
    """Shift of the whole body in the cut-out's pixels."""
    breath: float
    """Rise of the shoulders in the cut-out's pixels."""
    jaw: float
    """Opening of the mouth, 0 to 1."""
    pucker: float
    """Narrowing of the mouth, 0 to 1."""
    blink: float
    """Closing of the eyes, 0 to 1."""


def make_poses(times: Array, voice: Array, rng: np.random.Generator) -> list[Pose]:
    """Return a pose for every frame; `voice` is the loudness of the speech at each, 0 to 1."""
    yaw, pitch, roll = (wander(rng, times, p) for p in (3.1, 2.3, 4.3))
    across, along = wander(rng, times, 5.0), wander(rng, times, 6.0)
    pucker = np.clip(wander(rng, times, 0.55), 0, 1) * voice
    slow = np.convolve(np.pad(voice, 4, mode="edge"), np.hanning(9) / np.hanning(9).sum(), "valid")
    blink = np.zeros_like(times)
    moment = rng.uniform(0.5, 1.2)
    while moment < times[-1]:
        blink = np.maximum(blink, np.clip(1.35 - np.abs(times - moment) / 0.085, 0, 1))
        moment += rng.uniform(1.6, 3.4)
    phase = 2 * math.pi * times / 3.6
    return [
        Pose(
            float(yaw[i]),
            float(0.55 * pitch[i] + 0.6 * slow[i]),
            float(0.024 * roll[i] + 0.010 * across[i]),
            (float(2.6 * across[i] + 1.0 * yaw[i]), float(1.2 * along[i])),
            float(1.1 * math.sin(phase[i])),
            float(voice[i]),
            float(pucker[i]),
            float(blink[i]),
        )
        for i in range(len(times))
    ]


def bend_head(x: Array, y: Array, pose: Pose) -> tuple[Array, Array]:
    """Undo the turn of the head: places in the picture to places in the photograph."""
    distance = np.hypot((x - FACE[0]) / 100, (y - 95) / 115)
    weight = (1 - ramp(168, 216, y)) * (1 - ramp(1.0, 1.6, distance))
    cos, sin = math.cos(pose.roll), math.sin(pose.roll)
    dx, dy = x - NECK[0], y - NECK[1]
    x = x + weight * (cos * dx + sin * dy - dx)
    y = y + weight * (cos * dy - sin * dx - dy)
    # A turn moves what is near the camera most: the face is taken for an ellipsoid.
    radius = ((x - FACE[0]) / FACE_RADII[0]) ** 2 + ((y - FACE[1]) / FACE_RADII[1]) ** 2
    depth = np.clip(1 - radius, 0, 1) ** 1.3 * weight
    return x - 5.5 * pose.yaw * depth - 1.5 * pose.yaw * weight, y - 4.0 * pose.pitch * depth - pose.pitch * weight


def close_eyes(x: Array, y: Array, blink: float) -> tuple[Array, Array]:
    """Undo a blink: where the upper lid is stretched down from, and how dark the lashes are at its edge."""
    lashes = np.zeros_like(y)
    for centre_x, centre_y, tilt, above, below in EYES:
        u = (x - centre_x) / EYE_HALF_WIDTH
        arch = np.clip(1 - u * u, 0, 1)
        upper = centre_y + tilt * (x - centre_x) - above * arch
        crease, edge = upper - 4.5, upper + blink * (above + below) * arch
        skin = upper - min(1.0, 3 * blink) * np.minimum(1, 2 * arch) * 1.3  # stops short of the open eye's lashes
        lid = crease + (y - crease) * (skin - crease) / (edge - crease)
        y_lid = np.where((y > crease) & (y < edge), lid, y)
        lashes += np.exp(-(((y - edge) / 0.8) ** 2)) * np.minimum(1, 1.5 * arch) * min(1, 2 * blink) * 0.6
        y = y_lid
    return y, lashes


def open_mouth(x: Array, y: Array, pose: Pose) -> tuple[Array, Array, Array]:
    """Undo the mouth's movement: places in the photograph, and how much of each is the dark inside."""
    near = np.exp(-(((x - MOUTH[0]) / 26) ** 2) - ((y - 147) / 13) ** 2)
    x = x + 0.13 * pose.pucker * (x - MOUTH[0]) * near
    u = (x - MOUTH[0]) / MOUTH_HALF_WIDTH
    lip = MOUTH[1] + LIP_SAG * (1 - u * u)
    drop = 4.2 * pose.jaw
    gap = drop * np.clip(1 - u * u, 0, 1)
    below = drop * np.exp(-(((x - MOUTH[0]) / 38) ** 4)) * (1 - ramp(176, 196, y))
    shift = gap + (below - gap) * ramp(0, 14, y - lip - gap)
    dark = np.clip((y - lip) / 1.1, 0, 1) * np.clip((lip + gap - y) / 1.6, 0, 1)
    y = np.where(y < lip, y, np.where(y < lip + gap, lip, y - shift))
    return x, y, dark * np.clip(gap / 1.2, 0, 1)


def draw_person(person: Array, pose: Pose, size: tuple[int, int], zoom: float, anchor: tuple[float, float]) -> Array:
    """Draw the person in one frame: float32 (height, width, 4), straight BGR and alpha; (222, 14) goes to `anchor`."""
    x, y = np.meshgrid(*(np.arange(n, dtype=np.float32) for n in size))
    x = (x - anchor[0]) / zoom + 222 - pose.sway[0] * ramp(520, 60, y := (y - anchor[1]) / zoom + 14)
    y = y - pose.sway[1] + pose.breath * ramp(150, 240, y) * (1 + 0.004 * (x - 222))
    x, y = bend_head(x, y, pose)
    x, y, dark = open_mouth(x, y, pose)
    y, lashes = close_eyes(x, y, pose.blink)
    to_map = (np.float32(2 * x + 0.5), np.float32(2 * y + 0.5))
    drawn = cv2.remap(person, *to_map, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    for share, colour in ((dark, (0.10, 0.08, 0.19)), (lashes, (0.08, 0.13, 0.20))):
        drawn[..., :3] += share[..., None] * (np.array(colour, np.float32) - drawn[..., :3])
    return np.asarray(np.clip(drawn, 0, 1), np.float32)
