"""Where a file's clock jumps, found in the times of all of its packets, and how its parts are put one after another.

A clock that steps back would lose pictures, in any format. One that jumps ahead is content (a long still), except in
formats whose clock may jump, such as transport streams: there more than LIMIT is a joint, as for players and FFmpeg.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from birefvideo.timeline import Joint, Shift, Timeline

UNKNOWN = np.iinfo(np.int64).min
"""Stands for a time that a packet does not have."""
LIMIT = 10
"""Seconds that a clock may be ahead of the picture before without being suspected."""

_EXCURSION = 16
"""Packets in a row whose times may be far outside their neighbours' before that counts as a jump of the clock."""
_REORDERED = 17
"""Packets by which a codec may reorder pictures, and one."""
_USUALLY_REORDERED = 4
"""Packets by which most encoders do."""
_AUDIBLE = Fraction(3, 100)
"""Seconds from which on a step in a sound's times is taken for a jump of the clock."""

Ticks = NDArray[np.int64]
"""Times of packets, in ticks of their stream's time_base."""


@dataclass(frozen=True)
class StreamTimes:
    """The times of all packets of one stream, in the order of the file."""

    pts: Ticks
    """When each is shown, or decoded where only that is known; UNKNOWN where neither is."""
    dts: Ticks
    """When each is decoded, or UNKNOWN."""
    duration: Ticks
    """How long each is shown; 0 where unknown."""
    order: Ticks
    """Number of each among the packets of all streams."""
    time_base: Fraction
    """Seconds a tick."""

    def part(self, places: Ticks) -> StreamTimes:
        """Return the times of the packets at some places, in order."""
        arrays = (self.pts[places], self.dts[places], self.duration[places], self.order[places])
        return StreamTimes(*arrays, self.time_base)


@dataclass(frozen=True)
class Clocks:
    """What is known of a format's clock."""

    may_jump: bool
    """Whether a jump ahead is a joint, as in transport streams."""
    keeps_decoding_times: bool
    """Whether it says when packets are decoded; else reordered pictures step back and forth."""


def usual_step(times: StreamTimes) -> int:
    """Return the usual distance of two pictures, in ticks; at least 1."""
    known = np.unique(times.pts[times.pts != UNKNOWN])
    return max(1, int(np.median(np.diff(known)))) if len(known) > 1 else max(1, int(times.duration.max(initial=0)))


def find_joints(stream: int, pictures: StreamTimes, sounds: Mapping[int, StreamTimes], clocks: Clocks) -> Timeline:
    """Return how the times of a file become one clock.

    Args:
        stream: index of the stream of pictures, which decides: it goes on without a hole.
        pictures: its times.
        sounds: the times of every audio stream, by index. A sound that jumps with the pictures is moved with them, one
            that goes on as if nothing were is left where it is.
        clocks: what the format's clock may do.
    """
    step = usual_step(pictures)
    breaks, untimed = _breaks(pictures, step, clocks)
    joints: list[Joint] = []
    added: dict[int, list[Shift]] = {index: [] for index in (stream, *sounds)}
    heads = _heads(pictures, breaks, untimed)
    total, top = 0, _top(pictures, 0, heads[0].first if heads else 0, untimed, step)
    for number, head in enumerate(heads):
        until = heads[number + 1].first if number + 1 < len(heads) else len(pictures.pts)
        shift = top - (head.earliest + total)
        places = {i: _place(sound, pictures, heads, number, shift) for i, sound in sounds.items()}
        if shift < 0 and any(place is None for place in places.values()):
            shift, places = 0, {}  # the sound goes on through the hole: a still
        if shift:
            total += shift
            seconds = total * pictures.time_base
            joints.append(Joint((head.earliest + total) * pictures.time_base, -shift * pictures.time_base))
            added[stream].append(Shift(head.first, seconds))
            for index, place in places.items():
                if place is not None:
                    before = added[index][-1].seconds if added[index] else Fraction(0)
                    added[index].append(Shift(place, before + shift * pictures.time_base))
        top = max(top, _top(pictures, head.first, until, untimed, step) + total)
    corrected = _corrected(pictures, added[stream], untimed, step)
    return Timeline(
        joints=tuple(joints),
        shifts=tuple((index, tuple(shifts)) for index, shifts in added.items() if shifts),
        corrected=((stream, corrected),) if corrected else (),
    )


