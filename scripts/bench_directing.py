#!/usr/bin/env python
"""Measure directing against exact truth: clips of real cut-outs that move over real rooms, at 1280×720.

    python scripts/bench_directing.py DATA [--frames 100] [--seeds 2] [--only crossing,kept] [--sheets FOLDER]
    python scripts/bench_directing.py DATA --only crossing --speeds 5,12,18 [--height 0.72] [--first-seed 2]
    python scripts/bench_directing.py DATA --growing [--rounds 3]       # CPU time of growing a stroke to its thing
    python scripts/bench_directing.py CLIP --cost [--rounds 3] [--seconds 2]    # what directing adds to a job, by turns

DATA is a folder as scripts/train.py reads it: portraits/NAME.jpg and NAME_a.png, rooms/NAME.jpg, index.csv. Only what
index.csv releases is used. Each clip is composed, encoded as H.264 with noise, decoded, and kept as a job keeps it. In
the network's place stands the exact alpha of all that it would take for people, so that the figures are those of
directing alone. Masks are applied at full size, as a job does.

wrong: what is kept of others and lost of the subject in all frames, of the subject's area in all frames. worst: the
same of the worst frame that shows half of the subject or more. switches: frames that show more of another than of the
subject. overlap: intersection over union of a kept thing after one stroke, mean and worst frame. --sheets writes a
picture of every clip. The whole takes about ten minutes of one core; --only runs the clips whose names hold a word.
"""

from __future__ import annotations

import argparse
import csv
import math
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

import birefvideo
from birefvideo.directing.coarse import CoarseClip, coarse_size
from birefvideo.directing.direct import Direction, Director, direct
from birefvideo.directing.grow import grown
from birefvideo.directing.marked import Marked
from birefvideo.directing.marks import KEEP, STROKE, Shape
from birefvideo.directing.masks import directed
from birefvideo.directing.read_marks import parse_marks
from birefvideo.directing.store import storing
from birefvideo.directing.subject_lock import SubjectLock
from birefvideo.directing.wishes import Subject
from birefvideo.frames import Alpha
from birefvideo.media.reading.decode import read_frames
from birefvideo.media.reading.probe import probe
from birefvideo.memory import reuse_memory

WIDTH, HEIGHT, RATE = 1280, 720, 25
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
    picture = scene.room.astype(np.float32)
    seen: list[Alpha] = []
    for layer in scene.layers:
        colour, alpha = layer.cutout.placed(layer.way(number))
        picture += alpha[..., None] * (colour - picture)
        seen = [other * (1 - alpha) for other in seen] + [alpha]
    picture += np.roll(noise(), 7919 * number, axis=0).reshape(picture.shape)
    network = sum((a for a, layer in zip(seen, scene.layers, strict=True) if layer.is_seen), np.zeros_like(seen[0]))
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8), Truth(seen, np.minimum(network, 1))


