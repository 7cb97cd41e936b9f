"""A job's timeline files: which clips they show, where these begin, and what is marked in them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

from birefvideo.editing.cut import Cut, Mark, Media, Sound, may_drop, plain, timeline_rate
from birefvideo.editing.kinds import KINDS, is_timeline
from birefvideo.errors import OptionError, OutputError, named
from birefvideo.frames import VideoInfo
from birefvideo.jobs.doubts import Doubt, what_is_wrong
from birefvideo.jobs.finished import timeline_mark
from birefvideo.jobs.plan import Plan, Target, clip_with_alpha, timeline_paths
from birefvideo.jobs.receipt_entry import VerifiedOutput
from birefvideo.matting.flicker import Suspect
from birefvideo.media.output_format import output_aspect, output_colour, output_size
from birefvideo.media.reading.numbered_pictures import stem_of
from birefvideo.media.reading.probe import probe
from birefvideo.media.timecode import Timecode
from birefvideo.media.writing.join import beginning
from birefvideo.paths import check_name
from birefvideo.pipeline import SegmentReport
from birefvideo.remote.places import address_of

_WORDS = {
    "dropout": "the subject is gone for a moment",
    "jump": "the size of the matte jumps",
    "flicker": "the matte flickers",
}
"""What a suspected frame is suspected of, by `Suspect.kind`."""
_HOUR = 3600
"""Seconds of time code at which a timeline begins whose clip has none, as editors have it."""


def check_timelines(source: VideoInfo, targets: Sequence[Target], kinds: Sequence[str]) -> None:
    """Refuse timeline files that cannot be made, or that would replace a file of someone else's.

    Raises:
        OptionError: there is no clip with alpha to show, or no video under it.
        OutputError: a file is in the way, or its name would be too long.
    """
    if not kinds:
        return
    if not source.path.is_file() or source.still:
        what = "a picture" if source.still else "a series of pictures"
        raise OptionError(f"{source.path.name} is {what}: {named('timeline')} is for video files, leave it out here")
    if clip_with_alpha(targets) is None:
        raise OptionError(
            f"{named('timeline')} needs an output that is one video file with alpha: add {named('to', 'prores')}, or "
            "leave it out"
        )
    for path in timeline_paths(source.path, targets, kinds):
        check_name(path, "rename the input")
        if os.path.lexists(path) and not is_timeline(path):
            raise OutputError(f"{path} is in the way and is no timeline of birefvideo: move it")


def timeline_texts(
    plan: Plan,
    kinds: Sequence[str],
    finished: Sequence[VerifiedOutput],
    reports: Sequence[SegmentReport],
    timecode: Timecode | None,
    doubts: Sequence[Doubt],
    suspects: Sequence[Suspect],
) -> dict[Path, str]:
    """Return the text of every timeline file that is asked for, by the path that it is to get."""
    if not kinds:
        return {}
    alpha = next(one for one in finished if one.target is clip_with_alpha(plan.targets))
    cut = _cut(plan, alpha, reports, timecode, doubts, suspects)
    paths = timeline_paths(plan.source.path, plan.targets, kinds)
    return {path: KINDS[kind](cut) for kind, path in zip(kinds, paths, strict=True)}


def timeline_note(plan: Plan, reports: Sequence[SegmentReport]) -> str:
    """Return one line on a clip whose pictures do not come evenly, or ''."""
    rate, times = timeline_rate(plan.source.rate)
    pts = [pts for report in reports for pts in report.pts]
    step = times / rate
    if all(abs((at - pts[0]) * plan.source.time_base - number * step) <= step / 2 for number, at in enumerate(pts)):
        return ""
    counted = f"{float(rate):.2f}".rstrip("0").rstrip(".")
    return (
        f"{plain(plan.source.path.name)} has a variable frame rate: the timeline counts {counted} frames a second, and "
        "its markers are right to the nearest of them"
    )


def _cut(
    plan: Plan,
    one: VerifiedOutput,
    reports: Sequence[SegmentReport],
    timecode: Timecode | None,
    doubts: Sequence[Doubt],
    suspects: Sequence[Suspect],
) -> Cut:
    info, origin = plan.source, one.joined.origin
    rate, _ = timeline_rate(info.rate)
    last = next(report.last_duration for report in reversed(reports) if report.pts)
    pts = [pts for report in reports for pts in report.pts]
    times = [round((at * info.time_base - origin) * rate) for at in [*pts, pts[-1] + last]]
    length = max(1, times[-1])
    source = _source(plan, rate, origin, length, timecode)
    start = source.begin if timecode else _HOUR * round(rate)
    return Cut(
        name=plain(stem_of(info.path)),
        mark=timeline_mark(plan),
        rate=rate,
        is_drop=timecode is not None and ";" in timecode.label and may_drop(rate),
        start=start,
        length=length,
        source=source,
        alpha=_alpha(plan, one, rate, length, timecode),
        marks=_marks(times, doubts, suspects),
        note=timeline_note(plan, reports),
    )


def _source(plan: Plan, rate: Fraction, origin: Fraction, length: int, timecode: Timecode | None) -> Media:
    """Return the clip itself, with all the sound that its file has, whatever of it the outputs have."""
    info = plan.source if plan.options.audio == "all" else probe(plan.source.path)
    first = info.start * info.time_base
    zero = beginning(info, first)
    before = max(0, round((origin - zero) * rate))
    return Media(
        path=info.path,
        size=(info.width, info.height),
        aspect=info.sample_aspect_ratio,
        colour=info.colour,
        start=_start(timecode, zero, rate),
        length=max(round((first + info.duration - zero) * rate), before + length),
        first=before,
        sound=Sound(len(info.audio), info.audio[0].channels, info.audio[0].rate) if info.audio else None,
        address=address_of(info.path),
    )


def _alpha(plan: Plan, one: VerifiedOutput, rate: Fraction, length: int, timecode: Timecode | None) -> Media:
    """Return the output; its time code, if it has a track of it, goes on from the source's."""
    format, sounds = one.target.format, one.joined.sounds
    rate_of_sound = format.audio_rate or next((audio.rate for audio in plan.source.audio), 0)
    has_timecode = format.container.has_timecode_track
    return Media(
        path=one.target.path,
        size=output_size(format, plan.source),
        aspect=output_aspect(format, plan.source),
        colour=output_colour(format, plan.source.colour),
        start=_start(timecode if has_timecode else None, one.joined.origin, rate),
        length=length,
        first=0,
        sound=Sound(len(sounds), sounds[0].channels, rate_of_sound) if sounds else None,
        address=address_of(one.target.path),
    )


def _start(timecode: Timecode | None, time: Fraction, rate: Fraction) -> int:
    return 0 if timecode is None else round(timecode.seconds(time) * rate)


def _marks(times: Sequence[int], doubts: Sequence[Doubt], suspects: Sequence[Suspect]) -> tuple[Mark, ...]:
    """Return what the review page lists.

    Args:
        times: when each picture begins, in frames of the timeline, and when the last one ends.
        doubts: stretches.
        suspects: single pictures.
    """
    stretches = [(one.first, one.last, what_is_wrong(one)) for one in doubts]
    stretches += [(one.frame, one.frame, _WORDS[one.kind]) for one in suspects]
    found = []
    for first, last, words in sorted(stretches):
        begin = min(times[first], times[-1] - 1)  # a picture shorter than half a frame may round to the end
        found.append(Mark(begin, max(1, times[last + 1] - begin), words))
    return tuple(found)
