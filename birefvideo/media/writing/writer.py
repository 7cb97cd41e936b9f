"""Writing one segment of one output: frames in, a video-only part file out."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import cast

import av
from av.container import OutputContainer
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from birefvideo.colour import BT709, LINEAR, is_plain, rgb_to_yuv
from birefvideo.errors import OutputError
from birefvideo.frames import Frame, VideoInfo
from birefvideo.media.colour_names import NAMED_COLOURS
from birefvideo.media.formats import Content, Format
from birefvideo.media.output_format import output_aspect, output_colour, output_pix_fmt, output_size
from birefvideo.media.writing import yuv_frames
from birefvideo.media.writing.background import Backdrop, Background
from birefvideo.media.writing.rgb_frames import linear, packed
from birefvideo.planes import to_444

BITEXACT = {"fflags": "+bitexact"}
"""Muxer options that keep random ids, dates and version strings out of a file."""


@dataclass(frozen=True)
class EncodeSettings:
    """What the user and the plan decide about encoding, the same for every segment of a job."""

    background: Background = NAMED_COLOURS["green"]
    """What is behind a composite: R'G'B' codes, or a picture or video."""
    first: int | None = None
    """pts with which a background video begins; None is the source's first."""
    premultiplied: bool = False
    """Multiply colour by alpha in outputs with alpha; straight is the default."""
    threads: int = 4
    """Threads of each encoder: a number, never 0, because libx264's bytes depend on it."""


def movie_options(format: Format, info: VideoInfo) -> dict[str, str]:
    """Returns muxer options that make the container's clock fine enough for the source's.

    The edit list of mov and mp4 counts in the movie's timescale, which is 1 ms unless told otherwise.
    """
    if not format.container.has_movie_clock:
        return dict(BITEXACT)
    return {**BITEXACT, "movie_timescale": str(movie_timescale(info))}


