"""What a person marks in a clip: things to keep and to remove, the subject, what lies outside, and mended frames."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from hashlib import sha256
from itertools import pairwise
from typing import Any, TypeAlias

from birefvideo.directing.wishes import Subject
from birefvideo.errors import InputError

Point: TypeAlias = "tuple[float, float]"
"""Across and down."""

KEEP, REMOVE, SUBJECT = DOES = ("keep", "remove", "subject")
"""What a mark can do."""
POINT, BOX, POLYGON, STROKE = SHAPES = ("point", "box", "polygon", "stroke")
"""What it can be drawn as."""


@dataclass(frozen=True)
class Shape:
    """Something drawn on one picture."""

    kind: str
    """One of `SHAPES`."""
    points: tuple[Point, ...]
    """A point; a box's left top and right bottom corners; a polygon's corners; a stroke's way."""
    width: float = 0.0
    """Width of a stroke, in the units of its points: as fractions, of the picture's width."""
    are_fractions: bool = False
    """Whether points are shares of the picture's width and height, rather than pixels."""

    def in_pixels(self, width: int, height: int) -> Shape:
        """Return the shape in pixels of a picture."""
        if not self.are_fractions:
            return self
        points = tuple((x * width, y * height) for x, y in self.points)
        return replace(self, points=points, width=self.width * width, are_fractions=False)

    def scaled(self, across: float, down: float) -> Shape:
        """Return the shape, given in pixels, in those of the same picture at another size."""
        points = tuple((x * across, y * down) for x, y in self.points)
        return replace(self, points=points, width=self.width * (across + down) / 2)

    def between(self, other: Shape, share: float) -> Shape:
        """Return the shape that lies a share of the way to another of the same kind and number of points."""

        def mix(one: float, two: float) -> float:
            return one + (two - one) * share if share else one

        pairs = zip(self.points, other.points, strict=True)
        points = tuple((mix(x, u), mix(y, v)) for (x, y), (u, v) in pairs)
        return replace(self, points=points, width=mix(self.width, other.width))


@dataclass(frozen=True)
class Key:
    """A shape at a time."""

    time: Fraction | None
    """Seconds from the clip's first frame; None: wherever the mark begins."""
    shape: Shape
    """What is drawn there."""


@dataclass(frozen=True)
class Mark:
    """One thing marked."""

    name: str = field(repr=False, compare=False)
    """How messages call it."""
    do: str
    """One of `DOES`."""
    keys: tuple[Key, ...]
    """Where it is drawn, by time; at least one."""
    begin: Fraction | None = None
    """Seconds at which it begins to act; None: what its keys say."""
    end: Fraction | None = None
    """Seconds at which it ends."""
    carry: bool = False
    """Whether it is grown to the thing it is drawn on and follows that, rather than being a plain area."""
    feather: float = 0.0
    """Standard deviation of the blur of a plain area's border, in pixels."""

    @property
    def is_of_one_frame(self) -> bool:
        """Whether it is a plain area at one time, which then is that of a frame."""
        return not self.carry and len(self.keys) == 1 and self.begin is None and self.end is None and bool(self._times)

    @property
    def _times(self) -> list[Fraction]:
        return [key.time for key in self.keys if key.time is not None]

    @property
    def begins(self) -> Fraction | None:
        """When it begins, where it says so; what is drawn at a time is looked for at that time."""
        return self.begin if self.begin is not None and not self.carry else max(self._times, default=self.begin)

    @property
    def ends(self) -> Fraction | None:
        """When it ends, likewise."""
        return self.end if self.end is not None and not self.carry else min(self._times, default=self.end)

    def acts_at(self, time: Fraction) -> bool:
        """Return whether it acts on a frame at a time; a plain area with one time acts at that time only."""
        times = [] if self.carry else self._times
        begin = self.begin if self.begin is not None else min(times, default=None)
        end = self.end if self.end is not None else max(times, default=None)
        return (begin is None or time >= begin) and (end is None or time <= end)

    def shape_at(self, time: Fraction) -> Shape:
        """Return its shape between its keys; before the first and after the last it stays as it is there."""
        earlier = self.keys[0]
        if earlier.time is None or time <= earlier.time:
            return earlier.shape
        for one, two in pairwise(self.keys):
            if one.time is not None and two.time is not None and time < two.time:
                return one.shape.between(two.shape, float((time - one.time) / (two.time - one.time)))
        return self.keys[-1].shape


@dataclass(frozen=True)
class Mend:
    """A frame's alpha as somebody has corrected it."""

    name: str = field(repr=False, compare=False)
    """How messages call it."""
    path: str = field(repr=False, compare=False)
    """The picture's file."""
    sha256: str
    """Digest of the file."""
    time: Fraction | None = None
    """Seconds from the clip's first frame; None: `frame` says which it is."""
    frame: int | None = None
    """Number of the frame, counted from 1 at the first one of the output, as in its sequences of pictures."""

    def number(self, times: Sequence[Fraction]) -> int:
        """Return the number of its frame, from 0 on, among those of the output.

        Raises:
            InputError: there is no such frame.
        """
        if self.time is not None:
            return nearest_frame(self.name, self.time, times)
        number = (self.frame or 0) - 1
        if not 0 <= number < len(times):
            raise InputError(f"{self.name}: it is of frame {self.frame}, but there are {len(times)}: count from 1")
        return number


