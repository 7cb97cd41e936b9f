"""Who is where in every frame of a clip: runs with names, and the pixels of those who touch."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from birefvideo.directing.coarse import CoarseClip
from birefvideo.directing.couples import Couple
from birefvideo.directing.layers import Shares
from birefvideo.directing.people import People
from birefvideo.directing.pieces import pieces_of
from birefvideo.directing.runs import Meeting, Run, Runs, follow_pieces
from birefvideo.directing.split import Carrier, score
from birefvideo.matting.grid import Map, Mask

_HIDDEN_SECONDS, _HIDDEN_SHARE = 1.0, 0.02
"""Somebody of whom less than this share of those who touch is seen for this long has gone."""

Names = NDArray[np.int16]
"""Who each pixel is of, int16 (rows, columns): a person's number, or `NOBODY`."""
NOBODY = -1


@dataclass
class _Kept:
    """Shares of one frame, as small as they can be held."""

    shape: tuple[int, ...]
    codes: dict[int, bytes]

    @classmethod
    def of(cls, shares: Shares, people: set[int]) -> _Kept:
        found = {p: shares[p] for p in people if p in shares}
        codes = {p: zlib.compress(np.rint(share * 255).astype(np.uint8).tobytes(), 1) for p, share in found.items()}
        return cls(next(iter(found.values())).shape if found else (0, 0), codes)

    def share(self, person: int) -> Map | None:
        if person not in self.codes:
            return None
        codes = np.frombuffer(zlib.decompress(self.codes[person]), np.uint8).reshape(self.shape)
        share: Map = codes.astype(np.float32) / np.float32(255)
        return share


