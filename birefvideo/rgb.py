"""From planar YUV 4:4:4 to R'G'B' by the picture's matrix and range."""

from __future__ import annotations

from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from birefvideo.colour import FULL_RANGE, LIMITED_RANGE, Colour, codes_to_rgb
from birefvideo.planes import bit_depth, plane_array


def to_rgb(picture: av.VideoFrame, source: Colour, peak: float) -> NDArray[Any]:
    """Return R'G'B' of a planar 4:4:4 picture, float32 (height, width, 3): 0 is black and `peak` is white.

    Nothing is cut: codes below black and above white, and colours outside of the gamut, go on.

    Args:
        picture: 8 or 10 bit, in the codes of `source`.
        source: its matrix (ITU-T H.273 equations 39–44; BT.2020's constant luminance is taken for the other) and range.
        peak: what white becomes.
    """
    codes = cv2.merge([plane_array(picture, i) for i in range(3)]).astype(np.float32)
    rgb: NDArray[Any] = cv2.transform(codes, codes_to_rgb(source.matrix, source.range, bit_depth(picture), peak))
    return rgb


def rgb_codes(picture: av.VideoFrame) -> NDArray[np.uint8]:
    """Return full-range R'G'B' of a planar 4:4:4 picture, uint8 (height, width, 3), rounded to the nearest code.

    Matrix and range are those of the picture's tags; a picture without a range is limited.
    """
    is_full = picture.color_range == FULL_RANGE
    source = Colour(picture.colorspace, FULL_RANGE if is_full else LIMITED_RANGE, 1, 1)  # the curve is left alone
    rgb = to_rgb(picture, source, 255.0)
    codes: NDArray[np.uint8] = np.rint(np.clip(rgb, 0, 255, out=rgb)).astype(np.uint8)
    return codes
