"""How sure a network is of its mattes: a frame every second or so is shown to it again, as a mirror would show it.

What a network knows, it knows from either side. Where the two answers differ over an area, or where the first one
is half transparent over an area (an edge is thin, hair too), something is lost or taken along. On 50 clips with `talk`,
28 of them with exact alpha, `UNSURE` parts the bad from the good (docs/verify.md has the table). What a network takes
for a person from either side is not found this way.

Nothing of it feeds back into the mattes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import av
import cv2
import numpy as np

from birefvideo.frames import Alpha, AlphaFrame, DecodedFrame
from birefvideo.matting.grid import Map, Mask
from birefvideo.planes import copy_with_tags, plane_array

EVERY = 24
"""Frames from one that is looked at twice to the next."""
UNSURE = 0.009
"""Share of the picture that a good matte is in doubt of at most."""
APART = 0.004
"""Share of the picture from which on a piece apart from the subject is told."""

_LONG_SIDE = 384
_THICK = 9
"""Cells that a doubt measures across at least: edges and locks of hair are thinner."""
_OPAQUE, _CLEAR = 0.8, 0.2
"""Alpha that is decided."""
_CLEAR_OF_MEAN, _OPAQUE_OF_MEAN = 0.12, 0.88
"""The same of the mean of two answers, which is more often in between."""
_CONTRARY = 0.3
"""Difference of alpha that counts as another answer."""
_SMALLER = 0.25
"""Share of the largest piece up to which another one counts as a piece apart: more is a second subject."""


@dataclass(frozen=True)
class Look:
    """What two looks at a frame say."""

    frame: int
    """Number of the frame in its segment."""
    unsure: float
    """Share of the picture that the network does not decide, or decides otherwise in the mirror."""
    subject: float
    """Share of the picture that is foreground."""
    place: tuple[float, float] = (0.5, 0.5)
    """Middle of the largest such area, (across, down) in parts of the picture."""
    apart: float = 0.0
    """Share of the picture of the largest piece apart from the subject that touches no border."""
    apart_at: tuple[float, float] = (0.5, 0.5)
    """Its middle."""


class SecondLook:
    """Lets one frame in `every` of a segment, the first one too, be predicted twice, and keeps what comes of it.

    `doubled` goes before prediction, `compared` after it; prediction keeps the order. With `mirrored` the network sees
    the mirror image of every frame anyway: nothing is predicted twice, and where its two answers are apart, their mean
    is undecided.
    """

    def __init__(self, every: int = EVERY, *, mirrored: bool = False) -> None:
        self._every = every
        self._mirrored = mirrored
        self._is_mirrored: deque[bool] = deque()
        self.looks: list[Look] = []
        """In order of their frames."""

    def doubled(self, frames: Iterable[DecodedFrame]) -> Iterator[DecodedFrame]:
        """Yield the frames, some followed by their mirror images."""
        number = 0
        for frame in frames:
            self._is_mirrored.append(False)
            yield frame
            if frame.core:
                if number % self._every == 0 and not self._mirrored:
                    self._is_mirrored.append(True)
                    yield replace(frame, picture=_mirrored(frame), core=False)
                number += 1

    def compared(self, mattes: Iterable[AlphaFrame]) -> Iterator[AlphaFrame]:
        """Yield the frames without their mirror images."""
        number, alpha = -1, None
        for frame in mattes:
            if self._is_mirrored.popleft():
                assert alpha is not None
                self.looks.append(compare(number, alpha, frame.alpha[:, ::-1]))
                continue
            number += frame.core
            alpha = frame.alpha
            if self._mirrored and frame.core and number % self._every == 0:
                self.looks.append(compare(number, alpha))
            yield frame


class KeptLooks:
    """Takes what two looks at a segment's frames have said before, and looks anew at what stands apart by now.

    Args:
        before: what they said.
    """

    def __init__(self, before: Sequence[Look]) -> None:
        self._before = {look.frame: look for look in before}
        self.looks: list[Look] = []
        """In order of their frames."""

    def doubled(self, frames: Iterable[DecodedFrame]) -> Iterator[DecodedFrame]:
        """Yield the frames."""
        yield from frames

    def compared(self, mattes: Iterable[AlphaFrame]) -> Iterator[AlphaFrame]:
        """Yield the frames."""
        number = -1
        for frame in mattes:
            number += frame.core
            if frame.core and number in self._before:
                small = _small(frame.alpha)
                share, place = _apart(small)
                look = replace(self._before[number], subject=round(float(small.mean()), 5), apart=share, apart_at=place)
                self.looks.append(look)
            yield frame


def settled(looks: Sequence[Look], decides: Callable[[int, tuple[float, float]], bool]) -> list[Look]:
    """Return looks without the doubt in what somebody has decided since.

    Args:
        looks: at frames of a segment.
        decides: tells of a frame's number in the segment, and of a place as a `Look` has it, whether they have there.
    """
    return [
        replace(
            look,
            unsure=0.0 if look.unsure and decides(look.frame, look.place) else look.unsure,
            apart=0.0 if look.apart and decides(look.frame, look.apart_at) else look.apart,
        )
        for look in looks
    ]


def compare(number: int, alpha: Alpha, again: Alpha | None = None) -> Look:
    """Return what a frame's alpha says of it, with that of a second look; None: alpha is the mean of two looks.

    Both are float32 (height, width) in [0, 1].
    """
    one = _small(alpha)
    if again is None:
        doubt = _thick((one > _CLEAR_OF_MEAN) & (one < _OPAQUE_OF_MEAN))
    else:
        doubt = _thick((one > _CLEAR) & (one < _OPAQUE)) | _thick(np.abs(one - _small(again)) > _CONTRARY)
    place = _middle(doubt) if doubt.any() else (0.5, 0.5)
    apart, apart_at = _apart(one)
    return Look(
        frame=number,
        unsure=round(float(doubt.mean()), 5),
        subject=round(float(one.mean()), 5),
        place=place,
        apart=apart,
        apart_at=apart_at,
    )


def _mirrored(frame: DecodedFrame) -> av.VideoFrame:
    picture = copy_with_tags(frame.picture, frame.picture.format.name)
    for index in range(len(picture.planes)):
        plane_array(picture, index)[:] = plane_array(frame.picture, index)[:, ::-1]
    return picture


def _small(alpha: Alpha) -> Map:
    """Return alpha at the size at which thickness is measured."""
    height, width = alpha.shape
    scale = _LONG_SIDE / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small: Map = cv2.resize(alpha, size, interpolation=cv2.INTER_AREA)
    return small


def _thick(mask: Mask) -> Mask:
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (_THICK, _THICK))
    opened: Mask = cv2.morphologyEx(mask.view(np.uint8), cv2.MORPH_OPEN, disc).view(np.bool_)
    return opened


def _apart(alpha: Map) -> tuple[float, tuple[float, float]]:
    """Return how much of the picture stands apart from the subject, and where."""
    piece = _piece_apart(alpha)
    return (0.0, (0.5, 0.5)) if piece is None else (round(float(piece.mean()), 5), _middle(piece))


def _piece_apart(alpha: Map) -> Mask | None:
    """Return the largest piece that hangs together with nothing, or None."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats((alpha > 1 - _OPAQUE).view(np.uint8))
    height, width = alpha.shape
    areas = stats[1:, cv2.CC_STAT_AREA]
    if len(areas) < 2:
        return None
    left, top = stats[1:, cv2.CC_STAT_LEFT], stats[1:, cv2.CC_STAT_TOP]
    right, bottom = left + stats[1:, cv2.CC_STAT_WIDTH], top + stats[1:, cv2.CC_STAT_HEIGHT]
    inside = (left > 0) & (top > 0) & (right < width) & (bottom < height)
    found = inside & (areas <= _SMALLER * areas.max())
    if not found.any():
        return None
    chosen: Mask = labels == 1 + int(np.where(found, areas, 0).argmax())
    return chosen


def _middle(mask: Mask) -> tuple[float, float]:
    """Return the middle of the largest area of a mask, (across, down) in parts of the picture."""
    _, _, stats, middles = cv2.connectedComponentsWithStats(mask.view(np.uint8))
    x, y = middles[1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())]
    height, width = mask.shape
    return round(float(x + 0.5) / width, 3), round(float(y + 0.5) / height, 3)
