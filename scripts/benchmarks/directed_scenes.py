"""Clips of real cut-outs that move over real rooms, with what is to be seen of each: exact truth for directing."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from birefvideo.directing.direct import Director
from birefvideo.directing.marked import Marked
from birefvideo.directing.marks import STROKE, Shape
from birefvideo.directing.read_marks import parse_marks
from birefvideo.directing.subject_lock import SubjectLock
from birefvideo.directing.wishes import Subject
from birefvideo.frames import Alpha

WIDTH, HEIGHT = 1280, 720
NOISE = 2.0
"""Standard deviation of the camera's noise, in codes."""
Picture = NDArray[np.uint8]
Way = Callable[[int], tuple[float, float, float]]
"""Where a cut-out's middle is in a frame: across and down in pixels, and its turn in degrees."""


@dataclass(frozen=True, eq=False)
class Cutout:
    """Something cut out of a photo."""

    colour: Picture
    """R'G'B' codes."""
    alpha: Alpha

    def placed(self, at: tuple[float, float, float]) -> tuple[NDArray[np.float32], Alpha]:
        """Return its colour and alpha in a picture."""
        rows, columns = self.alpha.shape
        matrix = cv2.getRotationMatrix2D((columns / 2, rows / 2), at[2], 1.0)
        matrix[:, 2] += (at[0] - columns / 2, at[1] - rows / 2)
        size = (WIDTH, HEIGHT)
        colour = cv2.warpAffine(self.colour, matrix, size, borderMode=cv2.BORDER_REPLICATE).astype(np.float32)
        return colour, cv2.warpAffine(self.alpha, matrix, size)


@dataclass(frozen=True, eq=False)
class Layer:
    """A cut-out on its way; those further on in a list are in front."""

    cutout: Cutout
    way: Way
    is_seen: bool = True
    """Whether the network takes it for a person."""


@dataclass(frozen=True, eq=False)
class Scene:
    """A clip, what is wished of it, and which layer stays or is kept."""

    name: str
    room: Picture
    layers: Sequence[Layer]
    wish: Director
    subject: int
    is_kept: bool = False
    """Whether the subject is a thing that is kept beside those who are seen."""


@dataclass(frozen=True, eq=False)
class Truth:
    """What is to be seen of each layer in a frame."""

    seen: list[Alpha]
    network: Alpha
    """Alpha of all that the network sees."""


@cache
def noise() -> NDArray[np.float32]:
    """Return the noise of a frame; the others have the same one from another pixel on."""
    return np.random.default_rng(0).normal(0, NOISE, (WIDTH * HEIGHT, 3)).astype(np.float32)


def composed(scene: Scene, number: int) -> tuple[Picture, Truth]:
    """Return a frame, and what is to be seen of each layer in it."""
    picture = scene.room.astype(np.float32)
    seen: list[Alpha] = []
    for layer in scene.layers:
        colour, alpha = layer.cutout.placed(layer.way(number))
        picture += alpha[..., None] * (colour - picture)
        seen = [other * (1 - alpha) for other in seen] + [alpha]
    picture += np.roll(noise(), 7919 * number, axis=0).reshape(picture.shape)
    network = sum((a for a, layer in zip(seen, scene.layers, strict=True) if layer.is_seen), np.zeros_like(seen[0]))
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8), Truth(seen, np.minimum(network, 1))


