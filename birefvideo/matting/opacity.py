"""The picture's own opacity, taken into the matte."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import cv2
import numpy as np

from birefvideo.frames import Frame
from birefvideo.matting.foreground import EMPTY, MARGIN, nominal_black
from birefvideo.planes import plane_array


def with_own_opacity(frames: Iterable[Frame]) -> Iterator[Frame]:
    """Yield the frames, those that have an opacity of their own with it multiplied into alpha.

    It comes last: smoothing would blur it, and the foreground is estimated from what the picture shows under it. Colour
    that it hides is black, but for `MARGIN` pixels beside what shows.
    """
    for frame in frames:
        if frame.opacity is None:
            yield frame
            continue
        alpha = frame.alpha * frame.opacity
        seen = (alpha >= EMPTY).astype(np.uint8)
        side = 2 * MARGIN + 1
        hidden = 1 - cv2.dilate(seen, np.ones((side, side), np.uint8))
        for index, black in enumerate(nominal_black(frame.foreground)):
            plane = plane_array(frame.foreground, index)
            cv2.copyTo(np.full_like(plane, black), hidden, plane)
        yield replace(frame, alpha=alpha, opacity=None)
