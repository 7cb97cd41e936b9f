"""What a job will do, fixed before it starts: outputs, segments, and everything that decides their bytes."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import torch

from birefvideo.errors import OptionError, OutputError
from birefvideo.frames import Span, VideoInfo
from birefvideo.media.formats import Format, format_for_suffix, get_format

SEGMENT_SECONDS = 10
"""Length of a segment: what a killed job loses at most."""
SHORTEST_TAIL = Fraction(5, 2)
"""Seconds under which a last segment is joined to the one before."""
DEFAULT_FORMATS = ("prores", "green")


@dataclass(frozen=True)
class Options:
    """What the user can choose about the pictures; every field decides bytes."""

    model: str = "auto"
    """Variant name, 'auto', checkpoint folder or weights file."""
    background: tuple[int, int, int] = (0, 177, 64)
    """RGB, 8 bit, under the composite."""
    smooth: int = 2
    """Radius of temporal smoothing in frames; 0 is off."""
    start: Fraction | None = None
    """Seconds from the clip's first frame at which the output begins."""
    end: Fraction | None = None
    """Seconds from the clip's first frame at which it ends."""
    device: str = "auto"
    """auto, cuda, cuda:N, mps or cpu."""
    batch: int | None = None
    """Frames a batch; None: by device."""

    def __post_init__(self) -> None:
        if not isinstance(self.smooth, int) or self.smooth < 0:
            raise OptionError(f"--smooth is {self.smooth}, must be 0 (off) or a radius in frames")
        if self.batch is not None and (not isinstance(self.batch, int) or self.batch < 1):
            raise OptionError(f"--batch is {self.batch}, must be at least 1")
        if not isinstance(self.model, str):
            raise OptionError(f"model is a {type(self.model).__name__}, must be a name, a folder or a weights file")


@dataclass(frozen=True)
class Target:
    """One output file."""

    format: Format
    """What is written."""
    path: Path
    """Its final name."""


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

    def manifest(self) -> str:
        """Everything that decides the outputs' bytes, as JSON: equal text, equal bytes."""
        return json.dumps(
            {
                "input": _fingerprint(self.source.path),
                "targets": {t.path.name: t.format.name for t in self.targets},
                "segments": [[s.span.start, s.span.end] for s in self.segments],
                "options": {k: str(v) for k, v in asdict(self.options).items()},
                "settings": self.settings,
                "versions": _versions(),
            },
            indent=1,
            sort_keys=True,
        )


def plan_targets(source: Path, out: Path | None, names: Sequence[str]) -> tuple[Target, ...]:
    """Where the outputs of one input go: beside it, into the folder `out`, or to the file `out`.

    `out` with a known suffix names a file, if `names` holds at most one format and agrees; else it is a folder.

    Raises:
        OptionError: a format is unknown, or `out` does not go with the formats.
    """
    if out is not None and out.suffix.lower() in (".mov", ".mp4", ".webm", ".mkv") and not out.is_dir():
        wanted = get_format(names[0]) if names else format_for_suffix(out)
        if len(set(names)) > 1:
            raise OptionError(f"{out} names one file, but {len(set(names))} formats are asked for: name a folder")
        if wanted.extension != out.suffix.lower():
            raise OptionError(f"{out} does not go with --to {wanted.name}, which makes a {wanted.extension} file")
        return (Target(wanted, out),)
    if out is not None and out.suffix.lower() in (".avi", ".mpg", ".wmv", ".m4v", ".gif", ".png") and not out.is_dir():
        raise OptionError(f"{out} is not a kind of file that can be written: end it with .mov, .mp4 or .webm")
    folder = out or source.parent
    formats = [get_format(name) for name in dict.fromkeys(names or DEFAULT_FORMATS)]
    return tuple(Target(f, folder / f"{source.stem}{f.suffix}") for f in formats)


def check_distinct(jobs: Mapping[Path, Sequence[Target]]) -> None:
    """Refuses inputs of one command whose outputs would be each other, or another input.

    Raises:
        OptionError: names the two.
    """
    makers: dict[Path, Path] = {}
    inputs = {source.resolve() for source in jobs}
    for source, targets in jobs.items():
        for target in targets:
            path = target.path.resolve()
            if path in inputs - {source.resolve()}:
                raise OptionError(f"{source} would overwrite the input {target.path}: choose another folder with -o")
            other = makers.setdefault(path, source)
            if other is not source:
                raise OptionError(f"{other} and {source} would both write {target.path}: run them with different -o")


def check_targets(source: Path, targets: Sequence[Target]) -> None:
    """Refuses outputs that are the input itself or a folder, or whose folder cannot be written.

    Raises:
        OutputError: as above; nothing has been written by then.
    """
    for target in targets:
        path = target.path
        if path.is_dir():
            raise OutputError(f"{path} is a folder: remove it or choose another -o")
        try:
            if path.exists() and path.samefile(source):
                raise OutputError(f"{path} is the input itself: choose another -o")
            path.parent.mkdir(parents=True, exist_ok=True)
            probe = path.parent / f".birefvideo-{os.getpid()}"
            probe.touch()
            probe.unlink()
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise OutputError(f"cannot write into {path.parent} ({reason}): choose another folder with -o") from error


def check_free(targets: Sequence[Target]) -> None:
    """Refuses outputs that exist.

    Raises:
        OutputError: names the first.
    """
    for target in targets:
        if target.path.exists():
            raise OutputError(f"{target.path} exists already: pass --overwrite to replace it, or choose another -o")


def trimmed_span(info: VideoInfo, start: Fraction | None, end: Fraction | None) -> Span:
    """The part of the clip between two times, counted in seconds from its first frame.

    Raises:
        OptionError: the times are negative, in the wrong order, or past the clip's end.
    """
    if start is not None and start < 0:
        raise OptionError(f"--start is {_seconds(start)}, must not be negative")
    if end is not None and end <= (start or 0):
        raise OptionError(f"--end {_seconds(end)} is not after --start {_seconds(start or Fraction(0))}")
    if start is not None and info.duration and start >= info.duration:
        raise OptionError(f"--start {_seconds(start)} is past the end of {info.path.name} ({_seconds(info.duration)})")

    def ticks(time: Fraction | None) -> int | None:
        return None if time is None else info.start + -int(-time // info.time_base)

    return Span(ticks(start), ticks(end))


def plan_segments(info: VideoInfo, span: Span) -> tuple[Segment, ...]:
    """Cuts a span into segments of about ten seconds; the outer bounds stay those of the span."""
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
    return targets[0].path.parent / f"{source.stem}.birefvideo"


def _seconds(time: Fraction) -> str:
    return f"{float(time):g} s"


def _fingerprint(path: Path) -> dict[str, Any]:
    """Identifies a file without reading all of it: size, and a hash of its head and tail."""
    size = path.stat().st_size
    digest = hashlib.sha256()
    with path.open("rb") as file:
        digest.update(file.read(1 << 20))
        file.seek(max(0, size - (1 << 20)))
        digest.update(file.read(1 << 20))
    changed = path.stat().st_mtime_ns
    return {"name": path.name, "size": size, "changed": changed, "sha256_of_ends": digest.hexdigest()}


@cache
def _versions() -> dict[str, Any]:
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
