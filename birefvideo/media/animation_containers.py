"""GIF, APNG and WebP as bytes: animations put together from whole single pictures, and animated WebP taken apart.

Every picture covers the whole canvas and replaces the one before, so nothing of that shines through its holes; in none
of the three would differences between pictures of a camera save more than a few per cent.
Sources: GIF89a specification; PNG (third edition) with its animation chunks; WebP container specification (RFC 9649).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate
from pathlib import Path
from typing import BinaryIO

import av
from av.video.codeccontext import VideoCodecContext

from birefvideo.errors import InputError
from birefvideo.hints import why_missing
from birefvideo.media.chunks import PNG_HEAD, png_chunk, png_chunks, riff_chunk, riff_chunks, riff_head

Pictures = Iterable[tuple[bytes, int]]
"""Whole single pictures of one size as their encoders give them, each with how many ticks it is shown."""

_GIF_FOREVER = b"\x21\xff\x0bNETSCAPE2.0\x03\x01\x00\x00\x00"
_CLEARED_AFTER = 2 << 2  # GIF's disposal method: the canvas is transparent again before the next picture
_ANIMATED, _WITH_ALPHA = 0x02, 0x10  # flags of VP8X
_REPLACES = 0x02  # flag of ANMF: not blended with what is there
_CLEARS = 0x01  # flag of ANMF: its place is transparent again afterwards


def write_gif(out: BinaryIO, pictures: Pictures, size: tuple[int, int], count: int) -> None:
    """Write GIF pictures as an animation that loops for ever; ticks are 1/100 s.

    They are what FFmpeg's encoder gives for a picture without a global palette, the file's head before it or not.

    Raises:
        ValueError: a picture is none, or has no colours of its own.
        OSError: the disk refuses.
    """
    out.write(struct.pack("<6sHHBBB", b"GIF89a", *size, 0x70, 0, 0) + _GIF_FOREVER)
    for data, ticks in pictures:
        transparent, image = _gif_picture(data)
        flags = _CLEARED_AFTER | (transparent is not None)
        out.write(struct.pack("<3sBHBB", b"\x21\xf9\x04", flags, ticks, transparent or 0, 0) + image)
    out.write(b"\x3b")


def write_apng(out: BinaryIO, pictures: Pictures, size: tuple[int, int], count: int) -> None:
    """Write PNG files of one kind as one animation that loops for ever; ticks are 1/1000 s.

    Raises:
        ValueError: a picture is no PNG.
        OSError: the disk refuses.
    """
    number = 0  # of fcTL and fdAT, counted together
    for index, (data, ticks) in enumerate(pictures):
        is_begun = False
        for kind, body in png_chunks(data):
            if kind == b"IHDR" and index == 0:
                out.write(PNG_HEAD + png_chunk(kind, body) + png_chunk(b"acTL", struct.pack(">II", count, 0)))
            elif kind == b"IDAT":
                if not is_begun:  # replaced by nothing afterwards, and replacing all there is
                    control = struct.pack(">IIIIIHHBB", number, *size, 0, 0, ticks, 1000, 0, 0)
                    out.write(png_chunk(b"fcTL", control))
                    number, is_begun = number + 1, True
                if index == 0:
                    out.write(png_chunk(kind, body))
                else:
                    out.write(png_chunk(b"fdAT", struct.pack(">I", number) + body))
                    number += 1
            elif kind not in (b"IHDR", b"IEND") and index == 0:
                out.write(png_chunk(kind, body))
    out.write(png_chunk(b"IEND", b""))


def write_webp(out: BinaryIO, pictures: Pictures, size: tuple[int, int], count: int) -> None:
    """Write WebP files as one animation that loops for ever; ticks are 1/1000 s.

    Raises:
        ValueError: a picture is no WebP.
        OSError: the disk refuses.
    """
    canvas = b"".join(_24_bits(side - 1) for side in size)
    out.write(b"RIFF\0\0\0\0WEBP" + riff_chunk(b"VP8X", bytes([_ANIMATED | _WITH_ALPHA, 0, 0, 0]) + canvas))
    out.write(riff_chunk(b"ANIM", bytes(6)))
    for data, ticks in pictures:
        chunks = [riff_chunk(kind, body) for kind, body in riff_chunks(data) if kind in (b"ALPH", b"VP8 ", b"VP8L")]
        head = bytes(6) + canvas + _24_bits(ticks) + bytes([_REPLACES])
        out.write(riff_chunk(b"ANMF", head + b"".join(chunks)))
    end = out.tell()
    out.seek(4)
    out.write(struct.pack("<I", end - 8))


WRITERS: dict[str, Callable[[BinaryIO, Pictures, tuple[int, int], int], None]] = {
    "gif": write_gif,
    "apng": write_apng,
    "webp": write_webp,
}
"""How each container is written: to an empty file, from `count` pictures of (width, height)."""


@dataclass(frozen=True)
class AnimatedWebP:
    """An animated WebP whose pictures each stand alone."""

    path: Path
    """The file."""
    size: tuple[int, int]
    """Width and height in pixels."""
    durations: tuple[int, ...]
    """How long each picture is shown, in 1/1000 s."""
    places: tuple[tuple[int, int], ...]
    """Where each picture's chunks lie in the file: (first byte, number of bytes)."""

    @property
    def times(self) -> tuple[Fraction, ...]:
        """When each picture begins, in seconds, and last when the last one ends."""
        return tuple(Fraction(ticks, 1000) for ticks in accumulate(self.durations, initial=0))

    def pictures(self) -> Iterator[av.VideoFrame]:
        """Decode every picture, with alpha and time; FFmpeg reads single pictures only.

        Raises:
            InputError: one is damaged.
        """
        with self.path.open("rb") as file:
            for index, ((start, length), time) in enumerate(zip(self.places, self.times, strict=False)):
                file.seek(start)
                picture = decoded_webp(file.read(length), self.size)
                if picture is None:
                    raise InputError(f"{self.path}: picture {index} cannot be decoded; make the file again")
                picture.pts, picture.time_base = int(time * 1000), Fraction(1, 1000)
                yield picture


