#!/usr/bin/env python
"""Measure prediction on a GPU: is it right, what do the network, pictures and whole jobs take; all of it under a clock.

    python scripts/bench_gpu.py [--seconds 400] [--out FOLDER]   # everything, to results.jsonl and table.md
    python scripts/bench_gpu.py --table [--model lite] [--plain] [--compile] [--batch N]   # prediction and jobs only
    python scripts/bench_gpu.py --count                          # launches, FLOP and bytes on paper, without a GPU
    python scripts/bench_gpu.py --host                           # what a frame costs the host, without a GPU
    python scripts/bench_gpu.py --dry [--device cpu]             # every step, tiny: does this script work here?

Weights are the benchmarks' own noise: speed does not depend on them. 'Busy' is the share of the wall time during which
the compute stream had work, gaps between launches included. A job is `birefvideo matte --to prores`, all of it.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

import torch
from benchmarks.clock import Clock
from benchmarks.gpu_job import engine_for, first_frame, measure, print_rows, sides
from benchmarks.gpu_steps import Bench
from benchmarks.networks import BACKBONES

from birefvideo.errors import BirefvideoError
from birefvideo.matting.devices import DTYPES, Device, find_device

MODELS = ("talk", *BACKBONES)
TINY = {"size": "64x64", "picture": "192x108", "frames": 4, "batch": 2}
"""What a dry run measures."""


def print_table(options: argparse.Namespace, device: Device) -> None:
    from bench_pipeline import SAMPLE, loop_clip

    from birefvideo.media.reading.probe import probe

    dtype = device.dtype_called(options.dtype)
    print(f"{device.name}, torch {torch.__version__}, {dtype}, pictures {options.picture}\n", flush=True)
    with tempfile.TemporaryDirectory() as name:
        clip = Path(name) / "clip.mp4"
        loop_clip(SAMPLE, clip, sides(options.picture), float(options.frames / probe(SAMPLE).rate))
        print_rows([measure(model, engine_for(model, options, device), options, clip) for model in options.model])


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=400, help="the clock of the whole run")
    parser.add_argument("--out", type=Path, default=Path("bench_gpu"), help="folder of its results")
    parser.add_argument("--only", action="append", metavar="STEP", help="run only this step (repeatable)")
    parser.add_argument("--model", action="append", choices=MODELS, help="repeatable (default: all)")
    parser.add_argument("--size", metavar="WxH", help="size of the network's input (default: the model's own)")
    parser.add_argument("--picture", metavar="WxH", default="1920x1080", help="size of the clip")
    parser.add_argument("--frames", type=int, help="number of frames to predict (default: 240, on a CPU 4)")
    parser.add_argument("--batch", type=int, help="frames a batch (default: what the job would choose)")
    parser.add_argument("--dtype", choices=DTYPES, default="auto")
    parser.add_argument("--device", default="cuda", help="cuda, cuda:N, mps or cpu")
    parser.add_argument("--table", action="store_true", help="measure prediction and whole jobs only")
    parser.add_argument("--plain", action="store_true", help="run the network without its inference rewrites")
    parser.add_argument("--compile", action="store_true", help="use torch.compile")
    parser.add_argument("--dry", action="store_true", help="try every step on tiny pictures: not a measurement")
    parser.add_argument("--first", choices=MODELS, help="print what one model takes to load and to its first frame")
    parser.add_argument("--count", action="store_true", help="count operations and bytes without measuring")
    parser.add_argument("--host", action="store_true", help="measure only what a frame costs the host")
    return parser.parse_args()


def main() -> None:
    options = parsed()
    options.model = options.model or list(MODELS[:2] if options.dry else MODELS)
    if options.dry:
        vars(options).update(TINY)
    if options.count or options.host:
        from benchmarks import gpu_paper  # OpenCV and PyAV, which a measuring run can do without

        (gpu_paper.print_counts if options.count else gpu_paper.print_host_costs)(options)
        return
    try:
        device = find_device(options.device)
        device.dtype_called(options.dtype)
    except BirefvideoError as error:
        sys.exit(f"bench_gpu: {error}; --dry --device cpu only tries the script out")
    options.frames = options.frames or (4 if device.kind.name == "cpu" else 240)
    if options.first:
        print(json.dumps(first_frame(options.first, options, device)))
        return
    if options.table:
        print_table(options, device)
        return
    clock = Clock(options.out, options.seconds)
    Bench(clock, device, options).run()
    if clock.failed:
        sys.exit(f"bench_gpu: these steps did not come to their end: {', '.join(clock.failed)}")


if __name__ == "__main__":
    main()
