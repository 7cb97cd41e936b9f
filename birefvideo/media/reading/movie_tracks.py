"""What the tracks of a QuickTime or MP4 file ask for and FFmpeg passes over: media in other files, and other speeds."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

from av.container import InputContainer

from birefvideo.media.metadata import counted
from birefvideo.media.reading.movie_boxes import Window, boxes, inside, movies, tracks

_MOST_BYTES = 1 << 16  # of a box that is read as a whole
_IN_THIS_FILE = 1  # flag of a data reference (ISO/IEC 14496-12, 8.7.2)
_SLOWEST, _FASTEST = Fraction(1, 100), 100  # other rates are mistakes of who wrote the file, and so is a film at 0
_SHORT_ALIAS = 150  # bytes up to which a Mac's alias names no file


@dataclass(frozen=True)
class Speed:
    """A stretch of a track that is not to be played as it is stored (ISO/IEC 14496-12, 8.6.6)."""

    start: Fraction
    """When it begins in the film, in seconds."""
    length: Fraction
    """How long it lasts in the film, in seconds."""
    rate: Fraction
    """Times as fast; 0 holds one picture, and below 0 it goes backwards."""


def lies_elsewhere(path: Path, container: InputContainer, track: int) -> bool:
    """Return whether a track's pictures or sounds are in another file, which must not be opened; False if in doubt."""
    with suppress(OSError, ValueError, struct.error, IndexError), path.open("rb") as file:
        return any(_is_elsewhere(file, window) for window in _track(file, container, track))
    return False


def only_refers(path: Path) -> bool:
    """Return whether a QuickTime film has no tracks, but names other films."""
    with suppress(OSError, ValueError, struct.error, IndexError), path.open("rb") as file:
        return any(True for movie in movies(file) for _ in boxes(file, movie, b"rmra"))
    return False


def speed_doubts(path: Path, container: InputContainer, of: Sequence[int]) -> list[str]:
    """Return a line where edit lists give some of a file's tracks another speed than that of what is stored."""
    found: set[Speed] = set()
    with suppress(OSError, ValueError, struct.error, IndexError, ZeroDivisionError), path.open("rb") as file:
        scale = _timescale(file)
        for track in of:
            for window in _track(file, container, track):
                found.update(_speeds(file, window, scale))
    if not found:
        return []
    first = min(found, key=lambda speed: speed.start)
    places = len({speed.start for speed in found}) - 1
    what = f"{float(first.rate):.3g} times the speed" if first.rate else "a picture to be held"
    more = f", and more at {counted(places, 'further place')}" if places else ""
    left_out = " and what does not fit in is left out" if any(speed.rate > 1 for speed in found) else ""
    return [
        f"the file asks for {what} for {float(first.length):.3g} s from {float(first.start):.3g} s on{more}, which is "
        f"not done: pictures and sound go at the speed that they are stored in{left_out}; export the clip with that "
        "change made"
    ]


def _track(file: BinaryIO, container: InputContainer, track: int) -> Iterator[Window]:
    if "mov" in container.format.name.split(","):
        yield from (window for number, window in tracks(file) if number == track)


def _is_elsewhere(file: BinaryIO, track: Window) -> bool:
    """Return whether a track's first kind of samples is in a file that its data references name."""
    entries = [
        _content(file, entry)
        for start, end in inside(file, track, b"mdia", b"minf", b"stbl", b"stsd")
        for entry in boxes(file, (start + 8, end))
    ]
    used = struct.unpack_from(">H", entries[0], 6)[0] - 1
    references = [
        (start, end)
        for first, last in inside(file, track, b"mdia", b"minf", b"dinf", b"dref")
        for start, end in boxes(file, (first + 8, last))
    ]
    start, end = references[used if 0 <= used < len(references) else 0]
    file.seek(start - 4)
    kind = file.read(4)
    content = _content(file, (start, end))
    if content[3] & _IN_THIS_FILE:
        return False
    if kind == b"alis":
        return len(content) > _SHORT_ALIAS
    return kind in (b"url ", b"urn ", b"rsrc") and bool(content[4:].strip(b"\0"))


def _speeds(file: BinaryIO, track: Window, scale: int) -> Iterator[Speed]:
    for window in inside(file, track, b"edts", b"elst"):
        content = _content(file, window)
        entry, size = (">QqhH", 20) if content[0] else (">IihH", 12)
        start = Fraction(0)
        places = range(8, len(content) - size + 1, size)
        for place in places:
            ticks, media, whole, part = struct.unpack_from(entry, content, place)
            rate, length = whole + Fraction(part, 1 << 16), Fraction(ticks, scale)
            is_meant = _SLOWEST <= abs(rate) <= _FASTEST if rate else len(places) > 1
            if media >= 0 and rate != 1 and length and is_meant:
                yield Speed(start, length, rate)
            start += length


def _timescale(file: BinaryIO) -> int:
    """Return the ticks a second in which edits are long."""
    for movie in movies(file):
        for window in boxes(file, movie, b"mvhd"):
            content = _content(file, window)
            return int(struct.unpack_from(">I", content, 20 if content[0] else 12)[0])
    return 0


def _content(file: BinaryIO, window: Window) -> bytes:
    file.seek(window[0])
    return file.read(min(window[1] - window[0], _MOST_BYTES))