@dataclass(frozen=True)
class Marks:
    """All that is marked in a clip; false where nothing is."""

    marks: tuple[Mark, ...] = ()
    """In the order in which they were made."""
    garbage: Shape | None = None
    """The box outside of which everything goes."""
    mends: tuple[Mend, ...] = ()
    """Corrected frames."""
    written: Mapping[str, Any] | None = field(default=None, repr=False, compare=False)
    """The JSON object that they were read from, if they were."""

    def __bool__(self) -> bool:
        return bool(self.marks or self.garbage or self.mends)

    def __str__(self) -> str:
        """Return how many there are, and a digest that tells these from others."""
        counts = {"mark": len(self.marks), "garbage box": int(self.garbage is not None), "mend": len(self.mends)}
        words = ", ".join(f"{count} {name}{'s' * (count > 1)}" for name, count in counts.items() if count)
        return f"{words or 'nothing'} ({sha256(repr(self).encode()).hexdigest()[:16]})"

    def __or__(self, other: Marks) -> Marks:
        return Marks(self.marks + other.marks, other.garbage or self.garbage, self.mends + other.mends)

    @property
    def subject(self) -> Subject | None:
        """Which subject is marked, if one is."""
        for mark in self.marks:
            if mark.do == SUBJECT:
                (key,) = mark.keys
                across, down = (sum(values) / len(values) for values in zip(*key.shape.points, strict=True))
                return Subject(x=across, y=down, at=key.time)
        return None

    @property
    def need_whole_clip(self) -> bool:
        """Whether what they do to a frame can only be told from other frames."""
        return bool(self.mends) or any(mark.carry or mark.is_of_one_frame or mark.do == SUBJECT for mark in self.marks)

    def placed(self, width: int, height: int, first: Fraction, last: Fraction | None) -> Marks:
        """Return the marks in pixels of a clip.

        Args:
            width: columns of its pictures.
            height: their rows.
            first: when the output begins, in seconds from the clip's first frame.
            last: when it ends; None where that is not known.

        Raises:
            InputError: one lies outside of the picture or the clip.
        """
        size = width, height
        for mark in self.marks:
            check_time(mark.name, mark.begins, mark.ends, first, last)
        seen: dict[object, str] = {}
        for mend in self.mends:
            check_time(mend.name, mend.time, mend.time, first, last)
            earlier = seen.setdefault((mend.time, mend.frame), mend.name)
            if earlier is not mend.name:
                raise InputError(f"{mend.name}: it is of the same frame as {earlier}: leave one of them")
        marks = tuple(
            replace(mark, keys=tuple(Key(key.time, _inside(mark.name, key.shape, size)) for key in mark.keys))
            for mark in self.marks
        )
        garbage = None if self.garbage is None else _inside("the garbage box", self.garbage, size)
        return replace(self, marks=marks, garbage=garbage)

    def snapped(self, times: Sequence[Fraction]) -> Marks:
        """Return the marks with those that are drawn on one picture at the time of the frame that is nearest.

        Args:
            times: of the output's frames, in order.

        Raises:
            InputError: one lies outside of the clip.
        """
        return replace(self, marks=tuple(_snapped(mark, times) for mark in self.marks))


def check_time(name: str, begin: Fraction | None, end: Fraction | None, first: Fraction, last: Fraction | None) -> None:
    """Refuse what begins after the last frame, or ends before the first one.

    Raises:
        InputError: as above.
    """
    is_late = begin is not None and last is not None and begin > last
    if is_late or (end is not None and end < first):
        span = f"from {float(first):g} s" + ("" if last is None else f" to {float(last):g} s")
        time = begin if is_late else end
        raise InputError(f"{name}: its time is {float(time or 0):g} s, but the output goes {span}: give a time in that")


def nearest_frame(name: str, time: Fraction, times: Sequence[Fraction]) -> int:
    """Return the number of the frame, from 0 on, whose time is nearest; the earlier one of two.

    Raises:
        InputError: the time is not in the clip; up to one frame's length beside it passes.
    """
    slack = max((two - one for one, two in pairwise(times)), default=Fraction(1))
    if not times[0] - slack <= time <= times[-1] + slack:
        check_time(name, time, time, times[0], times[-1])
    after = bisect_left(times, time)
    return min((n for n in (after - 1, after) if 0 <= n < len(times)), key=lambda n: abs(times[n] - time))


def _snapped(mark: Mark, times: Sequence[Fraction]) -> Mark:
    if not (mark.carry or mark.is_of_one_frame):
        return mark
    start = times[0] if mark.begin is None else mark.begin
    moments = [start if key.time is None else key.time for key in mark.keys]
    keys = (
        Key(times[nearest_frame(mark.name, moment, times)], key.shape)
        for moment, key in zip(moments, mark.keys, strict=True)
    )
    return replace(mark, keys=tuple(keys))


def _inside(name: str, shape: Shape, size: tuple[int, int]) -> Shape:
    """Return a shape in pixels.

    Raises:
        InputError: it is not in the picture at all; a part of it may lie outside, but for a point.
    """
    placed = shape.in_pixels(*size)
    (left, right), (top, bottom) = ((min(values), max(values)) for values in zip(*placed.points, strict=True))
    if left >= size[0] or top >= size[1] or right < 0 or bottom < 0:
        where = ", ".join(f"{value:g}" for point in placed.points[:2] for value in point)
        raise InputError(f"{name}: {where} is not in the picture, which is {size[0]}×{size[1]} pixels: draw it inside")
    return placed
