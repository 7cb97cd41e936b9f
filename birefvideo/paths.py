"""Names of files: which there can be at all."""

from __future__ import annotations

import os
from pathlib import Path

from birefvideo.errors import BirefvideoError

LONGEST = 255
"""Bytes that a file system gives a name at most (NAME_MAX of Linux and macOS; characters on Windows)."""


def check_name(path: Path, error: type[BirefvideoError], remedy: str) -> None:
    """Refuse a path that no file can have, before every question about it fails in a way of its own.

    Raises:
        BirefvideoError: of the kind `error`; ends with `remedy`.
    """
    if "\0" in str(path):
        raise error(f"{str(path)!r} holds a null character, which no name may: {remedy}")
    longest = max((len(os.fsencode(part)) for part in path.parts), default=0)
    if longest > LONGEST:
        name = max(path.parts, key=lambda part: len(os.fsencode(part)))
        raise error(f"the name {name[:20]}…{name[-20:]} has {longest} bytes, {LONGEST} are allowed: {remedy}")


def is_file_name(text: str) -> bool:
    """Return whether a text names a file by itself, without a folder."""
    try:
        encoded = os.fsencode(text)
    except UnicodeEncodeError:
        return False
    return text not in ("", ".", "..") and not set(text) & set("/\\\0") and len(encoded) <= LONGEST
