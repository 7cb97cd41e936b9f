"""Helpers of the tests of encoding, joining and verifying: frames with a known matte, and whole outputs of a clip."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from birefvideo.frames import Alpha, DecodedFrame, Frame, Span, VideoInfo
from birefvideo.media.expected import Expected
from birefvideo.media.format_table import FORMATS, Format
from birefvideo.media.reading.decode import read_frames
from birefvideo.media.reading.probe import probe
from birefvideo.media.writing.availability import why_unavailable
from birefvideo.media.writing.composer import EncodeSettings
from birefvideo.media.writing.join import JoinReport, join
from birefvideo.media.writing.segment_writer import open_writer
from birefvideo.planes import plane_array, to_444

_POSSIBLE = [row for row in FORMATS.values() if not why_unavailable(row.name)]
WRITABLE = [row for row in _POSSIBLE if not (row.is_sequence or row.is_animation)]
"""The formats of one file that this FFmpeg has the encoder for."""
ANIMATIONS = [row for row in _POSSIBLE if row.is_animation]
"""Those for short clips without sound."""
SEQUENCES = [row for row in _POSSIBLE if row.is_sequence]
"""Those of a folder."""


def disc(frame: DecodedFrame) -> Alpha:
    """A soft disc in the middle that grows with time."""
    height, width = frame.picture.height, frame.picture.width
    y, x = np.mgrid[:height, :width].astype(np.float32)
    radius = 0.3 * height + 4 * float(frame.seconds)
    alpha: Alpha = np.clip((radius - np.hypot(x - width / 2, y - height / 2)) / 6 + 0.5, 0, 1).astype(np.float32)
    return alpha


def with_matte(frame: DecodedFrame, alpha: Alpha) -> Frame:
    """A finished frame whose foreground is the picture's own colour."""
    return frame.with_alpha(alpha).with_foreground(to_444(frame.picture))


def matted(path: Path, span: Span | None = None) -> tuple[VideoInfo, list[Frame]]:
    """What a clip is, and its frames with their mattes."""
    info = probe(path)
    return info, [with_matte(frame, disc(frame)) for frame in read_frames(info, span or Span())]


def write_parts(
    folder: Path, format: Format, info: VideoInfo, frames: Sequence[Frame], cuts: Sequence[int] = ()
) -> list[Path]:
    """Parts of the frames, cut before the indices `cuts`."""
    parts = []
    for number, (start, end) in enumerate(zip((0, *cuts), (*cuts, len(frames)), strict=True)):
        parts.append(folder / f"part{number}{format.extension}")
        with open_writer(parts[-1], format, info, EncodeSettings(threads=1)) as writer:
            for frame in frames[start:end]:
                writer.write(frame)
    return parts


def make_output(
    folder: Path, format: Format, clip: Path, cuts: Sequence[int] = (), span: Span | None = None
) -> tuple[Path, VideoInfo, list[Frame], JoinReport]:
    """A clip's finished output."""
    info, frames = matted(clip, span)
    output = folder / f"out{format.suffix}"
    report = join(write_parts(folder, format, info, frames, cuts), output, format, info, span or Span())
    return output, info, frames, report


def expectation(frames: Sequence[Frame], report: JoinReport) -> Expected:
    """What an output made of these frames must hold."""
    return Expected([frame.pts for frame in frames], report.origin, frames[-1].duration, report.sounds)


def packets(path: Path, kind: str = "video") -> list[tuple[Fraction, bytes]]:
    """Time and bytes of the packets of the first stream of a kind."""
    with av.open(str(path)) as container:
        stream = next(stream for stream in container.streams if stream.type == kind)
        assert stream.time_base is not None
        return [(p.pts * stream.time_base, bytes(p)) for p in container.demux(stream) if p.pts is not None]


def decoded_video(path: Path) -> list[av.VideoFrame]:
    """Every picture, with alpha where there is one."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        is_vp9 = stream.codec_context.name in ("vp9", "libvpx-vp9")
        decoder = av.CodecContext.create("libvpx-vp9", "r") if is_vp9 else stream.codec_context
        return [f for p in container.demux(stream) for f in decoder.decode(p if p.size else None)]


def rgb_and_alpha(picture: av.VideoFrame) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """R'G'B' (height, width, 3) and alpha (height, width, 1) in [0, 1] of a decoded BT.709 picture of any format."""
    if picture.format.is_rgb:
        rgba = picture.reformat(format="rgba64le", threads=1).to_ndarray() / 65535
        return rgba[..., :3], rgba[..., 3:]
    peak = (1 << picture.format.components[0].bits) - 1
    y, u, v, a = (plane_array(picture, i).astype(float) / peak for i in range(4))
    u, v = (
        np.repeat(np.repeat(c, 2, 0), 2, 1)[: y.shape[0], : y.shape[1]] if c.shape != y.shape else c for c in (u, v)
    )
    half, step = (peak + 1) / 2 / peak, (peak + 1) / 256 / peak
    y, u, v = (y - 16 * step) / (219 * step), (u - half) / (224 * step), (v - half) / (224 * step)
    rgb = np.stack([y + 1.5748 * v, y - 0.187324 * u - 0.468124 * v, y + 1.8556 * u], axis=-1)
    return np.clip(rgb, 0, 1), a[..., None]


def decoded_sound(path: Path, index: int = 0, rate: int = 48000) -> NDArray[np.float32]:
    """Sound as heard from the file's 0 on, mono; what comes before 0 is cut."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[index]
        resampler = av.AudioResampler("fltp", "mono", rate)
        start, blocks = None, []
        for packet in container.demux(stream):
            for frame in packet.decode():
                start = frame.time if start is None else start
                frame.pts = None
                blocks += [block.to_ndarray()[0] for block in resampler.resample(frame)]
        blocks += [block.to_ndarray()[0] for block in resampler.resample(None)]
    sound = np.concatenate(blocks)
    offset = round((start or 0) * rate)
    return np.pad(sound, (offset, 0)) if offset > 0 else sound[-offset:]


@contextmanager
def full_disk(size: int) -> Iterator[None]:
    """Lets no file of this process grow beyond `size` bytes; Python ignores SIGXFSZ, so that writes fail instead."""
    resource = pytest.importorskip("resource", reason="only POSIX limits the size of files")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
