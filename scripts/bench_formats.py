#!/usr/bin/env python
"""Measure every output format: error of alpha and colour, time and size; print a Markdown table.

    python scripts/bench_formats.py [--frames 12] [--size 1920x1080] [--threads 1] [--rounds 2] [--to NAME …]

The pictures of samples/talking_head.mp4 and its exact matte are scaled to --size, encoded, read back by FFmpeg and
compared. Errors are of 255: of alpha (composites have none), and of R'G'B' where alpha is 1. The time is CPU time of
composing and encoding, the least of --rounds; the size is what a minute takes at 30 pictures a second. Stickers are
compared at their own size.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from birefvideo.colour import LUMA_WEIGHTS, Colour, code_scale, tag
from birefvideo.frames import Alpha, Frame, Span, VideoInfo
from birefvideo.matting.foreground import with_foreground
from birefvideo.media.format_table import FORMATS, Content, Format
from birefvideo.media.output_format import output_colour, output_size
from birefvideo.media.reading.alpha import alpha_of, luma_matte
from birefvideo.media.reading.decode import read_frames
from birefvideo.media.reading.probe import probe
from birefvideo.media.verification.finished_output import read_finished_output
from birefvideo.media.writing.availability import why_unavailable
from birefvideo.media.writing.composer import EncodeSettings
from birefvideo.media.writing.join import join
from birefvideo.media.writing.rgb_frames import linear_table
from birefvideo.media.writing.segment_writer import open_writer
from birefvideo.planes import plane_array, to_444

SAMPLES = Path(__file__).resolve().parent.parent / "samples"
MINUTE = 60 * 30
_CHANNELS = {"argb": [1, 2, 3], "rgba": [0, 1, 2], "bgra": [2, 1, 0]}


@dataclass(frozen=True)
class Row:
    """The measurements of one format."""

    alpha: tuple[float, float] | None
    colour: tuple[float, float] | None
    milliseconds: float
    megabytes: float


def scaled(picture: av.VideoFrame, size: tuple[int, int], colour: Colour) -> av.VideoFrame:
    result = av.VideoFrame(*size, "yuv420p")
    for index in range(3):
        out = plane_array(result, index)
        cv2.resize(plane_array(picture, index), out.shape[::-1], dst=out, interpolation=cv2.INTER_CUBIC)
    tag(result, colour)
    return result


def load(size: tuple[int, int], count: int) -> tuple[VideoInfo, list[Frame]]:
    """Return the sample's frames at a size, with matte and foreground."""
    info = probe(SAMPLES / "talking_head.mp4")
    matte = probe(SAMPLES / "talking_head_alpha.mkv")
    frames = []
    pairs = zip(read_frames(info), read_frames(matte), strict=False)
    for frame, shown in islice(pairs, count):
        alpha = np.clip(cv2.resize(luma_matte(shown.picture), size, interpolation=cv2.INTER_LINEAR), 0, 1)
        frames.append(replace(frame, picture=scaled(frame.picture, size, info.colour)).with_alpha(alpha))
    info = replace(info, width=size[0], height=size[1], pix_fmt="yuv420p", audio=())
    return info, [with_foreground(frame) for frame in frames]


def encode(folder: Path, format: Format, info: VideoInfo, frames: list[Frame], threads: int) -> tuple[Path, float]:
    """Return the finished output, and the CPU seconds of composing and encoding."""
    part, output = folder / f"part{format.extension}", folder / f"out{format.suffix}"
    begun = time.process_time()
    with open_writer(part, format, info, EncodeSettings(threads=threads)) as writer:
        for frame in frames:
            writer.write(frame)
    seconds = time.process_time() - begun
    join([part], output, format, info, Span())
    return output, seconds


def decoded(output: Path, format: Format) -> Iterator[av.VideoFrame]:
    if format.is_animation:
        yield from read_finished_output(output, format).pictures()
        return
    paths = sorted(output.glob(f"*{format.picture_suffix}")) if format.is_sequence else [output]
    for path in paths:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            # FFmpeg's own VP9 decoder drops alpha.
            alpha = format.codec == "libvpx-vp9"
            decoder = av.CodecContext.create("libvpx-vp9", "r") if alpha else stream.codec_context
            for packet in container.demux(stream):
                yield from decoder.decode(packet if packet.size else None)


