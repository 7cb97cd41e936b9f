"""Print what temporal smoothing does to mattes of clips with known alpha: error, edge error, flicker and cost.

EVAL holds a folder a clip, each with `clip.mp4` and `alpha.mkv` (gray). Every --alpha is a pattern, relative to EVAL,
of the gray clips to smooth, `{clip}` standing for the folder's name:

    python scripts/bench_smoothing.py EVAL --alpha 'peers/{clip}_rvm.mkv' --alpha 'peers/{clip}_mp.mkv'
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import astuple, dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from birefvideo.frames import Alpha, Frame
from birefvideo.matting.foreground import estimate_foreground
from birefvideo.matting.metrics import ClipScore
from birefvideo.matting.temporal import DEFAULT_RADIUS, TemporalSmoother
from birefvideo.planes import plane_array


@dataclass(frozen=True)
class Row:
    """One clip at one radius."""

    mad: float
    band_mad: float
    dtssd: float
    smooth_ms: float
    smooth_cpu_ms: float
    foreground_ms: float
    foreground_cpu_ms: float


class Stopwatch:
    """Sums wall and CPU time of the blocks it is entered for."""

    def __init__(self) -> None:
        self.wall = self.cpu = 0.0

    def __enter__(self) -> None:
        self._started = time.perf_counter(), time.process_time()

    def __exit__(self, *_: object) -> None:
        self.wall += time.perf_counter() - self._started[0]
        self.cpu += time.process_time() - self._started[1]


def pictures(path: Path) -> Iterator[av.VideoFrame]:
    with av.open(str(path)) as container:
        # Decoder threads would be counted as CPU time of whatever runs meanwhile.
        container.streams.video[0].codec_context.thread_count = 1
        yield from container.decode(video=0)


def mattes(path: Path) -> Iterator[Alpha]:
    for picture in pictures(path):
        yield plane_array(picture, 0).astype(np.float32) / 255


def measure(clip: Path, alpha: Path, radius: int) -> Row:
    score, smoother = ClipScore(with_conn=False), TemporalSmoother(radius)
    smoothing, colouring = Stopwatch(), Stopwatch()
    truths = mattes(clip / "alpha.mkv")

    def finish(frame: Frame) -> None:
        assert frame.alpha is not None
        with colouring:
            estimate_foreground(frame.picture, frame.alpha)
        score.add(frame.alpha, next(truths))

    for number, (picture, matte) in enumerate(zip(pictures(clip / "clip.mp4"), mattes(alpha), strict=True)):
        with smoothing:
            done = smoother.push(Frame(picture, number, Fraction(1, 25), 1, alpha=matte))
        if done is not None:
            finish(done)
    with smoothing:
        rest = list(smoother.flush())
    for frame in rest:
        finish(frame)
    result = score.score()
    assert result.dtssd is not None and result.band_mad is not None
    times = [1e3 * t / result.frames for t in (smoothing.wall, smoothing.cpu, colouring.wall, colouring.cpu)]
    return Row(result.mad, result.band_mad, result.dtssd, *times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("eval", type=Path, metavar="EVAL")
    parser.add_argument("--alpha", action="append", required=True, metavar="PATTERN")
    parser.add_argument("--radius", type=int, default=DEFAULT_RADIUS)
    options = parser.parse_args()
    clips = sorted(path.parent for path in options.eval.glob("*/clip.mp4"))
    for pattern in options.alpha:
        print(f"\n{pattern}: MAD, band MAD, dtSSD at radius 0 → {options.radius}; then ms a frame (CPU ms)")
        print("| clip | MAD | band | dtSSD | dtSSD change | smooth | foreground |\n|---|---|---|---|---|---|---|")
        both: list[tuple[Row, Row]] = []
        for clip in clips:
            alpha = options.eval / pattern.format(clip=clip.name)
            both.append((measure(clip, alpha, 0), measure(clip, alpha, options.radius)))
            print_row(clip.name, *both[-1])
        print_row("mean", *(Row(*np.mean([astuple(row) for row in rows], axis=0)) for rows in zip(*both, strict=True)))


def print_row(name: str, raw: Row, smoothed: Row) -> None:
    print(
        f"| {name} | {raw.mad:.2f} → {smoothed.mad:.2f} | {raw.band_mad:.1f} → {smoothed.band_mad:.1f} "
        f"| {raw.dtssd:.2f} → {smoothed.dtssd:.2f} | {100 * (smoothed.dtssd / raw.dtssd - 1):+.1f} % "
        f"| {smoothed.smooth_ms:.1f} ({smoothed.smooth_cpu_ms:.1f}) "
        f"| {smoothed.foreground_ms:.1f} ({smoothed.foreground_cpu_ms:.1f}) |",
        flush=True,
    )


if __name__ == "__main__":
    main()
