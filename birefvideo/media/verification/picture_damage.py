"""Damage in OpenEXR and TIFF files, which FFmpeg's decoders show as black lines without a word."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

from birefvideo.errors import InputError

_EXR = b"\x76\x2f\x31\x01"
_TIFF = b"II*\0"
_HALF = 2
"""Bytes of a sample of OpenEXR."""
_ONE_PART, _ZIPS, _IS_HALF = b"\2\0\0\0", b"\2", 1
"""How OpenEXR says: lines of one picture, one packed at a time, samples of half floats."""
_BLOCK = struct.Struct("<ii")
"""What each line of OpenEXR begins with: its number and its size in bytes."""
_DEFLATED = (8, 32946)
"""TIFF's numbers for strips that zlib has packed."""


def check_picture(path: Path) -> None:
    """Refuse a picture of which a byte is missing or damaged, where its decoder would not tell.

    Only what is built as we build it is looked at: half floats in ZIPS, 1 line a block, and packed or plain strips.

    Raises:
        InputError: a part of it is missing, or cannot be unpacked to its size.
    """
    data = path.read_bytes()
    check = _check_exr if data.startswith(_EXR) else _check_tiff if data.startswith(_TIFF) else None
    try:
        if check:
            check(data)
    except (struct.error, zlib.error, ValueError, LookupError, OverflowError, MemoryError) as error:
        raise InputError(f"{path.name} is damaged") from error


def _check_exr(data: bytes) -> None:
    """Unpack every line. Source: "OpenEXR File Layout", openexr.com."""
    at, fields = _header(data)
    kinds = _channels(fields[b"channels"])
    if data[4:8] != _ONE_PART or fields[b"compression"] != _ZIPS or set(kinds) != {_IS_HALF}:
        return
    left, top, right, bottom = struct.unpack("<4i", fields[b"dataWindow"])
    size = (right - left + 1) * _HALF * len(kinds)
    offsets = struct.unpack_from(f"<{bottom - top + 1}Q", data, at)
    at += 8 * len(offsets)
    for index, offset in enumerate(offsets):
        line, packed = _BLOCK.unpack_from(data, offset)
        block = data[offset + _BLOCK.size : offset + _BLOCK.size + packed]
        whole = len(block) if packed == size else _unpacked(block, size)
        if (offset, line, whole) != (at, top + index, size):
            raise ValueError(f"line {index}")
        at += _BLOCK.size + packed
    if at != len(data):
        raise ValueError("its end")


def _check_tiff(data: bytes) -> None:
    """Unpack every strip of a little-endian file of one picture. Source: TIFF revision 6.0, Adobe."""
    (at,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, at)
    tags = {}
    for index in range(count):
        tag, kind, number, value = struct.unpack_from("<HHI4s", data, at + 2 + 12 * index)
        letter = {3: "H", 4: "I"}.get(kind)
        if letter:
            size = struct.calcsize(letter) * number
            place = struct.unpack("<I", value)[0] if size > len(value) else 0
            tags[tag] = struct.unpack_from(f"<{number}{letter}", data if size > len(value) else value, place)
    if 322 in tags or tags.get(259) not in ((1,), *((number,) for number in _DEFLATED)) or tags.get(284, (1,)) != (1,):
        return  # tiles, another packing, or planes
    (width,), (height,), (compression,) = tags[256], tags[257], tags[259]
    row = width * sum(tags[258]) // 8
    (rows,) = tags.get(278, (height,))
    strips = list(zip(tags[273], tags[279], strict=True))
    if len(strips) != -(-height // rows):
        raise ValueError("a strip is missing")
    for index, (offset, packed) in enumerate(strips):
        wanted = min(rows, height - index * rows) * row
        block = data[offset : offset + packed]
        whole = _unpacked(block, wanted) if compression in _DEFLATED else len(block)
        if whole != wanted or len(block) != packed:
            raise ValueError(f"strip {index}")


def _unpacked(block: bytes, size: int) -> int:
    """Return how many bytes a block is unpacked, at most one more than it should be.

    Raises:
        zlib.error: it is damaged.
    """
    unpacker = zlib.decompressobj()
    whole = len(unpacker.decompress(block, size + 1))
    if whole == size and not unpacker.eof:
        whole += len(unpacker.decompress(unpacker.unconsumed_tail, 1))
    return whole if unpacker.eof else -1


def _header(data: bytes) -> tuple[int, dict[bytes, bytes]]:
    """Return where the header ends, and its attributes."""
    at, fields = len(_EXR) + 4, {}
    while data[at]:
        name, _, _ = data[at : at + 256].partition(b"\0")
        kind, _, _ = data[at + len(name) + 1 : at + len(name) + 257].partition(b"\0")
        at += len(name) + len(kind) + 2
        (size,) = struct.unpack_from("<i", data, at)
        if size < 0:
            raise ValueError("a negative size")
        fields[name] = data[at + 4 : at + 4 + size]
        at += 4 + size
    return at + 1, fields


def _channels(listed: bytes) -> list[int]:
    """Return the channels' kinds of samples: a name, a zero and sixteen bytes each, and a zero at the end."""
    kinds: list[int] = []
    at = 0
    while listed[at]:
        at = listed.index(0, at) + 1
        kinds += struct.unpack_from("<I", listed, at)
        at += 16
    return kinds
