"""What a picture's file says beside its pixels: how it is to be turned, and which colour space it is in.

Read from the file itself: PyAV gives up on a picture's side data as soon as EXIF is among them, and frees a PNG's
colour profile twice, which ends the process.
Sources: Exif 2.32 (CIPA DC-008), 4.5 and 4.6; ICC.1:2022, annex B; PNG (third edition), 11.3; RFC 9649; TIFF 6.0;
ISO/IEC 23008-12:2022, 6.5.10 and 6.5.12, ISO/IEC 14496-12, 12.1.5.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

_PNG = b"\x89PNG\r\n\x1a\n"
_TIFF = (b"II*\0", b"MM\0*")
_EXIF = b"Exif\0\0"
_JPEG_PROFILE = b"ICC_PROFILE\0"
_ORIENTATION, _PROFILE = 0x0112, 0x8773
STILL_BRANDS = frozenset([b"avif", b"heic", b"heix", b"heim", b"heis", b"mif1", b"miaf"])
"""Major brands of HEIF files whose content is one picture."""
_BYTES_OF_TYPE = {1: 1, 3: 2, 4: 4, 7: 1}
"""Bytes of one value, by TIFF's types that these two tags may have."""
_MOST = 1 << 24
"""Longest profile that is read, in bytes: real ones have less than a tenth of it."""
_MOST_PARTS = 10_000
"""Chunks, segments or directory entries after which a file is given up."""
_TURNS = {
    1: (0, False),
    2: (0, True),
    3: (2, False),
    4: (2, True),
    5: (3, True),
    6: (3, False),
    7: (1, True),
    8: (1, False),
}
"""Counter-clockwise quarter turns, then whether to flip left to right, by EXIF's orientation."""


@dataclass(frozen=True)
class PictureTags:
    """What a picture's file says beside its pixels."""

    quarter_turns: int = 0
    """Counter-clockwise quarter turns that bring it upright."""
    mirrored: bool = False
    """Whether it is flipped left to right after the turns."""
    profile: bytes = b""
    """Its ICC profile, or nothing."""


def read_picture_tags(path: Path) -> PictureTags | None:
    """Return what a PNG, JPEG, WebP, TIFF or HEIF file says of itself; None for any other kind of file.

    What is damaged counts as not said.
    """
    turns, mirrored, profile = 0, False, b""
    try:
        with path.open("rb") as file:
            head = file.read(12)
            file.seek(0)
            parts = _parts(file, head)
            if parts is None:
                return None
            for tag, value in parts:
                if tag == _PROFILE:
                    profile = value[:_MOST]
                else:
                    turns, mirrored = _TURNS.get(value[0], (0, False))
    except (OSError, ValueError, IndexError, struct.error, zlib.error, MemoryError):
        pass
    return PictureTags(turns, mirrored, profile)


def _parts(file: BinaryIO, head: bytes) -> Iterator[tuple[int, bytes]] | None:
    """Yield (tag, value): orientation as EXIF's number in one byte, and profiles."""
    if head.startswith(_PNG):
        return _of_png(file)
    if head.startswith(b"\xff\xd8\xff"):
        return _of_jpeg(file)
    if head[:4] == b"RIFF" and head[8:] == b"WEBP":
        return _of_webp(file)
    if head[4:8] == b"ftyp" and head[8:] in STILL_BRANDS:
        return _of_heif(file)
    return _of_tiff(file, 0) if head.startswith(_TIFF) else None


