"""Decoding the packets of a clip's pictures, skipping what cannot be decoded, and what happened on the way."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from birefvideo.errors import InputError
from birefvideo.frames import Span
from birefvideo.media.reading.open_input import check_refusal
from birefvideo.media.reading.packets import demuxed
from birefvideo.media.reading.photo_decoder import Decoder
from birefvideo.media.reading.zeroed_slices import SliceCheck
from birefvideo.timeline import Timeline

GIVE_UP_AFTER = 8
"""Refused key frames after which a clip that has not shown one picture is given up."""


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
    """Frames that the decoder marks as damaged, or whose packet shows it; they are handed on."""
    dropped_frames: int = 0
    """Frames left out because they have the time of the frame before, as players do."""
    backward_frames: int = 0
    """Frames left out because their time is earlier than that of the frame before."""
    sorted_frames: int = 0
    """Frames that have got the time of another one, as the file's times were not in the order of showing."""
    untimed_frames: int = 0
    """Frames without a presentation time, timed by when they were decoded or by the nominal rate."""
    rescaled_frames: int = 0
    """Frames of another size than the first one's, scaled to it."""
    deinterlaced_frames: int = 0
    """Frames that the file flags as interlaced and that were made progressive."""
    transparent_frames: int = 0
    """Frames with an opacity of their own that is not 1 everywhere."""
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
        self.backward_frames += other.backward_frames
        self.sorted_frames += other.sorted_frames
        self.untimed_frames += other.untimed_frames
        self.rescaled_frames += other.rescaled_frames
        self.deinterlaced_frames += other.deinterlaced_frames
        self.transparent_frames += other.transparent_frames
        self.read_error = self.read_error or other.read_error
        self.short_by = max(self.short_by, other.short_by)


def decoded(
    container: InputContainer,
    stream: VideoStream,
    span: Span = Span(),  # noqa: B008 - frozen
    counts: DecodeReport | None = None,
    timeline: Timeline = Timeline(),  # noqa: B008 - frozen
    target: int | None = None,
    decoder: Decoder | None = None,
) -> Iterator[av.VideoFrame]:
    """Yield the pictures from where `container` stands to its end, as they come, skipping what cannot be decoded.

    Args:
        container: the open file: at its start, or where a seek to `target` led.
        stream: the pictures' stream.
        span: the part of the clip whose packets are counted.
        counts: is added to.
        timeline: how the file's times become those of the pictures; where it closes the stream, nothing is to be
            sought, and the packets before the last key frame not after `target` are passed over.
        target: where to begin; packets that hang on pictures before the first key frame are held back. None is the
            start of the file.
        decoder: what decodes instead of the stream's own.

    Raises InputError where GIVE_UP_AFTER key frames, or all packets, were refused and nothing was decoded.
    """
    counts = DecodeReport() if counts is None else counts
    refused = refused_keys = shown = 0
    last_error: av.FFmpegError | None = None
    packets = timeline.closed(_packets(container, stream, counts))
    if target is not None:
        packets = _up_to(target, packets) if timeline.is_closed(stream.index) else _from_key_frame(packets)
    check, zeroed = SliceCheck(stream.codec_context, container.format.name), set[int | None]()
    for packet in packets:
        counted = _is_within(packet, span)
        counts.packets += counted
        try:
            pictures = packet.decode() if decoder is None else decoder.decode(packet if packet.size else None)
        except MemoryError:
            raise
        except av.FFmpegError as error:
            counts.corrupt_packets += counted
            refused, last_error = refused + 1, error
            refused_keys += packet.is_keyframe
            if not shown and refused_keys >= GIVE_UP_AFTER:
                break
            continue
        shown += len(pictures)
        if check.applies and check.is_zeroed(bytes(packet)):
            zeroed.add(_time(packet))
        for picture in pictures:
            is_told = picture.is_corrupt or _time(picture) not in zeroed
            counts.damaged_frames += not is_told and span.holds(_time(picture) or 0)
            yield picture
    if last_error is not None and not shown:
        name = Path(container.name.removeprefix("file:"))
        check_refusal(name, last_error)
        raise InputError(
            f"{name}: none of the first {refused} {stream.codec.name} packets can be decoded; "
            "the file is damaged or protected, or its pictures are too large for the free memory; export it again"
        )


def _packets(container: InputContainer, stream: VideoStream, counts: DecodeReport) -> Iterator[Packet[VideoStream]]:
    """Yield the stream's packets, and last the empty one that makes a decoder give up what it still holds."""
    packets = demuxed(container, stream)
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


def _from_key_frame(packets: Iterable[Packet[VideoStream]]) -> Iterator[Packet[VideoStream]]:
    """Yield packets from the first key frame on."""
    has_begun = False
    for packet in packets:
        has_begun = has_begun or not packet.size or packet.is_keyframe
        if has_begun:
            yield packet


def _up_to(target: int, packets: Iterable[Packet[VideoStream]]) -> Iterator[Packet[VideoStream]]:
    """Yield packets from the last key frame on that is not after `target`; one group of pictures is held."""
    held: list[Packet[VideoStream]] = []
    rest = iter(packets)
    for packet in rest:
        is_late = packet.pts is not None and packet.pts > target
        if packet.is_keyframe and not is_late:
            held.clear()
        if held or packet.is_keyframe:
            held.append(packet)
        if is_late and held:
            break
    yield from held
    yield from rest


def _is_within(packet: Packet[VideoStream], span: Span) -> bool:
    """Return whether a packet's picture is to be shown in the span; one without a time belongs to the first span."""
    if not packet.size or packet.is_discard:
        return False
    time = _time(packet)
    return span.start is None if time is None else span.holds(time)


def _time(one: Packet[VideoStream] | av.VideoFrame) -> int | None:
    return one.dts if one.pts is None else one.pts
