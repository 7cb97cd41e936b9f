"""The network's alpha on the disk: written in a first pass over a clip, read and directed in a second one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from birefvideo.directing.coarse import write_coarse
from birefvideo.directing.direct import Direction
from birefvideo.directing.masks import directed
from birefvideo.directing.records import RecordFile, RecordWriter, packed, unpacked
from birefvideo.errors import InputError
from birefvideo.frames import Alpha, AlphaFrame, DecodedFrame

_PEAK = 65535


@contextmanager
def storing(alpha: Path, coarse: Path) -> Iterator[Callable[[AlphaFrame], None]]:
    """Give what writes the frames of a segment: their alpha, and what directions are found on, into a file each.

    Alpha is kept to the nearest of 65,536 steps.

    Raises:
        OSError: the disk refuses.
    """
    with RecordWriter(alpha) as alphas, RecordWriter(coarse) as pictures:

        def write(frame: AlphaFrame) -> None:
            alphas.write(packed(np.rint(frame.alpha * np.float32(_PEAK)).astype(np.uint16)))
            write_coarse(pictures, frame)

        yield write


@dataclass(frozen=True)
class StoredSegment:
    """The alpha of one segment."""

    path: Path
    """The file that `storing` wrote."""
    pts: Sequence[int]
    """Times of its frames, in ticks of the clip's time_base."""


class StoredAlpha:
    """Gives the frames of a clip their stored alpha, with a direction applied: a `Matter`.

    Frames outside of all segments, the context of a trimmed clip, have none and are left out.
    """

    def __init__(self, segments: Sequence[StoredSegment], direction: Path) -> None:
        self._segments = segments
        self._direction = direction
        self._numbers = {pts: i for i, pts in enumerate(pts for segment in segments for pts in segment.pts)}
        self._starts = np.cumsum([0, *(len(segment.pts) for segment in segments)])

    def predict(self, frames: Iterable[DecodedFrame]) -> Iterator[AlphaFrame]:
        """Yield each frame, in order, with its alpha at its picture's size.

        Raises:
            InputError: a frame was not there in the first pass.
        """
        with ExitStack() as stack:
            direction = Direction(self._direction)
            stack.callback(direction.close)
            opened: dict[int, RecordFile] = {}
            for frame in frames:
                number = self._numbers.get(frame.pts)
                if number is not None:
                    index = int(np.searchsorted(self._starts, number, side="right")) - 1
                    if index not in opened:
                        opened[index] = RecordFile(self._segments[index].path)
                        stack.callback(opened[index].close)
                    alpha = unpacked(opened[index].read(number - int(self._starts[index])), _alpha)
                    yield frame.with_alpha(directed(alpha, direction.masks(number), frame.picture))
                elif frame.core:
                    at = f"{float(frame.seconds):.3f} s"
                    raise InputError(f"the frame at {at} was not read before: run the same command again")


def _alpha(codes: NDArray[np.uint16]) -> Alpha:
    alpha: Alpha = codes.astype(np.float32)
    alpha *= np.float32(1 / _PEAK)
    return np.minimum(alpha, 1, out=alpha)
