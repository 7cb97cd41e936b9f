"""SHA-256 of inputs, parts and outputs: of a file its bytes, of a folder the lines that sha256sum prints."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from birefvideo.media.reading.numbered_pictures import members
from birefvideo.media.sequence_json import own_files


def content_digest(path: Path) -> str:
    """SHA-256 of an output, in hex; of a folder, of the files that are ours in it, in order of names.

    Raises:
        OSError: it cannot be read.
    """
    if not path.is_dir():
        return file_digest(path)
    try:
        return _of_files([path / name for name in sorted(own_files(path))])
    except ValueError:  # it lost its sidecar: whatever it holds, it is not what it was
        return folder_digest(path)


def input_digest(path: Path) -> str:
    """SHA-256 of an input, in hex; of pictures as `content_digest`, whatever else lies in their folder.

    Raises:
        OSError: it cannot be read.
    """
    return file_digest(path) if path.is_file() else _of_files(members(path))


def folder_digest(path: Path) -> str:
    """SHA-256 of all files in a folder.

    Raises:
        OSError: one cannot be read.
    """
    return _of_files(sorted(filter(Path.is_file, path.iterdir())))


def file_digest(path: Path) -> str:
    """SHA-256 of a file.

    Raises:
        OSError: it cannot be read.
    """
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _of_files(files: Sequence[Path]) -> str:
    lines = (f"{file_digest(file)}  {file.name}\n" for file in files)
    return hashlib.sha256("".join(lines).encode(errors="surrogateescape")).hexdigest()
