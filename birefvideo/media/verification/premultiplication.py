"""Whether an output's colour is straight: telling it by the pixels of its soft edges."""

from __future__ import annotations

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from birefvideo.colour import code_scale
from birefvideo.frames import Alpha
from birefvideo.planes import bit_depth, plane_array

_SOFT = (0.1, 0.9)
_SOLID = 0.98
_REACH = 15
"""Side of the square, in pixels, whose solid part says what colour an edge should have."""
_DARK = 0.08
"""Brightness under which an edge would be black either way."""
_ENOUGH = 20.0
"""Evidence, as summed squares of the expected darkening, from which on the answer counts."""
_STRAIGHT, _PREMULTIPLIED = (-0.6, 0.2), (0.8, 1.6)
"""Darkening that speaks for each; between and beyond, the picture itself makes it."""
_TOO_BRIGHT = 0.1
"""Brightness above alpha that premultiplied colour cannot have, coding errors allowed for."""
_SOME, _HARDLY_ANY = 0.05, 0.01
"""Shares of soft pixels."""

Light = NDArray[np.float32]
"""Brightness, float32 (height, width): 0 black, 1 white."""


class EdgeColour:
    """Gathers, picture by picture, how much colour under soft alpha is darkened.

    Let O be the mean brightness of the solid pixels near an edge pixel of brightness Y. Straight colour carries on,
    Y = O; colour multiplied by alpha is Y = O·alpha. `darkening` is the k of Y = O·(1 + k·(alpha - 1)) that fits all
    edge pixels best (least squares): about 0 for straight colour, 1 for premultiplied. Hair that is darker or lighter
    than the face beside it moves single pixels and leaves the sum where it is.
    """

    def __init__(self) -> None:
        self._moment = self._evidence = 0.0
        self._soft = self._too_bright = 0
        self._is_bounded = True

    def add(self, picture: av.VideoFrame, alpha: Alpha) -> None:
        """Take in one picture and its alpha, float32 (height, width) in [0, 1]."""
        soft = (alpha > _SOFT[0]) & (alpha < _SOFT[1])
        if not soft.any():
            return
        light = _brightness(picture)
        self._soft += int(soft.sum())
        self._too_bright += int((light[soft] > alpha[soft] + _TOO_BRIGHT).sum())
        self._is_bounded &= bool(light.max() <= 1 + _TOO_BRIGHT)
        solid = (alpha >= _SOLID).astype(np.float32)
        amount = cv2.blur(solid, (_REACH, _REACH))
        near = cv2.blur(light * solid, (_REACH, _REACH)) / np.maximum(amount, 1e-6)
        edge = soft & (amount > 0.05) & (near > _DARK)
        expected = near[edge] * (alpha[edge] - 1)
        self._moment += float(np.dot(expected, light[edge] - near[edge]))
        self._evidence += float(np.dot(expected, expected))

    @property
    def darkening(self) -> float | None:
        """The k, or None where there are too few soft edges beside solid and bright picture."""
        return self._moment / self._evidence if self._evidence >= _ENOUGH else None

    @property
    def kind(self) -> str | None:
        """'straight', 'premultiplied', or None where the edges do not prove either.

        Premultiplied colour is never brighter than alpha, unless light goes beyond white. Where that says something
        else than the darkening, as it can with a matte that follows the picture's own shadows, nothing is proven.
        """
        if self.darkening is None or not self._is_bounded:
            return None
        share = self._too_bright / self._soft
        if share > _HARDLY_ANY:
            most = _PREMULTIPLIED[0] if share >= _SOME else _STRAIGHT[1]
            return "straight" if _STRAIGHT[0] <= self.darkening <= most else None
        return "premultiplied" if _PREMULTIPLIED[0] <= self.darkening <= _PREMULTIPLIED[1] else None


def _brightness(picture: av.VideoFrame) -> Light:
    """Luma of a YUV picture; of RGB, the mean of the channels."""
    if picture.format.name.startswith("yuv"):
        scale, offset = code_scale(picture.color_range or 1, bit_depth(picture))
        luma = plane_array(picture, 0).astype(np.float32)
        light: Light = (luma - np.float32(offset[0])) / np.float32(scale[0])
        return light
    if picture.format.name == "gbrapf16le":  # OpenEXR's; swscale would cut it off at white
        green, blue, red = (plane_array(picture, index).view(np.float16).astype(np.float32) for index in range(3))
        linear: Light = (red + green + blue) / np.float32(3)
        return linear
    rgb = picture.reformat(format="rgba64le", threads=1).to_ndarray()[..., :3]
    mean: Light = rgb.mean(axis=-1, dtype=np.float32) / np.float32(65535)
    return mean
