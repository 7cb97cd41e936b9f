"""Whether an FLV file is built as it should be (Adobe FLV 10.1, annex E.3 and E.4).

Each tag is followed by its own length, and begins with the codec of those before it.
"""

from __future__ import annotations

from pathlib import Path

from birefvideo.media.reading.ebml import Structure

_HEAD, _TRAILER = 11, 4  # bytes of a tag's head, and of the length behind it
_SOUND, _PICTURES, _DATA = _KINDS = (8, 9, 18)
_COMMAND = 5  # in place of a picture's kind: the tag has none


def walk(path: Path) -> Structure:
    """Follow the tags of a file from its first to its last; nothing is looked at beyond one that is not built so."""
    found, codecs = Structure(), dict[int, bytes]()
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(5)
        position = int.from_bytes(file.read(4), "big") + _TRAILER
        while position < size:
            file.seek(position)
            head = file.read(_HEAD)
            codec = _codec(head[0], file.read(5))
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
            if codec and codecs.setdefault(head[0], codec) != codec:
                found.damage.append(position)
            position = end + _TRAILER
    return found


def _codec(kind: int, data: bytes) -> bytes:
    """Return by what a tag's data begins with how they are coded; b'' where they have no such mark."""
    if kind == _SOUND:
        return bytes([data[0] & 0xF0]) if data else b""
    if kind != _PICTURES or not data or (data[0] >> 4) & 7 == _COMMAND:
        return b""
    # Since 2023, a code of four letters may stand behind the first byte (Enhanced RTMP).
    return data[1:5] if data[0] & 0x80 else bytes([data[0] & 0x0F])
