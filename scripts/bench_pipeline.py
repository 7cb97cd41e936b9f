#!/usr/bin/env python
"""Measure the pipeline: each stage alone, the whole against the limit that the stages set, and peak memory.

    python scripts/bench_pipeline.py [CLIP] [--frames 150] [--rounds 3] [--size 1920x1080] [--memory]
    python scripts/bench_pipeline.py --free-network --frames 48      # how fast is all but the network?
    GOMP_SPINCOUNT=1000 python scripts/bench_pipeline.py --busy 1    # as the command sets it, beside other work

CLIP (default: samples/talking_head.mp4) is scaled to --size and looped. The bound is max(pace of the slowest stage,
CPU-seconds of all stages / cores): what no pipeline on this machine can beat by much. The pace of a stage is its CPU
time divided by the threads that share its frames, or its wall time where that is less. An encoder's wall time is that
of its output, pictures being composed beside it. Stages and whole alternate in every round, medians are printed.
--free-network takes mattes that were computed before. --memory also runs `birefvideo matte` in processes of their own
on 20 s and on 5 min (Linux only).
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import TypeVar

import av
import cv2
import numpy as np
from benchmarks.busy import busy

from birefvideo.frames import AlphaFrame, DecodedFrame, Frame, Span, VideoInfo
from birefvideo.jobs.loaded_model import LoadedModel
from birefvideo.jobs.options import Options
from birefvideo.matting.foreground import with_foreground
from birefvideo.matting.smoother import make_smoother, smoothings
from birefvideo.media.format_table import get_format
from birefvideo.media.reading.decode import read_frames
from birefvideo.media.reading.probe import probe
from birefvideo.media.writing.composer import Composer, EncodeSettings, make_composer
from birefvideo.media.writing.segment_writer import Writer, open_writer
from birefvideo.media.writing.sinks import ENCODERS, ENCODERS_LEAST
from birefvideo.memory import reuse_memory
from birefvideo.pipeline import AT_ONCE, AT_ONCE_LEAST, Matter, matte_segment
from birefvideo.prefetch import thread_count

T = TypeVar("T")
FORMATS = ("prores", "green")
SHARED = {
    "smooth": AT_ONCE,
    "foreground": AT_ONCE,
    "encode prores": ENCODERS,
    "encode green": EncodeSettings().threads,  # x264's own
}
"""Threads that share the frames of a stage, where it is not one."""
CORES = 16
"""Cores of the machine that the last line is about."""
SHARED_THERE = SHARED | {
    "smooth": thread_count(AT_ONCE_LEAST, CORES),
    "foreground": thread_count(AT_ONCE_LEAST, CORES),
    "encode prores": thread_count(ENCODERS_LEAST, CORES),
}
"""The same on that machine."""
TOGETHER = {"smoothing and the foreground": ("smooth", "foreground")}
"""Stages of which the same threads do one after the other."""
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


def compose_all(composer: Composer, frames: Iterable[Frame]) -> None:
    for frame in frames:
        composer.compose(frame)


class FreeNetwork:
    """Gives each frame a matte that was computed before."""

    def __init__(self, mattes: Iterable[AlphaFrame]) -> None:
        self._alphas = {frame.pts: frame.alpha for frame in mattes}
        self._last = self._alphas[max(self._alphas)]

    def predict(self, frames: Iterable[DecodedFrame]) -> Iterator[AlphaFrame]:
        for frame in frames:
            yield frame.with_alpha(self._alphas.get(frame.pts, self._last))  # context beyond the span: nearly the same


def stages_alone(info: VideoInfo, span: Span, matter: Matter, folder: Path) -> dict[str, Cost]:
    """Run every stage by itself over the same frames, each fed from a list."""
    costs: dict[str, Cost] = {}

    def run(name: str, produce: Callable[[], Iterable[T]]) -> list[T]:
        result: list[T] = []
        costs[name] = timed(lambda: result.extend(produce()))
        return result

    decoded = run("decode", lambda: read_frames(info, span))
    mattes = run("predict", lambda: matter.predict(decoded))
    works = run("look", lambda: smoothings(mattes, make_smoother(Options().smooth)))
    smoothed = run("smooth", lambda: (work() for work in works))
    frames = run("foreground", lambda: (with_foreground(frame) for frame in smoothed))
    for name in FORMATS:
        with closing(make_composer(get_format(name), info, EncodeSettings())) as composer:
            compose = timed(partial(compose_all, composer, frames))
        writer = open_writer(folder / f"alone_{name}.mov", get_format(name), info, EncodeSettings())
        both = timed(partial(write_all, writer, frames))
        costs[f"compose {name}"] = compose
        costs[f"encode {name}"] = Cost(both.wall, both.cpu - compose.cpu)
    return costs


def whole(info: VideoInfo, span: Span, matter: Matter, folder: Path) -> Cost:
    def work() -> None:
        with ExitStack() as stack:
            writers = [
                stack.enter_context(open_writer(folder / f"whole_{name}.mov", get_format(name), info, EncodeSettings()))
                for name in FORMATS
            ]
            matte_segment(info, span, matter, make_smoother(Options().smooth), writers, lambda: None)

    return timed(work)


def median(costs: Sequence[Cost]) -> Cost:
    return Cost(statistics.median(c.wall for c in costs), statistics.median(c.cpu for c in costs))


def pace(name: str, cost: Cost, shared: Mapping[str, int]) -> float:
    """Return the seconds that a stage takes for all frames where there are cores enough for its threads."""
    return min(cost.wall, cost.cpu / shared.get(name, 1))


def slowest_stage(stages: Mapping[str, Cost], shared: Mapping[str, int]) -> tuple[str, float]:
    """Return the stage that sets the pace where there are cores enough, and the seconds it takes for all frames."""
    paces = {name: pace(name, cost, shared) for name, cost in stages.items()}
    for name, parts in TOGETHER.items():
        paces[name] = sum(paces.pop(part) for part in parts)
    name = max(paces, key=paces.__getitem__)
    return name, paces[name]


def bench_stages(clip: Path, folder: Path, options: argparse.Namespace) -> None:
    frames = options.frames
    info = probe(clip)
    span = Span(end=info.start + round(frames / info.rate / info.time_base))
    model = LoadedModel(Options())
    matter: Matter = model.predictor()
    if options.free_network:
        matter = FreeNetwork(matter.predict(read_frames(info, span)))
    whole(info, replace(span, end=info.start + round(5 / info.rate / info.time_base)), matter, folder)  # warm up
    rows: list[dict[str, Cost]] = []
    wholes: list[Cost] = []
    with busy(options.busy):
        for _ in range(options.rounds):
            rows.append(stages_alone(info, span, matter, folder))
            wholes.append(whole(info, span, matter, folder))
    beside = f", beside {options.busy} busy processes" if options.busy else ""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    print(f"{info.width}×{info.height}, {frames} frames, {options.rounds} rounds, {cores} cores{beside}", end="")
    print(", a network that costs nothing" if options.free_network else f", {model.engine.dtype}")
    print_stages({name: median([row[name] for row in rows]) for name in rows[0]}, median(wholes), frames, cores)


def print_stages(stages: dict[str, Cost], total: Cost, frames: int, cores: int) -> None:
    print("\n| stage alone | ms/frame | CPU ms/frame | threads | pace, ms/frame |\n|---|---|---|---|---|")
    for name, cost in stages.items():
        cells = [name, f"{1000 * cost.wall / frames:.1f}", f"{1000 * cost.cpu / frames:.1f}", str(SHARED.get(name, 1))]
        print(f"| {' | '.join(cells)} | {1000 * pace(name, cost, SHARED) / frames:.1f} |")
    print(f"| **whole** | {1000 * total.wall / frames:.1f} | {1000 * total.cpu / frames:.1f} | | |")
    work = sum(cost.cpu for cost in stages.values())
    slowest, takes = slowest_stage(stages, SHARED)
    print(f"\nslowest: {slowest}, {1000 * takes / frames:.1f} ms; {frames / total.wall:.1f} frames/s")
    print(f"wall / max(slowest stage, CPU / cores): {total.wall / max(takes, work / cores):.2f}")
    slowest, takes = slowest_stage(stages, SHARED_THERE)
    bound = max(takes, work / CORES)
    print(
        f"by arithmetic on {CORES} cores: max({slowest} {1000 * takes / frames:.1f} ms, "
        f"{1000 * work / frames:.1f} ms / {CORES}) = {1000 * bound / frames:.1f} ms, {frames / bound:.0f} frames/s"
    )


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
    parser.add_argument("--free-network", action="store_true", help="without the network's time")
    parser.add_argument("--busy", type=int, default=0, metavar="N", help="keep N other processes busy meanwhile")
    parser.add_argument("--memory", action="store_true", help="measure peak memory of 20 s and of 5 minutes too")
    options = parser.parse_args()
    width, height = (int(side) for side in options.size.split("x"))
    reuse_memory()  # this and the next as the command does
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clip = folder / "clip.mp4"
        loop_clip(options.clip, clip, (width, height), options.frames / 24 + 1)
        bench_stages(clip, folder, options)
        if options.memory:
            bench_memory(options.clip, folder, (width, height))


if __name__ == "__main__":
    main()
