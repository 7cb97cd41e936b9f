"""The subject lock: who stays, of those that a clip shows."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import cv2
import numpy as np

from birefvideo.directing.coarse import CoarseClip
from birefvideo.directing.masks import Codes, Masks
from birefvideo.directing.pieces import OPAQUE
from birefvideo.directing.runs import SMALL
from birefvideo.directing.tracks import NOBODY, Names, Tracks
from birefvideo.directing.wishes import Subject
from birefvideo.errors import OptionError, named
from birefvideo.matting.grid import Map

_NEAR = 0.03
"""How far from a subject a point may be that means it, in parts of the picture's longer side."""
_SOFT = 0.5
"""Standard deviation of the bell curve that softens a cut between people, in coarse pixels."""


class SubjectLock:
    """Keeps one subject, or the largest ones; a `Director`."""

    def __init__(self, subject: Subject | None, people: int | None) -> None:
        self._subject, self._people = subject, people
        self.notes: list[str] = []
        """What the user should know, one line each."""

    def masks(self, clip: CoarseClip) -> Iterator[Masks]:
        """Yield the masks of every frame; see `Director`."""
        tracks = Tracks(clip)
        kept = self._chosen(clip, tracks)
        self.notes += tracks.notes if 0 < len(kept) < tracks.count else []
        for frame in range(len(clip)):
            yield Masks(_stays(tracks.names(frame), kept)) if len(kept) < tracks.count else Masks()

    def _chosen(self, clip: CoarseClip, tracks: Tracks) -> set[int]:
        """Return the numbers of those who stay."""
        areas = tracks.areas()
        by_area = sorted(areas, key=lambda person: (-areas[person], person))
        if not by_area:
            self.notes.append(f"nobody is in this clip: {self._wish()} has no effect")
            return set()
        if self._people is not None:
            if self._people > len(by_area):
                self.notes.append(f"only {len(by_area)} in this clip: {self._wish()} keeps all; {_as_one()}")
            return set(by_area[: self._people])
        assert self._subject is not None
        if self._subject.word:
            found = by_area[0] if self._subject.word == "largest" else _by_place(tracks, self._subject.word, len(clip))
        else:
            found = self._at_point(clip, tracks, self._subject)
        if tracks.count == 1:
            self.notes.append(f"only one subject is in this clip: {self._wish()} keeps it; {_as_one()}")
        return {found}

    def _at_point(self, clip: CoarseClip, tracks: Tracks, subject: Subject) -> int:
        """Return who covers a point; where several touch all the time, they are parted.

        Raises:
            OptionError: nobody does, or the time is none of the job's.
        """
        across, down = subject.point(*clip.full_size)
        first, last = clip.seconds(0), clip.seconds(len(clip) - 1)
        time = first if subject.at is None else float(subject.at)
        if not first - 1e-3 <= time <= last + 1:
            raise OptionError(
                f"{self._wish()}: the frames are from {first:.2f} s to {last:.2f} s: give a time in there"
            )
        frame = max((i for i in range(len(clip)) if clip.seconds(i) <= time + 1e-3), default=0)
        columns, rows = clip.size
        column, row = int(across * columns), int(down * rows)
        names = tracks.names(frame)
        near = _distance(clip, frame)
        if not (0 <= column < columns and 0 <= row < rows):
            width, height = clip.full_size
            raise OptionError(f"{self._wish()}: the point is outside of the picture of {width}×{height}")
        if names[row, column] == NOBODY or near[row, column] > _NEAR * max(columns, rows):
            there = ", ".join(f"{x:.2f},{y:.2f}" for x, y, _ in sorted(tracks.seen(frame).values()))
            where = f"subjects are at {there}" if there else "nobody stands free there"
            raise OptionError(f"{self._wish()}: no subject is there at {time:.2f} s; {where} (parts of the picture)")
        if tracks.part(frame, column, row):
            names = tracks.names(frame)
            self.notes.append(
                f"people touch in all frames: {self._wish()} parts them between their heads; look whether the cut "
                f"between them is right, or draw a remove stroke on who is to go ({named('marks')})"
            )
        return int(names[row, column])

    def _wish(self) -> str:
        return named("people", self._people) if self._subject is None else named("subject", str(self._subject))


def _as_one() -> str:
    """Return why fewer may be found than a viewer counts, and what to do."""
    return f"people who touch in all frames count as one: draw a remove stroke on who is to go ({named('marks')})"


def _by_place(tracks: Tracks, word: str, frames: int) -> int:
    """Return who is there where people are first seen together, or on average if they never are."""
    places: dict[int, list[float]] = {}
    for frame in range(frames):
        seen = tracks.seen(frame)
        largest = max((area for _, _, area in seen.values()), default=0)
        large = {person: x for person, (x, _, area) in seen.items() if area >= SMALL * largest}
        if len(large) > 1:
            places = {person: [x] for person, x in large.items()}
            break
        for person, x in large.items():
            places.setdefault(person, []).append(x)
    means = {person: float(np.mean(xs)) for person, xs in places.items()}
    order: dict[str, Callable[[float], float]] = {
        "left": float,
        "right": lambda x: -x,
        "middle": lambda x: abs(x - 0.5),
    }
    return min(means, key=lambda person: (order[word](means[person]), person), default=0)


def _stays(names: Names, kept: set[int]) -> Codes | None:
    """Return the mask of those who stay, or None where it takes nothing away."""
    stays = np.isin(names, sorted(kept))
    if (stays | (names == NOBODY)).all():
        return None
    codes: Codes = stays.astype(np.uint8) * np.uint8(255)
    return cv2.GaussianBlur(codes, (0, 0), _SOFT) if stays.any() else codes


def _distance(clip: CoarseClip, frame: int) -> Map:
    """Return how far each coarse pixel is from anything opaque."""
    distance: Map = cv2.distanceTransform((clip.alpha(frame) < OPAQUE).view(np.uint8), cv2.DIST_L2, 5)
    return distance