class Tracks:
    """The people of a clip, found by one look forward and one back."""

    def __init__(self, clip: CoarseClip) -> None:
        self._clip = clip
        self._runs: Runs = follow_pieces(clip)
        self._frames = self._runs.in_frame()
        self._frames += [[] for _ in range(len(clip) - len(self._frames))]
        self._people = People(clip)
        self._before = {id(run): meeting for meeting in self._runs.meetings for run in meeting.before}
        self._after = {id(run): meeting for meeting in self._runs.meetings for run in meeting.after}
        self._touching: dict[int, bytes] = {}
        self._mix(self._forward())

    @property
    def notes(self) -> list[str]:
        """Where it is not sure who is who, one line each."""
        return self._people.notes

    @property
    def count(self) -> int:
        """How many people there are."""
        return len(self._people.all)

    def names(self, frame: int) -> Names:
        """Return who each pixel of a frame is of; what is of nobody by itself is of the nearest."""
        labels, _ = pieces_of(self._clip.alpha(frame))
        names = self._settled(frame, labels.shape)
        for run in self._frames[frame]:
            people = _people_of(run, frame)
            if len(people) == 1:
                names[labels == run.at(frame).label] = people[0]
        if (names == NOBODY).all():
            return names
        _, nearest = cv2.distanceTransformWithLabels(
            (names == NOBODY).view(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
        )
        table = np.zeros(int(nearest.max()) + 1, np.int16)
        known = names != NOBODY
        table[nearest[known]] = names[known]
        filled: Names = table[nearest]
        return filled

    def seen(self, frame: int) -> dict[int, tuple[float, float, int]]:
        """Return the people of a frame who touch nobody: (across, down, pixels) of the largest piece of each."""
        found: dict[int, tuple[float, float, int]] = {}
        for run in self._frames[frame]:
            people = _people_of(run, frame)
            piece = run.at(frame)
            if len(people) == 1 and piece.area > found.get(people[0], (0, 0, 0))[2]:
                found[people[0]] = (piece.x, piece.y, piece.area)
        return found

    def part(self, frame: int, column: int, row: int) -> bool:
        """Part the people of the run at a pixel who touch in all of its frames; return whether there are several."""
        labels, _ = pieces_of(self._clip.alpha(frame))
        for run in self._frames[frame]:
            is_meeting = id(run) in self._before or id(run) in self._after
            if run.at(frame).label != labels[row, column] or len(run.people) != 1 or is_meeting:
                continue
            couple = Couple(self._clip, run)
            if couple.count > 1:
                run.people += [self._people.new() for _ in range(couple.count - 1)]
                for number, mask, who in couple.names():
                    names = self._settled(number, mask.shape)
                    names[mask] = np.asarray(run.people, np.int16)[who[mask]]
                    self._touching[number] = zlib.compress(names.tobytes(), 1)
                return True
        return False

    def areas(self) -> dict[int, float]:
        """Return how much of each person there is, in pixels times frames; those who touch have even shares."""
        found = dict.fromkeys(range(self.count), 0.0)
        for run in self._runs.all:
            for frame, piece in enumerate(run.pieces, run.first):
                people = _people_of(run, frame)
                for person in people:
                    found[person] += piece.area / len(people)
        return found

    def _settled(self, frame: int, shape: tuple[int, ...]) -> Names:
        """Return who each pixel is of where people touch."""
        if frame in self._touching:
            names: Names = np.frombuffer(zlib.decompress(self._touching[frame]), np.int16).reshape(shape).copy()
            return names
        return np.full(shape, NOBODY, np.int16)

    def _forward(self) -> dict[int, _Kept]:
        """Name all runs; return who is where among those who touch, as far as the past tells."""
        carrier = Carrier()
        kept: dict[int, _Kept] = {}
        shares: Shares = {}
        hidden: dict[tuple[int, int], int] = {}
        meetings: dict[int, list[Meeting]] = {}
        for meeting in self._runs.meetings:
            meetings.setdefault(meeting.frame, []).append(meeting)
        for frame, runs in enumerate(self._frames):
            labels, _ = pieces_of(self._clip.alpha(frame))
            for run in runs:
                if run.first == frame and id(run) not in self._after and not run.people:
                    self._people.enter(run, runs)
            for meeting in meetings.get(frame, []):
                masks = [labels == run.at(frame).label for run in meeting.after]
                self._people.meet(meeting, shares, masks, runs)
            shares, people = self._shares(carrier, frame, frame - 1, labels, shares)
            if people:
                kept[frame] = _Kept.of(shares, people)
                self._let_go(frame, runs, shares, hidden)
        return kept

    def _mix(self, forward: dict[int, _Kept]) -> None:
        """Settle who is where among those who touch, by what the past says and what the future says."""
        carrier = Carrier()
        shares: Shares = {}
        ages = self._ages(range(len(self._frames)), self._after, lambda m: m.before)
        left = self._ages(range(len(self._frames) - 1, -1, -1), self._before, lambda m: m.after)
        for frame in range(len(self._frames) - 1, -1, -1):
            labels, _ = pieces_of(self._clip.alpha(frame))
            shares, people = self._shares(carrier, frame, frame + 1, labels, shares)
            if not people:
                continue
            names: Names = np.full(labels.shape, NOBODY, np.int16)
            for run in self._frames[frame]:
                own = _people_of(run, frame)
                if len(own) > 1:
                    mask = labels == run.at(frame).label
                    weight = _weight(ages.get((id(run), frame)), left.get((id(run), frame)))
                    if run.is_surprised and (id(run), frame) in left:
                        weight = 1.0
                    past = forward.get(frame)
                    scores = [score(past.share(p) if past else None, shares.get(p), weight, mask) for p in own]
                    best = np.argmax(np.stack(scores), axis=0)
                    names[mask] = np.asarray(own, np.int16)[best[mask]]
            self._touching[frame] = zlib.compress(names.tobytes(), 1)

    def _shares(
        self, carrier: Carrier, frame: int, neighbour: int, labels: NDArray[np.int32], shares: Shares
    ) -> tuple[Shares, set[int]]:
        """Return who is where in a frame, by who was where in the one beside it; and those who touch."""
        found: Shares = {}
        touching: list[tuple[Mask, list[int]]] = []
        for run in self._frames[frame]:
            people = _people_of(run, frame)
            mask = labels == run.at(frame).label
            if len(people) > 1:
                touching.append((mask, people))
            elif people:
                share = mask.astype(np.float32)
                found[people[0]] = np.maximum(found[people[0]], share) if people[0] in found else share
        if touching:
            beside = neighbour if 0 <= neighbour < len(self._clip) else frame
            one, other = self._clip.picture(beside), self._clip.picture(frame)
            for person, share in carrier.carried(shares, one, other, touching, self._people.looks).items():
                found[person] = np.maximum(found[person], share) if person in found else share
        else:
            carrier.part()
        return found, {p for _, people in touching for p in people}

    def _let_go(self, frame: int, runs: Sequence[Run], shares: Shares, hidden: dict[tuple[int, int], int]) -> None:
        """Take note of people who are not seen any more among those who touched them."""
        for run in runs:
            people = _people_of(run, frame)
            if len(people) < 2:
                continue
            for person in people:
                key = (id(run), person)
                if float(shares[person].sum()) >= _HIDDEN_SHARE * run.at(frame).area:
                    hidden.pop(key, None)
                    continue
                since = hidden.setdefault(key, frame)
                if self._clip.seconds(frame) - self._clip.seconds(since) >= _HIDDEN_SECONDS:
                    run.gone[person] = frame

    def _ages(
        self, order: Iterable[int], links: Mapping[int, Meeting], others: Callable[[Meeting], Sequence[Run]]
    ) -> dict[tuple[int, int], int]:
        """Return for how many frames, in an order of time, those who touch have done so: by run and frame."""
        found: dict[tuple[int, int], int] = {}
        last: dict[int, int] = {}
        for frame in order:
            for run in self._frames[frame]:
                if len(_people_of(run, frame)) < 2:
                    continue
                if id(run) in last:
                    age: int | None = last[id(run)] + 1
                elif id(run) in links:
                    age = 1 + max((last.get(id(other), 0) for other in others(links[id(run)])), default=0)
                else:
                    age = None  # a clip or a shot that begins or ends with them touching tells nothing
                if age is not None:
                    last[id(run)] = age
                    found[id(run), frame] = age
        return found


def _people_of(run: Run, frame: int) -> list[int]:
    """Return who is in a run in one of its frames; of a part, those that it is a part of."""
    for _ in range(8):
        if run.people or run.owner is None:
            break
        run = run.owner
    return [p for p in run.people if frame < run.gone.get(p, frame + 1)]


def _weight(past: int | None, future: int | None) -> float:
    """Return how much the future counts against the past."""
    if past is None or future is None:
        return 0.0 if future is None else 1.0
    return past / (past + future)
