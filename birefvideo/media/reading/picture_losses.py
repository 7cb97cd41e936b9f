"""Photos that are cut off or damaged, and that a decoder shows in part or in black without a word."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

from birefvideo.errors import InputError
from birefvideo.media.reading.jpeg_damage import is_damaged_jpeg

_JPEG = b"\xff\xd8\xff"
_TIFF = (b"II*\0", b"MM\0*")
_PACKED, _STRIPS, _STRIP_SIZES, _TILE_WIDTH, _VERSION_OF_DNG = 259, 273, 279, 322, 50706
_MOST_STRIPS = 1 << 20
_PACKED_AS = {
    6: "JPEG",
    7: "JPEG",
    34712: "JPEG 2000",
    34887: "LERC",
    50000: "Zstandard",
    50001: "WebP",
    50002: "JPEG XL",
}
"""TIFF's numbers for what FFmpeg does not unpack: it shows black."""
_DEFLATED, _AT_ONCE = (8, 32946), 1 << 20
"""TIFF's numbers for strips that zlib has packed, and the bytes of one that are unpacked at once."""


def check_readable(path: Path) -> None:
    """Refuse a TIFF that FFmpeg would show as black.

    Raises:
        InputError: it is packed, or cut into tiles, in a way that FFmpeg does not know.
    """
    tags = _tiff_tags(path)
    packed = _PACKED_AS.get(tags.get(_PACKED, (1,))[0])
    if _VERSION_OF_DNG in tags or not (packed or _TILE_WIDTH in tags):
        return
    what = f"is a TIFF packed as {packed}" if packed else "is a TIFF in tiles"
    raise InputError(f"{path} {what}, damaged or of a kind that is not read here; convert it to PNG")


def is_damaged(path: Path) -> bool:
    """Return whether a photo that can be decoded lacks a part, or is a JPEG or TIFF of damaged data."""
    with path.open("rb") as file:
        head = file.read(4)
    if head.startswith(_JPEG):
        return is_damaged_jpeg(path)
    if head.startswith(b"GIF8"):
        return _is_cut_gif(path)
    tags = _tiff_tags(path)
    if not tags:
        return False
    strips = list(zip(tags.get(_STRIPS, ()), tags.get(_STRIP_SIZES, ()), strict=False))
    is_deflated = tags.get(_PACKED, (1,))[0] in _DEFLATED
    return max((at + size for at, size in strips), default=0) > path.stat().st_size or (
        is_deflated and _has_broken_strip(path, strips)
    )


def _has_broken_strip(path: Path, strips: list[tuple[int, int]]) -> bool:
    """Return whether zlib cannot unpack a strip to its end, where a checksum is."""
    with path.open("rb") as file:
        for at, size in strips:
            file.seek(at)
            packed, unpacker = file.read(size), zlib.decompressobj()
            try:
                while not unpacker.eof and (unpacker.decompress(packed, _AT_ONCE) or unpacker.unconsumed_tail):
                    packed = unpacker.unconsumed_tail
            except zlib.error:
                return True
            if not unpacker.eof:
                return True
    return False


def _is_cut_gif(path: Path) -> bool:
    """Return whether a GIF ends within a block (GIF89a, 16 to 27)."""
    data = path.read_bytes()
    at = 13 + _colours(data[10:11])
    while at < len(data) and data[at] != 0x3B:
        at += {0x21: 2, 0x2C: 11 + _colours(data[at + 9 : at + 10])}.get(data[at], len(data))
        while at < len(data) and data[at]:
            at += 1 + data[at]
        at += 1
    return at > len(data)


def _colours(flags: bytes) -> int:
    """Return how many bytes a table of colours takes that a byte of flags announces."""
    return 3 << (1 + (flags[0] & 7)) if flags and flags[0] & 0x80 else 0


def _tiff_tags(path: Path) -> dict[int, tuple[int, ...]]:
    """Return the numbers in the first directory of a TIFF file, by tag; empty for any other file."""
    tags: dict[int, tuple[int, ...]] = {}
    with path.open("rb") as file:
        head = file.read(8)
        if not head.startswith(_TIFF):
            return tags
        order = "<" if head[:1] == b"I" else ">"
        try:
            file.seek(struct.unpack(f"{order}I", head[4:])[0])
            (count,) = struct.unpack(f"{order}H", file.read(2))
            for entry in struct.iter_unpack(f"{order}HHI4s", file.read(12 * count)):
                tag, kind, number, value = entry
                letter = {3: "H", 4: "I"}.get(kind)
                if letter is None or number > _MOST_STRIPS:
                    continue
                size = struct.calcsize(letter) * number
                if size > len(value):
                    file.seek(struct.unpack(f"{order}I", value)[0])
                    value = file.read(size)
                tags[tag] = struct.unpack(f"{order}{number}{letter}", value[:size])
        except struct.error:
            pass
    return tags
