"""FFmpeg's muxers: their options, files that are finished or given up, and what a full disk is to the user."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path

import av
from av.container import OutputContainer

from birefvideo.errors import OutputError
from birefvideo.frames import VideoInfo
from birefvideo.media.output_format import Format

BITEXACT = {"fflags": "+bitexact"}
"""Muxer options that keep random ids, dates and version strings out of a file."""


_FINEST = Fraction(1, 10**9)
"""Seconds: no encoder and no container of ours counts in less."""


def output_clock(info: VideoInfo) -> Fraction:
    """Return the seconds of a tick that an output's pictures are timed in: the clip's, unless it is absurdly fine."""
    return max(info.time_base, _FINEST)


def movie_options(format: Format, info: VideoInfo) -> dict[str, str]:
    """Return muxer options that make the container's clock fine enough for the source's.

    The edit list of mov and mp4 counts in the movie's timescale, which is 1 ms unless an option says otherwise.
    """
    if not format.container.has_movie_clock:
        return dict(BITEXACT)
    return {**BITEXACT, "movie_timescale": str(movie_timescale(info))}


def movie_timescale(info: VideoInfo) -> int:
    """Return ticks a second: a multiple of the video's denominator, and at least 10,000 for the sake of the audio."""
    scale = output_clock(info).denominator
    return scale * -(-10_000 // scale)


def open_output(path: Path, format: Format, options: Mapping[str, str]) -> OutputContainer:
    """Return an empty output whose muxer has `options`; the file is opened with the first packet."""
    # The prefix keeps a name such as 'take:2.mov' from being taken for a protocol.
    return av.open(f"file:{path}", "w", format=format.container.muxer, container_options=dict(options))


@contextmanager
def finished(container: OutputContainer, path: Path) -> Iterator[OutputContainer]:
    """Finish the file at `path` when the body ends; an exception in the body passes, whatever closing meets.

    Raises:
        OutputError: the disk refuses what the muxer held back until now: buffers, indices.
    """
    try:
        yield container
    except BaseException:
        abandon(container)
        raise
    try:
        container.close()
    except (av.FFmpegError, OSError) as error:
        raise cannot_write(path, error) from error


def abandon(container: OutputContainer) -> None:
    """Close an output that another error has ended already."""
    with suppress(av.FFmpegError, OSError):
        container.close()


def cannot_write(path: Path, error: av.FFmpegError | OSError) -> OutputError:
    """Return what a failure of the encoder or the disk is to the user."""
    return OutputError(f"cannot write {path}: {error.strerror or error}")
