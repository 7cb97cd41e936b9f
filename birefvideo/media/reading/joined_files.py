"""Whether another file begins behind what could be read of one, as where two were joined byte by byte."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

_CHUNK = 1 << 20  # bytes read at once
_FAR = 64  # bytes from a file's first to the last of what tells its kind

Begins = Callable[[bytes], bool]
"""Whether bytes are the first ones of a file of some kind."""


def _is_riff(head: bytes) -> bool:
    return head[8:12] == b"AVI "


def _is_matroska(head: bytes) -> bool:
    return b"matroska" in head or b"webm" in head


def _is_flv(head: bytes) -> bool:
    return int.from_bytes(head[5:9], "big") == 9 and not head[4] & 0b11111010


def _is_certain(head: bytes) -> bool:
    return bool(head)


_HEADS: dict[str, tuple[bytes, Begins]] = {
    "matroska,webm": (b"\x1a\x45\xdf\xa3", _is_matroska),
    "flv": (b"FLV\x01", _is_flv),
    "avi": (b"RIFF", _is_riff),
    "apng": (b"\x89PNG\r\n\x1a\n", _is_certain),
    "asf": (bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c"), _is_certain),
    "ogg": (b"OggS\x00\x02", _is_certain),
    "mxf": (bytes.fromhex("060e2b34020501010d010201010204"), _is_certain),
    "nut": (b"nut/multimedia container\x00", _is_certain),
    "rm": (b".RMF\x00\x00", _is_certain),
    "ivf": (b"DKIF\x00\x00", _is_certain),
    "yuv4mpegpipe": (b"YUV4MPEG2 ", _is_certain),
}
"""The first bytes of formats, by FFmpeg's name, and what else shows that they are no accident."""
_IN_BOXES = "mov,mp4,m4a,3gp,3g2,mj2"


def second_file(path: Path, format_name: str, read_to: int) -> int | None:
    """Return the byte at which another file of the same format begins, or None where none does.

    Args:
        path: the file.
        format_name: FFmpeg's name of its format.
        read_to: byte position of the last packet that could be read; only what comes behind it is looked at.
    """
    if format_name == _IN_BOXES:
        return _second_in_boxes(path, read_to)
    if format_name not in _HEADS or read_to <= 0:  # some demuxers do not say where packets lie
        return None
    mark, is_head = _HEADS[format_name]
    position = read_to + 1
    with path.open("rb") as file:
        file.seek(position)
        for block in iter(partial(file.read, _CHUNK), b""):
            rest = file.read(_FAR)
            file.seek(-len(rest), 1)
            whole = block + rest
            place = whole.find(mark)
            while 0 <= place < len(block):
                if is_head(whole[place : place + _FAR]):
                    return position + place
                place = whole.find(mark, place + 1)
            position += len(block)
    return None


def _second_in_boxes(path: Path, read_to: int) -> int | None:
    """Follow the outermost boxes of a QuickTime or MP4 file (ISO/IEC 14496-12, 4.2) to a second one that opens a file.

    Old QuickTime files have no `ftyp`: there a second `moov` counts, which no file has.
    """
    size, position, movies = path.stat().st_size, 0, 0
    with path.open("rb") as file:
        while position < size:
            file.seek(position)
            head = file.read(16)
            length, kind = int.from_bytes(head[:4], "big"), head[4:8]
            length = int.from_bytes(head[8:], "big") if length == 1 else length or size - position
            movies += kind == b"moov"
            is_second = position and (kind == b"ftyp" or (kind == b"moov" and movies > 1))
            if is_second and position > read_to:
                return position
            if length < 8:
                return None
            position += length
    return None
