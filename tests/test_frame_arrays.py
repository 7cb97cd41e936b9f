"""A frame as R'G'B' and R'G'B'A arrays, by its own matrix and range."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest

from birefvideo.colour import FULL_RANGE, LIMITED_RANGE, code_scale, rgb_to_normal
from birefvideo.frames import Frame
from birefvideo.planes import plane_array


@pytest.mark.parametrize("matrix", [1, 5, 6, 9])
@pytest.mark.parametrize("colour_range", [LIMITED_RANGE, FULL_RANGE])
@pytest.mark.parametrize("depth", [8, 10])
def test_colours_come_back_by_the_clip_s_matrix_and_range(matrix: int, colour_range: int, depth: int) -> None:
    rgb = np.random.default_rng(5).integers(0, 256, (6, 8, 3)).astype(np.uint8)
    scale, offset = code_scale(colour_range, depth)
    codes = rgb / 255 @ rgb_to_normal(matrix).T * scale + offset
    picture = av.VideoFrame(8, 6, "yuv444p" if depth == 8 else "yuv444p10le")
    for index in range(3):
        plane_array(picture, index)[:] = np.rint(codes[..., index])
    picture.colorspace, picture.color_range = matrix, colour_range
    alpha = np.linspace(0, 1, 48, dtype=np.float32).reshape(6, 8)
    frame = Frame(picture, 0, Fraction(1, 25), 1, alpha=alpha, foreground=picture)
    off = np.abs(frame.rgb().astype(int) - rgb)
    assert off.max() <= (0 if depth == 10 else 2)
    rgba = frame.rgba()
    assert rgba.dtype == np.uint8 and rgba.shape == (6, 8, 4) and rgba.flags.writeable
    assert np.array_equal(rgba[..., :3], frame.rgb())
    assert np.array_equal(rgba[..., 3], np.rint(alpha * 255))
