#!/usr/bin/env python
"""Measure prediction on a GPU: the network alone, prediction from decoded pictures, and whole jobs.

    python scripts/bench_gpu.py [--model lite] [--model general] [--dtype float16] [--batch N] [--plain] [--compile]
    python scripts/bench_gpu.py --count                          # launches, FLOP and bytes on paper, without a GPU
    python scripts/bench_gpu.py --host                           # what a frame costs the host, without a GPU
    python scripts/bench_gpu.py --device cpu --size 256x256      # does this script work? Not a measurement

Weights are the benchmarks' own noise: speed does not depend on them. 'Busy' is the share of the wall time during which
the compute stream worked. The job is `birefvideo matte --to prores` on a clip of --picture size, all of it.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import av
import cv2
import torch
from bench_pipeline import SAMPLE, loop_clip
from benchmarks.count import Count, count
from benchmarks.networks import BACKBONES, default_size, our_model
from torch import nn

from birefvideo.errors import BirefvideoError
from birefvideo.family.variants import EMBEDDED
from birefvideo.frames import DecodedFrame, Span
from birefvideo.jobs.loaded_model import LoadedModel
from birefvideo.jobs.options import Options
from birefvideo.jobs.plan import plan_targets
from birefvideo.jobs.run import run
from birefvideo.matting.device_scaling import PictureScaling
from birefvideo.matting.devices import DTYPES, Device, find_device
from birefvideo.matting.engine import Engine
from birefvideo.matting.input_size import InputSize
from birefvideo.matting.network_input import PictureScaler
from birefvideo.matting.predict import Predictor
from birefvideo.matting.slots import DeviceSlot, HostSlot, PictureKind, Slot
from birefvideo.matting.streams import Backend, CudaBackend, SerialBackend, Stream
from birefvideo.media.reading.decode import read_frames
from birefvideo.media.reading.probe import probe
from birefvideo.network.fuse import fuse

MODELS = (*BACKBONES, "talk")
PUBLISHED = {"general": "57.7 ms on an RTX 4090, 69 ms on an A100 (fp16, batch 1, README of the published code)"}
META = torch.device("meta")


class TimedCuda(CudaBackend):
    """Records when the compute stream begins and ends each piece of work, by its own clock."""

    def __init__(self, device: torch.device) -> None:
        super().__init__(device)
        self._spans: list[tuple[torch.cuda.Event, torch.cuda.Event]] = []

    def run(self, stream: Stream, work: Callable[[], None]) -> None:
        if stream is not Stream.COMPUTE:
            super().run(stream, work)
            return
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))

        def timed() -> None:
            start.record()
            work()
            end.record()

        super().run(stream, timed)
        self._spans.append((start, end))

    def take_seconds(self) -> list[float]:
        """Return how long each piece of work took since the last call; wait for all of it."""
        torch.cuda.synchronize()
        seconds = [start.elapsed_time(end) / 1000 for start, end in self._spans]
        self._spans.clear()
        return seconds


class TimedSerial(SerialBackend):
    """The same where the host waits for all work."""

    def __init__(self, device: torch.device) -> None:
        super().__init__(device)
        self._seconds: list[float] = []

    def run(self, stream: Stream, work: Callable[[], None]) -> None:
        started = time.perf_counter()
        work()
        if stream is Stream.COMPUTE:
            self._seconds.append(time.perf_counter() - started)

    def take_seconds(self) -> list[float]:
        seconds, self._seconds = self._seconds, []
        return seconds


@dataclass(frozen=True)
class Row:
    """The measurements of one model."""

    model: str
    batch: int
    network: float
    """Seconds a frame: median over batches."""
    predict: float
    """Frames a second from decoded pictures to alpha at their size."""
    predict_busy: float
    """0 to 1."""
    job: float
    """Frames a second of a whole job."""
    job_busy: float
    """0 to 1."""
    note: str
    """Why the network was not captured, or ''."""


def network_of(name: str, options: argparse.Namespace) -> nn.Module:
    model = our_model(name)
    network: nn.Module = model if options.plain else fuse(model)
    return torch.compile(network) if options.compile else network  # type: ignore[return-value]


def network_size(name: str, options: argparse.Namespace) -> tuple[int, int]:
    width, height = sides(options.picture)
    return sides(options.size) if options.size else default_size(name, width, height)


def sides(text: str) -> tuple[int, int]:
    width, height = (int(side) for side in text.split("x"))
    return width, height


def time_network(engine: Engine, backend: Any, size: tuple[int, int], batch: int, rounds: int) -> float:
    """Seconds a frame of the network alone: pixels are on the device, logits stay there."""
    network = engine.network
    weight = next(network.parameters())
    pixels = torch.randn(batch, 3, size[1], size[0], device=weight.device, dtype=weight.dtype)
    pixels = pixels.contiguous(memory_format=torch.channels_last)
    repeat: list[Callable[[], object]] = []

    @torch.inference_mode()
    def plain() -> None:
        network(pixels)

    backend.run(Stream.COMPUTE, lambda: repeat.append(backend.capture(plain) or plain))
    for _ in range(rounds + 1):
        backend.run(Stream.COMPUTE, lambda: repeat[0]())
    return statistics.median(backend.take_seconds()[2:]) / batch


def timed_frames(run: Callable[[], int], backend: Any) -> tuple[float, float]:
    """Frames a second, and the share of the time in which the device computed."""
    backend.take_seconds()
    started = time.perf_counter()
    frames = run()
    wall = time.perf_counter() - started
    return frames / wall, sum(backend.take_seconds()) / wall


def whole_job(clip: Path, model: LoadedModel) -> int:
    targets = plan_targets(clip, clip.with_suffix(".mov"), ["prores"])
    return run(clip, targets, model.options, overwrite=True, receipts=False, load=lambda options: model).frames


def measure(name: str, options: argparse.Namespace, device: Device, clip: Path) -> Row:
    backend: Backend[Any] = (TimedCuda if device.kind.name == "cuda" else TimedSerial)(device.torch_device)
    size = network_size(name, options)
    dtype = device.dtype_called(options.dtype)
    engine = Engine(network_of(name, options), InputSize(fixed=size), device, dtype=dtype, backend=backend)
    pictures = list(islice(read_frames(probe(clip), Span()), 16))
    kind = PictureKind.of(pictures[0].picture)
    batch = options.batch or engine.batch_for(kind)
    network = time_network(engine, backend, size, batch, max(3, options.frames // batch // 2))

    def supply(frames: int) -> Iterator[DecodedFrame]:
        return islice(cycle(pictures), frames)

    predictor = Predictor(engine, batch)
    for _ in predictor.predict(supply(3 * batch)):  # warm up
        pass
    predict = timed_frames(lambda: sum(1 for _ in predictor.predict(supply(options.frames))), backend)
    # The weights that a job would load are exchanged for the benchmark's.
    model = LoadedModel(Options(model=EMBEDDED, size=size, device=options.device, dtype=options.dtype, batch=batch))
    model.engine = engine
    job = timed_frames(lambda: whole_job(clip, model), backend)
    return Row(name, batch, network, *predict, *job, predictor.report.not_captured)


def count_network(name: str, options: argparse.Namespace) -> tuple[Count, float]:
    """Return the counts of one frame, and the bytes of the weights."""
    network = network_of(name, options).to(META, torch.float16)
    width, height = network_size(name, options)
    pixels = torch.empty(options.batch or 1, 3, height, width, dtype=torch.float16, device=META)
    weights = sum(t.numel() * t.element_size() for t in (*network.parameters(), *network.buffers()))
    return count(lambda: network(pixels.contiguous(memory_format=torch.channels_last))), weights


def print_counts(options: argparse.Namespace) -> None:
    width, height = sides(options.picture)
    print(f"One batch of {options.batch or 1}, fp16, {'plain' if options.plain else 'fused'}, counted on paper\n")
    print("| | launches | GFLOP | GB read and written | weights, MB |\n|---|---|---|---|---|")
    for name in options.model:
        counted, weights = count_network(name, options)
        columns, rows = network_size(name, options)
        print(
            f"| {name} at {columns}×{rows} | {counted.launches} | {counted.flops / 1e9:.0f} | "
            f"{counted.bytes / 1e9:.2f} | {weights / 1e6:.0f} |"
        )
    size = network_size(options.model[0], options)
    kind = PictureKind(width, height, "yuv420p", hdr=False)
    scaling = PictureScaling(kind.shapes, kind.bits, size, META)
    planes = [torch.empty(1, *shape, dtype=torch.uint8, device=META) for shape in kind.shapes]
    colour, alpha = torch.empty(1, 3, 4, device=META), torch.empty(1, size[1], size[0], device=META)
    for what, work in (
        ("planes to RGB", lambda: scaling.rgb(planes, colour)),
        ("alpha to the picture", lambda: scaling.enlarged(alpha, planes[0])),
    ):
        counted = count(work)
        print(f"| {what}, {width}×{height} | {counted.launches} | 0 | {counted.bytes / 1e9:.2f} | |")


def print_host_costs(options: argparse.Namespace) -> None:
    """Milliseconds of one core a frame: the host scaling pictures and enlarging alpha, or only copying both."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    width, height = sides(options.picture)
    size = network_size(options.model[0], options)
    with av.open(str(SAMPLE)) as container:
        shown = next(container.decode(video=0))
    picture = shown.reformat(width, height, format="yuv420p", threads=1)
    frames = [DecodedFrame(picture, 0, Fraction(1), 1)]
    staging = SerialBackend(torch.device("cpu")).staging
    kind = PictureKind.of(picture)
    scaling = PictureScaling(kind.shapes, kind.bits, size, torch.device("cpu"))
    slots: dict[str, Slot] = {
        "host scales": HostSlot(1, size, PictureScaler(), staging, torch.device("cpu")),
        "device scales": DeviceSlot(1, kind, scaling, size, PictureScaler(), staging),
    }
    ramp = torch.linspace(0, 1, size[0]).expand(1, size[1], -1)
    print(f"Pictures {options.picture}, network {size[0]}×{size[1]}, one core\n")
    print("| | before the network, ms/frame | after it, ms/frame |\n|---|---|---|")
    for name, slot in slots.items():
        slot.keep(ramp)
        before = milliseconds(partial(slot.fill, frames))
        after = milliseconds(partial(slot.alpha, 0, picture))
        print(f"| {name} | {before:.2f} | {after:.2f} |")


