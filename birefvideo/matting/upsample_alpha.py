"""Alpha from the network's size to the picture's, its edges laid along the picture's own."""

from __future__ import annotations

import av
import cv2
import numpy as np

from birefvideo.frames import Alpha
from birefvideo.matting.network_input import resize_alpha
from birefvideo.planes import bit_depth, plane_array

RADIUS = 1
"""Radius of the local model, in network pixels: more loosens the matte from thin strands."""
FLATNESS = 1e-3
"""Luma variance (luma in 0 … 1) under which a window counts as flat, so that camera noise shapes no edge."""
_WINDOW = (2 * RADIUS + 1, 2 * RADIUS + 1)


def enlarge_alpha(alpha: Alpha, picture: av.VideoFrame) -> Alpha:
    """Return a new alpha at the size of `picture`, from one at the network's size.

    In every window of network pixels alpha is modelled as a linear function of luma; the slope then turns the luma
    detail that the network could not see at its size into alpha detail. Without detail, or where alpha is constant,
    this is plain bilinear enlargement: 0 and 1 stay exact. A picture no larger than alpha gets `resize_alpha`.

    Source: He and Sun, Fast Guided Filter (2015), of which only the detail is taken: the filter itself also blurs.
    """
    rows, columns = alpha.shape
    width, height = picture.width, picture.height
    if width <= columns or height <= rows:
        return resize_alpha(alpha, width, height)
    luma = plane_array(picture, 0)
    unit = 1 / ((1 << bit_depth(picture)) - 1)
    guide = cv2.resize(luma, (columns, rows), interpolation=cv2.INTER_AREA) * np.float32(unit)
    slope = _slope(guide, alpha)
    # alpha + slope · (luma − guide), as slope · luma + (alpha − slope · guide): one full-size plane less.
    slope, rest = (cv2.resize(x, (width, height)) for x in (slope, alpha - slope * guide))
    cv2.multiply(slope, luma, dst=slope, scale=unit, dtype=cv2.CV_32F)
    result: Alpha = cv2.add(slope, rest, dst=rest)
    return np.clip(result, 0, 1, out=result)


def _slope(guide: Alpha, alpha: Alpha) -> Alpha:
    """Return how alpha changes with the guide around each pixel, least squares over its window."""
    mean_guide, mean_alpha = _mean(guide), _mean(alpha)
    variance = _mean(guide * guide) - mean_guide * mean_guide
    covariance = _mean(guide * alpha) - mean_guide * mean_alpha
    # Rounding must not give constant alpha a slope.
    square = np.ones(_WINDOW, np.uint8)
    covariance[cv2.erode(alpha, square) == cv2.dilate(alpha, square)] = 0
    slope: Alpha = covariance / (variance + np.float32(FLATNESS))
    return slope


def _mean(values: Alpha) -> Alpha:
    mean: Alpha = cv2.boxFilter(values, -1, _WINDOW, borderType=cv2.BORDER_REFLECT)
    return mean
