"""Runs a job: plan, segments, join, verify, rename."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

import av
import torch

from birefvideo.errors import InputError, OutputError
from birefvideo.frames import VideoInfo
from birefvideo.jobs.folder import JobFolder
from birefvideo.jobs.options import Options
from birefvideo.jobs.plan import (
    Plan,
    Segment,
    Target,
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
from birefvideo.jobs.receipt_entry import Finished
from birefvideo.jobs.side_files import Page, deliver
from birefvideo.matting.devices import find_device
from birefvideo.matting.engine import Engine
from birefvideo.matting.predict import Predictor, PredictReport
from birefvideo.matting.slots import PictureKind
from birefvideo.matting.smoother import make_smoother
from birefvideo.media.expected import Expected
from birefvideo.media.metadata import Tags, counted, read_tags
from birefvideo.media.reading.decode import DecodeReport
from birefvideo.media.reading.image_series import at_rate
from birefvideo.media.reading.probe import probe
from birefvideo.media.verification.against_plan import verify
from birefvideo.media.writing.animation import check_length
from birefvideo.media.writing.audio import with_tracks
from birefvideo.media.writing.background import check_background
from birefvideo.media.writing.join import join
from birefvideo.media.writing.proxy import ProxyWriter
from birefvideo.media.writing.writer import EncodeSettings, open_writer
from birefvideo.models import checkpoints
from birefvideo.models.variants import EMBEDDED
from birefvideo.pipeline import SegmentReport, matte_segment, spill_light

TONE_MAPS_FROM = 18
"""First major version of PyAV whose swscale brings HDR to BT.709."""
LEAST_COVERAGE = 0.002
"""Share of the picture under which a clip counts as having nobody in it."""


@dataclass
class Progress:
    """What a job tells while it runs; the default tells nothing."""

    planned: Callable[[Plan, checkpoints.Checkpoint], object] = lambda plan, checkpoint: None
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
    seconds: float
    """Wall time."""
    model: str
    """Name of the checkpoint used."""
    device: str
    """Where it ran."""
    warnings: list[str] = field(default_factory=list)
    """What the user should know, one line each."""
    receipts: tuple[Path, ...] = ()
    """The receipts beside the outputs."""
    review: Path | None = None
    """The review page."""


class Matter:
    """A loaded network, ready for one job after another."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.device = find_device(options.device)
        self.checkpoint = checkpoints.find(options.model, has_gpu=self.device.runs_large_models)
        dtype = self.device.dtype_called(options.dtype)
        self._digest = self.checkpoint.digest()
        model = checkpoints.load(self.checkpoint)
        self.size = self.checkpoint.size.overridden(options.size)
        self.engine = Engine(model, self.size, self.device, dtype=dtype)

    def predictor(self, batch: int | None = None) -> Predictor:
        """Return a Predictor for one clip, with batches of `batch` frames, by default of as many as the options say."""
        return Predictor(self.engine, batch or self.options.batch)

    def settings(self, info: VideoInfo) -> dict[str, str | int | tuple[int, int]]:
        """What decides the bytes of a clip's alpha, for the manifest."""
        size = self.size.network_size(info.width, info.height)
        kind = PictureKind(info.width, info.height, info.pix_fmt, info.colour.is_hdr)
        return {
            "model": self.checkpoint.name,
            "weights": self._digest,
            "geometry": str(self.checkpoint.geometry),
            "size": size,
            "device": self.device.name,
            "dtype": self.engine.dtype,
            "batch": self.options.batch or self.engine.batch_for(kind),
            "threads": torch.get_num_threads(),
        }


def as_asked(info: VideoInfo, options: Options) -> VideoInfo:
    """What a clip is as the options want it read: its rate, its tracks, its fields.

    Raises:
        OptionError: the rate is given for a video, which has its own times.
    """
    return replace(with_tracks(at_rate(info, options.fps), options.audio), deinterlace=options.deinterlace)


def run(
    source: Path,
    targets: Sequence[Target],
    options: Options,
    *,
    overwrite: bool = False,
    receipts: bool = True,
    page: Page | None = None,
    load: Callable[[], Matter] | None = None,
    progress: Progress | None = None,
) -> Result:
    """Mattes one clip into its targets; either all of them appear under their names, or none.

    With `receipts`, what is known of an output is written beside it as JSON. `page` makes a review page's HTML.
    `load` gives the network, once input and outputs are known to be good: by default a new one of `options`.

    Raises:
        BirefvideoError: the input, the outputs or the machine do not allow it; one line says what to do.
    """
    started = time.monotonic()
    progress = progress or Progress()
    info = as_asked(probe(source), options)
    tags = read_tags(info)
    span = trimmed_span(info, options.start, options.end)
    check_length([target.format for target in targets], info, span)
    check_premultiplied(options, targets)
    check_background(options.background)
    check_targets(source, targets)
    if receipts:
        check_receipts([target.path for target in targets])
    copies = review_targets(source, targets, options) if page else ()
    matter = load() if load else Matter(options)
    plan = Plan(
        source=info,
        targets=(*targets, *copies),
        span=span,
        segments=plan_segments(info, span),
        options=options,
        folder=job_folder(targets, source),
        settings=matter.settings(info),
    )
    plan = with_earlier_batch(plan)
    predictor = matter.predictor(plan.settings["batch"])
    folder = JobFolder(plan)
    if not overwrite and not folder.was_renaming():
        check_free(plan.targets, review_page(source, targets) if page else None)
    try:
        with folder:
            progress.planned(plan, matter.checkpoint)
            reports = _run_segments(plan, folder, predictor, progress)
            finished = _finish_all(plan, folder, reports, tags)
            warnings = _warnings(reports, matter.checkpoint.name, predictor.report, info.colour.is_hdr)
            warnings += filter(None, [tags.left_out([target.format for target in targets])])
            warnings += dict.fromkeys(line for one in finished for line in one.joined.warnings)
            made = deliver(plan, folder, finished, reports, predictor.report, warnings, receipts=receipts, page=page)
            folder.rename(overwrite, made.files, made.receipts)
    except OSError as error:
        place = error.filename or plan.folder
        raise OutputError(f"cannot write {place} ({error.strerror or error}): make room there, or choose -o") from error
    return Result(
        outputs=tuple(target.path for target in targets),
        frames=sum(len(report.pts) for report in reports),
        seconds=time.monotonic() - started,
        model=matter.checkpoint.name,
        device=str(matter.device),
        warnings=warnings,
        receipts=made.receipts,
        review=made.page,
    )


