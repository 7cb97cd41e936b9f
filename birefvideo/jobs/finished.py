"""Recognising what an earlier run has finished, by the receipts beside it: the same job, and every byte as it was."""

from __future__ import annotations

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor

from birefvideo.editing.cut import MADE_BY
from birefvideo.editing.kinds import is_timeline
from birefvideo.errors import InputError
from birefvideo.jobs.delivery import Delivery
from birefvideo.jobs.digests import content_digest, input_digest
from birefvideo.jobs.plan import Plan, clip_with_alpha, review_page, timeline_paths
from birefvideo.jobs.receipt import Entry, read

_BY_CHANCE = ("batch", "threads")
"""Settings that follow from what else the computer does, where the user does not say."""


def job_key(plan: Plan) -> str:
    """Return what tells whether two jobs on the same input are the same to a user, whatever outputs each has.

    Options, span, background, model, device and versions count; where the input lies and when it was copied do not.
    """
    manifest = plan.manifest()
    settings = {name: value for name, value in manifest["settings"].items() if name not in _BY_CHANCE}
    what = {name: manifest[name] for name in ("background", "options", "versions")}
    text = json.dumps({**what, "settings": settings, "span": [plan.span.start, plan.span.end]}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def timeline_mark(plan: Plan) -> str:
    """Return what a timeline file says of whose it is: ours, of this job, and of this output with alpha."""
    alpha = clip_with_alpha(plan.targets)
    digest = hashlib.sha256(f"{job_key(plan)}{alpha.path.name if alpha else ''}".encode(errors="surrogateescape"))
    return f"{MADE_BY}, job {digest.hexdigest()[:16]}"


def finished_earlier(plan: Plan, delivery: Delivery) -> list[Entry] | None:
    """Return the receipts' entries of a job's outputs if an earlier run made all of them and nothing has changed since.

    The review page and timeline files that are asked for have to be there too.
    """
    key, source = job_key(plan), plan.source.path
    found: list[Entry] = []
    for target in plan.delivered:
        entry = read(target.path) or {}
        used = entry.get("input")
        is_same = entry.get("job") == key and entry.get("format") == target.format.name
        if not is_same or not isinstance(used, dict) or used.get("name") != source.name or not target.path.exists():
            return None
        found.append(entry)
    if delivery.review and not review_page(source, plan.targets).exists():
        return None
    if delivery.timeline:
        mark = timeline_mark(plan)
        if not all(is_timeline(path, mark) for path in timeline_paths(source, plan.targets, delivery.timeline)):
            return None
    try:
        with ThreadPoolExecutor() as pool:  # hashing releases the interpreter's lock
            before = pool.submit(input_digest, source)
            digests = list(pool.map(content_digest, [target.path for target in plan.delivered]))
        is_whole = all(entry["input"].get("sha256") == before.result() for entry in found)
        is_whole = is_whole and digests == [entry.get("sha256") for entry in found]
    except (OSError, InputError):
        return None
    return found if is_whole else None
