"""Reading a clip: every frame with its time, for any span, whatever the file's damage."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator
from contextlib import closing
from fractions import Fraction
from heapq import heappop, heappush
from itertools import chain, islice, repeat
from typing import TypeAlias

import av
from av.video.stream import VideoStream

from birefvideo.errors import InputError
from birefvideo.frames import DecodedFrame, Span, VideoInfo
from birefvideo.media.reading.alpha_beside import alpha_beside
from birefvideo.media.reading.deinterlace import deinterlaced
from birefvideo.media.reading.normalize import is_resized, opacity_of, planar, prepare, upright_opacity, working_format
from birefvideo.media.reading.open_input import open_input
from birefvideo.media.reading.photo_decoder import decoder_of
from birefvideo.media.reading.pictures import GIVE_UP_AFTER, DecodeReport, decoded

__all__ = ["GIVE_UP_AFTER", "DecodeReport", "decoded", "frames_near", "read_frames", "working_format"]

# Seconds to seek further back where a seek lands too late, as it can in transport streams and open GOPs.
_FURTHER_BACK = (0, 1, 5, 20)

_REORDERED = 17
"""Pictures by which a time may be away from its own, and one."""

_Timed: TypeAlias = tuple[av.VideoFrame, int]  # a picture as the decoder gives it, and its pts


def read_frames(
    info: VideoInfo,
    span: Span = Span(),  # noqa: B008 - frozen
    context: int = 0,
    report: DecodeReport | None = None,
    threads: int = 1,
) -> Generator[DecodedFrame, None, None]:
    """Yield the frames of `span`, and up to `context` frames directly before and after it with core=False.

    The spans of any partition of the clip give together exactly the frames of the whole, with the same pixels and
    times. With `info.deinterlace`, frames that are flagged interlaced become progressive, one for one. Times increase
    strictly, in the order of showing, as `info.timeline` makes them; of frames that have one time even so the first is
    kept, as a player shows only one. A frame's duration reaches to the next frame; the last one keeps its container's.
    Corrupt packets are skipped, and truncated files read to the cut; `report` is added to when the generator ends or
    is closed. With more than one of `threads` the decoder hides the damage of a broken clip differently from run to
    run; sound clips decode the same.

    Raises InputError where the file cannot be opened or nothing of it can be decoded.
    """
    reader = _Reader(info, span, threads)
    after = 0
    try:
        with closing(reader.frames(context)) as frames:
            for picture, pts, duration in frames:
                core = span.holds(pts)
                if span.end is not None and pts >= span.end:
                    after += 1
                    if after > context:
                        break
                reader.counts.frames += core
                reader.counts.rescaled_frames += core and is_resized(picture, info)
                beside = alpha_beside(info) if info.has_alpha else None
                opacity = opacity_of(picture, info) if beside is None else upright_opacity(beside, picture, info)
                reader.counts.transparent_frames += core and opacity is not None
                picture = prepare(picture, info)
                picture.pts, picture.time_base = pts, info.time_base
                yield DecodedFrame(picture, pts, info.time_base, duration, core, opacity, info.sample_aspect_ratio)
                if info.still:  # whatever else lies in the file, such as the clip that phones append
                    break
    finally:
        if report is not None:
            report.add(reader.counts)


def frames_near(info: VideoInfo, target: int, most: int) -> list[DecodedFrame]:
    """Return a frame at or before a time, between its neighbours, for a look at the clip; of damage nothing is told.

    Decoding begins at the key frame before and ends after `most` pictures, even where that is long before `target`.
    Where the file gives less there, the one before is missing first; the list is empty where it gives nothing. Times
    are the file's own.
    """
    with open_input(info.path) as container:
        stream = container.streams[info.stream_index]
        if not isinstance(stream, VideoStream):
            return []
        stream.codec_context.thread_count = 1
        try:
            if not info.timeline.is_closed(stream.index):
                container.seek(target, stream=stream)
            decoder = decoder_of(stream, info.path, with_alpha=info.has_alpha)
            found = decoded(container, stream, Span(), None, info.timeline, target, decoder)
            reader = _Reader(info, Span(), 1)
            timed = ((picture, _time(picture)) for picture in reader.in_order(found))
            near: deque[_Timed] = deque(maxlen=3)
            with closing(timed), closing(reader.progressive(timed)) as pictures:
                for picture, pts in islice(pictures, most):
                    near.append((picture, pts))
                    if pts > target and len(near) >= 2:
                        break
        except (av.FFmpegError, InputError):
            return []
    return [_ready(picture, pts, info) for picture, pts in near]


def _ready(picture: av.VideoFrame, pts: int, info: VideoInfo) -> DecodedFrame:
    opacity = opacity_of(picture, info)
    return DecodedFrame(
        prepare(picture, info), pts, info.time_base, 0, opacity=opacity, aspect=info.sample_aspect_ratio
    )


class _TimeLostError(Exception):
    """A seek led to pictures without times, so that only counting from the start gives them."""


class _Reader:
    """Finds where to start decoding for one span, and gives every picture its time and duration."""

    def __init__(self, info: VideoInfo, span: Span, threads: int) -> None:
        self.counts = DecodeReport()
        self._info = info
        self._span = span
        self._threads = threads
        self._step = 1 / (info.rate * info.time_base)  # nominal ticks a frame
        self._unsure = _REORDERED if info.timeline.unordered else 0  # pictures after a seek whose times may be wrong

    def frames(self, context: int) -> Generator[tuple[av.VideoFrame, int, int], None, None]:
        """Yield (picture, pts, duration) from `context` frames before the span to the end of the file."""
        for target in self._seek_targets(context):
            self.counts = DecodeReport()
            with closing(self._timed(target)) as found, closing(self.progressive(found)) as timed:
                try:
                    before, first, count = self._lead_in(timed, context + 1)
                except _TimeLostError:
                    continue
                # One picture more than the context must come before: it proves that the seek did not land too late,
                # and that a second picture with the first one's time is dropped as in the whole. And deinterlacing
                # looks at the picture before. Where times are to be sorted, those of the first ones may be others'.
                if target is not None and count <= context + self._unsure:
                    continue
                whole = self._with_durations(chain(before, first, timed))
                yield from islice(whole, max(0, len(before) - context), None)
                return

    def _seek_targets(self, context: int) -> Iterator[int | None]:
        """Yield times to seek to, in the order to try them; None is the start of the file."""
        if self._span.start is not None:
            for seconds in _FURTHER_BACK:
                back = self._step * (context + 1 + self._unsure) * Fraction(3, 2) + seconds / self._info.time_base
                target = self._span.start - round(back)
                if target <= self._info.start:
                    break
                yield target
        yield None

    def progressive(self, timed: Generator[_Timed, None, None]) -> Generator[_Timed, None, None]:
        """Return every picture and its pts, made progressive if it is to be."""
        info = self._info
        return deinterlaced(timed, lambda picture: planar(picture, info)) if info.deinterlace else timed

    def _lead_in(self, timed: Iterator[_Timed], keep: int) -> tuple[list[_Timed], list[_Timed], int]:
        """Return the last `keep` pictures before the span, the first one that is not before it, and how many are."""
        before: deque[_Timed] = deque(maxlen=keep)
        count = 0
        for picture, pts in timed:
            if self._span.start is None or pts >= self._span.start:
                return list(before), [(picture, pts)], count
            before.append((picture, pts))
            count += 1
        return list(before), [], count

    def _timed(self, target: int | None) -> Generator[_Timed, None, None]:
        """Yield every picture from `target` on with its pts; pts increase strictly."""
        info, counts, span = self._info, self.counts, self._span
        with open_input(info.path) as container:
            stream = container.streams[info.stream_index]
            if not isinstance(stream, VideoStream):
                raise InputError(f"{info.path} has changed since it was probed; start again")
            stream.codec_context.thread_count = self._threads
            stream.codec_context.thread_type = "SLICE" if self._threads == 1 else "FRAME"
            if target is not None and not info.timeline.is_closed(stream.index):
                try:
                    container.seek(target, stream=stream)
                except av.FFmpegError:
                    return
            # AVI packets have the times of decoding only; the pictures come out in order, a constant delay later.
            in_decoding_order = container.format.name == "avi"
            delay = 0
            last: int | None = None
            expected = Fraction(0)
            decoder = decoder_of(stream, info.path, with_alpha=info.has_alpha)
            pictures = decoded(container, stream, span, counts, info.timeline, target, decoder)
            for picture in self.in_order(pictures):
                if target is not None and last is None and (in_decoding_order or picture.pts is None):
                    raise _TimeLostError
                own = picture.dts if in_decoding_order or picture.pts is None else picture.pts
                if in_decoding_order and own is not None:
                    delay = own - (stream.start_time or 0) if last is None else delay
                    own -= delay
                pts = round(expected) if own is None else own
                within = span.holds(pts)
                counts.untimed_frames += within and picture.pts is None
                if last is not None and pts <= last:
                    counts.dropped_frames += within and pts == last
                    counts.backward_frames += within and pts < last
                    continue
                counts.damaged_frames += within and picture.is_corrupt
                counts.deinterlaced_frames += within and info.deinterlace and picture.interlaced_frame
                last = pts
                expected = (expected if own is None else own) + self._step
                yield picture, pts

    def in_order(self, pictures: Iterator[av.VideoFrame]) -> Iterator[av.VideoFrame]:
        """Yield pictures in the order of the decoder, which is that of showing, with their times in order."""
        if not self._info.timeline.unordered:
            yield from pictures
            return
        held: deque[av.VideoFrame] = deque()
        times: list[int] = []
        for picture in chain(pictures, repeat(None, _REORDERED)):
            if picture is not None:
                heappush(times, _time(picture))
                held.append(picture)
            if held and (picture is None or len(held) > _REORDERED):
                first, pts = held.popleft(), heappop(times)
                self.counts.sorted_frames += _time(first) != pts and self._span.holds(pts)
                first.pts = pts
                yield first

    def _with_durations(self, timed: Iterator[_Timed]) -> Iterator[tuple[av.VideoFrame, int, int]]:
        info = self._info
        previous: _Timed | None = None
        gap = round(self._step)
        for picture, pts in timed:
            if previous is not None:
                gap = pts - previous[1]
                yield (*previous, gap)
            previous = (picture, pts)
        if previous is not None:
            duration = previous[0].duration if previous[0].duration > 0 else gap
            # Where frames are reordered at a varying rate, MP4's durations are of decoding order. Its end is right to
            # the millisecond of its edit list.
            left = round(info.duration / info.time_base) - (previous[1] - info.start)
            if 0 < left < duration - Fraction(2, 1000) / info.time_base:
                duration = left
            self.counts.short_by = max(Fraction(0), (left - duration) * info.time_base)
            yield (*previous, duration)


def _time(picture: av.VideoFrame) -> int:
    return picture.pts if picture.pts is not None else picture.dts or 0
