"""What a job would do and take, without doing it: its plan, what an earlier run left of it, time and disk."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from birefvideo.comparison.trial import Run, Trial, trial
from birefvideo.errors import InputError
from birefvideo.frames import DecodedFrame, Span
from birefvideo.jobs.alpha_cache import has_two_passes
from birefvideo.jobs.check_targets import check_free
from birefvideo.jobs.delivery import Delivery
from birefvideo.jobs.disk import Disk, alpha_frames_kept, bytes_there, disk_of
from birefvideo.jobs.finished import finished_earlier
from birefvideo.jobs.folder import JobFolder
from birefvideo.jobs.loaded_model import LoadedModel, loaded_model
from birefvideo.jobs.options import Options
from birefvideo.jobs.plan import Plan, Target, review_page
from birefvideo.jobs.plan_facts import plan_facts
from birefvideo.jobs.progress import total_frames
from birefvideo.jobs.run import planned
from birefvideo.matting.devices import device_names
from birefvideo.media.reading.decode import read_frames

_TIMED_AGAIN = 2.0
"""Seconds that a batch may take to be computed again, for a time that is not that of a first one."""


@dataclass(frozen=True)
class Outlook:
    """What a job would do and take."""

    plan: Plan
    """The very plan that the job would have."""
    why_model: str
    """Why this model, where the choice was left to us."""
    was_done: bool
    """Whether receipts prove that all of it is done; then nothing was tried."""
    segments_done: int = 0
    """Segments that an earlier run has finished."""
    frames_done: int = 0
    """Frames in them."""
    alpha_done: int = 0
    """Frames of which an earlier run has kept the network's alpha."""
    trial: Trial | None = None
    """What was measured on a few frames in a row."""
    disk: Disk | None = None
    """What it takes of the disk, by the bytes of these frames."""
    notes: tuple[str, ...] = ()
    """What would be told before the first frame."""

    @property
    def frames_left(self) -> int | None:
        """Frames that would be computed, about; None where the file does not say."""
        total = total_frames(self.plan)
        return None if total is None else max(0, total - self.frames_done)

    @property
    def seconds(self) -> float | None:
        """Seconds that the run would take, about, without joining and checking the outputs."""
        if self.was_done:
            return 0.0
        if self.trial is None or self.frames_left is None:
            return None
        # Processes on a CPU share what one alone was timed with.
        is_shared = self.plan.settings["device"] == "cpu"
        network = self.trial.network * max(0, (total_frames(self.plan) or 0) - self.alpha_done)
        rest = (self.trial.seconds - self.trial.network) * self.frames_left
        return (network + rest) / (1 if is_shared else len(device_names(self.plan.options.device)))

    def as_dict(self) -> dict[str, Any]:
        """Return everything as JSON values."""
        disk, measured, seconds = self.disk, self.trial, self.seconds
        facts = plan_facts(self.plan, self.why_model)
        if disk is not None:
            for output, size in zip(facts["outputs"], disk.outputs, strict=False):
                output["bytes"] = size
        return {
            **facts,
            "was_done": self.was_done,
            "segments_done": self.segments_done,
            "frames_done": self.frames_done,
            "alpha_done": self.alpha_done,
            "seconds": None if seconds is None else round(seconds, 1),
            "seconds_a_frame": None if measured is None else measured.seconds,
            "disk": None if disk is None else disk.as_dict(),
        }


def outlook(
    source: Path,
    targets: Sequence[Target],
    options: Options,
    delivery: Delivery,
    *,
    load: Callable[[Options], LoadedModel] = loaded_model,
) -> Outlook:
    """Return what `jobs.run.run` would do with the same arguments; nothing is written where the outputs would go.

    Raises:
        BirefvideoError: as the job would, as far as that is known before it runs.
    """
    plan, model = planned(source, targets, options, delivery, load)
    why = plan.why_model
    if delivery.skips_done and finished_earlier(plan, delivery):
        return Outlook(plan, why, was_done=True)
    folder = JobFolder(plan, delivery.overwrite)
    folder.check()
    if not delivery.overwrite and not delivery.renew and not folder.was_renaming():
        check_free(plan.targets, review_page(source, targets) if delivery.review else None)
    earlier = [report for s in plan.segments if folder.resumes() and (report := folder.finished(s))]
    measured = _tried(plan, model)
    there = bytes_there(plan.folder) if earlier else 0
    sizes = [cost.bytes for cost in measured.outputs]
    disk = disk_of(plan, sizes, there, keeps_cache=delivery.keep_cache)
    notes = [*folder.notes, *([disk.line()] if disk.is_short else [])]
    frames = sum(len(report.pts) for report in earlier)
    return Outlook(plan, why, False, len(earlier), frames, alpha_frames_kept(plan), measured, disk, tuple(notes))


def _tried(plan: Plan, model: LoadedModel) -> Trial:
    """Send a few frames of the middle the way of the job, into a folder that is removed."""
    batch = int(plan.settings["batch"])
    frames = _middle(plan, batch)
    predictor = model.predictor(batch)
    started = time.perf_counter()
    mattes = list(predictor.predict(frames))
    took = time.perf_counter() - started
    if took < _TIMED_AGAIN:
        started = time.perf_counter()
        mattes = list(predictor.predict(frames))
        took = time.perf_counter() - started
    count, is_double = total_frames(plan) or 0, has_two_passes(plan)
    run = Run(plan.source, plan.span, count, len(plan.segments), plan.targets, plan.options, is_double)
    with tempfile.TemporaryDirectory(prefix="birefvideo-") as folder:
        return trial(run, model, took / batch, frames[0].pts, mattes[0].alpha, Path(folder))


def _middle(plan: Plan, count: int) -> list[DecodedFrame]:
    """Return a few frames of the middle of the job, or its first ones where it has none there."""
    info, span = plan.source, plan.span
    first = info.start if span.start is None else span.start
    last = info.start + int(info.duration / info.time_base) if info.duration else first
    last = last if span.end is None else min(last, span.end)
    for start in ((first + last) // 2, span.start):
        found = list(islice(read_frames(info, Span(start, span.end)), count))
        if found:
            return found
    raise InputError(f"{info.path} has no frame between the times asked for: check them")
