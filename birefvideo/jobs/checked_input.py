"""An input with everything checked that can be before a network is loaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from birefvideo.frames import Span, VideoInfo
from birefvideo.jobs.check_targets import check_targets
from birefvideo.jobs.limits import check_pictures_fit
from birefvideo.jobs.manifest import fingerprints
from birefvideo.jobs.options import Options
from birefvideo.jobs.placed_marks import check_marks
from birefvideo.jobs.plan import Target, as_asked, check_premultiplied, trimmed_span
from birefvideo.media.animation_schedule import check_length
from birefvideo.media.reading.probe import probe
from birefvideo.media.writing.background import check_background


@dataclass(frozen=True)
class CheckedInput:
    """A clip that the outputs asked for can be made of, as far as is known before."""

    info: VideoInfo
    """What it is, read as the options want."""
    span: Span
    """The part of it that is wanted."""
    inputs: dict[str, Any]
    """What it and the background were before anything else was read: see `manifest.fingerprints`."""


def checked_input(source: Path, targets: Sequence[Target], options: Options) -> CheckedInput:
    """Return a clip whose outputs, background and places are good.

    Raises:
        BirefvideoError: one of them is not.
    """
    info = as_asked(probe(source), options)
    check_pictures_fit(info, targets)
    inputs = fingerprints(source, options)
    span = trimmed_span(info, options.start, options.end)
    check_length([target.format for target in targets], info, span)
    check_premultiplied(options, targets)
    check_background(options.background)
    check_marks(info, span, options)
    check_targets(source, targets, options.background)
    return CheckedInput(info, span, inputs)
