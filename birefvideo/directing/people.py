"""Who the runs of a clip are: people kept apart where they meet, and known again where they return."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import permutations, product

import numpy as np
from numpy.typing import NDArray

from birefvideo.directing.coarse import CoarseClip
from birefvideo.directing.layers import Shares
from birefvideo.directing.pieces import likeness
from birefvideo.directing.runs import SMALL, Meeting, Run
from birefvideo.matting.grid import Mask

_PART_SECONDS, _PART_SHARE = 2.0, 0.1
"""What leaves or joins another as a small part is a part of it, unless it is apart this long and this large."""
_BEHIND = 0.6
"""Share of the narrower one's width that two parts of one person have in common: they are above each other."""
_ALONE_SECONDS = 0.5
"""How long a piece that parts from a person is apart before it counts as a second one."""
_SAME, _SAME_IF_ALONE, _CLEARLY = 0.6, 0.45, 0.08
"""Likeness from which on somebody is known again, where others or nobody else may be meant; and how much it is more."""
_COLOUR = 2.0
"""Weight of colour against place where people part."""
_SURE = 0.3
"""By how much the best answer to who is who is better than the next, if it is sure."""
_MOST = 5
"""People of one meeting who are told apart by trying all answers."""


@dataclass
class Person:
    """Somebody, or something that is by itself."""

    number: int
    """Counted from 0."""
    looks: NDArray[np.float64]
    """Histogram of the colours seen so far, times their frames."""
    frames: int = 0
    """Frames by which the colours are known."""
    last: int = 0
    """The last frame in which they were seen."""


