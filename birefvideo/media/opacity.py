"""What a decoded picture says of opacity."""

from __future__ import annotations

from typing import cast

import av
import numpy as np

from birefvideo.frames import Alpha
from birefvideo.media.colours import code_scale
from birefvideo.planes import bit_depth, plane_array

_PLANAR = ("yuva4", "gbrap")


def has_alpha(picture: av.VideoFrame) -> bool:
    """Whether a picture has an alpha plane or channel."""
    return any(component.is_alpha for component in picture.format.components)


def alpha_of(picture: av.VideoFrame) -> Alpha | None:
    """Returns a picture's alpha, float32 (height, width) in [0, 1], or None where it has none.

    Exact for planar formats of integers; of others within three codes of 8 bits.
    """
    if not has_alpha(picture):
        return None
    name = picture.format.name
    if name.startswith(_PLANAR) and not name.endswith("be") and "f" not in name.removeprefix("gbrap"):
        codes = plane_array(picture, len(picture.planes) - 1)
        peak = (1 << bit_depth(picture)) - 1
        return cast(Alpha, codes.astype(np.float32) / np.float32(peak))
    deep = picture.reformat(format="rgba64le", threads=1).to_ndarray()
    return cast(Alpha, deep[..., 3].astype(np.float32) / np.float32(65535))


def luma_matte(picture: av.VideoFrame) -> Alpha:
    """Returns the alpha that a grey YUV picture stands for, float32 (height, width) in [0, 1]."""
    scale, offset = code_scale(picture.color_range or 1, bit_depth(picture))
    luma = plane_array(picture, 0).astype(np.float32)
    return cast(Alpha, np.clip((luma - np.float32(offset[0])) / np.float32(scale[0]), 0, 1))
