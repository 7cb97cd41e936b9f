"""The lock of a job's folder, by which two commands are kept from working in it at once."""

from __future__ import annotations

import errno
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from birefvideo.errors import OutputError, named
from birefvideo.jobs.folder_files import LOCK, remove_lock
from birefvideo.jobs.manifest import MANIFEST
from birefvideo.own_files import open_existing_or_new

_TAKEN = frozenset([errno.EAGAIN, errno.EACCES, errno.EDEADLK])
"""What systems say where another process holds the lock."""

if sys.platform == "win32":
    import msvcrt

    def _lock(file: BinaryIO) -> None:
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(file: BinaryIO) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def locked(folder: Path) -> BinaryIO:
    """Return the open lock of a folder, held.

    Raises:
        OutputError: another process holds it, or it cannot be locked.
    """
    try:
        lock = os.fdopen(open_existing_or_new(folder / LOCK), "r+b")
    except FileExistsError as error:
        raise OutputError(f"{folder / LOCK} is in the way and was not made by birefvideo: move it") from error
    try:
        _lock(lock)
    except OSError as error:
        lock.close()
        if error.errno in _TAKEN:
            raise OutputError(f"another birefvideo is working in {folder}: wait for it or stop it") from error
        if not (folder / MANIFEST).exists():
            remove_lock(folder)
        reason = f"{folder} cannot be locked ({error.strerror})"
        raise OutputError(f"{reason}: write to another disk with {named('out')}") from error
    if not is_at(lock, folder / LOCK):  # its last holder has just removed it
        lock.close()
        raise OutputError(f"another birefvideo has just finished in {folder}: run the same command again")
    return lock


def is_busy(folder: Path) -> bool:
    """Return whether another process holds the lock of a folder, which has one."""
    with suppress(OSError), os.fdopen(open_existing_or_new(folder / LOCK), "r+b") as lock:
        try:
            _lock(lock)
        except OSError as error:
            return error.errno in _TAKEN
    return False


def is_at(lock: BinaryIO, path: Path) -> bool:
    """Return whether an open lock is the file at `path`."""
    try:
        return os.path.samestat(os.fstat(lock.fileno()), path.lstat())
    except OSError:
        return False
