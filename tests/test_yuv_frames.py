"""What encoders are handed: exact codes where alpha is 1, right matrices and ranges, any size."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from birefvideo.colour import BT709, Colour, rgb_to_yuv
from birefvideo.frames import Alpha
from birefvideo.media.colour_names import parse_colour
from birefvideo.media.writing import yuv_frames
from birefvideo.media.writing.yuv_frames import composite_420, matte_420, with_alpha_420, with_alpha_444
from birefvideo.planes import plane_array, to_444

BT601 = Colour(6, 1, 6, 6)
GUESSED601 = replace(BT601, guessed=True)
"""As of a file that says nothing: its primaries may be any."""
FULL709 = Colour(1, 2, 1, 1)
FULL601 = Colour(5, 2, 5, 6)
PQ = Colour(9, 1, 9, 16)
SIZES = [(64, 48), (75, 53)]
Planes = list[NDArray[Any]]


def planes(frame: av.VideoFrame) -> Planes:
    return [plane_array(frame, i) for i in range(len(frame.planes))]


def noise(pix_fmt: str, width: int, height: int, seed: int = 0) -> av.VideoFrame:
    frame = av.VideoFrame(width, height, pix_fmt)
    rng = np.random.default_rng(seed)
    for plane in planes(frame):
        low, high = (16, 236) if plane.dtype == np.uint8 else (64, 941)
        plane[:] = rng.integers(low, high, plane.shape)
    return frame


def flat(pix_fmt: str, codes: tuple[int, int, int], width: int = 16, height: int = 16) -> av.VideoFrame:
    frame = av.VideoFrame(width, height, pix_fmt)
    for plane, code in zip(planes(frame), codes, strict=True):
        plane[:] = code
    return frame


def ramp(width: int, height: int) -> Alpha:
    """0 at the left, 1 in the right half."""
    return np.broadcast_to(np.clip(np.arange(width) / (width // 2), 0, 1), (height, width)).astype(np.float32)


def rgb_of(codes: tuple[float, float, float], colour: Colour) -> NDArray[np.float64]:
    """R'G'B' in [0, 1] of 8-bit codes, written out from BT.709 and BT.601 rather than taken from the code tested."""
    y, u, v = codes
    if colour.range == 2:
        y, u, v = y / 255, (u - 128) / 255, (v - 128) / 255
    else:
        y, u, v = (y - 16) / 219, (u - 128) / 224, (v - 128) / 224
    if colour.matrix == 1:
        return np.array([y + 1.5748 * v, y - 0.187324 * u - 0.468124 * v, y + 1.8556 * u])
    return np.array([y + 1.402 * v, y - 0.344136 * u - 0.714136 * v, y + 1.772 * u])


@pytest.mark.parametrize(
    ("text", "rgb"),
    [
        ("green", (0, 177, 64)),
        ("Black", (0, 0, 0)),
        ("#0f8", (0, 255, 136)),
        ("#01B140", (1, 177, 64)),
        ("1, 2,255", (1, 2, 255)),
    ],
)
def test_a_colour_is_read(text: str, rgb: tuple[int, int, int]) -> None:
    assert parse_colour(text) == rgb


@pytest.mark.parametrize("text", ["", "lime!", "#12", "#12345g", "#+12", "1,2", "1,2,256", "-1,0,0", "1,2,3,4"])
def test_what_is_no_colour_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="give #rrggbb"):
        parse_colour(text)


@pytest.mark.parametrize("colour", [BT709, BT601, FULL709, FULL601])
@pytest.mark.parametrize("rgb", [(0, 0, 0), (255, 255, 255), (0, 177, 64), (200, 30, 90)])
def test_codes_of_a_colour_show_that_colour(rgb: tuple[int, int, int], colour: Colour) -> None:
    assert np.abs(rgb_of(rgb_to_yuv(rgb, colour), colour) * 255 - rgb).max() < 2


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv422p", "yuv420p10le", "yuv422p10le"])
@pytest.mark.parametrize(("width", "height"), SIZES)
def test_444_keeps_luma_and_the_chroma_of_even_columns(pix_fmt: str, width: int, height: int) -> None:
    picture = noise(pix_fmt, width, height)
    y, u, _ = planes(picture)
    luma, full, _ = planes(to_444(picture))
    assert np.array_equal(luma, y)
    u = u.astype(float)
    if "420" in pix_fmt:  # a pair of rows has its sample between them
        above, below = np.vstack([u[:1], u[:-1]]), np.vstack([u[1:], u[-1:]])
        u = np.stack([(above + 3 * u) / 4, (3 * u + below) / 4], axis=1).reshape(-1, u.shape[1])[:height]
    assert np.abs(full[:, 0::2] - u).max() <= 0.51
    assert np.abs(full[:, 1::2] - ((u[:, :-1] + u[:, 1:]) / 2 if width % 2 else _between(u))).max() <= 1.01


