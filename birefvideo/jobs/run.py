"""Run a job: plan, segments, join, verify, rename."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from birefvideo.advice.advise import frames_of
from birefvideo.errors import BirefvideoError, InputError, OutputError, named
from birefvideo.jobs.alpha_cache import cache_folder, cache_plan, has_two_passes, in_two_passes
from birefvideo.jobs.check_targets import check_free
from birefvideo.jobs.checked_input import checked_input
from birefvideo.jobs.choose_model import choose_model
from birefvideo.jobs.delivery import Delivery
from birefvideo.jobs.disk import bytes_there, check_disk
from birefvideo.jobs.engines import JobModel
from birefvideo.jobs.finished import finished_earlier
from birefvideo.jobs.folder import JobFolder, clear_remains
from birefvideo.jobs.kept_parts import KeptParts
from birefvideo.jobs.loaded_model import loaded_model
from birefvideo.jobs.manifest import InputChangedError
from birefvideo.jobs.options import Options
from birefvideo.jobs.pace import can_share, segment_frames, shared_frames
from birefvideo.jobs.plan import (
    SEGMENT_SECONDS,
    Plan,
    Target,
    job_folder,
    plan_segments,
    review_page,
    review_targets,
    timeline_paths,
    with_earlier_batch,
)
from birefvideo.jobs.progress import cancelled
from birefvideo.jobs.receipt import check_receipts
from birefvideo.jobs.receipt_entry import VerifiedOutput
from birefvideo.jobs.receipts_and_review import write_side_files
from birefvideo.jobs.renew import Renewal
from birefvideo.jobs.result import Progress, Result, done_result
from birefvideo.jobs.segments import run_segments
from birefvideo.jobs.stale import stale_page_note, stale_timelines
from birefvideo.jobs.timelines import check_timelines, timeline_note
from birefvideo.jobs.two_passes import first_pass
from birefvideo.jobs.warnings import job_losses, job_warnings
from birefvideo.jobs.write_parts import WriteParts
from birefvideo.media.clip_notes import file_losses
from birefvideo.media.expected import Expected
from birefvideo.media.metadata import Metadata
from birefvideo.media.notes import merged
from birefvideo.media.reading.read_metadata import read_metadata
from birefvideo.media.verification.verify_in_job import verify
from birefvideo.media.writing.join import join
from birefvideo.own_files import size_of
from birefvideo.paths import writing
from birefvideo.pipeline import SegmentReport

M = TypeVar("M", bound=JobModel)
"""Where a network is."""


def run(
    source: Path,
    targets: Sequence[Target],
    options: Options,
    delivery: Delivery | None = None,
    *,
    load: Callable[[Options], JobModel] = loaded_model,
    progress: Progress | None = None,
) -> Result:
    """Matte one clip into its targets; either all of them appear under their names, or none.

    `load` returns the network of options that name or hold the model, once input and outputs are known to be good.

    Raises:
        BirefvideoError: the input, the outputs or the machine do not allow it; one line says what to do.
    """
    started = time.monotonic()
    delivery = delivery or Delivery()
    plan, model = planned(source, targets, options, delivery, load)
    clear_remains(plan.folder, plan)
    if delivery.skips_done:
        entries = finished_earlier(plan, delivery)
        if entries:
            clear_remains(plan.folder, plan, is_done=True)
            if has_two_passes(plan) and not delivery.keep_cache:
                clear_remains(cache_folder(targets, source), cache_plan(plan), is_done=True)
            result = done_result(plan, entries, time.monotonic() - started, delivery)
            if delivery.strict:
                check_whole(source, result.losses)
            return result
    folder = JobFolder(plan, delivery.overwrite)
    page = review_page(source, targets) if delivery.review else None
    renewal = None
    if delivery.renew and not delivery.overwrite:
        renewal = Renewal(plan, page, folder.delivered_before() if folder.was_renaming() else [])
    if not delivery.overwrite and not delivery.renew and not folder.was_renaming():
        check_free(plan.targets, page)
    stale = tuple(kind for kind in stale_timelines(plan) if kind not in delivery.timeline)
    delivery = replace(delivery, timeline=(*delivery.timeline, *stale))
    there = bytes_there(plan.folder) if folder.resumes() else 0
    folder.notes += [] if folder.was_renaming() else check_disk(plan, there)
    result = _run_planned(plan, model, folder, delivery, renewal, progress or Progress())
    if stale:
        names = ", ".join(path.name for path in timeline_paths(source, targets, stale))
        result.warnings.append(f"{names} of an earlier job showed what is now replaced: made anew")
    result.warnings += filter(None, ["" if delivery.review else stale_page_note(plan)])
    if plan.folder.exists():
        result.warnings.append(f"{plan.folder} stays: it holds files that birefvideo did not make")
    result.seconds = time.monotonic() - started
    return result


def planned(
    source: Path,
    targets: Sequence[Target],
    options: Options,
    delivery: Delivery,
    load: Callable[[Options], M],
) -> tuple[Plan, M]:
    """Check all that can be checked before the first frame; return the plan, and the network for it."""
    checked = checked_input(source, targets, options)
    info, span, inputs = checked.info, checked.span, checked.inputs
    if delivery.strict:
        check_whole(source, file_losses(info, span))
    if delivery.receipts:
        check_receipts([target.path for target in targets])
    check_timelines(info, targets, delivery.timeline)
    copies = review_targets(source, targets, options) if delivery.review else ()
    folder = job_folder(targets, source)
    choice = choose_model(info, span, options, folder, inputs)
    model = load(choice.options)
    model.check_fits(info)
    all_targets, has_two = (*targets, *copies), delivery.keep_cache or options.is_directed
    most = segment_frames(model, info)
    if model.workers > 1 and not has_two and can_share(target.format for target in all_targets):
        longest = int(SEGMENT_SECONDS * info.rate)
        most = shared_frames(min(most or longest, longest), frames_of(info, span), model.workers)
    plan = Plan(
        source=info,
        targets=all_targets,
        span=span,
        segments=plan_segments(info, span, most),
        options=options,
        folder=folder,
        inputs=inputs,
        settings=model.settings(info),
        why_model=choice.reason or model.identity.reason,
        advice=choice.advice,
    )
    plan = with_earlier_batch(plan)
    return in_two_passes(plan) if has_two else plan, model


def _run_planned(
    plan: Plan,
    model: JobModel,
    folder: JobFolder,
    delivery: Delivery,
    renewal: Renewal | None,
    progress: Progress,
) -> Result:
    """Do the work of a plan, from the first frame to the outputs' names."""
    tags = read_metadata(plan.source)
    source = plan.source.path
    with ExitStack() as stack:
        with writing(plan.folder):
            stack.enter_context(folder)
        kept = cache_plan(plan) if has_two_passes(plan) else None
        cache = _cache(kept, delivery, stack) if kept else None
        stack.enter_context(_same_inputs(plan, [folder, *([cache] if cache else [])]))
        progress.planned(plan, replace(model.identity, reason=plan.why_model))
        for note in [*folder.notes, *(cache.notes if cache else [])]:
            progress.told(note)
        with model.at_work(plan) as engine:
            first = first_pass(plan, kept, cache, folder, engine, progress) if kept and cache else None
            parts = KeptParts(plan, folder, cache, first) if first and cache else None
            if parts:
                parts.take()
            reports, earlier = run_segments(WriteParts(plan, first), folder, engine, progress)
        if progress.finishing() is False:
            raise cancelled(plan.source.path, sum(len(report.pts) for report in reports))
        losses = job_losses(plan.source, plan.span, reports)
        if delivery.strict:
            check_whole(source, losses)
        finished = _finish_all(plan, folder, reports, tags)
        notes = merged({one.target.path.name: one.joined.notes for one in finished if one.target.delivered})
        losses += [note.line for note in notes if note.is_loss]
        if delivery.strict:
            check_whole(source, losses)
        computed = replace(engine.report, reused=first.reused if first else 0)
        warnings = [
            *losses,
            *job_warnings(plan.source, plan.span, reports, computed, model.identity.name),
            *(first.notes if first else []),
            *filter(None, [tags.left_out([target.format for target in plan.delivered])]),
            *(note.line for note in notes if not note.is_loss),
            *filter(None, [timeline_note(plan, reports) if delivery.timeline else ""]),
        ]
        with writing(plan.folder):
            made = write_side_files(
                plan, folder, finished, reports, computed, warnings, losses, delivery, timecode=tags.timecode
            )
        plan.check_inputs()
        with writing(plan.folder):
            warnings += renewal.make_way() if renewal else []
            folder.rename(delivery.overwrite or renewal is not None, made.files, (*made.receipts, *made.timelines))
        if parts and delivery.keep_cache:
            warnings += parts.keep()
    return Result(
        outputs=tuple(target.path for target in plan.delivered),
        frames=sum(len(report.pts) for report in reports),
        computed=sum(len(report.pts) for report in reports) - earlier,
        seconds=0,
        model=model.identity.name,
        device=model.place,
        warnings=[*warnings, *engine.notes],
        losses=losses,
        receipts=made.receipts,
        review=made.page,
        timelines=made.timelines,
        reused=computed.reused,
        cache=kept.folder if kept and delivery.keep_cache else None,
        sizes=tuple(size_of(target.path) for target in plan.delivered),
    )


