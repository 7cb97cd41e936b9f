"""Run a job: plan, segments, join, verify, rename."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from birefvideo.errors import InputError, OutputError, named
from birefvideo.family.checkpoints import Checkpoint
from birefvideo.jobs.folder import JobFolder
from birefvideo.jobs.loaded_model import LoadedModel
from birefvideo.jobs.options import Options
from birefvideo.jobs.plan import (
    Plan,
    Segment,
    Target,
    as_asked,
    check_free,
    check_premultiplied,
    check_targets,
    job_folder,
    plan_segments,
    review_page,
    review_targets,
    trimmed_span,
    with_earlier_batch,
)
from birefvideo.jobs.receipt import check_receipts
from birefvideo.jobs.receipt_entry import VerifiedOutput
from birefvideo.jobs.receipts_and_review import write_side_files
from birefvideo.jobs.warnings import idle_on_a_still, job_losses, job_warnings
from birefvideo.matting.predict import Predictor
from birefvideo.matting.smoother import make_smoother
from birefvideo.media.animation_schedule import check_length
from birefvideo.media.clip_notes import file_losses
from birefvideo.media.expected import Expected
from birefvideo.media.metadata import Metadata
from birefvideo.media.reading.probe import probe
from birefvideo.media.reading.read_metadata import read_metadata
from birefvideo.media.verification.verify_in_job import verify
from birefvideo.media.writing.background import check_background
from birefvideo.media.writing.composer import EncodeSettings
from birefvideo.media.writing.join import join
from birefvideo.media.writing.segment_writer import open_review_writer, open_writer
from birefvideo.pipeline import SegmentReport, matte_segment, spill_light


@dataclass
class Progress:
    """Callbacks of a running job; the defaults do nothing."""

    planned: Callable[[Plan, Checkpoint], object] = lambda plan, checkpoint: None
    """Called once before the first frame."""
    frame: Callable[[], object] = lambda: None
    """Called after each frame."""
    resumed: Callable[[int], object] = lambda frames: None
    """Called once, if so, with the number of frames that an earlier run had finished."""


@dataclass
class Result:
    """What a job made."""

    outputs: tuple[Path, ...]
    """The files, in the order asked for."""
    frames: int
    """Frames in each."""
    computed: int
    """Those of them that this run computed; an earlier one, which was stopped, had done the rest."""
    seconds: float
    """Wall time."""
    model: str
    """Name of the checkpoint used."""
    device: str
    """Where it ran."""
    warnings: list[str] = field(default_factory=list)
    """What the user should know, one line each."""
    losses: list[str] = field(default_factory=list)
    """Those of the warnings that say what the clip once had and the outputs lack, because it is damaged or cut off."""
    receipts: tuple[Path, ...] = ()
    """The receipts beside the outputs."""
    review: Path | None = None
    """The review page."""


def run(
    source: Path,
    targets: Sequence[Target],
    options: Options,
    *,
    overwrite: bool = False,
    receipts: bool = True,
    review: bool = False,
    strict: bool = False,
    load: Callable[[], LoadedModel] | None = None,
    progress: Progress | None = None,
) -> Result:
    """Matte one clip into its targets; either all of them appear under their names, or none.

    With `receipts`, what is known of an output is written beside it as JSON; with `review`, a page to judge it with.
    With `strict`, a clip that is damaged or cut off, so that frames are missing, is an error, and nothing is delivered.
    `load` returns the network, once input and outputs are known to be good: by default a new one of `options`.

    Raises:
        BirefvideoError: the input, the outputs or the machine do not allow it; one line says what to do.
    """
    started = time.monotonic()
    progress = progress or Progress()
    info = as_asked(probe(source), options)
    tags = read_metadata(info)
    span = trimmed_span(info, options.start, options.end)
    if strict:
        _check_whole(source, file_losses(info, span))
    check_length([target.format for target in targets], info, span)
    check_premultiplied(options, targets)
    check_background(options.background)
    check_targets(source, targets)
    if receipts:
        check_receipts([target.path for target in targets])
    copies = review_targets(source, targets, options) if review else ()
    model = load() if load else LoadedModel(options)
    plan = Plan(
        source=info,
        targets=(*targets, *copies),
        span=span,
        segments=plan_segments(info, span),
        options=options,
        folder=job_folder(targets, source),
        settings=model.settings(info),
    )
    plan = with_earlier_batch(plan)
    predictor = model.predictor(plan.settings["batch"])
    folder = JobFolder(plan)
    if not overwrite and not folder.was_renaming():
        check_free(plan.targets, review_page(source, targets) if review else None)
    try:
        with folder:
            progress.planned(plan, model.checkpoint)
            reports, earlier = _run_segments(plan, folder, predictor, progress)
            losses = job_losses(info, span, reports)
            if strict:
                _check_whole(source, losses)
            finished = _finish_all(plan, folder, reports, tags)
            computed = predictor.report
            warnings = [*losses, *job_warnings(info, span, reports, computed, model.checkpoint.name)]
            warnings += filter(
                None, [idle_on_a_still(info, options), tags.left_out([target.format for target in targets])]
            )
            warnings += dict.fromkeys(line for one in finished for line in one.joined.warnings)
            made = write_side_files(
                plan, folder, finished, reports, computed, warnings, losses, receipts=receipts, review=review
            )
            folder.rename(overwrite, made.files, made.receipts)
    except OSError as error:
        place = error.filename or plan.folder
        reason = error.strerror or error
        raise OutputError(f"cannot write {place} ({reason}): make room there, or choose {named('out')}") from error
    return Result(
        outputs=tuple(target.path for target in targets),
        frames=sum(len(report.pts) for report in reports),
        computed=sum(len(report.pts) for report in reports) - earlier,
        seconds=time.monotonic() - started,
        model=model.checkpoint.name,
        device=str(model.device),
        warnings=warnings,
        losses=losses,
        receipts=made.receipts,
        review=made.page,
    )


def _check_whole(source: Path, losses: Sequence[str]) -> None:
    if losses:
        how = f"get a whole copy, or leave out {named('strict', True)}"
        raise InputError(f"{source.name} is not whole ({'; '.join(losses)}): {how}")


def _run_segments(
    plan: Plan, folder: JobFolder, predictor: Predictor, progress: Progress
) -> tuple[list[SegmentReport], int]:
    """Compute the segments that an earlier run has not finished; return the reports of all, and that run's frames."""
    earlier = {segment.number: folder.finished(segment) for segment in plan.segments}
    done = sum(len(report.pts) for report in earlier.values() if report)
    if done:
        progress.resumed(done)
    reports = [earlier[s.number] or _run_segment(plan, s, folder, predictor, progress) for s in plan.segments]
    if not any(report.pts for report in reports):
        times = f"{named('start')} and {named('end')}"
        raise InputError(f"{plan.source.path} has no frame between the times asked for: check {times}")
    return reports, done


