"""What a job will do, fixed before it starts: outputs, segments, and everything that decides their bytes."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from fractions import Fraction
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import torch

from birefvideo.errors import InputError, OptionError, OutputError, named
from birefvideo.frames import Span, VideoInfo
from birefvideo.jobs.options import Options
from birefvideo.json_files import parse_json_object
from birefvideo.media.format_table import FORMATS, Format, format_for_suffix, get_formats
from birefvideo.media.reading.numbered_pictures import at_rate, members, stem_of
from birefvideo.media.sequence_json import is_sequence
from birefvideo.media.writing.audio import with_tracks
from birefvideo.media.writing.availability import check_available
from birefvideo.media.writing.proxy import MATTE_PROXY, SOURCE_PROXY, proxy_info
from birefvideo.paths import check_name

SEGMENT_SECONDS = 10
"""Length of a segment: what a killed job loses at most."""
SHORTEST_TAIL = Fraction(5, 2)
"""Seconds under which a last segment is joined to the one before."""
DEFAULT_FORMATS = ("prores", "green")
_FILES = {row.extension for row in FORMATS.values()} - {""}
MANIFEST = "manifest.json"
"""Name of the plan as a job's folder keeps it."""


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
    settings: dict[str, Any] = field(default_factory=dict)
    """What was resolved from the options: model, weights' hash, device, dtype, batch, threads."""

    @property
    def delivered(self) -> tuple[Target, ...]:
        """The outputs that were asked for."""
        return tuple(target for target in self.targets if target.delivered)

    def shown(self, target: Target) -> VideoInfo:
        """Return what the clip is as an output has it."""
        return self.source if target.delivered else proxy_info(self.source)

    def manifest(self) -> str:
        """Everything that decides the outputs' bytes, as JSON: equal text, equal bytes."""
        background = self.options.background
        return json.dumps(
            {
                "input": _fingerprint(self.source.path),
                "background": _fingerprint(background) if isinstance(background, Path) else None,
                "targets": {t.path.name: t.format.name for t in self.targets},
                "segments": [[s.span.start, s.span.end] for s in self.segments],
                "options": {k: str(v) for k, v in asdict(self.options).items()},
                "settings": self.settings,
                "versions": versions(),
            },
            indent=1,
            sort_keys=True,
        )


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
    try:
        earlier = (plan.folder / MANIFEST).read_text()
        batch = parse_json_object(earlier, MANIFEST)["settings"]["batch"]
    except (OSError, ValueError, LookupError, TypeError):
        return plan
    kept = replace(plan, settings=plan.settings | {"batch": batch})
    return kept if isinstance(batch, int) and kept.manifest() == earlier else plan


def plan_targets(source: Path, out: Path | None, names: Sequence[str]) -> tuple[Target, ...]:
    """Where the outputs of one input go: beside it, into the folder `out`, or to the file `out`.

    `out` with a known suffix names a file, if `names` holds at most one format and agrees; else it is a folder.

    Raises:
        OptionError: a format is unknown, or `out` does not go with the formats.
        InputError: the input has a name that no file can have.
        OutputError: an output would have such a name.
    """
    check_name(source, InputError, "check the name")
    if out is not None:
        check_name(out, OutputError, f"choose another {named('out')}")
    targets = _named_targets(source, out, names)
    for path in (*(target.path for target in targets), job_folder(targets, source)):
        check_name(path, OutputError, "rename the input")
    return targets


def _named_targets(source: Path, out: Path | None, names: Sequence[str]) -> tuple[Target, ...]:
    if out is not None and out.suffix.lower() in _FILES and not out.is_dir():
        asked = get_formats(names) or [format_for_suffix(out)]
        if len(asked) > 1:
            raise OptionError(f"{out} names one file, but {len(asked)} formats are asked for: name a folder")
        (wanted,) = asked
        check_available(wanted)
        if wanted.extension != out.suffix.lower():
            raise OptionError(
                f"{out} does not go with {named('to', wanted.name)}, which makes a {wanted.extension} file"
            )
        return (Target(wanted, out),)
    if out is not None and out.suffix.lower() in (".avi", ".mpg", ".wmv", ".m4v", ".png") and not out.is_dir():
        raise OptionError(f"{out} is not a kind of file that can be written: end it with {', '.join(sorted(_FILES))}")
    folder = out or (source.resolve() if source.is_dir() else source).parent
    formats = get_formats(names or DEFAULT_FORMATS)
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


def check_distinct(jobs: Mapping[Path, Sequence[Target]]) -> None:
    """Refuse inputs of one command whose outputs would be each other, or another input.

    Raises:
        OptionError: names the two.
    """
    makers: dict[Path, Path] = {}
    inputs = {source.resolve() for source in jobs}
    for source, targets in jobs.items():
        for target in targets:
            path = target.path.resolve()
            if path in inputs - {source.resolve()}:
                raise OptionError(
                    f"{source} would overwrite the input {target.path}: choose another folder with {named('out')}"
                )
            other = makers.setdefault(path, source)
            if other is not source:
                raise OptionError(
                    f"{other} and {source} would both write {target.path}: run them with different {named('out')}"
                )


