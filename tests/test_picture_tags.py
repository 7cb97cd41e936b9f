"""What a picture's file says beside its pixels: which way up it is, and its colour profile."""

from __future__ import annotations

import struct
import subprocess
import sys
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from clips import picture

from birefvideo.media.reading.decode import read_frames
from birefvideo.media.reading.picture_tags import PictureTags, read_picture_tags
from birefvideo.media.reading.probe import probe
from birefvideo.planes import plane_array

PROFILE = struct.pack(">I8x4s4s4s", 40, b"mntr", b"RGB ", b"XYZ ") + bytes(12) + b"acsp"
"""As much of an ICC profile as is looked at."""

UPRIGHT = {
    1: lambda stored: stored,
    2: lambda stored: stored[:, ::-1],
    3: lambda stored: stored[::-1, ::-1],
    4: lambda stored: stored[::-1],
    5: lambda stored: stored.T,
    6: lambda stored: stored.T[:, ::-1],
    7: lambda stored: stored[::-1, ::-1].T,
    8: lambda stored: stored.T[::-1],
}
"""How a viewer shows stored rows and columns, by EXIF's orientation."""


def exif(orientation: int, order: str) -> bytes:
    head = b"II*\0" if order == "<" else b"MM\0*"
    return head + struct.pack(f"{order}IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def encoded(suffix: str) -> bytes:
    return cv2.imencode(suffix, picture(0)[..., ::-1])[1].tobytes()


def jpeg_with(segments: bytes) -> bytes:
    return encoded(".jpg")[:2] + segments + encoded(".jpg")[2:]


def png_with(*chunks: bytes) -> bytes:
    return encoded(".png")[:33] + b"".join(chunks) + encoded(".png")[33:]  # after IHDR


def segment(mark: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, mark, len(body) + 2) + body


def webp_with(kind: bytes, body: bytes) -> bytes:
    plain = encoded(".webp")[12:]
    canvas = struct.pack("<I", 95)[:3] + struct.pack("<I", 63)[:3]
    parts = b"VP8X" + struct.pack("<IB3x", 10, 0x08 if kind == b"EXIF" else 0x20) + canvas
    more = kind + struct.pack("<I", len(body)) + body + bytes(len(body) % 2)
    whole = parts + (plain + more if kind == b"EXIF" else more + plain)
    return b"RIFF" + struct.pack("<I", len(whole) + 4) + b"WEBP" + whole


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["jpg", "png", "webp"])
def test_a_photo_is_shown_as_its_exif_says(tmp_path: Path, orientation: int, kind: str) -> None:
    tag = exif(orientation, ">" if orientation % 2 else "<")
    path = tmp_path / f"photo.{kind}"
    made = {
        "jpg": lambda: jpeg_with(segment(0xE1, b"Exif\0\0" + tag)),
        "png": lambda: png_with(chunk(b"eXIf", tag)),
        "webp": lambda: webp_with(b"EXIF", tag),
    }
    path.write_bytes(made[kind]())
    shown = plane_array(next(read_frames(probe(path))).picture, 0).astype(float)
    luma = picture(0) @ np.array([0.299, 0.587, 0.114])
    likeness = {
        number: np.corrcoef(shown.ravel(), turn(luma).ravel())[0, 1] if turn(luma).shape == shown.shape else 0
        for number, turn in UPRIGHT.items()
    }
    assert max(likeness, key=likeness.__getitem__) == orientation and likeness[orientation] > 0.9


def test_a_profile_is_read_whole_from_every_kind_of_file(tmp_path: Path) -> None:
    packed = b"name\0\0" + zlib.compress(PROFILE)
    halves = [b"ICC_PROFILE\0" + bytes([n + 1, 2]) + PROFILE[n * 20 :][: 20 + 80 * n] for n in range(2)]
    for name, data in (
        ("a.png", png_with(chunk(b"iCCP", packed))),
        ("a.jpg", jpeg_with(segment(0xE2, halves[1]) + segment(0xE2, halves[0]))),
        ("a.webp", webp_with(b"ICCP", PROFILE)),
    ):
        (tmp_path / name).write_bytes(data)
        assert read_picture_tags(tmp_path / name) == PictureTags(profile=PROFILE), name


def test_damaged_tags_count_as_not_said(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    whole = jpeg_with(segment(0xE1, b"Exif\0\0" + exif(6, "<")))
    for size in range(0, 60, 3):
        path.write_bytes(whole[:size])
        assert read_picture_tags(path) in (None, PictureTags(), PictureTags(3))
    path.write_bytes(png_with(chunk(b"iCCP", b"name\0\0" + zlib.compress(bytes(1 << 26)))))
    tags = read_picture_tags(path)
    assert tags is not None and len(tags.profile) == 1 << 24  # and not all 64 MiB of a bomb
    path.write_bytes(b"no picture")
    assert read_picture_tags(path) is None


def test_a_png_with_a_colour_profile_does_not_end_the_process(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    path.write_bytes(png_with(chunk(b"iCCP", b"name\0\0" + zlib.compress(PROFILE))))
    code = "import gc, sys; from pathlib import Path; from birefvideo.media.reading.probe import probe"
    code += "; probe(Path(sys.argv[1])); gc.collect(); print('alive')"
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "alive\n"), done.stderr
