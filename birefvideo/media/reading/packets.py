"""Packets of any file: when its pictures and sounds are, without decoding, and decoding by a chosen decoder."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream


@dataclass
class Scan:
    """What packets say of times."""

    pictures: list[tuple[int, int]] = field(default_factory=list)
    """(pts, duration) of every picture in ticks of its stream, in order of time; 0 for an unknown duration."""
    sounds: dict[int, tuple[Fraction, Fraction]] = field(default_factory=dict)
    """(start, end) in seconds of every audio stream that has packets, by index."""


def demuxed(container: InputContainer, *streams: Stream) -> Iterator[Packet[Any]]:
    """Yield the packets of a file, or of some of its streams, as they come.

    PyAV ends at a packet of a stream that the file's head does not name, as damage makes them: reading goes on behind.

    Raises:
        FFmpegError: the file cannot be read any further.
    """
    while True:
        try:
            yield from container.demux(*streams)
        except IndexError:
            continue
        return


def scan_packets(packets: Iterable[Packet[Any]], stream: VideoStream) -> Scan:
    """Return the times of the pictures of `stream`, and of the sounds among the packets.

    Raises:
        FFmpegError: the file cannot be read to its end.
    """
    scan = Scan()
    for packet in packets:
        pts = packet.dts if packet.pts is None else packet.pts
        if pts is None or packet.time_base is None or not packet.size:
            continue
        if packet.stream.index == stream.index:
            if not packet.is_discard:
                scan.pictures.append((pts, packet.duration or 0))
        elif packet.stream.type == "audio":
            start = pts * packet.time_base
            end = start + (packet.duration or 0) * packet.time_base
            first, last = scan.sounds.get(packet.stream.index, (start, end))
            scan.sounds[packet.stream.index] = (min(first, start), max(last, end))
    scan.pictures.sort()
    return scan


def decode_packets(packets: Iterable[Packet[VideoStream]], decoder: VideoCodecContext) -> Iterator[av.VideoFrame]:
    """Yield the pictures of packets; the last one, which is empty, makes the decoder give up what it still holds.

    Raises:
        FFmpegError: one cannot be decoded.
    """
    for packet in packets:
        yield from decoder.decode(packet if packet.size else None)
