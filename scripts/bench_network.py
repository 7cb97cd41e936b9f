#!/usr/bin/env python
"""Measure the network: seconds, multiplications, memory and parity of the published code, ours plain and ours fused.

    python scripts/bench_network.py --model lite --published FOLDER [--openvino] [--threads 2] [--repeats 5]
    python scripts/bench_network.py --model lite --only "fused fp32" --busy 1 --spins 0 --spins 1000 --turns-only
    python scripts/bench_network.py --model lite --nobg --onnx --only "plain fp32" --only "nobg fp32" --only "onnx fp32"

FOLDER is a checkout of github.com/ZhengPeng7/BiRefNet, whose code runs as it is; it needs torchvision, timm, kornia and
einops. --nobg needs the package nobg and torchvision, --onnx the packages of the dev extra. All sides have the weights
of the parity tests (talk: its own), a process each, and take turns frame by frame (A B C A B C); medians are printed. A
side that cannot run is listed with the reason. Ratios need the published one. --busy measures them beside other
work, --spins with another setting of how long OpenMP's threads wait awake for each other (GNU's OpenMP only).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import av
import numpy as np
import torch
from benchmarks.busy import busy
from benchmarks.networks import BACKBONES, NotRunError, Setup, Side, default_size
from benchmarks.worker import Memory, Turn, Worker
from numpy.typing import NDArray
from torch import Tensor

from birefvideo.matting.slots import IMAGENET_MEAN, IMAGENET_STD

SAMPLE = Path(__file__).resolve().parent.parent / "samples" / "talking_head.mp4"
SOURCE = (1280, 720)
"""Width and height of the picture that decides the size where a model keeps the aspect."""


@dataclass
class Result:
    """The measurements of one side."""

    side: Side
    turns: list[Turn] = field(default_factory=list)
    memory: Memory | None = None
    macs: float = 0
    """Of one frame; 0 where they cannot be counted."""
    logits: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    """By the frame's name."""

    @property
    def seconds(self) -> float:
        return statistics.median(turn.seconds for turn in self.turns)

    @property
    def cpu_seconds(self) -> float:
        return statistics.median(turn.cpu_seconds for turn in self.turns)


@dataclass(frozen=True)
class Parity:
    """How far one side's result is from another's."""

    max_logit: float
    rms: float
    """Root mean square of the difference over that of the logits."""
    alpha_mean: float
    """Of |Δα|; the logits of untrained weights are shifted to zero median, so that alpha is nowhere saturated."""
    alpha_p999: float
    alpha_max: float


def noise_frame(width: int, height: int) -> Tensor:
    return torch.randn(1, 3, height, width, generator=torch.Generator().manual_seed(height * 10000 + width))


def video_frame(path: Path, width: int, height: int) -> Tensor:
    """Read the first frame of a video or picture at that size, normalised."""
    with av.open(str(path)) as container:
        picture = next(container.decode(video=0))
    pixels = picture.to_ndarray(width=width, height=height, format="rgb24").astype(np.float32) / 255
    normal = (pixels - np.array(IMAGENET_MEAN, np.float32)) / np.array(IMAGENET_STD, np.float32)
    return torch.from_numpy(normal.transpose(2, 0, 1).copy()).unsqueeze(0)


def choose_sides(model: str, device: str, more: list[str], only: list[str]) -> list[Side]:
    gpu = device != "cpu"
    dtypes = ["fp32", "bf16", "fp16"] if gpu else ["fp32", "bf16"]
    sides = [Side("published", dtype) for dtype in (("fp32", "fp16") if gpu else ("fp32",))]
    sides += [Side("plain", dtype) for dtype in (dtypes if gpu or model not in BACKBONES else ["fp32"])]
    sides += [Side("fused", dtype) for dtype in dtypes]
    sides += [Side("lanes", dtype) for dtype in dtypes if model not in BACKBONES and not gpu]
    sides += [Side(kind) for kind in more if kind != "openvino"]
    if "openvino" in more:
        sides += [Side("openvino", "fp32"), Side("openvino", "bf16")]
    exact = [Side(kind, "fp64") for kind in ("plain", "published", "nobg")]  # parity without rounding
    return [side for side in sides if not only or str(side) in only] + [side for side in exact if str(side) in only]


