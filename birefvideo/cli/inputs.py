"""Which clips the inputs of a command name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from birefvideo.errors import InputError, OptionError, named
from birefvideo.hints import why_missing

VIDEO_SUFFIXES = frozenset(
    [
        ".mp4",
        ".mov",
        ".m4v",
        ".mkv",
        ".webm",
        ".avi",
        ".mts",
        ".m2ts",
        ".ts",
        ".mpg",
        ".mpeg",
        ".wmv",
        ".flv",
        ".3gp",
        ".mxf",
        ".ogv",
        ".vob",
    ]
)
"""What a folder given as input is searched for."""
_MOST_SPACES = 8
"""Spaces that a name has at most to be found again."""


def find_clips(inputs: list[Path], out: Path | None) -> tuple[list[Path], list[str]]:
    """Return the clips that files and folders name, in order, and one line for every folder that holds none.

    Raises:
        BirefvideoError: as `find_photos`.
    """
    return _find(inputs, out, _clips_in, "holds no video and no picture: name a clip")


def find_photos(inputs: list[Path], out: Path | None) -> tuple[list[Path], list[str]]:
    """Return the photos that files and folders name, in order, and one line for every folder that holds none.

    Raises:
        InputError: an input is not there; nothing is to be made of the others then.
        OptionError: `out` names one file for several clips.
    """
    from birefvideo.media.reading.numbered_pictures import photos_in

    return _find(inputs, out, photos_in, "holds no picture: name a photo")


def _find(
    inputs: list[Path], out: Path | None, within: Callable[[Path], list[Path]], lacks: str
) -> tuple[list[Path], list[str]]:
    _check_there(inputs)
    clips: list[Path] = []
    missing: list[str] = []
    for item in inputs:
        if not item.is_dir():
            clips.append(item)
            continue
        try:
            found = within(item)
        except OSError as error:
            missing.append(f"{item} cannot be read ({error.strerror}): check its permissions")
            continue
        clips += found
        if not found:
            missing.append(f"{item} {lacks} or another folder")
    clips = list(dict.fromkeys(clips))
    if len(clips) > 1 and out is not None and out.suffix and not out.is_dir():
        raise OptionError(f"{out} names one file, but there are {len(clips)} inputs: name a folder with {named('out')}")
    return clips, missing


def can_begin(clips: list[Path]) -> bool:
    """Return whether work will begin: a single file that is no film and no picture is going to be refused."""
    from birefvideo.media.reading.open_input import open_input

    try:
        if len(clips) == 1 and clips[0].is_file():
            open_input(clips[0]).close()
    except (InputError, OSError):
        return False
    return True


def _check_there(inputs: list[Path]) -> None:
    """Refuse a command of which one input is not there, before anything is made of the others.

    Raises:
        InputError: names the first, and what was meant: words of one name that was not quoted, or a name like it.
    """
    from birefvideo.media.reading.numbered_pictures import series_of

    for index, item in enumerate(inputs):
        why = why_missing(item)
        if not why or series_of(item):
            continue
        others = "; nothing was done" if len(inputs) > 1 else ""
        raise InputError(f"{_why_split(inputs, index) or why}{others}")


def check_quoted(names: list[Path]) -> None:
    """Refuse names that are words of one, which was not quoted.

    Raises:
        InputError: says which name was meant.
    """
    for index, name in enumerate(names):
        if why_missing(name) and (why := _why_split(names, index)):
            raise InputError(why)


def _why_split(names: list[Path], index: int) -> str:
    whole = _split_name(names, index)
    return f"{names[index]} does not exist, but '{whole}' does: put quotes around a name with spaces" if whole else ""


def _split_name(inputs: list[Path], index: int) -> Path | None:
    """Return the file whose name the shell split at its spaces into the input at `index` and those beside it."""
    for first in range(max(0, index - _MOST_SPACES), index + 1):
        for end in range(max(first + 2, index + 1), min(len(inputs), first + _MOST_SPACES + 1) + 1):
            head = inputs[first]
            name = " ".join((head.name, *map(str, inputs[first + 1 : end])))
            if found := _file_called(head.parent / name):
                return found
    return None


def _file_called(path: Path) -> Path | None:
    """Return the file of that name, any number of spaces being like one."""
    try:
        if path.exists():
            return path
        wanted = path.name.split()
        return next((file for file in path.parent.iterdir() if file.name.split() == wanted), None)
    except (OSError, ValueError):
        return None


def _clips_in(folder: Path) -> list[Path]:
    """Return the videos of a folder but for our own outputs; without any, its pictures, or itself if it is a series."""
    from birefvideo.media.forms import ALL_FORMS
    from birefvideo.media.reading.numbered_pictures import pictures_in, single_pictures_in
    from birefvideo.media.writing.proxy import MATTE_PROXY, SOURCE_PROXY

    rows = (*ALL_FORMS.values(), MATTE_PROXY, SOURCE_PROXY)
    ours = tuple(format.suffix for format in rows if not format.is_sequence)
    # Hidden files are no clips: macOS leaves a ._NAME beside each NAME on disks of other systems.
    files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    found = [p for p in files if p.suffix.lower() in VIDEO_SUFFIXES and not p.name.lower().endswith(ours)]
    return found or single_pictures_in(folder) or ([folder] if pictures_in(folder) else [])
