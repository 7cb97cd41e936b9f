"""Sequences of pictures as outputs: a folder of numbered files, with their times in a file beside them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

from birefvideo.errors import OutputError
from birefvideo.frames import VideoInfo
from birefvideo.media.format_table import Format
from birefvideo.media.metadata import Metadata
from birefvideo.media.sequence_json import SIDECAR, Sidecar, part_name, picture_name, read_sidecar, write_sidecar
from birefvideo.media.writing.muxing import cannot_write


def join_folders(
    parts: Sequence[Path],
    output: Path,
    format: Format,
    info: VideoInfo,
    metadata: Metadata = Metadata(),  # noqa: B008 - frozen
) -> tuple[int, Fraction]:
    """Gather the pictures of `parts` in a new folder `output`, numbered through; the sidecar says `metadata` too.

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
        moved = tuple(time - pts[0] for time in pts)
        sidecar = Sidecar(moved, last_duration, info.time_base, info.sample_aspect_ratio)
        write_sidecar(output, sidecar, format, info, beside=metadata.as_json(first))
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


def _take(source: Path, target: Path) -> None:
    """Give a picture a second name, so that the part stays whole; on file systems that cannot, copy it."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
