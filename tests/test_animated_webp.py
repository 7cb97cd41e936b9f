"""Animated WebP as input: its pictures as players put them together, with their times and alpha."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import cast

import av
import numpy as np
import pytest
from clips import picture
from numpy.typing import NDArray
from PIL import Image

import birefvideo
from birefvideo.errors import InputError
from birefvideo.frames import Span
from birefvideo.jobs.options import Options
from birefvideo.jobs.plan import as_asked
from birefvideo.media.format_table import get_format
from birefvideo.media.reading.decode import read_frames
from birefvideo.media.reading.open_input import open_input
from birefvideo.media.reading.probe import probe
from birefvideo.media.reading.stills import is_still
from birefvideo.planes import to_444
from birefvideo.rgb import rgb_codes
from birefvideo.scoring.read_mattes import open_mattes

RGBA = NDArray[np.uint8]
SIZE = (64, 48)


@dataclass
class Piece:
    """One picture of an animation, and what becomes of it."""

    rgba: RGBA
    corner: tuple[int, int] = (0, 0)
    duration: int = 40
    blends: bool = False
    clears: bool = False


def u24(number: int) -> bytes:
    return number.to_bytes(3, "little")


def chunk(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("<I", len(body)) + body + bytes(len(body) % 2)


def encoded(rgba: RGBA, lossless: bool) -> bytes:
    """The chunks of a picture of its own: ALPH and VP8, or VP8L."""
    encoder = av.CodecContext.create("libwebp", "w")
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.width, encoder.height = rgba.shape[1], rgba.shape[0]
    encoder.pix_fmt, encoder.time_base = "bgra" if lossless else "yuva420p", Fraction(1, 25)
    encoder.options = {"lossless": str(int(lossless)), "quality": "95", "exact": "1"}
    frame = av.VideoFrame.from_ndarray(rgba, format="rgba").reformat(format=encoder.pix_fmt, threads=1)
    data = b"".join(bytes(packet) for packet in [*encoder.encode(frame), *encoder.encode(None)])
    at, kept = 12, b""
    while at < len(data):
        kind, length = data[at : at + 4], struct.unpack_from("<I", data, at + 4)[0]
        kept += data[at : at + 8 + length + length % 2] if kind in (b"ALPH", b"VP8 ", b"VP8L") else b""
        at += 8 + length + length % 2
    return kept


def write_webp(path: Path, pieces: Sequence[Piece], *, lossless: bool = True, size: tuple[int, int] = SIZE) -> Path:
    body = b"WEBP" + chunk(b"VP8X", bytes([0x12, 0, 0, 0]) + u24(size[0] - 1) + u24(size[1] - 1))
    body += chunk(b"ANIM", bytes(6))
    for one in pieces:
        height, width = one.rgba.shape[:2]
        head = b"".join(map(u24, (one.corner[0] // 2, one.corner[1] // 2, width - 1, height - 1, one.duration)))
        flags = (0 if one.blends else 2) | one.clears
        body += chunk(b"ANMF", head + bytes([flags]) + encoded(one.rgba, lossless))
    path.write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)
    return path


def solid(colour: tuple[int, int, int, int], size: tuple[int, int] = SIZE) -> RGBA:
    return np.full((size[1], size[0], 4), colour, np.uint8)


def drawn(index: int) -> RGBA:
    """A picture of tests/clips.py with alpha that falls from left to right."""
    alpha = np.broadcast_to(np.linspace(255, 0, SIZE[0]).round().astype(np.uint8), SIZE[::-1])
    return np.dstack([picture(index, *SIZE), alpha])


def shown(path: Path) -> list[RGBA]:
    with open_input(path) as container:
        return [
            np.asarray(frame.reformat(format="rgba", threads=1).to_ndarray(), np.uint8)
            for frame in container.decode(video=0)
        ]


def test_pictures_times_and_alpha_are_the_files_own(tmp_path: Path) -> None:
    pieces = [Piece(drawn(index), duration=duration) for index, duration in enumerate((40, 110, 7, 1000))]
    path = write_webp(tmp_path / "a.webp", pieces)
    info = probe(path)
    assert (info.width, info.height) == SIZE
    assert info.duration == Fraction(1157, 1000)
    assert not info.still
    frames = list(read_frames(as_asked(info, Options())))
    assert [(frame.seconds * 1000, frame.duration * info.time_base * 1000) for frame in frames] == [
        *((0, 40), (40, 110), (150, 7), (157, 1000))
    ]
    for found, piece in zip(shown(path), pieces, strict=True):
        np.testing.assert_array_equal(found[..., 3], piece.rgba[..., 3])
        seen = piece.rgba[..., 3] > 0  # the encoder of the test paints over what nobody sees
        np.testing.assert_array_equal(found[seen], piece.rgba[seen])


def test_lossy_pictures_keep_their_codes_alpha_and_matrix(tmp_path: Path) -> None:
    path = write_webp(tmp_path / "a.webp", [Piece(drawn(index)) for index in range(3)], lossless=False)
    info = probe(path)
    assert (info.pix_fmt, info.colour.matrix, info.colour.range) == ("yuv444p", 6, 1)
    for index, found in enumerate(shown(path)):
        opaque = drawn(index)[..., 3] > 128
        assert np.abs(found[opaque].astype(int) - drawn(index)[opaque])[:, :3].mean() < 6
        np.testing.assert_allclose(found[..., 3], drawn(index)[..., 3], atol=1)  # swscale's, before the encoder


@pytest.mark.parametrize("lossless", [True, False])
def test_pictures_that_build_on_one_another_are_put_together(tmp_path: Path, lossless: bool) -> None:
    red, half, hole = (200, 40, 40, 255), (40, 40, 200, 128), (0, 0, 0, 0)
    pieces = [
        Piece(solid(red)),
        Piece(solid(half, (16, 16)), corner=(8, 4), blends=True, clears=True),
        Piece(solid(hole, (8, 8)), corner=(40, 20)),
        Piece(solid(red, (8, 8)), corner=(40, 20), blends=True),
    ]
    found = shown(write_webp(tmp_path / "a.webp", pieces, lossless=lossless))
    assert len(found) == 4
    slack = 1 if lossless else 12

    def is_near(pixel: RGBA, wanted: tuple[int, int, int, int]) -> bool:
        return bool(np.abs(pixel.astype(int) - wanted).max() <= slack)

    assert is_near(found[0][10, 10], red)
    assert is_near(found[1][10, 10], (120, 40, 120, 255))
    assert is_near(found[1][30, 30], red)
    assert found[2][10, 10, 3] == 0  # cleared after its picture
    assert found[2][22, 42, 3] == 0  # replaced by nothing
    assert is_near(found[3][22, 42], red)
    assert is_near(found[3][30, 30], red)


def test_translucent_over_translucent_is_straight_alpha_over(tmp_path: Path) -> None:
    pieces = [Piece(solid((255, 0, 0, 128))), Piece(solid((0, 0, 255, 128)), blends=True)]
    found = shown(write_webp(tmp_path / "a.webp", pieces))[1][0, 0]
    np.testing.assert_allclose(found, (85, 0, 170, 192), atol=1)


def test_every_span_gives_the_frames_of_the_whole(tmp_path: Path) -> None:
    info = probe(write_webp(tmp_path / "a.webp", [Piece(drawn(index), duration=30 + index) for index in range(12)]))
    whole = [(frame.pts, bytes(frame.picture.planes[0])) for frame in read_frames(info)]
    cut = whole[7][0]
    parts = [
        (frame.pts, bytes(frame.picture.planes[0]))
        for span in (Span(None, cut), Span(cut, None))
        for frame in read_frames(info, span, context=2)
        if frame.core
    ]
    assert parts == whole


def test_it_is_matted_with_its_times(tmp_path: Path, network: Path) -> None:
    path = write_webp(tmp_path / "a.webp", [Piece(drawn(index), duration=50 + 10 * index) for index in range(4)])
    result = birefvideo.matte(path, tmp_path / "out", ["webm", "webp-anim"], model=network, device="cpu")
    assert result.frames == 4
    assert not result.losses
    for output in result.outputs:
        assert open_mattes(output).times == tuple(Fraction(t, 1000) for t in (0, 50, 110, 180))


def test_a_webp_of_one_picture_stays_a_picture(tmp_path: Path) -> None:
    chunks = encoded(drawn(0), True)
    path = tmp_path / "one.webp"
    path.write_bytes(b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WEBP" + chunks)
    assert is_still(path)
    assert probe(path).still


def test_pictures_without_a_duration_are_shown_as_players_do(tmp_path: Path) -> None:
    info = probe(write_webp(tmp_path / "a.webp", [Piece(drawn(index), duration=0) for index in range(3)]))
    assert [frame.seconds for frame in read_frames(info)] == [0, Fraction(1, 10), Fraction(1, 5)]


def _cut(data: bytearray) -> bytes:
    return bytes(data[:-20])


def _outside(data: bytearray) -> bytes:
    data[data.index(b"ANMF") + 8] = 200  # its left edge
    return bytes(data)


def _garbled(data: bytearray) -> bytes:
    at = data.rindex(b"VP8L") + 8
    data[at : at + 40] = bytes(40)
    return bytes(data)


def _no_pictures(data: bytearray) -> bytes:
    body = bytes(data[8 : data.index(b"ANMF")])
    return b"RIFF" + struct.pack("<I", len(body)) + body


@pytest.mark.parametrize("damage", [_cut, _outside, _garbled, _no_pictures])
def test_a_damaged_one_is_one_line(tmp_path: Path, damage: object) -> None:
    path = write_webp(tmp_path / "a.webp", [Piece(drawn(index)) for index in range(3)])
    assert callable(damage)
    path.write_bytes(damage(bytearray(path.read_bytes())))
    with pytest.raises(InputError) as caught:
        list(read_frames(probe(path)))
    assert "\n" not in str(caught.value)


def coloured_wave() -> RGBA:
    """Colours that change across, at one brightness."""
    y, x = np.mgrid[: SIZE[1], : SIZE[0]].astype(float)
    wave = 60 * np.sin(x / 4) * np.cos(y / 9)
    rgb = np.stack([128 + wave, 128 - wave * 0.299 / 0.587, 128 + 0 * wave, 255 + 0 * wave], -1)
    return np.rint(rgb).astype(np.uint8)


def shift(rgb: NDArray[np.uint8], truth: NDArray[np.uint8]) -> float:
    """By how many pixels red lies right of the truth."""
    red, true_red = rgb[..., 0].astype(float), truth[..., 0].astype(float)
    slope = np.gradient(true_red, axis=1)[4:-4, 4:-4]
    return float(-((red - true_red)[4:-4, 4:-4] * slope).sum() / (slope**2).sum())


@pytest.mark.parametrize("is_blended", [False, True])
def test_lossy_pictures_have_their_chroma_where_libwebp_shows_it(tmp_path: Path, is_blended: bool) -> None:
    rgba = coloured_wave()
    pieces = [Piece(rgba), Piece(rgba, blends=is_blended)]
    path = write_webp(tmp_path / "wave.webp", pieces, lossless=False)
    for index, frame in enumerate(read_frames(probe(path))):
        with Image.open(path) as image:
            image.seek(index)
            theirs = np.asarray(image.convert("RGB"))
        assert abs(shift(rgb_codes(to_444(frame.picture)), theirs)) < 0.05


def test_lossy_pictures_are_written_with_their_chroma_where_libwebp_shows_it() -> None:
    format, rgba = get_format("webp-anim"), coloured_wave()
    encoder = cast(av.VideoCodecContext, av.CodecContext.create(str(format.codec), "w"))
    encoder.width, encoder.height = SIZE
    encoder.pix_fmt, encoder.time_base, encoder.options = format.pix_fmt, Fraction(1, 25), dict(format.codec_options)
    frame = av.VideoFrame.from_ndarray(rgba[..., [2, 1, 0, 3]], format="bgra")
    data = b"".join(map(bytes, [*encoder.encode(frame), *encoder.encode(None)]))
    with Image.open(BytesIO(data)) as image:
        assert abs(shift(np.asarray(image.convert("RGB")), rgba)) < 0.03
