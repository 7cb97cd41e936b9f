"""Sequences of pictures as outputs: a folder of numbered files, with their times in a file beside them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

from birefvideo.errors import OutputError
from birefvideo.frames import VideoInfo
from birefvideo.media.format_table import Format
from birefvideo.media.metadata import Metadata
from birefvideo.media.sequence_json import (
    SIDECAR,
    Sidecar,
    is_picture_file,
    own_files,
    part_name,
    picture_name,
    read_sidecar,
    write_sidecar,
)
from birefvideo.media.writing.muxing import cannot_write
from birefvideo.own_files import give_second_name, is_plain_folder, remove_files


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
        make_empty(output)
        for part in parts:
            times = read_part(part)
            for index in range(len(times.pts)):
                give_second_name(
                    part / part_name(index, format), output / picture_name(output, len(pts) + index, format)
                )
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


def make_empty(folder: Path) -> None:
    """Make a folder for pictures; those of an earlier, killed run in it go, and nothing else does.

    Raises:
        OSError: something else is in the way, or the disk refuses.
    """
    remove_files(folder, is_picture_file)
    folder.mkdir()


def check_deliverable(made: Path, place: Path) -> None:
    """Refuse to deliver an output where it would take the place of a folder, or of files in one, that is not ours.

    Raises:
        OutputError: names it.
    """
    if not os.path.lexists(place):
        return
    in_the_way = [place] if is_plain_folder(place) != made.is_dir() and (made.is_dir() or place.is_dir()) else []
    if not in_the_way and made.is_dir():
        try:
            ours = set(own_files(place))
        except ValueError:
            in_the_way = [place]
        else:
            found = (place / picture.name for picture in made.iterdir() if picture.name not in ours)
            in_the_way = [path for path in found if os.path.lexists(path)]
    if in_the_way:
        raise OutputError(f"{min(in_the_way)} is in the way and was not made by birefvideo: move it")


def deliver(made: Path, place: Path) -> None:
    """Give an output its name; of a folder of ours that is there, only our pictures are replaced, one by one.

    A kill at any moment leaves a folder whose sidecar names all of our pictures in it, so that the next run can finish.

    Raises:
        OSError: something else is in the way, or the disk refuses.
    """
    if not (made.is_dir() and is_plain_folder(place)):
        made.replace(place)
        return
    for name in own_files(place):
        if name != SIDECAR:
            (place / name).unlink(missing_ok=True)
    (made / SIDECAR).replace(place / SIDECAR)
    for picture in sorted(made.iterdir()):
        picture.replace(place / picture.name)
    made.rmdir()
