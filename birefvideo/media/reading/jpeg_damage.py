"""JPEG whose coded pixels are damaged: FFmpeg refuses what is no code, and says nothing of codes too few or too many.

The codes of damaged data soon fall into step again, a few blocks early or late, and then the data does not end where
the picture does. So each stretch of data between two restart markers is decoded as a picture of its own: bytes put
behind it must not show, and bytes changed at its end must.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from av.video.codeccontext import VideoCodecContext as Decoder

from birefvideo.media.reading.open_input import picture_limit
from birefvideo.planes import plane_array

_START, _END = b"\xff\xd8", b"\xff\xd9"
_BASELINE = (0xC0, 0xC1)  # frames of one pass; of others, every scan adds to the whole picture
_TABLES = (0xC4, 0xDB)
_SCAN, _RESTARTS = 0xDA, 0xDD
_MARKER = re.compile(rb"(?<!\xff)\xff+[^\x00\xff\xd0-\xd7]")
_RESTART = re.compile(rb"\xff([\xd0-\xd7])")
_LARGEST = 65500  # pixels across and down, in FFmpeg
_MOST = 5000  # stretches that are looked at
_LAST = 12  # bytes that are changed
_PATTERNS = (0x55, 0x96, 0x3A)
"""What they are changed by; each alone might happen to show nothing."""
_STRICT = {"err_detect": "explode"}
"""FFmpeg's option for decoders to refuse what they would show as far as it goes."""


@dataclass(frozen=True)
class _Coded:
    """A picture of one scan (ITU-T T.81, B.2)."""

    tables: bytes
    """Segments of tables."""
    frame: bytes
    """The segment that says the size."""
    head: bytes
    """The scan's own segment."""
    data: bytes
    """What follows it, up to the next marker but those of restarts."""
    each: int
    """Blocks between two restarts; 0 where there are none. Blocks are those that hold all components."""

    @property
    def block(self) -> tuple[int, int]:
        """Width and height of a block."""
        factors = self.frame[11::3] if self.frame[9] > 1 else b"\x11"
        return 8 * max(factor >> 4 for factor in factors), 8 * max(factor & 15 for factor in factors)

    @property
    def blocks(self) -> tuple[int, int]:
        """Blocks across and down."""
        sizes = int.from_bytes(self.frame[7:9], "big"), int.from_bytes(self.frame[5:7], "big")
        across, down = (-(-size // side) for size, side in zip(sizes, self.block, strict=True))
        return across, down

    def picture(self, blocks: tuple[int, int], data: bytes) -> bytes:
        """Return data as a picture of so many blocks across and down."""
        width, height = (count * side for count, side in zip(blocks, self.block, strict=True))
        frame = self.frame[:5] + height.to_bytes(2, "big") + width.to_bytes(2, "big") + self.frame[9:]
        return _START + self.tables + frame + self.head + data + _END


def is_damaged_jpeg(path: Path) -> bool:
    """Return whether a JPEG lacks a part, or holds other data than its picture takes."""
    whole = path.read_bytes()
    coded, decoder = _coded(whole), _decoder()
    if coded is None:
        return _decoded(whole, decoder) is None
    restarts = [match[1][0] & 7 for match in _RESTART.finditer(coded.data)]
    count = coded.blocks[0] * coded.blocks[1]
    if restarts != [number % 8 for number in range(-(-count // coded.each) - 1 if coded.each else 0)]:
        return True
    return any(_is_damaged(coded, blocks, data, decoder) for blocks, data in _stretches(coded))


def _coded(whole: bytes) -> _Coded | None:
    """Return what a JPEG's segments say; None where it is not of one scan."""
    at, tables, frame, each = 2, b"", b"", 0
    while at + 4 <= len(whole) and whole[at] == 0xFF:
        if whole[at + 1] == 0xFF:  # fills up
            at += 1
            continue
        kind, end = whole[at + 1], at + 2 + int.from_bytes(whole[at + 2 : at + 4], "big")
        segment = whole[at:end]
        if kind == _SCAN:
            marker = _MARKER.search(whole, end)
            is_one = len(frame) > 9 and len(frame) == 10 + 3 * frame[9] and segment[4:5] == frame[9:10]
            return _Coded(tables, frame, segment, whole[end : marker.start()], each) if is_one and marker else None
        if kind in _TABLES:
            tables += segment
        elif kind in _BASELINE:
            frame = segment
        elif kind == _RESTARTS:
            each = int.from_bytes(segment[4:6], "big")
        at = end
    return None


def _stretches(coded: _Coded) -> Iterator[tuple[tuple[int, int], bytes]]:
    """Yield the stretches between restarts that can be looked at, with the blocks across and down that each fills."""
    if not coded.each:
        yield coded.blocks, coded.data
        return
    left = coded.blocks[0] * coded.blocks[1]
    for data in _RESTART.split(coded.data)[: 2 * _MOST : 2]:
        count = min(coded.each, left)
        left -= count
        if count * coded.block[0] <= _LARGEST:
            yield (count, 1), data


def _is_damaged(coded: _Coded, blocks: tuple[int, int], data: bytes, decoder: Decoder) -> bool:
    shown = _decoded(coded.picture(blocks, data), decoder)
    more = bytes(_PATTERNS) * 8
    if shown is None or _differs(shown, _decoded(coded.picture(blocks, data + more), decoder)):
        return True
    if len(data) < 4 * _LAST:
        return False
    changed = (coded.picture(blocks, _changed(data, pattern)) for pattern in _PATTERNS)
    return not any(_differs(shown, _decoded(one, decoder)) for one in changed)


def _changed(data: bytes, pattern: int) -> bytes:
    """Return data with other bytes at its end, none of them that begins a marker."""
    place = len(data) - _LAST + (data[-_LAST - 1] == 0xFF)
    return data[:place] + bytes((byte ^ pattern) % 0xFF for byte in data[place:])


def _decoder() -> Decoder:
    decoder = Decoder.create("mjpeg", "r")
    decoder.thread_count = 1
    decoder.options = {**picture_limit(), **_STRICT}
    return decoder


def _decoded(picture: bytes, decoder: Decoder) -> av.VideoFrame | None:
    """Return a picture, or None where it is refused: what is not decoded then could be what was there before."""
    try:
        return next(iter(decoder.decode(av.Packet(picture))), None)
    except av.FFmpegError:
        return None


def _differs(one: av.VideoFrame, other: av.VideoFrame | None) -> bool:
    if other is None or (other.width, other.height, other.format.name) != (one.width, one.height, one.format.name):
        return True
    return any(not np.array_equal(plane_array(one, i), plane_array(other, i)) for i in range(len(one.planes)))
