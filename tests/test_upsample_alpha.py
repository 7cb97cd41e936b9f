"""Alpha at the picture's size follows the picture's edges and leaves constant areas alone."""

from __future__ import annotations

import av
import cv2
import numpy as np
import pytest

from birefvideo.frames import Alpha
from birefvideo.matting.network_input import resize_alpha
from birefvideo.matting.upsample_alpha import enlarge_alpha

SIZE, SMALL = (192, 128), (48, 32)


def picture_of(luma: np.ndarray, pix_fmt: str = "yuv420p") -> av.VideoFrame:
    picture = av.VideoFrame(luma.shape[1], luma.shape[0], pix_fmt)
    dtype = np.uint16 if "10" in pix_fmt else np.uint8
    for index, plane in enumerate(picture.planes):
        view = np.frombuffer(memoryview(plane), dtype).reshape(plane.height, -1)[:, : plane.width]
        view[:] = luma if index == 0 else 128
    return picture


def disc() -> Alpha:
    """A soft-edged disc at the picture's size."""
    y, x = np.mgrid[: SIZE[1], : SIZE[0]].astype(np.float32)
    return np.clip(40.5 - np.hypot(x - 90.3, y - 61.7), 0, 1).astype(np.float32)


@pytest.mark.parametrize(("pix_fmt", "dark", "light"), [("yuv420p", 40, 200), ("yuv420p10le", 160, 800)])
def test_the_edge_follows_the_picture_better_than_plain_interpolation(pix_fmt: str, dark: int, light: int) -> None:
    truth = disc()
    small = cv2.resize(truth, SMALL, interpolation=cv2.INTER_AREA)
    picture = picture_of((dark + (light - dark) * truth).round(), pix_fmt)
    guided = np.abs(enlarge_alpha(small, picture) - truth).mean()
    plain = np.abs(resize_alpha(small, *SIZE) - truth).mean()
    assert guided < 0.6 * plain


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_areas_of_exactly_0_and_1_stay_so_over_any_picture(value: float) -> None:
    noise = np.random.default_rng(1).integers(16, 235, SIZE[::-1])
    alpha = np.full(SMALL[::-1], value, np.float32)
    assert (enlarge_alpha(alpha, picture_of(noise)) == value).all()


def test_noise_on_a_flat_picture_shapes_no_edge() -> None:
    noise = np.random.default_rng(1).normal(120, 1.5, SIZE[::-1]).round()
    small = cv2.resize(disc(), SMALL, interpolation=cv2.INTER_AREA)
    assert np.abs(enlarge_alpha(small, picture_of(noise)) - resize_alpha(small, *SIZE)).mean() < 0.01


def test_the_result_stays_in_range_and_owns_its_memory() -> None:
    rng = np.random.default_rng(2)
    small = rng.random(SMALL[::-1], np.float32)
    before = small.copy()
    result = enlarge_alpha(small, picture_of(rng.integers(0, 256, SIZE[::-1])))
    assert result.shape == SIZE[::-1] and result.dtype == np.float32
    assert result.min() >= 0 and result.max() <= 1
    assert (small == before).all()


def test_a_picture_smaller_than_the_network_is_plainly_resized() -> None:
    small = cv2.resize(disc(), SMALL, interpolation=cv2.INTER_AREA)
    picture = picture_of(np.zeros((24, 40)))
    np.testing.assert_array_equal(enlarge_alpha(small, picture), resize_alpha(small, 40, 24))
