"""Reading a clip: every frame with its time, for any span, whatever the file's damage."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, islice
from pathlib import Path
from typing import TypeAlias, cast

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from birefvideo.errors import InputError
from birefvideo.frames import DecodedFrame, Span, VideoInfo
from birefvideo.media.reading.deinterlace import deinterlaced
from birefvideo.media.reading.normalize import planar, prepare, working_format
from birefvideo.media.reading.open_input import open_input

__all__ = ["DecodeReport", "decoded", "read_frames", "working_format"]

GIVE_UP_AFTER = 8
"""Refused key frames after which a clip that has not shown one picture is given up."""

# Seconds to seek further back where a seek lands too late, as it can in transport streams and open GOPs.
_FURTHER_BACK = (0, 1, 5, 20)

_Timed: TypeAlias = tuple[av.VideoFrame, int]  # a picture as the decoder gives it, and its pts


@dataclass
class DecodeReport:
    """What happened while reading. Events count where their time is in the span: spans of a partition add up."""

    packets: int = 0
    """Packets of pictures; if frames are fewer and none was dropped, the decoder lost some in silence. Packets without
    a time, as in raw streams, count for the first span only."""
    frames: int = 0
    """Frames of the span that were handed on."""
    corrupt_packets: int = 0
    """Packets that the decoder refused; their pictures are missing."""
    damaged_frames: int = 0
    """Frames that the decoder marks as damaged; they are handed on."""
    dropped_frames: int = 0
    """Frames left out because their time is not later than that of the frame before."""
    untimed_frames: int = 0
    """Frames without a presentation time, timed by when they were decoded or by the nominal rate."""
    rescaled_frames: int = 0
    """Frames of another size than the first one's, scaled to it."""
    deinterlaced_frames: int = 0
    """Frames that the file flags as interlaced and that were made progressive."""
    read_error: str = ""
    """Why reading stopped before the end of the file, or ''."""
    short_by: Fraction = Fraction(0)
    """Seconds by which the last picture ends before VideoInfo.duration says so: a truncated file shows here."""

    def add(self, other: DecodeReport) -> None:
        """Add what happened in another span of the clip."""
        self.packets += other.packets
        self.frames += other.frames
        self.corrupt_packets += other.corrupt_packets
        self.damaged_frames += other.damaged_frames
        self.dropped_frames += other.dropped_frames
        self.untimed_frames += other.untimed_frames
        self.rescaled_frames += other.rescaled_frames
        self.deinterlaced_frames += other.deinterlaced_frames
        self.read_error = self.read_error or other.read_error
        self.short_by = max(self.short_by, other.short_by)


def decoded(
    container: InputContainer,
    stream: VideoStream,
    span: Span = Span(),  # noqa: B008 - frozen
    counts: DecodeReport | None = None,
    from_key_frame: bool = False,
) -> Iterator[av.VideoFrame]:
    """Yield the pictures from where `container` stands to its end, as they come, skipping what cannot be decoded.

    After a seek, `from_key_frame` holds back the packets that hang on pictures before the first key frame.

    Raises InputError where GIVE_UP_AFTER key frames, or all packets, were refused and nothing was decoded.
    """
    counts = DecodeReport() if counts is None else counts
    refused = refused_keys = shown = 0
    for packet in _packets(container, stream, counts):
        if from_key_frame and packet.size and not packet.is_keyframe:
            continue
        from_key_frame = False
        counted = _is_within(packet, span)
        counts.packets += counted
        try:
            pictures = packet.decode()
        except MemoryError:
            raise
        except av.FFmpegError:
            counts.corrupt_packets += counted
            refused += 1
            refused_keys += packet.is_keyframe
            if not shown and refused_keys >= GIVE_UP_AFTER:
                break
            continue
        shown += len(pictures)
        yield from pictures
    if refused and not shown:
        name = Path(container.name.removeprefix("file:"))
        raise InputError(
            f"{name}: none of the first {refused} {stream.codec.name} packets can be decoded; "
            "the file is damaged or protected, export it again"
        )


def _packets(container: InputContainer, stream: VideoStream, counts: DecodeReport) -> Iterator[Packet[VideoStream]]:
    """Yield the stream's packets, and last the empty one that makes a decoder give up what it still holds."""
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except av.FFmpegError as error:  # the demuxer met garbage, or the disk failed: keep what was read so far
            counts.read_error = error.strerror or type(error).__name__
            flush = cast("Packet[VideoStream]", Packet())
            flush.stream = stream
            yield flush
            return
        if packet is None:
            return
        yield packet