def _of_png(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    file.seek(len(_PNG))
    for _ in range(_MOST_PARTS):
        size, kind = struct.unpack(">I4s", file.read(8))
        if kind == b"iCCP" and size <= _MOST:
            body = file.read(size)
            packed = body[body.index(b"\0") + 2 :]
            yield _PROFILE, zlib.decompressobj().decompress(packed, _MOST)
            file.seek(4, 1)
        elif kind == b"eXIf":
            begin = file.tell()
            yield from _of_tiff(file, begin)
            file.seek(begin + size + 4)
        elif kind == b"IEND":
            return
        else:
            file.seek(size + 4, 1)


def _of_jpeg(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    file.seek(2)
    profile: dict[int, bytes] = {}
    for _ in range(_MOST_PARTS):
        mark = file.read(2)
        while mark == b"\xff\xff":  # filling
            mark = b"\xff" + file.read(1)
        if len(mark) < 2 or mark[0] != 0xFF or mark[1] in (0xDA, 0xD9):  # the scan, or the end
            break
        (size,) = struct.unpack(">H", file.read(2))
        begin = file.tell()
        if mark[1] == 0xE1 and file.read(6) == _EXIF:
            yield from _of_tiff(file, begin + 6)
        elif mark[1] == 0xE2:
            body = file.read(size - 2)
            if body.startswith(_JPEG_PROFILE):
                profile[body[len(_JPEG_PROFILE)]] = body[len(_JPEG_PROFILE) + 2 :]
        file.seek(begin + size - 2)
    if profile and sorted(profile) == [*range(1, len(profile) + 1)]:
        yield _PROFILE, b"".join(profile[number] for number in sorted(profile))


def _of_webp(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    file.seek(12)
    for _ in range(_MOST_PARTS):
        head = file.read(8)
        if len(head) < 8:
            return
        kind, size = struct.unpack("<4sI", head)
        begin = file.tell()
        if kind == b"ICCP" and size <= _MOST:
            yield _PROFILE, file.read(size)
        elif kind == b"EXIF":
            skip = len(_EXIF) if file.read(6) == _EXIF else 0  # which some writers put before it
            yield from _of_tiff(file, begin + skip)
        file.seek(begin + size + size % 2)


def _of_tiff(file: BinaryIO, begin: int) -> Iterator[tuple[int, bytes]]:
    """Read the first directory of a TIFF file, or of EXIF, which begins at `begin`."""
    file.seek(begin)
    head = file.read(8)
    if head[:4] not in _TIFF:
        return
    order = "<" if head[:1] == b"I" else ">"
    file.seek(begin + struct.unpack(f"{order}I", head[4:])[0])
    (count,) = struct.unpack(f"{order}H", file.read(2))
    entries = file.read(12 * min(count, _MOST_PARTS))
    for at in range(0, len(entries) - 11, 12):
        tag, kind, number = struct.unpack(f"{order}HHI", entries[at : at + 8])
        size = _BYTES_OF_TYPE.get(kind, 0) * number
        if tag == _ORIENTATION and kind == 3:
            yield tag, bytes([min(255, *struct.unpack(f"{order}H", entries[at + 8 : at + 10]))])
        elif tag == _PROFILE and 4 < size <= _MOST:
            file.seek(begin + struct.unpack(f"{order}I", entries[at + 8 : at + 12])[0])
            yield tag, file.read(size)


def _of_heif(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Read the first turn, mirror axis and profile among the properties: a file of one photo has one of each."""
    properties = _box(_box(_box(file.read(_MOST), b"meta")[4:], b"iprp"), b"ipco")
    colour, turn, mirror = (_box(properties, kind) for kind in (b"colr", b"irot", b"imir"))
    if colour[:4] in (b"prof", b"rICC"):
        yield _PROFILE, colour[4:]
    upright = turn[0] & 3 if turn else 0, False
    if mirror:  # after the turn; 1 exchanges left and right, 0 top and bottom
        upright = (upright[0] + (0 if mirror[0] & 1 else 2)) % 4, True
    yield _ORIENTATION, bytes(number for number, meant in _TURNS.items() if meant == upright)


def _box(data: bytes, wanted: bytes) -> bytes:
    """Return what is in the first box of a kind among boxes that lie side by side, or nothing."""
    at = 0
    while at + 8 <= len(data):
        size, kind = struct.unpack(">I4s", data[at : at + 8])
        if kind == wanted:
            return data[at + 8 : at + size]
        at += max(size, 8)
    return b""
