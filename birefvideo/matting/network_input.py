"""Pictures to the network and alpha back: the size at which it sees them, their pixels there, the alpha at theirs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import av
import cv2
import numpy as np
from av.video.plane import VideoPlane
from av.video.reformatter import ColorPrimaries, ColorTrc, Interpolation, VideoReformatter
from numpy.typing import NDArray

from birefvideo.colour import codes_to_rgb, is_hdr
from birefvideo.errors import OptionError
from birefvideo.frames import Alpha

RGB = NDArray[np.uint8]
"""uint8 (height, width, 3), full range, BT.709 or the picture's own primaries."""

# Bilinear is what the networks were trained with: swscale widens the filter when it shrinks, as PIL does.
# BITEXACT costs nothing and makes every CPU give the same pixels. Numbers, since PyAV names the flags from 18 on only.
_ACCURATE_RND, _FULL_CHR_H_INT, _BITEXACT = 0x40000, 0x2000, 0x80000
_SCALING = Interpolation.BILINEAR | _ACCURATE_RND | _FULL_CHR_H_INT | _BITEXACT


def check_size(size: object) -> None:
    """Refuses what `InputSize.overridden` cannot take.

    Raises:
        OptionError: it is neither one number nor two, or one of them is no multiple of 32 or smaller than 64.
    """
    sides = size if isinstance(size, tuple) else (size,)
    if len(sides) > 2 or not sides or any(not isinstance(side, int) or side < 64 or side % 32 for side in sides):
        raise OptionError(f"size {size} is neither (width, height) nor one number, in multiples of 32 from 64 on")


