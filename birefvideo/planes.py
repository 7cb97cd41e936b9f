"""Planar YUV pictures as arrays: views of their planes and chroma at full size."""

from __future__ import annotations

from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

Codes = NDArray[Any]
"""Sample codes as they lie in a plane: uint8 (height, width), or uint16 for more than 8 bits."""

_HALF_BAND = np.array([[-1, 0, 9, 16, 9, 0, -1]], np.float32) / 32


def plane_array(picture: av.VideoFrame, index: int) -> Codes:
    """Return plane `index` of a planar picture as a view: (rows, columns), uint8 or uint16, sharing its memory.

    A decoded picture's planes can be the decoder's references: read them, never write.
    """
    plane = picture.planes[index]
    dtype = np.dtype(np.uint16 if picture.format.components[index].bits > 8 else np.uint8)
    strides = (plane.line_size, dtype.itemsize)
    view: Codes = np.ndarray((plane.height, plane.width), dtype, memoryview(plane), strides=strides)
    return view


def bit_depth(picture: av.VideoFrame) -> int:
    """Return the bits of one luma sample."""
    return int(picture.format.components[0].bits)


def to_444(picture: av.VideoFrame) -> av.VideoFrame:
    """Return a copy of a planar YUV picture as 4:4:4 in its own depth, with its tags and time; luma codes are exact.

    Chroma is interpolated linearly from where MPEG puts it: on the even columns, and between the rows of a pair.
    swscale, as PyAV calls it, takes it to lie between the columns too, half a pixel to the right.
    """
    copy = copy_with_tags(picture, "yuv444p" if bit_depth(picture) == 8 else "yuv444p10le")
    plane_array(copy, 0)[:] = plane_array(picture, 0)
    for index in (1, 2):
        _enlarge_chroma(plane_array(picture, index), plane_array(copy, index))
    return copy


def copy_with_tags(picture: av.VideoFrame, pix_fmt: str) -> av.VideoFrame:
    """Return a new picture of the same size, colour tags and time, whose planes are still to be written."""
    copy = av.VideoFrame(picture.width, picture.height, pix_fmt)
    copy.colorspace, copy.color_range = picture.colorspace, picture.color_range
    copy.color_primaries, copy.color_trc = picture.color_primaries, picture.color_trc
    copy.pts = picture.pts
    if picture.time_base is not None:
        copy.time_base = picture.time_base
    return copy


def subsampled(chroma: Codes, *, is_halved_down: bool = True) -> Codes:
    """Return full-size chroma as 4:2:0 or 4:2:2 has it: on the even columns, in 4:2:0 between the rows of a pair.

    Across, a half-band filter keeps what half the samples can show; it may go beyond the codes of 10 bits. An odd last
    column or row is repeated.
    """
    height, width = chroma.shape
    if is_halved_down:
        if height % 2:
            chroma = cv2.copyMakeBorder(chroma, 0, 1, 0, 0, cv2.BORDER_REPLICATE)
        chroma = cv2.resize(chroma, (width, (height + 1) // 2), interpolation=cv2.INTER_AREA)
    half: Codes = cv2.filter2D(chroma, -1, _HALF_BAND, borderType=cv2.BORDER_REPLICATE)[:, 0::2]
    return half


def resized(plane: Codes, size: tuple[int, int]) -> Codes:
    """Return a plane at a size (width, height): averaged where it becomes narrower, else interpolated."""
    if plane.shape[::-1] == size:
        return plane
    way = cv2.INTER_AREA if size[0] < plane.shape[1] else cv2.INTER_LINEAR
    codes: Codes = cv2.resize(plane, size, interpolation=way)
    return codes


def _enlarge_chroma(chroma: Codes, full: Codes) -> None:
    """Interpolate a chroma plane to `full`, whose sides are equal to its own or about twice as long."""
    height, width = full.shape
    rows, columns = chroma.shape
    if rows < height:
        chroma = cv2.resize(chroma, (columns, 2 * rows), interpolation=cv2.INTER_LINEAR)[:height]
    if columns == width:
        full[:] = chroma
        return
    between = np.empty_like(chroma)
    cv2.addWeighted(chroma[:, :-1], 0.5, chroma[:, 1:], 0.5, 0, dst=between[:, :-1])
    between[:, -1] = chroma[:, -1]
    pairs = width // 2
    # Interleaved by OpenCV: writing every other column takes NumPy five times as long.
    cv2.merge([chroma[:, :pairs], between[:, :pairs]], dst=_pairs(full))
    full[:, 2 * pairs :] = chroma[:, pairs:]


def _pairs(plane: Codes) -> Codes:
    """Return a plane's columns two by two, as a view (rows, pairs, 2); an odd last one is left out."""
    rows, columns = plane.shape
    step, size = plane.strides
    return np.lib.stride_tricks.as_strided(plane, (rows, columns // 2, 2), (step, 2 * size, size))
