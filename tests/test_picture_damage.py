"""Damage within the coded pixels of a photo is told, as far as the format shows it; sound photos are left in peace."""

from __future__ import annotations

import random
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from clips import picture
from PIL import Image

from birefvideo.errors import InputError
from birefvideo.media.reading.jpeg_damage import _MARKER, is_damaged_jpeg
from birefvideo.media.reading.picture_losses import is_damaged
from birefvideo.media.reading.probe import probe

GRAIN = np.random.default_rng(2).integers(-20, 21, (96, 128, 3))
KINDS: dict[str, dict[str, object]] = {
    "plain": {"quality": 90},
    "finest": {"quality": 100, "subsampling": 0},
    "coarse": {"quality": 5, "optimize": True},
    "restarts": {"quality": 90, "restart_marker_rows": 1},
    "short restarts": {"quality": 60, "restart_marker_blocks": 3},
    "progressive": {"quality": 90, "progressive": True},
}


def photo(mode: str = "RGB", size: tuple[int, int] = (128, 96)) -> Image.Image:
    codes = np.clip(picture(0, *size) + GRAIN[: size[1], : size[0]], 0, 255).astype(np.uint8)
    return Image.fromarray(codes).convert(mode)


def jpeg(path: Path, image: Image.Image, kind: str) -> bytes:
    image.save(path, "JPEG", **KINDS[kind])
    return path.read_bytes()


@pytest.mark.parametrize("kind", KINDS)
def test_sound_jpegs_are_not_called_damaged(tmp_path: Path, kind: str) -> None:
    for image in (photo(), photo("L"), photo(size=(17, 9)), photo(size=(121, 90)), Image.new("RGB", (96, 64))):
        jpeg(tmp_path / "me.jpg", image, kind)
        assert not is_damaged_jpeg(tmp_path / "me.jpg"), image


@pytest.mark.parametrize(("kind", "least"), [("plain", 14), ("restarts", 14), ("finest", 18)])
def test_most_damage_within_a_jpeg_is_found(tmp_path: Path, kind: str, least: int) -> None:
    path = tmp_path / "me.jpg"
    whole, rng = jpeg(path, photo(), kind), random.Random(4)
    begin = whole.index(b"\xff\xda") + 14
    found = 0
    for number in range(20):
        data, at = bytearray(whole), rng.randrange(begin, len(whole) - 120)
        data[at : at + 100] = bytes(100) if number % 2 else rng.randbytes(100)
        path.write_bytes(data)
        found += is_damaged_jpeg(path)
    assert found >= least


def test_data_that_is_missing_or_left_over_in_a_jpeg_is_found(tmp_path: Path) -> None:
    path = tmp_path / "me.jpg"
    whole = jpeg(path, photo(), "plain")
    for data in (whole[:-2] + whole[900:1000].replace(b"\xff", b"\x7f") + whole[-2:], whole[:-40] + whole[-2:]):
        path.write_bytes(data)
        assert is_damaged_jpeg(path)
        assert [loss.is_end for loss in probe(path).losses] == [True]


def test_each_run_of_fill_bytes_is_gone_through_once(tmp_path: Path) -> None:
    """From within a run nothing can begin, else a run would be gone through once for each of its bytes."""
    run = b"\xff" * 50
    for end in (b"\x00", b"\xd9", b"\xd0"):
        begins = [at for at in range(len(run)) if _MARKER.match(run + end, at)]
        assert begins == ([0] if end == b"\xd9" else [])
    whole = jpeg(tmp_path / "me.jpg", photo(), "plain")
    begin = whole.index(b"\xff\xda") + 14
    filled = whole[:begin] + (run * 10 + b"\x00") * 1000 + whole[begin:]
    found = _MARKER.search(filled, begin)
    assert found and found.span() == (len(filled) - 2, len(filled))
    (tmp_path / "me.jpg").write_bytes(filled)
    assert is_damaged_jpeg(tmp_path / "me.jpg")


def test_restart_markers_out_of_order_are_damage(tmp_path: Path) -> None:
    path = tmp_path / "me.jpg"
    whole = jpeg(path, photo(), "restarts")
    assert b"\xff\xd1" in whole
    path.write_bytes(whole.replace(b"\xff\xd1", b"\xff\xd2", 1))
    assert is_damaged_jpeg(path)


def test_bytes_behind_a_jpeg_are_no_damage(tmp_path: Path) -> None:
    path = tmp_path / "me.jpg"
    whole = jpeg(path, photo(), "plain")
    path.write_bytes(whole + b"left over" + whole)
    assert not is_damaged(path)


@pytest.mark.parametrize("packed", ["tiff_adobe_deflate", "tiff_deflate", "tiff_lzw", "packbits", "raw"])
def test_damage_in_a_tiff_is_found_where_it_has_a_checksum(tmp_path: Path, packed: str) -> None:
    path = tmp_path / "me.tif"
    for mode in ("RGB", "L", "1"):
        photo(mode, (121, 90)).save(path, compression=packed)
        assert not is_damaged(path)
    photo().save(path, compression=packed)
    data = bytearray(path.read_bytes())
    with Image.open(BytesIO(data)) as image:
        begin = image.tag_v2[273][0]
    data[begin + 40 : begin + 400] = random.Random(1).randbytes(360)
    path.write_bytes(data)
    assert is_damaged(path) == ("deflate" in packed)


def test_damage_in_a_png_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "me.png"
    photo().save(path)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(InputError):
        probe(path)
