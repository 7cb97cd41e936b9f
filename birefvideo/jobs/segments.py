"""The segments of a plan, one after another: those that an earlier run has finished are taken from its folder."""

from __future__ import annotations

from collections.abc import Callable

from birefvideo.errors import InputError, named
from birefvideo.jobs.folder import JobFolder
from birefvideo.jobs.plan import Plan, Segment
from birefvideo.paths import writing
from birefvideo.pipeline import SegmentReport


def run_segments(
    plan: Plan, folder: JobFolder, work: Callable[[Segment], SegmentReport], resumed: Callable[[int], object]
) -> tuple[list[SegmentReport], int]:
    """Do the segments that are not finished; return the reports of all, and the frames of those that were.

    Args:
        plan: what the segments are of.
        folder: where their parts are kept.
        work: writes the unfinished parts of a segment.
        resumed: called with the number of frames that an earlier run has finished, if there are any.

    Raises:
        InputError: there is no frame in any of them.
    """
    earlier = {segment.number: folder.finished(segment) for segment in plan.segments}
    done = sum(len(report.pts) for report in earlier.values() if report)
    if done:
        resumed(done)
    reports = [earlier[s.number] or _run_segment(plan, s, folder, work) for s in plan.segments]
    if not any(report.pts for report in reports):
        times = f"{named('start')} and {named('end')}"
        raise InputError(f"{plan.source.path} has no frame between the times asked for: check {times}")
    return reports, done


def _run_segment(
    plan: Plan, segment: Segment, folder: JobFolder, work: Callable[[Segment], SegmentReport]
) -> SegmentReport:
    folder.check_held()
    report = work(segment)
    plan.check_inputs()
    with writing(folder.path):
        folder.finish(segment, report)
    return report