def movie_timescale(info: VideoInfo) -> int:
    """Ticks a second: a multiple of the video's denominator, and at least 10,000 for the sake of the audio."""
    scale = info.time_base.denominator
    return scale * -(-10_000 // scale)


class Writer:
    """Encodes the frames of one segment into a part file, with their own times.

    A part's clock starts at the source's first frame (`info.start`), so that no time is negative, and goes on through
    the segments. A context manager; an exception inside leaves an unfinished file at `path` and nowhere else.
    """

    def __init__(self, path: Path, format: Format, info: VideoInfo, settings: EncodeSettings) -> None:
        self.path = path
        self.frames_written = 0
        self._format, self._info, self._settings = format, info, settings
        self._colour = output_colour(format, info.colour)
        self._background = self._open_background()
        self._durations: deque[int] = deque()
        self._last_pts: int | None = None
        try:
            self._open()
        except OSError as error:
            raise cannot_write(path, error) from error

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(self._background, Backdrop):
            self._background.close()
        if kind is None:
            self.close()
        else:
            self._abandon()

    def write(self, frame: Frame) -> None:
        """Encodes one frame of the segment's core.

        Raises:
            OutputError: the frame has another size than the clip, is not later than the one before, or the encoder
                or the disk refuses it.
        """
        size = (frame.picture.width, frame.picture.height)
        if size != (self._info.width, self._info.height):
            raise OutputError(
                f"frame at {float(frame.seconds):.3f} s is {size[0]}x{size[1]}, "
                f"the clip {self._info.width}x{self._info.height}: re-encode the input at one size"
            )
        pts = frame.pts - self._info.start
        if pts < 0 or (self._last_pts is not None and pts <= self._last_pts):
            raise OutputError(f"frame at {float(frame.seconds):.3f} s is out of order: remux the input to repair it")
        picture = self._compose(frame)
        if self._format.square_pixels:
            picture = yuv_frames.stretched(picture, *output_size(self._format, self._info))
        picture.pts, picture.time_base = pts, self._info.time_base
        self._durations.append(frame.duration)
        self._last_pts = pts
        self._encode(picture)
        self.frames_written += 1

    def close(self) -> None:
        """Flushes the encoder and finishes the file.

        Raises:
            OutputError: the encoder or the disk refuses.
        """
        with finished(self._container, self.path):
            self._encode(None)

    def _open(self) -> None:
        """Makes what pictures go into; raises OSError."""
        self.path.open("wb").close()  # FFmpeg opens it with the first packet only, and says less
        self._container = open_output(self.path, self._format, movie_options(self._format, self._info))
        info, format = self._info, self._format
        self._stream = cast(
            VideoStream, self._container.add_stream(format.codec, rate=info.rate, options=dict(format.codec_options))
        )
        self._stream.time_base = info.time_base
        self._set_up(self._stream.codec_context)

    def _abandon(self) -> None:
        """Leaves what has been written so far, after an error."""
        _abandon(self._container)

    def _set_up(self, context: VideoCodecContext) -> None:
        """Tells an encoder about the pictures to come."""
        info, format = self._info, self._format
        context.width, context.height = output_size(format, info)
        context.pix_fmt = output_pix_fmt(format, info)
        context.time_base = info.time_base  # the encoder's default is one tick a frame, which loses variable rates
        context.thread_count = self._settings.threads
        context.sample_aspect_ratio = output_aspect(format, info)
        context.colorspace, context.color_range = self._colour.matrix, self._colour.range
        context.color_primaries, context.color_trc = self._colour.primaries, self._colour.transfer
        if format.quantiser is not None:
            context.qscale = True
            context.global_quality = format.quantiser

    def _compose(self, frame: Frame) -> av.VideoFrame:
        """Returns what the encoder takes for a frame that has its alpha."""
        assert frame.alpha is not None, "frames are written after prediction"
        source, target = self._info.colour, self._colour
        settled = self._format.premultiplied
        premultiplied = self._settings.premultiplied if settled is None else settled
        if self._format.content is Content.MATTE:
            return yuv_frames.matte_420(frame.alpha, target)
        if self._format.content in (Content.COMPOSITE, Content.FILL):
            below = self._below(frame)
            return yuv_frames.composite_420(frame.picture, frame.foreground, frame.alpha, below, source, target)
        if self._format.pix_fmt == "yuva420p":
            return yuv_frames.with_alpha_420(
                frame.picture, frame.foreground, frame.alpha, source, target, premultiplied=premultiplied
            )
        foreground = frame.foreground or to_444(frame.picture)
        pix_fmt = output_pix_fmt(self._format, self._info)
        if self._format.is_rgb:
            if self._colour.transfer == LINEAR:
                return linear(foreground, frame.alpha, source)
            if not (is_plain(source) or self._format.is_deep):
                foreground, source = yuv_frames.to_sdr(foreground, source), BT709
            return packed(foreground, frame.alpha, source, pix_fmt, premultiplied=premultiplied)
        return yuv_frames.with_alpha_444(
            foreground, frame.alpha, source, target, premultiplied=premultiplied, pix_fmt=pix_fmt
        )

    def _open_background(self) -> tuple[int, int, int] | Backdrop | None:
        if self._format.content is not Content.COMPOSITE:
            return None
        name = self._format.background
        chosen = NAMED_COLOURS[name] if name else self._settings.background
        if isinstance(chosen, Path):
            size = (self._info.width, self._info.height)
            return Backdrop(chosen, size, self._info.sample_aspect_ratio, self._colour)
        return rgb_to_yuv(chosen, self._colour)

    def _below(self, frame: Frame) -> yuv_frames.Background | None:
        """Returns what is under a composite at a frame's time."""
        if not isinstance(self._background, Backdrop):
            return self._background
        first = self._info.start if self._settings.first is None else self._settings.first
        return self._background.at(max(0, frame.pts - first) * self._info.time_base)

    def _encode(self, picture: av.VideoFrame | None) -> None:
        try:
            for packet in self._stream.encode(picture):
                # No encoder here reorders, and none passes durations on: packets come in the order of the frames.
                packet.duration = self._durations.popleft()
                self._container.mux(packet)
        except (av.FFmpegError, OSError) as error:
            raise cannot_write(self.path, error) from error


def open_output(path: Path, format: Format, options: Mapping[str, str]) -> OutputContainer:
    """Returns an empty output whose muxer has `options`; the file is opened with the first packet."""
    # The prefix keeps a name such as 'take:2.mov' from being taken for a protocol.
    return av.open(f"file:{path}", "w", format=format.container.muxer, container_options=dict(options))


@contextmanager
def finished(container: OutputContainer, path: Path) -> Iterator[OutputContainer]:
    """Finishes the file at `path` when the body ends; an exception in the body passes, whatever closing meets.

    Raises:
        OutputError: the disk refuses what the muxer held back until now: buffers, indices.
    """
    try:
        yield container
    except BaseException:
        _abandon(container)
        raise
    try:
        container.close()
    except (av.FFmpegError, OSError) as error:
        raise cannot_write(path, error) from error


def _abandon(container: OutputContainer) -> None:
    """Closes an output that another error has ended already."""
    with suppress(av.FFmpegError, OSError):
        container.close()


def cannot_write(path: Path, error: av.FFmpegError | OSError) -> OutputError:
    """What a failure of the encoder or the disk is to the user."""
    return OutputError(f"cannot write {path}: {error.strerror or error}")


def open_writer(path: Path, format: Format, info: VideoInfo, settings: EncodeSettings) -> Writer:
    """Returns a writer of one segment's part at `path`, without sound: a file, or a folder of pictures.

    Raises:
        OutputError: it cannot be made.
    """
    if format.is_sequence:
        from birefvideo.media.writing.image_sequence import SequenceWriter  # which builds on this module

        return SequenceWriter(path, format, info, settings)
    if format.is_animation:
        from birefvideo.media.writing.animation import AnimationWriter  # likewise

        return AnimationWriter(path, format, info, settings)
    return Writer(path, format, info, settings)
