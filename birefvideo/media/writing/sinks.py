"""Where one segment's pictures go: an encoder, and a file or a folder that takes its packets."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, cast

import av
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from birefvideo.frames import VideoInfo
from birefvideo.media.output_format import Format, output_aspect, output_colour, output_pix_fmt, output_size
from birefvideo.media.sequence_json import SIDECAR, Sidecar, part_name, write_sidecar
from birefvideo.media.writing.encoders import Encoders
from birefvideo.media.writing.muxing import abandon, cannot_write, finished, movie_options, open_output, output_clock
from birefvideo.media.writing.sequence_folder import make_empty
from birefvideo.own_files import make_anew
from birefvideo.prefetch import thread_count

ENCODERS_LEAST = 4
"""The least of `ENCODERS`."""
ENCODERS = thread_count(ENCODERS_LEAST)
"""Encoders that share the pictures of a part, where each stands alone; as many pictures are in memory."""


class Sink(Protocol):
    """Takes the pictures of one segment in order, and is then either closed or abandoned."""

    def write(self, picture: av.VideoFrame, duration: int) -> None:
        """Encode a picture that has its time, and is shown for `duration` ticks.

        Raises:
            OutputError: the encoder or the disk refuses.
        """

    def close(self, coverage: Sequence[float] = ()) -> None:
        """Flush the encoder and finish the part.

        Args:
            coverage: mean alpha of every picture, 0 to 1, where it is not the matte's own.

        Raises:
            OutputError: the encoder or the disk refuses.
        """

    def abandon(self) -> None:
        """Leave what has been written so far, after an error."""


class FileSink:
    """A part that is one file, without sound.

    An empty file is made at once, which says more of a disk than FFmpeg does, who opens it with the first packet.
    """

    def __init__(self, path: Path, format: Format, info: VideoInfo, threads: int) -> None:
        self.path = path
        self._durations: deque[int] = deque()
        try:
            os.close(make_anew(path))
            self._container = open_output(path, format, movie_options(format, info))
            stream = self._container.add_stream(format.codec, rate=info.rate, options=dict(format.codec_options))
            self._stream = cast(VideoStream, stream)
            self._stream.time_base = output_clock(info)
            self._ticks = info.time_base / output_clock(info)
            _set_up(self._stream.codec_context, format, info, threads)
            shared = [_encoder(format, info) for _ in range(ENCODERS)] if format.stands_alone else []
            self._encoders = Encoders(shared or [self._stream])
        except OSError as error:
            raise cannot_write(path, error) from error

    def write(self, picture: av.VideoFrame, duration: int) -> None:
        """Encode a picture; see `Sink`."""
        self._durations.append(round(duration * self._ticks))
        self._encode(picture)

    def close(self, coverage: Sequence[float] = ()) -> None:
        """Finish the file; see `Sink`. A file has no place for coverage."""
        with finished(self._container, self.path):
            try:
                self._encode(None)
            finally:
                self._encoders.close()

    def abandon(self) -> None:
        """Leave an unfinished file; see `Sink`."""
        self._encoders.close()
        abandon(self._container)

    def _encode(self, picture: av.VideoFrame | None) -> None:
        try:
            for packet in self._encoders.encode(picture):
                packet.stream = self._stream
                # No encoder here reorders, and none passes durations on: packets come in the order of the frames.
                packet.duration = self._durations.popleft()
                self._container.mux(packet)
        except (av.FFmpegError, OSError) as error:
            raise cannot_write(self.path, error) from error


class FolderSink:
    """A part that is a folder, one file a picture; the sidecar comes last. Pictures of a killed run go."""

    def __init__(self, path: Path, format: Format, info: VideoInfo, threads: int) -> None:
        self.path = path
        self._format, self._info = format, info
        self._pts: list[int] = []
        self._last_duration = self._packets = 0
        try:
            make_empty(path)
        except OSError as error:
            raise cannot_write(path, error) from error
        self._context = cast(VideoCodecContext, VideoCodecContext.create(format.codec, "w"))
        self._context.framerate = info.rate
        self._context.options = dict(format.codec_options)
        _set_up(self._context, format, info, threads)
        self._context.thread_type = "FRAME"

    def write(self, picture: av.VideoFrame, duration: int) -> None:
        """Encode a picture; see `Sink`."""
        assert picture.pts is not None, "pictures have their time"
        self._pts.append(picture.pts)
        self._last_duration = duration
        self._encode(picture)

    def close(self, coverage: Sequence[float] = ()) -> None:
        """Write the sidecar; see `Sink`."""
        if not self._pts:
            return  # an encoder that was never opened cannot be flushed
        self._encode(None)
        info = self._info
        sidecar = Sidecar(
            tuple(self._pts), self._last_duration, info.time_base, info.sample_aspect_ratio, tuple(coverage)
        )
        try:
            write_sidecar(self.path, sidecar, self._format, info, is_part=True)
        except OSError as error:
            raise cannot_write(self.path / SIDECAR, error) from error

    def abandon(self) -> None:
        """Leave a folder without its sidecar; see `Sink`."""

    def _encode(self, picture: av.VideoFrame | None) -> None:
        try:
            packets = self._context.encode(picture)
        except (av.FFmpegError, OSError) as error:
            raise cannot_write(self.path, error) from error
        for packet in packets:
            file = self.path / part_name(self._packets, self._format)
            try:
                file.write_bytes(bytes(packet))
            except OSError as error:
                raise cannot_write(file, error) from error
            self._packets += 1


def open_sink(path: Path, format: Format, info: VideoInfo, threads: int) -> Sink:
    """Return what takes the pictures of a part: a folder of pictures where each is a file, else one file.

    Args:
        path: where to.
        format: what is written.
        info: the clip.
        threads: threads of the encoder, never 0.

    Raises:
        OutputError: it cannot be made.
    """
    kind = FolderSink if format.is_in_folder else FileSink
    return kind(path, format, info, threads)


def _encoder(format: Format, info: VideoInfo) -> VideoCodecContext:
    """Return an encoder with one thread, for some of the pictures of a part."""
    context = cast(VideoCodecContext, av.CodecContext.create(format.codec, "w"))
    context.options = dict(format.codec_options)
    context.framerate = info.rate
    _set_up(context, format, info, 1)
    return context


def _set_up(context: VideoCodecContext, format: Format, info: VideoInfo, threads: int) -> None:
    """Describe the pictures to come to an encoder."""
    colour = output_colour(format, info.colour)
    context.width, context.height = output_size(format, info)
    context.pix_fmt = output_pix_fmt(format, info)
    context.time_base = output_clock(info)  # the encoder's default is one tick a frame, which loses variable rates
    context.thread_count = threads
    context.sample_aspect_ratio = output_aspect(format, info)
    context.colorspace, context.color_range = colour.matrix, colour.range
    context.color_primaries, context.color_trc = colour.primaries, colour.transfer
    if format.quantiser is not None:
        context.qscale = True
        context.global_quality = format.quantiser