@dataclass(frozen=True)
class WebPPicture:
    """A picture of an animated WebP, which may be a part of the canvas and build on what is there."""

    place: tuple[int, int]
    """Where its chunks lie in the file: (first byte, number of bytes)."""
    corner: tuple[int, int]
    """Its left and top on the canvas."""
    size: tuple[int, int]
    """Its width and height."""
    duration: int
    """How long it is shown, in 1/1000 s."""
    blends: bool
    """Whether the canvas shines through its holes; else it replaces what is there."""
    clears: bool
    """Whether its place is transparent again before the next one."""


def is_animated_webp(path: Path) -> bool:
    """Return whether a file begins as an animated WebP does."""
    head = _head(path, 21)
    return head[:4] == b"RIFF" and head[8:16] == b"WEBPVP8X" and len(head) == 21 and bool(head[20] & _ANIMATED)


def _head(path: Path, length: int) -> bytes:
    """Return how a file begins; nothing where there is no such file."""
    try:
        if not path.is_file():  # a pipe would wait for ever
            return b""
        with path.open("rb") as file:
            return file.read(length)
    except (OSError, ValueError):
        return b""


def read_webp(path: Path) -> AnimatedWebP:
    """Read the structure of an animated WebP as we write them.

    Raises:
        InputError: it is none, it is cut off or damaged, or its pictures build on one another.
    """
    size, pictures = webp_pictures(path)
    if not all(one.size == size and not one.blends for one in pictures):
        raise InputError(f"{path} has pictures that build on one another, which are not as birefvideo writes them")
    return AnimatedWebP(path, size, tuple(one.duration for one in pictures), tuple(one.place for one in pictures))


