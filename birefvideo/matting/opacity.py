"""The picture's own opacity, taken into the matte."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from birefvideo.frames import Frame
from birefvideo.matting.foreground import EMPTY, MARGIN, nominal_black
from birefvideo.planes import plane_array


def with_own_opacity(frame: Frame) -> Frame:
    """Return a frame, one that has an opacity of its own with it multiplied into alpha.

    It comes last: smoothing would blur it, and the foreground is estimated from what the picture shows under it. Colour
    that it hides is black, but for `MARGIN` pixels beside what shows.
    """
    if frame.opacity is None:
        return frame
    alpha = frame.alpha * frame.opacity
    seen = (alpha >= EMPTY).astype(np.uint8)
    side = 2 * MARGIN + 1
    hidden = 1 - cv2.dilate(seen, np.ones((side, side), np.uint8))
    for index, black in enumerate(nominal_black(frame.foreground)):
        plane = plane_array(frame.foreground, index)
        cv2.copyTo(np.full_like(plane, black), hidden, plane)
    return replace(frame, alpha=alpha, opacity=None)