def moved(times: StreamTimes, shifts: Sequence[Shift]) -> Ticks:
    """Return the pts of a stream's packets with what is added to them; UNKNOWN stays."""
    pts: Ticks = times.pts.copy()
    for shift in shifts:
        pts[shift.first :] = times.pts[shift.first :] + round(shift.seconds / times.time_base)
    pts[times.pts == UNKNOWN] = UNKNOWN
    return pts


def _corrected(times: StreamTimes, shifts: Sequence[Shift], errors: set[int], step: int) -> tuple[tuple[int, int], ...]:
    """Return (number, pts) of packets whose own times are errors: they fill the holes that they left nearby.

    Where there is no hole, as in a clip of varying rate, a packet comes right behind the ones before.
    """
    pts = moved(times, shifts)
    taken = {int(pts[i]) for i in range(len(pts)) if _is_timed(times, i, errors)} if errors else set()
    found: dict[int, int] = {}
    for number in sorted(errors, key=lambda i: int(times.pts[i])):
        near = range(max(0, number - _REORDERED), min(len(pts), number + _REORDERED + 1))
        known = sorted(int(pts[i]) for i in near if _is_timed(times, i, errors))
        known = sorted({*known, *(time for time in found.values() if known and known[0] < time < known[-1])})
        before = max((int(pts[i]) for i in near if i < number and _is_timed(times, i, errors)), default=0)
        holes = [a + step for a, b in pairwise(known) if b - a > 1.5 * step and a + step not in taken]
        found[number] = min(holes, key=lambda time: abs(time - before), default=before + max(1, step // 2))
        taken.add(found[number])
    return tuple(sorted(found.items()))


def _breaks(times: StreamTimes, step: int, clocks: Clocks) -> tuple[list[int], set[int]]:
    """Return the packets at which the clock jumps, and those whose times are an error of theirs."""
    limit = int(LIMIT / times.time_base)
    slack = max(step // 2, 1)
    depth = _depth(times.pts)
    keeps_decoding_times = clocks.keeps_decoding_times and not (times.dts == UNKNOWN).any()
    own = times.dts if keeps_decoding_times else _lowest_ahead(times.pts, depth)
    errors = _far_from_decoding(times.pts, own, limit, depth)
    numbers = np.flatnonzero(own != UNKNOWN)
    numbers = numbers[~np.isin(numbers, list(errors))] if errors else numbers
    clock = own[numbers]
    if len(clock) < 2:
        return [], errors
    tops = np.maximum.accumulate(clock)[:-1]
    if not ((clock[1:] < tops - slack) | (clock[1:] > tops + limit)).any():
        return [], errors
    breaks, more = _Walk(clock.tolist(), step, slack, limit, clocks.may_jump).run()
    if not keeps_decoding_times:
        breaks = [_first_after(times.pts[numbers], clock, place, slack) for place in breaks]
    return [int(numbers[i]) for i in breaks], errors | {int(numbers[i]) for i in more}


def _depth(pts: Ticks) -> int:
    """Return by how many packets pictures of a stream are reordered, or a little more."""
    later = np.zeros(len(pts), np.int64)
    for distance in range(1, min(_REORDERED, len(pts))):
        later[:-distance] += pts[distance:] < pts[:-distance]
    return max(_USUALLY_REORDERED, int(np.percentile(later, 95)) if len(pts) else 0)


def _lowest_ahead(pts: Ticks, depth: int) -> Ticks:
    """Return a clock for packets in order of decoding that goes on where pictures are reordered, over a still too."""
    clock = np.where(pts == UNKNOWN, np.iinfo(np.int64).max, pts)
    known = clock.copy()
    for distance in range(1, min(depth + 1, len(pts))):
        clock[:-distance] = np.minimum(clock[:-distance], known[distance:])
    result: Ticks = np.where(pts == UNKNOWN, UNKNOWN, clock)
    return result


def _first_after(pts: Ticks, clock: Ticks, place: int, slack: int) -> int:
    """Return the first packet after a jump that `_lowest_ahead` shows some packets early."""
    before = int(clock[place - 1])
    is_back = clock[place] < before
    for number in range(place, min(place + _REORDERED + 1, len(pts))):
        if (pts[number] < before - slack) == is_back:
            return number
    return place


def _far_from_decoding(pts: Ticks, dts: Ticks, limit: int, depth: int) -> set[int]:
    """Return the packets that claim to be shown long after or before they are decoded, unlike the others.

    Pictures shown after a long still do so too where they are reordered: few packets follow that are shown before.
    """
    known = (pts != UNKNOWN) & (dts != UNKNOWN)
    if not known.any():
        return set()
    delay = np.where(known, pts - np.where(known, dts, 0), 0)
    far = np.flatnonzero(known & (np.abs(delay - np.median(delay[known])) > limit))
    if len(far) * 2 >= len(delay):
        return set()
    return {int(i) for i in far if delay[i] < 0 or (pts[i + 1 : i + 1 + 4 * depth] < pts[i] - limit).sum() > depth}


class _Walk:
    """Goes through a clock that is known to jump."""

    def __init__(self, clock: Sequence[int], step: int, slack: int, limit: int, may_jump: bool) -> None:
        self._clock, self._step, self._slack, self._limit, self._may_jump = clock, step, slack, limit, may_jump

    def run(self) -> tuple[list[int], set[int]]:
        """Return the places of jumps, and of times that are errors."""
        breaks: list[int] = []
        errors: set[int] = set()
        top, place = self._clock[0], 1
        while place < len(self._clock):
            now = self._clock[place]
            if self._goes_on(now, top):
                top = max(top, now)
            elif (back := self._return(place, top)) is not None:
                errors.update(range(place, back))
                place = back
                continue
            else:
                if now < top or self._may_jump:
                    breaks.append(place)
                top = now
            place += 1
        return breaks, errors

    def _goes_on(self, now: int, top: int) -> bool:
        return top - self._slack <= now <= top + self._limit

    def _return(self, place: int, top: int) -> int | None:
        """Return where the clock jumps back to what it would be without what begins at `place`, if it soon does."""
        jump = abs(self._clock[place] - top - self._step)
        for after in range(place + 1, min(place + 1 + _EXCURSION, len(self._clock))):
            latest = top + max((after - place + 2) * self._step * 3 // 2, self._slack)
            jumps_too = abs(self._clock[after] - self._clock[after - 1]) > max(jump // 2, self._step * 3 // 2)
            if jumps_too and top - self._slack <= self._clock[after] <= latest:
                return after
        return None


@dataclass(frozen=True)
class _Head:
    """The first pictures after a jump."""

    first: int
    """Number of the first packet."""
    earliest: int
    """The earliest time among them, in the file's own ticks."""


def _heads(times: StreamTimes, breaks: Sequence[int], untimed: set[int]) -> list[_Head]:
    heads = []
    for first, until in pairwise([*breaks, len(times.pts)]):
        timed = [
            int(times.pts[i]) for i in range(first, min(first + _REORDERED, until)) if _is_timed(times, i, untimed)
        ]
        heads.append(_Head(first, min(timed)))
    return heads


def _is_timed(times: StreamTimes, number: int, untimed: set[int]) -> bool:
    return number not in untimed and bool(times.pts[number] != UNKNOWN)


def _top(times: StreamTimes, first: int, until: int, untimed: set[int], step: int) -> int:
    """Return when the last picture of a run of packets ends."""
    numbers = [i for i in range(first, until) if _is_timed(times, i, untimed)]
    last = max(numbers, key=lambda i: int(times.pts[i]), default=None)
    return 0 if last is None else int(times.pts[last]) + (int(times.duration[last]) or step)


def _place(sound: StreamTimes, pictures: StreamTimes, heads: Sequence[_Head], number: int, shift: int) -> int | None:
    """Return the packet from which on a sound is on the clock after a jump of the pictures; None where it goes on.

    The sound's own jump need not lie beside the pictures' in the file, nor be as long: of the ones in the same
    direction, the nearest before the next jump of the pictures counts.
    """
    orders = [int(pictures.order[head.first]) for head in heads]
    here = orders[number]
    lowest = (orders[number - 1] + here) // 2 if number else -1
    highest = (orders[number + 1] + here) // 2 if number + 1 < len(orders) else int(sound.order[-1]) + 1
    numbers = np.flatnonzero((sound.order > lowest) & (sound.order <= highest) & (sound.pts != UNKNOWN))
    end = float(heads[number].earliest * pictures.time_base)
    seconds = float(shift * pictures.time_base)
    times = sound.pts[numbers] * float(sound.time_base)
    if seconds < 0 and ((times > end + seconds + 1) & (times < end - 1)).any():
        return None
    numbers = numbers[numbers > 0]
    jumps = (sound.pts[numbers] - sound.pts[numbers - 1] - sound.duration[numbers - 1]) * float(sound.time_base)
    found = numbers[jumps < -float(_AUDIBLE) if seconds > 0 else jumps > -0.8 * seconds]
    if len(found):
        return int(min(found, key=lambda i: abs(int(sound.order[i]) - here)))
    following = int(np.searchsorted(sound.order, here))
    return following if following in (0, len(sound.order)) else None
