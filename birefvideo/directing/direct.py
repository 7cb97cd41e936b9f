"""From the coarse pictures of a whole clip to the masks of its frames, kept in a file until the frames are made."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Protocol

from birefvideo.directing.coarse import CoarseClip
from birefvideo.directing.masks import Masks
from birefvideo.directing.records import RecordFile, RecordWriter, is_whole_file, packed, unpacked


class Director(Protocol):
    """A wish of the user's that becomes masks: the same ones for the same clip, however its segments were made."""

    @property
    def notes(self) -> list[str]:
        """What the user should know, one line each; complete when the last masks have been given out."""

    def masks(self, clip: CoarseClip) -> Iterator[Masks]:
        """Yield the masks of every frame, in order.

        Raises:
            OptionError: the wish does not go with the clip.
        """


def direct(clip: CoarseClip, directors: Sequence[Director], path: Path) -> None:
    """Write the masks of every frame to a file: those of the directors, one after another.

    Raises:
        OptionError: a wish does not go with the clip.
        OSError: the disk refuses.
    """
    sources = [director.masks(clip) for director in directors]
    temporary = path.with_name(f"{path.stem}.tmp{path.suffix}")
    with RecordWriter(temporary) as file:
        for _ in range(len(clip)):
            masks = Masks()
            for source in sources:
                masks = masks.then(next(source))
            for mask in (masks.stays, masks.added):
                file.write(b"" if mask is None else packed(mask))
        for source in sources:
            for _ in source:
                raise AssertionError("more masks than frames")
        file.write(json.dumps([note for director in directors for note in director.notes]).encode())
    temporary.replace(path)


class Direction:
    """The masks of a clip's frames by their numbers; for one thread at a time, and to be closed."""

    def __init__(self, path: Path) -> None:
        self._file = RecordFile(path)
        self.notes: list[str] = json.loads(self._file.read(len(self._file) - 1))
        """What the user should know, one line each."""

    def masks(self, number: int) -> Masks:
        """Return the masks of a frame."""
        stays, added = (self._file.read(2 * number + which) for which in range(2))
        return Masks(unpacked(stays) if stays else None, unpacked(added) if added else None)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def is_directed(path: Path, frames: int) -> bool:
    """Return whether a file holds the masks of so many frames, every byte as it was written."""
    if not is_whole_file(path):
        return False
    with closing(RecordFile(path)) as file:
        return len(file) == 2 * frames + 1
