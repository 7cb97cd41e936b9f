"""What an output is meant to hold, what it was found to hold, and how a difference is reported."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

from birefvideo.errors import OutputError
from birefvideo.media.notes import Note


@dataclass(frozen=True)
class Sound:
    """One audio stream of an output, as it was read and written."""

    codec: str
    """FFmpeg's codec name in the output."""
    copied: bool
    """Whether the source's packets were kept."""
    start: Fraction
    """Where it begins to be heard, in seconds on the output's clock."""
    end: Fraction
    """Where it ends."""
    grain: Fraction
    """Seconds of one packet: how exact start and end are."""
    channels: int
    """Number of channels."""
    note: Note | None = None
    """What was wrong with the source's stream."""


@dataclass(frozen=True)
class Expected:
    """What an output is meant to hold."""

    pts: Sequence[int]
    """Every picture's time, in ticks of the source's time_base, in order."""
    origin: Fraction
    """The source's time, in seconds, that is the output's 0."""
    last_duration: int = 0
    """How long the last picture is shown, in ticks; 0 where unknown."""
    sounds: Sequence[Sound] = field(default=())
    """The audio streams, in order."""
    coverage: Sequence[float] = ()
    """Mean alpha of every picture, 0 to 1, in order; empty where unknown."""


@dataclass(frozen=True)
class Verification:
    """What an output was found to hold."""

    frames: int
    """Number of pictures."""
    decoded: int
    """How many of them were decoded."""
    duration: Fraction
    """Seconds from the file's 0 to the last picture's end."""
    worst_time_error: Fraction
    """Largest difference between a picture's time and its source's, in seconds."""
    audio_streams: int
    """Number of audio streams."""
    worst_coverage_error: float | None = None
    """Largest difference between a decoded picture's mean alpha and the matte's, or None where none was compared."""


def wrong(output: Path, what: str) -> OutputError:
    """Return what a difference is to the user."""
    return OutputError(f"{output.name} failed verification: {what}; run again, and report it if it happens again")


def apart(*times: Fraction) -> tuple[str, ...]:
    """Return times in seconds, for a message, with digits enough to tell those apart that differ."""
    for digits in (3, 6, 9):
        texts = tuple(f"{float(time):.{digits}f}" for time in times)
        if len(set(texts)) == len(set(times)):
            return texts
    return tuple(str(time) for time in times)