def encode(scene: Scene, frames: int, path: Path) -> list[Truth]:
    truths = []
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=RATE, options={"preset": "veryfast", "crf": "20"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for number in range(frames):
            picture, truth = composed(scene, number)
            truths.append(truth)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        out.mux(stream.encode(None))
    return truths


@dataclass
class Score:
    """Figures of one clip."""

    name: str
    wrong: float
    worst: float
    switches: int
    overlap: tuple[float, float]
    notes: int


def run(scene: Scene, frames: int, folder: Path, sheet: Path | None) -> Score:
    clip = folder / "clip.mp4"
    truths = encode(scene, frames, clip)
    info = probe(clip)
    decoded = list(read_frames(info))
    with storing(folder / "alpha.bin", folder / "coarse.bin") as write:
        for frame, truth in zip(decoded, truths, strict=True):
            write(frame.with_alpha(truth.network))
    pts = [frame.pts for frame in decoded]
    seconds = [float((time - info.start) * info.time_base) for time in pts]
    with CoarseClip([folder / "coarse.bin"], pts, seconds, (WIDTH, HEIGHT)) as coarse:
        direct(coarse, [scene.wish], folder / "direction.bin")
    direction = Direction(folder / "direction.bin")
    wrong, switches, overlaps, shown = [], 0, [], []
    for number, (frame, truth) in enumerate(zip(decoded, truths, strict=True)):
        masks = direction.masks(number)
        wanted, found = truth.seen[scene.subject], directed(truth.network, masks, frame.picture)
        if scene.is_kept:
            added = directed(np.zeros_like(found), masks, frame.picture)
            overlaps.append(float(np.minimum(added, wanted).sum() / np.maximum(np.maximum(added, wanted).sum(), 1)))
        elif wanted.sum() > 0:
            others = sum((a for i, a in enumerate(truth.seen) if i != scene.subject), np.zeros_like(wanted))
            stays = np.maximum(found - wanted, 0)
            wrong.append((float(stays.sum() + np.maximum(wanted - found, 0).sum()), float(wanted.sum())))
            switches += int(float((found * others).sum()) > float((found * wanted).sum()) and found.sum() > 1)
        if number in (0, frames // 3, frames // 2, 2 * frames // 3, frames - 1):
            shown.append(view(frame.picture.to_ndarray(format="rgb24").astype(np.uint8), found))
    notes = len(direction.notes)
    direction.close()
    if sheet is not None:
        cv2.imwrite(str(sheet), np.hstack(shown)[..., ::-1])
    overlap = (float(np.mean(overlaps)), min(overlaps)) if overlaps else (math.nan, math.nan)
    if not wrong:
        return Score(scene.name, math.nan, math.nan, switches, overlap, notes)
    whole = max(area for _, area in wrong)
    worst = max(error / area for error, area in wrong if area >= whole / 2)
    return Score(scene.name, sum(e for e, _ in wrong) / sum(a for _, a in wrong), worst, switches, overlap, notes)


def view(picture: Picture, alpha: Alpha) -> Picture:
    """Return a small picture over green where alpha is 0."""
    green = np.array((0, 177, 64), np.float32)
    both = green + alpha[..., None] * (picture - green)
    small: Picture = cv2.resize(both, (WIDTH // 3, HEIGHT // 3), interpolation=cv2.INTER_AREA).astype(np.uint8)
    return small


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


def print_cost(clip: Path, rounds: int, seconds: float) -> None:
    """Print what a job takes without and with a subject, one after the other, and how much more that is: medians."""
    taken: dict[str, list[tuple[float, float]]] = {"without": [], "with": []}
    for number in range(rounds + 1):
        for name, wish in (("without", {}), ("with", {"subject": "largest"})):
            with tempfile.TemporaryDirectory() as folder:
                wall, cpu = time.perf_counter(), time.process_time()
                birefvideo.matte(clip, folder, end=seconds if number else 0.3, **wish)  # type: ignore[arg-type]
                if number:  # the first ones warm up
                    taken[name].append((time.perf_counter() - wall, time.process_time() - cpu))
    walls, cpus = ({name: statistics.median(one[i] for one in taken[name]) for name in taken} for i in range(2))
    for kind, found in (("wall", walls), ("CPU", cpus)):
        more = 100 * (found["with"] / found["without"] - 1)
        print(f"{kind}: {found['without']:.2f} s without, {found['with']:.2f} s with: {more:+.1f} %")


def print_growing(scenes: Sequence[Scene], seed: int, rounds: int) -> None:
    """Print the CPU time of growing the first frame's stroke to its thing, in each clip that has one."""
    for scene in scenes:
        if not scene.is_kept:
            continue
        layer = scene.layers[scene.subject]
        frames = {number: composed(scene, number) for number in (0, 1, 4, 12, 32)}
        pictures = {number: small(picture) for number, (picture, _) in frames.items()}
        alpha = small(frames[0][1].network)
        shape = stroke_on(layer.cutout, layer.way).scaled(alpha.shape[1] / WIDTH, alpha.shape[0] / HEIGHT)
        later = [lambda one=pictures[number]: [one] for number in (1, 4, 12, 32)]
        taken = []
        for _ in range(rounds):
            begun = time.process_time()
            grown(pictures[0], alpha, shape, np.zeros(alpha.shape, np.bool_), KEEP, later)
            taken.append(1000 * (time.process_time() - begun))
        print(f"| {scene.name} | {seed} | {statistics.median(taken):.0f} | {max(taken):.0f} |", flush=True)


def small(plane: NDArray[Any]) -> NDArray[Any]:
    """Return a plane at the size of a coarse picture."""
    return cv2.resize(plane, coarse_size(WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--speeds", default="", help="of the crossings, in pixels a frame, with commas between")
    parser.add_argument("--height", type=float, default=0.72, help="of the people, in parts of the picture's")
    parser.add_argument("--only", default="", help="clips whose names hold one of these words, with commas between")
    parser.add_argument("--sheets", type=Path)
    parser.add_argument("--cost", action="store_true", help="DATA is a clip: time jobs of its first seconds")
    parser.add_argument("--growing", action="store_true", help="time how a stroke is grown to its thing")
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    reuse_memory()  # this and the next as the command does
    cv2.setNumThreads(1)
    if options.cost:
        print_cost(options.data, options.rounds, options.seconds)
        return
    speeds = [float(speed) for speed in options.speeds.split(",") if speed]
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    if options.growing:
        print("| clip | seed | CPU ms, median | worst |\n|---|---|---|---|", flush=True)
        for seed in seeds:
            clips = scenes(options.data, seed, options.frames, speeds, options.height)
            print_growing(clips, seed, options.rounds)
        return
    if options.sheets:
        options.sheets.mkdir(parents=True, exist_ok=True)
    print(
        "| clip | seed | wrong | worst | switches | overlap, mean | worst | notes |\n|---|---|---|---|---|---|---|---|",
        flush=True,
    )
    for seed in seeds:
        for index, scene in enumerate(scenes(options.data, seed, options.frames, speeds, options.height)):
            if not any(word in scene.name for word in options.only.split(",")):
                continue
            sheet = options.sheets / f"{seed}_{index}.png" if options.sheets else None
            with tempfile.TemporaryDirectory() as name:
                score = run(scene, options.frames, Path(name), sheet)
            shares = [f"{100 * score.wrong:.2f} %", f"{100 * score.worst:.2f} %", str(score.switches)]
            cells = ["", "", ""] if scene.is_kept else shares
            cells += [f"{score.overlap[0]:.3f}", f"{score.overlap[1]:.3f}"] if scene.is_kept else ["", ""]
            print(f"| {scene.name} | {seed} | {' | '.join(cells)} | {score.notes} |", flush=True)


if __name__ == "__main__":
    main()
