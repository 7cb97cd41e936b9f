#!/usr/bin/env python
"""Measure the pipeline: each stage alone, the whole against the limit that the stages set, and peak memory.

    python scripts/bench_pipeline.py [CLIP] [--frames 150] [--rounds 3] [--size 1920x1080] [--memory]

CLIP (default: samples/talking_head.mp4) is scaled to --size and looped. The bound is max(slowest stage alone,
CPU-seconds of all stages / cores): what no pipeline on this machine can beat by much. Stages and whole alternate in
every round, medians are printed. --memory also runs `birefvideo matte` in processes of their own on 20 s and on 5 min
(Linux only).
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import TypeVar

import av
import numpy as np

from birefvideo.frames import Frame, Span, VideoInfo
from birefvideo.jobs.loaded_model import LoadedModel
from birefvideo.jobs.options import Options
from birefvideo.matting.foreground import estimate
from birefvideo.matting.smoother import make_smoother, smooth
from birefvideo.media.format_table import get_format
from birefvideo.media.reading.decode import read_frames
from birefvideo.media.reading.probe import probe
from birefvideo.media.writing.composer import EncodeSettings
from birefvideo.media.writing.segment_writer import Writer, open_writer
from birefvideo.pipeline import matte_segment

T = TypeVar("T")
FORMATS = ("prores", "green")
SAMPLE = Path(__file__).resolve().parent.parent / "samples" / "talking_head.mp4"


@dataclass(frozen=True)
class Cost:
    """Seconds for all frames."""

    wall: float
    cpu: float


def timed(work: Callable[[], object]) -> Cost:
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return Cost(time.perf_counter() - wall, time.process_time() - cpu)


def loop_clip(source: Path, target: Path, size: tuple[int, int], seconds: float) -> None:
    """Write `seconds` of `source`, scaled and repeated, as H.264 at its own rate, with a tone."""
    info = probe(source)
    pictures = [
        frame.picture.reformat(*size, format="yuv420p", threads=1)
        for frame in read_frames(info, Span(end=info.start + round(4 / info.time_base)))
    ]
    with av.open(str(target), "w") as out:
        stream = out.add_stream("libx264", rate=info.rate, options={"preset": "veryfast", "crf": "20", "g": "50"})
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        context = stream.codec_context
        context.colorspace = context.color_primaries = context.color_trc = context.color_range = 1
        sound = out.add_stream("aac", rate=48_000, layout="mono")
        for i in range(round(seconds * info.rate)):
            # Forth and back, so that the loop has no jump.
            at = i % (2 * len(pictures))
            picture = pictures[at if at < len(pictures) else 2 * len(pictures) - 1 - at]
            picture.pts, picture.time_base = i, 1 / info.rate
            out.mux(stream.encode(picture))
            if i * 48_000 // info.rate // 1024 > (i - 1) * 48_000 // info.rate // 1024:
                out.mux(sound.encode(tone(int(i * 48_000 // info.rate // 1024))))
        out.mux(stream.encode(None))
        out.mux(sound.encode(None))


def tone(block: int) -> av.AudioFrame:
    """Return the block-th 1024 samples of 220 Hz at 48 kHz."""
    phase = 2 * np.pi * 220 / 48_000 * np.arange(block * 1024, (block + 1) * 1024)
    frame = av.AudioFrame.from_ndarray((0.2 * np.sin(phase)).astype(np.float32)[None], format="fltp", layout="mono")
    frame.sample_rate, frame.pts, frame.time_base = 48_000, block * 1024, Fraction(1, 48_000)
    return frame


def write_all(writer: Writer, frames: Iterable[Frame]) -> None:
    with writer:
        for frame in frames:
            writer.write(frame)


def stages_alone(info: VideoInfo, span: Span, model: LoadedModel, folder: Path) -> dict[str, Cost]:
    """Run every stage by itself over the same frames, each fed from a list."""
    costs: dict[str, Cost] = {}

    def run(name: str, produce: Callable[[], Iterable[T]]) -> list[T]:
        result: list[T] = []
        costs[name] = timed(lambda: result.extend(produce()))
        return result

    decoded = run("decode", lambda: read_frames(info, span))
    mattes = run("predict", lambda: model.predictor().predict(decoded))
    smoothed = run("smooth", lambda: smooth(mattes, make_smoother(Options().smooth)))
    frames = run("foreground", lambda: estimate(smoothed))
    for name in FORMATS:
        writer = open_writer(folder / f"alone_{name}.mov", get_format(name), info, EncodeSettings())
        costs[f"encode {name}"] = timed(partial(write_all, writer, frames))
    return costs


def whole(info: VideoInfo, span: Span, model: LoadedModel, folder: Path) -> Cost:
    def work() -> None:
        with ExitStack() as stack:
            writers = [
                stack.enter_context(open_writer(folder / f"whole_{name}.mov", get_format(name), info, EncodeSettings()))
                for name in FORMATS
            ]
            matte_segment(info, span, model.predictor(), make_smoother(Options().smooth), writers, lambda: None)

    return timed(work)


def median(costs: Sequence[Cost]) -> Cost:
    return Cost(statistics.median(c.wall for c in costs), statistics.median(c.cpu for c in costs))


def bench_stages(clip: Path, folder: Path, frames: int, rounds: int) -> None:
    info = probe(clip)
    span = Span(end=info.start + round(frames / info.rate / info.time_base))
    model = LoadedModel(Options())
    whole(info, replace(span, end=info.start + round(5 / info.rate / info.time_base)), model, folder)  # warm up
    rows: list[dict[str, Cost]] = []
    wholes: list[Cost] = []
    for _ in range(rounds):
        rows.append(stages_alone(info, span, model, folder))
        wholes.append(whole(info, span, model, folder))
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    print(f"{info.width}×{info.height}, {frames} frames, {rounds} rounds, {cores} cores, {model.engine.dtype}")
    print("\n| stage alone | ms/frame | CPU ms/frame |\n|---|---|---|")
    for name in rows[0]:
        cost = median([row[name] for row in rows])
        print(f"| {name} | {1000 * cost.wall / frames:.1f} | {1000 * cost.cpu / frames:.1f} |")
    total = median(wholes)
    print(f"| **whole** | {1000 * total.wall / frames:.1f} | {1000 * total.cpu / frames:.1f} |")
    ratios = [
        done.wall / max(*(c.wall for c in row.values()), sum(c.cpu for c in row.values()) / cores)
        for row, done in zip(rows, wholes, strict=True)
    ]
    slowest = max(rows[0], key=lambda name: median([row[name] for row in rows]).wall)
    print(f"\nslowest stage alone: {slowest}; {frames / total.wall:.1f} frames/s")
    print(f"wall / max(slowest stage, CPU / cores): {statistics.median(ratios):.2f}")


# ru_maxrss would not do: a child inherits its parent's peak until it runs a program of its own.
PEAK = """
import re
from pathlib import Path
print(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
"""


def peak_memory(code: str) -> float:
    """Return the peak resident memory, in MiB, of a Python process that runs `code`."""
    done = subprocess.run([sys.executable, "-c", code + PEAK], stdout=subprocess.PIPE, text=True, check=True)
    return int(done.stdout.splitlines()[-1]) / 1024


def bench_memory(source: Path, folder: Path, size: tuple[int, int]) -> None:
    """Print the peak memory of `birefvideo matte` on a short and on a long clip."""
    print("\n| clip | peak RSS, MiB | seconds |\n|---|---|---|", flush=True)
    print(f"| none: imports only | {peak_memory('import birefvideo.jobs.run'):.0f} | |", flush=True)
    clip = folder / "long.mp4"
    for seconds in (20, 300):
        loop_clip(source, clip, size, seconds)
        arguments = ["matte", str(clip), "-o", str(folder), "--overwrite", "-q"]
        started = time.perf_counter()
        peak = peak_memory(f"from birefvideo.cli import app\nassert not app({arguments}, standalone_mode=False)")
        print(f"| {seconds} s | {peak:.0f} | {time.perf_counter() - started:.0f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", type=Path, nargs="?", default=SAMPLE)
    parser.add_argument("--frames", type=int, default=150)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--size", default="1920x1080")
    parser.add_argument("--memory", action="store_true", help="measure peak memory of 20 s and of 5 minutes too")
    options = parser.parse_args()
    width, height = (int(side) for side in options.size.split("x"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clip = folder / "clip.mp4"
        loop_clip(options.clip, clip, (width, height), options.frames / 24 + 1)
        bench_stages(clip, folder, options.frames, options.rounds)
        if options.memory:
            bench_memory(options.clip, folder, (width, height))


if __name__ == "__main__":
    main()
