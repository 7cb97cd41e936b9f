"""A clip's clock made one: where a file's times jump, and what is added to them so that they go on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, TypeVar

from av.packet import Packet

_P = TypeVar("_P", bound="Packet[Any]")


@dataclass(frozen=True)
class Joint:
    """A place where a file's clock jumps and its pictures go on."""

    time: Fraction
    """When the first picture after the jump is shown, in seconds on the closed clock."""
    jump: Fraction
    """Seconds that the file's clock jumps; negative: back."""


@dataclass(frozen=True)
class Shift:
    """What is added to the times of one stream from one of its packets on."""

    first: int
    """Number of the packet in its stream, counted from 0 at the start of the file; packets without data do not count.
    """
    seconds: Fraction
    """What is added, in all; 0 again where the clock returns."""


@dataclass(frozen=True)
class Timeline:
    """How the times of a file become one clock that never steps back: the same for pictures and sound.

    Times may repeat in such a file, so that a packet is known by its number alone: where `is_closed(stream)` is true,
    read the stream from the file's start, without seeking, through `closed`. All other streams are read as they are.
    """

    joints: tuple[Joint, ...] = ()
    """Where the clock jumps, in order."""
    shifts: tuple[tuple[int, tuple[Shift, ...]], ...] = ()
    """(index of a stream, its shifts in order of packets) of every stream whose times change."""
    corrected: tuple[tuple[int, tuple[tuple[int, int], ...]], ...] = ()
    """(index of a stream, (number of a packet, its pts in ticks) in order) of packets whose own times are an error: far
    outside their neighbours', or that of another picture."""
    finer: tuple[tuple[int, int], ...] = ()
    """(index of a stream, into how many ticks of the clip's each of its ticks in the file is cut), where pictures that
    have one time in the file are told apart so. The ticks in `corrected` are the finer ones."""
    unordered: bool = False
    """Whether pictures' times need not be in the order in which they are shown, so that they are to be sorted."""
    repeats: int = 0
    """Pictures that have the time of another one in the file."""

    def is_closed(self, stream: int) -> bool:
        """Whether the times of a stream are others than the file says, so that it is to be read through `closed`."""
        return stream in dict(self.shifts) or stream in dict(self.corrected)

    def closed(self, packets: Iterable[_P]) -> Iterator[_P]:
        """Yield packets of any streams, from the file's first one on, with their times on the closed clock.

        Packets are changed in place.
        """
        shifts, finer = dict(self.shifts), dict(self.finer)
        corrected = {stream: dict(times) for stream, times in self.corrected}
        if not shifts and not corrected:
            yield from packets
            return
        counts: Counter[int] = Counter()
        for packet in packets:
            if packet.size:
                index, number = packet.stream.index, counts[packet.stream.index]
                counts[index] += 1
                _cut_ticks(packet, finer.get(index, 1))
                if number in corrected.get(index, ()):
                    packet.pts, packet.dts = corrected[index][number], None
                elif index in shifts:
                    _move(packet, _shift_at(shifts[index], number))
            yield packet


def _shift_at(shifts: Sequence[Shift], number: int) -> Fraction:
    return next((shift.seconds for shift in reversed(shifts) if number >= shift.first), Fraction(0))


def _cut_ticks(packet: Packet[Any], parts: int) -> None:
    """Give a packet a time base that is finer by a whole number, and the same times."""
    if parts == 1 or packet.time_base is None:
        return
    pts, dts, duration = packet.pts, packet.dts, packet.duration
    packet.time_base /= parts
    packet.pts = None if pts is None else pts * parts
    packet.dts = None if dts is None else dts * parts
    packet.duration = (duration or 0) * parts


def _move(packet: Packet[Any], seconds: Fraction) -> None:
    if not seconds or packet.time_base is None:
        return
    ticks = round(seconds / packet.time_base)
    packet.pts = None if packet.pts is None else packet.pts + ticks
    packet.dts = None if packet.dts is None else packet.dts + ticks
