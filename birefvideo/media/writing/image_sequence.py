"""Sequences of pictures as outputs: a folder of numbered files, with their times in a file beside them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
from av.video.codeccontext import VideoCodecContext

from birefvideo.errors import OutputError
from birefvideo.frames import VideoInfo
from birefvideo.media.formats import Format
from birefvideo.media.metadata import Tags
from birefvideo.media.sidecar import SIDECAR, Sidecar, part_name, picture_name, read_sidecar, write_sidecar
from birefvideo.media.writing.writer import Writer, cannot_write


class SequenceWriter(Writer):
    """Encodes the frames of one segment into a folder, one file a picture; the sidecar comes last."""

    def close(self) -> None:
        """Flushes the encoder and writes the times.

        Raises:
            OutputError: the encoder or the disk refuses.
        """
        self._encode(None)
        if self.frames_written:
            told = _told(self._pts, self._durations[-1], self._info, self._coverage)
            try:
                write_sidecar(self.path, told, self._format, self._info, is_part=True)
            except OSError as error:
                raise cannot_write(self.path / SIDECAR, error) from error

    def _open(self) -> None:
        if self.path.is_dir():  # of a run that was killed
            shutil.rmtree(self.path)
        self.path.mkdir()
        self._pts: list[int] = []
        self._coverage: list[float] = []
        self._packets = 0
        context = cast(VideoCodecContext, VideoCodecContext.create(self._format.codec, "w"))
        context.framerate = self._info.rate
        context.options = dict(self._format.codec_options)
        self._set_up(context)
        context.thread_type = "FRAME"
        self._context = context

    def _abandon(self) -> None:
        pass

    def _encode(self, picture: av.VideoFrame | None) -> None:
        if picture is not None:
            assert picture.pts is not None
            self._pts.append(picture.pts)
        elif not self._pts:
            return  # an encoder that was never opened cannot be flushed
        try:
            packets = self._context.encode(picture)
        except (av.FFmpegError, OSError) as error:
            raise cannot_write(self.path, error) from error
        for packet in packets:
            self._store(part_name(self._packets, self._format), bytes(packet))
            self._packets += 1

    def _store(self, name: str, data: bytes) -> None:
        try:
            (self.path / name).write_bytes(data)
        except OSError as error:
            raise cannot_write(self.path / name, error) from error


def join_folders(
    parts: Sequence[Path],
    output: Path,
    format: Format,
    info: VideoInfo,
    tags: Tags = Tags(),  # noqa: B008 - frozen
) -> tuple[int, Fraction]:
    """Gathers the pictures of `parts` in a new folder `output`, numbered through; the sidecar has `tags` too.

    Returns the number of pictures, and the source's time in seconds that became the output's 0: the first picture's.

    Raises:
        OutputError: a part lacks pictures, or the disk refuses.
    """
    pts: list[int] = []
    last_duration = 0
    try:
        if output.exists():
            shutil.rmtree(output)
        output.mkdir()
        for part in parts:
            times = read_part(part)
            for index in range(len(times.pts)):
                _take(part / part_name(index, format), output / picture_name(output, len(pts) + index, format))
            pts += times.pts
            last_duration = times.last_duration
        first = (info.start + pts[0]) * info.time_base
        told = _told([time - pts[0] for time in pts], last_duration, info)
        write_sidecar(output, told, format, info, beside=tags.as_json(first))
    except OSError as error:
        raise cannot_write(output, error) from error
    return len(pts), first


def read_part(folder: Path) -> Sidecar:
    """Return when the pictures of a part are shown.

    Raises:
        OutputError: nothing says so, or what does is damaged.
    """
    try:
        return read_sidecar(folder)
    except ValueError as error:
        raise OutputError(f"{folder} has no readable {SIDECAR}: remove it and run again") from error


def _told(pts: Sequence[int], last_duration: int, info: VideoInfo, coverage: Sequence[float] = ()) -> Sidecar:
    return Sidecar(tuple(pts), last_duration, info.time_base, info.sample_aspect_ratio, tuple(coverage))


def _take(source: Path, target: Path) -> None:
    """Gives a picture a second name, so that the part stays whole; on file systems that cannot, copies it."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