def milliseconds(work: Callable[[], object]) -> float:
    """CPU time of one call: the median of 21, after one to warm up."""
    times = []
    for _ in range(22):
        started = time.thread_time()
        work()
        times.append(time.thread_time() - started)
    return 1000 * statistics.median(times[1:])


def print_rows(rows: list[Row]) -> None:
    print("| model | batch | network, ms/frame | predict, fps | busy | job, fps | busy | published |")
    print("|---|---|---|---|---|---|---|---|")
    for row in rows:
        print(
            f"| {row.model} | {row.batch} | {1000 * row.network:.1f} | {row.predict:.1f} | {row.predict_busy:.0%} | "
            f"{row.job:.1f} | {row.job_busy:.0%} | {PUBLISHED.get(row.model, '')} |"
        )
    for row in rows:
        if row.note:
            print(f"{row.model}: no CUDA graph ({row.note})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", action="append", choices=MODELS, help="repeatable (default: lite and general)")
    parser.add_argument("--size", metavar="WxH", help="size of the network's input (default: the model's own)")
    parser.add_argument("--picture", metavar="WxH", default="1920x1080", help="size of the clip")
    parser.add_argument("--frames", type=int, help="number of frames to predict (default: 240, on a CPU 4)")
    parser.add_argument("--batch", type=int, help="frames a batch (default: what the job would choose)")
    parser.add_argument("--dtype", choices=DTYPES, default="auto")
    parser.add_argument("--device", default="cuda", help="cuda, cuda:N, mps or cpu")
    parser.add_argument("--plain", action="store_true", help="run the network without its inference rewrites")
    parser.add_argument("--compile", action="store_true", help="use torch.compile")
    parser.add_argument("--count", action="store_true", help="count operations and bytes without measuring")
    parser.add_argument("--host", action="store_true", help="measure only what a frame costs the host")
    options = parser.parse_args()
    options.model = options.model or list(BACKBONES)
    if options.count or options.host:
        (print_counts if options.count else print_host_costs)(options)
        return
    try:
        device = find_device(options.device)
        dtype = device.dtype_called(options.dtype)
    except BirefvideoError as error:
        sys.exit(f"bench_gpu: {error}; --device cpu --size 256x256 only tries the script out")
    options.frames = options.frames or (4 if device.kind.name == "cpu" else 240)
    where = device.name
    print(f"{where}, torch {torch.__version__}, {dtype}, pictures {options.picture}\n", flush=True)
    with tempfile.TemporaryDirectory() as name:
        clip = Path(name) / "clip.mp4"
        loop_clip(SAMPLE, clip, sides(options.picture), float(options.frames / probe(SAMPLE).rate))
        print_rows([measure(model, options, device, clip) for model in options.model])


if __name__ == "__main__":
    main()
