"""The marks of a job's options in the clip that they are for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

from birefvideo.directing.holds import Holds
from birefvideo.directing.marks import Marks, check_time
from birefvideo.directing.mend import read_alpha
from birefvideo.directing.wishes import Subject
from birefvideo.errors import InputError, OptionError, named
from birefvideo.frames import Span, VideoInfo
from birefvideo.jobs.options import Options

_SLACK = 1
"""Seconds by which a subject's time may lie after the end that a clip says it has."""


def placed_marks(info: VideoInfo, span: Span, options: Options) -> Marks:
    """Return the marks in pixels of a clip.

    Raises:
        InputError: one lies outside of the picture, or of the part of the clip that is wanted.
    """
    return options.marked.placed(info.width, info.height, *_times(info, span))


def _times(info: VideoInfo, span: Span) -> tuple[Fraction, Fraction | None]:
    """Return when the output begins and ends, in seconds from the clip's first frame; None: that is not known."""
    last = info.start + int(info.duration / info.time_base) if info.duration else None
    if span.end is not None:
        last = span.end if last is None else min(last, span.end)

    def seconds(pts: int) -> Fraction:
        return (pts - info.start) * info.time_base

    return Fraction(0) if span.start is None else seconds(span.start), None if last is None else seconds(last)


def check_marks(info: VideoInfo, span: Span, options: Options) -> None:
    """Refuse marks, a subject, and pictures of mends that do not go with a clip, as far as that is known before.

    Raises:
        InputError, OptionError: as above.
    """
    if options.subject is not None:
        _check_subject(options.subject, info, span)
    for mend in placed_marks(info, span, options).mends:
        if mend.frame == 0:
            raise InputError(f"{mend.name}: it is of frame 0: count from 1")
        if mend.frame is not None and 0 < info.frame_count < mend.frame:
            raise InputError(f"{mend.name}: it is of frame {mend.frame}, but the clip has {info.frame_count} frames")
        read_alpha(mend, info.width, info.height)


def _check_subject(subject: Subject, info: VideoInfo, span: Span) -> None:
    """Refuse a point outside of the picture, or of another part of the clip; see `SubjectLock` for the rest.

    Raises:
        InputError, OptionError: as above.
    """
    name = named("subject", str(subject))
    if not subject.word and max(subject.point(info.width, info.height)) >= 1:
        raise OptionError(f"{name}: the point is outside of the picture of {info.width}×{info.height}")
    first, last = _times(info, span)
    if subject.at is not None:
        check_time(name, subject.at, subject.at, first, None if last is None else last + _SLACK)


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
