"""The folder of a running job: its lock, its manifest, and the finished parts that a second run can use."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from birefvideo.errors import OutputError
from birefvideo.jobs.plan import Plan, Segment, Target
from birefvideo.media.decode import DecodeReport
from birefvideo.pipeline import SegmentReport

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_OURS = re.compile(r"lock|manifest\.json|\d{5}(\.json|\.tmp|_.+)|joined_.+")
"""Names of the files that a job keeps in its folder."""


class JobFolder:
    """Holds a job's folder while it runs; parts of an earlier run of the very same plan are kept.

    Leaving the block on success removes the folder; on an error it stays only if a segment is finished.

    Raises:
        OutputError: another process works in the folder, or it is not ours.
    """

    def __init__(self, plan: Plan) -> None:
        self.path = plan.folder
        self._plan = plan
        self._lock: BinaryIO | None = None

    def __enter__(self) -> JobFolder:
        manifest = self.path / "manifest.json"
        # A job killed in its first or last moments leaves files without a manifest.
        if self.path.exists() and not manifest.exists() and not _holds_only_ours(self.path):
            raise OutputError(f"{self.path} is in the way and was not made by birefvideo: move it")
        self.path.mkdir(parents=True, exist_ok=True)
        self._lock = (self.path / "lock").open("wb")
        if fcntl is not None:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                self._lock.close()
                raise OutputError(f"another birefvideo is working in {self.path}: wait for it or stop it") from error
        wanted = self._plan.manifest()
        if not manifest.exists() or manifest.read_text() != wanted:
            for old in self.path.iterdir():
                if old.name != "lock":
                    old.unlink()
            manifest.write_text(wanted)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._lock is not None
        self._lock.close()
        if error is None or not any(self._report_path(s).exists() for s in self._plan.segments):
            shutil.rmtree(self.path, ignore_errors=True)

    def part(self, segment: Segment, target: Target, finished: bool = True) -> Path:
        """The media file of one segment and output; another name while it is being written."""
        name = f"{segment.number:05d}_{target.format.name}"
        return self.path / f"{name}{'' if finished else '.tmp'}{target.path.suffix}"

    def joined(self, target: Target) -> Path:
        """The finished output before it gets its final name."""
        return self.path / target.path.name

    def finish(self, segment: Segment, report: SegmentReport) -> None:
        """Marks a segment as done: its parts get their names, then its report is written."""
        for target in self._plan.targets:
            written = self.part(segment, target, finished=False)
            if written.exists():
                written.replace(self.part(segment, target))
        path = self._report_path(segment)
        temporary = path.with_suffix(".tmp")
        values = asdict(report)
        values["decode"]["short_by"] = float(report.decode.short_by)
        temporary.write_text(json.dumps(values))
        temporary.replace(path)

    def finished(self, segment: Segment) -> SegmentReport | None:
        """The report of a segment that an earlier run finished and whose parts are all there, or None."""
        try:
            values = json.loads(self._report_path(segment).read_text())
        except FileNotFoundError:
            return None
        report = SegmentReport(**{**values, "decode": DecodeReport(**values["decode"])})
        parts = [self.part(segment, target) for target in self._plan.targets]
        return report if not report.pts or all(part.exists() for part in parts) else None

    def _report_path(self, segment: Segment) -> Path:
        return self.path / f"{segment.number:05d}.json"


def _holds_only_ours(folder: Path) -> bool:
    return folder.is_dir() and all(_OURS.fullmatch(file.name) for file in folder.iterdir())