@dataclass
class People:
    """Gives runs their people, in order of time."""

    clip: CoarseClip
    """The clip."""
    all: list[Person] = field(default_factory=list)
    """By number."""
    notes: list[str] = field(default_factory=list)
    """Where it is not sure who is who."""

    @property
    def looks(self) -> dict[int, NDArray[np.float64]]:
        """Histograms by people's numbers."""
        return {person.number: person.looks / max(1, person.frames) for person in self.all if person.frames}

    def enter(self, run: Run, others: Sequence[Run]) -> None:
        """Name a run that begins by itself.

        Args:
            run: the run.
            others: those that are in its first frame as well.
        """
        if run.owner is None:
            run.owner = _one_with_hand(run, others)
        if run.owner is not None and self._is_part(run, run.owner):
            return
        run.owner = None
        self._name(run, others)

    def meet(self, meeting: Meeting, shares: Shares, masks: Sequence[Mask], others: Sequence[Run]) -> None:
        """Name the runs that come of a meeting.

        Args:
            meeting: the meeting.
            shares: who was where in the frame before.
            masks: of the runs that come of it.
            others: the runs in its frame.
        """
        people = sorted({p for run in meeting.before for p in run.people})
        if len(meeting.after) == 1:
            meeting.after[0].people = self._without_parts(meeting.before, people)
            return
        costs = {
            (p, i): _found_in(shares.get(p), mask) + _COLOUR * self._likeness(p, run)
            for i, (run, mask) in enumerate(zip(meeting.after, masks, strict=True))
            for p in people
        }
        self._share_out(meeting, people, costs)
        for run in meeting.after:
            if not run.people:
                self._part_or_new(run, meeting, others)
        for run in meeting.after:
            self.see(run)

    def see(self, run: Run) -> None:
        """Learn how somebody looks from a run that is theirs alone."""
        if len(run.people) == 1:
            person, count = self.all[run.people[0]], len(run.pieces)
            person.looks = person.looks + run.colours(self.clip) * count
            person.frames += count

    def _is_part(self, run: Run, owner: Run) -> bool:
        seconds = self.clip.seconds(run.last) - self.clip.seconds(run.first)
        return seconds < _PART_SECONDS or run.area < _PART_SHARE * owner.area

    def _name(self, run: Run, others: Sequence[Run]) -> None:
        """Give a run to somebody who was here before and is not now, or to somebody new."""
        here = {p for other in others if other is not run for p in other.people}
        lost = [person for person in self.all if person.number not in here and person.frames]
        ranked = sorted(((self._likeness(p.number, run), p.number) for p in lost), reverse=True)
        best = ranked[0][0] if ranked else 0.0
        if ranked and best >= (_SAME if len(ranked) > 1 else _SAME_IF_ALONE):
            if len(ranked) > 1 and best - ranked[1][0] < _CLEARLY:
                self._doubt(run.first, "somebody comes back who looks like two of those who left")
            elif best < _SAME:
                self._doubt(run.first, "somebody comes back and looks a little different")
            run.people = [ranked[0][1]]
        else:
            run.people = [self.new()]
        self.see(run)

    def _part_or_new(self, run: Run, meeting: Meeting, others: Sequence[Run]) -> None:
        """Name a run that parts from others and is none of those who were known to be there."""
        known = [other for other in meeting.after if other.people]
        beside = max(known, key=lambda other: _common_width(run, other), default=None)
        seconds = self.clip.seconds(run.last) - self.clip.seconds(run.first)
        ends = run.last == len(self.clip) - 1
        if beside is not None and (_common_width(run, beside) > _BEHIND or (seconds < _ALONE_SECONDS and not ends)):
            run.people = list(beside.people)
            return
        self._name(run, [*others, *known])
        for before in meeting.before:  # they were there, unseen as a second one
            before.people = [*before.people, *(p for p in run.people if p not in before.people)]
            before.is_surprised = True

    def _share_out(self, meeting: Meeting, people: Sequence[int], costs: dict[tuple[int, int], float]) -> None:
        """Give each of the people one of the runs, so that all runs have somebody where there are enough."""
        count = len(meeting.after)
        if len(people) > _MOST or count > _MOST:
            answers = [tuple(max(range(count), key=lambda i: costs[p, i]) for p in people)]
        elif len(people) >= count:
            answers = [one for one in product(range(count), repeat=len(people)) if len(set(one)) == count]
        else:
            answers = list(permutations(range(count), len(people)))
        ranked = sorted(answers, key=lambda one: -sum(costs[p, i] for p, i in zip(people, one, strict=True)))
        totals = [sum(costs[p, i] for p, i in zip(people, one, strict=True)) for one in ranked[:2]]
        if len(people) > 1 and len(totals) == 2 and totals[0] - totals[1] < _SURE:
            self._doubt(meeting.frame, "people part who look alike")
        for p, i in zip(people, ranked[0], strict=True):
            meeting.after[i].people = sorted({*meeting.after[i].people, p})

    def _without_parts(self, runs: Sequence[Run], people: Sequence[int]) -> list[int]:
        """Return the people of runs that join, but for what proves to be a part of one of the others."""
        gone: set[int] = set()
        largest = max(runs, key=lambda run: run.pieces[-1].area)
        for run in runs:
            is_smaller = run.pieces[-1].area < 0.5 * largest.pieces[-1].area
            is_theirs = len(run.people) == 1 and len(largest.people) == 1 and run.people != largest.people
            is_theirs = is_theirs and self.all[run.people[0]].frames <= len(run.pieces)  # never seen elsewhere
            if run is not largest and is_smaller and is_theirs and _common_width(run, largest) > _BEHIND:
                gone.update(run.people)
                run.people = list(largest.people)
        return [p for p in people if p not in gone]

    def _likeness(self, person: int, run: Run) -> float:
        known = self.all[person]
        return likeness(known.looks / known.frames, run.colours(self.clip)) if known.frames else 0.0

    def new(self) -> int:
        """Return the number of somebody who was not known."""
        self.all.append(Person(len(self.all), np.zeros(1)))
        return len(self.all) - 1

    def _doubt(self, frame: int, what: str) -> None:
        self.notes.append(
            f"at {self.clip.seconds(frame):.2f} s {what}: look whether the right one is kept from there on"
        )


def _found_in(share: NDArray[np.float32] | None, mask: Mask) -> float:
    """Return how much of somebody lies in a mask."""
    return 0.0 if share is None else float(share[mask].sum() / max(1.0, float(share.sum())))


def _common_width(one: Run, other: Run) -> float:
    """Return how much of the narrower of two runs is above or below the other, where one of them begins or ends."""
    frame = max(one.first, other.first)
    a, b = (run.at(min(frame, run.last)) for run in (one, other))
    common = min(a.right, b.right) - max(a.left, b.left)
    return max(0.0, common) / max(1e-6, min(a.right - a.left, b.right - b.left))


def _one_with_hand(run: Run, others: Sequence[Run]) -> Run | None:
    """Return whose hand comes in from below the picture: that of the large piece above it."""
    piece = run.pieces[0]
    if not piece.is_at_floor:
        return None
    for other in others:
        above = other.at(run.first)
        if other is not run and piece.area < SMALL * above.area and above.left <= piece.x <= above.right:
            return other
    return None
