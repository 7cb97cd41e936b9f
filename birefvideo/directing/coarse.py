"""A small picture and its alpha for every frame of a clip: what directions are found on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from birefvideo.colour import FULL_RANGE, LIMITED_RANGE, codes_to_rgb
from birefvideo.directing.records import RecordFile, RecordWriter, packed, unpacked
from birefvideo.frames import Alpha, AlphaFrame
from birefvideo.planes import bit_depth, plane_array

LONG_SIDE = 320
"""Pixels of the longer side of a coarse picture."""
_QUALITY = 95
"""Of the JPEGs that coarse pictures are kept as."""

Picture = NDArray[np.uint8]
"""Full-range R'G'B' codes, uint8 (rows, columns, 3)."""


def coarse_size(width: int, height: int) -> tuple[int, int]:
    """Return the (columns, rows) of the coarse picture of one of (width, height); a small one keeps its size."""
    scale = min(1.0, LONG_SIDE / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def coarse_picture(picture: av.VideoFrame) -> Picture:
    """Return a planar YUV picture of any subsampling and depth at its coarse size, in its own matrix and curve."""
    size = coarse_size(picture.width, picture.height)
    planes = [cv2.resize(plane_array(picture, index), size, interpolation=cv2.INTER_AREA) for index in range(3)]
    is_full = picture.color_range == FULL_RANGE
    to_rgb = codes_to_rgb(picture.colorspace, FULL_RANGE if is_full else LIMITED_RANGE, bit_depth(picture), 255.0)
    rgb = cv2.transform(cv2.merge(planes).astype(np.float32), to_rgb)
    codes: Picture = np.rint(np.clip(rgb, 0, 255, out=rgb)).astype(np.uint8)
    return codes


def coarse_alpha(alpha: Alpha) -> NDArray[np.uint8]:
    """Return alpha, float32 (height, width), at its coarse size in codes from 0 to 255."""
    small = cv2.resize(alpha, coarse_size(*alpha.shape[::-1]), interpolation=cv2.INTER_AREA)
    codes: NDArray[np.uint8] = np.rint(small * np.float32(255)).astype(np.uint8)
    return codes


def write_coarse(file: RecordWriter, frame: AlphaFrame) -> None:
    """Add what `CoarseClip` reads of a frame to a segment's file."""
    picture = coarse_picture(frame.picture)
    file.write(cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1].tobytes())
    file.write(packed(coarse_alpha(frame.alpha)))


class CoarseClip:
    """The coarse pictures and alphas of a whole clip, by the frame's number from 0 on; a context manager.

    They are read from the disk each time: a clip may be of any length. For one thread at a time.

    Args:
        files: of the segments that hold frames, in order.
        pts: of every frame, in ticks of the clip's time_base.
        seconds: what each of them is in seconds from the first frame of the clip, as the user counts.
        full_size: (width, height) of the clip's own pictures.

    Raises:
        OSError, ValueError: a file is not there or not whole.
    """

    def __init__(
        self, files: Sequence[Path], pts: Sequence[int], seconds: Sequence[float], full_size: tuple[int, int]
    ) -> None:
        self._pts, self._seconds, self.full_size = pts, seconds, full_size
        self._files: list[RecordFile] = []
        try:
            self._files.extend(map(RecordFile, files))
        except BaseException:
            self.close()
            raise
        self._starts = np.cumsum([0, *(len(file) // 2 for file in self._files)])
        if len(pts) != self._starts[-1]:
            self.close()
            raise ValueError(f"{len(pts)} frames, but {self._starts[-1]} are kept")

    def __enter__(self) -> CoarseClip:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the files."""
        for file in self._files:
            file.close()

    def __len__(self) -> int:
        return len(self._pts)

    @property
    def size(self) -> tuple[int, int]:
        """(columns, rows) of every coarse picture."""
        return coarse_size(*self.full_size)

    def pts(self, number: int) -> int:
        """Return the time of a frame in ticks of the clip's time_base."""
        return self._pts[number]

    def seconds(self, number: int) -> float:
        """Return the time of a frame in seconds from the clip's first one, as `Options.start` counts."""
        return self._seconds[number]

    def picture(self, number: int) -> Picture:
        """Return the coarse picture of a frame, uint8 (rows, columns, 3): red, green, blue."""
        data = np.frombuffer(self._record(number, 0), np.uint8)
        bgr: Any = cv2.imdecode(data, cv2.IMREAD_COLOR)
        return np.ascontiguousarray(bgr[..., ::-1])

    def alpha(self, number: int) -> Alpha:
        """Return the coarse alpha of a frame, float32 (rows, columns) in [0, 1]."""
        alpha: Alpha = unpacked(self._record(number, 1)).astype(np.float32)
        alpha *= np.float32(1 / 255)
        return alpha

    def _record(self, number: int, which: int) -> bytes:
        index = int(np.searchsorted(self._starts, number, side="right")) - 1
        return self._files[index].read(2 * (number - int(self._starts[index])) + which)
