#!/usr/bin/env python
"""Print what temporal smoothing does to mattes of clips with known alpha, beside a causal EMA and a plain median.

    python scripts/bench_temporal.py --clips FOLDER [--alpha 'peers/{clip}_rvm.mkv'] [--only degraded] [--frames 40]
    python scripts/bench_temporal.py --cost [CLIP]

FOLDER holds one folder a clip with clip.mp4 and alpha.mkv (gray). The mattes to smooth are the embedded model's, true
ones degraded by every kind of noise of scripts/degrade.py (those that the smoother was tuned on, and those held out),
and whatever lies in FOLDER/peers as CLIP_NAME.mkv, or where the --alpha patterns say. Each cell holds MAD ×10³,
edge-band MAD ×10³ and dtSSD ×10²; the last row is their change in the mean. --cost measures a 1080p frame, in the same
process as the ProRes encode and the foreground colour.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from pathlib import Path

import av
import numpy as np
import torch
from degrade import HELD_OUT, TUNING, degrade
from numpy.typing import NDArray

from birefvideo.family import checkpoints
from birefvideo.family.variants import EMBEDDED
from birefvideo.frames import Alpha, AlphaFrame, DecodedFrame, Span
from birefvideo.jobs.options import Options
from birefvideo.matting.devices import find_device
from birefvideo.matting.engine import Engine
from birefvideo.matting.foreground import with_foreground
from birefvideo.matting.predict import Predictor
from birefvideo.matting.smoother import make_smoother, smooth
from birefvideo.media.format_table import get_format
from birefvideo.media.reading.decode import read_frames
from birefvideo.media.reading.probe import probe
from birefvideo.media.writing.composer import EncodeSettings
from birefvideo.media.writing.segment_writer import open_writer
from birefvideo.planes import plane_array
from birefvideo.scoring.metrics import dtssd, edge_band, mad

SAMPLE = Path(__file__).resolve().parent.parent / "samples" / "talking_head.mp4"
TUNING_SEED, HELD_OUT_SEED = 1, 7
COST_SIZE, COST_FRAMES, COST_ROUNDS = (1920, 1080), 24, 5

Smoother = Callable[[list[AlphaFrame]], Iterable[Alpha]]
Source = Callable[["Clip"], list[Alpha]]
Errors = NDArray[np.float64]
"""MAD, edge-band MAD and dtSSD of one clip."""


@dataclass(frozen=True)
class Clip:
    """One clip with its truth."""

    folder: Path
    frames: list[DecodedFrame]
    truth: list[Alpha]


def grays(path: Path, most: int) -> list[Alpha]:
    """Read the first `most` pictures of a gray file as alpha."""
    with av.open(str(path)) as container:
        pictures = itertools.islice(container.decode(video=0), most)
        return [plane_array(picture, 0).astype(np.float32) / np.float32(255) for picture in pictures]


def first_frames(path: Path, most: int) -> list[DecodedFrame]:
    info = probe(path)
    return list(
        itertools.islice(read_frames(info, Span(end=info.start + round(most / info.rate / info.time_base))), most)
    )


def ema(frames: list[AlphaFrame]) -> Iterator[Alpha]:
    """Average as live tools do: half the frame, half the mean so far."""
    mean = frames[0].alpha
    for frame in frames:
        mean = (mean + frame.alpha) / np.float32(2)
        yield mean


def median(frames: list[AlphaFrame]) -> Iterator[Alpha]:
    """Yield each pixel's median over three frames."""
    for i, frame in enumerate(frames):
        before, after = frames[max(i - 1, 0)].alpha, frames[min(i + 1, len(frames) - 1)].alpha
        yield np.clip(frame.alpha, np.minimum(before, after), np.maximum(before, after))


def measure(clip: Clip, bands: list[NDArray[np.bool_]], mattes: Iterable[Alpha]) -> Errors:
    errors: list[float] = []
    jumps: list[float] = []
    band_error = 0.0
    previous = None
    for alpha, truth, band in zip(mattes, clip.truth, bands, strict=True):
        errors.append(mad(alpha, truth))
        band_error += float(np.abs(alpha - truth).sum(where=band, dtype=np.float64)) * 1e3
        if previous is not None:
            jumps.append(dtssd(alpha, previous[0], truth, previous[1]))
        previous = alpha, truth
    return np.array([np.mean(errors), band_error / sum(int(band.sum()) for band in bands), np.mean(jumps)])


def model_source(name: str) -> Source:
    """Return a source of a checkpoint's mattes, unsmoothed."""
    checkpoint = checkpoints.find(name)
    network = checkpoints.load(checkpoint)
    predictor = Predictor(Engine(network, checkpoint.size, find_device("cpu"), dtype=torch.float32))
    return lambda clip: [frame.alpha for frame in predictor.predict(iter(clip.frames))]


def degraded(clip: Clip, kind: str, seed: int) -> list[Alpha]:
    """Return a clip's exact alpha with one kind of noise."""
    return list(degrade(clip.truth, kind, seed))


def peer(clip: Clip, pattern: str) -> list[Alpha]:
    """Read another tool's mattes of a clip from the file that `pattern` names."""
    return grays(clip.folder.parent / pattern.format(clip=clip.folder.name), len(clip.frames))