@dataclass(frozen=True)
class InputSize:
    """The size of the network's input: `fixed`, or the picture's aspect with a given `long_side` or within `sides`."""

    fixed: tuple[int, int] | None = None
    """(width, height) to which every picture is squashed, whatever its aspect."""
    long_side: int | None = None
    """Length of the longer side; the shorter one follows the picture's aspect."""
    sides: tuple[int, int] | None = None
    """Shortest and longest side allowed: the picture keeps its own size where it can, and its aspect."""
    multiple: int = 32
    """Both sides are rounded to a multiple of this: the network's total stride."""

    def __post_init__(self) -> None:
        kinds = [kind for kind in (self.fixed, self.long_side, self.sides) if kind is not None]
        numbers = self.fixed or self.sides or (self.long_side,)
        if len(kinds) != 1 or any(not isinstance(n, int) or n < 1 for n in numbers):
            raise OptionError(f"input size needs one of (width, height), a long side and bounds, above 0, not {self}")
        if any(n % self.multiple for n in self.fixed or self.sides or ()):
            raise OptionError(f"input size {self.fixed or self.sides} must be made of multiples of {self.multiple}")

    def overridden(self, size: int | tuple[int, int] | None) -> InputSize:
        """Return the user's choice, if any: (width, height), or one number.

        That number is the long side where this size keeps the picture's aspect, else the side of a square.
        """
        if size is None:
            return self
        if isinstance(size, tuple):
            return InputSize(fixed=size)
        return InputSize(fixed=(size, size)) if self.fixed else InputSize(long_side=size)

    def network_size(self, width: int, height: int) -> tuple[int, int]:
        """Return the (width, height) at which the network sees a picture of `width` × `height` pixels."""
        if self.fixed:
            return self.fixed
        longest, shortest = max(width, height), min(width, height)
        if self.long_side:
            return self._rounded(width, self.long_side, longest), self._rounded(height, self.long_side, longest)
        assert self.sides is not None
        least, most = self.sides
        wanted, unit = longest, longest
        if longest > most:
            wanted = most
        elif shortest < least:
            wanted, unit = least, shortest
        w, h = (min(most, max(least, self._rounded(side, wanted, unit))) for side in (width, height))
        return w, h

    def _rounded(self, side: int, numerator: int, denominator: int) -> int:
        """Return `side` × numerator / denominator to the nearest multiple, halves up, at least one."""
        unit = denominator * self.multiple
        return max(1, (2 * side * numerator + unit) // (2 * unit)) * self.multiple


class PictureScaler:
    """Turns pictures into network input; keeps swscale's tables from picture to picture, so use one for each thread."""

    def __init__(self) -> None:
        self._scaling = VideoReformatter()
        self._toning = VideoReformatter()

    def __call__(self, picture: av.VideoFrame, size: tuple[int, int]) -> RGB:
        """Return `picture`, planar YUV of 8 or 10 bits, as RGB at `size` = (width, height).

        The picture's own tags say its matrix and range; a matrix that H.273 does not define by luma weights counts
        as BT.709. PQ and HLG are tone-mapped to BT.709, 203 cd/m² coming out near white.
        """
        if needs_tone_mapping(picture):
            return self._tone_mapped(picture, size)
        # swscale only scales. Converted here, colours are right to the rounding and 1024×1024 takes 2 ms; its own fast
        # tables are 2 to 3 of 255 too dark, and its accurate path takes 13 ms.
        yuv = self._scaled(picture, size, "yuv444p")
        planes = [_rows(plane)[:, : plane.width] for plane in yuv.planes]
        return np.asarray(cv2.transform(cv2.merge(planes), rgb_map(picture.colorspace, picture.color_range)), np.uint8)

    def _scaled(self, picture: av.VideoFrame, size: tuple[int, int], pix_fmt: str) -> av.VideoFrame:
        # threads=1: with more, swscale corrupts rows at slice borders for some line sizes.
        return self._scaling.reformat(picture, *size, format=pix_fmt, interpolation=_SCALING, threads=1)

    def _tone_mapped(self, picture: av.VideoFrame, size: tuple[int, int]) -> RGB:
        # Scaled first: swscale's tone map is a 3D table, 25 times as dear as scaling at the picture's own size.
        rgb = self._toning.reformat(
            self._scaled(picture, size, "yuv444p10le"),
            format="rgb24",
            dst_color_trc=ColorTrc.BT709,
            dst_color_primaries=ColorPrimaries.BT709,
            interpolation=_SCALING,
            threads=1,
        )
        return _rows(rgb.planes[0])[:, : 3 * rgb.width].reshape(rgb.height, rgb.width, 3)


def needs_tone_mapping(picture: av.VideoFrame) -> bool:
    """Return whether the picture's transfer function is PQ or HLG."""
    return is_hdr(picture.color_trc)


def network_input(picture: av.VideoFrame, size: tuple[int, int]) -> RGB:
    """Return one picture as RGB at `size` = (width, height); see PictureScaler."""
    return PictureScaler()(picture, size)


def resize_alpha(alpha: Alpha, width: int, height: int) -> Alpha:
    """Return a new alpha (height, width): bilinear between pixel centres, the mean over areas where an axis shrinks.

    Areas of exactly 0 stay so; areas of exactly 1 too, unless an axis shrinks: then to a unit in the last place.
    """
    rows, columns = alpha.shape
    shrunk = (min(columns, width), min(rows, height))
    # Axis by axis: INTER_AREA, asked to shrink one axis and stretch the other, averages neither.
    if shrunk != (columns, rows):
        alpha = np.minimum(cv2.resize(alpha, shrunk, interpolation=cv2.INTER_AREA), np.float32(1))
    if shrunk != (width, height):
        alpha = np.asarray(cv2.resize(alpha, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
    return alpha.copy() if (columns, rows) == (width, height) else alpha


def _rows(plane: VideoPlane) -> NDArray[np.uint8]:
    """Return the bytes of a plane, (height, line size), as a view."""
    return np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)


@lru_cache
def rgb_map(matrix: int, colour_range: int) -> NDArray[np.float32]:
    """Return the affine map (3, 4) from 8-bit Y'CbCr codes to full-range R'G'B' codes (ITU-T H.273, 8.3)."""
    return codes_to_rgb(matrix, colour_range, 8, 255).astype(np.float32)
