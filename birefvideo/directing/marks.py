"""What a person marks in a clip: things to keep and to remove, the subject, what lies outside, and mended frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from typing import TypeAlias

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

    name: str
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

    def acts_at(self, time: Fraction) -> bool:
        """Return whether it acts on a frame at a time; a plain area with one time acts at that time only."""
        times = [key.time for key in self.keys if key.time is not None and not self.carry]
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

    name: str
    """How messages call it."""
    path: str
    """The picture's file."""
    sha256: str
    """Digest of the file."""
    time: Fraction | None = None
    """Seconds from the clip's first frame; None: `frame` says which it is."""
    frame: int | None = None
    """Number of the frame, counted from 1 at the first one of the output, as in its sequences of pictures."""


@dataclass(frozen=True)
class Marks:
    """All that is marked in a clip; false where nothing is."""

    marks: tuple[Mark, ...] = ()
    """In the order in which they were made."""
    garbage: Shape | None = None
    """The box outside of which everything goes."""
    mends: tuple[Mend, ...] = ()
    """Corrected frames."""

    def __bool__(self) -> bool:
        return bool(self.marks or self.garbage or self.mends)

    def __or__(self, other: Marks) -> Marks:
        return Marks(self.marks + other.marks, other.garbage or self.garbage, self.mends + other.mends)

    def placed(self, width: int, height: int, times: Sequence[Fraction]) -> Marks:
        """Return the marks in pixels of a clip, each at times of frames.

        Args:
            width: columns of its pictures.
            height: their rows.
            times: of the output's frames, in seconds from the clip's first one, in order.

        Raises:
            InputError: one lies outside of the picture or the clip.
        """
        size = width, height
        marks = tuple(_placed(mark, size, times) for mark in self.marks)
        garbage = None if self.garbage is None else _inside("the garbage box", self.garbage, size)
        return replace(self, marks=marks, garbage=garbage)


def nearest_frame(name: str, time: Fraction, times: Sequence[Fraction]) -> int:
    """Return the number of the frame whose time is nearest.

    Raises:
        InputError: the time is not in the clip; up to one frame's length beside it passes.
    """
    slack = max((two - one for one, two in pairwise(times)), default=Fraction(1))
    if not times[0] - slack <= time <= times[-1] + slack:
        span = f"{float(times[0]):g} s to {float(times[-1]):g} s"
        raise InputError(f"{name}: its time is {float(time):g} s, but there are frames from {span}: give a time of one")
    return min(range(len(times)), key=lambda index: abs(times[index] - time))


def _placed(mark: Mark, size: tuple[int, int], times: Sequence[Fraction]) -> Mark:
    def moved(key: Key) -> Key:
        shape = _inside(mark.name, key.shape, size)
        # Only what is carried begins at a picture; between a plain area's keys its own times count.
        if key.time is not None:
            nearest = times[nearest_frame(mark.name, key.time, times)]
            is_alone = len(mark.keys) == 1 and mark.begin is None and mark.end is None
            return Key(nearest if mark.carry or is_alone else key.time, shape)
        begin = mark.begin if mark.begin is not None else times[0]
        return Key(times[nearest_frame(mark.name, begin, times)] if mark.carry else None, shape)

    if (mark.begin is not None and mark.begin > times[-1]) or (mark.end is not None and mark.end < times[0]):
        span = f"{float(times[0]):g} s to {float(times[-1]):g} s"
        raise InputError(f"{mark.name}: it acts on no frame, as these go from {span}: change its from and to")
    return replace(mark, keys=tuple(map(moved, mark.keys)))


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
