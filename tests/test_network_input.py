"""Pictures at the network's size and alpha at the picture's: colours and scaling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import av
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from birefvideo.matting.network_input import network_input, resize_alpha

COLOURS = np.array(
    [(0, 0, 0), (255, 255, 255), (128, 128, 128), (200, 30, 40), (30, 180, 60), (40, 60, 210), (220, 180, 150)]
)
WEIGHTS = {1: (0.2126, 0.7152, 0.0722), 6: (0.299, 0.587, 0.114), 9: (0.2627, 0.6780, 0.0593)}


def codes(rgb: NDArray[np.float64], matrix: int, colour_range: int, bits: int) -> list[int]:
    """Y, Cb and Cr codes of one colour by ITU-T H.273, equations 8.3."""
    red, green, blue = rgb / 255
    weights = WEIGHTS[matrix]
    luma = weights[0] * red + weights[1] * green + weights[2] * blue
    chroma = [(blue - luma) / (2 * (1 - weights[2])), (red - luma) / (2 * (1 - weights[0]))]
    unit = 1 << (bits - 8)
    if colour_range == 2:
        top = (1 << bits) - 1
        values = [top * luma, *(top * c + 128 * unit for c in chroma)]
    else:
        values = [unit * (219 * luma + 16), *(unit * (224 * c + 128) for c in chroma)]
    return [min(round(value), (1 << bits) - 1) for value in values]


def picture(planes: Sequence[NDArray[Any] | int], size: tuple[int, int], pix_fmt: str) -> av.VideoFrame:
    """A picture whose planes hold these arrays, or these constants, and rubbish in the padding of every row."""
    frame = av.VideoFrame(*size, pix_fmt)
    dtype = np.uint16 if "10" in pix_fmt else np.uint8
    for plane, values in zip(frame.planes, planes, strict=True):
        rows = np.frombuffer(memoryview(plane), dtype).reshape(plane.height, -1)
        rows[:] = 3
        rows[:, : plane.width] = values
    return frame


def tagged(frame: av.VideoFrame, matrix: int, colour_range: int, transfer: int = 1) -> av.VideoFrame:
    frame.colorspace, frame.color_range, frame.color_trc = matrix, colour_range, transfer
    frame.color_primaries = 9 if matrix == 9 else 1
    return frame


# Pixels


@pytest.mark.parametrize("matrix", [1, 6, 9])
@pytest.mark.parametrize("colour_range", [1, 2])
@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv422p10le", "yuv444p"])
def test_colours_follow_the_pictures_own_matrix_and_range(matrix: int, colour_range: int, pix_fmt: str) -> None:
    for colour in COLOURS:
        values = codes(colour, matrix, colour_range, 10 if "10" in pix_fmt else 8)
        frame = tagged(picture(values, (50, 34), pix_fmt), matrix, colour_range)
        pixels = network_input(frame, (32, 32)).astype(int)
        # Y, Cb and Cr are each rounded to 8 bits once more, and a unit of Cb weighs two of blue.
        assert np.abs(pixels - colour).max() <= 3, f"{colour} came out as {pixels[16, 16]}"


@pytest.mark.parametrize("size", [(64, 32), (17, 9), (641, 11), (853, 40), (1, 1), (31, 65)])
@pytest.mark.parametrize("target", [(32, 32), (96, 64), (31, 33)])
def test_no_size_lets_row_padding_or_missing_columns_into_the_picture(
    size: tuple[int, int], target: tuple[int, int]
) -> None:
    frame = tagged(picture([150, 128, 128], size, "yuv420p"), 1, 1)
    pixels = network_input(frame, target)
    assert pixels.shape == (target[1], target[0], 3)
    assert pixels.min() >= 155 and pixels.max() <= 157  # (150 - 16) * 255 / 219


def test_shrinking_averages_and_does_not_skip() -> None:
    y, x = np.mgrid[:128, :128]
    checks = np.where((x + y) % 2, 235, 16)
    pixels = network_input(tagged(picture([checks, 128, 128], (128, 128), "yuv420p"), 1, 1), (32, 32))
    assert np.abs(pixels[2:-2, 2:-2].astype(int) - 127).max() <= 3


@pytest.mark.parametrize("target", [(32, 24), (96, 72), (96, 24)])
def test_scaling_is_the_antialiased_bilinear_that_the_networks_were_trained_with(target: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    coarse = torch.from_numpy(rng.uniform(30, 220, (1, 1, 9, 12)).astype(np.float32))
    luma = F.interpolate(coarse, size=(36, 48), mode="bicubic")[0, 0].clamp(16, 235).round().numpy().astype(np.uint8)
    pixels = network_input(tagged(picture([luma, 128, 128], (48, 36), "yuv420p"), 1, 2), target)
    source = torch.from_numpy(luma.astype(np.float32))[None, None]
    size = (target[1], target[0])
    expected = F.interpolate(source, size=size, mode="bilinear", antialias=True, align_corners=False)[0, 0].numpy()
    difference = np.abs(pixels[..., 0] - expected)
    assert difference.mean() < 0.6 and difference.max() < 3


@pytest.mark.skipif(int(av.__version__.split(".")[0]) < 18, reason="HDR to BT.709 needs PyAV 18")
def test_pq_white_is_tone_mapped_to_white() -> None:
    frame = tagged(picture([573, 512, 512], (64, 64), "yuv420p10le"), 9, 1, transfer=16)  # 203 cd/m²
    assert network_input(frame, (32, 32)).min() >= 250
    assert network_input(tagged(frame, 9, 1, transfer=14), (32, 32)).max() <= 150


def test_reading_pixels_leaves_the_picture_as_it_was() -> None:
    frame = tagged(picture([90, 100, 170], (48, 36), "yuv420p"), 6, 2)
    before = [bytes(plane) for plane in frame.planes]
    network_input(frame, (32, 32))
    assert (frame.colorspace, frame.color_range, frame.color_trc, frame.color_primaries) == (6, 2, 1, 1)
    assert [bytes(plane) for plane in frame.planes] == before


# Alpha back at the picture's size


@pytest.mark.parametrize("size", [(48, 36), (97, 61), (32, 24), (33, 24)])
def test_alpha_grows_bilinearly_between_pixel_centres(size: tuple[int, int]) -> None:
    alpha = np.random.default_rng(0).random((24, 32), dtype=np.float32)
    expected = F.interpolate(torch.from_numpy(alpha)[None, None], size=size[::-1], mode="bilinear")[0, 0].numpy()
    np.testing.assert_allclose(resize_alpha(alpha, *size), expected, atol=1e-5)


def test_alpha_shrinks_to_means_even_where_the_other_axis_grows() -> None:
    stripes = np.tile(np.array([0, 1], np.float32).repeat(32).reshape(2, 32), (16, 1))
    for width in (16, 32, 80):
        np.testing.assert_allclose(resize_alpha(stripes, width, 16), 0.5, atol=1e-6)


@pytest.mark.parametrize("size", [(1920, 1080), (1279, 719), (640, 360), (17, 33), (512, 288)])
def test_flat_alpha_stays_flat(size: tuple[int, int]) -> None:
    for shape in [(288, 512), (512, 288)]:
        assert (resize_alpha(np.zeros(shape, np.float32), *size) == 0).all()
        ones = resize_alpha(np.ones(shape, np.float32), *size)
        assert ones.shape == size[::-1] and ones.max() <= 1
        assert ones.min() == 1 if size[0] >= shape[1] and size[1] >= shape[0] else ones.min() >= 1 - 1e-6


def test_resized_alpha_is_never_a_view_of_the_network_s() -> None:
    alpha = np.zeros((24, 32), np.float32)
    assert not any(np.shares_memory(alpha, resize_alpha(alpha, *size)) for size in [(32, 24), (16, 24), (64, 48)])
