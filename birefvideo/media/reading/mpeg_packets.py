"""Whether MPEG transport and program streams are built as they should be: where packets do not follow (ISO 13818-1).

FFmpeg passes over damage and goes on at the next packet that it knows.
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from birefvideo.media.reading.ebml import Structure

_SYNC = 0x47
_SIZES = ((188, 0), (192, 4), (204, 0))
"""Length of a transport packet, and the place of its first byte: plain, with a time before it, with checks behind."""
_CHUNK = 4096  # transport packets read at once
_PACK, _END, _LOWEST = 0xBA, 0xB9, 0xBB
"""The last bytes of start codes of packs, of a program's end, and the first with a length behind it."""


def walk_transport(path: Path) -> Structure:
    """Follow the packets of a transport stream; after damage, go on where they would be."""
    found = Structure()
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(0)
        head = file.read(204 * 5)
        fits = (
            [(length, place) for length, place in _SIZES if {head[place + length * i] for i in range(4)} == {_SYNC}]
            if len(head) >= 204 * 5
            else []
        )
        if not fits:
            return found
        length, place = fits[0]
        file.seek(0)
        position = 0
        while block := file.read(length * _CHUNK):
            marks = block[place::length]
            if marks.count(_SYNC) != len(marks):
                found.damage += [position + i * length for i, mark in enumerate(marks) if mark != _SYNC]
            position += len(block)
        found.is_cut = bool(size % length)
    return found


def walk_program(path: Path) -> Structure:
    """Follow the packets of a program stream from its first to its last; after damage, go on at the next pack."""
    found = Structure()
    with path.open("rb") as file:
        size, position = file.seek(0, 2), 0
        while position < size:
            file.seek(position)
            head = file.read(14)
            if len(head) < 4 or head[:3] != b"\0\0\1" or head[3] < _END:
                if any(head):  # zeros may fill a file up
                    found.damage.append(position)
                position = _next_pack(file, position + 1, size)
                continue
            end = position + _length(head)
            found.is_cut = end > size
            position = end
    return found


def _length(head: bytes) -> int:
    kind = head[3]
    if kind == _END:
        return 4
    if kind == _PACK:
        return (14 + (head[13] & 7) if len(head) > 13 else 14) if head[4:5] >= b"\x40" else 12
    return 6 + int.from_bytes(head[4:6], "big")


def _next_pack(file: BinaryIO, position: int, size: int) -> int:
    mark = bytes([0, 0, 1, _PACK])
    while position < size:
        file.seek(position)
        block = file.read((1 << 20) + 3)
        if (place := block.find(mark)) >= 0:
            return position + place
        position += 1 << 20
    return size