def _between(u: NDArray[Any]) -> NDArray[Any]:
    return (u + np.hstack([u[:, 1:], u[:, -1:]])) / 2


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_prores_gets_8_bit_codes_times_4_and_alpha_times_1023(width: int, height: int) -> None:
    foreground = noise("yuv444p", width, height)
    alpha = np.random.default_rng(1).random((height, width), np.float32)
    frame = with_alpha_444(foreground, alpha, BT709, BT709)
    *colour, opacity = planes(frame)
    for out, codes in zip(colour, planes(foreground), strict=True):
        assert np.array_equal(out, codes.astype(int) * 4)
    assert np.abs(opacity - alpha * 1023.0).max() <= 0.501
    assert (frame.colorspace, frame.color_range, frame.color_primaries, frame.color_trc) == (1, 1, 1, 1)


def test_prores_gets_10_bit_codes_unchanged() -> None:
    foreground = noise("yuv444p10le", 64, 48)
    frame = with_alpha_444(foreground, np.ones((48, 64), np.float32), PQ, PQ)
    for out, codes in zip(planes(frame), planes(foreground), strict=False):
        assert np.array_equal(out, codes)


@pytest.mark.parametrize(("pix_fmt", "peak", "middle"), [("yuv444p", 255, 128), ("yuv444p10le", 1023, 512)])
def test_full_range_becomes_limited_for_prores(pix_fmt: str, peak: int, middle: int) -> None:
    alpha = np.ones((16, 16), np.float32)
    white = with_alpha_444(flat(pix_fmt, (peak, middle, middle)), alpha, FULL709, BT709)
    black = with_alpha_444(flat(pix_fmt, (0, middle, middle)), alpha, FULL709, BT709)
    assert [int(p[0, 0]) for p in planes(white)] == [940, 512, 512, 1023]
    assert [int(p[0, 0]) for p in planes(black)] == [64, 512, 512, 1023]


