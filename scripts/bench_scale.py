"""Measure what several workers gain, and what handing out segments costs.

    python scripts/bench_scale.py workers CLIP [--end 2] [--model talk] [--size 768x448] [--to ffv1]
    python scripts/bench_scale.py overhead [--workers 64] [--segments 640] [--seconds 1]

The first compares two workers of one thread, on two cores, with one on one core; the clip must make two segments. The
second lets workers on a Ray cluster of this machine sleep instead of computing, and needs the extra birefvideo[ray].
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from birefvideo.frames import Span
from birefvideo.jobs.deal import Deal
from birefvideo.jobs.engines import Made
from birefvideo.jobs.hands import Answer, Done, Frames, Ready
from birefvideo.jobs.on_ray import RayHand, RayHands
from birefvideo.jobs.options import Options
from birefvideo.jobs.plan import Segment
from birefvideo.matting.predict import PredictReport
from birefvideo.pipeline import SegmentReport


def timed_job(arguments: argparse.Namespace, device: str, cores: int) -> tuple[float, float]:
    """Return the seconds of a whole command, and those of a frame while all its workers are at work."""
    began = time.perf_counter()
    seen: list[tuple[float, int, int]] = []
    with tempfile.TemporaryDirectory() as folder:
        words = ["matte", str(arguments.clip), "-o", folder, "--to", arguments.to, "--model", arguments.model]
        words += ["--end", str(arguments.end), "--device", device, "--progress", "json", "--no-receipt"]
        words += ["--size", arguments.size] if arguments.size else []
        environment = os.environ | {"OMP_NUM_THREADS": str(cores)}
        command = ["taskset", "-c", f"0-{cores - 1}", sys.executable, "-m", "birefvideo", *words]
        with subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment
        ) as process:
            for line in process.stderr or ():
                event = json.loads(line)
                if event["event"] == "frame":
                    seen.append((time.perf_counter(), event["done"], event["segment"]))
                elif event["event"] == "failed":
                    raise SystemExit(event["message"])
    took = time.perf_counter() - began
    segments = {segment for *_, segment in seen}
    starts = sorted(min(time for time, _, one in seen if one == segment) for segment in segments)
    ends = sorted(max(time for time, _, one in seen if one == segment) for segment in segments)
    window = [(time, done) for time, done, _ in seen if starts[cores - 1] <= time <= ends[-cores]]
    return took, (window[-1][0] - window[0][0]) / (window[-1][1] - window[0][1])


def workers(arguments: argparse.Namespace) -> None:
    """Print how much faster two workers of one thread are than one."""
    rows: dict[str, list[tuple[float, float]]] = {"cpu": [], "cpu:2": []}
    for _ in range(arguments.rounds):
        for device, found in rows.items():
            found.append(timed_job(arguments, device, len(rows) if device == "cpu:2" else 1))
    print("| | whole command, s | a frame while all work, s |\n|---|---|---|")
    best = {}
    for device, found in rows.items():
        best[device] = [statistics.median(column) for column in zip(*found, strict=True)]
        print(f"| {device}, a core and a thread each | {best[device][0]:.1f} | {best[device][1]:.3f} |")
    ratios = [one / two for one, two in zip(best["cpu"], best["cpu:2"], strict=True)]
    print(f"| ratio | {ratios[0]:.2f} | {ratios[1]:.2f} |")


class Sleeper:
    """A worker without a network."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def frames(self) -> tuple[int, int]:
        return -1, 0

    def begin(self, work: object, number: int) -> tuple[str, int]:
        return f"ready {number}", 0

    def do(self, number: int) -> tuple[str, int]:
        time.sleep(self._seconds)
        return f"done {number}", 0


class Sleepers(RayHands):
    """Ray's workers, which sleep."""

    def __init__(self, count: int, seconds: float) -> None:
        super().__init__(Options(device="cpu"), None, count)
        self._seconds = seconds

    def start(self, number: int) -> RayHand:
        """Start one."""
        node = self._ray.remote(num_cpus=1, max_restarts=0, concurrency_groups={"asks": 1})(Sleeper)
        return RayHand(node.remote(self._seconds), f"sleeper {number}")

    def wait(self, hands: Sequence[RayHand]) -> Iterator[tuple[RayHand, Answer]]:
        """Yield answers as those of real workers."""
        for hand, answer in super().wait(hands):
            kind, _, number = str(answer).partition(" ")
            done = Done(Made(SegmentReport(pts=[0]), ""), PredictReport("", ""))
            yield hand, answer if isinstance(answer, Frames) else Ready(int(number)) if kind == "ready" else done


class NoMeter:
    """Counts nothing."""

    def frame(self, segment: int) -> None:
        """Take note of a frame."""

    def lost(self, segment: int) -> None:
        """Take note of a loss."""


def overhead(arguments: argparse.Namespace) -> None:
    """Print what it costs to hand out segments to many workers."""
    import ray

    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray.init(num_cpus=arguments.workers, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    sleepers = Sleepers(arguments.workers, arguments.seconds)
    hands = [sleepers.start(number) for number in range(arguments.workers)]
    meter: Any = NoMeter()
    nothing: Any = None

    def run(count: int) -> float:
        segments = [Segment(number, Span()) for number in range(count)]
        began = time.perf_counter()
        done = list(Deal(sleepers, list(hands), meter, print).done(nothing, segments))
        assert len(done) == count
        return time.perf_counter() - began

    run(arguments.workers)  # until all processes are there
    took = run(arguments.segments)
    least = arguments.seconds * -(-arguments.segments // arguments.workers)
    each = 1e3 * (took - least) / arguments.segments
    print(f"{arguments.segments} segments of {arguments.seconds:g} s asleep, {arguments.workers} workers: {took:.2f} s")
    print(f"that is {took - least:.2f} s ({took / least - 1:.1%}) more than {least:.2f} s, {each:.1f} ms a segment")
    ray.shutdown()


def main() -> None:
    """Measure what the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    kinds = parser.add_subparsers(required=True)
    one = kinds.add_parser("workers")
    one.add_argument("clip", type=Path)
    one.add_argument("--end", type=float, default=4)
    one.add_argument("--model", default="talk")
    one.add_argument("--size", default="")
    one.add_argument("--to", default="prores")
    one.add_argument("--rounds", type=int, default=1)
    one.set_defaults(run=workers)
    two = kinds.add_parser("overhead")
    two.add_argument("--workers", type=int, default=64)
    two.add_argument("--segments", type=int, default=640)
    two.add_argument("--seconds", type=float, default=1)
    two.set_defaults(run=overhead)
    arguments = parser.parse_args()
    arguments.run(arguments)


if __name__ == "__main__":
    main()