def check_targets(source: Path, targets: Sequence[Target]) -> None:
    """Refuse outputs that are the input itself or a folder not of our pictures, or whose folder cannot be written.

    Raises:
        OutputError: as above; nothing has been written by then.
    """
    for target in targets:
        path = target.path
        try:
            if path.is_dir() and not (target.format.is_sequence and is_sequence(path)):
                raise OutputError(f"{path} is a folder: remove it or choose another {named('out')}")
            if target.format.is_sequence and path.is_file():
                raise OutputError(
                    f"{path} is a file where a folder is to be: remove it or choose another {named('out')}"
                )
            if path.exists() and source.exists() and path.samefile(source):
                raise OutputError(f"{path} is the input itself: choose another {named('out')}")
            # Folders that are missing are made when there is something to put into them.
            nearest = next(folder for folder in path.absolute().parents if folder.exists())
            probe = nearest / f".birefvideo-{os.getpid()}"
            probe.touch()
            probe.unlink()
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise OutputError(
                f"cannot write into {path.parent} ({reason}): choose another folder with {named('out')}"
            ) from error


def check_free(targets: Sequence[Target], page: Path | None = None) -> None:
    """Refuse outputs, and a review page, that exist.

    Raises:
        OutputError: names the first.
    """
    for path in [*(target.path for target in targets), *([page] if page else [])]:
        if path.exists():
            replaces = f"pass {named('overwrite', True)} to replace it"
            raise OutputError(f"{path} exists already: {replaces}, or choose another {named('out')}")


def trimmed_span(info: VideoInfo, start: Fraction | None, end: Fraction | None) -> Span:
    """Return the part of the clip between two times (see `Options`), counted in seconds from its first frame.

    Raises:
        OptionError: `start` is past the clip's end.
    """
    if start is not None and info.duration and start >= info.duration:
        raise OptionError(
            f"{named('start')} {_seconds(start)} is past the end of {info.path.name} ({_seconds(info.duration)})"
        )

    def ticks(time: Fraction | None) -> int | None:
        return None if time is None else info.start + -int(-time // info.time_base)

    return Span(ticks(start), ticks(end))


def as_asked(info: VideoInfo, options: Options) -> VideoInfo:
    """Return what a clip is when it is read as the options want: its rate, its tracks, its fields.

    Raises:
        OptionError: the rate is given for a video, which has its own times.
    """
    return replace(with_tracks(at_rate(info, options.fps), options.audio), deinterlace=options.deinterlace)


def plan_segments(info: VideoInfo, span: Span) -> tuple[Segment, ...]:
    """Cut a span into segments of about ten seconds; the outer bounds stay those of the span."""
    first = info.start if span.start is None else span.start
    last = info.start + int(info.duration / info.time_base) if info.duration else span.end or first
    if span.end is not None:
        last = min(last, span.end)
    step = int(SEGMENT_SECONDS / info.time_base)
    cuts = list(range(first + step, last - int(SHORTEST_TAIL / info.time_base), step)) if step else []
    bounds = [span.start, *cuts, span.end]
    return tuple(Segment(i, Span(a, b)) for i, (a, b) in enumerate(pairwise(bounds)))


def job_folder(targets: Sequence[Target], source: Path) -> Path:
    """STEM.birefvideo beside the first output."""
    return targets[0].path.parent / f"{stem_of(source)}.birefvideo"


def _seconds(time: Fraction) -> str:
    return f"{float(time):g} s"


def _fingerprint(path: Path) -> dict[str, Any]:
    """Identify a file without reading all of it, by size, head and tail; pictures by names, sizes and times."""
    if path.is_dir() or not path.exists():
        stats = [(file.name, file.stat()) for file in members(path)]
        return {"name": path.name, "pictures": [[name, stat.st_size, stat.st_mtime_ns] for name, stat in stats]}
    size = path.stat().st_size
    digest = hashlib.sha256()
    with path.open("rb") as file:
        digest.update(file.read(1 << 20))
        file.seek(max(0, size - (1 << 20)))
        digest.update(file.read(1 << 20))
    changed = path.stat().st_mtime_ns
    return {"name": path.name, "size": size, "changed": changed, "sha256_of_ends": digest.hexdigest()}


@cache
def versions() -> dict[str, Any]:
    """Everything but the plan that decides bytes: our own code too, so that an update mixes no two mattes."""
    code = hashlib.sha256()
    for module in sorted(Path(__file__).parent.parent.rglob("*.py")):
        code.update(module.read_bytes())
    return {
        "birefvideo": code.hexdigest(),
        "torch": torch.__version__,
        "av": av.__version__,
        "ffmpeg": {name: list(version) for name, version in av.library_versions.items()},
        "numpy": np.__version__,
        "cv2": cv2.__version__,
    }