def _run_segment(
    plan: Plan, segment: Segment, folder: JobFolder, predictor: Predictor, progress: Progress
) -> SegmentReport:
    spill = spill_light(plan.options.despill, plan.source.colour)
    settings = EncodeSettings(
        background=plan.options.background,
        first=plan.span.start,
        premultiplied=plan.options.premultiplied,
        despilled=spill is not None,
    )
    with ExitStack() as stack:
        writers = [
            stack.enter_context(
                (open_writer if target.delivered else open_review_writer)(
                    folder.part(segment, target, finished=False),
                    target.format,
                    plan.source,
                    settings,
                )
            )
            for target in plan.targets
        ]
        smoother = make_smoother(0 if plan.source.still else plan.options.smooth)
        report = matte_segment(plan.source, segment.span, predictor, smoother, writers, progress.frame, spill)
    folder.finish(segment, report)
    return report


def _finish_all(
    plan: Plan, folder: JobFolder, reports: Sequence[SegmentReport], tags: Metadata
) -> list[VerifiedOutput]:
    """Join the parts of every output with sound and tags and verify the results; the page's copies have no tags."""
    with_frames = [(s, r) for s, r in zip(plan.segments, reports, strict=True) if r.pts]
    finished: list[VerifiedOutput] = []
    for target in plan.targets:
        parts = [folder.part(segment, target) for segment, _ in with_frames]
        output, info = folder.joined(target.path), plan.shown(target)
        joined = join(parts, output, target.format, info, plan.span, tags if target.delivered else Metadata())
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
            folder.discard()  # the fault may be in a part: the next run makes them all again
            raise OutputError(f"{error.message}; the file is kept as {output}") from error
        finished.append(VerifiedOutput(target, joined, found))
    return finished
