"""The folder of a running job: its lock, its manifest, and the finished parts that a second run can use."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from birefvideo.errors import OutputError, named
from birefvideo.jobs.folder_files import (
    DELIVERED,
    LOCK,
    RENAMING,
    Owner,
    check_is_ours,
    marked,
    output_folder,
    owner_of,
    remove_contents,
    remove_lock,
    remove_part,
    remove_unfinished,
)
from birefvideo.jobs.folder_lock import is_at, is_busy, locked
from birefvideo.jobs.kept_mattes import SUFFIX, kept_frames
from birefvideo.jobs.manifest import MANIFEST, Manifest, could_go_on, differences, read_manifest, same_job
from birefvideo.jobs.part_places import PartPlaces
from birefvideo.jobs.plan import Plan, Segment
from birefvideo.jobs.renew import identity
from birefvideo.jobs.segment_file import is_whole, read_report, write_report
from birefvideo.json_files import read_json_object
from birefvideo.media.writing.sequence_folder import check_deliverable, deliver
from birefvideo.own_files import make_folders, remove_if_empty, sync, write_whole
from birefvideo.pipeline import SegmentReport


class JobFolder(PartPlaces):
    """Holds a job's folder while it runs; parts of an earlier run of the very same plan are kept.

    Leaving the block on success removes the folder; on an error it stays only if finished segments hold frames, or an
    output that failed verification. What others have put into it stays in any case.

    Args:
        plan: the job.
        overwrite: whether the parts of a stopped job of another plan, which could still go on, may go.
        keeps: whether finished parts stay on success too.

    Raises:
        OutputError: another process works in the folder, it cannot be locked, is not ours, or is needed by another job.
    """

    def __init__(self, plan: Plan, overwrite: bool = False, keeps: bool = False) -> None:
        super().__init__(plan.folder)
        self.notes: list[str] = []
        """What the user should know of an earlier run's parts."""
        self._plan = plan
        self._wanted = plan.manifest()
        self._overwrite = overwrite
        self._keeps = keeps
        self._lock: BinaryIO | None = None
        self._made: list[Path] = []
        self._keeps_joined = False

    def check(self) -> None:
        """Refuse what entering would refuse, as far as that shows without a lock.

        Raises:
            OutputError: as the class.
        """
        check_is_ours(self.path, is_busy)
        if (self.path / LOCK).exists() and is_busy(self.path):
            raise OutputError(f"another birefvideo is working in {self.path}: wait for it or stop it")
        self._check_may_go(read_manifest(self._manifest))

    def __enter__(self) -> JobFolder:
        check_is_ours(self.path, is_busy)
        self._made = make_folders(self.path)
        try:
            self._lock = locked(self.path)
        except BaseException:
            self._remove_made()
            raise
        earlier = read_manifest(self._manifest)
        try:
            self._check_may_go(earlier)
        except OutputError:
            self._lock.close()
            raise
        try:
            self._prepare()
        except BaseException:  # a full disk, or Ctrl-C
            self.__exit__(*sys.exc_info())
            raise
        return self

    def _prepare(self) -> None:
        """Remove what another plan has left, and write the manifest."""
        if not self.resumes():
            remove_contents(self.path)
            write_whole(self._manifest, json.dumps(self._wanted, indent=1))
        remove_unfinished(self.path)

    def _check_may_go(self, earlier: Manifest | None) -> None:
        """Refuse to drop the parts of another command that could still be continued; take note of others' end."""
        if earlier is None or same_job(earlier, self._wanted) or (self.path / DELIVERED).exists():
            return
        reports = [read_report(path) for path in sorted(self.path.glob("part_*.json"))]
        frames = sum(len(found[0].pts) for found in reports if found)
        frames += sum(kept_frames(path) for path in self.path.glob(f"part_*{SUFFIX}"))
        if not frames:
            return
        others = differences(earlier, self._wanted)
        if others and not self._overwrite and could_go_on(earlier):
            raise OutputError(
                f"{self.path} holds {frames} finished frames of a stopped job with {' and '.join(others)}: run that "
                f"command again, or drop them with {named('overwrite', True)}, or choose another {named('out')}"
            )
        why = "is another job's" if others else "was begun with another input, model, machine or version"
        self.notes.append(f"{frames} frames of an earlier run are not used: it {why}")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._lock is not None
        is_held = self._is_held()
        if sys.platform == "win32":
            self._lock.close()  # which cannot remove an open file
        try:
            if is_held and not ((error or self._keeps) and self._is_worth_keeping()):
                remove_contents(self.path)
                remove_lock(self.path)
            elif is_held:
                remove_unfinished(self.path)
        except OSError:  # what cannot be removed now is cleared by the next command
            pass
        finally:
            self._lock.close()
        self._remove_made()

    def _is_worth_keeping(self) -> bool:
        """Whether another run could use what is here, or a user would look at it."""
        if self._keeps_joined:
            return True
        found = (read_report(self.report(segment)) for segment in self._plan.segments)
        is_begun = any(one and one[0].pts for one in found) or any(self.path.glob(f"part_*{SUFFIX}"))
        return is_begun and same_job(read_manifest(self._manifest), self._wanted)

    def resumes(self) -> bool:
        """Whether an earlier run of this very plan left its folder."""
        is_ours = owner_of(self.path) is Owner.JOB and not (self.path / DELIVERED).exists()
        return is_ours and same_job(read_manifest(self._manifest), self._wanted)

    def was_renaming(self) -> bool:
        """Whether an earlier run of this very plan was stopped while it gave the outputs their names."""
        return (self.path / RENAMING).exists() and self.resumes()

    def check_held(self) -> None:
        """Refuse to go on in a folder that is not the one that the job began in.

        Raises:
            OutputError: it was moved, removed or replaced.
        """
        if not self._is_held():
            raise OutputError(f"{self.path} was moved or replaced while the job ran: run the same command again")

    def joined(self, path: Path) -> Path:
        """Return the finished file before it gets its place at `path`; it may be written there."""
        place = self.path / output_folder(path.name) / path.name
        place.parent.mkdir(exist_ok=True)
        return place

    def begin(self, path: Path) -> Path:
        """Return where the output is written that will be delivered as `path`; what a killed run left there is gone.

        Raises:
            OutputError: something that is not ours is there.
        """
        self.check_held()
        place = self.joined(path)
        remove_part(place)
        if os.path.lexists(place):
            raise OutputError(f"{place} is in the way and was not made by birefvideo: move it")
        return place

    def drop_joined(self, paths: Sequence[Path]) -> None:
        """Remove what has been joined so far of the outputs at `paths`; the next run makes it again from the parts."""
        for path in paths:
            place = self.path / output_folder(path.name) / path.name
            with suppress(OSError):
                remove_part(place)
                remove_if_empty(place.parent)

    def finish(self, segment: Segment, report: SegmentReport, attempt: str) -> None:
        """Mark a segment as done: the parts of that attempt get their names, then its report is written."""
        self.check_held()
        parts = []
        for target in self._plan.targets:
            written, part = self.part(segment, target, attempt), self.part(segment, target)
            if written.exists():
                remove_part(part)  # a folder takes no other's place
                written.replace(part)
            if part.exists():
                parts.append(part)
        write_report(self.report(segment), report, parts)
        self.mattes(segment).unlink(missing_ok=True)

    def finished(self, segment: Segment) -> SegmentReport | None:
        """Return the report of a segment that an earlier run finished, or None if it or a part is damaged."""
        found = read_report(self.report(segment))
        if found is None:
            return None
        report, seals = found
        parts = [self.part(segment, target) for target in self._plan.targets]
        return report if not report.pts or all(is_whole(part, seals) for part in parts) else None

    def discard(self, keep_joined: bool = True) -> None:
        """Forget all finished segments, so that another run makes them again; joined outputs stay to be looked at."""
        self.check_held()
        self._keeps_joined = keep_joined
        for segment in self._plan.segments:
            self.report(segment).unlink(missing_ok=True)
            self.mattes(segment).unlink(missing_ok=True)
            for target in self._plan.targets:
                remove_part(self.part(segment, target))

    def rename(self, overwrite: bool, files: Sequence[Path], receipts: Sequence[Path] = ()) -> None:
        """Move what `joined` names to its place: `files`, which must be new, then `receipts`, which need not.

        Raises:
            OutputError: a file of that name has appeared since the job began; everything stays in the folder.
        """
        self.check_held()
        mine = self.delivered_before()
        for path in files:
            if not overwrite and os.path.lexists(path) and identity(path) not in mine:
                raise OutputError(f"{path} has appeared meanwhile: move it and run the same command again")
            check_deliverable(self.joined(path), path)
        for path in (*files, *receipts):
            sync(self.joined(path))
        mine += [identity(self.joined(path)) for path in files]
        write_whole(self.path / RENAMING, json.dumps({**marked(), "files": mine}))
        for path in (*files, *receipts):
            deliver(self.joined(path), path)
        (self.path / RENAMING).replace(self.path / DELIVERED)

    def delivered_before(self) -> list[list[int]]:
        """Return the files that a killed run of this plan may have given their names already."""
        try:
            found = read_json_object(self.path / RENAMING).get("files")
        except (OSError, ValueError):
            return []
        return found if isinstance(found, list) else []

    def _is_held(self) -> bool:
        """Whether the lock that we hold is the one that lies in the folder."""
        assert self._lock is not None
        return is_at(self._lock, self.path / LOCK)

    def _remove_made(self) -> None:
        """Remove the folders that were made for this job and stayed empty."""
        for folder in reversed(self._made):
            remove_if_empty(folder)

    @property
    def _manifest(self) -> Path:
        return self.path / MANIFEST


def clear_remains(folder: Path, plan: Plan, *, is_done: bool = False) -> None:
    """Remove what a job left that was killed at its very end, or before its beginning; any other folder stays.

    Args:
        folder: where the job's folder would be.
        plan: the job that is about to begin.
        is_done: whether that job's outputs are known to be there, so that its own folder goes too.
    """
    owner = owner_of(folder)
    is_over = (folder / DELIVERED).exists() or (is_done and same_job(read_manifest(folder / MANIFEST), plan.manifest()))
    if owner is not Owner.REMAINS and not (owner is Owner.JOB and is_over):
        return
    with suppress(OutputError, OSError):  # another job is in it, or it cannot be removed: the job itself tells
        lock = locked(folder)
        try:
            remove_contents(folder)
            if sys.platform == "win32":
                lock.close()
            remove_lock(folder)
        finally:
            lock.close()
