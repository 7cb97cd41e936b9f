"""Whether an FLV file is built as it should be: each tag is followed by its own length (Adobe FLV 10.1, annex E.3)."""

from __future__ import annotations

from pathlib import Path

from birefvideo.media.reading.ebml import Structure

_HEAD, _TRAILER = 11, 4  # bytes of a tag's head, and of the length behind it
_KINDS = (8, 9, 18)  # sound, pictures, data


def walk(path: Path) -> Structure:
    """Follow the tags of a file from its first to its last; nothing is looked at beyond damage."""
    found = Structure()
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(5)
        position = int.from_bytes(file.read(4), "big") + _TRAILER
        while position < size:
            file.seek(position)
            head = file.read(_HEAD)
            end = position + _HEAD + int.from_bytes(head[1:4], "big")
            file.seek(end)
            trailer = file.read(_TRAILER)
            is_tag = head[0] & 0x1F in _KINDS
            if is_tag and len(trailer) < _TRAILER:
                found.is_cut = True
                break
            if not is_tag or int.from_bytes(trailer, "big") not in (end - position, 0):  # some writers leave it out
                found.damage.append(position)
                break
            position = end + _TRAILER
    return found
