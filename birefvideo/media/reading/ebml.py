"""Whether a Matroska or WebM file is built as it should be: where its elements do not follow one another (RFC 8794).

Only heads of elements are read. FFmpeg passes over damage without a word and goes on at the next cluster.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

_EBML, _SEGMENT, _CLUSTER = 0x1A45DFA3, 0x18538067, 0x1F43B675
_SIMPLE_BLOCK, _BLOCK_GROUP, _BLOCK = 0xA3, 0xA0, 0xA1
_TOP = frozenset({0x114D9B74, 0x1549A966, 0x1654AE6B, _CLUSTER, 0x1C53BB6B, 0x1941A469, 0x1043A770, 0x1254C367})
"""What lies in a segment: heads, tracks, clusters, cues, attachments, chapters, tags."""
_IN_CLUSTER = frozenset({0xE7, 0x5854, 0xA7, 0xAB, _SIMPLE_BLOCK, _BLOCK_GROUP, 0xAF})
_ANYWHERE = frozenset({0xEC, 0xBF})  # Void, CRC-32
_IN_GROUP = frozenset({_BLOCK, 0x75A1, 0x9B, 0xFA, 0xFB, 0xFD, 0xA4, 0x75A2, 0x8E, 0xA2, 0xC8})
_CHUNK = 1 << 20  # bytes read at once in search of a cluster


@dataclass
class Structure:
    """What was found wrong."""

    damage: list[int] = field(default_factory=list)
    """Byte positions at which no element begins where one must."""
    is_cut: bool = False
    """Whether the file ends before its last element does."""
    last: int = 0
    """Byte position of the last block, or of the group that it is in; 0 where that is not known."""


def walk(path: Path) -> Structure:
    """Follow the elements of a file from its first to its last; after damage, go on at the next cluster."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        walker = _Walker(file, size)
        walker.run()
        return walker.found


class _Walker:
    def __init__(self, file: BinaryIO, size: int) -> None:
        self.found = Structure()
        self._file, self._size = file, size

    def run(self) -> None:
        """Go through the file."""
        position = 0
        end = self._size
        while position < end:
            head = self._head(position)
            if head is None or head[0] not in (*_TOP, *_ANYWHERE, *_IN_CLUSTER, _SEGMENT, _EBML):
                position = self._after_damage(position)
                continue
            name, body, length = head
            if name == _SEGMENT:
                if length is not None:
                    self.found.is_cut = body + length > self._size
                    end = min(end, body + length)
                position = body
            elif name == _CLUSTER:
                position = self._cluster(body, body + length if length is not None else None)
            elif length is None or body + length > self._size:
                self.found.is_cut = True
                return
            else:
                position = body + length

    def _cluster(self, position: int, end: int | None) -> int:
        """Go through the elements of a cluster; return where the next element begins."""
        while position < min(self._size, self._size if end is None else end):
            head = self._head(position)
            if head is not None and end is None and head[0] in (*_TOP, _SEGMENT, _EBML):
                return position  # a cluster of unknown size ends with the next element of a level above
            if head is None or head[0] not in _IN_CLUSTER | _ANYWHERE or head[2] is None:
                return self._after_damage(position)
            position = head[1] + head[2]
            if end is not None and position > end:
                return self._after_damage(head[1])
            if head[0] in (_SIMPLE_BLOCK, _BLOCK_GROUP):
                self.found.last = head[1]
                if not self._has_track(*head[:2]):
                    self.found.damage.append(head[1])
        if position > self._size or (end is not None and end > self._size):
            self.found.is_cut = True
        return position if end is None else end

    def _has_track(self, name: int, body: int) -> bool:
        """Return whether a block, or the one in a group, begins with the number of a track, which is never 0."""
        if name == _BLOCK_GROUP:
            head = self._head(body)
            if head is None or head[0] not in _IN_GROUP | _ANYWHERE:
                return False
            if head[0] != _BLOCK:
                return True
            body = head[1]
        self._file.seek(body)
        first = self._file.read(1)
        return first not in (b"", b"\x00", b"\x80")

    def _after_damage(self, position: int) -> int:
        """Take note of damage; return where the next cluster begins, or the end of the file."""
        self.found.damage.append(position)
        mark = _CLUSTER.to_bytes(4, "big")
        position += 1
        while position < self._size:
            self._file.seek(position)
            block = self._file.read(_CHUNK + len(mark))
            if (place := block.find(mark)) >= 0:
                return position + place
            position += _CHUNK
        return self._size

    def _head(self, position: int) -> tuple[int, int, int | None] | None:
        """Return an element's name, where its content begins, and its length, None if open; or None where none is."""
        self._file.seek(position)
        head = self._file.read(12)
        width = 9 - head[0].bit_length() if head and head[0] else 9
        if width > 4 or len(head) <= width:
            return None
        name, rest = int.from_bytes(head[:width], "big"), head[width:]
        count = 9 - rest[0].bit_length() if rest[0] else 9
        if count > 8 or len(rest) < count:
            return None
        value = int.from_bytes(rest[:count], "big") & ((1 << 7 * count) - 1)
        return name, position + width + count, None if value == (1 << 7 * count) - 1 else value
