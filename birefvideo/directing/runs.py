"""Pieces followed from frame to frame for as long as nothing large joins or leaves them: runs, and where these meet."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from birefvideo.directing.coarse import CoarseClip, Picture
from birefvideo.directing.pieces import Labels, Piece, colours_of, histogram, is_cut, pieces_of

SMALL = 0.15
"""Share of the largest piece that meets others under which a piece is a part: it ends or begins nobody's run."""
_OVERLAP = 0.3
"""Share of the smaller of two pieces of successive frames that they have in common, if one goes on as the other."""
_LOOKS = 8
"""Frames of a run that tell its colours."""


@dataclass(eq=False)
class Run:
    """One piece over successive frames."""

    first: int
    """Number of its first frame."""
    pieces: list[Piece] = field(default_factory=list)
    """The piece in each of its frames."""
    owner: Run | None = None
    """The run that it left or joined as a small part of it."""
    people: list[int] = field(default_factory=list)
    """Who is in it; several while they touch."""
    gone: dict[int, int] = field(default_factory=dict)
    """From which frame on somebody of them is not seen any more."""
    is_surprised: bool = False
    """Whether only its end showed that there are several."""

    @property
    def last(self) -> int:
        """Number of its last frame."""
        return self.first + len(self.pieces) - 1

    @property
    def area(self) -> float:
        """Its usual area."""
        return float(np.median([piece.area for piece in self.pieces]))

    def at(self, frame: int) -> Piece:
        """Return its piece in a frame."""
        return self.pieces[frame - self.first]

    def colours(self, clip: CoarseClip) -> NDArray[np.float64]:
        """Return the histogram of its colours."""
        count = min(_LOOKS, len(self.pieces))
        total = np.zeros(0)
        for frame in sorted({self.first + round(i * (len(self.pieces) - 1) / max(1, count - 1)) for i in range(count)}):
            labels, _ = pieces_of(clip.alpha(frame))
            one = histogram(colours_of(clip.picture(frame)), labels == self.at(frame).label)
            total = total + one if total.size else one
        shares: NDArray[np.float64] = total / max(float(total.sum()), 1e-9)
        return shares


@dataclass(frozen=True, eq=False)
class Meeting:
    """Where large pieces join, part, or both."""

    frame: int
    """The first frame of those that go on."""
    before: list[Run]
    """The runs that end in the frame before."""
    after: list[Run]
    """The runs that begin."""


@dataclass(eq=False)
class Runs:
    """Everything that is followed in a clip."""

    all: list[Run] = field(default_factory=list)
    """In order of their first frames."""
    meetings: list[Meeting] = field(default_factory=list)
    """In order."""

    def in_frame(self) -> list[list[Run]]:
        """Return the runs of every frame."""
        count = max((run.last for run in self.all), default=-1) + 1
        found: list[list[Run]] = [[] for _ in range(count)]
        for run in self.all:
            for frame in range(run.first, run.last + 1):
                found[frame].append(run)
        return found


def follow_pieces(clip: CoarseClip) -> Runs:
    """Return the runs of a clip."""
    found = Runs()
    open_runs: list[Run] = []
    before: Labels | None = None
    picture: Picture | None = None
    for frame in range(len(clip)):
        labels, pieces = pieces_of(clip.alpha(frame))
        earlier, picture = picture, clip.picture(frame)
        if before is None or earlier is None or is_cut(earlier, picture):
            open_runs = [_begun(found, frame, piece) for piece in pieces]
        else:
            open_runs = _go_on(found, frame, open_runs, before, labels, pieces)
        before = labels
    return found


def _go_on(found: Runs, frame: int, runs: list[Run], before: Labels, labels: Labels, pieces: list[Piece]) -> list[Run]:
    """Return the runs that go on in a frame; new ones and meetings are added to what is found."""
    now: list[Run] = []
    for ours, theirs in _groups(runs, before, labels, pieces):
        if not ours or not theirs:
            now += [_begun(found, frame, piece) for piece in theirs]
            continue
        least = SMALL * max(*(run.pieces[-1].area for run in ours), *(piece.area for piece in theirs))
        large = [run for run in ours if run.pieces[-1].area >= least] or [max(ours, key=lambda r: r.pieces[-1].area)]
        kept = [piece for piece in theirs if piece.area >= least] or [max(theirs, key=lambda piece: piece.area)]
        if len(large) == len(kept) == 1:
            large[0].pieces.append(kept[0])
            heirs = large
        else:
            heirs = [_begun(found, frame, piece) for piece in kept]
            found.meetings.append(Meeting(frame, large, heirs))
        for run in ours:
            if run not in large:
                run.owner = heirs[0]
        parts = [_begun(found, frame, piece) for piece in theirs if piece not in kept]
        for part in parts:
            part.owner = heirs[0]
        now += [*heirs, *parts]
    return now


def _begun(found: Runs, frame: int, piece: Piece) -> Run:
    run = Run(frame, [piece])
    found.all.append(run)
    return run


def _groups(
    runs: list[Run], before: Labels, labels: Labels, pieces: list[Piece]
) -> list[tuple[list[Run], list[Piece]]]:
    """Return which runs go on as which pieces: groups that have nothing to do with each other, in order."""
    count = int(labels.max()) + 1
    common = np.bincount((before * count + labels).ravel())
    groups: list[tuple[list[Run], list[Piece]]] = [([run], []) for run in runs]
    for piece in pieces:
        touched = [group for group in groups if any(_is_shared(run, piece, common, count) for run in group[0])]
        merged = ([run for group in touched for run in group[0]], [p for group in touched for p in group[1]] + [piece])
        groups = [group for group in groups if group not in touched] + [merged]
    return groups


def _is_shared(run: Run, piece: Piece, common: NDArray[np.int64], count: int) -> bool:
    last = run.pieces[-1]
    index = last.label * count + piece.label
    return index < len(common) and common[index] >= _OVERLAP * min(last.area, piece.area)