def rgb(picture: av.VideoFrame, colour: Colour) -> NDArray[Any]:
    """R'G'B' of a picture, float32 (height, width, 3) in 0–255, chroma interpolated from where MPEG puts it."""
    if picture.format.is_rgb and "f16" in picture.format.name:
        light = np.stack([half(picture, index) for index in (2, 0, 1)], axis=-1)
        table = linear_table(1)
        signal = np.interp(light, table, np.linspace(-0.125, 1.25, table.size)).astype(np.float32)
        return np.clip(signal, 0, 1) * 255
    if colour.matrix == 0 and not picture.format.is_rgb:  # WebP's YUV is its own affair
        picture = picture.reformat(format="rgba", threads=1)
    if picture.format.name in _CHANNELS:  # swscale is off by a code when it makes 16 bits of 8
        return picture.to_ndarray()[..., _CHANNELS[picture.format.name]].astype(np.float32)
    if picture.format.is_rgb:
        return picture.reformat(format="rgba64le", threads=1).to_ndarray()[..., :3].astype(np.float32) / 257
    red, blue = LUMA_WEIGHTS[colour.matrix]
    scale, offset = code_scale(colour.range, picture.format.components[0].bits)
    if picture.planes[1].width < picture.width:
        picture = to_444(picture)
    y, u, v = ((plane_array(picture, i).astype(np.float32) - offset[i]) / scale[i] for i in range(3))
    r, b = y + 2 * (1 - red) * v, y + 2 * (1 - blue) * u
    green = (y - red * r - blue * b) / (1 - red - blue)
    return np.clip(np.stack([r, green, b], axis=-1), 0, 1) * 255


def half(picture: av.VideoFrame, index: int) -> NDArray[np.float32]:
    plane = picture.planes[index]
    shape, strides = (plane.height, plane.width), (plane.line_size, 2)
    return np.ndarray(shape, "<f2", memoryview(plane), strides=strides).astype(np.float32)


def errors(
    picture: av.VideoFrame, frame: Frame, format: Format, info: VideoInfo
) -> tuple[NDArray[Any] | None, NDArray[Any] | None]:
    """Differences of alpha, and of colour where alpha is 1, of 255."""
    assert frame.alpha is not None
    true, colours = frame.alpha, rgb(frame.picture, info.colour)
    if format.is_animation:
        size = output_size(format, info)
        true, colours = (cv2.resize(values, size, interpolation=cv2.INTER_AREA) for values in (true, colours))
    height, width = true.shape
    alpha: Alpha | None = None
    if format.content is Content.MATTE:
        alpha = luma_matte(picture)[:height, :width]
    elif format.has_alpha:
        alpha = half(picture, 3) if "f16" in picture.format.name else alpha_of(picture)
    off = None if alpha is None else np.abs(alpha - true) * 255
    if format.content is Content.MATTE:
        return off, None
    # A pixel further in: at the very edge 4:2:0 mixes chroma with what is soft.
    opaque = cv2.erode((true > 1 - 1e-5).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    shown = rgb(picture, output_colour(format, info.colour))[:height, :width]
    return off, np.abs(shown - colours)[opaque]


def measure(format: Format, info: VideoInfo, frames: list[Frame], threads: int, rounds: int) -> Row:
    seconds = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            output, spent = encode(Path(folder), format, info, frames, threads)
            seconds.append(spent)
            files = output.iterdir() if output.is_dir() else [output]
            size = sum(path.stat().st_size for path in files)
            found = [errors(p, f, format, info) for p, f in zip(decoded(output, format), frames, strict=True)]
    alphas, colours = ([e for e in column if e is not None] for column in zip(*found, strict=True))
    return Row(
        summary(alphas),
        summary(colours),
        1000 * min(seconds) / len(frames),
        size / len(frames) * MINUTE / 1e6,
    )


def summary(differences: list[NDArray[Any]]) -> tuple[float, float] | None:
    """Mean and maximum, or None where nothing was compared."""
    if not differences:
        return None
    return float(np.mean([d.mean() for d in differences])), float(max(d.max() for d in differences))


def cell(error: tuple[float, float] | None) -> str:
    return "–" if error is None else f"{error[0]:.3f} / {error[1]:.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=12)
    parser.add_argument("--size", default="1920x1080")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--to", action="append", choices=list(FORMATS))
    arguments = parser.parse_args()
    av.logging.set_level(None)
    cv2.setNumThreads(arguments.threads)
    width, height = (int(side) for side in arguments.size.split("x"))
    info, frames = load((width, height), arguments.frames)
    print(f"{len(frames)} pictures of {width}×{height}, {arguments.threads} thread(s)\n")
    print("| format | alpha error, mean / max | colour error where α = 1 | CPU ms/frame | MB a minute | opens in |")
    print("|---|---|---|---|---|---|")
    for name in arguments.to or FORMATS:
        format = FORMATS[name]
        if why := why_unavailable(name):
            print(f"| {name} | | | | | not possible here: {why} |")
            continue
        row = measure(format, info, frames, arguments.threads, arguments.rounds)
        figures = f"{cell(row.alpha)} | {cell(row.colour)} | {row.milliseconds:.0f} | {row.megabytes:.0f}"
        print(f"| {name} | {figures} | {format.opens_in} |", flush=True)


if __name__ == "__main__":
    main()