def _run_segments(plan: Plan, folder: JobFolder, predictor: Predictor, progress: Progress) -> list[SegmentReport]:
    """Computes the segments that an earlier run has not finished; returns the reports of all."""
    earlier = {segment.number: folder.finished(segment) for segment in plan.segments}
    done = sum(len(report.pts) for report in earlier.values() if report)
    if done:
        progress.resumed(done)
    reports = [earlier[s.number] or _run_segment(plan, s, folder, predictor, progress) for s in plan.segments]
    if not any(report.pts for report in reports):
        raise InputError(f"{plan.source.path} has no frame between the times asked for: check --start and --end")
    return reports


def _run_segment(
    plan: Plan, segment: Segment, folder: JobFolder, predictor: Predictor, progress: Progress
) -> SegmentReport:
    settings = EncodeSettings(
        background=plan.options.background, first=plan.span.start, premultiplied=plan.options.premultiplied
    )
    spill = spill_light(plan.options.despill, plan.source.colour)
    with ExitStack() as stack:
        writers = [
            stack.enter_context(
                (open_writer if target.delivered else ProxyWriter)(
                    folder.part(segment, target, finished=False),
                    target.format,
                    plan.source,
                    settings if target.delivered else EncodeSettings(),
                )
            )
            for target in plan.targets
        ]
        smoother = make_smoother(plan.options.smooth)
        report = matte_segment(plan.source, segment.span, predictor, smoother, writers, progress.frame, spill)
    folder.finish(segment, report)
    return report


def _finish_all(plan: Plan, folder: JobFolder, reports: Sequence[SegmentReport], tags: Tags) -> list[Finished]:
    """Joins the parts of every output with sound and tags and proves the results; the page's copies have no tags."""
    with_frames = [(s, r) for s, r in zip(plan.segments, reports, strict=True) if r.pts]
    finished: list[Finished] = []
    for target in plan.targets:
        parts = [folder.part(segment, target) for segment, _ in with_frames]
        output, info = folder.joined(target.path), plan.shown(target)
        joined = join(parts, output, target.format, info, plan.span, tags if target.delivered else Tags())
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
            raise OutputError(f"{error}; the file is kept as {output}") from error
        finished.append(Finished(target, joined, found))
    return finished


def _warnings(reports: Sequence[SegmentReport], model: str, computed: PredictReport, hdr: bool) -> list[str]:
    """What the user should know of decoding and prediction, one line each."""
    decode = DecodeReport()
    for report in reports:
        decode.add(report.decode)
    warnings = []
    if decode.corrupt_packets:
        warnings.append(f"{counted(decode.corrupt_packets, 'corrupt packet')} skipped: frames are missing")
    if decode.damaged_frames:
        warnings.append(f"{counted(decode.damaged_frames, 'frame')} damaged in the file and used as found")
    if decode.read_error:
        warnings.append(f"a part of the file could not be read ({decode.read_error}): its frames are missing")
    elif decode.short_by > Fraction(1, 2):
        warnings.append(f"the file ends {float(decode.short_by):.1f} s before it says: it looks truncated")
    if decode.dropped_frames:
        warnings.append(f"{counted(decode.dropped_frames, 'frame')} dropped: not later than the one before")
    if decode.untimed_frames:
        warnings.append(f"{counted(decode.untimed_frames, 'frame')} without a time in the file, timed by the rate")
    if decode.rescaled_frames:
        warnings.append(f"{counted(decode.rescaled_frames, 'frame')} of another size, scaled to the first one's")
    if decode.deinterlaced_frames:
        what = f"{counted(decode.deinterlaced_frames, 'interlaced frame')} deinterlaced"
        warnings.append(f"{what}; for pictures wrongly flagged pass --no-deinterlace")
    if hdr and int(av.__version__.split(".")[0]) < TONE_MAPS_FROM:
        warnings.append("this PyAV does not convert HDR right: take Python 3.11 and PyAV 18, or --to prores only")
    if max(share for report in reports for share in report.curve.coverage) < LEAST_COVERAGE:
        hint = "try --model general" if model == EMBEDDED else "try another --model"
        warnings.append(f"{model} found no person in this clip: for other subjects {hint}")
    if computed.out_of_memory:
        batches = ", ".join(str(batch) for batch in sorted(set(computed.out_of_memory)))
        warnings.append(
            f"batches of {batches} frames did not fit in the device's memory and were halved: no frame is missing, "
            "but another run may differ by 1/255; pass a smaller --batch"
        )
    if computed.not_captured:
        warnings.append(f"the GPU refused a CUDA graph ({computed.not_captured}): this cost speed, nothing else")
    return warnings
