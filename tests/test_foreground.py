"""Foreground colour: exact where the subject is opaque, near the truth where it is mixed, quiet and black elsewhere."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from birefvideo.frames import AlphaFrame
from birefvideo.matting import foreground as foreground_module
from birefvideo.matting.foreground import estimate_foreground, with_foreground
from birefvideo.planes import plane_array

HEIGHT, WIDTH = 96, 128
Array = NDArray[np.float32]

DEPTHS = pytest.mark.parametrize("deep", [False, True], ids=["8bit", "10bit"])
FORMATS = pytest.mark.parametrize("layout", ["420", "422", "444"])
RANGES = pytest.mark.parametrize("full", [False, True], ids=["limited", "full"])


def soft_disc(softness: float = 14.0, shape: tuple[int, int] = (HEIGHT, WIDTH)) -> Array:
    rows, columns = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    return np.clip((32 - np.hypot(columns - shape[1] / 2, rows - shape[0] / 2)) / softness + 0.5, 0, 1)


def colours() -> tuple[Array, Array]:
    """True F and B as 8-bit YUV codes (3, height, width): slow gradients of very different colours."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    foreground = np.stack([60 + columns * 0.2, 100 + rows * 0.1, 170 - columns * 0.1])
    background = np.stack([210 - rows * 0.2, 150 - columns * 0.1, 90 + rows * 0.1])
    return foreground, background


def picture_of(codes: Array, layout: str = "444", deep: bool = False, full: bool = False) -> av.VideoFrame:
    """A picture from 8-bit codes, scaled to its depth, chroma averaged to its layout."""
    picture = av.VideoFrame(codes.shape[2], codes.shape[1], f"yuv{layout}p{'10le' if deep else ''}")
    for index, values in enumerate(codes):
        if index and layout != "444":
            values = (values[:, 0::2] + values[:, 1::2]) / 2
        if index and layout == "420":
            values = (values[0::2] + values[1::2]) / 2
        plane_array(picture, index)[:] = np.rint(values * (4 if deep else 1))
    picture.colorspace, picture.color_primaries, picture.color_trc = 9, 9, 16
    picture.color_range = 2 if full else 1
    picture.pts, picture.time_base = 41, Fraction(1, 90000)
    return picture


def arrays(picture: av.VideoFrame) -> NDArray[np.float64]:
    return np.stack([plane_array(picture, index) for index in range(3)]).astype(np.float64)


@DEPTHS
@FORMATS
@RANGES
def test_the_estimate_is_far_nearer_to_the_truth_than_the_mixture(layout: str, deep: bool, full: bool) -> None:
    foreground, background = colours()
    alpha = soft_disc()
    mixed = alpha * foreground + (1 - alpha) * background
    found = arrays(estimate_foreground(picture_of(mixed, layout, deep, full), alpha)) / (4 if deep else 1)
    soft = (alpha > 0.02) & (alpha < 0.98)
    error, untreated = np.abs(found - foreground)[:, soft], np.abs(mixed - foreground)[:, soft]
    assert error.mean() < 0.1 * untreated.mean()
    assert error.max() < 0.25 * untreated.max()


@DEPTHS
@FORMATS
def test_opaque_pixels_keep_the_source_codes(layout: str, deep: bool) -> None:
    rng = np.random.default_rng(0)
    codes = rng.uniform(0, 255, (3, HEIGHT, WIDTH)).astype(np.float32)  # also codes outside the nominal range
    picture, alpha = picture_of(codes, layout, deep), soft_disc()
    found = arrays(estimate_foreground(picture, alpha))
    opaque = alpha >= 254.5 / 255
    assert 0 < opaque.mean() < 1
    assert np.array_equal(found[0][opaque], plane_array(picture, 0)[opaque])
    if layout == "444":
        assert np.array_equal(found[:, opaque], arrays(picture)[:, opaque])


@DEPTHS
@RANGES
def test_far_from_the_subject_it_is_black(deep: bool, full: bool) -> None:
    foreground, background = colours()
    alpha = soft_disc()
    mixed = np.float32(0.5) * (foreground + background)
    found = arrays(estimate_foreground(picture_of(mixed, "420", deep, full), alpha))
    black = np.array([0 if full else 16, 128, 128]) * (4 if deep else 1)
    assert (found[:, :20, :20] == black[:, None, None]).all()


def test_the_subjects_colour_reaches_eight_pixels_into_the_empty_background() -> None:
    foreground, background = colours()
    alpha = soft_disc(softness=2.0)
    mixed = alpha * foreground + (1 - alpha) * background
    found = arrays(estimate_foreground(picture_of(mixed), alpha))
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    distance = np.hypot(columns - WIDTH / 2, rows - HEIGHT / 2) - 33
    margin = (alpha == 0) & (distance <= 8)
    assert margin.sum() > 1000
    error = np.abs(found - foreground)[:, margin].mean()
    assert error < 0.1 * np.abs(background - foreground)[:, margin].mean()


@DEPTHS
@FORMATS
def test_flat_colour_stays_flat_up_to_the_margin(layout: str, deep: bool) -> None:
    codes = np.broadcast_to(np.array([81, 90, 200], np.float32)[:, None, None], (3, HEIGHT, WIDTH))
    alpha = soft_disc()
    found = arrays(estimate_foreground(picture_of(codes, layout, deep), alpha)) / (4 if deep else 1)
    assert (found[:, alpha > 0] == np.array([[81], [90], [200]])).all()


