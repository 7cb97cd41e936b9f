"""What a measuring run on a GPU times with: networks placed on the device, and a clock for the work that they queue."""

from __future__ import annotations

import argparse
import copy
import importlib.util
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.gpu_job import network_size
from benchmarks.networks import BACKBONES, our_model
from birefvideo.matting.devices import Device
from birefvideo.matting.streams import Stream
from birefvideo.network.fuse import fuse


class Meter:
    """Times work on one device, queued where a job would queue it."""

    def __init__(self, device: Device, options: argparse.Namespace) -> None:
        self.device, self.options = device, options
        self.cuda = device.kind.name == "cuda"
        self.place = device.torch_device
        self.backend = device.backend()
        self.half = torch.float16 if self.cuda else torch.float32
        self._made: dict[tuple[str, ...], Any] = {}
        """Networks, by what they were made from: fusing a large one takes seconds, and there is room for all."""

    def sync(self) -> None:
        """Wait for the device."""
        if self.cuda:
            torch.cuda.synchronize()

    def on_stream(self, work: Callable[[], Any]) -> Any:
        """Do work where a job would, and wait for it; return what it returns."""
        results: list[Any] = []

        @torch.inference_mode()
        def noted() -> None:
            results.append(work())

        self.backend.follow()
        self.backend.run(Stream.COMPUTE, noted)
        self.backend.host_wait(self.backend.record(Stream.COMPUTE))
        return results[0]

    def timed(self, work: Callable[[], object], repeats: int = 15) -> dict[str, float]:
        """Milliseconds of one call by the device's clock, median and least, and what the host took to hand it over."""
        before, repeats = (2, repeats) if self.cuda else (0, 1)
        spans = [self._once(work) for _ in range(before + repeats)][before:]
        times, host = zip(*spans, strict=True)
        ms = {"ms": statistics.median(times), "least": min(times), "host_ms": statistics.median(host)}
        return {name: round(value, 3) for name, value in ms.items()}

    def _once(self, work: Callable[[], object]) -> tuple[float, float]:
        self.sync()  # pixels and weights may be on their way
        began = time.perf_counter()
        if not self.cuda:
            self.on_stream(work)
            took = 1000 * (time.perf_counter() - began)
            return took, took
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))

        @torch.inference_mode()
        def spanned() -> None:
            start.record()
            work()
            end.record()

        self.backend.run(Stream.COMPUTE, spanned)
        handed = 1000 * (time.perf_counter() - began)
        self.sync()
        return start.elapsed_time(end), handed

    def graphed(self, work: Callable[[], object]) -> Callable[[], object]:
        """Return what repeats `work` as one launch, or `work` itself where there are no graphs.

        Raises:
            RuntimeError: the device refuses.
        """
        repeat = self.on_stream(lambda: self.backend.capture(lambda: (work(), None)[1]))
        if self.cuda and repeat is None:
            refusal = self.backend.not_captured
            self.backend = self.device.backend()  # which has not been refused anything yet
            raise RuntimeError(f"not captured: {refusal}")
        return repeat or work

    def peak_mib(self, work: Callable[[], object]) -> int:
        """Return the memory in use at the peak of `work`, the networks that are kept included."""
        if not self.cuda:
            return 0
        torch.cuda.reset_peak_memory_stats()
        self.on_stream(work)
        return torch.cuda.max_memory_allocated() >> 20

    def forms(self) -> tuple[str, ...]:
        """Return the names of the forms that run here, the fastest first."""
        kernels = self.cuda and importlib.util.find_spec("triton")
        return ("kernels", "fused", "plain") if kernels else ("fused", "plain")

    def placed(self, name: str, form: str, dtype: torch.dtype) -> nn.Module:
        """Return a network in one form on the device, laid out as the Engine does."""
        key = (BACKBONES.get(name, name), form, str(dtype))
        if key not in self._made:
            self._made[key] = self._laid_out(copy.deepcopy(self._whole(key[0], name, form)), dtype)
        placed: nn.Module = self._made[key]
        return placed

    def _laid_out(self, model: Any, dtype: torch.dtype) -> nn.Module:
        model = model.to(self.place, dtype)
        for part in model.modules():
            if isinstance(part, nn.Conv2d):
                part.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        placed: nn.Module = model
        return placed

    def _whole(self, backbone: str, name: str, form: str) -> Any:
        """Return the network in one form, in fp32 on the device."""
        key = (backbone, form)
        if form == "plain" and key not in self._made:
            self._made[key] = our_model(name).eval().requires_grad_(False)
        if key not in self._made:
            plain = self._whole(backbone, name, "plain")
            if form == "kernels":
                from birefvideo.network.gpu import GPU_PARTS

                self._made[key] = fuse(plain, GPU_PARTS).to(self.place)
            else:
                self._made[key] = fuse(plain).to(self.place)
        return self._made[key]

    def image(self, name: str, batch: int, dtype: torch.dtype) -> Tensor:
        """Smooth shapes with grain, the same every time."""
        width, height = network_size(name, self.options)
        generator = torch.Generator().manual_seed(7)
        shapes = F.interpolate(torch.randn(batch, 3, 16, 16, generator=generator), size=(height, width), mode="bicubic")
        pixels = shapes + 0.3 * torch.randn(shapes.shape, generator=generator)
        return pixels.to(self.place, dtype).contiguous(memory_format=torch.channels_last)


def difference(logits: Tensor, wanted: Tensor) -> dict[str, Any]:
    """Relative RMS of the logits, and how far alpha is off."""
    middle = wanted.median()  # where the benchmark's noise as weights leaves nothing between 0 and 1
    off = (torch.sigmoid(logits - middle) - torch.sigmoid(wanted - middle)).abs()
    rms = float((logits - wanted).norm() / wanted.norm())
    values = {"rms": rms, "alpha_mean": float(off.mean()), "alpha_max": float(off.max())}
    return {**{k: float(f"{v:.3g}") for k, v in values.items()}, "finite": bool(logits.isfinite().all())}
