"""The marks of a job's options in the clip that they are for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

from birefvideo.directing.holds import Holds
from birefvideo.directing.marks import Marks
from birefvideo.directing.mend import read_alpha
from birefvideo.errors import InputError
from birefvideo.frames import Span, VideoInfo
from birefvideo.jobs.options import Options


def placed_marks(info: VideoInfo, span: Span, options: Options) -> Marks:
    """Return the marks in pixels of a clip.

    Raises:
        InputError: one lies outside of the picture, or of the part of the clip that is wanted.
    """
    last = info.start + int(info.duration / info.time_base) if info.duration else None
    if span.end is not None:
        last = span.end if last is None else min(last, span.end)

    def seconds(pts: int) -> Fraction:
        return (pts - info.start) * info.time_base

    first = Fraction(0) if span.start is None else seconds(span.start)
    return options.marked.placed(info.width, info.height, first, None if last is None else seconds(last))


def check_marks(info: VideoInfo, span: Span, options: Options) -> None:
    """Refuse marks that do not go with a clip, and mends whose pictures do not, as far as is known before.

    Raises:
        InputError: as above.
    """
    for mend in placed_marks(info, span, options).mends:
        if mend.frame is not None and 0 < info.frame_count < mend.frame:
            raise InputError(f"{mend.name}: it is of frame {mend.frame}, but the clip has {info.frame_count} frames")
        read_alpha(mend, info.width, info.height)


def holds_of(info: VideoInfo, span: Span, options: Options, pts: Sequence[int]) -> Holds:
    """Return what is marked in single frames.

    Args:
        info: the clip.
        span: the part of it that is wanted.
        options: the user's.
        pts: of the output's frames, as far as marks need the whole clip.

    Raises:
        InputError: as `placed_marks`; or a mend is of no frame.
    """
    marks = placed_marks(info, span, options)
    if not marks.need_whole_clip:
        return Holds(marks, info.start, info.time_base)
    times = [(time - info.start) * info.time_base for time in pts]
    mends = {pts[mend.number(times)]: mend for mend in marks.mends}
    return Holds(replace(marks.snapped(times), mends=()), info.start, info.time_base, mends)
