"""One side of a benchmark in its own process, so that its memory is counted alone; it runs a frame on request."""

from __future__ import annotations

import ctypes
import gc
import math
import multiprocessing
import os
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.networks import InLanes, Network, NotRunError, Setup, Side, build


@dataclass(frozen=True)
class Memory:
    """MiB: resident memory on a CPU, allocated memory on a GPU."""

    before: float
    """With the weights loaded, before the first frame."""
    peak: float
    """While it was computed."""


@dataclass(frozen=True)
class Turn:
    """One frame."""

    seconds: float
    """Wall time."""
    cpu_seconds: float
    """Of all threads."""


class Worker:
    """A process that computes frames on request; a context manager."""

    def __init__(self, side: Side, setup: Setup) -> None:
        self.side = side
        # What numpy and OpenMP read when they are loaded: the same number for every side.
        os.environ["OMP_NUM_THREADS"] = str(setup.threads)
        context = multiprocessing.get_context("spawn")
        self._end, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, side, setup), daemon=True)
        with _spinning(side.spins):
            self._process.start()
        theirs.close()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self._end.close()
        self._process.join()

    def ask(self, what: str, image: Tensor | None = None) -> Any:
        """Return the answer of a function in _ANSWERS; raise NotRunError if the side cannot run or broke."""
        try:
            self._end.send((what, None if image is None else image.numpy()))
            answer = self._end.recv()
        except (EOFError, ConnectionError) as error:
            raise NotRunError(f"{self.side} ended early: out of memory?") from error
        if isinstance(answer, Exception):
            raise answer
        return answer


@contextmanager
def _spinning(spins: int | None) -> Iterator[None]:
    """Let processes that are started in the block have this GOMP_SPINCOUNT; None leaves the caller's."""
    before = os.environ.get("GOMP_SPINCOUNT")
    if spins is not None:
        os.environ["GOMP_SPINCOUNT"] = str(spins)
    try:
        yield
    finally:
        os.environ.pop("GOMP_SPINCOUNT", None)
        if before is not None:
            os.environ["GOMP_SPINCOUNT"] = before


def _serve(end: Connection, side: Side, setup: Setup) -> None:
    network: Network | NotRunError
    try:
        network = build(side, setup)
    except NotRunError as error:
        network = error
    _give_back_memory()
    while True:
        try:
            what, image = end.recv()
        except EOFError:
            return
        if isinstance(network, NotRunError):
            end.send(network)
        elif what == "ready":
            end.send(True)
        else:
            end.send(_ANSWERS[what](network, torch.from_numpy(image), setup.device))


def _give_back_memory() -> None:
    """Give memory left over from building the network back, if the C library can: a frame would reuse it uncounted."""
    gc.collect()
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def _memory_and_logits(network: Network, image: Tensor, device: str) -> tuple[Memory | None, Any]:
    if device != "cpu":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        logits = network(image)
        return Memory(before / 2**20, torch.cuda.max_memory_allocated(device) / 2**20), logits.numpy()
    if not sys.platform.startswith("linux"):
        return None, network(image).numpy()
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from here, see proc(5)
    before = _status("VmRSS")
    logits = network(image)
    return Memory(before / 1024, _status("VmHWM") / 1024), logits.numpy()


def _status(entry: str) -> int:
    """Read a line of /proc/self/status, in KiB."""
    found = re.search(rf"{entry}:\s+(\d+)", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1])


def _macs_and_logits(network: Network, image: Tensor, _device: str) -> tuple[float, Any]:
    with counted_macs() as counter:
        logits = network(image)
    return counter.get_total_flops() / 2, logits.numpy()


def _turn(network: Network, image: Tensor, _device: str) -> Turn:
    # The logits come back to the CPU inside, so a GPU has finished.
    wall, cpu = time.perf_counter(), time.process_time()
    network(image)
    frames = network.frames if isinstance(network, InLanes) else 1
    return Turn((time.perf_counter() - wall) / frames, (time.process_time() - cpu) / frames)


_ANSWERS = {"memory": _memory_and_logits, "macs": _macs_and_logits, "turn": _turn}


@contextmanager
def counted_macs() -> Iterator[FlopCounterMode]:
    """Count the operations that run inside, two for each multiplication, by the same rules for every side.

    torch's rules for matrices and convolutions, and ours for what they leave out: attention on CPUs, deformable
    convolutions, and sampling, where a bilinear sample is four multiplications whichever operation takes it. Resizes
    and elementwise operations count nowhere.
    """
    aten = torch.ops.aten
    rules = {
        aten._scaled_dot_product_flash_attention_for_cpu: _attention,
        aten._embedding_bag: _embedding_bag,
        aten._embedding_bag_forward_only: _embedding_bag,
        aten.grid_sampler_2d: _grid_sample,
        aten._fft_r2c: _half_fft,
        aten._fft_c2r: _half_fft,
        aten._fft_c2c: _whole_fft,
        aten.bmm: _bmm,
    }
    if hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        rules[torch.ops.mkldnn._linear_pointwise] = _linear
    if hasattr(torch.ops.torchvision, "deform_conv2d"):
        rules[torch.ops.torchvision.deform_conv2d] = _deformable
    for rule in rules.values():
        rule._get_raw = True  # type: ignore[attr-defined]  # tensors, not shapes: complex numbers cost more
    with FlopCounterMode(display=False, custom_mapping=rules) as counter:
        yield counter


def _attention(q: Tensor, k: Tensor, v: Tensor, *_: Any, **__: Any) -> int:
    return 2 * q.shape[0] * q.shape[1] * q.shape[2] * k.shape[2] * (q.shape[3] + v.shape[3])


def _bmm(a: Tensor, b: Tensor, *_: Any, **__: Any) -> int:
    return 2 * a.numel() * b.shape[2] * (4 if a.is_complex() else 1)


def _linear(x: Tensor, *rest: Any, out_val: Tensor, **__: Any) -> int:
    return 2 * x.shape[-1] * out_val.numel()


def _embedding_bag(weight: Tensor, indices: Tensor, *_: Any, **__: Any) -> int:
    return 2 * indices.numel() * weight.shape[1]


def _grid_sample(*_: Any, out_val: Tensor, **__: Any) -> int:
    return 2 * 4 * out_val.numel()


def _deformable(x: Tensor, weight: Tensor, *_: Any, out_val: Tensor, **__: Any) -> int:
    pixels, per_pixel = out_val.numel() // weight.shape[0], weight[0].numel()
    return 2 * pixels * per_pixel * (weight.shape[0] + 4)


def _whole_fft(x: Tensor, dims: list[int], *_: Any, **__: Any) -> int:
    """5·n·log2(n) operations for n complex numbers, the customary figure."""
    size = math.prod(x.shape[d] for d in dims)
    return round(5 * x.numel() * math.log2(size))


def _half_fft(x: Tensor, dims: list[int], *_: Any, out_val: Tensor, **__: Any) -> int:
    """Half of it where one side is real."""
    real = out_val if x.is_complex() else x
    size = math.prod(real.shape[d] for d in dims)
    return round(2.5 * real.numel() * math.log2(size))