def test_premultiplied_colour_is_black_where_alpha_is_0_and_whole_where_it_is_1() -> None:
    alpha = ramp(64, 48)
    foreground, picture = noise("yuv444p", 64, 48), noise("yuv420p", 64, 48)
    y, u, v, _ = planes(with_alpha_444(foreground, alpha, BT709, BT709, premultiplied=True))
    assert (y[:, 0] == 64).all() and (u[:, 0] == 512).all() and (v[:, 0] == 512).all()
    assert np.array_equal(y[:, 32:], planes(foreground)[0][:, 32:].astype(int) * 4)
    y, u, v, _ = planes(with_alpha_420(picture, None, alpha, BT709, BT709, premultiplied=True))
    assert (y[:, 0] == 16).all() and np.array_equal(u[:, 16:], planes(picture)[1][:, 16:])


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("seed", [None, 7])
def test_webm_shows_the_source_planes_where_alpha_is_1(width: int, height: int, seed: int | None) -> None:
    picture = noise("yuv420p", width, height)
    alpha = ramp(width, height)
    foreground = None
    if seed is not None:
        foreground = noise("yuv444p", width, height, seed)
        luma = planes(foreground)[0]
        luma[:] = np.where(alpha == 1, planes(picture)[0], luma)
    frame = with_alpha_420(picture, foreground, alpha, BT709, BT709)
    opaque = width // 2 + 2
    for i, first in enumerate((opaque, opaque // 2, opaque // 2)):
        assert np.array_equal(planes(frame)[i][:, first:], planes(picture)[i][:, first:])
    if foreground is not None:
        assert np.array_equal(planes(frame)[0], planes(foreground)[0])
        block = planes(foreground)[1][:2, :2].mean()
        assert abs(planes(frame)[1][0, 0] - block) <= 0.5
    assert np.abs(planes(frame)[3] - alpha * 255.0).max() <= 0.501


@pytest.mark.parametrize("source", [GUESSED601, FULL709, replace(FULL601, guessed=True)])
@pytest.mark.parametrize("codes", [(120, 90, 160), (200, 140, 110), (60, 128, 128)])
@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv420p10le", "yuv444p"])
def test_webm_converts_every_matrix_range_and_depth_to_709(
    source: Colour, codes: tuple[int, int, int], pix_fmt: str
) -> None:
    y, u, v = codes
    if "10" in pix_fmt:
        gain = 4 if source.range == 1 else 1023 / 255
        y, u, v = round(y * gain), round(512 + (u - 128) * gain), round(512 + (v - 128) * gain)
    picture = flat(pix_fmt, (y, u, v))
    frame = with_alpha_420(picture, None, np.ones((16, 16), np.float32), source, BT709)
    got = tuple(float(plane[3, 3]) for plane in planes(frame)[:3])
    assert np.abs(rgb_of((got[0], got[1], got[2]), BT709) - rgb_of(codes, source)).max() * 255 < 2
    assert (frame.colorspace, frame.color_range) == (1, 1)


def test_conversion_to_709_saturates_where_it_leaves_8_bits() -> None:
    frame = with_alpha_420(flat("yuv420p", (0, 255, 0)), None, np.ones((16, 16), np.float32), GUESSED601, BT709)
    assert 0 <= planes(frame)[0][0, 0] < 40


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_a_composite_is_the_picture_where_alpha_is_1_and_the_background_where_it_is_0(width: int, height: int) -> None:
    picture = noise("yuv420p", width, height)
    alpha = ramp(width, height)
    key = rgb_to_yuv((0, 177, 64), BT601)
    frame = composite_420(picture, None, alpha, key, BT601, BT601)
    assert (frame.width % 2, frame.height % 2) == (0, 0)
    y, u, v = planes(frame)
    assert np.array_equal(y[:height, width // 2 : width], planes(picture)[0][:, width // 2 :])
    assert np.array_equal(u[:, width // 4 + 1 :], planes(picture)[1][:, width // 4 + 1 :])
    assert (y[:, 0] == key[0]).all()
    wanted = key[0] + (planes(picture)[0][:, 7].astype(float) - key[0]) * alpha[:, 7]
    assert np.abs(y[:height, 7] - wanted).max() <= 0.501
    assert np.array_equal(y[-1], y[height - 1]) and np.array_equal(y[:, -1], y[:, width - 1])
    assert u.shape == v.shape == (y.shape[0] // 2, y.shape[1] // 2)


def test_a_composite_takes_its_edge_colour_from_the_foreground() -> None:
    picture, foreground = flat("yuv420p", (50, 60, 70)), flat("yuv444p", (150, 160, 170))
    half = np.full((16, 16), 0.5, np.float32)
    frame = composite_420(picture, foreground, half, (16, 128, 128), BT709, BT709)
    assert [int(plane[4, 4]) for plane in planes(frame)] == [83, 144, 149]


@pytest.mark.skipif(int(av.__version__.split(".")[0]) < 18, reason="HDR to BT.709 needs PyAV 18")
def test_hdr_becomes_sdr_with_203_nits_white() -> None:
    picture = flat("yuv420p10le", (573, 512, 512))  # 203 nits in PQ: 0.5807 of the signal
    frame = with_alpha_420(picture, None, np.ones((16, 16), np.float32), PQ, BT709)
    y, u, v, _ = (int(plane[4, 4]) for plane in planes(frame))
    assert abs(y - 235) <= 2 and abs(u - 128) <= 1 and abs(v - 128) <= 1


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_a_matte_is_limited_range_grey(width: int, height: int) -> None:
    alpha = ramp(width, height)
    y, u, v = planes(matte_420(alpha))
    assert np.abs(y[:height, :width] - (16 + 219.0 * alpha)).max() <= 0.501
    assert y[0, 0] == 16 and y[0, -1] == 235 and (u == 128).all() and (v == 128).all()


@pytest.mark.parametrize("background", [None, (145, 54, 34), "planes"])
@pytest.mark.parametrize("source", [BT709, FULL601])
@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv422p", "yuv444p10le"])
def test_strips_of_a_composite_meet_without_a_seam(
    pix_fmt: str, source: Colour, background: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    width, height = 75, 53
    picture, alpha = noise(pix_fmt, width, height), np.random.default_rng(2).random((height, width), np.float32)
    foreground = to_444(noise(pix_fmt, width, height, seed=1))
    if background == "planes":
        background = [
            plane[:height, :width] if i == 0 else plane for i, plane in enumerate(planes(noise("yuv420p", 76, 54)))
        ]
    composites = []
    for pixels in (1 << 20, 1):  # all at once, and two rows at a time
        monkeypatch.setattr(yuv_frames, "_STRIP", pixels)
        composites.append(planes(composite_420(picture, foreground, alpha, background, source, BT709)))
    for whole, strips in zip(*composites, strict=True):
        assert np.array_equal(whole, strips)


def test_chroma_is_the_pictures_own_from_the_least_alpha_that_is_255_in_8_bits() -> None:
    picture, foreground = flat("yuv420p", (100, 90, 80), 2, 2), flat("yuv444p", (100, 200, 210), 2, 2)
    half_way = np.float32(254.5 / 255)
    for alpha, u in ((half_way - np.float32(1e-6), 200), (half_way, 200), (half_way + np.float32(1e-6), 90)):
        frame = with_alpha_420(picture, foreground, np.full((2, 2), alpha, np.float32), BT709, BT709)
        assert planes(frame)[1][0, 0] == u
        assert planes(frame)[3][0, 0] == (255 if u == 90 else 254)
