"""From one colour to another whose codes mean other light: HDR, wide gamuts, odd curves."""

from __future__ import annotations

from collections import deque
from functools import cache
from typing import Any

import av
import cv2
import numpy as np
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from birefvideo.colour import (
    BT709,
    Colour,
    code_scale,
    curves_show_alike,
    primaries_map,
    rgb_to_normal,
    same_matrix,
    shows_alike,
    tag,
)
from birefvideo.planes import plane_array
from birefvideo.rgb import to_rgb

_reformatters: deque[VideoReformatter] = deque()
"""Idle HDR converters: swscale takes seconds to set one up, and one serves one thread at a time."""

_STEPS = 65535.0
_GAMMAS = {4: 2.2, 5: 2.8, 8: 1.0, 17: 2.6}
_DISPLAY_GAMMA = 2.4
"""Of the reference display (ITU-R BT.1886), for cameras' curves, which are no display's."""
_SRGB_CURVE = 13
_DECADES = {9: 2.0, 10: 2.5}
"""Of the two logarithmic curves."""


def converted(frame: av.VideoFrame, source: Colour, target: Colour) -> av.VideoFrame:
    """Return a 4:4:4 frame as 8-bit 4:4:4 in another colour that is SDR of BT.709's or BT.601's matrix.

    It shows the same light, as far as the target's gamut goes: what is outside is cut off.
    """
    if source.is_hdr:
        frame, source = _tone_mapped(frame, source), BT709
        if shows_alike(source, target) and same_matrix(source, target) and source.range == target.range:
            return frame
    signal = np.rint(np.clip(to_rgb(frame, source, _STEPS), 0, _STEPS)).astype(np.uint16)
    light = cv2.transform(_light(source.transfer)[signal], primaries_map(source.primaries, target.primaries))
    # Where displays take both curves alike, codes change by gamut alone.
    is_one_curve = curves_show_alike(source.transfer, target.transfer)
    rgb = _signal(np.clip(light, 0, 1), source.transfer if is_one_curve else target.transfer)
    scale, offset = code_scale(target.range, 8)
    codes = cv2.transform(rgb, np.column_stack([rgb_to_normal(target.matrix) * scale[:, None], offset]))
    result = av.VideoFrame(frame.width, frame.height, "yuv444p")
    for index, plane in enumerate(cv2.split(codes)):
        cv2.convertScaleAbs(plane, plane_array(result, index))
    tag(result, target)
    return result


@cache
def _light(transfer: int) -> NDArray[np.float32]:
    """Return the light, 0 to 1, that a display makes of each of 65536 signals."""
    signal = np.linspace(0, 1, int(_STEPS) + 1)
    if transfer == _SRGB_CURVE:
        light = np.where(signal < 0.04045, signal / 12.92, ((signal + 0.055) / 1.055) ** 2.4)
    elif transfer in _DECADES:
        light = np.where(signal > 0, 10 ** (_DECADES[transfer] * (signal - 1)), 0)
    else:
        light = signal ** _GAMMAS.get(transfer, _DISPLAY_GAMMA)
    return light.astype(np.float32)


def _signal(light: NDArray[Any], transfer: int) -> NDArray[Any]:
    """Return the signal, 0 to 1, that makes a display show light: the inverse of `_light`."""
    signal: NDArray[Any]
    if transfer == _SRGB_CURVE:
        signal = np.where(light < 0.0031308, 12.92 * light, 1.055 * cv2.pow(light, 1 / 2.4) - 0.055)
    elif transfer in _DECADES:
        signal = np.maximum(0, 1 + np.log10(np.maximum(light, 1e-6)) / _DECADES[transfer])
    else:
        signal = cv2.pow(light, 1 / _GAMMAS.get(transfer, _DISPLAY_GAMMA))
    return signal


def _tone_mapped(frame: av.VideoFrame, source: Colour) -> av.VideoFrame:
    """Return HDR in 4:4:4 as 8-bit BT.709 by swscale: 203 nits become white and what is brighter clips."""
    tag(frame, source)  # swscale reads transfer and primaries from the frame
    try:
        reformatter = _reformatters.pop()
    except IndexError:
        reformatter = VideoReformatter()
    try:
        converted: av.VideoFrame = reformatter.reformat(
            frame,
            format="yuv444p",
            src_colorspace=source.matrix,
            dst_colorspace=BT709.matrix,
            src_color_range=source.range,
            dst_color_range=BT709.range,
            dst_color_trc=BT709.transfer,
            dst_color_primaries=BT709.primaries,
            threads=1,
        )
        return converted
    finally:
        _reformatters.append(reformatter)
