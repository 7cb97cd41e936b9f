"""The steps of a measuring run on a GPU: parity, network, pictures, whole jobs, kernels, rivals."""

from __future__ import annotations

import argparse
import copy
import importlib.util
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.clock import Clock
from benchmarks.gpu_job import measure, network_size, sides
from benchmarks.networks import our_model
from birefvideo.matting.device_scaling import PictureScaling
from birefvideo.matting.devices import Device
from birefvideo.matting.slots import PictureKind
from birefvideo.matting.streams import Stream
from birefvideo.network.fuse import fuse

HALVES = {"float16": torch.float16, "bfloat16": torch.bfloat16}
BATCHES = (1, 2, 4, 8)


class Bench:
    """Measures on one device, and notes each figure at once."""

    def __init__(self, clock: Clock, device: Device, options: argparse.Namespace) -> None:
        self.clock, self.device, self.options = clock, device, options
        self.cuda = device.kind.name == "cuda"
        self.backend = device.backend()
        self.half = torch.float16 if self.cuda else torch.float32
        self._plain: dict[str, nn.Module] = {}

    def run(self) -> None:
        """Do all steps: what matters most comes first."""
        for name, needs, work in (
            ("machine", 0, self.machine),
            ("tests", 60, self.tests),
            ("parity", 40, self.parity),
            ("network", 40, self.network),
            ("pictures", 15, self.pictures),
            ("jobs", 60, self.jobs),
            ("batches", 30, self.batches),
            ("blocks", 20, self.blocks),
            ("kernels", 15, self.profile),
            ("rivals", 40, self.rivals),
        ):
            if not self.options.only or name in self.options.only:
                self.clock.step(name, min(needs, self.options.seconds / 4), work)
                if self.cuda:
                    torch.cuda.empty_cache()

    # Means

    def sync(self) -> None:
        if self.cuda:
            torch.cuda.synchronize()

    def on_stream(self, work: Callable[[], Any]) -> Any:
        """Do work where a job would, and wait for it; return what it returns."""
        results: list[Any] = []
        with torch.inference_mode():
            self.backend.run(Stream.COMPUTE, lambda: results.append(work()))
        self.sync()
        return results[0]

    def timed(self, work: Callable[[], object], repeats: int = 15) -> dict[str, float]:
        """Milliseconds of one call by the device's clock, median and least, and what the host took to hand it over."""
        repeats = repeats if self.cuda else 2
        times, host = [], []
        for number in range(repeats + 2):
            started = time.perf_counter()
            if self.cuda:
                start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))

                def spanned(start: Any = start, end: Any = end) -> None:
                    start.record()
                    work()
                    end.record()

                with torch.inference_mode():
                    self.backend.run(Stream.COMPUTE, spanned)
                handed = time.perf_counter() - started
                end.synchronize()
                took = start.elapsed_time(end)
            else:
                self.on_stream(work)
                handed = time.perf_counter() - started
                took = 1000 * handed
            if number >= 2:
                times.append(took)
                host.append(1000 * handed)
        ms = {"ms": statistics.median(times), "least": min(times), "host_ms": statistics.median(host)}
        return {name: round(value, 3) for name, value in ms.items()}

    def graphed(self, work: Callable[[], object]) -> Callable[[], object]:
        repeat = self.on_stream(lambda: self.backend.capture(lambda: (work(), None)[1]))
        if self.cuda and repeat is None:
            refusal = self.backend.not_captured
            self.backend = self.device.backend()  # which has not been refused anything yet
            raise RuntimeError(f"not captured: {refusal}")
        return repeat or work

    def plain(self, name: str) -> nn.Module:
        if name not in self._plain:
            self._plain[name] = our_model(name).eval().requires_grad_(False)
        return self._plain[name]

    def forms(self) -> tuple[str, ...]:
        return ("kernels", "fused", "plain") if self.cuda and importlib.util.find_spec("triton") else ("fused", "plain")

    def placed(self, name: str, form: str, dtype: torch.dtype) -> nn.Module:
        """Return a network in one form on the device, laid out as the Engine does."""
        model: Any = self.plain(name)
        if form == "kernels":
            from birefvideo.network.gpu import GPU_PARTS

            model = fuse(model, GPU_PARTS)
        else:
            model = fuse(model) if form == "fused" else copy.deepcopy(model)
        model = model.to(self.device.torch_device, dtype)
        for part in model.modules():
            if isinstance(part, nn.Conv2d):
                part.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        placed: nn.Module = model
        return placed

    def image(self, name: str, batch: int, dtype: torch.dtype) -> Tensor:
        """Smooth shapes with grain, the same every time."""
        width, height = network_size(name, self.options)
        generator = torch.Generator().manual_seed(7)
        shapes = F.interpolate(torch.randn(batch, 3, 16, 16, generator=generator), size=(height, width), mode="bicubic")
        pixels = shapes + 0.3 * torch.randn(shapes.shape, generator=generator)
        return pixels.to(self.device.torch_device, dtype).contiguous(memory_format=torch.channels_last)

    # Steps

    def machine(self) -> None:
        self.clock.note("machine", self.device.name, torch=torch.__version__)
        if not self.cuda:
            return
        card = torch.cuda.get_device_properties(self.device.torch_device)
        self.clock.note("machine", "card", processors=card.multi_processor_count, gib=card.total_memory >> 30)
        block = torch.empty(2**30, dtype=torch.uint8, device=self.device.torch_device)
        other = torch.empty_like(block)
        square = torch.randn(8192, 8192, device=self.device.torch_device, dtype=torch.float16)
        host = torch.empty(2**26, dtype=torch.uint8, pin_memory=True)
        copied = self.timed(lambda: other.copy_(block))["ms"]
        self.clock.note("machine", "memory", tb_a_second=round(2 * 2**30 / copied / 1e9, 2))
        product = self.timed(lambda: square @ square)["ms"]
        self.clock.note("machine", "fp16", tflops=round(2 * 8192**3 / product / 1e9))
        up = self.timed(lambda: block[: 2**26].copy_(host, non_blocking=True))["ms"]
        down = self.timed(lambda: host.copy_(block[: 2**26], non_blocking=True))["ms"]
        self.clock.note("machine", "bus, GB/s", up=round(2**26 / up / 1e6, 1), down=round(2**26 / down / 1e6, 1))

    def tests(self) -> None:
        command = [sys.executable, "-m", "pytest", "-m", "cuda", "-q", "--tb=short", "-p", "no:cacheprovider"]
        command += ["-o", "filterwarnings=default", "tests/test_streams.py"]  # warnings of another torch and numpy
        limit = max(20.0, min(120.0, self.clock.left() / 3))
        run = subprocess.run(command, capture_output=True, text=True, timeout=limit)
        (self.clock.folder / "pytest.txt").write_text(run.stdout + run.stderr)
        self.clock.note("tests", "pytest -m cuda", said=(run.stdout.strip().splitlines() or ["nothing"])[-1])

    def parity(self) -> None:
        """Each form and dtype against the plain network in full fp32 on the same device."""
        for name in self.options.model:
            pixels = self.image(name, 1, torch.float32)
            wanted = self.on_stream(partial(self.placed(name, "plain", torch.float32), pixels)).float()
            for form in self.forms():
                for dtype in (torch.float32, *(HALVES.values() if self.cuda else [torch.bfloat16])):
                    network = self.placed(name, form, dtype)
                    logits = self.on_stream(partial(network, pixels.to(dtype))).float()
                    self.clock.note("parity", f"{name} {form} {str(dtype)[6:]}", **difference(logits, wanted))

    def network(self) -> None:
        for name in self.options.model:
            for form in self.forms():
                self._network("network", name, form, 1)

    def batches(self) -> None:
        """Frames that fill the device: which batch takes the least for each."""
        for batch in BATCHES[1:]:
            for name in self.options.model:
                if self.clock.left() > 20:
                    self._network("batches", name, self.forms()[0], batch)

    def _network(self, step: str, name: str, form: str, batch: int) -> None:
        network, pixels = self.placed(name, form, self.half), self.image(name, batch, self.half)
        began = time.perf_counter()
        self.on_stream(partial(network, pixels))
        first = time.perf_counter() - began
        if self.cuda:
            torch.cuda.reset_peak_memory_stats()
        launched = self.timed(lambda: network(pixels), 5)
        peak = torch.cuda.max_memory_allocated() >> 20 if self.cuda else 0
        row = {"first_s": round(first, 2), "launched": launched["ms"], "host_ms": launched["host_ms"], "peak_mib": peak}
        try:
            graph = self.timed(self.graphed(lambda: network(pixels)))["ms"]
            row |= {"graph": graph, "graph_a_frame": round(graph / batch, 3)}
        finally:
            self.clock.note(step, f"{name} {form} batch {batch}", **row)

    def pictures(self) -> None:
        """From planes to the network's pixels, and from its alpha to the picture's."""
        width, height = network_size("lite", self.options)
        for picture in [self.options.picture] if not self.cuda else ["1920x1080", "3840x2160"]:
            kind = PictureKind(*sides(picture), "yuv420p", hdr=False)
            place = self.device.torch_device
            scaling = PictureScaling(kind.shapes, kind.bits, (width, height), place)
            planes = [torch.randint(0, 255, (1, *shape), dtype=torch.uint8, device=place) for shape in kind.shapes]
            colour, alpha = torch.rand(1, 3, 4, device=place), torch.rand(1, height, width, device=place)
            for what, work in (
                ("in", partial(scaling.rgb, planes, colour)),
                ("out", partial(scaling.enlarged, alpha, planes[0])),
            ):
                self.clock.note("pictures", f"{picture} {what}", **self.timed(self.graphed(work)))

    def jobs(self) -> None:
        """Prediction from decoded pictures, and whole jobs."""
        from bench_pipeline import SAMPLE, loop_clip

        from birefvideo.media.reading.probe import probe

        with tempfile.TemporaryDirectory() as name:
            for picture in [self.options.picture] if not self.cuda else ["1920x1080", "3840x2160"]:
                clip = Path(name) / f"{picture}.mp4"
                frames = self.options.frames if picture != "3840x2160" else self.options.frames // 3
                loop_clip(SAMPLE, clip, sides(picture), float(frames / probe(SAMPLE).rate))
                for model in self.options.model:
                    if self.clock.left() < min(40, self.options.seconds / 4):
                        return
                    options = argparse.Namespace(**{**vars(self.options), "picture": picture, "frames": frames})
                    row = measure(model, options, self.device, clip)
                    values = {k: round(v, 4) if isinstance(v, float) else v for k, v in vars(row).items()}
                    self.clock.note("jobs", f"{model} {picture}", **values)

    def blocks(self) -> None:
        """How attention and deformable sampling are best cut into programs."""
        if "kernels" not in self.forms():
            return
        from birefvideo.network import gpu

        before = gpu.QUERIES, gpu.KEYS, gpu.PIXELS
        try:
            for queries, keys, pixels in ((64, 64, 64), (64, 16, 64), (16, 16, 64), (128, 64, 64), (64, 64, 128)):
                gpu.QUERIES, gpu.KEYS, gpu.PIXELS = queries, keys, pixels
                for name in self.options.model:
                    if name != "talk" and self.clock.left() > 15:
                        network, image = self.placed(name, "kernels", self.half), self.image(name, 1, self.half)
                        ms = self.timed(self.graphed(partial(network, image)))["ms"]
                        self.clock.note("blocks", f"{name} {queries} queries {keys} keys {pixels} pixels", ms=ms)
        finally:
            gpu.QUERIES, gpu.KEYS, gpu.PIXELS = before

    def profile(self) -> None:
        """Tell what the time of one frame goes to, by kernel."""
        activity = torch.profiler.ProfilerActivity.CUDA if self.cuda else torch.profiler.ProfilerActivity.CPU
        key = "self_device_time_total" if self.cuda else "self_cpu_time_total"
        for name in self.options.model:
            network, pixels = self.placed(name, self.forms()[0], self.half), self.image(name, 1, self.half)
            self.on_stream(partial(network, pixels))
            with torch.profiler.profile(activities=[activity]) as seen:
                self.on_stream(partial(network, pixels))
            events = seen.key_averages()
            table = events.table(sort_by=key, row_limit=40, max_name_column_width=90)
            (self.clock.folder / f"kernels_{name}.txt").write_text(table)
            for event in sorted(events, key=lambda e: -getattr(e, key))[:10]:
                ms = round(getattr(event, key) / 1000, 3)
                self.clock.note("kernels", f"{name}: {event.key[:60]}", count=event.count, ms=ms)

    def rivals(self) -> None:
        """torch.compile of the plain network: a minute or more each, so last."""
        if not self.cuda:
            return
        for name in self.options.model:
            if self.clock.left() < 60:
                self.clock.note("rivals", f"{name} compiled", skipped="no time left")
                continue
            network: Any = torch.compile(self.placed(name, "plain", self.half))
            pixels = self.image(name, 1, self.half)
            began = time.perf_counter()
            self.on_stream(partial(network, pixels))
            first = round(time.perf_counter() - began, 1)
            graph = self.timed(self.graphed(partial(network, pixels)))["ms"]
            self.clock.note("rivals", f"{name} plain compiled", first_s=first, graph=graph)


def difference(logits: Tensor, wanted: Tensor) -> dict[str, Any]:
    """Relative RMS of the logits, and how far alpha is off."""
    middle = wanted.median()  # where the benchmark's noise as weights leaves nothing between 0 and 1
    off = (torch.sigmoid(logits - middle) - torch.sigmoid(wanted - middle)).abs()
    rms = float((logits - wanted).norm() / wanted.norm())
    values = {"rms": rms, "alpha_mean": float(off.mean()), "alpha_max": float(off.max())}
    return {**{k: float(f"{v:.3g}") for k, v in values.items()}, "finite": bool(logits.isfinite().all())}
