"""Makers of AVIF photos: whole ones, and ones in tiles as phones save HEIC."""

from __future__ import annotations

import struct
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray


def write_avif(path: Path, rgb: NDArray[np.uint8]) -> Path:
    """An AVIF of one picture, of even sides from 64 on."""
    with av.open(str(path), "w", format="avif") as container:
        stream = container.add_stream("libsvtav1", rate=1, options={"preset": "10", "crf": "10"})
        stream.height, stream.width = rgb.shape[:2]
        stream.pix_fmt = "yuv420p"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(format="yuv420p")))
        container.mux(stream.encode(None))
    return path


def write_tiled(path: Path, whole: Path, side: int, *, thumbnail: bool) -> Path:
    """A photo of two tiles, each of which is the picture of `whole`, and maybe a thumbnail, again the same."""
    data = whole.read_bytes()
    picture = _inside(data, b"mdat")
    av1c = _box(b"av1C", _inside(data, b"meta", b"iprp", b"ipco", b"av1C"))
    coded = (1, 2, 4) if thumbnail else (1, 2)
    entries = b"".join(_full(b"infe", struct.pack(">HH4sB", i, 0, b"av01", 0), 2, i != 4) for i in coded)
    entries += _full(b"infe", struct.pack(">HH4sB", 3, 0, b"grid", 0), 2)
    references = _box(b"dimg", struct.pack(">HHHH", 3, 2, 1, 2))
    references += _box(b"thmb", struct.pack(">HHH", 4, 1, 3)) if thumbnail else b""
    sizes = [_full(b"ispe", struct.pack(">II", width, side)) for width in (side, 2 * side)]
    owned = [(i, b"\x01\x82") for i in coded] + [(3, b"\x03")]
    owners = b"".join(struct.pack(">HB", i, len(own)) + own for i, own in sorted(owned))
    properties = _box(b"ipco", sizes[0] + av1c + sizes[1])
    properties += _full(b"ipma", struct.pack(">I", len(owned)) + owners)

    def meta(at: int) -> bytes:
        places = [(i, 0, at, len(picture)) for i in coded] + [(3, 1, 0, 8)]
        items = b"".join(struct.pack(">HHHHII", i, kind, 0, 1, *place) for i, kind, *place in sorted(places))
        return _full(
            b"meta",
            _full(b"hdlr", struct.pack(">I4s12xB", 0, b"pict", 0))
            + _full(b"pitm", struct.pack(">H", 3))
            + _full(b"iloc", struct.pack(">BBH", 0x44, 0, len(places)) + items, 1)
            + _full(b"iinf", struct.pack(">H", len(coded) + 1) + entries)
            + _full(b"iref", references)
            + _box(b"iprp", properties)
            + _box(b"idat", struct.pack(">BBBBHH", 0, 0, 0, 1, 2 * side, side)),
        )

    head = _box(b"ftyp", b"avif\0\0\0\0avifmif1miaf")
    path.write_bytes(head + meta(len(head) + len(meta(0)) + 8) + _box(b"mdat", picture))
    return path


def write_with_opacity(path: Path, colour: Path, opacity: Path, sides: tuple[int, int]) -> Path:
    """A photo whose opacity is the luma of another one; `sides` are the width and the height of both."""
    found = [path.read_bytes() for path in (colour, opacity)]
    pictures = [_inside(data, b"mdat") for data in found]
    heads = [_box(b"av1C", _inside(data, b"meta", b"iprp", b"ipco", b"av1C")) for data in found]
    kind = _full(b"auxC", b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha\0")
    properties = _box(b"ipco", _full(b"ispe", struct.pack(">II", *sides)) + b"".join(heads) + kind)
    owners = struct.pack(">IHB", 2, 1, 2) + b"\x01\x82" + struct.pack(">HB", 2, 3) + b"\x01\x83\x04"
    entries = b"".join(_full(b"infe", struct.pack(">HH4sB", i, 0, b"av01", 0), 2) for i in (1, 2))

    def meta(at: int) -> bytes:
        places = [(1, at, len(pictures[0])), (2, at + len(pictures[0]), len(pictures[1]))]
        items = b"".join(struct.pack(">HHHII", i, 0, 1, *place) for i, *place in places)
        return _full(
            b"meta",
            _full(b"hdlr", struct.pack(">I4s12xB", 0, b"pict", 0))
            + _full(b"pitm", struct.pack(">H", 1))
            + _full(b"iloc", struct.pack(">BBH", 0x44, 0, 2) + items)
            + _full(b"iinf", struct.pack(">H", 2) + entries)
            + _full(b"iref", _box(b"auxl", struct.pack(">HHH", 2, 1, 1)))
            + _box(b"iprp", properties + _full(b"ipma", owners)),
        )

    head = _box(b"ftyp", b"avif\0\0\0\0avifmif1miaf")
    path.write_bytes(head + meta(len(head) + len(meta(0)) + 8) + _box(b"mdat", b"".join(pictures)))
    return path


def _box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I4s", len(body) + 8, kind) + body


def _full(kind: bytes, body: bytes, version: int = 0, flags: int = 0) -> bytes:
    return _box(kind, struct.pack(">I", version << 24 | flags) + body)


def _inside(data: bytes, *kinds: bytes) -> bytes:
    """What is in the first box of a kind, inside the first of another, and so on."""
    for kind in kinds:
        at = 0
        while data[at + 4 : at + 8] != kind:
            at += struct.unpack_from(">I", data, at)[0]
        data = data[at + 8 : at + struct.unpack_from(">I", data, at)[0]]
        data = data[4:] if kind == b"meta" else data
    return data
