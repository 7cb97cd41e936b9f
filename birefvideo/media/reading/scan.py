"""One pass over a clip's packets, nothing decoded: what there is, when, and where the file's clock jumps."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import islice
from typing import Any

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream
from numpy.typing import NDArray

from birefvideo.media.reading.joints import LIMIT, UNKNOWN, Clocks, StreamTimes, Ticks, find_joints, moved, usual_step
from birefvideo.media.reading.packets import demuxed
from birefvideo.media.reading.repeats import is_of_decoding, told_apart
from birefvideo.timeline import Timeline


@dataclass(frozen=True)
class Scan:
    """What the packets of a clip say; all times are on the closed clock."""

    timeline: Timeline
    """How the file's times become that clock."""
    packets: int
    """Packets that hold pictures to be shown."""
    times: Ticks
    """When those with a time are shown, sorted, in ticks of the stream."""
    positions: Ticks
    """Byte position in the file of each of `times`; -1 where unknown."""
    corrupt: NDArray[np.bool_]
    """Whether the demuxer flags each of `times` as damaged."""
    step: int
    """Usual distance of two pictures, in ticks; at least 1."""
    end: int
    """When the last picture ends, in ticks."""
    all_end: Fraction
    """When the last packet of any stream ends, in seconds."""
    stretches: tuple[tuple[int, int], ...]
    """The first and the last time, in ticks, of each run of pictures without a hole of more than LIMIT."""
    read_to: int
    """Byte position of the last packet of any stream."""
    error: str = ""
    """Why the file could not be read to its end, or ''."""


_TS_DISCONT, _NO_TIMESTAMPS = 0x200, 0x80  # AVFMT_ flags of libavformat
_LARGE = 1 << 32
"""Bytes from which on a file with an index is not read as a whole before it is worked on."""

_ENOUGH = 100
"""Packets that show whether pictures are reordered."""


def clock_may_jump(container: InputContainer) -> bool:
    """Return whether a format's clock may jump, as in transport streams; its head then says nothing of lengths."""
    return bool(container.format.flags & _TS_DISCONT)


def has_times(container: InputContainer) -> bool:
    """Return whether a format has times at all, unlike raw streams."""
    return not container.format.flags & _NO_TIMESTAMPS


class _Stream:
    """Grows with every packet of one stream."""

    def __init__(self, time_base: Fraction) -> None:
        self.time_base = time_base
        self.pts, self.dts, self.duration = array("q"), array("q"), array("q")
        self.position, self.order = array("q"), array("q")
        self.shown, self.corrupt = bytearray(), bytearray()

    def add(self, packet: Packet[Any], order: int) -> None:
        """Take note of a packet."""
        self.pts.append(UNKNOWN if packet.pts is None else packet.pts)
        self.dts.append(UNKNOWN if packet.dts is None else packet.dts)
        self.duration.append(packet.duration or 0)
        self.position.append(-1 if packet.pos is None else packet.pos)
        self.order.append(order)
        self.shown.append(not packet.is_discard)
        self.corrupt.append(packet.is_corrupt)

    def times(self) -> StreamTimes:
        """Return the times, which share no memory with the lists."""
        pts, dts, duration, order = (
            np.array(ticks, np.int64) for ticks in (self.pts, self.dts, self.duration, self.order)
        )
        return StreamTimes(np.where(pts == UNKNOWN, dts, pts), dts, duration, order, self.time_base)


def scan(container: InputContainer, stream: VideoStream, *, is_one_each: bool = False) -> Scan:
    """Read every packet of a clip, from its start on; what cannot be read ends the scan.

    Of a large file, the index is taken for its packets where it names them all and fits the file.

    Args:
        container: the open file.
        stream: its pictures.
        is_one_each: whether every packet is one picture: then all of them get times of their own, but for a large file,
            of which every segment would have to be read from the file's start.
    """
    if container.size > _LARGE and (indexed := _from_index(container, stream, is_one_each=is_one_each)):
        return indexed
    found = {stream.index: _Stream(stream.time_base or Fraction(1, 90000))}
    error, read_to = "", 0
    try:
        for order, packet in enumerate(demuxed(container)):
            if not packet.size or packet.time_base is None:
                continue
            index = packet.stream.index
            read_to = max(read_to, packet.pos or 0)
            if index == stream.index or packet.stream.type == "audio":
                found.setdefault(index, _Stream(packet.time_base)).add(packet, order)
    except av.FFmpegError as failure:
        error = failure.strerror or type(failure).__name__
    times = {index: one.times() for index, one in found.items()}
    pictures = times.pop(stream.index)
    is_matroska = "matroska" in container.format.name
    clocks = Clocks(
        may_jump=clock_may_jump(container),
        keeps_decoding_times=not is_matroska or not stream.codec_context.has_b_frames,
    )
    reorders = bool(stream.codec_context.has_b_frames)
    gets_own = is_one_each and container.size <= _LARGE
    timeline = _timeline(stream.index, found, clocks, reorders if gets_own else None)
    return _summed(
        found[stream.index], pictures, _end_of_sounds(times, timeline), timeline, stream.index, read_to, error
    )


