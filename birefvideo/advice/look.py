"""Which frames of a clip are looked at: some spread over it, and the hardest by motion and by detail.

The choice depends on the file alone. A short clip is read once from end to end; of a long or large one only a few
pictures around each place are decoded, found by seeking. At most six pictures are held in memory at a time.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import pairwise
from operator import attrgetter, itemgetter
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from birefvideo.errors import InputError
from birefvideo.frames import DecodedFrame, Span, VideoInfo
from birefvideo.media.reading.decode import frames_near, read_frames
from birefvideo.planes import bit_depth, plane_array

SPREAD = 5
"""Frames spread over the clip."""
_HARDEST = {"motion": 2, "detail": 1}
"""How many of the hardest frames there are besides, by what they are hard by."""
_PLACES = 16
"""Places of the clip at which a pair of frames is decoded, to find the hardest."""
_READ_WHOLE = 2**30
"""Pixels of all frames of a clip up to which it is read from end to end: 500 frames of 1080p."""
_PER_PLACE = 2**26
"""Pixels that are decoded to come near one place of a longer one: 32 frames of 1080p, 8 of 4K."""
_SMALL = 320
"""Long side, in pixels, at which motion and detail of the candidates are compared."""
_CUT_CHANGE, _CUT_SHARE = 40, 0.4
"""A cut is where more than this share of the pixels changes by more than so many codes: nothing has moved there."""

_Place: TypeAlias = "tuple[int, list[DecodedFrame]]"
"""Its number, and up to three frames: before the one there, that one, the next; what is missing is missing first."""

Flow = NDArray[np.float32]
"""Movement to the next frame, float32 (height, width, 2) at a small size, in shares of the picture's long side."""


@dataclass(frozen=True, eq=False)
class Seen:
    """A frame that is looked at."""

    frame: DecodedFrame
    """The frame."""
    why: str
    """'spread', or what it is hard by: 'motion' or 'detail'."""
    flow: Flow | None = None
    """Movement from it to the next frame, or to it, whichever is less; None where there is none."""


@dataclass(frozen=True, eq=False)
class _Candidate:
    frame: DecodedFrame
    flow: Flow | None
    motion: float
    detail: float


def look(info: VideoInfo, span: Span = Span(), *, spread: int = SPREAD) -> Iterator[Seen]:  # noqa: B008 - frozen
    """Yield `spread` frames over a span in order of time, then those with the most motion and the most detail.

    There are fewer where the span has fewer. The same file gives the same frames.

    Raises:
        InputError: the span has no frame that can be decoded.
    """
    wanted = {(2 * i + 1) * _PLACES // (2 * spread) for i in range(spread)}
    hardest: dict[str, list[_Candidate]] = {kind: [] for kind in _HARDEST}
    given: set[int] = set()
    found = 0
    for place, candidate in _candidates(info, span):
        found += 1
        if candidate.frame.pts in given:
            continue
        if place in wanted:
            given.add(candidate.frame.pts)
            yield Seen(candidate.frame, "spread", candidate.flow)
            continue
        for kind, count in _HARDEST.items():
            others = [one for one in hardest[kind] if one.frame.pts != candidate.frame.pts]
            hardest[kind] = sorted([*others, candidate], key=attrgetter(kind), reverse=True)[:count]
    if not found:
        raise InputError(f"{info.path} has no frame that can be decoded there: check the times, or export it again")
    for kind, candidate in ((kind, one) for kind, some in hardest.items() for one in some):
        if candidate.frame.pts not in given:
            given.add(candidate.frame.pts)
            yield Seen(candidate.frame, kind, candidate.flow)


def _candidates(info: VideoInfo, span: Span) -> Iterator[tuple[int, _Candidate]]:
    """Yield the number of each place and what is there, in order of time; several places may have one frame."""
    last: _Candidate | None = None
    with closing(_pairs(info, span)) as pairs:
        for place, pair in pairs:
            if last is None or pair[-2:][0].pts > last.frame.pts:
                last = _candidate(pair)
            yield place, last


def _pairs(info: VideoInfo, span: Span) -> Generator[_Place, None, None]:
    if info.still:
        return _read_through(info, span, [info.start] * _PLACES, 1)
    first = info.start if span.start is None else span.start
    last = info.start + int(info.duration / info.time_base) if info.duration else span.end or first
    if span.end is not None:
        last = min(last, span.end)
    times = [first + (last - first) * (2 * i + 1) // (2 * _PLACES) for i in range(_PLACES)]
    pixels = max(1, info.width * info.height)
    frames = float((last - first) * info.time_base * info.rate)
    if not info.duration or frames * pixels <= _READ_WHOLE:
        return _read_through(info, span, times, max(2, _READ_WHOLE // pixels))
    return _seek_each(info, span, times, max(2, _PER_PLACE // pixels))


def _read_through(info: VideoInfo, span: Span, times: list[int], most: int) -> Generator[_Place, None, None]:
    """Yield the frame that is shown at each time, with its next one, in one pass over at most `most` frames."""
    place, before = 0, list[DecodedFrame]()
    with closing(read_frames(info, span)) as frames:
        frame = next(frames, None)
        for number in range(most):
            if frame is None or place == len(times):
                return
            following = next(frames, None) if number + 1 < most and not info.still else None
            pair = [frame] if following is None else [*before, frame, following]
            while place < len(times) and (following is None or times[place] < following.pts):
                yield place, pair
                place += 1
            before, frame = [frame], following


def _seek_each(info: VideoInfo, span: Span, times: list[int], most: int) -> Generator[_Place, None, None]:
    is_empty = True
    for place, time in enumerate(times):
        pair = [frame for frame in frames_near(info, time, most) if span.holds(frame.pts)]
        if pair:
            is_empty = False
            yield place, pair
    if is_empty:  # a file in which nothing can be sought
        yield from _read_through(info, span, [span.start or info.start] * len(times), 2)


def _candidate(near: list[DecodedFrame]) -> _Candidate:
    smalls = [_small(frame) for frame in near]
    frame, one = near[-2:][0], smalls[-2:][0]
    slope = cv2.magnitude(cv2.Sobel(one, cv2.CV_32F, 1, 0), cv2.Sobel(one, cv2.CV_32F, 0, 1))
    # Where a converter has dropped a frame, one step is twice as long, and nothing is blurred by it.
    steps = [_step(before, after) for before, after in pairwise(smalls)]
    known = [step for step in steps if step is not None]
    flow, motion = min(known, key=itemgetter(1)) if steps and steps[-1] is not None else (None, 0.0)
    return _Candidate(frame, flow, motion, float(slope.mean()))


def _step(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> tuple[Flow, float] | None:
    """Return the movement between two frames, and how far its fastest twentieth goes; None at a cut."""
    if float(np.mean(cv2.absdiff(before, after) > _CUT_CHANGE)) > _CUT_SHARE:
        return None
    flow = cv2.calcOpticalFlowFarneback(before, after, None, 0.5, 3, 15, 3, 5, 1.1, 0)
    shares = np.asarray(flow, np.float32) / max(before.shape)
    return shares, float(np.percentile(np.hypot(shares[..., 0], shares[..., 1]), 95))


def _small(frame: DecodedFrame) -> NDArray[np.uint8]:
    """Return luma as 8 bits at a small size."""
    luma = plane_array(frame.picture, 0)
    height, width = luma.shape
    scale = min(1.0, _SMALL / max(height, width))
    size = max(16, round(width * scale)), max(16, round(height * scale))
    small = cv2.resize(luma, size, interpolation=cv2.INTER_AREA)
    return np.asarray(small >> (bit_depth(frame.picture) - 8), np.uint8)
