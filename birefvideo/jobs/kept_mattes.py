"""The mattes of a segment that a slow network is at work on, kept on the disk, so that a stop loses a frame or two.

They are the network's answers to the last bit: a segment that is begun again takes them instead of asking it again.
"""

from __future__ import annotations

import struct
import time
import zlib
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import BinaryIO

import numpy as np

from birefvideo.frames import Alpha, AlphaFrame, DecodedFrame
from birefvideo.own_files import make_anew
from birefvideo.pipeline import Matter

SUFFIX = "_mattes.f32"
"""How the name of such a file ends."""
_HEAD = struct.Struct("<qIIII")
"""Before each matte: pts, width, height, CRC-32 of its floats, CRC-32 of these four."""
_SLOW, _FIRST = 0.5, 3.0
"""Seconds a frame from which on mattes are kept, and those that the first frames may take on top."""
_LOOKS = 8
"""Frames by which it is decided; until then the mattes wait in memory."""


class KeptMattes:
    """A network whose answers for one segment are kept in a file while it is slow.

    A disk that refuses is no error: the segment is then computed from its beginning after a stop.
    """

    def __init__(self, inner: Matter, path: Path) -> None:
        self._inner = inner
        self._path = path
        self._waiting: list[tuple[int, Alpha]] = []
        self._seconds = 0.0
        self._is_open = True
        """Whether it is still to be decided, or goes on."""
        self._file: BinaryIO | None = None

    def predict(self, frames: Iterable[DecodedFrame]) -> Iterator[AlphaFrame]:
        """Yield the frames with their alpha, at first as they are in the file; see `Matter`."""
        source = iter(frames)
        length, had = 0, 0
        for frame in source:
            alpha, end = _read(self._path, length, frame)
            if alpha is None:
                source = chain([frame], source)
                break
            length, had = end, had + 1
            yield frame.with_alpha(alpha)
        try:
            if had:
                self._append_from(length)
            yield from self._computed(source)
        finally:
            if self._file is not None:
                self._file.close()

    def _computed(self, frames: Iterator[DecodedFrame]) -> Iterator[AlphaFrame]:
        started = time.monotonic()
        for frame in self._inner.predict(frames):
            self._seconds += time.monotonic() - started
            if self._is_open:
                self._keep(frame)
            yield frame
            started = time.monotonic()

    def _keep(self, frame: AlphaFrame) -> None:
        self._waiting.append((frame.pts, frame.alpha))
        if self._file is None:
            count = len(self._waiting)
            if self._seconds >= _SLOW * count + _FIRST:
                self._append_from(0)
            elif count == _LOOKS:
                self._close()
        if self._file is not None:
            self._write()

    def _append_from(self, length: int) -> None:
        """Open the file behind its first `length` bytes, which are good."""
        try:
            if not length:
                self._path.unlink(missing_ok=True)
                self._file = open(make_anew(self._path), "wb")  # noqa: PTH123, SIM115 - a descriptor; predict closes
            else:
                self._file = self._path.open("r+b")
                self._file.truncate(length)
                self._file.seek(length)
        except OSError:
            self._close()

    def _write(self) -> None:
        assert self._file is not None
        try:
            for pts, alpha in self._waiting:
                data = np.ascontiguousarray(alpha, "<f4").tobytes()
                height, width = alpha.shape
                self._file.write(_head(pts, width, height, zlib.crc32(data)))
                self._file.write(data)
            self._file.flush()
            self._waiting.clear()
        except OSError:
            self._close()
            self._path.unlink(missing_ok=True)  # the room is for what must be written

    def _close(self) -> None:
        self._waiting.clear()
        self._is_open = False
        if self._file is not None:
            self._file.close()
            self._file = None


def kept_frames(path: Path) -> int:
    """Return how many whole mattes a file holds."""
    count = position = 0
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            while (head := _parsed(file.read(_HEAD.size))) is not None:
                position += _HEAD.size + 4 * head[1] * head[2]
                if position > size:
                    break
                file.seek(position)
                count += 1
    except OSError:
        return 0
    return count


def _read(path: Path, position: int, frame: DecodedFrame) -> tuple[Alpha | None, int]:
    """Return the matte that lies at a position of the file, if it is that frame's, and where it ends."""
    picture = frame.picture
    try:
        with path.open("rb") as file:
            file.seek(position)
            head = _parsed(file.read(_HEAD.size))
            if head is None or head[:3] != (frame.pts, picture.width, picture.height):
                return None, position
            data = file.read(4 * picture.width * picture.height)
    except OSError:
        return None, position
    if zlib.crc32(data) != head[3]:  # cut off, too
        return None, position
    alpha = np.frombuffer(data, "<f4").reshape(picture.height, picture.width).copy()
    return alpha, position + _HEAD.size + len(data)


def _head(pts: int, width: int, height: int, crc: int) -> bytes:
    values = struct.pack("<qIII", pts, width, height, crc)
    return values + struct.pack("<I", zlib.crc32(values))


def _parsed(head: bytes) -> tuple[int, int, int, int] | None:
    if len(head) != _HEAD.size:
        return None
    pts, width, height, crc, own = _HEAD.unpack(head)
    return (pts, width, height, crc) if own == zlib.crc32(head[:-4]) else None