def measure(
    sides: list[Side], setup: Setup, frames: dict[str, Tensor], repeats: int, others: int, turns_only: bool
) -> list[Result]:
    """Measure every side: one frame for memory, one for multiplications unless `turns_only`, then frames in turns.

    Those in turns are computed beside `others` busy processes.
    """
    (first, noise), (second, natural) = frames.items()
    with ExitStack() as stack:
        workers = [stack.enter_context(Worker(side, setup)) for side in sides]  # they build at the same time
        running: list[tuple[Worker, Result]] = []
        for worker in workers:
            try:
                worker.ask("ready")
            except NotRunError as error:
                name = "reference" if worker.side.kind == "published" else worker.side
                print(f"{name} not run: {error}", flush=True)
                continue
            running.append((worker, Result(worker.side)))
        for worker, result in running:
            result.memory, result.logits[first] = worker.ask("memory", noise)
            print(f"first frame: {result.side}", file=sys.stderr, flush=True)
            if not turns_only:
                result.macs, result.logits[second] = worker.ask("macs", natural)
        with busy(others):
            for i in range(repeats):
                for worker, result in running:
                    result.turns.append(worker.ask("turn", natural))
                    print(f"turn {i + 1}: {result.side} {result.turns[-1].seconds:.2f} s", file=sys.stderr, flush=True)
    return [result for _, result in running]


def compare(result: NDArray[np.float32], reference: NDArray[np.float32], trained: bool) -> Parity:
    difference = result - reference
    middle = 0.0 if trained else np.median(reference)
    alphas = [1 / (1 + np.exp(-(logits - middle).astype(np.float64))) for logits in (result, reference)]
    apart = np.abs(alphas[0] - alphas[1])
    rms = float(np.sqrt(np.mean(np.square(difference)) / np.mean(np.square(reference))))
    return Parity(
        float(np.abs(difference).max()), rms, apart.mean(), float(np.quantile(apart, 0.999)), float(apart.max())
    )


def print_speed(results: list[Result]) -> None:
    reference = next((r for r in results if r.side == Side("published")), None)
    print("\n| side | s/frame (fastest–slowest) | CPU s | fps | × published fp32 | GMACs | of published | peak MiB | "
          "over weights | of published |\n|---|---|---|---|---|---|---|---|---|---|")  # fmt: skip
    for result in results:
        times = [turn.seconds for turn in result.turns]
        cells = [str(result.side), f"{result.seconds:.3f} ({min(times):.3f}–{max(times):.3f})"]
        cells += [f"{result.cpu_seconds:.2f}", f"{1 / result.seconds:.2f}"]
        cells.append(f"{reference.seconds / result.seconds:.2f}" if reference else "")
        # OpenVINO's operations are out of the counter's sight.
        cells.append(f"{result.macs / 1e9:.1f}" if result.macs else "")
        cells.append(f"{result.macs / reference.macs:.2f}" if reference and reference.macs and result.macs else "")
        over = result.memory.peak - result.memory.before if result.memory else 0.0
        cells += [f"{result.memory.peak:.0f}", f"{over:.0f}"] if result.memory else ["", ""]
        same = reference is not None and reference.memory is not None and result.memory is not None
        cells.append(f"{result.memory.peak / reference.memory.peak:.2f}" if same else "")
        print(f"| {' | '.join(cells)} |")


