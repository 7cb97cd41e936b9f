"""The steps of a measuring run on a GPU: parity, network, pictures, whole jobs, kernels, rivals."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks.clock import Clock
from benchmarks.gpu_job import engine_for, measure, network_size, sides
from benchmarks.gpu_meter import Meter, difference
from benchmarks.gpu_rivals import compiled, onnx_rivals
from birefvideo.matting.device_scaling import PictureScaling
from birefvideo.matting.devices import Device
from birefvideo.matting.engine import Engine
from birefvideo.matting.slots import PictureKind

HALVES = (torch.float16, torch.bfloat16)
BATCHES = (2, 4, 8)
CUTS = ((64, 64, 64, 1), (64, 32, 64, 1), (32, 64, 64, 1), (16, 16, 64, 1), (64, 32, 32, 1), (64, 32, 64, 2))
"""Queries and keys of attention, pixels of deformable sampling, and rounds that loads are ahead, of one program."""
BLOCK, SIDE = 2**30, 8192
"""Bytes that are copied, and the side of the square matrices that are multiplied, to know the card."""


class Bench:
    """Measures on one device, and notes each figure at once."""

    def __init__(self, clock: Clock, device: Device, options: argparse.Namespace) -> None:
        self.clock, self.device, self.options = clock, device, options
        self.meter = Meter(device, options)
        self.cuda = self.meter.cuda
        self.pictures_of = ["1920x1080", "3840x2160"] if self.cuda and not options.dry else [options.picture]

    def run(self) -> None:
        """Do all steps, each within its seconds: what matters most comes first."""
        with self.clock.running():
            for name, seconds, work in (
                ("machine", 20, self.machine),
                ("tests", 100, self.tests),
                ("parity", 80, self.parity),
                ("network", 60, self.network),
                ("first", 60, self.first),
                ("pictures", 15, self.pictures),
                ("jobs", 90, self.jobs),
                ("batches", 40, self.batches),
                ("blocks", 40, self.blocks),
                ("kernels", 20, self.profile),
                ("rivals", 150, self.rivals),
            ):
                limit = 60 if self.options.dry else seconds  # a slow machine is no fault of the script
                if not self.options.only or name in self.options.only:
                    self.clock.step(name, min(limit, self.options.seconds / 2), work)

    def machine(self) -> None:
        """Tell what the card is, and how near it comes to its data sheet."""
        self.clock.note("machine", self.device.name, torch=torch.__version__, forms=self.meter.forms())
        if not self.cuda:
            return
        card = torch.cuda.get_device_properties(self.meter.place)
        self.clock.note("machine", "card", processors=card.multi_processor_count, gib=card.total_memory >> 30)
        block = torch.empty(BLOCK, dtype=torch.uint8, device=self.meter.place)
        other = torch.empty_like(block)
        square = torch.randn(SIDE, SIDE, device=self.meter.place, dtype=torch.float16)
        staging = self.meter.backend.staging((BLOCK // 16,), torch.uint8)
        timed = self.meter.timed
        copied = timed(lambda: other.copy_(block))["ms"]
        self.clock.note("machine", "memory", tb_a_second=round(2 * BLOCK / copied / 1e9, 2))
        product = timed(lambda: square @ square)["ms"]
        self.clock.note("machine", "fp16", tflops=round(2 * SIDE**3 / product / 1e9))
        up, down = timed(staging.upload)["ms"], timed(staging.download)["ms"]
        rates = {way: round(BLOCK / 16 / ms / 1e6, 1) for way, ms in (("up", up), ("down", down))}
        self.clock.note("machine", "bus, GB/s", **rates)

    def tests(self) -> None:
        """Run the tests that need a card."""
        command = [sys.executable, "-m", "pytest", "-m", "cuda", "-q", "--tb=short", "-p", "no:cacheprovider"]
        command += ["-o", "filterwarnings=default", "tests/test_streams.py"]  # warnings of another torch and numpy
        said = self.clock.folder / "pytest.txt"
        with said.open("w") as out:
            subprocess.run(command, stdout=out, stderr=subprocess.STDOUT, timeout=self.clock.left(), check=False)
        lines = said.read_text().strip().splitlines()
        self.clock.note("tests", "pytest -m cuda", said=(lines or ["nothing"])[-1])

    def parity(self) -> None:
        """Compare each form and dtype with the plain network in full fp32 on the same device."""
        for name in self.options.model:
            pixels = self.meter.image(name, 1, torch.float32)
            wanted = self.meter.on_stream(partial(self.meter.placed(name, "plain", torch.float32), pixels)).float()

            def off(name: str, form: str, dtype: torch.dtype, pixels: Any = pixels, wanted: Any = wanted) -> Any:
                network = self.meter.placed(name, form, dtype)
                return difference(self.meter.on_stream(partial(network, pixels.to(dtype))).float(), wanted)

            for form in self.meter.forms():
                for dtype in (torch.float32, *(HALVES if self.cuda else HALVES[1:])):
                    self.clock.row("parity", f"{name} {form} {str(dtype)[6:]}", partial(off, name, form, dtype))

    def network(self) -> None:
        """Time the network alone, one picture: launched operation by operation, and as a graph."""
        for name in self.options.model:
            for form in self.meter.forms():
                self._network("network", name, form, 1)

    def batches(self) -> None:
        """Find which batch takes the least for each frame."""
        for batch in BATCHES[:1] if self.options.dry else BATCHES:
            for name in self.options.model:
                self._network("batches", name, self.meter.forms()[0], batch)

    def _network(self, step: str, name: str, form: str, batch: int) -> None:
        what = f"{name} {form} batch {batch}"

        def launched() -> dict[str, Any]:
            work = self._work(name, form, batch)
            began = time.perf_counter()
            self.meter.on_stream(work)
            first = round(time.perf_counter() - began, 2)
            peak = self.meter.peak_mib(work)
            took = self.meter.timed(work, 5)
            return {"first_s": first, "launched": took["ms"], "host_ms": took["host_ms"], "peak_mib": peak}

        def graph() -> dict[str, Any]:
            ms = self.meter.timed(self.meter.graphed(self._work(name, form, batch)))["ms"]
            return {"graph": ms, "graph_a_frame": round(ms / batch, 3)}

        self.clock.row(step, what, launched)
        self.clock.row(step, f"{what}, graph", graph)

    def _work(self, name: str, form: str, batch: int = 1) -> Callable[[], object]:
        half = self.meter.half
        return partial(self.meter.placed(name, form, half), self.meter.image(name, batch, half))

    def first(self) -> None:
        """Time loading and the first frame in a new process, with nothing compiled yet, and the next clip's."""
        for name in [name for name in self.options.model if name != "talk"] or self.options.model:
            self.clock.row("first", name, partial(self._first, name))

    def _first(self, name: str) -> dict[str, Any]:
        options = ["--first", name, "--device", self.options.device, "--picture", self.options.picture]
        options += ["--size", self.options.size] if self.options.size else []
        script = Path(sys.argv[0] if sys.argv[0].endswith("bench_gpu.py") else "scripts/bench_gpu.py")
        with tempfile.TemporaryDirectory() as cache:
            command = [sys.executable, str(script), *options]
            environment = {**os.environ, "TRITON_CACHE_DIR": cache}
            done = subprocess.run(command, capture_output=True, text=True, timeout=self.clock.left(), env=environment)
        if done.returncode:
            raise RuntimeError(done.stderr.strip().splitlines()[-1])
        values: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return values

    def pictures(self) -> None:
        """Time the way from planes to the network's pixels, and from its alpha to the picture's."""
        width, height = network_size(self.options.model[0], self.options)
        place = self.meter.place
        for picture in self.pictures_of:
            kind = PictureKind(*sides(picture), "yuv420p", hdr=False)
            scaling = PictureScaling(kind.shapes, kind.bits, (width, height), place)
            planes = [torch.randint(0, 255, (1, *shape), dtype=torch.uint8, device=place) for shape in kind.shapes]
            colour, alpha = torch.rand(1, 3, 4, device=place), torch.rand(1, height, width, device=place)
            work_in, work_out = partial(scaling.rgb, planes, colour), partial(scaling.enlarged, alpha, planes[0])
            for what, work in (("in", work_in), ("out", work_out)):
                graph = partial(self._graph, work)
                self.clock.row("pictures", f"{picture} {what}", graph)

    def _graph(self, work: Callable[[], object]) -> dict[str, float]:
        return self.meter.timed(self.meter.graphed(work))

    def jobs(self) -> None:
        """Time prediction from decoded pictures, and whole jobs."""
        from bench_pipeline import SAMPLE, loop_clip

        from birefvideo.media.reading.probe import probe

        frames = {picture: self.options.frames // (3 if picture == "3840x2160" else 1) for picture in self.pictures_of}

        def job(model: str, engines: list[Engine], picture: str, clip: Path) -> dict[str, Any]:
            engines[:] = engines or [engine_for(model, self.options, self.device)]
            options = argparse.Namespace(**{**vars(self.options), "picture": picture, "frames": frames[picture]})
            row = measure(model, engines[0], options, clip)
            return {k: round(v, 4) if isinstance(v, float) else v for k, v in vars(row).items()}

        with tempfile.TemporaryDirectory() as name:
            clips = {picture: Path(name) / f"{picture}.mp4" for picture in self.pictures_of}
            for picture, clip in clips.items():
                loop_clip(SAMPLE, clip, sides(picture), float(frames[picture] / probe(SAMPLE).rate))
            for model in self.options.model:
                engines: list[Engine] = []
                for picture, clip in clips.items():
                    self.clock.row("jobs", f"{model} {picture}", partial(job, model, engines, picture, clip))

    def blocks(self) -> None:
        """Find how attention and deformable sampling are best cut into programs."""
        if "kernels" not in self.meter.forms():
            return
        from birefvideo.network import gpu

        settings: tuple[dict[Any, Any], ...] = (gpu.CUTS, gpu.PIXELS, gpu.OPTIONS)
        before = [dict(values) for values in settings]
        try:
            for queries, keys, pixels, stages in CUTS:
                gpu.CUTS.update(dict.fromkeys(gpu.CUTS, (queries, keys)))
                gpu.PIXELS[2] = pixels
                gpu.OPTIONS["num_stages"] = stages
                what = f"{queries} queries, {keys} keys, {pixels} pixels, {stages} stages"
                for name in [name for name in self.options.model if name in ("lite", "general")]:
                    work = self._work(name, "kernels")
                    self.clock.row("blocks", f"{name} {what}", partial(self._graph, work))
        finally:
            for values, kept in zip(settings, before, strict=True):
                values.update(kept)

    def profile(self) -> None:
        """Tell what the time of one frame goes to, by kernel."""
        activity = torch.profiler.ProfilerActivity.CUDA if self.cuda else torch.profiler.ProfilerActivity.CPU
        key = "self_device_time_total" if self.cuda else "self_cpu_time_total"
        for name in self.options.model:
            work = self._work(name, self.meter.forms()[0])
            self.meter.on_stream(work)
            with torch.profiler.profile(activities=[activity]) as seen:
                self.meter.on_stream(work)
            events = seen.key_averages()
            table = events.table(sort_by=key, row_limit=40, max_name_column_width=90)
            (self.clock.folder / f"kernels_{name}.txt").write_text(table)
            for event in sorted(events, key=lambda e: -getattr(e, key))[:10]:
                ms = round(getattr(event, key) / 1000, 3)
                self.clock.note("kernels", f"{name}: {event.key[:60]}", count=event.count, ms=ms)

    def rivals(self) -> None:
        """Time what others make of the plain network: a minute or more each, so last."""
        for rival, measure_rival in (*onnx_rivals(), ("torch.compile", compiled)):
            for name in [name for name in self.options.model if name in ("lite", "general")]:
                what = f"{name} in {rival}"
                if isinstance(measure_rival, str):
                    self.clock.note("rivals", what, said=measure_rival)
                elif self.cuda or rival != "torch.compile":
                    self.clock.row("rivals", what, partial(measure_rival, self.meter, name))
