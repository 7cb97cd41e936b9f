"""What lies under a composite: a picture or a video, fitted to the frame, or the clip's own."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from birefvideo.colour import Colour, rgb_to_yuv
from birefvideo.errors import InputError, OptionError, named
from birefvideo.frames import DecodedFrame, Span
from birefvideo.media.reading.decode import read_frames
from birefvideo.media.reading.probe import probe
from birefvideo.media.writing import yuv_frames
from birefvideo.planes import plane_array, resized


@dataclass(frozen=True)
class Blur:
    """The clip's own background, out of focus."""

    radius: float | None = None
    """Of the lens's disc, in pixels; None: a sixtieth of the picture's long side."""

    def __str__(self) -> str:
        return "blur" if self.radius is None else f"blur:{self.radius:g}"


Background = tuple[int, int, int] | Path | Blur
"""What the user puts under a composite: R'G'B' codes, a picture or video, or the clip's own background."""

FITS = ("cover", "contain", "stretch")
"""How a picture or video comes to the size of the frame: cut, with black bars, or out of proportion."""

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
        size: (width, height) that it is to have.
        aspect: width to height of one pixel there.
        fit: one of `FITS`; where it is cut or has bars, its middle is in the middle.
        colour: what its codes are to be in: BT.709 or BT.601.
    """

    def __init__(self, path: Path, size: tuple[int, int], aspect: Fraction, colour: Colour, fit: str = "cover") -> None:
        self._info = probe(path)
        self._size, self._aspect, self._colour, self._fit = size, aspect, colour, fit
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
            self._planes = self._fitted(self._shown.picture)
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

    def _fitted(self, picture: av.VideoFrame) -> Sequence[yuv_frames.Plane]:
        """Return a picture's planes in the colour asked for, cropped or barred, and resampled to the size asked for."""
        opaque = np.ones((picture.height, picture.width), np.float32)
        whole = yuv_frames.composite_420(picture, None, opaque, None, self._info.colour, self._colour)
        (width, height), source = self._size, self._info
        stretch = self._aspect / source.sample_aspect_ratio
        across, down = width * stretch / source.width, Fraction(height, source.height)
        if self._fit != "stretch":
            across = down = max(across, down) if self._fit == "cover" else min(across, down)
        columns, left = _middle(source.width, width * stretch / across)
        rows, top = _middle(source.height, height / down)
        x = _middle(width, source.width * across / stretch)
        y = _middle(height, source.height * down)
        planes = []
        for index, black in enumerate(rgb_to_yuv((0, 0, 0), self._colour)):
            step = 2 if index else 1
            area = plane_array(whole, index)[
                top // step : (top + rows) // step, left // step : (left + columns) // step
            ]
            plane = np.full((-(-height // step), -(-width // step)), black, np.uint8)
            inside = plane[y[1] // step : (y[1] + y[0]) // step, x[1] // step : (x[1] + x[0]) // step]
            inside[:] = resized(area, inside.shape[::-1])
            planes.append(plane)
        return planes


def _middle(side: int, wanted: Fraction) -> tuple[int, int]:
    """Return (length, start) of the middle of a side, both even, so that chroma goes along."""
    length = max(2, 2 * round(min(wanted, Fraction(side + side % 2)) / 2))
    return length, 2 * ((side - length) // 4) if side > length else 0
