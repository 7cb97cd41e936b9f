"""Small copies for the review page: the matte as WebM with alpha, and the source as H.264, frame by frame alike."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from types import MappingProxyType

import av
import cv2
import numpy as np

from birefvideo.colour import tag
from birefvideo.frames import Frame, VideoInfo
from birefvideo.media.format_table import Format, get_format
from birefvideo.media.writing.composer import Composer, EncodeSettings
from birefvideo.planes import plane_array, to_444

LONG_SIDE = 1280
"""Pixels of a proxy's longer side, at most."""

MATTE_PROXY = replace(get_format("webm"), name="review-matte", suffix="_review.webm")
"""The matte for the page, where no WebM is among the outputs."""
SOURCE_PROXY = replace(
    get_format("green"),
    name="review-source",
    suffix="_review.mp4",
    # One key frame every half second or so: the page jumps to single frames.
    codec_options=MappingProxyType({**get_format("green").codec_options, "crf": "26", "g": "15"}),
)
"""The source for the page's wipe."""


def proxy_info(info: VideoInfo) -> VideoInfo:
    """Return what the clip is as a proxy: of square pixels, even sides, at most LONG_SIDE long."""
    width = float(info.width * max(info.sample_aspect_ratio, Fraction(1)))
    height = float(info.height / min(info.sample_aspect_ratio, Fraction(1)))
    scale = min(1.0, LONG_SIDE / max(width, height))
    even = [max(2, 2 * round(side * scale / 2)) for side in (width, height)]
    return replace(info, width=even[0], height=even[1], sample_aspect_ratio=Fraction(1))


class ReviewComposer(Composer):
    """Another composer's pictures of frames as `proxy_info` has them; of SOURCE_PROXY the picture without its matte."""

    def __init__(self, inner: Composer, format: Format, info: VideoInfo, settings: EncodeSettings) -> None:
        super().__init__(format, info, settings)
        self._inner, self.coverage = inner, inner.coverage
        self._shows_source = format is SOURCE_PROXY

    def compose(self, frame: Frame) -> av.VideoFrame:
        """Return the small picture of a frame."""
        size = (self._info.width, self._info.height)
        picture = _scaled(frame.picture, size, self._info)
        if self._shows_source:
            opaque = np.ones(size[::-1], np.float32)
            return self._inner.compose(replace(frame, picture=picture, foreground=to_444(picture), alpha=opaque))
        foreground = _scaled(frame.foreground, size, self._info)
        alpha = cv2.resize(frame.alpha, size, interpolation=cv2.INTER_AREA)
        return self._inner.compose(replace(frame, picture=picture, foreground=foreground, alpha=alpha))

    def close(self) -> None:
        """Close the other."""
        self._inner.close()


def _scaled(picture: av.VideoFrame, size: tuple[int, int], info: VideoInfo) -> av.VideoFrame:
    """Return a planar picture resampled to (width, height), plane by plane; itself where that is its size."""
    if (picture.width, picture.height) == size:
        return picture
    result = av.VideoFrame(*size, picture.format.name)
    for index in range(3):
        out = plane_array(result, index)
        cv2.resize(plane_array(picture, index), out.shape[::-1], dst=out, interpolation=cv2.INTER_AREA)
    tag(result, info.colour)
    return result
