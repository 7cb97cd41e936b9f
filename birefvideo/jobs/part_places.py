"""Where the pieces of a job lie in its folder: for its owner, and for workers in other processes."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

from birefvideo.jobs.folder_files import DIRECTION
from birefvideo.jobs.kept_mattes import SUFFIX
from birefvideo.jobs.plan import Segment, Target


def new_attempt() -> str:
    """Return a name for one attempt at a segment: a worker that was given up, and lives, spoils no other's files."""
    return uuid4().hex[:12]


class PartPlaces:
    """Names the files of a job's folder, which is `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def part(self, segment: Segment, target: Target, attempt: str | None = None) -> Path:
        """Return the media file of one segment and output; while an attempt writes it, it has a name of its own."""
        name = f"part_{segment.number:05d}_{target.format.name}"
        return self.path / f"{name}{'' if attempt is None else f'.{attempt}.tmp'}{target.path.suffix}"

    def mattes(self, segment: Segment) -> Path:
        """Return where the mattes of a segment are kept while it is computed."""
        return self.path / f"part_{segment.number:05d}{SUFFIX}"

    def report(self, segment: Segment) -> Path:
        """Return where the report of a finished segment lies."""
        return self.path / f"part_{segment.number:05d}.json"

    @property
    def direction(self) -> Path:
        """Where a directed job keeps the masks of its frames."""
        return self.path / DIRECTION
