"""Mended frames as the user names them: entries of `marks.json`, or pictures with the frame in their names."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

from birefvideo.directing.marks import Marks, Mend
from birefvideo.errors import InputError
from birefvideo.hints import meant, possible_path, why_missing
from birefvideo.own_files import is_plain_file

SUFFIX = ".png"
_FIELDS = ("time", "frame", "alpha", "note")
_MOST_BYTES = 256 << 20
_MOST = 1000
_LATEST = 10**6
_FRAME = re.compile(r"(?:.*\D)?(\d{1,9})", re.ASCII | re.DOTALL)
_TIME = re.compile(r"(?:.*[^\d.])?(\d{1,6}(?:\.\d{1,9})?)s", re.ASCII | re.DOTALL)


def read_mend(values: Any, name: str, folder: Path) -> Mend:
    """Return the mend that an object of JSON describes.

    Args:
        values: `alpha`, the picture's name, and `time` in seconds or `frame`, a number.
        name: what messages call it.
        folder: from where the picture's name leads.

    Raises:
        InputError: something is not allowed.
    """
    if not isinstance(values, Mapping):
        raise InputError(f"{name}: give an object with alpha and time or frame")
    for field in values:
        if field not in _FIELDS:
            hint = meant(str(field), _FIELDS)
            raise InputError(f"{name}: there is no field {str(field)[:60]!r}{hint}: choose from {', '.join(_FIELDS)}")
    time, frame, alpha = (values.get(field) for field in ("time", "frame", "alpha"))
    if (time is None) == (frame is None):
        raise InputError(f"{name}: give either its time in seconds or its frame, the number from 1 on")
    is_number = isinstance(time, int | float) and not isinstance(time, bool)
    if time is not None and not (is_number and 0 <= time <= _LATEST):
        raise InputError(f"{name}: time is {str(time)[:60]}: give seconds, not negative")
    if frame is not None and (isinstance(frame, bool) or not isinstance(frame, int) or not 1 <= frame < 10**9):
        raise InputError(f"{name}: frame is {str(frame)[:60]}: give a whole number, counted from 1")
    if not isinstance(alpha, str) or not alpha:
        raise InputError(f"{name}: alpha is {str(alpha)[:60]}: give the name of a PNG")
    path = folder / possible_path(alpha)
    return _mend(path, f"{name} ({path.name})", None if time is None else Fraction(repr(time)), frame)


def find_mends(place: Path) -> Marks:
    """Return the mend that a picture's name tells of, or those of all PNGs in a folder.

    A name that ends in a number, as this program's own picture sequences have them, is that of a frame, counted from 1;
    one that ends in seconds, such as `clip_12.48s.png`, is a time.

    Raises:
        InputError: there is none, or a name says neither.
    """
    if why := why_missing(place):
        raise InputError(why)
    if not place.is_dir():
        return Marks(mends=(_named(place),))
    try:
        found = sorted(path for path in place.iterdir() if path.suffix.lower() == SUFFIX and path.name[0] != ".")
    except OSError as error:
        raise InputError(f"{place} cannot be read ({error.strerror}): check its permissions") from error
    if not 0 < len(found) <= _MOST:
        raise InputError(f"{place} holds {len(found)} PNGs: name a folder with 1 to {_MOST} mended frames")
    return Marks(mends=tuple(map(_named, found)))


def _named(path: Path) -> Mend:
    if path.suffix.lower() != SUFFIX:
        raise InputError(f"{path} is no PNG: save the mended alpha as one, with the frame's number in its name")
    if found := _TIME.fullmatch(path.stem):
        return _mend(path, str(path), Fraction(found[1]), None)
    if found := _FRAME.fullmatch(path.stem):
        return _mend(path, str(path), None, int(found[1]))
    raise InputError(
        f"{path} does not say which frame it is: end its name with the frame's number from 1 on (clip_000012.png) or "
        "its time (clip_0.5s.png)"
    )


def _mend(path: Path, name: str, time: Fraction | None, frame: int | None) -> Mend:
    if why := why_missing(path):
        raise InputError(f"{name}: {why}")
    return Mend(name, str(path), read_bytes(path, name)[1], time, frame)


def read_bytes(path: Path, name: str) -> tuple[bytes, str]:
    """Return what a mend's file holds, and its SHA-256.

    Raises:
        InputError: it is no plain file, too large, or cannot be read.
    """
    if not is_plain_file(path.resolve()):
        raise InputError(f"{name}: it is no file: name a PNG")
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise InputError(f"{name}: it cannot be read ({error.strerror}): check its permissions") from error
    if len(data) > _MOST_BYTES:
        raise InputError(f"{name}: it is larger than {_MOST_BYTES >> 20} MB: name a PNG of a frame's alpha")
    return data, hashlib.sha256(data).hexdigest()
