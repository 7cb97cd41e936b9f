"""Files by their names: which names there can be, and what it means to the user that one cannot be written."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from birefvideo.errors import OutputError, named
from birefvideo.own_files import LONGEST

_IN_THE_WAY = (errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ENOTEMPTY)
"""What systems say where a name is taken by something of another kind."""


def check_name(path: Path, remedy: str) -> None:
    """Refuse a name for an output that no file can have.

    Raises:
        OutputError: ends with `remedy`.
    """
    longest = max((len(os.fsencode(part)) for part in path.parts), default=0)
    if longest > LONGEST:
        name = max(path.parts, key=lambda part: len(os.fsencode(part)))
        raise OutputError(
            f"the name {name[:20]}…{name[-20:]} is too long: {longest} bytes, {LONGEST} are allowed; {remedy}"
        )


def is_file_name(text: str) -> bool:
    """Return whether a text names a file by itself, without a folder."""
    try:
        encoded = os.fsencode(text)
    except UnicodeEncodeError:
        return False
    return text not in ("", ".", "..") and not set(text) & set("/\\\0") and len(encoded) <= LONGEST


@contextmanager
def writing(place: Path) -> Iterator[None]:
    """Turn what the disk refuses to a block that only writes files into one line; `place` is named where no file is.

    Raises:
        OutputError: as above.
    """
    try:
        yield
    except OSError as error:
        where, reason = error.filename or place, error.strerror or error
        remedy = "move what is there" if error.errno in _IN_THE_WAY else "make room there"
        remedy = "check its permissions" if isinstance(error, PermissionError) else remedy
        raise OutputError(f"cannot write {where} ({reason}): {remedy}, or choose {named('out')}") from error