def print_parity(results: list[Result], trained: bool) -> None:
    of_32, of_64 = (
        next((r for r in results if r.side in (Side("published", dtype), Side("plain", dtype)) and r.logits), None)
        for dtype in ("fp32", "fp64")
    )
    references = {id(r): (of_64 if r.side.dtype == "fp64" else of_32) for r in results}
    alpha = "alpha as it is" if trained else "alpha of logits shifted to zero median"
    print(f"\nAgainst {' and '.join(str(r.side) for r in (of_32, of_64) if r)}, {alpha}:\n")
    print("| side | frame | max Δlogit | relative RMS | α mean | α p99.9 | α max |")
    print("|---|---|---|---|---|---|---|")
    for result in results:
        for name, logits in result.logits.items():
            reference = references[id(result)]
            if reference is not None and result is not reference:
                p = compare(logits, reference.logits[name], trained)
                numbers = (
                    f"{p.max_logit:.1e} | {p.rms:.1e} | {p.alpha_mean:.1e} | {p.alpha_p999:.1e} | {p.alpha_max:.1e}"
                )
                print(f"| {result.side} | {name} | {numbers} |")


def as_json(results: list[Result], setup: Setup) -> str:
    rows = [
        {
            "side": str(r.side),
            "turns": [asdict(turn) for turn in r.turns],
            "memory_mib": asdict(r.memory) if r.memory else None,
            "macs": r.macs,
        }
        for r in results
    ]
    common = {key: str(value) if isinstance(value, Path) else value for key, value in asdict(setup).items()}
    return json.dumps({"setup": common, "torch": torch.__version__, "sides": rows}, indent=2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=("lite", "general", "talk"), default="lite")
    parser.add_argument("--published", type=Path, metavar="FOLDER", help="checkout of the published repository")
    parser.add_argument("--openvino", action="store_true", help="also OpenVINO's conversion of the published network")
    parser.add_argument("--onnx", action="store_true", help="also our plain network's ONNX export in onnxruntime")
    parser.add_argument("--nobg", action="store_true", help="also the independent package nobg")
    parser.add_argument("--size", help="SIDE or WIDTHxHEIGHT (default: the model's own)")
    parser.add_argument("--device", default="cpu", help="cpu or cuda:N")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--repeats", type=int, default=5, help="turns; 0 measures parity only")
    parser.add_argument(
        "--only", action="append", default=[], metavar="SIDE", help="measure this side, as in 'fused bf16'"
    )
    parser.add_argument(
        "--turns-only", action="store_true", help="skip the count of multiplications and the natural frame"
    )
    parser.add_argument("--busy", type=int, default=0, metavar="N", help="keep N other processes busy meanwhile")
    parser.add_argument(
        "--spins", action="append", type=int, metavar="COUNT", help="measure the sides with this GOMP_SPINCOUNT"
    )
    parser.add_argument("--frame", type=Path, default=SAMPLE, help="video or picture of the natural frame")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to this file as well")
    options = parser.parse_args()
    width, height = default_size(options.model, *SOURCE)
    if options.size:
        width, height = (int(side) for side in (options.size.split("x") * 2)[:2])
    setup = Setup(options.model, (width, height), options.device, options.threads, options.published)
    frames = {"noise": noise_frame(width, height), "natural": video_frame(options.frame, width, height)}
    where = f"{options.threads} threads" if options.device == "cpu" else torch.cuda.get_device_name(options.device)
    machine = platform.processor() or platform.machine()
    print(
        f"{options.model} at {width}×{height}, {where}, {machine}, torch {torch.__version__}, {options.repeats} turns"
        + (f" beside {options.busy} busy processes" if options.busy else "")
    )
    more = [kind for kind in ("nobg", "onnx", "openvino") if getattr(options, kind)]
    sides = choose_sides(options.model, options.device, more, options.only)
    sides = [replace(side, spins=spins) for side in sides for spins in options.spins or [None]]
    results = measure(sides, setup, frames, options.repeats, options.busy, options.turns_only)
    if options.repeats:
        print_speed(results)
    print_parity(results, trained=options.model == "talk")
    if options.json:
        options.json.write_text(as_json(results, setup) + "\n")


if __name__ == "__main__":
    main()
