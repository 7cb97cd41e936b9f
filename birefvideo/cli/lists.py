"""`--files-from`: inputs named in a list."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from birefvideo.cli.parse import STREAM
from birefvideo.errors import InputError
from birefvideo.hints import why_missing
from birefvideo.remote.places import is_url, place_of, shown
from birefvideo.remote.store import Store

_MOST = 64 << 20
"""Bytes that a list has at most: half a million long names."""
_UTF_8, _UTF_16 = b"\xef\xbb\xbf", (b"\xff\xfe", b"\xfe\xff")


def read_list(place: Path, job: str = "") -> tuple[list[Path], dict[Path, str]]:
    """Return the inputs that a list names, and one line for each that is not there, by its name.

    A name a line, as it is, from the current folder on; empty lines count for nothing. Where the list holds null
    characters, as `find -print0` writes them, these part the names, and a name may hold a line break. Clips may be at
    URLs; `job` is as of `remote.places.place_of`.

    Raises:
        InputError: the list cannot be read, is no list, or names nothing.
    """
    called = "stdin" if place == STREAM else str(place)
    data = _read(place, called)
    if data.startswith(_UTF_16):
        raise InputError(f"{called} is in UTF-16: save it as UTF-8")
    data = data.removeprefix(_UTF_8)
    lines = data.split(b"\0") if b"\0" in data else [line.removesuffix(b"\r") for line in data.split(b"\n")]
    unit = "name" if b"\0" in data else "line"
    inputs: list[Path] = []
    missing: dict[Path, str] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        if is_url(url := line.decode(errors="replace").strip()):
            try:
                Store(url)  # which is an error where nothing here could fetch it
                inputs.append(place_of(url, job))
            except InputError as error:
                missing[Path(shown(url))] = f"{called}, {unit} {number}: {error.message}"
            continue
        try:
            path = Path(os.fsdecode(line))  # other bytes than UTF-8 may well be a name on this disk
        except UnicodeDecodeError:
            path = Path(line.decode(errors="replace"))
        if why := _why_missing(path, line):
            missing[path] = f"{called}, {unit} {number}: {why}"
        else:
            inputs.append(path)
    if not inputs and not missing:
        raise InputError(f"{called} names no input: give one a line")
    return inputs, missing


def _why_missing(path: Path, line: bytes) -> str:
    from birefvideo.media.reading.numbered_pictures import series_of

    why = why_missing(path)
    if not why:
        return ""
    try:
        line.decode()
    except UnicodeDecodeError:
        return f"{line.decode(errors='replace')} is no UTF-8 and no file's name: save the list as UTF-8"
    try:
        return "" if series_of(path) else why
    except InputError as error:
        return error.message


def _read(place: Path, called: str) -> bytes:
    try:
        if place == STREAM:
            data = sys.stdin.buffer.read(_MOST + 1)
        elif place.is_dir():
            raise InputError(f"{called} is a folder, and a list is a file: give the folder as INPUT")
        else:
            with place.open("rb") as file:
                data = file.read(_MOST + 1)
    except FileNotFoundError:
        raise InputError(f"the list {why_missing(place)}") from None
    except OSError as error:
        raise InputError(f"the list {called} cannot be read ({error.strerror}): check its permissions") from error
    if len(data) > _MOST:
        raise InputError(f"{called} is larger than any list of names: did you mean to give it as INPUT?")
    return data
