"""Times that pictures share, or have in the order of decoding: told apart, so that every picture has its own."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np

from birefvideo.media.reading.joints import UNKNOWN, StreamTimes, Ticks, moved, usual_step
from birefvideo.timeline import Timeline

_FINEST = 1000
"""Parts that a tick of a file is cut into at most, so that its pictures can be told apart."""
_LARGEST = 2**31 - 1
"""The largest denominator that FFmpeg has."""
_FALLBACK_STEP = Fraction(1, 25)
"""Seconds between pictures where a file gives all of them one time and no length."""


def told_apart(timeline: Timeline, stream: int, pictures: StreamTimes, *, is_reordered: bool) -> Timeline:
    """Return a timeline on which pictures of one time are spread over the time until the next one, in finer ticks.

    Where the codec reorders pictures, such times, and those that are of decoding, need not be in the order of showing:
    then the timeline says so. Where not all packets have times, nothing is changed.

    Args:
        timeline: what is known of the file's clock so far.
        stream: index of the pictures' stream.
        pictures: the times of its packets that are to be shown, each of one picture; numbered as in `timeline`.
        is_reordered: whether the codec reorders them.
    """
    if len(pictures.pts) < 2 or (pictures.pts == UNKNOWN).any():
        return timeline
    own = dict(timeline.corrected).get(stream, ())
    pts = moved(pictures, dict(timeline.shifts).get(stream, ()))
    for number, time in own:
        pts[number] = time
    order = np.argsort(pts, kind="stable")
    firsts = np.flatnonzero(np.r_[True, np.diff(pts[order]) > 0])
    repeats = len(pts) - len(firsts)
    if not repeats:
        return replace(timeline, unordered=is_reordered and is_of_decoding(pictures))
    counts = np.diff(np.r_[firsts, len(pts)])
    # Before a long still they come at the usual rate.
    gaps = np.minimum(np.diff(pts[order][firsts]), usual_step(pictures) * counts[:-1])
    gaps = np.r_[gaps, _length_of(pictures.part(order[firsts[-1] :]), pictures)]
    factor = int(min(max(-(-counts // gaps)), _FINEST, _LARGEST // pictures.time_base.denominator))
    group = np.repeat(np.arange(len(firsts)), counts)
    within = np.arange(len(pts)) - firsts[group]
    apart: Ticks = np.empty_like(pts)
    apart[order] = pts[order] * factor + within * gaps[group] * factor // counts[group]
    changed = {int(i): int(apart[i]) for i in np.flatnonzero(apart != pts * factor)}
    changed |= {number: int(apart[number]) for number, _ in own}
    others = tuple(one for one in timeline.corrected if one[0] != stream)
    return replace(
        timeline,
        corrected=(*others, (stream, tuple(sorted(changed.items())))),
        finer=((stream, factor),),
        unordered=is_reordered,
        repeats=repeats,
    )


def is_of_decoding(pictures: StreamTimes) -> bool:
    """Return whether pictures are shown when they are decoded, by their times."""
    return bool((np.diff(pictures.pts) > 0).all() and np.mean(pictures.pts == pictures.dts) > 1 / 2)


def _length_of(last: StreamTimes, pictures: StreamTimes) -> int:
    """Return the length of the last pictures of a clip, which have one time."""
    if length := int(last.duration.sum()):
        return length
    has_steps = pictures.duration.any() or np.diff(pictures.pts).any()
    return len(last.pts) * (usual_step(pictures) if has_steps else max(1, round(_FALLBACK_STEP / pictures.time_base)))
