"""Runs a job: plan, segments, join, verify, rename."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import torch

from birefvideo.errors import InputError, OutputError
from birefvideo.frames import VideoInfo
from birefvideo.jobs.folder import JobFolder
from birefvideo.jobs.join import join
from birefvideo.jobs.plan import (
    Options,
    Plan,
    Segment,
    Target,
    check_free,
    check_targets,
    job_folder,
    plan_segments,
    trimmed_span,
)
from birefvideo.matting import checkpoints
from birefvideo.matting.predict import Predictor, choose_device, default_batch
from birefvideo.media.decode import DecodeReport
from birefvideo.media.encode import EncodeSettings, open_writer
from birefvideo.media.probe import probe
from birefvideo.media.verify import Expected, verify
from birefvideo.pipeline import SegmentReport, matte_segment

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


class Matter:
    """A loaded network, ready for one job after another."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.device = choose_device(options.device)
        self.checkpoint = checkpoints.find(options.model, has_gpu=self.device.type == "cuda")
        self._digest = self.checkpoint.digest()
        model = checkpoints.load(self.checkpoint)
        self.predictor = Predictor(model, self.checkpoint.size, self.device, batch=options.batch)

    def settings(self, info: VideoInfo) -> dict[str, str | int | tuple[int, int]]:
        """What decides the bytes of a clip's alpha, for the manifest."""
        size = self.checkpoint.size.network_size(info.width, info.height)
        cuda = self.device.type == "cuda"
        return {
            "model": self.checkpoint.name,
            "weights": self._digest,
            "geometry": str(self.checkpoint.geometry),
            "size": size,
            "device": torch.cuda.get_device_name(self.device) if cuda else str(self.device),
            "dtype": self.predictor.report.dtype,
            "batch": self.options.batch or default_batch(self.device, size),
            "threads": torch.get_num_threads(),
        }


def run(
    source: Path,
    targets: Sequence[Target],
    options: Options,
    *,
    overwrite: bool = False,
    load: Callable[[], Matter] | None = None,
    progress: Progress | None = None,
) -> Result:
    """Mattes one clip into its targets; either all of them appear under their names, or none.

    `load` gives the network, once input and outputs are known to be good: by default a new one of `options`.

    Raises:
        BirefvideoError: the input, the outputs or the machine do not allow it; one line says what to do.
    """
    started = time.monotonic()
    progress = progress or Progress()
    info = probe(source)
    span = trimmed_span(info, options.start, options.end)
    check_targets(source, targets)
    matter = load() if load else Matter(options)
    plan = Plan(
        source=info,
        targets=tuple(targets),
        span=span,
        segments=plan_segments(info, span),
        options=options,
        folder=job_folder(targets, source),
        settings=matter.settings(info),
    )
    folder = JobFolder(plan)
    if not overwrite and not folder.was_renaming():
        check_free(targets)
    try:
        with folder:
            progress.planned(plan, matter.checkpoint)
            reports = _run_segments(plan, folder, matter, progress)
            warnings = _finish_all(plan, folder, reports)
            folder.rename(overwrite)
    except OSError as error:
        place = error.filename or plan.folder
        raise OutputError(f"cannot write {place} ({error.strerror or error}): make room there, or choose -o") from error
    outputs = tuple(target.path for target in targets)
    seconds = time.monotonic() - started
    warnings = _warnings(reports, matter, info.colour.is_hdr) + warnings
    frames = sum(len(report.pts) for report in reports)
    return Result(outputs, frames, seconds, matter.checkpoint.name, str(matter.device), warnings)


def _run_segments(plan: Plan, folder: JobFolder, matter: Matter, progress: Progress) -> list[SegmentReport]:
    """Computes the segments that an earlier run has not finished; returns the reports of all."""
    earlier = {segment.number: folder.finished(segment) for segment in plan.segments}
    done = sum(len(report.pts) for report in earlier.values() if report)
    if done:
        progress.resumed(done)
    reports = [earlier[s.number] or _run_segment(plan, s, folder, matter, progress) for s in plan.segments]
    if not any(report.pts for report in reports):
        raise InputError(f"{plan.source.path} has no frame between the times asked for: check --start and --end")
    return reports


def _run_segment(plan: Plan, segment: Segment, folder: JobFolder, matter: Matter, progress: Progress) -> SegmentReport:
    settings = EncodeSettings(background=plan.options.background)
    with ExitStack() as stack:
        writers = [
            stack.enter_context(
                open_writer(folder.part(segment, target, finished=False), target.format, plan.source, settings)
            )
            for target in plan.targets
        ]
        report = matte_segment(
            plan.source, segment.span, matter.predictor, plan.options.smooth, writers, progress.frame
        )
    folder.finish(segment, report)
    return report


def _finish_all(plan: Plan, folder: JobFolder, reports: Sequence[SegmentReport]) -> list[str]:
    """Joins the parts of every output with the audio and proves the results; returns warnings."""
    with_frames = [(s, r) for s, r in zip(plan.segments, reports, strict=True) if r.pts]
    warnings: dict[str, None] = {}
    for target in plan.targets:
        parts = [folder.part(segment, target) for segment, _ in with_frames]
        output = folder.joined(target)
        joined = join(parts, output, target.format, plan.source, plan.span)
        warnings |= dict.fromkeys(joined.warnings)
        expected = Expected(
            pts=[pts for _, report in with_frames for pts in report.pts],
            origin=joined.origin,
            last_duration=with_frames[-1][1].last_duration,
            sounds=joined.sounds,
        )
        try:
            verify(output, target.format, plan.source, expected)
        except OutputError:
            folder.discard()  # the fault may be in a part: the next run makes them all again
            raise
    return list(warnings)


def _warnings(reports: Sequence[SegmentReport], matter: Matter, hdr: bool) -> list[str]:
    """What the user should know of decoding and prediction, one line each."""
    model = matter.checkpoint.name
    decode = DecodeReport()
    for report in reports:
        decode.add(report.decode)
    warnings = []
    if decode.corrupt_packets:
        warnings.append(f"{decode.corrupt_packets} corrupt packets were skipped: their frames are missing")
    if decode.damaged_frames:
        warnings.append(f"{decode.damaged_frames} frames are damaged in the file and were used as they are")
    if decode.read_error:
        warnings.append(f"a part of the file could not be read ({decode.read_error}): its frames are missing")
    elif decode.short_by > Fraction(1, 2):
        warnings.append(f"the file ends {float(decode.short_by):.1f} s before it says: it looks truncated")
    if decode.dropped_frames:
        warnings.append(f"{decode.dropped_frames} frames whose time is not after the one before were dropped")
    if decode.untimed_frames:
        warnings.append(f"{decode.untimed_frames} frames had no time in the file and got one by the frame rate")
    if decode.rescaled_frames:
        warnings.append(f"{decode.rescaled_frames} frames change size mid-clip and were scaled to the first one's")
    if hdr and int(av.__version__.split(".")[0]) < TONE_MAPS_FROM:
        warnings.append("this PyAV does not convert HDR right: take Python 3.11 and PyAV 18, or --to prores only")
    if max(report.most_coverage for report in reports) < LEAST_COVERAGE:
        hint = "try --model general" if model == checkpoints.EMBEDDED else "try another --model"
        warnings.append(f"{model} found no person in this clip: for other subjects {hint}")
    if matter.predictor.report.out_of_memory:
        batches = ", ".join(map(str, matter.predictor.report.out_of_memory))
        warnings.append(f"batches of {batches} frames did not fit in the device's memory: pass a smaller --batch")
    return warnings
