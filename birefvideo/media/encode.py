"""Writing one segment of one output: frames in, a video-only part file out."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import cast

import av
from av.container import OutputContainer
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from birefvideo.errors import OutputError
from birefvideo.frames import Colour, Frame, VideoInfo
from birefvideo.media import compose
from birefvideo.media.colours import BT709, NAMED_COLOURS, rgb_to_yuv, sdr_colour
from birefvideo.media.formats import Content, Format
from birefvideo.planes import to_444

LIMITED_RANGE = 1

BITEXACT = {"fflags": "+bitexact"}
"""Muxer options that keep random ids, dates and version strings out of a file."""


@dataclass(frozen=True)
class EncodeSettings:
    """What the user and the plan decide about encoding, the same for every segment of a job."""

    background: tuple[int, int, int] = NAMED_COLOURS["green"]
    """R'G'B' codes behind a composite."""
    premultiplied: bool = False
    """Multiply colour by alpha in outputs with alpha; straight is the default."""
    threads: int = 4
    """Threads of each encoder: a number, never 0, because libx264's bytes depend on it."""


def output_colour(format: Format, source: Colour) -> Colour:
    """Returns the colour that an output's pixels are in and are tagged with.

    ProRes keeps the source's, HDR included, in limited range; BT.470BG is written as SMPTE 170M, its equal, since
    ProRes has no code for it. VP9 is always BT.709, because Chromium misreads every other. H.264 keeps BT.709 and
    BT.601 in their range; HDR and BT.2020 become BT.709. A matte is grey, so any matrix would do.
    """
    if format.codec == "prores_ks":
        matrix = 6 if source.matrix == 5 else source.matrix
        transfer = 1 if source.transfer == 6 else source.transfer  # one curve under two numbers; ProRes knows 1
        return replace(source, matrix=matrix, transfer=transfer, range=LIMITED_RANGE)
    if format.content is Content.COMPOSITE:
        return sdr_colour(source)
    return BT709


def output_size(format: Format, info: VideoInfo) -> tuple[int, int]:
    """Returns the (width, height) of an output's pictures: the source's, but for what the format cannot express.

    They are padded to even where the encoder insists, and enlarged to square pixels where the container cannot tell.
    """
    if format.needs_even_size:
        return info.width + info.width % 2, info.height + info.height % 2
    if format.square_pixels:
        aspect = info.sample_aspect_ratio
        return round(info.width * max(aspect, Fraction(1))), round(info.height / min(aspect, Fraction(1)))
    return info.width, info.height


def output_aspect(format: Format, info: VideoInfo) -> Fraction:
    """Returns the width to height of one pixel of an output."""
    return Fraction(1) if format.square_pixels else info.sample_aspect_ratio


def movie_options(format: Format, info: VideoInfo) -> dict[str, str]:
    """Returns muxer options that make the container's clock fine enough for the source's.

    The edit list of mov and mp4 counts in the movie's timescale, which is 1 ms unless told otherwise.
    """
    if format.container not in ("mov", "mp4"):
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
        self._background = (
            rgb_to_yuv(settings.background, self._colour) if format.content is Content.COMPOSITE else None
        )
        self._durations: deque[int] = deque()
        self._last_pts: int | None = None
        try:
            path.open("wb").close()  # FFmpeg opens it with the first packet only, and says less
        except OSError as error:
            raise _cannot_write(path, error) from error
        self._container = open_output(path, format, movie_options(format, info))
        self._stream = self._add_stream()

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            _abandon(self._container)

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

    def _add_stream(self) -> VideoStream:
        info, format = self._info, self._format
        stream = cast(
            VideoStream, self._container.add_stream(format.codec, rate=info.rate, options=dict(format.codec_options))
        )
        stream.width, stream.height = output_size(format, info)
        stream.pix_fmt = format.pix_fmt
        stream.time_base = info.time_base
        context: VideoCodecContext = stream.codec_context
        context.time_base = info.time_base  # the encoder's default is one tick a frame, which loses variable rates
        context.thread_count = self._settings.threads
        context.sample_aspect_ratio = output_aspect(format, info)
        context.colorspace, context.color_range = self._colour.matrix, self._colour.range
        context.color_primaries, context.color_trc = self._colour.primaries, self._colour.transfer
        if format.quantiser is not None:
            context.qscale = True
            context.global_quality = format.quantiser
        return stream

    def _compose(self, frame: Frame) -> av.VideoFrame:
        """Returns what the encoder takes for a frame that has its alpha."""
        assert frame.alpha is not None, "frames are written after prediction"
        source, target = self._info.colour, self._colour
        premultiplied = self._settings.premultiplied
        if self._format.content is Content.MATTE:
            return compose.matte_420(frame.alpha, target)
        if self._background is not None:
            return compose.composite_420(frame.picture, frame.foreground, frame.alpha, self._background, source, target)
        if self._format.pix_fmt == "yuva420p":
            picture = compose.with_alpha_420(
                frame.picture, frame.foreground, frame.alpha, source, target, premultiplied=premultiplied
            )
            return compose.stretched(picture, *output_size(self._format, self._info))
        foreground = frame.foreground or to_444(frame.picture)
        return compose.with_alpha_444(foreground, frame.alpha, source, target, premultiplied=premultiplied)

    def _encode(self, picture: av.VideoFrame | None) -> None:
        try:
            for packet in self._stream.encode(picture):
                # No encoder here reorders, and none passes durations on: packets come in the order of the frames.
                packet.duration = self._durations.popleft()
                self._container.mux(packet)
        except (av.FFmpegError, OSError) as error:
            raise _cannot_write(self.path, error) from error


def open_output(path: Path, format: Format, options: Mapping[str, str]) -> OutputContainer:
    """Returns an empty output whose muxer has `options`; the file is opened with the first packet."""
    # The prefix keeps a name such as 'take:2.mov' from being taken for a protocol.
    return av.open(f"file:{path}", "w", format=format.container, container_options=dict(options))


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
        raise _cannot_write(path, error) from error


def _abandon(container: OutputContainer) -> None:
    """Closes an output that another error has ended already."""
    with suppress(av.FFmpegError, OSError):
        container.close()


def _cannot_write(path: Path, error: av.FFmpegError | OSError) -> OutputError:
    return OutputError(f"cannot write {path}: {error.strerror or error}")


def open_writer(path: Path, format: Format, info: VideoInfo, settings: EncodeSettings) -> Writer:
    """Returns a writer of one segment's part file at `path`, video only.

    Raises:
        OutputError: the file cannot be made.
    """
    return Writer(path, format, info, settings)
