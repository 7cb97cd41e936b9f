"""Files of ours among those of others: made without following links, replaced whole, removed by their names only."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from birefvideo.errors import OutputError

TEMPORARY = ".birefvideo-tmp"
"""Ending of a file that is being written: a kill may leave one, and nobody else makes such a name."""

HEAD = 1 << 14
"""Bytes within which a file that lies beside outputs says that it is ours."""

LONGEST = 255
"""Bytes that a file system gives a name at most (NAME_MAX of Linux and macOS; characters on Windows)."""

_NO_LINK = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
"""For names that another may have put a link or a pipe at."""


def open_existing_or_new(path: Path) -> int:
    """Return a descriptor of the plain file at `path`, made if there is none, its content as it was.

    Raises:
        OSError: a link, a pipe, a device or a folder is there, or the disk refuses.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | _NO_LINK, 0o666)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    raise FileExistsError(17, "no plain file", str(path))


def make_anew(path: Path, *, is_secret: bool = False) -> int:
    """Return a descriptor of the new, empty file `path`; a file or a link of that name goes, not what it points to.

    A secret one is its owner's alone from its first moment: who had opened it before it was closed off could read on.

    Raises:
        OSError: a folder is there, or the disk refuses.
    """
    path.unlink(missing_ok=True)
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | _NO_LINK, 0o600 if is_secret else 0o666)


def write_whole(path: Path, text: str) -> None:
    """Write UTF-8 so that `path` holds all of it or what it held before, also after a power cut.

    What UTF-8 cannot say, such as foreign bytes of a file's name, becomes an escape, which is JSON's own.

    Raises:
        OSError: the disk refuses.
    """
    write_temporary(path, text.encode(errors="backslashreplace")).replace(path)


def write_temporary(path: Path, data: bytes, *, is_secret: bool = False) -> Path:
    """Write what is to become `path` beside it, so that a power cut cannot spoil it any more; return its own name.

    Whether `is_secret` is that of `make_anew`.

    Raises:
        OSError: the disk refuses.
    """
    temporary = _temporary(path)
    with os.fdopen(make_anew(temporary, is_secret=is_secret), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    return temporary


def _temporary(path: Path) -> Path:
    """Return where a file is written before it gets its name, which may be as long as the disk allows."""
    head = os.fsencode(path.name)[: LONGEST - len(TEMPORARY)]
    return path.with_name(head.decode(errors="ignore") + TEMPORARY)


def sync(path: Path) -> None:
    """Have the disk take a file, or the files of a folder, before anything else says that they are there.

    Raises:
        OSError: it does not.
    """
    for file in path.iterdir() if path.is_dir() else [path]:
        with file.open("r+b") as opened:
            os.fsync(opened.fileno())


def size_of(path: Path) -> int:
    """Return the bytes of a file, or of the files in a folder.

    Raises:
        OutputError: it is gone.
    """
    try:
        return sum(file.lstat().st_size for file in path.iterdir()) if path.is_dir() else path.stat().st_size
    except OSError as error:
        reason = error.strerror or error
        raise OutputError(f"{path} was moved or removed meanwhile ({reason}): run the same command again") from error


def is_plain_folder(path: Path) -> bool:
    """Return whether a folder is at `path` itself, and no link to one."""
    try:
        found = path.lstat()
    except (OSError, ValueError):
        return False
    return stat.S_ISDIR(found.st_mode) and not getattr(found, "st_reparse_tag", 0)


def is_plain_file(path: Path) -> bool:
    """Return whether a file is at `path` itself, and no link, pipe or device."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except (OSError, ValueError):
        return False


def give_second_name(source: Path, target: Path) -> None:
    """Have a new name lead to a file, or to the files of a folder, too; on file systems that cannot, copy them.

    Raises:
        OSError: the name is taken, or the disk refuses.
    """
    if is_plain_folder(source):
        target.mkdir()
        for file in source.iterdir():
            give_second_name(file, target / file.name)
        return
    try:
        os.link(source, target)
    except FileExistsError:
        raise
    except OSError:
        shutil.copyfile(source, target)


def make_folders(path: Path) -> list[Path]:
    """Make a folder and those above it that are missing; return the new ones, outermost first.

    Raises:
        OSError: something else is in the way, or the disk refuses.
    """
    missing = [path] if not path.exists() else []
    missing += [folder for folder in path.parents if missing and not folder.exists()]
    made = []
    for folder in reversed(missing):
        with suppress(FileExistsError):  # another job made it meanwhile
            folder.mkdir()
            made.append(folder)
    return made


def remove_files(folder: Path, is_ours: Callable[[str], object]) -> None:
    """Remove the plain files of a folder whose names are ours, and the folder if that leaves it empty.

    Links, and folders in it, are never ours. There may be no such folder.

    Raises:
        OSError: the disk refuses.
    """
    if not is_plain_folder(folder):
        return
    with os.scandir(folder) as entries:
        mine = [Path(entry.path) for entry in entries if entry.is_file(follow_symlinks=False) and is_ours(entry.name)]
    for file in mine:
        file.unlink(missing_ok=True)
    remove_if_empty(folder)


def remove_if_empty(folder: Path) -> None:
    """Remove a folder that holds nothing; any other stays."""
    with suppress(OSError):
        folder.rmdir()


def has_our_owner(path: Path) -> bool:
    """Return whether what is at `path` belongs to whom new files beside it belong to; always so on Windows."""
    geteuid = getattr(os, "geteuid", None)
    if geteuid is None:
        return True
    owner: int = path.lstat().st_uid
    return owner == geteuid() or owner == _owner_of_new_files(path.parent)


def _owner_of_new_files(folder: Path) -> int | None:
    """Return whom the file system gives a new file to: on some disks always the same one, whoever writes."""
    probe = folder / f".birefvideo-{os.getpid()}{TEMPORARY}"
    try:
        descriptor = make_anew(probe)
    except OSError:
        return None
    try:
        return os.fstat(descriptor).st_uid
    finally:
        os.close(descriptor)
        probe.unlink(missing_ok=True)
