"""Whether an MP4 or QuickTime file is built as it should be: where its boxes do not follow (ISO/IEC 14496-12, 4.2).

It matters for a film in fragments, which has no index of all its pictures: FFmpeg ends at the first box that is broken.
"""

from __future__ import annotations

from pathlib import Path

from birefvideo.media.reading.ebml import Structure

_LEAST = 8  # bytes of a box
_FILLING = 1 << 20  # zeros after which no film is expected


def walk(path: Path) -> Structure:
    """Follow the boxes of a file from its first to its last; nothing is looked at beyond damage.

    `last` is the place of the last fragment's head, 0 where the film is not in fragments.
    """
    found = Structure()
    with path.open("rb") as file:
        size, position = file.seek(0, 2), 0
        while position < size:
            file.seek(position)
            head = file.read(16)
            length = int.from_bytes(head[:4], "big")
            length = int.from_bytes(head[8:], "big") if length == 1 else length or size - position
            if len(head) < _LEAST or length < _LEAST or not _is_name(head[4:8]):
                if any(head) or any(file.read(_FILLING)):  # zeros may fill a file up
                    found.damage.append(position)
                break
            found.is_cut = position + length > size
            found.last = position if head[4:8] == b"moof" else found.last
            position += length
    return found


def _is_name(kind: bytes) -> bool:
    """Return whether four bytes are a box's name: letters and digits, of whatever maker."""
    return all(32 <= byte < 127 or byte == 0xA9 for byte in kind)
