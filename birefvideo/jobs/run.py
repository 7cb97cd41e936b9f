"""Runs a job: plan, segments, join, verify, rename."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import torch

from birefvideo.errors import InputError
from birefvideo.jobs.folder import JobFolder
from birefvideo.jobs.join import join
from birefvideo.jobs.plan import (
    Options,
    Plan,
    Segment,
    Target,
    check_targets,
    job_folder,
    plan_segments,
    trimmed_span,
)
from birefvideo.matting import checkpoints
from birefvideo.matting.predict import Predictor, choose_device
from birefvideo.media.decode import DecodeReport
from birefvideo.media.encode import EncodeSettings, open_writer
from birefvideo.media.probe import probe
from birefvideo.media.verify import Expected, verify
from birefvideo.pipeline import SegmentReport, matte_segment

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
    """Called with the number of frames that an earlier run had finished."""


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
        model = checkpoints.load(self.checkpoint)
        self.predictor = Predictor(model, self.checkpoint.size, self.device, batch=options.batch)

    def settings(self) -> dict[str, str | int | None]:
        """What decides the alpha's bytes, for the manifest."""
        return {
            "model": self.checkpoint.name,
            "weights": self.checkpoint.digest(),
            "device": str(self.device),
            "dtype": self.predictor.report.dtype,
            "batch": self.options.batch,
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
    check_targets(source, targets, overwrite)
    matter = load() if load else Matter(options)
    plan = Plan(
        source=info,
        targets=tuple(targets),
        span=span,
        segments=plan_segments(info, span),
        options=options,
        folder=job_folder(targets, source),
        settings=matter.settings(),
    )
    progress.planned(plan, matter.checkpoint)
    with JobFolder(plan) as folder:
        reports = [_run_segment(plan, segment, folder, matter, progress) for segment in plan.segments]
        frames = sum(len(report.pts) for report in reports)
        if not frames:
            raise InputError(f"{source} has no frame between the times asked for: check --start and --end")
        warnings = _warnings(reports, matter.checkpoint.name)
        for target in plan.targets:
            warnings += [w for w in _finish(plan, target, folder, reports) if w not in warnings]
        for target in plan.targets:
            folder.joined(target).replace(target.path)
    outputs = tuple(target.path for target in targets)
    seconds = time.monotonic() - started
    return Result(outputs, frames, seconds, matter.checkpoint.name, str(matter.device), warnings)


def _run_segment(plan: Plan, segment: Segment, folder: JobFolder, matter: Matter, progress: Progress) -> SegmentReport:
    earlier = folder.finished(segment)
    if earlier is not None:
        progress.resumed(len(earlier.pts))
        return earlier
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


def _finish(plan: Plan, target: Target, folder: JobFolder, reports: Sequence[SegmentReport]) -> list[str]:
    """Joins the parts of one output with the audio and proves the result; returns warnings."""
    with_frames = [(s, r) for s, r in zip(plan.segments, reports, strict=True) if r.pts]
    parts = [folder.part(segment, target) for segment, _ in with_frames]
    output = folder.joined(target)
    joined = join(parts, output, target.format, plan.source, plan.span)
    expected = Expected(
        pts=[pts for _, report in with_frames for pts in report.pts],
        origin=joined.origin,
        last_duration=with_frames[-1][1].last_duration,
        sounds=joined.sounds,
    )
    verify(output, target.format, plan.source, expected)
    return list(joined.warnings)


def _warnings(reports: Sequence[SegmentReport], model: str) -> list[str]:
    decode = DecodeReport()
    for report in reports:
        decode.add(report.decode)
    warnings = []
    if decode.corrupt_packets:
        warnings.append(f"{decode.corrupt_packets} corrupt packets were skipped: their frames are missing")
    if decode.read_error:
        warnings.append(f"reading stopped early ({decode.read_error}): the output ends there too")
    elif decode.short_by > Fraction(1, 2):
        warnings.append(f"the file ends {float(decode.short_by):.1f} s before it says: it looks truncated")
    if decode.dropped_frames:
        warnings.append(f"{decode.dropped_frames} frames without a time of their own were dropped")
    if decode.rescaled_frames:
        warnings.append(f"{decode.rescaled_frames} frames change size mid-clip and were scaled to the first one's")
    if max(report.most_coverage for report in reports) < LEAST_COVERAGE:
        hint = "try --model general" if model == checkpoints.EMBEDDED else "try another --model"
        warnings.append(f"{model} found no person in this clip: for other subjects {hint}")
    return warnings