def sources(options: argparse.Namespace) -> dict[str, Source]:
    """Return everything to smooth, by heading."""
    found: dict[str, Source] = {}
    if options.only in f"model {options.model}":
        found[f"model {options.model}"] = model_source(options.model)
    for heading, kinds, seed in (("tuning", TUNING, TUNING_SEED), ("held out", HELD_OUT, HELD_OUT_SEED)):
        for kind in kinds:
            found[f"degraded truth, {heading}: {kind}"] = partial(degraded, kind=kind, seed=seed)
    names = {path.stem.rsplit("_", 1)[-1] for path in options.clips.glob("peers/*_*.mkv")}
    for pattern in options.alpha or [f"peers/{{clip}}_{name}.mkv" for name in sorted(names)]:
        found[pattern] = partial(peer, pattern=pattern)
    return {heading: source for heading, source in found.items() if options.only in heading}


def compare(options: argparse.Namespace) -> None:
    ours = make_smoother(options.radius)
    smoothers: dict[str, Smoother] = {
        "none": lambda frames: [frame.alpha for frame in frames],
        "EMA 0.5": ema,
        "median 3": median,
        f"ours, radius {options.radius}": lambda frames: (frame.alpha for frame in smooth(frames, ours)),
    }
    folders = sorted(path.parent for path in options.clips.glob("*/clip.mp4"))
    if not folders:
        raise SystemExit(f"{options.clips} holds no */clip.mp4")
    found = sources(options)
    tables: dict[str, list[list[Errors]]] = {heading: [] for heading in found}
    for folder in folders:
        frames = first_frames(folder / "clip.mp4", options.frames)
        clip = Clip(folder, frames, grays(folder / "alpha.mkv", len(frames)))
        bands = [edge_band(truth) for truth in clip.truth]
        for heading, source in found.items():
            mattes = source(clip)
            given = [frame.with_alpha(matte) for frame, matte in zip(clip.frames, mattes, strict=True)]
            tables[heading].append([measure(clip, bands, run(given)) for run in smoothers.values()])
            print(f"{folder.name}: {heading} {cell(tables[heading][-1][-1])}", flush=True)
    for heading, rows in tables.items():
        print_table(heading, list(smoothers), [folder.name for folder in folders], rows)


def cell(errors: Errors) -> str:
    return f"{errors[0]:.2f} / {errors[1]:.1f} / {errors[2]:.2f}"


def print_table(heading: str, columns: list[str], clips: list[str], rows: list[list[Errors]]) -> None:
    print(f"\n{heading}: MAD / band / dtSSD\n\n| clip | {' | '.join(columns)} |\n|---|{'---|' * len(columns)}")
    means = np.mean(rows, axis=0)
    for name, row in [*zip(clips, rows, strict=True), ("**mean**", means)]:
        print(f"| {name} | {' | '.join(cell(errors) for errors in row)} |")
    changes = 100 * (means / means[0] - 1)
    print(f"| change | {' | '.join(' / '.join(f'{c:+.1f} %' for c in change) for change in changes)} |", flush=True)


def cost(path: Path) -> None:
    """Time smoothing, foreground colour and ProRes encoding per frame, in turn; print medians of the rounds."""
    small = model_source(EMBEDDED)
    decoded = first_frames(path, COST_FRAMES)
    pictures = [frame.picture.reformat(*COST_SIZE, format="yuv420p", threads=1) for frame in decoded]
    frames = [DecodedFrame(p, i, Fraction(1, 25), 1) for i, p in enumerate(pictures)]
    raw = [f.with_alpha(alpha) for f, alpha in zip(frames, small(Clip(path, frames, [])), strict=True)]
    info = replace(probe(path), width=COST_SIZE[0], height=COST_SIZE[1], time_base=Fraction(1, 25), start=0)
    finished = [with_foreground(frame) for frame in smooth(raw, make_smoother(Options().smooth))]
    with tempfile.TemporaryDirectory() as folder:

        def encode() -> None:
            with open_writer(Path(folder) / "cost.mov", get_format("prores"), info, EncodeSettings()) as writer:
                for frame in finished:
                    writer.write(frame)

        stages: dict[str, Callable[[], object]] = {
            "smooth": lambda: list(smooth(raw, make_smoother(Options().smooth))),
            "foreground": lambda: [with_foreground(frame) for frame in raw],
            "encode prores": encode,
        }
        times: dict[str, list[tuple[float, float]]] = {name: [] for name in stages}
        for _ in range(COST_ROUNDS):
            for name, work in stages.items():
                wall, cpu = time.perf_counter(), time.process_time()
                work()
                times[name].append((time.perf_counter() - wall, time.process_time() - cpu))
    print(f"\n| 1080p, {torch.get_num_threads()} threads | ms/frame | CPU ms/frame |\n|---|---|---|")
    for name, rounds in times.items():
        wall, cpu = (1e3 * statistics.median(column) / len(raw) for column in zip(*rounds, strict=True))
        print(f"| {name} | {wall:.1f} | {cpu:.1f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=Path, metavar="FOLDER")
    parser.add_argument("--alpha", action="append", metavar="PATTERN", help="gray files in FOLDER, {clip} for its name")
    parser.add_argument("--model", default=EMBEDDED)
    parser.add_argument("--only", default="", metavar="TEXT", help="only sources whose heading contains TEXT")
    parser.add_argument("--frames", type=int, default=40, help="number of frames of each clip")
    parser.add_argument("--radius", type=int, default=Options().smooth)
    parser.add_argument("--cost", type=Path, nargs="?", const=SAMPLE, metavar="CLIP")
    options = parser.parse_args()
    if options.clips is None and options.cost is None:
        parser.error("give --clips FOLDER, or --cost")
    if options.clips is not None:
        compare(options)
    if options.cost is not None:
        cost(options.cost)


if __name__ == "__main__":
    main()
