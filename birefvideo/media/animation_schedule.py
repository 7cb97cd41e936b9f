"""Which pictures of a clip a short animation shows, and when: planned from times alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from birefvideo.errors import OptionError, named
from birefvideo.frames import Span, VideoInfo
from birefvideo.media.output_format import Format

LONGEST = 60
"""Seconds of an animation, at most: players load all of it, and it has no sound."""


def is_shown(time: Fraction, before: Fraction | None, format: Format) -> bool:
    """Return whether a picture at `time`, in seconds, is kept, where the one kept before it began at `before`.

    Browsers play what is shown for 10 ms or less at ten pictures a second, and GIF counts in 10 ms.
    """
    return before is None or time - before >= format.shortest


def shown_until(last: Fraction, end: Fraction, format: Format) -> Fraction:
    """Return when an animation ends whose last picture begins at `last` in a clip that ends at `end`.

    All in seconds from its first picture. A trimmed clip's last picture may be shown for long, and APNG counts no
    picture longer than 65 s.
    """
    return max(last + format.shortest, min(end, Fraction(LONGEST)))


@dataclass(frozen=True)
class Schedule:
    """Which pictures an animation shows, and when."""

    indices: tuple[int, ...]
    """Which of the pictures are kept."""
    ticks: tuple[int, ...]
    """When each of those begins, from 0 on, and last when the last one ends."""

    @property
    def durations(self) -> list[int]:
        """How long each picture is shown, in ticks."""
        return [after - before for before, after in zip(self.ticks, self.ticks[1:], strict=False)]


def schedule(times: Sequence[Fraction], end: Fraction, format: Format) -> Schedule:
    """Plan an animation of pictures that begin at `times` and end with `end`, in seconds; its 0 is the first one's.

    Times, not lengths, are rounded, so that errors do not add up.
    """
    assert format.clock is not None, "animations have a clock of their own"
    indices: list[int] = []
    before: Fraction | None = None
    for index, time in enumerate(times):
        if is_shown(time, before, format):
            indices.append(index)
            before = time
    ticks = [round((times[index] - times[0]) * format.clock) for index in indices]
    least = ticks[-1] + -int(-format.shortest * format.clock // 1)
    until = shown_until(times[indices[-1]] - times[0], end - times[0], format)
    return Schedule(tuple(indices), (*ticks, max(least, round(until * format.clock))))


def check_length(formats: Iterable[Format], info: VideoInfo, span: Span) -> None:
    """Refuse a span that is longer than an animation may be.

    Raises:
        OptionError: as above. Where the clip does not say its length, writing it may raise OutputError instead.
    """
    begin = info.start if span.start is None else span.start
    ends = [] if span.end is None else [Fraction(span.end)]
    if info.duration:
        ends.append(info.start + info.duration / info.time_base)
    seconds = (min(ends, default=Fraction(begin)) - begin) * info.time_base
    for format in formats:
        if format.is_animation and seconds > LONGEST:
            raise OptionError(
                f"{too_long(format)}, not {float(seconds):g} s: choose a part with {named('start')} and {named('end')}"
            )


def too_long(format: Format) -> str:
    """Return the beginning of a message about a format's longest span."""
    return f"{named('to', format.name)} is for up to {LONGEST} s"
