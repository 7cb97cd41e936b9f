"""Encoders at work beside the thread that makes their pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from queue import SimpleQueue
from typing import TypeAlias

import av
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from birefvideo.prefetch import Workers

Encoder: TypeAlias = "VideoCodecContext | VideoStream"
"""What encodes one picture after another."""


class Encoders:
    """Encoders of one output in threads of their own; packets come in the order of the pictures.

    One works while the next picture is made. Several take turns where each picture is encoded without regard to others:
    which of them gets a picture, and how many there are, then changes no byte.
    """

    def __init__(self, encoders: Sequence[Encoder]) -> None:
        self._free: SimpleQueue[Encoder] = SimpleQueue()
        for encoder in encoders:
            self._free.put(encoder)
        # One of several holds nothing back; one alone may, and is asked for it at the end.
        self._alone = encoders[0] if len(encoders) == 1 else None
        self._workers = Workers(self._encode_one, len(encoders))

    def encode(self, picture: av.VideoFrame | None) -> Iterator[Packet[VideoStream]]:
        """Take a picture, or None at the end, and yield the packets that are done.

        Raises:
            av.FFmpegError: an encoder refuses one of the pictures so far.
        """
        for packets in self._workers.rest() if picture is None else self._workers.put(picture):
            yield from packets
        if picture is None and self._alone is not None:
            yield from self._alone.encode(None)

    def close(self) -> None:
        """Wait for the pictures being worked on; no thread is left."""
        self._workers.close()

    def _encode_one(self, picture: av.VideoFrame) -> list[Packet[VideoStream]]:
        encoder = self._free.get()
        try:
            return encoder.encode(picture)
        finally:
            self._free.put(encoder)
