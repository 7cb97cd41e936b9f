"""What lies in a job's folder: which names are ours, whose folder it is, and removing it without touching the rest.

A kill may come after any step. What is removed goes in an order that leaves, at each of them, a folder that the next
command either goes on with or can clear: reports before parts, then the manifest, the marks of the end, the lock.
"""

from __future__ import annotations

import os
import re
import time
import zlib
from collections.abc import Callable
from enum import Enum
from pathlib import Path

from birefvideo.errors import OutputError, named
from birefvideo.jobs.manifest import MANIFEST, MARK, read_manifest
from birefvideo.json_files import read_json_object
from birefvideo.media.sequence_json import is_picture_file
from birefvideo.own_files import (
    TEMPORARY,
    has_our_owner,
    is_plain_file,
    is_plain_folder,
    remove_files,
    remove_if_empty,
)

LOCK = "lock"
"""Held while a job runs."""
RENAMING = "renaming"
"""Says that outputs have begun to get their names, and which files these are."""
DELIVERED = "delivered"
"""Says that all outputs have their names: what is left is only to be removed."""
_REPORT = re.compile(r"part_\d{5,}\.json")
DIRECTION = "direction.bin"
"""The masks of a directed job."""
_PART = re.compile(r"(?:part_\d{5,}_[\w-]+|direction(?=(?:\.tmp)?\.bin$))((?:\.\w+)?\.tmp)?(\.\w+)?", re.ASCII)
_OUTPUT = re.compile(r"output_[0-9a-f]{8}")
_LOOKS, _BETWEEN_LOOKS = 3, 0.05
"""How often it is looked whose a folder is, which another process may just be filling or removing, and seconds."""
_ENDS = (MANIFEST, RENAMING, DELIVERED, LOCK)
"""What goes last, in this order."""


class Owner(Enum):
    """Whose a folder is."""

    NOBODY = "nothing is there"
    JOB = "a job's, with its manifest"
    REMAINS = "a job's that was killed in its first or last moments"
    STRANGER = "not ours"


def owner_of(folder: Path) -> Owner:
    """Return whose a job's folder is; a link is a stranger's, and so is a folder with a link among our names."""
    if not os.path.lexists(folder):
        return Owner.NOBODY
    try:
        if not is_plain_folder(folder) or not has_our_owner(folder):
            return Owner.STRANGER
        files = list(folder.iterdir())
        if any(_is_our_name(file.name) and not (is_plain_file(file) or is_plain_folder(file)) for file in files):
            return Owner.STRANGER
    except OSError:
        return Owner.STRANGER
    if read_manifest(folder / MANIFEST) is not None:
        return Owner.JOB
    return Owner.REMAINS if all(_is_remains(file) for file in files) else Owner.STRANGER


def check_is_ours(folder: Path, is_busy: Callable[[Path], bool]) -> None:
    """Refuse a folder that is a stranger's.

    Args:
        folder: where the job's folder would be.
        is_busy: whether another process holds a folder's lock.

    Raises:
        OutputError: as above.
    """
    for _ in range(_LOOKS):
        if owner_of(folder) is not Owner.STRANGER:
            return
        if is_plain_folder(folder) and is_plain_file(folder / LOCK) and is_busy(folder):
            raise OutputError(f"another birefvideo is working in {folder}: wait for it or stop it")
        time.sleep(_BETWEEN_LOOKS)
    if is_plain_folder(folder) and not has_our_owner(folder):
        raise OutputError(f"{folder} is another user's: move it, or choose another {named('out')}")
    raise OutputError(f"{folder} is in the way and was not made by birefvideo: move it")


def marked() -> dict[str, object]:
    """Return the values with which every JSON file of a job's folder begins that tells whose it is."""
    return {MARK: 1}


def output_folder(name: str) -> str:
    """Return the name of the folder that holds an output, or a file beside it, until it gets its place.

    The name follows from the output's, so that what others put there, under whichever name, is told from it.
    """
    return f"output_{zlib.crc32(os.fsencode(name)):08x}"


def remove_contents(folder: Path) -> None:
    """Remove what a job keeps, but for its lock; what others have put there stays.

    Args:
        folder: a job's folder, whose lock is held.

    Raises:
        OSError: the disk refuses.
    """
    remove_files(folder, _is_report)
    for part in [file for file in folder.iterdir() if _PART.fullmatch(file.name)]:
        remove_part(part)
    for place in [file for file in folder.iterdir() if _OUTPUT.fullmatch(file.name) and is_plain_folder(file)]:
        for output in [file for file in place.iterdir() if output_folder(file.name) == place.name]:
            remove_part(output)
        remove_files(place, lambda name: name.endswith(TEMPORARY))
    for name in (*_ENDS[:-1], MANIFEST + TEMPORARY, RENAMING + TEMPORARY):
        if is_plain_file(folder / name):
            (folder / name).unlink(missing_ok=True)


def remove_lock(folder: Path) -> None:
    """Remove the lock, and the folder if that leaves it empty."""
    (folder / LOCK).unlink(missing_ok=True)
    remove_if_empty(folder)


def remove_part(part: Path) -> None:
    """Remove a part or an output before delivery: a file, or the pictures of a folder. There may be none.

    Raises:
        OSError: the disk refuses.
    """
    if is_plain_file(part):
        part.unlink(missing_ok=True)
    else:
        remove_files(part, is_picture_file)


def remove_unfinished(folder: Path) -> None:
    """Remove the parts that were being written when a job ended."""
    for part in [file for file in folder.iterdir() if (found := _PART.fullmatch(file.name)) and found[1]]:
        remove_part(part)
    remove_files(folder, lambda name: name.endswith(TEMPORARY))


def _is_report(name: str) -> bool:
    return bool(_REPORT.fullmatch(name.removesuffix(TEMPORARY)))


def _is_our_name(name: str) -> bool:
    name = name.removesuffix(TEMPORARY)
    return name in _ENDS or any(kind.fullmatch(name) for kind in (_REPORT, _PART, _OUTPUT))


def _is_remains(file: Path) -> bool:
    """Return whether a file may be what a kill leaves of a folder without its manifest."""
    if not is_plain_file(file):
        return False
    if file.name in (RENAMING, DELIVERED):
        try:
            return MARK in read_json_object(file)
        except (OSError, ValueError):
            return False
    if file.name == LOCK:
        return file.stat().st_size == 0
    return file.name in (MANIFEST + TEMPORARY, RENAMING + TEMPORARY)