def _cache(kept: Plan, delivery: Delivery, stack: ExitStack) -> JobFolder:
    """Return the folder of a first pass, held until the end of a block."""
    with writing(kept.folder):
        return stack.enter_context(JobFolder(kept, overwrite=True, keeps=delivery.keep_cache))


@contextmanager
def _same_inputs(plan: Plan, folders: Sequence[JobFolder]) -> Iterator[None]:
    """Give an input that has changed meanwhile as the reason of whatever went wrong; nothing made of it is kept.

    Raises:
        InputError: an input is no longer what the job began with.
    """
    try:
        yield
    except (BirefvideoError, OSError) as error:
        try:
            plan.check_inputs()
        except InputChangedError as reason:
            for folder in folders:
                folder.discard(keep_joined=False)
            raise reason from error
        raise


def check_whole(source: Path, losses: Sequence[str]) -> None:
    """Refuse a clip of which something is lost, as `Delivery.strict` wants it.

    Raises:
        InputError: something is.
    """
    if losses:
        how = f"get a whole copy, or leave out {named('strict', True)}"
        raise InputError(f"{source.name} is not whole ({'; '.join(losses)}): {how}")


def _finish_all(
    plan: Plan, folder: JobFolder, reports: Sequence[SegmentReport], tags: Metadata
) -> list[VerifiedOutput]:
    """Join the parts of every output with sound and tags and verify the results; the page's copies have no tags."""
    with_frames = [(s, r) for s, r in zip(plan.segments, reports, strict=True) if r.pts]
    finished: list[VerifiedOutput] = []
    for target in plan.targets:
        parts = [folder.part(segment, target) for segment, _ in with_frames]
        with writing(plan.folder):
            output = folder.begin(target.path)
        info = plan.shown(target)
        try:
            joined = join(parts, output, target.format, info, plan.span, tags if target.delivered else Metadata())
        except (BirefvideoError, OSError):
            folder.drop_joined([one.path for one in plan.targets])  # on a full disk they are in the way
            raise
        expected = Expected(
            pts=[pts for _, report in with_frames for pts in report.pts],
            origin=joined.origin,
            last_duration=with_frames[-1][1].last_duration,
            sounds=joined.sounds,
            coverage=joined.coverage or [share for _, report in with_frames for share in report.curve.coverage],
        )
        try:
            found = verify(output, target.format, info, expected)
        except OutputError as error:
            with writing(plan.folder):
                folder.discard()  # the fault may be in a part: the next run makes them all again
            raise OutputError(f"{error.message}; the file is kept as {output}") from error
        finished.append(VerifiedOutput(target, joined, found))
    return finished
