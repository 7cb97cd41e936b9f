"""Which clips the inputs of a command name."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from birefvideo.cli.folders import clips_in, folders_within
from birefvideo.errors import InputError, OptionError, named
from birefvideo.hints import why_missing

_MOST_SPACES = 8
"""Spaces that a name has at most to be found again."""


@dataclass
class Inputs:
    """What the inputs of a command come to."""

    clips: dict[Path, Path]
    """Every clip, with the folder below the outputs' own that mirrors where it was found; '.' for most."""
    missing: dict[Path, str]
    """The inputs that there is no clip of, with a line on each that says why."""


def find_clips(
    inputs: Sequence[Path],
    out: Path | None = None,
    *,
    listed: Iterable[Path] = (),
    elsewhere: Mapping[Path, Path] = MappingProxyType({}),
    recursive: bool = False,
    into: bool = False,
) -> Inputs:
    """Return the clips that files and folders name, in order.

    Args:
        inputs: what the user names.
        out: where outputs go.
        listed: further inputs, which are known to be there.
        elsewhere: clips at URLs, as `Inputs.clips`.
        recursive: search the folders in folders as well, but for `out`.
        into: `out` is a folder, whatever its name looks like.

    Raises:
        BirefvideoError: as `find_photos`.
    """
    check_there(inputs)
    lacks = "holds no video and no picture: name a clip"
    return _find((*inputs, *listed), out, clips_in, lacks, elsewhere, recursive=recursive, into=into)


def find_photos(inputs: Sequence[Path], out: Path | None) -> Inputs:
    """Return the photos that files and folders name, in order.

    Raises:
        InputError: an input is not there; nothing is to be made of the others then.
        OptionError: `out` names one file for several clips.
    """
    from birefvideo.media.reading.numbered_pictures import photos_in

    check_there(inputs)
    return _find(inputs, out, photos_in, "holds no picture: name a photo")


def _find(
    inputs: Sequence[Path],
    out: Path | None,
    within: Callable[[Path], list[Path]],
    lacks: str,
    elsewhere: Mapping[Path, Path] = MappingProxyType({}),
    *,
    recursive: bool = False,
    into: bool = False,
) -> Inputs:
    clips: dict[str, tuple[Path, Path]] = {}  # by what a clip is called from the root on: it may be found twice
    missing: dict[Path, str] = {}
    for item in inputs:
        if not item.is_dir():
            clips.setdefault(_whole_name(item), (item, Path()))
            continue
        found: list[Path] = []
        unread: dict[Path, str] = {}
        for folder in folders_within(item, out) if recursive else [item]:
            try:
                found += within(folder)
            except OSError as error:
                unread[folder] = f"{folder} cannot be read ({error.strerror}): check its permissions"
        for clip in found:
            below = Path() if clip == item else clip.parent.relative_to(item)
            clips.setdefault(_whole_name(clip), (clip, below))
        missing |= unread if found or unread else {item: f"{item} {lacks} or another folder"}
    clips.update({str(clip): (clip, below) for clip, below in elsewhere.items()})
    is_tree = recursive and any(item.is_dir() for item in inputs)
    names_file = out is not None and out.suffix and not into and not out.is_dir()
    if names_file and (len(clips) > 1 or is_tree):
        clash = f"names one file, but there are {len(clips)} inputs"
        clash = "names one file, but the outputs are a tree of folders" if is_tree else clash
        raise OptionError(f"{out} {clash}: name a folder with {named('out')}")
    return Inputs(dict(clips.values()), missing)


def _whole_name(path: Path) -> str:
    return os.path.normpath(path.absolute())


def can_begin(clips: Sequence[Path]) -> bool:
    """Return whether work will begin: a single file that is no film and no picture is going to be refused."""
    from birefvideo.media.reading.open_input import open_input

    try:
        if len(clips) == 1 and clips[0].is_file():
            open_input(clips[0]).close()
    except (InputError, OSError):
        return False
    return True


def check_there(inputs: Sequence[Path]) -> None:
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


def _why_split(names: Sequence[Path], index: int) -> str:
    whole = _split_name(names, index)
    return f"{names[index]} does not exist, but '{whole}' does: put quotes around a name with spaces" if whole else ""


def _split_name(inputs: Sequence[Path], index: int) -> Path | None:
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
