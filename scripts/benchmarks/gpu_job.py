"""Whole jobs and prediction on a device: frames a second, and the share of the time in which the device computed."""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import av
import torch
from torch import nn

from benchmarks.networks import default_size, our_model
from birefvideo.family.variants import EMBEDDED
from birefvideo.frames import DecodedFrame, Span
from birefvideo.jobs.delivery import Delivery
from birefvideo.jobs.loaded_model import LoadedModel
from birefvideo.jobs.options import Options
from birefvideo.jobs.plan import plan_targets
from birefvideo.jobs.run import run
from birefvideo.matting.devices import Device
from birefvideo.matting.engine import Engine
from birefvideo.matting.input_size import InputSize
from birefvideo.matting.predict import Predictor
from birefvideo.matting.slots import PictureKind
from birefvideo.matting.streams import Backend, CudaBackend, SerialBackend, Stream
from birefvideo.media.reading.decode import read_frames
from birefvideo.media.reading.probe import probe
from birefvideo.network.fuse import fuse

PUBLISHED = {"general": "57.7 ms on an RTX 4090, 69 ms on an A100 (fp16, batch 1, README of the published code)"}


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
    """The network's form, and why it was not captured; or ''."""


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
    backend.follow()
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
    delivery = Delivery(overwrite=True, receipts=False)
    return run(clip, targets, model.options, delivery, load=lambda options: model).frames


def refused(predictor: Predictor) -> str:
    why = predictor.report.not_captured
    return f"no CUDA graph ({why})" if why else ""


def first_frame(name: str, options: argparse.Namespace, device: Device) -> dict[str, float]:
    """Seconds to load a network, to its first frame, and to the first frame of the next clip, in this process."""
    model, size = our_model(name), network_size(name, options)
    picture = av.VideoFrame(*sides(options.picture), "yuv420p")
    for plane in picture.planes:
        plane.update(bytes([128]) * plane.buffer_size)
    began = time.perf_counter()
    engine = Engine(model, InputSize(fixed=size), device, dtype=device.dtype_called(options.dtype))
    times = [time.perf_counter()]
    for _ in range(2):
        frames = (DecodedFrame(picture, pts, Fraction(1, 25), 1) for pts in range(100))
        next(iter(Predictor(engine, options.batch).predict(frames)))
        times.append(time.perf_counter())
    seconds = [end - start for start, end in zip([began, *times], times, strict=False)]
    return dict(zip(("load_s", "first_s", "next_s"), (round(s, 2) for s in seconds), strict=True))


def engine_for(name: str, options: argparse.Namespace, device: Device) -> Engine:
    """Return an Engine for a model with the benchmark's weights, whose backend tells how long the device computed."""
    backend: Backend[Any] = (TimedCuda if device.kind.name == "cuda" else TimedSerial)(device.torch_device)
    dtype = device.dtype_called(options.dtype)
    fused = not (options.plain or options.compile)
    model: nn.Module = our_model(name)
    if options.compile:
        model = torch.compile(model if options.plain else fuse(our_model(name)))  # type: ignore[assignment]
    size = InputSize(fixed=network_size(name, options))
    return Engine(model, size, device, dtype=dtype, backend=backend, fused=fused)


def measure(name: str, engine: Engine, options: argparse.Namespace, clip: Path) -> Row:
    """Measure the network alone, prediction of a clip's pictures, and a whole job on it."""
    backend, size = engine.backend, network_size(name, options)
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
    loaded = LoadedModel(Options(model=EMBEDDED, size=size, device=options.device, dtype=options.dtype, batch=batch))
    loaded.engine = engine
    job = timed_frames(lambda: whole_job(clip, loaded), backend)
    return Row(name, batch, network, *predict, *job, "; ".join(filter(None, (engine.form, refused(predictor)))))


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
            print(f"{row.model}: {row.note}")
