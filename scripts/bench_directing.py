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
import math
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from benchmarks.directed_scenes import HEIGHT, WIDTH, Picture, Scene, Truth, composed, scenes, stroke_on
from numpy.typing import NDArray

import birefvideo
from birefvideo.directing.coarse import CoarseClip, coarse_size
from birefvideo.directing.direct import Direction, direct
from birefvideo.directing.grow import grown
from birefvideo.directing.marks import KEEP
from birefvideo.directing.masks import directed
from birefvideo.directing.store import storing
from birefvideo.frames import Alpha
from birefvideo.media.reading.decode import read_frames
from birefvideo.media.reading.probe import probe
from birefvideo.memory import reuse_memory

RATE = 25


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
