"""The work on one segment: its frames matted into the parts of all outputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from birefvideo.directing.holds import Holds
from birefvideo.family.variants import EMBEDDED
from birefvideo.frames import Span, VideoInfo
from birefvideo.jobs.kept_mattes import KeptMattes
from birefvideo.jobs.options import Options
from birefvideo.jobs.part_places import PartPlaces
from birefvideo.jobs.plan import Plan, Segment, Target
from birefvideo.matting.second_look import SecondLook
from birefvideo.matting.smoother import make_smoother
from birefvideo.media.writing.composer import EncodeSettings
from birefvideo.media.writing.segment_writer import open_review_writer, open_writer
from birefvideo.pipeline import NOTHING_HELD, Looks, Matter, SegmentReport, matte_segment, spill_light


def looks_at(source: VideoInfo, settings: Mapping[str, object]) -> SecondLook | None:
    """Return what looks twice at some frames; of one picture, it would double the time that a large network takes."""
    mirrored = bool(settings.get("mirrored"))
    if source.still and settings["model"] != EMBEDDED and not mirrored:
        return None
    return SecondLook(mirrored=mirrored)


def remembering(plan: Plan, segment: Segment, matter: Matter) -> Matter:
    """Return a network that keeps what it says of a segment, while it is slow, until the segment is finished."""
    return matter if plan.source.still else KeptMattes(matter, PartPlaces(plan.folder).mattes(segment))


def write_parts(
    source: VideoInfo,
    span: Span,
    parts: Sequence[tuple[Target, Path]],
    options: Options,
    predictor: Matter,
    on_frame: Callable[[], object],
    *,
    second_look: Looks | None,
    first: int | None,
    holds: Holds = NOTHING_HELD,
) -> SegmentReport:
    """Matte a span of a clip into a part of every output.

    Args:
        source: the clip.
        span: what of it.
        parts: the outputs, and where the part of each goes.
        options: the user's.
        predictor: the network.
        on_frame: called after each frame.
        second_look: judges some of the frames; see `looks_at`.
        first: pts of the output's first frame; None is the clip's.
        holds: what is marked in single frames.

    Raises:
        BirefvideoError: the input, the outputs or the machine do not allow it.
    """
    spill = spill_light(options.despill, source.colour)
    settings = EncodeSettings(
        background=options.background,
        fit=options.fit,
        first=first,
        premultiplied=options.premultiplied,
        despilled=spill is not None,
    )
    with ExitStack() as stack:
        writers = [
            stack.enter_context(
                (open_writer if target.delivered else open_review_writer)(part, target.format, source, settings)
            )
            for target, part in parts
        ]
        smoother = make_smoother(0 if source.still else options.smooth)
        return matte_segment(
            source, span, predictor, smoother, writers, on_frame, spill, second_look, options.edge, holds
        )
