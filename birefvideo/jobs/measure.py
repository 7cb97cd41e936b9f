"""Measuring how long a model takes for a frame on this machine, and how much memory, in a process of its own."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import torch

from birefvideo.errors import DeviceError, ModelError
from birefvideo.family.costs import memory_of
from birefvideo.family.measured import PICTURE, Measured, keep, this_device
from birefvideo.family.native_size import native_size
from birefvideo.family.variants import Variant, variant
from birefvideo.frames import DecodedFrame
from birefvideo.memory import check_memory

_SECONDS = 3.0
"""How long frames are timed, after those of the first batch, which are slower."""
_FRAMES = 2
"""Frames that are timed at least."""


def measure(name: str) -> Measured:
    """Measure a model on what 'auto' computes on here, and keep the result.

    Without its weights, a network of the same shape is measured: how fast it is does not depend on them.

    Raises:
        OptionError: there is no such model.
        ModelError: its shape is not known, or there is not memory enough.
        BirefvideoError: the device fails.
    """
    row = variant(name)
    if needed := memory_of(row):
        check_memory(needed, f"{row.name}'s frames", "close programs, or choose a smaller model", ModelError)
    # A process of its own: its peak of memory is this network's alone.
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        try:
            found = pool.submit(measured_here, row).result()
        except BrokenProcessPool as error:
            raise ModelError(f"the system ended the measuring of {row.name}: memory may not suffice for it") from error
    keep(row.name, found)
    return found


def _load_of_others() -> bool:
    """Return whether more is at work than our own threads, so that a measurement is too slow."""
    try:
        return os.getloadavg()[0] > 1.5 * (os.cpu_count() or 1) + 1
    except (AttributeError, OSError):  # Windows
        return False


def measured_here(row: Variant) -> Measured:
    """Measure a model in this process."""
    from birefvideo.family import checkpoints
    from birefvideo.family.empty_network import random_network
    from birefvideo.matting.devices import find_device
    from birefvideo.matting.engine import Engine
    from birefvideo.matting.predict import Predictor

    checkpoint = checkpoints.stored(row)
    if checkpoint:
        network, size = checkpoints.load(checkpoint), checkpoint.size
    elif row.backbone:
        network, size = random_network(row.backbone), native_size(row)
    else:
        raise ModelError(f"the shape of {row.name} is known from its weights only: get them first")
    device = find_device()
    engine = Engine(network, size, device)
    del network  # as in a job, the engine's own copy is left
    predictor = Predictor(engine)
    frames = predictor.predict(_frames())
    next(frames)
    for _ in range((predictor.report.batch or 1) - 1):
        next(frames)
    started, done = time.perf_counter(), 0
    while done < _FRAMES or time.perf_counter() - started < _SECONDS:
        next(frames)
        done += 1
    seconds = (time.perf_counter() - started) / done
    frames.close()  # type: ignore[attr-defined]
    if predictor.report.size is None:
        raise DeviceError("no frame was computed")
    words, threads = this_device()
    return Measured(
        seconds=round(seconds, 4),
        memory=_peak_on_gpu() if device.kind.name == "cuda" else _peak_of_process(),
        size=predictor.report.size,
        dtype=engine.dtype,
        device=words,
        threads=threads,
        own_weights=checkpoint is not None,
        busy=_load_of_others(),
    )


def _frames() -> Iterator[DecodedFrame]:
    """Yield the same picture, of noise, for ever."""
    width, height = PICTURE
    codes = np.random.default_rng(0).integers(16, 235, (height * 3 // 2, width), np.uint8)
    picture = av.VideoFrame.from_ndarray(codes, format="yuv420p")
    for number in itertools.count():
        yield DecodedFrame(picture, number, Fraction(1, 25), 0)


def _peak_on_gpu() -> int:
    return int(torch.cuda.max_memory_allocated())


def _peak_of_process() -> int:
    """Return the most bytes that this process has held, or 0 where the system does not say."""
    try:  # not getrusage: on Linux that begins with what the parent held
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        pass
    try:
        import resource
    except ImportError:  # Windows
        return 0
    return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)  # bytes on macOS
