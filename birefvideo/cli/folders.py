"""What a folder given as input holds: the clips in it, and those of the folders in it, but for what is ours."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

from birefvideo.errors import InputError
from birefvideo.media.endings import VIDEO_SUFFIXES
from birefvideo.remote.listing import names_below
from birefvideo.remote.places import shown


def clips_in(folder: Path) -> list[Path]:
    """Return the videos of a folder but for our own outputs; without any, its pictures, or itself if it is a series.

    Raises:
        OSError: it cannot be read.
    """
    from birefvideo.media.reading.numbered_pictures import pictures_in, single_pictures_in

    ours = _our_endings()
    # Hidden files are no clips: macOS leaves a ._NAME beside each NAME on disks of other systems.
    files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    videos = [p for p in files if p.suffix.lower() in VIDEO_SUFFIXES and not p.name.lower().endswith(ours)]
    if found := [video for video in videos if not _is_known_output(video)]:
        return found
    if photos := single_pictures_in(folder):
        return [photo for photo in photos if not _is_known_output(photo)]
    return [folder] if pictures_in(folder) else []


def clips_at(url: str, *, recursive: bool) -> list[PurePosixPath]:
    """Return the videos of a folder at a URL, or of the tree below it, but for our own outputs.

    Raises:
        InputError: there are none, or it cannot be listed.
    """
    ours = _our_endings()
    videos = [
        name
        for name in names_below(url, recursive=recursive)
        if name.suffix.lower() in VIDEO_SUFFIXES
        and not name.name.lower().endswith(ours)
        and not any(part.startswith(".") for part in name.parts)
    ]
    if not videos:
        raise InputError(f"{shown(url)} holds no video: name a clip or another folder")
    return videos


def _our_endings() -> tuple[str, ...]:
    from birefvideo.media.forms import ALL_FORMS
    from birefvideo.media.writing.proxy import MATTE_PROXY, SOURCE_PROXY

    rows = (*ALL_FORMS.values(), MATTE_PROXY, SOURCE_PROXY)
    return tuple(format.suffix for format in rows if not format.is_sequence)


def folders_within(top: Path, left_out: Path | None = None) -> list[Path]:
    """Return a folder and those in it at any depth, but for hidden ones and ours, in order of their names.

    Links to folders are followed; a folder that is reached twice, as by a link to one above it, is there once, by the
    name that has no link in it.

    Args:
        top: where to begin.
        left_out: a folder below `top` that is not searched, such as the one that outputs go to.
    """
    folders, links, found = [top], list[Path](), list[Path]()
    seen: set[tuple[int, int]] = set()
    if left_out is not None and left_out.exists() and not left_out.samefile(top):
        seen.add(_identity(left_out))
    while folders or links:
        folder = folders.pop() if folders else links.pop(0)
        try:
            identity = _identity(folder)
            if identity in seen:
                continue
            seen.add(identity)
            found.append(folder)
            for path in _folders_in(folder):
                (links if path.is_symlink() else folders).append(path)
        except OSError:  # it is told where it is searched for clips
            continue
    return sorted(found)


def _folders_in(folder: Path) -> list[Path]:
    with os.scandir(folder) as entries:
        found = [Path(entry.path) for entry in entries if not entry.name.startswith(".") and entry.is_dir()]
    return sorted(path for path in found if not _is_ours(path))


def _is_ours(folder: Path) -> bool:
    """Return whether a folder is a job's, or pictures that a job made."""
    from birefvideo.jobs.plan import JOB_FOLDER
    from birefvideo.media.sequence_json import is_sequence

    return folder.suffix == JOB_FOLDER or is_sequence(folder)


def _is_known_output(file: Path) -> bool:
    """Return whether a receipt beside a file says that we made it, whatever it is called."""
    from birefvideo.jobs.receipt import read

    return read(file) is not None


def _identity(folder: Path) -> tuple[int, int]:
    found = folder.stat()
    return found.st_dev, found.st_ino
