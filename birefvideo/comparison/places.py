"""Where a comparison's files lie, and getting them there: all of them or none, and never over what is there."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from birefvideo.errors import OptionError, OutputError, named
from birefvideo.media.reading.numbered_pictures import stem_of
from birefvideo.own_files import make_folders, remove_if_empty, write_temporary
from birefvideo.paths import check_name, writing


def place_of(source: Path, out: Path | None, suffix: str) -> Path:
    """Return the file of an input: its stem and `suffix`, beside it or in the folder `out`.

    Raises:
        OptionError: `out` is no folder.
        OutputError: no file can have that name.
    """
    if out is not None and not out.is_dir() and (out.exists() or out.suffix.lower() in (".png", ".html", ".htm")):
        raise OptionError(f"{named('out')} is {str(out)!r}, which is no folder: name the folder for the files")
    folder = out or (source.resolve() if source.is_dir() else source).parent
    place = folder / f"{stem_of(source)}{suffix}"
    check_name(place, "rename the input")
    return place


def check_places(places: Sequence[Path], *, overwrite: bool) -> None:
    """Refuse what is there already, and folders that cannot be written into.

    Raises:
        OutputError: as above; names the first.
    """
    for place in places:
        if place.is_dir() and not place.is_symlink():
            raise OutputError(f"{place} is a folder: remove it or choose another {named('out')}")
        if not overwrite and os.path.lexists(place):
            replaces = f"pass {named('overwrite', True)} to replace it"
            raise OutputError(f"{place} exists already: {replaces}, or choose another {named('out')}")
        nearest = next(folder for folder in place.absolute().parents if folder.exists())
        if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
            raise OutputError(f"cannot write into {place.parent}: choose another folder with {named('out')}")


def deliver(files: Mapping[Path, bytes], *, overwrite: bool) -> None:
    """Write files whole, all in one folder; an error leaves none of them, nor the folder if it is new.

    Raises:
        OutputError: the disk refuses, or a file of that name has appeared meanwhile.
    """
    folder = next(iter(files)).parent
    written: dict[Path, Path] = {}
    new: list[Path] = []
    with writing(folder):
        made = make_folders(folder)
        try:
            for place, data in files.items():
                written[place] = write_temporary(place, data)
            check_places(list(files), overwrite=overwrite)
            for place, temporary in written.items():
                is_new = not os.path.lexists(place)
                temporary.replace(place)
                new += [place] if is_new else []
        except BaseException:
            for path in (*written.values(), *new):
                path.unlink(missing_ok=True)
            for one in reversed(made):
                remove_if_empty(one)
            raise