def webp_pictures(path: Path) -> tuple[tuple[int, int], list[WebPPicture]]:
    """Return the (width, height) of an animated WebP's canvas, and its pictures in order.

    Raises:
        InputError: it is none, or it is cut off or damaged.
    """
    try:
        with path.open("rb") as file:
            return _webp_pictures(file, path)
    except FileNotFoundError:
        raise InputError(why_missing(path)) from None
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror})") from error


def _webp_pictures(file: BinaryIO, path: Path) -> tuple[tuple[int, int], list[WebPPicture]]:
    end = file.seek(0, 2)
    file.seek(0)
    head = file.read(30)
    if len(head) < 30 or head[:4] != b"RIFF" or head[8:16] != b"WEBPVP8X" or not head[20] & _ANIMATED:
        raise InputError(f"{path} is no animated WebP; make it again")
    if struct.unpack_from("<I", head, 4)[0] + 8 != end:
        raise InputError(f"{path} is cut off or damaged: its header gives another length; make it again")
    width, height = (_from_24_bits(head[i : i + 3]) + 1 for i in (24, 27))
    pictures: list[WebPPicture] = []
    at = 30
    while at < end:
        file.seek(at)
        kind, length = riff_head(file.read(8))
        if at + 8 + length > end or length < 0:
            raise InputError(f"{path} is damaged at byte {at}; make it again")
        if kind == b"ANMF":
            frame = file.read(16)
            left, top = (2 * _from_24_bits(frame[i : i + 3]) for i in (0, 3))
            columns, rows = (_from_24_bits(frame[i : i + 3]) + 1 for i in (6, 9))
            if length < 16 or left + columns > width or top + rows > height:
                raise InputError(f"{path} is damaged at byte {at}; make it again")
            blends = not frame[15] & _REPLACES and bool(head[20] & _WITH_ALPHA)
            clears = bool(frame[15] & _CLEARS)
            duration, place = _from_24_bits(frame[12:15]), (at + 24, length - 16)
            pictures.append(WebPPicture(place, (left, top), (columns, rows), duration, blends, clears))
        at += 8 + length + length % 2
    return (width, height), pictures


def decoded_webp(chunks: bytes, size: tuple[int, int]) -> av.VideoFrame | None:
    """Decode the chunks of one picture as a WebP of its own; None where they are damaged.

    Lossy pictures come as yuva420p in limited BT.601, lossless ones as argb.
    """
    canvas = b"".join(_24_bits(side - 1) for side in size)
    body = b"WEBP" + riff_chunk(b"VP8X", bytes([_WITH_ALPHA, 0, 0, 0]) + canvas) + chunks
    decoder = VideoCodecContext.create("webp", "r")
    decoder.thread_count = 1
    decoder.options = {"max_pixels": str((size[0] + 64) * (size[1] + 64))}  # a picture must not be larger than it says
    try:
        pictures = decoder.decode(av.Packet(riff_chunk(b"RIFF", body)))
    except av.FFmpegError:
        return None
    if not pictures or not isinstance(picture := pictures[0], av.VideoFrame):
        return None
    if (picture.width, picture.height) != size:
        return None
    opaque = not any(component.is_alpha for component in picture.format.components)
    return picture.reformat(format="yuva420p", threads=1) if opaque else picture


def _gif_picture(data: bytes) -> tuple[int | None, bytes]:
    """Return the index of a GIF picture's transparent colour, and its image block: place, own colours, pixels."""
    at, transparent = 13 if data[:4] == b"GIF8" else 0, None
    while data[at] == 0x21:
        if data[at + 1] == 0xF9 and data[at + 3] & 1:
            transparent = data[at + 6]
        at += 2
        while data[at]:
            at += 1 + data[at]
        at += 1
    if data[at] != 0x2C or not data[at + 9] & 0x80:
        raise ValueError("not a GIF picture with colours of its own")
    return transparent, data[at:].removesuffix(b"\x3b")


def _24_bits(number: int) -> bytes:
    return number.to_bytes(3, "little")


def _from_24_bits(data: bytes) -> int:
    return int.from_bytes(data, "little")