@FORMATS
def test_an_opaque_matte_gives_the_picture_and_an_empty_one_gives_black(layout: str) -> None:
    foreground, _ = colours()
    picture = picture_of(foreground, layout)
    whole = arrays(estimate_foreground(picture, np.ones((HEIGHT, WIDTH), np.float32)))
    assert np.array_equal(whole[0], plane_array(picture, 0))
    assert np.abs(whole - foreground).max() < 2
    none = arrays(estimate_foreground(picture, np.zeros((HEIGHT, WIDTH), np.float32)))
    assert (none == np.array([16, 128, 128])[:, None, None]).all()


def test_a_matte_of_haze_alone_gives_codes_in_range() -> None:
    codes = np.random.default_rng(1).uniform(16, 235, (3, HEIGHT, WIDTH)).astype(np.float32)
    for haze in (0.003, 0.5, 0.99):
        found = arrays(estimate_foreground(picture_of(codes), np.full((HEIGHT, WIDTH), haze, np.float32)))
        assert found.min() >= 16 and found.max() <= 240
        assert found[0].max() <= 235


@pytest.mark.parametrize(("height", "width"), [(35, 61), (101, 1001), (1, 1), (2, 500)])
@FORMATS
def test_odd_sizes_are_covered_to_the_last_pixel(height: int, width: int, layout: str) -> None:
    picture = av.VideoFrame(width, height, f"yuv{layout}p")
    for index, code in enumerate((100, 90, 200)):
        plane_array(picture, index)[:] = code
    found = arrays(estimate_foreground(picture, np.full((height, width), 0.5, np.float32)))
    assert (found == np.array([100, 90, 200])[:, None, None]).all()


def test_chroma_is_interpolated_from_the_even_columns() -> None:
    ramp = np.broadcast_to(np.arange(WIDTH, dtype=np.float32), (HEIGHT, WIDTH)) + 50
    picture = picture_of(np.stack([ramp, ramp, ramp]), "420")
    for index in (1, 2):  # sampled where MPEG puts chroma, on the even columns
        plane_array(picture, index)[:] = ramp[0::2, 0::2]
    found = arrays(estimate_foreground(picture, np.ones((HEIGHT, WIDTH), np.float32)))
    assert np.array_equal(found[1][:, :-1], ramp[:, :-1])


@DEPTHS
def test_tags_time_depth_and_range_are_the_pictures(deep: bool) -> None:
    picture = picture_of(colours()[0], "420", deep, full=True)
    found = estimate_foreground(picture, soft_disc())
    assert found.format.name == ("yuv444p10le" if deep else "yuv444p")
    assert (found.pts, found.time_base) == (41, Fraction(1, 90000))
    assert (found.colorspace, found.color_range, found.color_primaries, found.color_trc) == (9, 2, 9, 16)


@FORMATS
def test_the_picture_and_the_alpha_are_not_written_to(layout: str) -> None:
    picture, alpha = picture_of(colours()[0], layout), soft_disc()
    before = [plane_array(picture, index).copy() for index in range(3)]
    estimate_foreground(picture, alpha)
    assert all(np.array_equal(plane_array(picture, index), codes) for index, codes in enumerate(before))
    assert np.array_equal(alpha, soft_disc())


def test_noise_in_the_picture_is_not_amplified() -> None:
    foreground, background = colours()
    alpha = soft_disc()
    mixed = alpha * foreground + (1 - alpha) * background
    rng = np.random.default_rng(2)
    found = [
        arrays(estimate_foreground(picture_of(mixed + np.asarray(rng.normal(0, 2, mixed.shape), np.float32)), alpha))
        for _ in range(8)
    ]
    noise, soft = np.std(found, axis=0), (alpha > 0.02) & (alpha < 0.98)
    assert noise[:, soft].mean() < 0.8 * noise[:, alpha == 1].mean()


def test_nearly_opaque_pixels_keep_their_texture() -> None:
    stripes = np.where(np.arange(WIDTH) % 4 < 2, 80.0, 160.0)
    codes = np.broadcast_to(np.stack([stripes, stripes, stripes])[:, None], (3, HEIGHT, WIDTH)).astype(np.float32)
    alpha = np.where(soft_disc() == 1, np.float32(0.97), soft_disc())
    found = arrays(estimate_foreground(picture_of(codes), alpha))
    assert np.abs(found - codes)[:, alpha == np.float32(0.97)].max() < 0.05 * 80


def test_solving_around_the_edges_only_gives_what_solving_everywhere_does(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    codes = rng.uniform(30, 220, (3, 200, 480)).astype(np.float32)
    alpha = np.roll(soft_disc(shape=(200, 480)), (-20, 90), axis=(0, 1))
    found = arrays(estimate_foreground(picture_of(codes), alpha))
    monkeypatch.setattr(foreground_module, "_box", lambda soft: np.s_[0:200, 0:480])
    assert np.array_equal(found, arrays(estimate_foreground(picture_of(codes), alpha)))


def test_each_frame_gets_its_foreground_and_keeps_the_rest() -> None:
    picture = picture_of(colours()[0], "420")
    frame = AlphaFrame(picture, 41, Fraction(1, 90000), 3600, alpha=soft_disc())
    found = with_foreground(frame)
    assert found.foreground.pts == 41
    assert {**frame.__dict__, "foreground": found.foreground} == found.__dict__


def test_a_misfit_alpha_is_refused() -> None:
    picture = picture_of(colours()[0], "420")
    with pytest.raises(ValueError, match="alpha of 64×96 for a picture of 128×96"):
        estimate_foreground(picture, np.zeros((96, 64), np.float32))
