"""What lies under a composite: a picture or a video, scaled to cover the frame, in the output's codes."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from birefvideo.colour import Colour
from birefvideo.errors import InputError, OptionError, named
from birefvideo.frames import DecodedFrame, Span
from birefvideo.media.reading.decode import read_frames
from birefvideo.media.reading.probe import probe
from birefvideo.media.writing import yuv_frames
from birefvideo.planes import plane_array

Background = tuple[int, int, int] | Path
"""What the user puts under a composite: R'G'B' codes, or a picture or video."""

_BACK = Fraction(2)
"""Seconds before a moment at which reading starts, since a picture may be shown for a while."""
_FAR = Fraction(20)
"""Seconds from which on seeking is better than reading through."""


def check_background(background: Background) -> None:
    """Refuse a file that holds no picture.

    Raises:
        OptionError: says what is wrong with it.
    """
    if isinstance(background, Path):
        try:
            probe(background)
        except InputError as error:
            raise OptionError(f"{named('background')}: {error.message}") from error


class BackgroundFile:
    """The pictures of a background file: of a video the one shown at each moment, over and over.

    A video whose length its file does not say stops at its last picture. To be closed after use.

    Args:
        path: a picture or a video.
        size: (width, height) that it is to cover: scaled to fill, its middle kept.
        aspect: width to height of one pixel there.
        colour: what its codes are to be in: BT.709 or BT.601.
    """

    def __init__(self, path: Path, size: tuple[int, int], aspect: Fraction, colour: Colour) -> None:
        self._info = probe(path)
        self._size, self._aspect, self._colour = size, aspect, colour
        self._frames = self._read(Fraction(0))
        self._shown: DecodedFrame | None = next(self._frames, None)
        self._next: DecodedFrame | None = next(self._frames, None)
        self._is_still = self._next is None
        self._planes: Sequence[yuv_frames.Plane] | None = None

    def at(self, seconds: Fraction) -> Sequence[yuv_frames.Plane]:
        """Return the 8-bit 4:2:0 planes of the picture that is shown `seconds` after the start of the output."""
        if not self._is_still:
            self._go_to(seconds % self._info.duration if self._info.duration else seconds)
        if self._planes is None:
            assert self._shown is not None, "a probed file has a picture"
            self._planes = self._covering(self._shown.picture)
        return self._planes

    def close(self) -> None:
        """Close the file."""
        self._frames.close()

    def _read(self, start: Fraction) -> Generator[DecodedFrame, None, None]:
        first = self._info.start + int(start / self._info.time_base)
        return read_frames(self._info, Span(start=first) if start else Span())

    def _time(self, frame: DecodedFrame) -> Fraction:
        return (frame.pts - self._info.start) * self._info.time_base

    def _go_to(self, moment: Fraction) -> None:
        """Make the last picture that does not come after `moment` the one that is shown."""
        if self._shown is None or self._time(self._shown) > moment or self._time(self._shown) < moment - _FAR:
            self._restart(max(Fraction(0), moment - _BACK))
            if self._shown is None or self._time(self._shown) > moment:
                self._restart(Fraction(0))
        while self._next is not None and self._time(self._next) <= moment:
            self._shown, self._next, self._planes = self._next, next(self._frames, None), None

    def _restart(self, start: Fraction) -> None:
        self._frames.close()
        self._frames = self._read(start)
        self._shown, self._next, self._planes = next(self._frames, None), next(self._frames, None), None

    def _covering(self, picture: av.VideoFrame) -> Sequence[yuv_frames.Plane]:
        """Return a picture's planes in the colour asked for, cropped and resampled to the size asked for."""
        opaque = np.ones((picture.height, picture.width), np.float32)
        whole = yuv_frames.composite_420(picture, None, opaque, None, self._info.colour, self._colour)
        (width, height), source = self._size, self._info
        stretch = self._aspect / source.sample_aspect_ratio
        scale = max(width * stretch / source.width, Fraction(height, source.height))
        columns, left = _middle(source.width, width * stretch / scale)
        rows, top = _middle(source.height, height / scale)
        planes = []
        for index in range(3):
            step = 2 if index else 1
            area = plane_array(whole, index)[
                top // step : (top + rows) // step, left // step : (left + columns) // step
            ]
            out = (-(-width // step), -(-height // step))
            shrinks = out[0] < area.shape[1]
            planes.append(cv2.resize(area, out, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR))
        return planes


def _middle(side: int, wanted: Fraction) -> tuple[int, int]:
    """Return (length, start) of the middle of a side, both even, so that chroma goes along."""
    length = max(2, 2 * round(min(wanted, Fraction(side + side % 2)) / 2))
    return length, 2 * ((side - length) // 4) if side > length else 0
