"""Several encoders that share the pictures of one output, where each picture is encoded without regard to others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from queue import SimpleQueue

import av
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from birefvideo.prefetch import Workers


class Encoders:
    """Equal encoders that take turns in threads of their own; packets come in the order of the pictures.

    Which of them gets a picture, and how many there are, changes no byte.
    """

    def __init__(self, make: Callable[[], VideoCodecContext], count: int) -> None:
        self._free: SimpleQueue[VideoCodecContext] = SimpleQueue()
        for _ in range(count):
            self._free.put(make())
        self._workers = Workers(partial(_encode_one, self._free), count)  # our own method would keep us alive

    def encode(self, picture: av.VideoFrame | None) -> Iterator[Packet[VideoStream]]:
        """Take a picture, or None at the end, and yield the packets that are done.

        Raises:
            av.FFmpegError: an encoder refuses one of the pictures so far.
        """
        for packets in self._workers.rest() if picture is None else self._workers.put(picture):
            yield from packets

    def close(self) -> None:
        """Wait for the pictures being worked on; no thread is left."""
        self._workers.close()


def _encode_one(free: SimpleQueue[VideoCodecContext], picture: av.VideoFrame) -> list[Packet[VideoStream]]:
    encoder = free.get()
    try:
        return encoder.encode(picture)
    finally:
        free.put(encoder)
