"""The segments of a plan: those that an earlier run has finished are taken from its folder, the others are done."""

from __future__ import annotations

from contextlib import closing

from birefvideo.errors import InputError, named
from birefvideo.jobs.engines import Engine, Work
from birefvideo.jobs.folder import JobFolder
from birefvideo.jobs.progress import Meter
from birefvideo.jobs.result import Progress
from birefvideo.memory import return_memory
from birefvideo.paths import writing
from birefvideo.pipeline import SegmentReport


def run_segments(work: Work, folder: JobFolder, engine: Engine, progress: Progress) -> tuple[list[SegmentReport], int]:
    """Do the segments that are not finished; return the reports of all, and the frames of those that were.

    Args:
        work: what is done to the segments of its plan.
        folder: where their parts are kept; they are sealed here, and nowhere else.
        engine: does it.
        progress: what is told of the work.

    Raises:
        CancelledError: `progress` wants an end.
        InputError: there is no frame in any of them.
    """
    plan = work.plan
    reports = {s.number: report for s in plan.segments if (report := folder.finished(s))}
    done = sum(len(report.pts) for report in reports.values())
    if done:
        progress.resumed(done)
    folder.check_held()
    left = [segment for segment in plan.segments if segment.number not in reports]
    with closing(engine.run(work, left, Meter(plan, done, progress.frame), progress.told)) as finished:
        for segment, made in finished:
            plan.check_inputs()
            with writing(folder.path):
                folder.finish(segment, made.report, made.attempt)
            reports[segment.number] = made.report
            return_memory()
    if not any(report.pts for report in reports.values()):
        times = f"{named('start')} and {named('end')}"
        raise InputError(f"{plan.source.path} has no frame between the times asked for: check {times}")
    return [reports[segment.number] for segment in plan.segments], done
