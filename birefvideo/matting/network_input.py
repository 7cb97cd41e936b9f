"""Pictures to the network and alpha back: their pixels at the network's size, and alpha at theirs."""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from typing import cast

import av
import av.filter
import cv2
import numpy as np
from av.video.plane import VideoPlane
from av.video.reformatter import ColorPrimaries, ColorTrc, Interpolation, VideoReformatter
from numpy.typing import NDArray

from birefvideo.colour import codes_to_rgb, is_hdr
from birefvideo.frames import Alpha

RGB = NDArray[np.uint8]
"""uint8 (height, width, 3), full range, BT.709 or the picture's own primaries."""

# Bilinear is what the networks were trained with: swscale widens the filter when it shrinks, as PIL does.
# BITEXACT costs nothing and makes every CPU give the same pixels. Numbers, since PyAV names the flags from 18 on only.
_ACCURATE_RND, _FULL_CHR_H_INT, _BITEXACT = 0x40000, 0x2000, 0x80000
_SCALING = Interpolation.BILINEAR | _ACCURATE_RND | _FULL_CHR_H_INT | _BITEXACT


class PictureScaler:
    """Turns pictures into network input; keeps swscale's tables from picture to picture, so use one for each thread."""

    def __init__(self) -> None:
        self._scaling = VideoReformatter()
        self._toning = VideoReformatter()
        self._tag_left = _LeftTag()

    def __call__(self, picture: av.VideoFrame, size: tuple[int, int]) -> RGB:
        """Return `picture`, planar YUV of 8 or 10 bits, as RGB at `size` = (width, height).

        Matrix and range are those of the picture's own tags; a matrix that H.273 does not define by luma weights counts
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
        if picture.format.components[1].width < picture.width:
            picture = self._tag_left(picture)
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


class _LeftTag:
    """Tells swscale that chroma lies on the left, which a decoder may leave out and PyAV cannot set."""

    def __init__(self) -> None:
        self._kind: tuple[int, int, str] | None = None
        self._graph: av.filter.Graph | None = None

    def __call__(self, picture: av.VideoFrame) -> av.VideoFrame:
        """Return the picture, tagged; its planes are the same."""
        kind = (picture.width, picture.height, picture.format.name)
        if self._graph is None or kind != self._kind:
            self._kind, self._graph = kind, av.filter.Graph()
            self._graph.threads = 1
            source = self._graph.add_buffer(
                width=kind[0], height=kind[1], format=picture.format, time_base=Fraction(1, 1000)
            )
            tag = self._graph.add("setparams", "chroma_location=left")
            self._graph.link_nodes(source, tag, self._graph.add("buffersink")).configure()
        self._graph.push(picture)
        return cast(av.VideoFrame, self._graph.pull())


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
