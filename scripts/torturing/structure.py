"""Ways to spoil a media file by its own structure: boxes of QuickTime and MP4, elements of Matroska, chunks of RIFF."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

_NUMBERS = (0, 1, 2, 7, 255, 65535, 2**24, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**62, 2**63 - 1, 2**63, 2**64 - 1)
_PARENT_BOXES = {
    *(b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts", b"udta", b"dinf", b"moof", b"traf", b"mvex", b"meta"),
    *(b"iprp", b"ipco"),
}
_PARENT_CHUNKS = {b"RIFF", b"LIST"}
_PARENT_ELEMENTS = {
    *(b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67", b"\x15\x49\xa9\x66", b"\x16\x54\xae\x6b", b"\xae", b"\xe0", b"\xe1"),
    *(b"\x1f\x43\xb6\x75", b"\xa0", b"\x1c\x53\xbb\x6b", b"\xbb", b"\xb7", b"\x11\x4d\x9b\x74", b"\x4d\xbb"),
    *(b"\x12\x54\xc3\x67", b"\x73\x73", b"\x10\x43\xa7\x70"),
}
_MOST, _DEEPEST = 4000, 40
"""Pieces that are looked at, and how deep they may lie."""


@dataclass(frozen=True)
class Piece:
    """A box, an element or a chunk."""

    start: int
    """Where its header begins."""
    size_at: int
    """Where its size is written."""
    size_bytes: int
    """How many bytes the size takes."""
    body: int
    """Where what it holds begins."""
    end: int
    """Where it ends."""
    order: str
    """How its numbers are written: 'big', 'little', or 'ebml' for big ones whose first bit says how long they are."""
    parent: int
    """Index of the one around it, -1 at the top."""


def pieces(data: bytes) -> list[Piece]:
    """Return the pieces of a file, each before those in it; none where it is of no kind that is known."""
    if data[:4] == b"\x1a\x45\xdf\xa3":
        parse = _element
    elif data[:4] in _PARENT_CHUNKS:
        parse = _chunk
    elif data[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
        parse = _box
    else:
        return []
    found: list[Piece] = []
    _collect(data, 0, len(data), -1, parse, found)
    return found


def _collect(
    data: bytes, at: int, end: int, parent: int, parse: Callable[[bytes, int, int, int], tuple[Piece, int] | None],
    found: list[Piece],
) -> None:  # fmt: skip
    while at < end and len(found) < _MOST:
        parsed = parse(data, at, end, parent)
        if parsed is None:
            return
        piece, inner = parsed
        found.append(piece)
        if inner >= 0 and _depth(piece, found) < _DEEPEST:
            _collect(data, inner, piece.end, len(found) - 1, parse, found)
        at = max(piece.end + (piece.end % 2 if piece.order == "little" else 0), at + 1)


def _depth(piece: Piece, found: list[Piece]) -> int:
    return sum(1 for _ in _around(piece, found))


def _box(data: bytes, at: int, end: int, parent: int) -> tuple[Piece, int] | None:
    if at + 8 > end:
        return None
    size, name = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
    size_at, size_bytes, body = at, 4, at + 8
    if size == 1:
        size, size_at, size_bytes, body = int.from_bytes(data[at + 8 : at + 16], "big"), at + 8, 8, at + 16
    last = end if size == 0 else min(end, at + max(size, 8))
    inner = body + 4 * (name == b"meta") if name in _PARENT_BOXES else -1
    return Piece(at, size_at, size_bytes, body, last, "big", parent), inner


def _chunk(data: bytes, at: int, end: int, parent: int) -> tuple[Piece, int] | None:
    if at + 8 > end:
        return None
    size, name = int.from_bytes(data[at + 4 : at + 8], "little"), data[at : at + 4]
    piece = Piece(at, at + 4, 4, at + 8, min(end, at + 8 + size), "little", parent)
    return piece, at + 12 if name in _PARENT_CHUNKS else -1


def _element(data: bytes, at: int, end: int, parent: int) -> tuple[Piece, int] | None:
    id_bytes = 9 - data[at].bit_length()
    size_at = at + id_bytes
    if size_at >= end or id_bytes > 4:
        return None
    size_bytes = 9 - data[size_at].bit_length()
    if size_bytes > 8:
        return None
    body = size_at + size_bytes
    size = int.from_bytes(data[size_at:body], "big") & ((1 << 7 * size_bytes) - 1)
    unknown = size == (1 << 7 * size_bytes) - 1
    piece = Piece(at, size_at, size_bytes, body, end if unknown else min(end, body + size), "ebml", parent)
    return piece, body if data[at:size_at] in _PARENT_ELEMENTS else -1


def spoil_structure(data: bytes, rng: random.Random, other: bytes = b"") -> bytes:
    """Return a file with one of its pieces of another size, with other numbers, doubled, lost, moved, or buried deep.

    Half of the time the sizes of those around it are made right again. `other` is a file whose pieces may come in.
    A file of no known structure is returned as it is.
    """
    found = pieces(data)
    if not found:
        return data
    piece = rng.choice(found[1:] or found)
    kind = rng.choice(("size", "size", "number", "number", "number", "doubled", "lost", "moved", "buried", "foreign"))
    if kind == "size":
        return _with_size(data, piece, _odd_size(piece, len(data), rng))
    if kind == "number":
        small = [one for one in found if one.body < one.end <= one.body + 4096]
        piece = rng.choice(small or found)
        return _with_number(data, piece, rng)
    whole = data[piece.start : piece.end]
    if kind == "doubled":
        new = whole * rng.choice((2, 3, 200) if len(whole) < 2000 else (2, 3))
    elif kind == "lost":
        new = b""
    elif kind == "moved":
        return _exchanged(data, piece, rng.choice(found))
    elif kind == "foreign":
        theirs = pieces(other)
        one = rng.choice(theirs) if theirs else piece
        new = (other if theirs else data)[one.start : one.end][:100_000]
    else:
        new = _buried(data, piece, found, rng.choice((3, 40, 2000)))
    return _replaced(data, piece, new, found if rng.random() < 0.5 else [])


def _odd_size(piece: Piece, length: int, rng: random.Random) -> int:
    own = piece.end - piece.start
    return max(0, rng.choice((*_NUMBERS, own - 1, own + 1, own // 2, own * 2, length - piece.start, length)))


def _with_size(data: bytes, piece: Piece, size: int) -> bytes:
    end = piece.size_at + piece.size_bytes
    if piece.order == "ebml":
        bits = 7 * piece.size_bytes
        written = (size % (1 << bits) | 1 << bits).to_bytes(piece.size_bytes, "big")
    else:
        written = (size % 256**piece.size_bytes).to_bytes(
            piece.size_bytes, "little" if piece.order == "little" else "big"
        )
    return data[: piece.size_at] + written + data[end:]


def _with_number(data: bytes, piece: Piece, rng: random.Random) -> bytes:
    """Return a file with a number of a piece made extreme: counts, timescales, sizes of pictures, times."""
    width = rng.choice(
        (piece.end - piece.body,) if piece.order == "ebml" and piece.end - piece.body <= 8 else (1, 2, 4, 4, 4, 8)
    )
    place = piece.body + width * rng.randrange(max(1, (piece.end - piece.body) // max(1, width)))
    if place + width > piece.end or not width:
        return _with_size(data, piece, rng.choice(_NUMBERS))
    number = rng.choice(_NUMBERS) % 256**width
    return data[:place] + number.to_bytes(width, "little" if piece.order == "little" else "big") + data[place + width :]


def _exchanged(data: bytes, one: Piece, other: Piece) -> bytes:
    first, second = sorted((one, other), key=lambda piece: piece.start)
    if second.start < first.end:
        return data[: first.start] + data[first.end :] + data[first.start : first.end]
    parts = data[second.start : second.end], data[first.end : second.start], data[first.start : first.end]
    return data[: first.start] + b"".join(parts) + data[second.end :]


def _buried(data: bytes, piece: Piece, found: list[Piece], depth: int) -> bytes:
    """Return a piece inside so many headers of the one around it."""
    around = found[piece.parent] if piece.parent >= 0 else piece
    whole = data[piece.start : piece.end][:5000]
    name = data[around.start : around.size_at] if around.order != "big" else data[around.start + 4 : around.start + 8]
    for _ in range(depth):
        if around.order == "ebml":
            whole = name + (len(whole) | 1 << 56).to_bytes(8, "big") + whole
        elif around.order == "little":
            whole = name + (len(whole) + 4).to_bytes(4, "little") + b"hdrl" + whole
        else:
            whole = (len(whole) + 8).to_bytes(4, "big") + name + whole
    return whole


def _replaced(data: bytes, piece: Piece, new: bytes, found: list[Piece]) -> bytes:
    """Return a file with another piece in place of one, and with the sizes of those around it made right.

    Args:
        found: all pieces, to find those around it; none: their sizes stay as they are.
    """
    grown = len(new) - (piece.end - piece.start)
    changed = data[: piece.start] + new + data[piece.end :]
    for around in _around(piece, found):
        size = around.end + grown - (around.start if around.order == "big" else around.body)
        changed = _with_size(changed, around, size)
    return changed


def _around(piece: Piece, found: list[Piece]) -> Iterator[Piece]:
    while found and piece.parent >= 0:
        piece = found[piece.parent]
        yield piece
