"""A file of many small records that is written once from front to end, read at any place, and known to be whole."""

from __future__ import annotations

import hashlib
import json
import os
import struct
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from birefvideo.own_files import make_anew

_TAIL = struct.Struct("<Q32s8s")
"""Bytes of the index before it, SHA-256 of all that comes before the tail, mark."""
_MARK = b"bvrecord"
_HEAD = struct.Struct("<BIII")
"""Bytes a sample, rows, columns, bytes of the runs' lengths."""
_LEVEL = 1
"""zlib's fastest."""

Plane = NDArray[Any]
"""Codes, uint8 or uint16 (rows, columns)."""


class RecordWriter:
    """Writes records; the file is whole once the block ends without an error.

    Raises:
        OSError: the disk refuses.
    """

    def __init__(self, path: Path) -> None:
        self._file = os.fdopen(make_anew(path), "wb")
        self._hash = hashlib.sha256()
        self._sizes: list[int] = []

    def __enter__(self) -> RecordWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self._file:
            if error is None:
                index = zlib.compress(json.dumps(self._sizes).encode())
                self._put(index)
                self._file.write(_TAIL.pack(len(index), self._hash.digest(), _MARK))

    def write(self, record: bytes) -> None:
        """Add a record, which may be empty."""
        self._sizes.append(len(record))
        self._put(record)

    def _put(self, data: bytes) -> None:
        self._hash.update(data)
        self._file.write(data)


class RecordFile:
    """Reads records by their numbers; for one thread at a time, and to be closed.

    Raises:
        ValueError: the file is not whole.
        OSError: it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        try:
            size = self._file.seek(0, os.SEEK_END)
            self._file.seek(max(0, size - _TAIL.size))
            length, _, mark = _TAIL.unpack(self._file.read(_TAIL.size))
            if mark != _MARK or length > size - _TAIL.size:
                raise ValueError(f"{path} is not whole")
            self._file.seek(size - _TAIL.size - length)
            sizes: Sequence[int] = json.loads(zlib.decompress(self._file.read(length)))
        except (struct.error, zlib.error, ValueError) as error:
            self._file.close()
            raise ValueError(f"{path} is not whole") from error
        self._ends = np.cumsum([0, *sizes], dtype=np.int64)

    def __len__(self) -> int:
        return len(self._ends) - 1

    def read(self, number: int) -> bytes:
        """Return a record."""
        start, end = int(self._ends[number]), int(self._ends[number + 1])
        self._file.seek(start)
        return self._file.read(end - start)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def is_whole_file(path: Path) -> bool:
    """Return whether a file of records holds the bytes that were written."""
    try:
        with path.open("rb") as file:
            left = file.seek(0, os.SEEK_END) - _TAIL.size
            if left < 0:
                return False
            file.seek(0)
            digest = hashlib.sha256()
            while left:
                block = file.read(min(left, 1 << 20))
                digest.update(block)
                left -= len(block)
            _, wanted, mark = _TAIL.unpack(file.read(_TAIL.size))
    except (OSError, struct.error):
        return False
    return bool(mark == _MARK and wanted == digest.digest())


def packed(plane: Plane) -> bytes:
    """Return a plane as a record: the runs of equal codes along its rows, of which a matte has few."""
    flat = plane.ravel()
    begins = np.empty(flat.size, np.bool_)
    begins[:1] = True
    np.not_equal(flat[1:], flat[:-1], out=begins[1:])
    starts = np.flatnonzero(begins)
    lengths = zlib.compress(np.diff(starts, append=flat.size).astype(np.uint32).tobytes(), _LEVEL)
    # The codes are an edge's own noise, which no level makes much smaller.
    return _HEAD.pack(plane.itemsize, *plane.shape, len(lengths)) + lengths + flat[starts].tobytes()


def unpacked(record: bytes, as_type: Callable[[Plane], Plane] = np.asarray) -> Plane:
    """Return the plane of a record.

    Args:
        record: what `packed` gave.
        as_type: what is done to each code, by itself.
    """
    itemsize, rows, columns, size = _HEAD.unpack_from(record)
    lengths = np.frombuffer(zlib.decompress(record[_HEAD.size : _HEAD.size + size]), np.uint32)
    codes = np.frombuffer(record, np.uint16 if itemsize == 2 else np.uint8, offset=_HEAD.size + size)
    plane: Plane = np.repeat(as_type(codes), lengths).reshape(rows, columns)
    return plane
