"""What a job will do, fixed before it starts: outputs, segments, and everything that decides their bytes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

from birefvideo.editing.kinds import SUFFIX
from birefvideo.errors import OptionError, named
from birefvideo.frames import Span, VideoInfo
from birefvideo.jobs.choose_formats import default_formats, endings, format_for_name, formats_asked_for, written_of
from birefvideo.jobs.manifest import (
    MANIFEST,
    Manifest,
    as_manifest,
    check_unchanged,
    options_as_text,
    read_manifest,
    same_job,
    versions,
)
from birefvideo.jobs.options import Options
from birefvideo.jobs.receipt import receipt_path
from birefvideo.matting.devices import MAX_BATCH
from birefvideo.media.format_names import unknown_ending
from birefvideo.media.format_table import Format
from birefvideo.media.forms import has_ending
from birefvideo.media.reading.numbered_pictures import at_rate, stem_of
from birefvideo.media.reading.stills import is_still
from birefvideo.media.writing.audio import with_tracks
from birefvideo.media.writing.availability import check_available
from birefvideo.media.writing.proxy import MATTE_PROXY, SOURCE_PROXY, proxy_info
from birefvideo.paths import check_name

SEGMENT_SECONDS = 10
"""Length of a segment at most; see `pace.segment_frames`."""
JOB_FOLDER = ".birefvideo"
"""How the name of a job's folder ends."""
SHORTEST_TAIL = Fraction(5, 2)
"""Seconds under which a last segment is joined to the one before."""


@dataclass(frozen=True)
class Target:
    """One output file."""

    format: Format
    """What is written."""
    path: Path
    """Its final name."""
    delivered: bool = True
    """False for the review page's own copies, which may end inside the page."""


@dataclass(frozen=True)
class Segment:
    """One piece of the clip that is computed by itself."""

    number: int
    """Counted from 0."""
    span: Span
    """The frames that belong to it."""


@dataclass(frozen=True)
class Plan:
    """A whole job."""

    source: VideoInfo
    """The clip."""
    targets: tuple[Target, ...]
    """The outputs."""
    span: Span
    """The trimmed part of the clip."""
    segments: tuple[Segment, ...]
    """The pieces, in order, that make up `span`."""
    options: Options
    """The user's choices."""
    folder: Path
    """Where parts are kept until the job is done."""
    inputs: dict[str, Any]
    """What the clip and the background were before anything was read: see `manifest.fingerprints`."""
    settings: dict[str, Any] = field(default_factory=dict)
    """What was resolved from the options: model, weights' hash, device, dtype, batch, threads."""
    why_model: str = ""
    """Why this model, in a few words, where the choice was left to us."""
    advice: dict[str, Any] | None = None
    """What the choice of the model was made by, where something was measured for it."""

    @property
    def delivered(self) -> tuple[Target, ...]:
        """The outputs that were asked for."""
        return tuple(target for target in self.targets if target.delivered)

    def shown(self, target: Target) -> VideoInfo:
        """Return what the clip is as an output has it."""
        return self.source if target.delivered else proxy_info(self.source)

    def manifest(self) -> Manifest:
        """Everything that decides the outputs' bytes: equal (see `manifest.same_job`), equal bytes."""
        background = self.options.background
        return as_manifest(
            {
                **self.inputs,
                "targets": {t.path.name: t.format.name for t in self.targets},
                "segments": [[s.span.start, s.span.end] for s in self.segments],
                "options": options_as_text(self.options),
                "settings": self.settings,
                "versions": versions(),
            },
            places={
                "input": str(self.source.path.absolute()),
                "device": self.options.device,
                "background": str(background.absolute()) if isinstance(background, Path) else None,
                **({"advice": self.advice} if self.advice else {}),
            },
        )

    def check_inputs(self) -> None:
        """Refuse to go on where an input is not what it was when the job was planned.

        Raises:
            InputError: as above.
        """
        check_unchanged(self.source.path, self.options, self.inputs)


def check_premultiplied(options: Options, targets: Sequence[Target]) -> None:
    """Refuse `Options.premultiplied` where no output has alpha that may be either.

    Raises:
        OptionError: as above.
    """
    if options.premultiplied and not any(
        target.format.has_alpha and target.format.premultiplied is None for target in targets
    ):
        name, example = named("premultiplied"), named("to", "prores")
        raise OptionError(f"{name} is for video with alpha: add one, such as {example}, or leave it out")


def with_earlier_batch(plan: Plan) -> Plan:
    """Return the plan with the batch of an earlier, unfinished run that is otherwise the same.

    Free memory may have changed since, but batches of another shape would not give the same bytes.
    """
    earlier = read_manifest(plan.folder / MANIFEST)
    settings = (earlier or {}).get("settings")
    batch = settings.get("batch") if isinstance(settings, dict) else None
    if plan.options.batch is not None or type(batch) is not int or not 1 <= batch <= MAX_BATCH:
        return plan
    kept = replace(plan, settings=plan.settings | {"batch": batch})
    return kept if same_job(kept.manifest(), earlier) else plan


def plan_targets(
    source: Path, out: Path | None, names: Sequence[str], options: Options | None = None, *, into: bool = False
) -> tuple[Target, ...]:
    """Where the outputs of one input go: beside it, into the folder `out`, or to the file `out`.

    `out` with a known suffix names a file, if `names` holds at most one format and agrees; else, or with `into`, it is
    a folder. What a format makes depends on the input, a clip or a picture, and on whether `options` name a background.

    Raises:
        OptionError: a format is unknown, or `out` does not go with the formats.
        OutputError: an output would have such a name.
    """
    is_folder = out is None or into or out.is_dir()
    targets = _named_targets(source, out, is_folder, names, options or Options())
    paths = [target.path for target in targets]
    beside = (*map(receipt_path, paths), review_page(source, targets), job_folder(targets, source))
    for path in (*paths, *beside):
        check_name(path, "rename the input")
    return targets


