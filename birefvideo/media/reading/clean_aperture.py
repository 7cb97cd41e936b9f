"""The part of the stored picture that players show: QuickTime's `clap` box and Matroska's PixelCrop elements.

FFmpeg applies the cropping of H.264 and HEVC by itself; what a container says it hands on where PyAV does not look.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from birefvideo.frames import Crop
from birefvideo.media.reading.movie_boxes import Window, boxes, inside, tracks

_MOST_ELEMENTS = 10_000
_LEAST_SIDE = 16
_VISUAL_ENTRY = 78  # bytes of a sample entry before its boxes (ISO/IEC 14496-12, 12.1.3)
_SEGMENT, _TRACKS, _TRACK, _VIDEO = 0x18538067, 0x1654AE6B, 0xAE, 0xE0
_CROPS = {0x54CC: "left", 0x54DD: "right", 0x54BB: "top", 0x54AA: "bottom"}


def clean_aperture(path: Path, container: InputContainer, stream: VideoStream, picture: av.VideoFrame) -> Crop | None:
    """Return the part of a stream's decoded pictures that its container asks to show; None for the whole.

    Numbers that make no sense count as none.
    """
    bounds: tuple[Fraction, Fraction, Fraction, Fraction] | None = None
    size = (picture.width, picture.height)
    with suppress(OSError, ValueError, struct.error, ZeroDivisionError, IndexError):
        if "mov" in container.format.name.split(","):
            with path.open("rb") as file:
                bounds = _of_movie(file, stream.id, *size)
        elif "matroska" in container.format.name.split(","):
            with path.open("rb") as file:
                bounds = _of_matroska(file, container.streams.video.index(stream), *size)
    if bounds is None:
        return None
    left, top, right, bottom = (round(bound) for bound in bounds)
    is_inside = 0 <= left <= right - _LEAST_SIDE and 0 <= top <= bottom - _LEAST_SIDE
    if not is_inside or right > size[0] or bottom > size[1] or (right - left, bottom - top) == size:
        return None
    return Crop(left, top, right - left, bottom - top, size)


def _of_movie(
    file: BinaryIO, track: int, width: int, height: int
) -> tuple[Fraction, Fraction, Fraction, Fraction] | None:
    """Return left, top, right and bottom by ISO/IEC 14496-12, 12.1.4: a size, and how far it is off the middle."""
    for number, trak in tracks(file):
        for start, end in inside(file, trak, b"mdia", b"minf", b"stbl", b"stsd") if number == track else ():
            for entry in boxes(file, (start + 8, end)):
                for clap, _ in boxes(file, (entry[0] + _VISUAL_ENTRY, entry[1]), b"clap"):
                    file.seek(clap)
                    numbers = struct.unpack(">IIIIiIiI", file.read(32))
                    w, h, across, down = (Fraction(*numbers[i : i + 2]) for i in range(0, 8, 2))
                    left, top = across + (width - w) / 2, down + (height - h) / 2
                    return left, top, left + w, top + h
    return None


def _of_matroska(
    file: BinaryIO, video: int, width: int, height: int
) -> tuple[Fraction, Fraction, Fraction, Fraction] | None:
    """Return left, top, right and bottom by RFC 9559, 5.1.4.1.28: pixels to leave out on each side."""
    end = file.seek(0, 2)
    for segment in _elements(file, (0, end), _SEGMENT):
        for listed in _elements(file, segment[1], _TRACKS):
            entries = [
                picture[1]
                for track in _elements(file, listed[1], _TRACK)
                for picture in _elements(file, track[1], _VIDEO)
            ]
            crops = dict.fromkeys(_CROPS.values(), 0)
            for code, (start, stop) in _elements(file, entries[video], *_CROPS):
                file.seek(start)
                crops[_CROPS[code]] = int.from_bytes(file.read(min(8, stop - start)), "big")
            sides = crops["left"], crops["top"], width - crops["right"], height - crops["bottom"]
            left, top, right, bottom = map(Fraction, sides)
            return left, top, right, bottom
    return None


def _elements(file: BinaryIO, window: Window, *codes: int) -> Iterator[tuple[int, Window]]:
    """Yield the EBML elements of those codes directly within a window: code and content (RFC 8794)."""
    place, end = window
    for _ in range(_MOST_ELEMENTS):
        if place >= end:
            return
        file.seek(place)
        code, code_length = _number(file, keeps_marker=True)
        size, size_length = _number(file, keeps_marker=False)
        start = place + code_length + size_length
        is_unknown = size == (1 << 7 * size_length) - 1
        stop = end if is_unknown else min(start + size, end)
        if code in codes:
            yield code, (start, stop)
        place = stop


def _number(file: BinaryIO, *, keeps_marker: bool) -> tuple[int, int]:
    """Return a number of variable length, and its bytes."""
    first = file.read(1)[0]
    length = 9 - first.bit_length()
    if length > 8:
        raise ValueError("an EBML number without a length")
    value = first if keeps_marker else first & ((1 << (8 - length)) - 1)
    return int.from_bytes(bytes([value]) + file.read(length - 1), "big"), length
