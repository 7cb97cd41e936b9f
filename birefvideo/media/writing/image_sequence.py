"""Sequences of pictures as outputs: a folder of numbered files, with their times in a file beside them."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
from av.video.codeccontext import VideoCodecContext

from birefvideo.errors import OutputError
from birefvideo.frames import VideoInfo
from birefvideo.media.formats import Format
from birefvideo.media.metadata import Tags
from birefvideo.media.output_format import output_colour
from birefvideo.media.writing.writer import Writer, cannot_write

SIDECAR = "sequence.json"
"""Name of the file with the times."""
_VERSION = 1
_FIRST = 1
"""Number of the first picture."""


@dataclass(frozen=True)
class Times:
    """When the pictures of a folder are shown, in ticks of the source's time_base."""

    pts: list[int]
    """Their beginnings, from the output's 0 on; in a part, from the source's first frame on."""
    last_duration: int
    """How long the last one is shown; 0 where unknown."""
    coverage: list[float] = field(default_factory=list)
    """Mean alpha of each, 0 to 1, where that is not the matte's own."""


def is_sequence(folder: Path) -> bool:
    """Whether a folder is one that this module made."""
    try:
        return bool(json.loads((folder / SIDECAR).read_text(encoding="utf-8"))["birefvideo_sequence"])
    except (OSError, ValueError, LookupError, TypeError):
        return False


class SequenceWriter(Writer):
    """Encodes the frames of one segment into a folder, one file a picture; the sidecar comes last."""

    def close(self) -> None:
        """Flushes the encoder and writes the times.

        Raises:
            OutputError: the encoder or the disk refuses.
        """
        self._encode(None)
        if self.frames_written:
            times = Times(self._pts, self._durations[-1], self._coverage)
            self._store(SIDECAR, json.dumps(sidecar(self._format, self._info, times)).encode())

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
            times = read_times(part)
            for index in range(len(times.pts)):
                _take(part / part_name(index, format), output / picture_name(output, len(pts) + index, format))
            pts += times.pts
            last_duration = times.last_duration
        moved = Times([time - pts[0] for time in pts], last_duration)
        first = (info.start + pts[0]) * info.time_base
        values = {**sidecar(format, info, moved, output), **tags.as_json(first)}
        text = json.dumps(values, indent=1, ensure_ascii=False)
        # What replaces foreign bytes of a name is JSON's own escape.
        (output / SIDECAR).write_text(text + "\n", encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise cannot_write(output, error) from error
    return len(pts), first


def read_times(folder: Path) -> Times:
    """Returns the times that a folder's sidecar tells.

    Raises:
        OutputError: there is none, or it is damaged.
    """
    try:
        values = json.loads((folder / SIDECAR).read_text(encoding="utf-8"))
        coverage = [float(share) for share in values.get("coverage", ())]
        return Times([int(time) for time in values["pts"]], int(values["last_duration"]), coverage)
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise OutputError(f"{folder} has no readable {SIDECAR}: remove it and run again") from error


def picture_name(folder: Path, index: int, format: Format) -> str:
    """The file name of picture `index`, counted from 0, of a finished folder."""
    return f"{_stem(folder, format)}_{index + _FIRST:06d}{format.picture_suffix}"


def sidecar(format: Format, info: VideoInfo, times: Times, folder: Path | None = None) -> dict[str, Any]:
    """What the sidecar of a folder, or of a part, says."""
    colour = output_colour(format, info.colour)
    names = {}
    if folder:
        stem = _stem(folder, format).replace("%", "%%")
        names = {"pictures": f"{stem}_%06d{format.picture_suffix}", "first": _FIRST}
    return {
        "birefvideo_sequence": _VERSION,
        **names,
        **({"coverage": times.coverage} if times.coverage else {}),
        "frames": len(times.pts),
        "rate": str(info.rate),
        "time_base": str(info.time_base),
        "pts": times.pts,
        "last_duration": times.last_duration,
        "sample_aspect_ratio": str(info.sample_aspect_ratio),
        "alpha": "premultiplied" if format.premultiplied else "straight",
        "colour": {"primaries": colour.primaries, "transfer": colour.transfer, "numbers": "ITU-T H.273"},
    }


def _stem(folder: Path, format: Format) -> str:
    return folder.name.removesuffix(format.suffix)


def part_name(index: int, format: Format) -> str:
    """The file name of picture `index`, counted from 0, of a part."""
    return f"{index:06d}{format.picture_suffix}"


def _take(source: Path, target: Path) -> None:
    """Gives a picture a second name, so that the part stays whole; on file systems that cannot, copies it."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
