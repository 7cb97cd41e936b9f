"""The tag by which Matroska's writers say when a track ends, since the track itself has no place for it."""

from __future__ import annotations

import re
from fractions import Fraction

from av.stream import Stream

_CLOCK = re.compile(r"(\d{1,6}):(\d\d):(\d\d(?:\.\d{1,12})?)", re.ASCII)


def tagged_end(stream: Stream) -> Fraction | None:
    """Return when a track ends, in seconds, by the tag that mkvmerge and FFmpeg write, or None without one."""
    clock = _CLOCK.fullmatch(stream.metadata.get("DURATION", ""))
    if clock is None:
        return None
    hours, minutes, seconds = map(Fraction, clock.groups())
    return 3600 * hours + 60 * minutes + seconds
