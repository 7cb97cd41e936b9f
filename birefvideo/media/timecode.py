"""Time code: the label hh:mm:ss:ff of a picture, counted on and written again (SMPTE ST 12-1)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

_LABEL = re.compile(r"(\d\d):([0-5]\d):([0-5]\d)([:;.,])(\d{2,3})")
_DROP_RATE = Fraction(30000, 1001)
_PARENTS = frozenset({b"moov", b"trak", b"mdia", b"minf", b"stbl"})


@dataclass(frozen=True)
class Timecode:
    """What a clip's time code is at one moment, and how fast it counts."""

    label: str
    """hh:mm:ss:ff; ';' before the frames where the count drops numbers to keep up with the clock."""
    rate: Fraction
    """Labels a second: a whole number, or that times 1000/1001."""
    time: Fraction
    """The moment that bears the label, in seconds on the source's clock."""

    def at(self, time: Fraction) -> str:
        """Return the label of another moment, to the nearest frame."""
        return advanced(self.label, round((time - self.time) * self.rate), round(self.rate))

    def seconds(self, time: Fraction) -> Fraction:
        """Return how long after 0:00:00:00 the label of a moment is."""
        return counted(self.at(time), round(self.rate)) / self.rate


def make_timecode(label: str, rate: Fraction, time: Fraction) -> Timecode | None:
    """Return the time code of a clip, or None where `label` is none or does not go with `rate`.

    Args:
        label: as a file has it.
        rate: labels a second, or a measurement of it; a drop-frame label of a clip that does not run at a multiple of
            29.97 a second counts at 29.97.
        time: the moment that bears the label, in seconds.
    """
    found = _LABEL.fullmatch(label.strip())
    if found is None or rate < 1:
        return None
    whole = round(rate)
    drops = found[4] != ":"
    exact = min(Fraction(whole), Fraction(whole * 1000, 1001), key=lambda nominal: abs(nominal - rate))
    if drops:
        exact = _DROP_RATE if whole % 30 else Fraction(whole * 1000, 1001)
    if int(found[5]) >= round(exact):
        return None
    return Timecode(f"{found[1]}:{found[2]}:{found[3]}{';' if drops else ':'}{found[5]}", exact, time)


def advanced(label: str, frames: int, rate: int) -> str:
    """Return the label `frames` pictures later, or earlier; midnight is followed by 0.

    With drop-frame counting, the first two frame numbers (four at 60 a second) of every minute are left out, but for
    each tenth minute.

    Args:
        label: hh:mm:ss:ff, or hh:mm:ss;ff for drop-frame counting.
        frames: how far to go.
        rate: frame numbers a second.
    """
    sign = _parsed(label)[4]
    dropped = rate // 15 if sign == ";" else 0
    one, ten = 60 * rate - dropped, 600 * rate - 9 * dropped  # labels of a minute and of ten
    tens, rest = divmod((counted(label, rate) + frames) % (144 * ten), ten)
    # The first minute of ten has all its numbers, so it is longer by those dropped from each other.
    rest += dropped * max(0, (rest - dropped) // one)
    seconds, number = divmod(600 * rate * tens + rest, rate)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}{sign}{number:02d}"


def counted(label: str, rate: int) -> int:
    """Return how many pictures after 0:00:00:00 a label is, at `rate` frame numbers a second; see `advanced`."""
    found = _parsed(label)
    minutes = 60 * int(found[1]) + int(found[2])
    dropped = rate // 15 if found[4] == ";" else 0
    return (60 * minutes + int(found[3])) * rate + int(found[5]) - dropped * (minutes - minutes // 10)


def _parsed(label: str) -> re.Match[str]:
    found = _LABEL.fullmatch(label)
    assert found is not None, f"{label} was parsed before"
    return found


def track_rate(path: Path) -> Fraction | None:
    """Return labels a second of the first time code track of a QuickTime or MP4 file, or None where it has none.

    It may differ from the pictures' rate, such as 29.97 with pictures at 59.94. From the track's sample description
    (QuickTime File Format, "Timecode sample description"), which FFmpeg does not hand out.
    """
    with path.open("rb") as file:
        for entry in _descriptions(file, path.stat().st_size):
            ticks, step = int.from_bytes(entry[24:28], "big"), int.from_bytes(entry[28:32], "big")
            if entry[4:8] == b"tmcd" and ticks and step:
                return Fraction(ticks, step)
    return None


def _descriptions(file: BinaryIO, end: int) -> Iterator[bytes]:
    """Yield the head of the first sample description of every track in a file's stretch from here to `end`."""
    while file.tell() + 8 <= end:
        start, header = file.tell(), file.read(8)
        size, name = int.from_bytes(header[:4], "big"), header[4:]
        if size == 1:
            size = int.from_bytes(file.read(8), "big")
        if name in _PARENTS:
            yield from _descriptions(file, min(end, start + size) if size else end)
        elif name == b"stsd":
            file.seek(8, 1)
            yield file.read(32)
        if size < 8:  # 0: to the end of the file; others are damage
            return
        file.seek(start + size)
