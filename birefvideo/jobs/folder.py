"""The folder of a running job: its lock, its manifest, and the finished parts that a second run can use."""

from __future__ import annotations

import errno
import json
import re
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from birefvideo.errors import OutputError, named
from birefvideo.jobs.plan import MANIFEST, Plan, Segment, Target
from birefvideo.matting.flicker import Curve
from birefvideo.media.reading.decode import DecodeReport
from birefvideo.pipeline import SegmentReport

_OURS = re.compile(r"lock|renaming|manifest\.json|part_\d{5}(\.json|\.tmp|_.+)|joined")
"""Names of what a job keeps in its folder."""

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


class JobFolder:
    """Holds a job's folder while it runs; parts of an earlier run of the very same plan are kept.

    Leaving the block on success removes the folder; on an error it stays only if finished segments hold frames, or an
    output that failed verification.

    Raises:
        OutputError: another process works in the folder, it cannot be locked, or it is not ours.
    """

    def __init__(self, plan: Plan) -> None:
        self.path = plan.folder
        self._plan = plan
        self._lock: BinaryIO | None = None
        self._keeps_joined = False

    def __enter__(self) -> JobFolder:
        # A job killed in its first or last moments leaves files without a manifest.
        if self.path.exists() and not self._manifest.exists() and not _holds_only_ours(self.path):
            raise OutputError(f"{self.path} is in the way and was not made by birefvideo: move it")
        self.path.mkdir(parents=True, exist_ok=True)
        self._lock = (self.path / "lock").open("wb")
        try:
            _lock(self._lock)
        except OSError as error:
            self._lock.close()
            if error.errno in _TAKEN:
                raise OutputError(f"another birefvideo is working in {self.path}: wait for it or stop it") from error
            if not self._manifest.exists():
                shutil.rmtree(self.path, ignore_errors=True)
            reason = f"{self.path} cannot be locked ({error.strerror})"
            raise OutputError(f"{reason}: write to another disk with {named('out')}") from error
        try:
            self._prepare()
        except BaseException:  # a full disk, or Ctrl-C
            self.__exit__(*sys.exc_info())
            raise
        return self

    def _prepare(self) -> None:
        """Remove what another plan has left, and writes the manifest."""
        if not self.resumes():
            for old in self.path.iterdir():
                if old.name != "lock":
                    _remove(old)
            self._manifest.write_text(self._plan.manifest())
        (self.path / "joined").mkdir(exist_ok=True)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._lock is not None
        if sys.platform == "win32":
            self._lock.close()  # which cannot remove an open file
        reports = [self.finished(segment) for segment in self._plan.segments]
        if error is None or not (self._keeps_joined or any(report and report.pts for report in reports)):
            shutil.rmtree(self.path, ignore_errors=True)
        self._lock.close()

    def resumes(self) -> bool:
        """Whether an earlier run of this very plan left its folder."""
        try:
            return self._manifest.read_text() == self._plan.manifest()
        except (OSError, ValueError):  # not there, or damaged
            return False

    def was_renaming(self) -> bool:
        """Whether an earlier run of this very plan was stopped while it gave the outputs their names."""
        return (self.path / "renaming").exists() and self.resumes()

    def part(self, segment: Segment, target: Target, finished: bool = True) -> Path:
        """Return the media file of one segment and output; another name while it is being written."""
        name = f"part_{segment.number:05d}_{target.format.name}"
        return self.path / f"{name}{'' if finished else '.tmp'}{target.path.suffix}"

    def joined(self, path: Path) -> Path:
        """Return the finished file before it gets its place at `path`."""
        return self.path / "joined" / path.name

    def finish(self, segment: Segment, report: SegmentReport) -> None:
        """Mark a segment as done: its parts get their names, then its report is written."""
        for target in self._plan.targets:
            written = self.part(segment, target, finished=False)
            if written.exists():
                _remove(self.part(segment, target))  # a folder takes no other's place
                written.replace(self.part(segment, target))
        path = self._report_path(segment)
        temporary = path.with_suffix(".tmp")
        values = asdict(report)
        values["decode"]["short_by"] = float(report.decode.short_by)
        temporary.write_text(json.dumps(values))
        temporary.replace(path)

    def finished(self, segment: Segment) -> SegmentReport | None:
        """Return the report of a segment that an earlier run finished and whose parts are all there, or None."""
        try:
            values = json.loads(self._report_path(segment).read_text())
            parsed = {"decode": DecodeReport(**values["decode"]), "curve": Curve(**values["curve"])}
            report = SegmentReport(**{**values, **parsed})
        except (OSError, ValueError, TypeError, KeyError):
            return None
        parts = [self.part(segment, target) for target in self._plan.targets]
        return report if not report.pts or all(part.exists() for part in parts) else None

    def discard(self) -> None:
        """Forget all finished segments, so that another run makes them again; joined outputs stay to be looked at."""
        self._keeps_joined = True
        for segment in self._plan.segments:
            self._report_path(segment).unlink(missing_ok=True)
            for target in self._plan.targets:
                _remove(self.part(segment, target))

    def rename(self, overwrite: bool, files: Sequence[Path], receipts: Sequence[Path] = ()) -> None:
        """Move what lies in `joined` to its names: `files`, which must be new, then `receipts`, which need not.

        Raises:
            OutputError: a file of that name has appeared since the job began; everything stays in the folder.
        """
        if not overwrite and not self.was_renaming():
            for path in files:
                if path.exists():
                    raise OutputError(f"{path} has appeared meanwhile: move it and run the same command again")
        (self.path / "renaming").touch()
        for path in [*files, *receipts]:
            if path.is_dir():
                old = self.joined(path).with_suffix(".replaced")
                _remove(old)
                path.replace(old)
            self.joined(path).replace(path)

    @property
    def _manifest(self) -> Path:
        return self.path / MANIFEST

    def _report_path(self, segment: Segment) -> Path:
        return self.path / f"part_{segment.number:05d}.json"


def _remove(path: Path) -> None:
    """Remove a file or a folder, if there is one."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _holds_only_ours(folder: Path) -> bool:
    return folder.is_dir() and all(_OURS.fullmatch(file.name) for file in folder.iterdir())
