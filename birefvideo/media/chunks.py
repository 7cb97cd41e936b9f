"""The chunks that PNG and WebP files are made of, as bytes."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

PNG_HEAD = b"\x89PNG\r\n\x1a\n"
"""How a PNG begins."""


def png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield (kind, body) of a PNG's chunks.

    Raises:
        ValueError: it is no PNG.
    """
    if data[:8] != PNG_HEAD:
        raise ValueError("not a PNG")
    at = 8
    while at < len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        yield kind, data[at + 8 : at + 8 + length]
        at += 12 + length


def png_chunk(kind: bytes, body: bytes) -> bytes:
    """Return a PNG's chunk with its length and checksum."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def riff_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield (kind, body) of a WebP's chunks.

    Raises:
        ValueError: it is no WebP.
    """
    if data[:4] != b"RIFF" or data[8:12] != b"WEBP":
        raise ValueError("not a WebP")
    at = 12
    while at < len(data):
        kind, length = riff_head(data[at : at + 8])
        yield kind, data[at + 8 : at + 8 + length]
        at += 8 + length + length % 2


def riff_head(data: bytes) -> tuple[bytes, int]:
    """Return kind and length of a chunk; the length is negative where the head is cut off."""
    return (data[:4], int.from_bytes(data[4:8], "little")) if len(data) == 8 else (b"", -1)


def riff_chunk(kind: bytes, body: bytes) -> bytes:
    """Return a WebP's chunk with its length, padded to an even one."""
    return kind + struct.pack("<I", len(body)) + body + bytes(len(body) % 2)