def _timeline(stream: int, found: dict[int, _Stream], clocks: Clocks, reorders: bool | None) -> Timeline:
    """Return how the times of packets become one clock.

    What only leads to a picture, or follows a cut of an edit list, is not shown, and its time is no step of the clock.
    `reorders` says of a stream of one picture a packet whether its codec reorders them; None is another stream.
    """
    places = {index: np.flatnonzero(np.frombuffer(bytes(one.shown), np.bool_)) for index, one in found.items()}
    shown = {index: one.times().part(places[index]) for index, one in found.items()}
    pictures = shown.pop(stream)
    timeline = find_joints(stream, pictures, {i: one for i, one in shown.items() if len(one.pts)}, clocks)
    if reorders is not None and UNKNOWN not in found[stream].pts:
        timeline = told_apart(timeline, stream, pictures, is_reordered=reorders)

    def number(index: int, place: int) -> int:
        return int(places[index][place]) if place < len(places[index]) else len(found[index].shown)

    return replace(
        timeline,
        shifts=tuple(
            (index, tuple(replace(shift, first=number(index, shift.first)) for shift in shifts))
            for index, shifts in timeline.shifts
        ),
        corrected=tuple(
            (index, tuple((number(index, place), time) for place, time in times)) for index, times in timeline.corrected
        ),
    )


def _from_index(container: InputContainer, stream: VideoStream, *, is_one_each: bool) -> Scan | None:
    """Return what the index of a QuickTime or MP4 file says, or None where it is not of the whole file.

    It has the times of decoding, which are those of showing but for reordering. Whether the file has no others shows in
    its first packets.
    """
    entries = [entry for entry in stream.index_entries if not entry.is_discard]
    if not container.format.name.startswith("mov,") or len(entries) < 2 or not stream.duration:
        return None
    dts = np.array([entry.timestamp for entry in entries], np.int64)
    times = dts - dts[0] + (stream.start_time or 0)
    step = max(1, int(np.median(np.diff(times))))
    end = int(times[0]) + stream.duration
    reach = max(entry.pos + entry.size for entry in entries)
    time_base = stream.time_base or Fraction(1, 90000)
    # Of a file in fragments, the index names only what has been read of it.
    is_whole = 0 < (end - int(times[-1])) * time_base <= LIMIT
    if not is_whole or reach > container.size or (np.diff(times) < 0).any():
        return None
    is_unordered = is_one_each and bool(stream.codec_context.has_b_frames) and is_of_decoding(_first(container, stream))
    return Scan(
        timeline=Timeline(unordered=is_unordered),
        packets=len(entries),
        times=times,
        positions=np.array([entry.pos for entry in entries], np.int64),
        corrupt=np.zeros(len(entries), np.bool_),
        step=step,
        end=end,
        all_end=end * time_base,
        stretches=_stretches(times, int(LIMIT / time_base)),
        read_to=reach,
    )


def _first(container: InputContainer, stream: VideoStream) -> StreamTimes:
    """Return the times of the first pictures from where a file stands on."""
    found = _Stream(stream.time_base or Fraction(1, 90000))
    for order, packet in enumerate(islice(demuxed(container, stream), _ENOUGH)):
        if packet.size:
            found.add(packet, order)
    return found.times()


def _closed(times: StreamTimes, timeline: Timeline, stream: int) -> Ticks:
    """Return the pts of a stream's packets on the closed clock; UNKNOWN stays."""
    pts = moved(times, dict(timeline.shifts).get(stream, ()))
    pts[pts != UNKNOWN] *= dict(timeline.finer).get(stream, 1)
    for number, time in dict(timeline.corrected).get(stream, ()):
        pts[number] = time
    return pts


def _end_of_sounds(sounds: dict[int, StreamTimes], timeline: Timeline) -> Fraction:
    """Return when the last sound ends, in seconds on the closed clock."""
    ends = [Fraction(0)]
    for index, times in sounds.items():
        pts = _closed(times, timeline, index)
        known = pts != UNKNOWN
        if known.any():
            ends.append(int((pts + times.duration)[known].max()) * times.time_base)
    return max(ends)


def _summed(
    stream: _Stream, times: StreamTimes, sounds_end: Fraction, timeline: Timeline, index: int, read_to: int, error: str
) -> Scan:
    pts = _closed(times, timeline, index)
    shown = np.frombuffer(bytes(stream.shown), np.bool_)
    numbers = np.flatnonzero(shown & (pts != UNKNOWN))
    numbers = numbers[np.argsort(pts[numbers], kind="stable")]
    finer = dict(timeline.finer).get(index, 1)
    step = usual_step(times) * finer
    end = 0
    if len(numbers):
        last = numbers[-1]
        end = int(pts[last]) + (int(times.duration[last]) * finer or step)
    return Scan(
        timeline=timeline,
        packets=int(shown.sum()),
        times=pts[numbers],
        positions=np.array(stream.position, np.int64)[numbers],
        corrupt=np.frombuffer(bytes(stream.corrupt), np.bool_)[numbers],
        step=step,
        end=end,
        all_end=max(end * times.time_base / finer, sounds_end),
        read_to=read_to,
        error=error,
        stretches=_stretches(pts[numbers], int(LIMIT * finer / times.time_base)),
    )


def _stretches(times: Ticks, limit: int) -> tuple[tuple[int, int], ...]:
    if not len(times):
        return ()
    holes = np.flatnonzero(np.diff(times) > limit)
    firsts, lasts = times[np.r_[0, holes + 1]], times[np.r_[holes, len(times) - 1]]
    return tuple(zip(firsts.tolist(), lasts.tolist(), strict=True))
