"""Files of earlier jobs beside a job's outputs that speak of outputs which are no longer what they were."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import quote_from_bytes

from birefvideo.editing.cut import plain
from birefvideo.editing.kinds import KINDS, is_timeline
from birefvideo.errors import named
from birefvideo.jobs.finished import job_key, timeline_mark
from birefvideo.jobs.plan import Plan, clip_with_alpha, review_page, timeline_paths
from birefvideo.jobs.review import is_review


def stale_timelines(plan: Plan) -> tuple[str, ...]:
    """Return the kinds of those timelines of other jobs of ours that show an output of this one.

    Their markers would be wrong, and an editor takes them for right: they are to be made anew.
    """
    if clip_with_alpha(plan.targets) is None or not plan.source.path.is_file() or plan.source.still:
        return ()
    mark = timeline_mark(plan)
    paths = timeline_paths(plan.source.path, plan.targets, KINDS)
    return tuple(
        kind
        for kind, path in zip(KINDS, paths, strict=True)
        if is_timeline(path) and not is_timeline(path, mark) and _names_output(plan, path)
    )


def stale_page_note(plan: Plan) -> str:
    """Return one line on a review page of another job of ours that lies beside the outputs, or ''."""
    page = review_page(plan.source.path, plan.targets)
    if not is_review(page) or job_key(plan).encode() in page.read_bytes():
        return ""
    return f"{page.name} is of an earlier job and shows its matte: {named('review', True)} makes it anew"


def _names_output(plan: Plan, timeline: Path) -> bool:
    text = timeline.read_bytes()
    names = [target.path.name for target in plan.delivered]
    return any(quote_from_bytes(os.fsencode(name)).encode() in text or plain(name).encode() in text for name in names)
