"""The clip's own background out of focus: the subject does not bleed into it, and light is averaged, not codes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from conftest import GetClip
from numpy.typing import NDArray
from outputs import decoded_video

import birefvideo
from birefvideo.colour import BT709
from birefvideo.errors import OptionError
from birefvideo.jobs.options import Options
from birefvideo.media.writing.background import Blur
from birefvideo.media.writing.out_of_focus import out_of_focus
from birefvideo.media.writing.rgb_frames import LEAST, MOST, linear_table


def planes(luma: NDArray[Any], u: int = 128, v: int = 128) -> list[NDArray[Any]]:
    """8-bit 4:2:0 planes of one hue."""
    height, width = luma.shape
    chroma = (-(-height // 2), -(-width // 2))
    return [luma.astype(np.uint8), np.full(chroma, u, np.uint8), np.full(chroma, v, np.uint8)]


def light(luma: NDArray[Any]) -> NDArray[Any]:
    """Linear light of grey codes."""
    place = ((luma.astype(float) - 16) / 219 - LEAST) / (MOST - LEAST) * 65535
    return linear_table(1)[place.round().astype(int)].astype(float)


@pytest.mark.parametrize("radius", [1, 3, 9, 40])
@pytest.mark.parametrize("size", [(1, 1), (7, 5), (90, 161)])
def test_the_subject_does_not_bleed_into_a_plain_background(size: tuple[int, int], radius: float) -> None:
    height, width = size
    alpha = np.zeros(size, np.float32)
    alpha[height // 3 : 2 * height // 3, width // 3 : 2 * width // 3] = 1
    source = planes(np.where(alpha > 0, 235, 90), 100, 150)
    blurred = out_of_focus(source, alpha, radius, BT709)
    assert [plane.shape for plane in blurred] == [plane.shape for plane in source]
    assert all(plane.dtype == np.uint8 for plane in blurred)
    for plane, code in zip(blurred, (90, 100, 150), strict=True):
        assert np.abs(plane.astype(int) - code).max() <= 1


@pytest.mark.parametrize("radius", [4, 7, 16, 33])
def test_a_point_of_light_becomes_a_disc_with_as_much_light(radius: float) -> None:
    luma = np.full((240, 320), 16)
    luma[118:122, 158:162] = 235
    (blurred, *_) = out_of_focus(planes(luma), np.zeros(luma.shape, np.float32), radius, BT709)
    spread = light(blurred)
    y, x = np.mgrid[:240, :320]
    distance = np.hypot(x - 159.5, y - 119.5)
    cell = max(1, 2 * int(radius / 8))
    assert spread[distance > radius + 3 + 2 * cell].max() < 1e-4
    inside = spread[distance < radius - 3 - cell]
    if inside.size:
        assert inside.max() < 1.6 * inside.min()
    assert spread.sum() == pytest.approx(light(luma).sum(), rel=0.1)


def test_light_is_averaged_and_not_codes() -> None:
    luma = np.full((64, 256), 16)
    luma[:, 128:] = 235
    (blurred, *_) = out_of_focus(planes(luma), np.zeros(luma.shape, np.float32), 20, BT709)
    assert light(blurred)[32, 127:129].mean() == pytest.approx(0.5, abs=0.02)
    assert blurred[32, 127:129].mean() > 165  # the mean of the codes would be 125


def test_where_the_subject_fills_the_picture_nothing_fails() -> None:
    blurred = out_of_focus(planes(np.full((48, 64), 120)), np.ones((48, 64), np.float32), 5, BT709)
    assert np.abs(blurred[0].astype(int) - 120).max() <= 1


@pytest.mark.parametrize(("given", "wanted"), [("blur", Blur()), ("Blur:20", Blur(20)), ("blur:1.5", Blur(1.5))])
def test_a_blur_is_named_with_its_radius(given: str, wanted: Blur) -> None:
    assert Options(background=given).background == wanted
    assert Options(background=str(wanted)).background == wanted


@pytest.mark.parametrize("given", ["blur:", "blur:0", "blur:x", "blur:-3", "blur:1e9", "blur:nan"])
def test_a_blur_without_a_radius_is_refused(given: str) -> None:
    with pytest.raises(OptionError, match="blur:PIXELS"):
        Options(background=given)


def test_a_job_puts_the_subject_over_its_own_background(copy: GetClip, network: Path) -> None:
    source = copy("short_gops")
    options: Any = {"model": str(network), "smooth": 0, "levels": "0.45,0.55"}
    made = birefvideo.matte(source, to="green", background="blur:6", **options)
    assert [path.name for path in made.outputs] == ["short_gops_comp.mp4"]
    frames = list(birefvideo.mattes(source, **options))
    for shown, frame in zip(decoded_video(made.outputs[0]), frames, strict=True):
        before, after = (
            picture.reformat(format="gray").to_ndarray().astype(float) for picture in (frame.picture, shown)
        )
        kept = cv2.erode(frame.alpha, np.ones((9, 9), np.uint8)) == 1
        gone = cv2.dilate(frame.alpha, np.ones((9, 9), np.uint8)) == 0
        detail = [np.abs(cv2.Laplacian(codes, cv2.CV_64F)) for codes in (before, after)]
        if kept.any():
            assert np.abs(before - after)[kept].mean() < 4
        assert not gone.any() or detail[1][gone].mean() < 0.5 * detail[0][gone].mean()
