"""Making outputs again that are no longer what a job would make, without losing a file that may be someone's work."""

from __future__ import annotations

import os
from pathlib import Path

from birefvideo.errors import OutputError, named
from birefvideo.jobs.digests import content_digest
from birefvideo.jobs.plan import Plan
from birefvideo.jobs.receipt import read
from birefvideo.jobs.review import is_review

_OR = f"pass {named('overwrite', True)} to replace it, or choose another {named('out')}"


class Renewal:
    """What lies where a job's outputs are to go, and may go.

    A file that is as its receipt says is ours, and is replaced. One that a receipt knows but that has other bytes is
    damaged, or somebody has edited it: it is kept under another name.

    Args:
        plan: the job.
        page: its review page, if it makes one.
        delivered: identities of outputs that a killed run of this very job gave their names already.

    Raises:
        OutputError: an output exists that no receipt knows, or a page that is no review.
    """

    def __init__(self, plan: Plan, page: Path | None, delivered: list[list[int]]) -> None:
        self._paths = [target.path for target in plan.delivered]
        self._ours: list[list[int]] = list(delivered)
        for path in filter(os.path.lexists, self._paths):
            if identity(path) in self._ours:
                continue
            entry = read(path)
            if entry is None:
                replaces = f"pass {named('overwrite', True)} to replace it"
                raise OutputError(
                    f"{path} exists already, without a receipt: {replaces}, or choose another {named('out')}"
                )
            if _is_as_told(path, entry.get("sha256")):
                self._ours.append(identity(path))
        if page is not None and os.path.lexists(page) and not is_review(page):
            raise OutputError(f"{page} exists already, and is no review page: {_OR}")

    def make_way(self) -> list[str]:
        """Give every file that is not ours as it was another name; return a line for each.

        Raises:
            OSError: the disk refuses.
        """
        notes = []
        for path in filter(os.path.lexists, self._paths):
            if identity(path) not in self._ours:
                kept = _free_name(path)
                path.rename(kept)
                notes.append(f"{path.name} was not as its receipt says, damaged or edited: it is kept as {kept.name}")
        return notes


def identity(path: Path) -> list[int]:
    """Return what a file keeps when it gets another name."""
    found = path.lstat()
    return [found.st_dev, found.st_ino]


def _is_as_told(path: Path, digest: object) -> bool:
    try:
        return content_digest(path) == digest
    except OSError:
        return False


def _free_name(path: Path) -> Path:
    names = (path.with_name(f"{path.name}.old{number or ''}") for number in range(1_000_000))
    return next(name for name in names if not os.path.lexists(name))
