"""The segments of a plan, one after another: those that an earlier run has finished are taken from its folder."""

from __future__ import annotations

from collections.abc import Callable

from birefvideo.errors import InputError, named
from birefvideo.jobs.folder import JobFolder
from birefvideo.jobs.kept_mattes import KeptMattes
from birefvideo.jobs.plan import Plan, Segment
from birefvideo.jobs.progress import Meter
from birefvideo.jobs.result import Progress
from birefvideo.memory import return_memory
from birefvideo.paths import writing
from birefvideo.pipeline import Matter, SegmentReport

Work = Callable[[Segment, Callable[[], object]], SegmentReport]
"""Writes the unfinished parts of a segment, and calls the function after each frame."""


def run_segments(plan: Plan, folder: JobFolder, work: Work, progress: Progress) -> tuple[list[SegmentReport], int]:
    """Do the segments that are not finished; return the reports of all, and the frames of those that were.

    Args:
        plan: what the segments are of.
        folder: where their parts are kept.
        work: writes the unfinished parts of a segment.
        progress: what is told of the work.

    Raises:
        CancelledError: `progress` wants an end.
        InputError: there is no frame in any of them.
    """
    earlier = {segment.number: folder.finished(segment) for segment in plan.segments}
    done = sum(len(report.pts) for report in earlier.values() if report)
    if done:
        progress.resumed(done)
    meter = Meter(plan, done, progress.frame)
    reports = [earlier[s.number] or _run_segment(plan, s, folder, work, meter) for s in plan.segments]
    if not any(report.pts for report in reports):
        times = f"{named('start')} and {named('end')}"
        raise InputError(f"{plan.source.path} has no frame between the times asked for: check {times}")
    return reports, done


def remembering(plan: Plan, folder: JobFolder, segment: Segment, matter: Matter) -> Matter:
    """Return a network that keeps what it says of a segment, while it is slow, until the segment is finished."""
    return matter if plan.source.still else KeptMattes(matter, folder.mattes(segment))


def _run_segment(plan: Plan, segment: Segment, folder: JobFolder, work: Work, meter: Meter) -> SegmentReport:
    folder.check_held()
    meter.segment = segment.number
    report = work(segment, meter.frame)
    plan.check_inputs()
    with writing(folder.path):
        folder.finish(segment, report)
    return_memory()
    return report
