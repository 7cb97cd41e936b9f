"""Whether MPEG transport and program streams are built as they should be: where packets do not follow (ISO 13818-1).

FFmpeg passes over damage and goes on at the next packet that it knows.
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from birefvideo.media.reading.ebml import Structure

_SYNC = 0x47
_SIZES = ((188, 0), (192, 4), (204, 0))
"""Length of a transport packet, and the place of its first byte: plain, with a time before it, with checks behind."""
_CHUNK = 4096  # transport packets read at once
_HEADED = frozenset([0xBD, *range(0xC0, 0xF0)])
"""The last bytes of start codes of sound and pictures."""
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
        position, carriers = 0, set[int]()
        while block := file.read(length * _CHUNK):
            packets = np.frombuffer(block, np.uint8, len(block) // length * length).reshape(-1, length)[:, place:]
            places = np.flatnonzero((packets[:, 0] != _SYNC) | _has_lost_start(packets, carriers))
            found.damage += (position + places * length).tolist()
            position += len(block)
        file.seek(max(0, size // length - _CHUNK) * length)
        last = [file.read(length)[place:] for _ in range(min(_CHUNK, size // length))]
        found.is_cut = bool(size % length) or _is_unfinished(last, carriers)
    return found


def _has_lost_start(packets: NDArray[np.uint8], carriers: set[int]) -> NDArray[np.bool_]:
    """Return which transport packets say that a packet of a stream begins in them, and hold no such beginning.

    Args:
        packets: one a row, from its first byte on.
        carriers: the numbers of the streams in which such packets began so far; is added to.
    """
    kind, control = packets[:, 1], packets[:, 3]
    begins = (packets[:, 0] == _SYNC) & (kind & 0xC0 == 0x40) & (control & 0xD0 == 0x10)  # whole, and not scrambled
    head = 4 + np.where(control & 0x20, 1 + packets[:, 4].astype(np.int64), 0)
    bytes_there = np.take_along_axis(packets, np.minimum(head[:, None] + np.arange(10), packets.shape[1] - 1), axis=1)
    is_start = (bytes_there[:, :3] == (0, 0, 1)).all(axis=1)
    number = (kind & 0x1F).astype(np.int64) << 8 | packets[:, 2]
    carriers |= set(number[begins & is_start].tolist())
    is_headed = is_start & np.isin(bytes_there[:, 3], list(_HEADED))
    has_time, time = bytes_there[:, 7] & 0x80 != 0, bytes_there[:, 9]
    is_broken = is_headed & ((bytes_there[:, 6] & 0xC0 != 0x80) | (has_time & (time & 0xE1 != 0x21)))
    lost: NDArray[np.bool_] = begins & (~is_start | is_broken) & np.isin(number, list(carriers))
    return lost


def _is_unfinished(packets: list[bytes], carriers: set[int]) -> bool:
    """Return whether a packet of a stream that gives its length ends in none of the last transport packets."""
    missing: dict[int, int] = {}
    for packet in packets:
        number, control = int.from_bytes(packet[1:3], "big") & 0x1FFF, packet[3]
        if number not in carriers or control & 0xD0 != 0x10:
            continue
        payload = packet[4 + (1 + packet[4] if control & 0x20 else 0) : _SIZES[0][0]]
        if packet[1] & 0x40:
            length = int.from_bytes(payload[4:6], "big")  # 0 where it does not say, as pictures may
            missing[number] = 6 + length if length else 0
        missing[number] = missing.get(number, 0) - len(payload)
    return any(rest > 0 for rest in missing.values())


def walk_program(path: Path) -> Structure:
    """Follow the packets of a program stream from its first to its last; after damage, go on at the next pack."""
    found, is_second = Structure(), True
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
            if head[3] == _PACK:
                is_second = head[4:5] >= b"\x40"  # MPEG-2, not MPEG-1
            elif head[3] in _HEADED and len(head) > 9 and not _is_head(head[6:], is_second=is_second):
                found.damage.append(position)
            position = end
    return found


def _is_head(head: bytes, *, is_second: bool) -> bool:
    """Return whether the head of a packet of pictures or sound may go on so behind its length."""
    first = head[0]
    if is_second:
        return first & 0xC0 == 0x80 and (not head[1] & 0x80 or head[3] & 0xE1 == 0x21)
    return first in (0xFF, 0x0F) or first & 0xC0 == 0x40 or first & 0xE0 == 0x20


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