def _named_targets(
    source: Path, out: Path | None, is_folder: bool, names: Sequence[str], options: Options
) -> tuple[Target, ...]:
    still = is_still(source)
    if out is not None and not is_folder and out.name.lower() in endings(still):
        raise OptionError(f"{out} is an ending without a name: put a name before it")
    if out is not None and not is_folder and out.suffix.lower() in endings(still):
        asked = formats_asked_for(names, options, is_still=still) or [format_for_name(out, options, is_still=still)]
        if len(asked) > 1:
            raise OptionError(f"{out} names one file, but {len(asked)} formats are asked for: name a folder")
        (wanted,) = asked
        check_available(wanted)
        if not has_ending(out, wanted):
            makes = f"a {wanted.extension} file" if wanted.extension else "a folder"
            raise OptionError(f"{out} does not go with {named('to', names[0])}, which makes {makes}")
        return (Target(wanted, out),)
    if out is not None and not is_folder and (why := unknown_ending(out, written_of(still))):
        raise OptionError(why)
    folder = out or (source.resolve() if source.is_dir() else source).parent
    formats = formats_asked_for(names or default_formats(options, is_still=still), options, is_still=still)
    for format in formats:
        check_available(format)
    return tuple(Target(f, folder / f"{stem_of(source)}{f.suffix}") for f in formats)


def review_targets(source: Path, targets: Sequence[Target], options: Options) -> tuple[Target, ...]:
    """Return the copies that a review page needs: the source, and the matte if no output is a straight WebM."""
    folder = targets[0].path.parent
    has_matte = any(target.format.review_shows_it for target in targets) and not options.premultiplied
    needed = [SOURCE_PROXY] if has_matte else [MATTE_PROXY, SOURCE_PROXY]
    return tuple(Target(format, folder / f"{stem_of(source)}{format.suffix}", delivered=False) for format in needed)


def review_page(source: Path, targets: Sequence[Target]) -> Path:
    """Where the review page of these outputs lies."""
    return targets[0].path.parent / f"{stem_of(source)}_review.html"


def clip_with_alpha(targets: Sequence[Target]) -> Target | None:
    """Return the first output that is one video file with alpha, which is what a timeline shows."""
    fit = (one for one in targets if one.delivered and one.format.has_alpha and one.format.can_have_sound)
    return next(fit, None)


def timeline_paths(source: Path, targets: Sequence[Target], kinds: Iterable[str]) -> tuple[Path, ...]:
    """Where the timeline files of these outputs lie."""
    return tuple(targets[0].path.parent / f"{stem_of(source)}{SUFFIX}.{kind}" for kind in kinds)


def trimmed_span(info: VideoInfo, start: Fraction | None, end: Fraction | None) -> Span:
    """Return the part of the clip between two times (see `Options`), counted in seconds from its first frame.

    A picture has no time: it is always whole.

    Raises:
        OptionError: `start` is past the clip's end.
    """
    if info.still:
        return Span()
    if start is not None and info.duration and start >= info.duration:
        raise OptionError(
            f"{named('start')} {_seconds(start)} is past the end of {info.path.name} ({_seconds(info.duration)})"
        )

    def ticks(time: Fraction | None) -> int | None:
        return None if time is None else info.start + -int(-time // info.time_base)

    return Span(ticks(start), ticks(end))


def as_asked(info: VideoInfo, options: Options) -> VideoInfo:
    """Return what a clip is when it is read as the options want: its rate, its tracks, its fields, its opacity.

    Raises:
        OptionError: the rate is given for a video, which has its own times.
    """
    info = with_tracks(at_rate(info, options.fps), options.audio)
    return replace(
        info,
        deinterlace=options.deinterlace and not info.still,
        has_alpha=info.has_alpha and not options.ignore_alpha,
    )


def plan_segments(info: VideoInfo, span: Span, most_frames: int | None = None) -> tuple[Segment, ...]:
    """Cut a span into segments of at most ten seconds or so many frames; the outer bounds stay those of the span.

    Each holds pictures.
    """
    most = Fraction(SEGMENT_SECONDS)
    length = most if most_frames is None else min(most, most_frames / info.rate)
    first = info.start if span.start is None else span.start
    last = info.start + int(info.duration / info.time_base) if info.duration else span.end or first
    if span.end is not None:
        last = min(last, span.end)
    step = int(length / info.time_base)
    latest = last - int(SHORTEST_TAIL * length / most / info.time_base)
    cuts = [first + k * step for k in _filled(info, first, step, latest) if first + k * step < latest] if step else []
    bounds = [span.start, *cuts, span.end]
    return tuple(Segment(i, Span(a, b)) for i, (a, b) in enumerate(pairwise(bounds)))


def _filled(info: VideoInfo, first: int, step: int, last: int) -> Iterable[int]:
    """Return which of the steps from `first` to `last` have pictures, but for the first one, which is number 0."""
    if not info.stretches:  # nothing but the head says how long the clip is: it has no more steps than pictures
        return range(1, min(max(last - first, 0) // step, info.frame_count) + 1)
    runs = (
        range(max(1, (begin - first) // step), (min(end, last) - first) // step + 1) for begin, end in info.stretches
    )
    return dict.fromkeys(chain.from_iterable(runs))


def job_folder(targets: Sequence[Target], source: Path) -> Path:
    """STEM.birefvideo beside the first output."""
    return targets[0].path.parent / f"{stem_of(source)}{JOB_FOLDER}"


def _seconds(time: Fraction) -> str:
    return f"{float(time):g} s"
