"""The boxes of a QuickTime or MP4 file (ISO/IEC 14496-12, 4.2), found by their names; nothing else of it is read."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO, TypeAlias

Window: TypeAlias = "tuple[int, int]"
"""Where a box's content lies in the file: its first byte, and the one after its last."""

_MOST_BOXES = 10_000


def tracks(file: BinaryIO) -> Iterator[tuple[int, Window]]:
    """Yield the number of each track, which is the `id` of its stream, and its content."""
    for movie in movies(file):
        for track in boxes(file, movie, b"trak"):
            for header, _ in boxes(file, track, b"tkhd"):
                file.seek(header)
                version = file.read(1)[0]
                file.seek(header + (20 if version else 12))
                yield struct.unpack(">I", file.read(4))[0], track


def movies(file: BinaryIO) -> Iterator[Window]:
    """Yield the content of the boxes that describe a film, of which a file has one."""
    yield from boxes(file, (0, file.seek(0, 2)), b"moov")


def inside(file: BinaryIO, window: Window, *path: bytes) -> Iterator[Window]:
    """Yield the content of the boxes that lie in one another as `path` says."""
    if not path:
        yield window
        return
    for box in boxes(file, window, path[0]):
        yield from inside(file, box, *path[1:])


def boxes(file: BinaryIO, window: Window, name: bytes | None = None) -> Iterator[Window]:
    """Yield the content of the boxes of that name directly within a window; None is any name."""
    place, end = window
    for _ in range(_MOST_BOXES):
        if place + 8 > end:
            return
        file.seek(place)
        size, found = struct.unpack(">I4s", file.read(8))
        head = 8
        if size == 1:
            size, head = struct.unpack(">Q", file.read(8))[0], 16
        elif size == 0:
            size = end - place
        if size < head:
            return
        if name in (None, found):
            yield place + head, min(place + size, end)
        place += size
