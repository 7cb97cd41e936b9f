"""How many pictures a source has, by its packets and its decoder alone: without our rules of times, which may err."""

from __future__ import annotations

from dataclasses import dataclass

import av
from av.video.stream import VideoStream

from birefvideo.frames import VideoInfo
from birefvideo.media.reading.open_input import open_input
from birefvideo.media.reading.packets import demuxed


@dataclass(frozen=True)
class SourceCount:
    """What a whole source holds."""

    packets: int
    """Packets of pictures that are to be shown."""
    pictures: int
    """Pictures that the decoder makes of them."""
    repeats: int
    """Those of them with the very time of the one before that get none of their own: players show one."""

    @property
    def shown(self) -> int:
        """Pictures that are to be in an output of the whole source."""
        return self.pictures - self.repeats


def count_source(info: VideoInfo) -> SourceCount:
    """Decode all of a source, as its packets come.

    Raises:
        InputError: it cannot be opened.
    """
    packets = pictures = repeats = 0
    before: int | None = None
    with open_input(info.path) as container:
        stream = container.streams[info.stream_index]
        assert isinstance(stream, VideoStream), "it was probed before"
        stream.codec_context.thread_type, stream.codec_context.thread_count = "SLICE", 0
        flow = demuxed(container, stream)
        while True:
            try:
                packet = next(flow, None)
            except av.FFmpegError:  # what the file lacks is told elsewhere
                packet, flow = None, iter(())
            if packet is None:
                break
            packets += bool(packet.size) and not packet.is_discard
            try:
                shown = packet.decode()
            except av.FFmpegError:
                continue
            for picture in shown:
                pictures += 1
                repeats += picture.pts is not None and picture.pts == before and not info.timeline.repeats
                before = picture.pts
    return SourceCount(packets, pictures, repeats)
