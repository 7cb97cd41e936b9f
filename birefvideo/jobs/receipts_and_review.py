"""The files beside the outputs of a job: receipts, timelines, and the review page with its copies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from birefvideo.errors import InputError
from birefvideo.jobs.delivery import Delivery
from birefvideo.jobs.digests import content_digest, input_digest
from birefvideo.jobs.doubts import Doubt, doubtful_frames, find_doubts
from birefvideo.jobs.folder import JobFolder
from birefvideo.jobs.plan import Plan, review_page
from birefvideo.jobs.receipt import Entry, merged, receipt_path
from birefvideo.jobs.receipt_entry import VerifiedOutput, job_facts, matte_facts, output_facts
from birefvideo.jobs.review import Clip, Redrawable, Reviewable, render
from birefvideo.jobs.timelines import timeline_texts
from birefvideo.matting.flicker import Suspect, joined, suspects
from birefvideo.matting.predict import PredictReport
from birefvideo.media.timecode import Timecode
from birefvideo.media.writing.proxy import SOURCE_PROXY
from birefvideo.own_files import write_whole
from birefvideo.pipeline import SegmentReport

EMBEDDED_BYTES = 30_000_000
"""Largest video that goes into the page itself; a larger one lies beside it."""


@dataclass(frozen=True)
class SideFiles:
    """Names of what a job leaves; the files lie in the job's folder until they get them."""

    files: tuple[Path, ...]
    """Outputs, then the review page and what it refers to."""
    receipts: tuple[Path, ...]
    """Receipts, which may replace older ones of ours."""
    page: Path | None
    """The review page."""
    timelines: tuple[Path, ...]
    """Timeline files, which may replace older ones of ours."""


def write_side_files(
    plan: Plan,
    folder: JobFolder,
    finished: Sequence[VerifiedOutput],
    reports: Sequence[SegmentReport],
    computed: PredictReport,
    warnings: Sequence[str],
    losses: Sequence[str],
    delivery: Delivery,
    *,
    timecode: Timecode | None,
) -> SideFiles:
    """Write receipts, timelines and the review page, as asked, into the job's folder beside the proven outputs."""
    coverage, flicker = joined([report.curve for report in reports])
    doubts = find_doubts(reports)
    outputs = [target.path for target in plan.delivered]
    entries: dict[str, Entry] = {}
    if delivery.receipts or delivery.review:
        entries = _entries(plan, folder, finished, computed, warnings, losses)
        facts = matte_facts(coverage, flicker, doubts)
        entries = {name: {**entry, "matte": facts} for name, entry in entries.items()}
    written: list[Path] = []
    if delivery.receipts:
        for path in dict.fromkeys(map(receipt_path, outputs)):
            mine = {output.name: entries[output.name] for output in outputs if receipt_path(output) == path}
            write_whole(folder.joined(path), merged(path, mine))
            written.append(path)
    found = suspects(coverage, flicker)
    timelines = timeline_texts(plan, delivery.timeline, finished, reports, timecode, doubts, found)
    for path, text in timelines.items():
        write_whole(folder.joined(path), text)
    if not delivery.review:
        return SideFiles(tuple(outputs), tuple(written), None, tuple(timelines))
    beside = [t.path for t in plan.targets if not t.delivered and _name_beside(folder, t.path)]
    look = _to_look_at(doubts, found)
    html = render(_reviewable(plan, folder, finished, reports, coverage, flicker, look, entries, delivery.command))
    place = review_page(plan.source.path, plan.targets)
    write_whole(folder.joined(place), html)
    return SideFiles((*outputs, *beside, place), tuple(written), place, tuple(timelines))


def _entries(
    plan: Plan,
    folder: JobFolder,
    finished: Sequence[VerifiedOutput],
    computed: PredictReport,
    warnings: Sequence[str],
    losses: Sequence[str],
) -> dict[str, Entry]:
    wanted = [one for one in finished if one.target.delivered]
    paths = [folder.joined(one.target.path) for one in wanted]
    with ThreadPoolExecutor() as pool:  # hashing releases the interpreter's lock
        source = pool.submit(input_digest, plan.source.path)
        digests = list(pool.map(content_digest, paths))
    try:
        hashed = source.result()
    except OSError as error:
        raise InputError(f"{plan.source.path} cannot be read any more ({error.strerror}); start again") from error
    job = job_facts(plan, hashed, computed, warnings, losses)
    return {
        one.target.path.name: {**output_facts(plan, one, path, digest), **job}
        for one, path, digest in zip(wanted, paths, digests, strict=True)
    }


def _reviewable(
    plan: Plan,
    folder: JobFolder,
    finished: Sequence[VerifiedOutput],
    reports: Sequence[SegmentReport],
    coverage: Sequence[float],
    flicker: Sequence[float],
    to_look_at: Sequence[Suspect],
    entries: dict[str, Entry],
    command: Sequence[Sequence[str]] | None,
) -> Reviewable:
    source = next(one for one in finished if one.target.format is SOURCE_PROXY)
    mattes = [one for one in finished if one.target.format.review_shows_it]
    matte = mattes[-1]  # a copy was made only where the output itself will not do
    pts = [pts for report in reports for pts in report.pts]
    last = next(report.last_duration for report in reversed(reports) if report.pts)
    info = plan.shown(source.target)
    times = [float(t * info.time_base - source.joined.origin) for t in [*pts, pts[-1] + last]]
    return Reviewable(
        title=plan.source.path.name,
        matte=_clip(folder, matte),
        source=_clip(folder, source),
        size=(info.width, info.height),
        times=times,
        coverage=coverage,
        flicker=flicker,
        suspects=to_look_at,
        receipts=entries,
        again=_again(plan, pts[0], times[0], next(iter(entries.values())), command),
    )


def _to_look_at(doubts: Sequence[Doubt], found: Sequence[Suspect]) -> list[Suspect]:
    return sorted([*doubtful_frames(doubts), *found], key=lambda suspect: suspect.frame)


def _again(plan: Plan, first: int, shown: float, entry: Entry, command: Sequence[Sequence[str]] | None) -> Redrawable:
    """Return what a run with marks takes; the frame with the pts `first` is `shown` at that many seconds."""
    source, marks = plan.source, plan.options.marks
    return Redrawable(
        job=f"{entry['input']['sha256']} {entry['job']}",
        command=command,
        marks=None if marks is None or marks.written is None else _plain(marks.written),
        size=(source.width, source.height),
        lead=float((first - source.start) * source.time_base) - shown,
    )


def _plain(value: Any) -> Any:
    """Return what marks were read from as JSON values; a note that is no text is left out."""
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items() if key != "note" or isinstance(one, str)}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    is_plain = value is None or isinstance(value, bool | int | str)
    return value if is_plain else float(value)


def _clip(folder: JobFolder, one: VerifiedOutput) -> Clip:
    path = one.target.path
    return Clip(folder.joined(path), _name_beside(folder, path))


def _name_beside(folder: JobFolder, path: Path) -> str | None:
    """Return the name by which the page refers to a video, or None where it holds the video itself."""
    return path.name if folder.joined(path).stat().st_size > EMBEDDED_BYTES else None
