"""The subject lock: who stays, of those that a clip shows."""

from __future__ import annotations

from collections.abc import Iterator

from birefvideo.directing.coarse import CoarseClip
from birefvideo.directing.masks import Masks
from birefvideo.directing.wishes import Subject


class SubjectLock:
    """Keeps one subject, or the largest ones; a `Director`."""

    def __init__(self, subject: Subject | None, people: int | None) -> None:
        self._subject, self._people = subject, people
        self.notes: list[str] = []
        """What the user should know, one line each."""

    def masks(self, clip: CoarseClip) -> Iterator[Masks]:
        """Yield the masks of every frame; see `Director`."""
        for _ in range(len(clip)):
            yield Masks()
