"""Animated WebP as input, which FFmpeg does not read: as a stream that it does, made while it is read.

Source of how pictures are put together: WebP container specification (RFC 9649), 2.7.1.1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import av
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream
from numpy.typing import NDArray

from birefvideo.errors import InputError
from birefvideo.media.animation_containers import WebPPicture, decoded_webp, webp_pictures
from birefvideo.media.reading.chroma_siting import CENTRE, with_chroma_moved
from birefvideo.planes import plane_array
from birefvideo.rgb import rgb_codes

_TICK = Fraction(1, 1000)
_UNSAID = 100  # 1/1000 s that players show a picture of no duration
_MATRIX, _RANGE = 6, 1  # of lossy pictures: BT.601, limited (RFC 9649, 2.5)
_LOSSY = (b"VP8 ", b"ALPH")  # what the chunks of a lossy picture begin with


def open_animated_webp(path: Path) -> InputContainer:
    """Open an animated WebP as a container of whole pictures with alpha, with their times; it cannot be sought in.

    Raises:
        InputError: it is cut off or damaged.
    """
    size, pictures = webp_pictures(path)
    if not pictures:
        raise InputError(f"{path} has no picture; make it again")
    return av.open(_Pipe(lambda pipe: _write(pipe, path, size, pictures)), "r", format="matroska")


class _Pipe:
    """A file that is read while it is written: each read has `work` go on for as long as bytes are missing."""

    def __init__(self, work: Callable[[_Pipe], Iterator[None]]) -> None:
        self._waiting = bytearray()
        self._work = work(self)

    def write(self, data: bytes) -> int:
        """Take what the muxer writes."""
        self._waiting += data
        return len(data)

    def read(self, size: int) -> bytes:
        """Return up to `size` bytes; fewer at the end only."""
        while len(self._waiting) < size:
            try:
                next(self._work)
            except StopIteration:
                break
        data = bytes(self._waiting[:size])
        del self._waiting[:size]
        return data


class _WriteOnly:
    """The end of a pipe that a muxer is given, which is not to read from it."""

    def __init__(self, pipe: _Pipe) -> None:
        self._pipe = pipe

    def write(self, data: bytes) -> int:
        """Hand bytes on."""
        return self._pipe.write(data)


def _write(pipe: _Pipe, path: Path, size: tuple[int, int], pictures: list[WebPPicture]) -> Iterator[None]:
    """Write all pictures into the pipe, losslessly, one a step."""
    lengths = [one.duration or _UNSAID for one in pictures]
    whole = all(one.size == size and not one.blends for one in pictures)
    with path.open("rb") as file, av.open(_WriteOnly(pipe), "w", format="matroska") as out:
        chunks = (_read(file, one.place) for one in pictures)
        as_they_are = whole and all(_read(file, one.place, 4) in _LOSSY for one in pictures)
        stream = _add_stream(out, size, "yuva420p" if as_they_are else "bgra", lengths)
        shown = _decoded(path, chunks, pictures)
        time = 0
        for picture, length in zip(shown if as_they_are else _composed(shown, size, pictures), lengths, strict=True):
            picture.pts, picture.time_base, picture.duration = time, _TICK, length
            for packet in stream.encode(picture):
                packet.duration = length
                out.mux(packet)
            time += length
            yield
        out.mux(stream.encode(None))


def _add_stream(
    out: av.container.OutputContainer, size: tuple[int, int], pix_fmt: str, lengths: list[int]
) -> VideoStream:
    total = sum(lengths)
    rate = Fraction(1000 * len(lengths), total).limit_denominator(1001)
    stream = out.add_stream("ffv1", rate=rate)
    stream.width, stream.height = size
    stream.pix_fmt = pix_fmt
    stream.time_base = stream.codec_context.time_base = _TICK
    if pix_fmt == "yuva420p":  # what WebP defines, with the primaries and the curve of the web
        context = stream.codec_context
        context.colorspace, context.color_range, context.color_primaries, context.color_trc = _MATRIX, _RANGE, 1, 13
    # The head of a stream that cannot be sought in takes its duration from here.
    seconds, rest = divmod(total, 1000)
    stream.metadata["DURATION"] = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{rest:03d}000000"
    return stream


def _read(file: BinaryIO, place: tuple[int, int], most: int | None = None) -> bytes:
    start, length = place
    file.seek(start)
    return file.read(length if most is None else min(length, most))


def _decoded(path: Path, chunks: Iterator[bytes], pictures: list[WebPPicture]) -> Iterator[av.VideoFrame]:
    for index, (data, one) in enumerate(zip(chunks, pictures, strict=True)):
        picture = decoded_webp(data, one.size)
        if picture is None:
            raise InputError(f"{path}: picture {index} cannot be decoded; make the file again")
        yield picture


def _composed(
    shown: Iterator[av.VideoFrame], size: tuple[int, int], pictures: list[WebPPicture]
) -> Iterator[av.VideoFrame]:
    """Yield the canvas, which is transparent at first, after each picture was laid on it."""
    canvas = np.zeros((size[1], size[0], 4), np.uint8)
    for picture, one in zip(shown, pictures, strict=True):
        above = _bgra(picture)
        (left, top), (width, height) = one.corner, one.size
        place = canvas[top : top + height, left : left + width]
        place[:] = _over(above, place) if one.blends else above
        yield av.VideoFrame.from_ndarray(canvas, format="bgra")
        if one.clears:
            place[:] = 0


def _bgra(picture: av.VideoFrame) -> NDArray[np.uint8]:
    """Return a picture in codes of 8 bits, (height, width, 4); chroma lies in the middle, as libwebp shows it."""
    if picture.format.name != "yuva420p":
        return picture.reformat(format="bgra", threads=1).to_ndarray().astype(np.uint8, copy=False)
    opaque = av.VideoFrame(picture.width, picture.height, "yuv420p")
    for index in range(3):
        plane_array(opaque, index)[:] = plane_array(picture, index)
    opaque.colorspace, opaque.color_range = _MATRIX, _RANGE
    rgb = rgb_codes(with_chroma_moved(opaque, CENTRE, "yuv444p"))
    return np.dstack([rgb[..., ::-1], plane_array(picture, 3)])


def _over(above: NDArray[np.uint8], below: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return one picture of straight alpha laid over another, 8 bits, (height, width, 4) with alpha last."""
    front, back = (part.astype(np.float32) for part in (above, below))
    alpha = front[..., 3:] + back[..., 3:] * (1 - front[..., 3:] / 255)
    share = np.divide(front[..., 3:], alpha, out=np.zeros_like(alpha), where=alpha > 0)
    colour = back[..., :3] + (front[..., :3] - back[..., :3]) * share
    codes: NDArray[np.uint8] = np.rint(np.concatenate([colour, alpha], axis=2)).astype(np.uint8)
    return codes
