"""What prediction takes, on paper and of the host: launches, FLOP, bytes and milliseconds of a core, without a GPU."""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from fractions import Fraction
from functools import partial

import av
import cv2
import torch
from bench_pipeline import SAMPLE
from torch import nn

from benchmarks.count import Count, count
from benchmarks.gpu_job import network_size, sides
from benchmarks.networks import our_model
from birefvideo.frames import DecodedFrame
from birefvideo.matting.device_scaling import PictureScaling
from birefvideo.matting.network_input import PictureScaler
from birefvideo.matting.slots import DeviceSlot, HostSlot, PictureKind, Slot
from birefvideo.matting.streams import SerialBackend
from birefvideo.network.fuse import fuse

META = torch.device("meta")


def count_network(name: str, options: argparse.Namespace) -> tuple[Count, float]:
    """Return the counts of one frame, and the bytes of the weights."""
    model = our_model(name)
    network: nn.Module = (model if options.plain else fuse(model)).to(META, torch.float16)
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