def people_of(data: Path, rng: np.random.Generator, count: int, height: float) -> list[Cutout]:
    """Return people of different sources who stand on the lower edge of their photos, and touch no other."""
    with (data / "index.csv").open(newline="") as file:
        rows = [
            row for row in csv.DictReader(file) if row["release"] == "yes" and float(row["teacher_iou"] or 0) > 0.985
        ]
    found: dict[str, Cutout] = {}
    for index in rng.permutation(len(rows)):
        name = rows[index]["name"]
        source = name.rstrip("0123456789")
        alpha = cv2.imread(str(data / f"{name}_a.png"), cv2.IMREAD_GRAYSCALE)
        colour = cv2.imread(str(data / f"{name}.jpg"))
        if source in found or alpha is None or colour is None or alpha.shape != colour.shape[:2]:
            continue
        edges = (alpha[0].max(), alpha[: alpha.shape[0] // 2, 0].max(), alpha[: alpha.shape[0] // 2, -1].max())
        if max(edges) > 20 or alpha[-1].max() < 200 or (alpha > 128).mean() < 0.2:
            continue
        scale = height / alpha.shape[0]
        large = cv2.resize(colour, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)[..., ::-1]
        soft = cv2.resize(alpha, large.shape[1::-1], interpolation=cv2.INTER_LINEAR).astype(np.float32) / 255
        if soft.shape[1] > 0.6 * WIDTH:
            continue
        soft[:, [0, -1]] = 0
        found[source] = Cutout(np.ascontiguousarray(large), soft)
        if len(found) == count:
            break
    return list(found.values())


def thing_of(room: Picture, side: int) -> Cutout:
    """Return a thing with corners, cut out of a photo: many colours and edges of its own."""
    colour = np.ascontiguousarray(cv2.resize(room, (side, side), interpolation=cv2.INTER_AREA))
    outline = np.array([(0.1, 0.2), (0.5, 0.04), (0.9, 0.25), (0.94, 0.75), (0.6, 0.95), (0.2, 0.85)]) * side * 4
    fine = np.zeros((side * 4, side * 4), np.uint8)
    cv2.fillPoly(fine, [np.rint(outline).astype(np.int32)], 255)
    return Cutout(colour, cv2.resize(fine, (side, side), interpolation=cv2.INTER_AREA).astype(np.float32) / 255)


def on_floor(cutout: Cutout, across: Callable[[int], float]) -> Way:
    """Return the way of somebody whose photo stands on the lower edge, and who sways a little."""
    down = HEIGHT - cutout.alpha.shape[0] / 2 + 6
    return lambda n: (across(n), down + 3 * math.sin(n / 7), 0.0)


def stroke_on(cutout: Cutout, way: Way) -> Shape:
    """Return a stroke along a thing from end to end in the first frame."""
    _, alpha = cutout.placed(way(0))
    depth = cv2.distanceTransform((alpha > 0.5).astype(np.uint8), cv2.DIST_L2, 5)
    rows = np.flatnonzero(depth.max(axis=1))
    along = (int(rows[0] + (rows[-1] - rows[0]) * share) for share in (0.15, 0.4, 0.65, 0.85))
    return Shape(STROKE, tuple((int(depth[y].argmax()), y) for y in along), 20)


def kept(cutout: Cutout, way: Way) -> Director:
    """Return the director of one stroke in the first frame."""
    shape = stroke_on(cutout, way)
    stroke = {"do": "keep", "stroke": [list(point) for point in shape.points], "width": shape.width, "time": 0}
    read = parse_marks({"birefvideo_marks": 1, "marks": [stroke]}, "bench")
    return Marked(read.placed(WIDTH, HEIGHT, Fraction(0), None))


def walk(cutout: Cutout, start: float, end: float, speed: float) -> Way:
    """Return the way of somebody who walks from one place to another, so many pixels a frame, and stays there."""
    length, sign = abs(end - start), math.copysign(1, end - start)
    return on_floor(cutout, lambda n: start + sign * min(speed * n, length))


def point_on(layers: Sequence[Layer], number: int) -> Subject:
    """Return the subject whom a point means: the place in the first frame that lies deepest in what is seen of them."""
    _, truth = composed(Scene("", np.zeros((HEIGHT, WIDTH, 3), np.uint8), layers, SubjectLock(None, 1), 0), 0)
    depth = cv2.distanceTransform((truth.seen[number] > 0.5).astype(np.uint8), cv2.DIST_L2, 5)
    _, _, _, (x, y) = cv2.minMaxLoc(depth)
    return Subject(x=float(x), y=float(y))


def people_scenes(room: Picture, one: Cutout, two: Cutout, frames: int, speeds: Sequence[float]) -> list[Scene]:
    """Return clips of two people, one of whom stays; they cross at some speeds, in pixels a frame."""
    last, gone = frames - 1, WIDTH + two.alpha.shape[1]

    def away(n: int) -> float:
        return 900 + (gone - 900) * min(1.0, max(0.0, 1.4 * math.sin(math.pi * n / last)))

    apart = [Layer(one, on_floor(one, lambda n: 330 + 0.4 * n)), Layer(two, on_floor(two, lambda n: 960 - 0.3 * n))]
    returning = [Layer(one, on_floor(one, lambda n: 300 + 10 * math.sin(n / 9))), Layer(two, on_floor(two, away))]
    side = (one.alpha.shape[1] + two.alpha.shape[1]) * 0.3
    touching = [
        Layer(one, on_floor(one, lambda n: 640 - side / 2 + 8 * math.sin(n / 11))),
        Layer(two, on_floor(two, lambda n: 640 + side / 2 + 6 * math.sin(n / 8))),
    ]
    found = [
        Scene("two people apart", room, apart, SubjectLock(Subject("left"), None), 0),
        Scene("leaving and returning", room, returning, SubjectLock(Subject("right"), None), 1),
    ]
    for speed in speeds or (780 / last, 26.0):
        name = f"at {speed:.0f} pixels a frame"
        layers = [Layer(one, walk(one, 250, 1030, speed)), Layer(two, walk(two, 1030, 250, speed))]
        found.append(Scene(f"crossing {name}, the one behind", room, layers, SubjectLock(Subject("left"), None), 0))
        found.append(Scene(f"crossing {name}, the one in front", room, layers, SubjectLock(Subject("right"), None), 1))
    for number, name in enumerate(("behind", "in front")):
        lock = SubjectLock(point_on(touching, number), None)
        found.append(Scene(f"touching in all frames, the one {name}", room, touching, lock, number))
    return found


def kept_scenes(room: Picture, one: Cutout, two: Cutout, thing: Cutout) -> list[Scene]:
    """Return clips of a person and a thing that the network does not see, and that one stroke keeps."""
    person = Layer(one, on_floor(one, lambda n: 330 + 6 * math.sin(n / 8)))
    found = []
    for name, speed in (("slow, 2 pixels a frame", 2.0), ("fast, 20 pixels a frame", 20.0)):

        def way(n: int, speed: float = speed) -> tuple[float, float, float]:
            there = speed * n % 1000
            return 780 + (there if there < 500 else 1000 - there) * 0.7, 300 + 15 * math.sin(n / 15), 0.2 * n

        layers = [person, Layer(thing, way, is_seen=False)]
        found.append(Scene(f"a thing kept, {name}", room, layers, kept(thing, way), 1, is_kept=True))

    def held(n: int) -> tuple[float, float, float]:
        return 400 + 60 * math.sin(n / 12), 520 + 20 * math.sin(n / 9), 6 * math.sin(n / 10)

    layers = [person, Layer(thing, held, is_seen=False)]
    found.append(Scene("a thing kept that a person holds", room, layers, kept(thing, held), 1, is_kept=True))
    still = on_floor(two, lambda n: 930 + 0.5 * n)
    layers = [person, Layer(two, still, is_seen=False)]
    found.append(Scene("many colours kept: a person unseen", room, layers, kept(two, still), 1, is_kept=True))
    return found


def scenes(data: Path, seed: int, frames: int, speeds: Sequence[float], height: float) -> list[Scene]:
    """Return the clips of a seed, with people of a height in parts of the picture's."""
    rng = np.random.default_rng(seed)
    one, two = people_of(data, rng, 2, height * HEIGHT)
    photos = sorted((data / "rooms").glob("*.jpg"))
    rooms = [cv2.imread(str(photos[i])) for i in rng.choice(len(photos), 2, replace=False)]
    room, texture = (cv2.resize(r, (WIDTH, HEIGHT))[..., ::-1] for r in rooms if r is not None)
    thing = thing_of(np.ascontiguousarray(texture), 230)
    return people_scenes(room, one, two, frames, speeds) + kept_scenes(room, one, two, thing)
