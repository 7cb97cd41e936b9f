"""What a timeline file says, in whole frames of one rate: the source, the alpha clip above it, and markers."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from birefvideo.colour import Colour
from birefvideo.media.timecode import advanced

MADE_BY = "made by birefvideo"
"""What every timeline file of ours holds in its head: how `Cut.mark` begins."""
RATES = (
    *map(Fraction, (24, 25, 30, 48, 50, 60, 100, 120)),
    *(Fraction(whole * 1000, 1001) for whole in (24, 30, 48, 60, 120)),
)
"""Frames a second that editors have timelines of."""
_SAME = Fraction(1, 2000)
"""Part of a rate by which a measured one may differ: 24 and 23.976 differ by twice that."""
_SLOWER = Fraction(49, 50)
"""Part of an uneven clip's mean rate that the timeline's has at least."""
_MOST_MULTIPLE, _MOST_REPEATED = 24, 60
"""Times that a picture may be repeated to fill a timeline's rate, and what that rate is at most."""
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\ufffe\uffff]")


@dataclass(frozen=True)
class Sound:
    """The sound of a file, as far as a timeline tells of it."""

    tracks: int
    """Audio streams."""
    channels: int
    """Channels of the first one."""
    rate: int
    """Samples a second of the first one."""


@dataclass(frozen=True)
class Media:
    """A file on the timeline; numbers of frames are at the timeline's rate."""

    path: Path
    """Where it lies, or will lie."""
    size: tuple[int, int]
    """Width and height of an upright picture in pixels."""
    aspect: Fraction
    """Width to height of one pixel."""
    colour: Colour
    """Its tags."""
    start: int
    """Frames from 0:00:00:00 to its first one, by its time code; 0 where it has none."""
    length: int
    """Frames from its beginning to its end."""
    first: int
    """Frames of it before the part that is used."""
    sound: Sound | None
    """Its sound, if it has any."""
    address: str | None = None
    """Its URL, where it is not on this machine."""

    @property
    def begin(self) -> int:
        """The time code of the first frame that is used, in frames."""
        return self.start + self.first

    @property
    def name(self) -> str:
        """Its file name, fit for text."""
        return plain(self.path.name)

    @property
    def url(self) -> str:
        """Its URL; of a file of this machine an absolute file:// address, percent-encoded."""
        return self.address or (self.path.parent.resolve() / self.path.name).as_uri()


@dataclass(frozen=True)
class Mark:
    """A stretch to look at."""

    frame: int
    """Where it begins, in frames from the beginning of the timeline."""
    length: int
    """How many frames it has, 1 at least."""
    words: str
    """What may be wrong there."""


@dataclass(frozen=True)
class Cut:
    """A timeline."""

    name: str
    """Its title."""
    mark: str
    """Whose it is: `MADE_BY`, and of which job."""
    rate: Fraction
    """Frames a second: one of `RATES`."""
    is_drop: bool
    """Whether labels leave out numbers to keep up with the clock."""
    start: int
    """Frames from 0:00:00:00 to its beginning."""
    length: int
    """Frames that both clips last."""
    source: Media
    """On the lower track, with its sound."""
    alpha: Media
    """On the upper track, without."""
    marks: tuple[Mark, ...] = ()
    """On the alpha clip."""
    note: str = ""
    """What its reader should know, or ''."""

    def label(self, frames: int) -> str:
        """Return the time code of a frame that is so many after 0:00:00:00."""
        return advanced(f"00:00:00{';' if self.is_drop else ':'}00", frames, round(self.rate))


def timeline_rate(rate: Fraction) -> tuple[Fraction, int]:
    """Return the rate of a timeline for a clip of a mean `rate`, and how many of its frames a picture lasts."""
    for times in range(1, _MOST_MULTIPLE + 1):
        nearest = min(RATES, key=lambda known: abs(known - rate * times))
        if times > 1 and nearest > _MOST_REPEATED:
            break
        if abs(nearest - rate * times) < _SAME * nearest:
            return nearest, times
    faster = [known for known in RATES if known >= _SLOWER * rate]
    return min(faster, default=max(RATES)), 1


def may_drop(rate: Fraction) -> bool:
    """Return whether drop-frame counting goes with a rate: 29.97 and its multiples."""
    return rate.denominator == 1001 and round(rate) % 30 == 0


def plain(text: str) -> str:
    """Return text of one line that any file can hold, bytes that are no UTF-8 and controls replaced."""
    return _CONTROLS.sub("\ufffd", os.fsencode(text).decode("utf-8", "replace"))