def _is_within(packet: Packet[VideoStream], span: Span) -> bool:
    """Return whether a packet's picture is to be shown in the span; one without a time belongs to the first span."""
    if not packet.size or packet.is_discard:
        return False
    time = packet.dts if packet.pts is None else packet.pts
    return span.start is None if time is None else span.holds(time)


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
    strictly: of frames with one time the first is kept, as a player shows only one. A frame's duration reaches to the
    next frame; the last one keeps its container's. Corrupt packets are skipped, and truncated files read to the cut;
    `report` is added to when the generator ends or is closed. With more than one of `threads` the decoder hides the
    damage of a broken clip differently from run to run; sound clips decode the same.

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
                reader.counts.rescaled_frames += core and _is_resized(picture, info)
                picture = prepare(picture, info)
                picture.pts, picture.time_base = pts, info.time_base
                yield DecodedFrame(picture, pts, info.time_base, duration, core)
    finally:
        if report is not None:
            report.add(reader.counts)


def _is_resized(picture: av.VideoFrame, info: VideoInfo) -> bool:
    size = (picture.height, picture.width) if info.quarter_turns % 2 else (picture.width, picture.height)
    return size != (info.width, info.height)


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

    def frames(self, context: int) -> Generator[tuple[av.VideoFrame, int, int], None, None]:
        """Yield (picture, pts, duration) from `context` frames before the span to the end of the file."""
        for target in self._seek_targets(context):
            self.counts = DecodeReport()
            with closing(self._timed(target)) as found, closing(self._progressive(found)) as timed:
                try:
                    before, first = self._lead_in(timed, context + 1)
                except _TimeLostError:
                    continue
                # One picture more than the context must come before: it proves that the seek did not land too late,
                # and that a second picture with the first one's time is dropped as in the whole. And deinterlacing
                # looks at the picture before.
                if target is not None and len(before) <= context:
                    continue
                whole = self._with_durations(chain(before, first, timed))
                yield from islice(whole, max(0, len(before) - context), None)
                return

    def _seek_targets(self, context: int) -> Iterator[int | None]:
        """Yield times to seek to, in the order to try them; None is the start of the file."""
        if self._span.start is not None:
            for seconds in _FURTHER_BACK:
                back = self._step * (context + 1) * Fraction(3, 2) + seconds / self._info.time_base
                target = self._span.start - round(back)
                if target <= self._info.start:
                    break
                yield target
        yield None

    def _progressive(self, timed: Generator[_Timed, None, None]) -> Generator[_Timed, None, None]:
        """Return every picture and its pts, made progressive if it is to be."""
        info = self._info
        return deinterlaced(timed, lambda picture: planar(picture, info)) if info.deinterlace else timed

    def _lead_in(self, timed: Iterator[_Timed], keep: int) -> tuple[list[_Timed], list[_Timed]]:
        """Return the last `keep` pictures before the span, and the first one that is not before it."""
        before: deque[_Timed] = deque(maxlen=keep)
        for picture, pts in timed:
            if self._span.start is None or pts >= self._span.start:
                return list(before), [(picture, pts)]
            before.append((picture, pts))
        return list(before), []

    def _timed(self, target: int | None) -> Generator[_Timed, None, None]:
        """Yield every picture from `target` on with its pts; pts increase strictly."""
        info, counts, span = self._info, self.counts, self._span
        with open_input(info.path) as container:
            stream = container.streams[info.stream_index]
            if not isinstance(stream, VideoStream):
                raise InputError(f"{info.path} has changed since it was probed; start again")
            stream.codec_context.thread_count = self._threads
            stream.codec_context.thread_type = "SLICE" if self._threads == 1 else "FRAME"
            if target is not None:
                try:
                    container.seek(target, stream=stream)
                except av.FFmpegError:
                    return
            # AVI packets have the times of decoding only; the pictures come out in order, a constant delay later.
            in_decoding_order = container.format.name == "avi"
            delay = 0
            last: int | None = None
            expected = Fraction(0)
            for picture in decoded(container, stream, span, counts, from_key_frame=target is not None):
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
                    counts.dropped_frames += within
                    continue
                counts.damaged_frames += within and picture.is_corrupt
                counts.deinterlaced_frames += within and info.deinterlace and picture.interlaced_frame
                last = pts
                expected = (expected if own is None else own) + self._step
                yield picture, pts

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
