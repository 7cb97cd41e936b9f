"""Slices of H.264 and HEVC with zeros in them, as holes in a file leave them, which a decoder may take for pictures.

No three bytes of zero follow one another in a slice (ITU-T H.264, 7.4.1; H.265, 7.4.2). A decoder of arithmetic codes
makes something of any bytes, so that only those of other codecs show damage of themselves.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator

from av.video.codeccontext import VideoCodecContext

_ZEROS = bytes(3)
_RUN = re.compile(rb"\0{3,}")
_LONG = 100
"""Zeros that do not fill up a transport stream, which has other stuffing; elsewhere any number may, before a start."""
_START = b"\0\0\1"
_LENGTH_AT = {"h264": 4, "hevc": 21}
"""Byte of the extradata that says how many bytes a unit's length takes, where units have lengths; it begins with 1."""


class SliceCheck:
    """Tells of each packet of a stream whether a slice in it has zeros where none can be."""

    def __init__(self, context: VideoCodecContext, format_name: str) -> None:
        self._most_filling = _LONG - 1 if format_name == "mpegts" else sys.maxsize
        self._is_hevc = context.codec.canonical_name == "hevc"
        self.applies = context.codec.canonical_name in _LENGTH_AT
        extradata = context.extradata or b""
        place = _LENGTH_AT["hevc" if self._is_hevc else "h264"]
        has_lengths = len(extradata) > place and extradata[0] == 1
        self._length = (extradata[place] & 3) + 1 if has_lengths else 0

    def is_zeroed(self, data: bytes) -> bool:
        """Return whether a packet holds such a slice."""
        if _ZEROS not in data:
            return False
        return any(map(self._is_slice, self._with_lengths(data) if self._length else self._with_starts(data)))

    def _with_lengths(self, data: bytes) -> Iterator[int]:
        """Yield the first byte of every unit with zeros in it, but for those that fill it up."""
        at = 0
        while at + self._length < len(data):
            begin = at + self._length
            at = begin + int.from_bytes(data[at:begin], "big")
            if _ZEROS in data[begin:at].rstrip(b"\0"):
                yield data[begin]

    def _with_starts(self, data: bytes) -> Iterator[int]:
        """Yield the first byte of every unit with zeros in it, where units begin with start codes."""
        start, sought = -1, 0
        # Of each run once, and of what lies between them: a packet may be megabytes of zeros.
        for run in _RUN.finditer(data):
            begin, end = run.span()
            start, sought = max(start, data.rfind(_START, sought, begin)), begin
            is_filling = end - begin <= self._most_filling and data[end : end + 1] in (b"", b"\1")
            if start >= 0 and not is_filling:
                yield data[start + len(_START)]

    def _is_slice(self, head: int) -> bool:
        return (head >> 1 & 0x3F) < 32 if self._is_hevc else 1 <= head & 0x1F <= 5
