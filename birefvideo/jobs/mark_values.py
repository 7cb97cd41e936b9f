"""What a user may give as marks: files of them, boxes, and mended frames; see `option_values`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from fractions import Fraction
from numbers import Real
from os import PathLike
from pathlib import Path
from typing import Any, TypeAlias

from birefvideo.bounded_numbers import bounded_fraction
from birefvideo.directing.marks import BOX, KEEP, REMOVE, Key, Mark, Marks, Point, Shape
from birefvideo.directing.read_marks import parse_marks, read_marks
from birefvideo.directing.read_mends import find_mends
from birefvideo.errors import named
from birefvideo.hints import possible_path
from birefvideo.jobs.option_values import parse_time

Box: TypeAlias = "tuple[float, float, float, float]"
"""Left, top, right, bottom: pixels, or shares of the picture where all are at most 1."""

Boxes: TypeAlias = "str | Box | Sequence[str | Box] | Marks | None"
"""One such box, or several, each as text or numbers."""

_BOX = "LEFT,TOP,RIGHT,BOTTOM in pixels (40,20,200,180), shares (0.1,0.2,0.5,0.9) or percent (10%,20%,50%,90%)"
_TIMES = "@TIME or @FROM-TO"


def parse_mark_file(value: Any) -> Marks | None:
    """Return the marks of a JSON file, or of what such a file holds."""
    if value is None or isinstance(value, Marks):
        return value
    if isinstance(value, Mapping):
        return parse_marks(value, named("marks"))
    if not isinstance(value, str | PathLike):
        raise ValueError("give a file of marks, or what it holds as a dict")
    return read_marks(possible_path(value))


def parse_keep(value: Any) -> Marks | None:
    """Return the marks of one box, or several, that are to be kept."""
    return _boxes(value, KEEP)


def parse_remove(value: Any) -> Marks | None:
    """Return the marks of one box, or several, that are to be removed."""
    return _boxes(value, REMOVE)


def parse_garbage(value: Any) -> Marks | None:
    """Return the box outside of which everything goes."""
    if value is None or isinstance(value, Marks):
        return value
    return Marks(garbage=_box(value))


def parse_mend(value: Any) -> Marks | None:
    """Return the mends of a PNG, or of all in a folder."""
    if value is None or isinstance(value, Marks):
        return value
    if not isinstance(value, str | PathLike):
        raise ValueError(
            "give a PNG of a mended alpha with the frame's number or time in its name, or a folder of them"
        )
    return find_mends(Path(possible_path(value)))


def _boxes(value: Any, do: str) -> Marks | None:
    if value is None or isinstance(value, Marks):
        return value
    if isinstance(value, str):
        items: Sequence[Any] = [item for item in re.split(r"[;\s]+", value) if item]
    elif isinstance(value, Sequence) and value and all(isinstance(item, str | Sequence) for item in value):
        items = value
    else:
        items = [value]
    if not 0 < len(items) <= 1000:
        raise ValueError(f"give {_BOX}, with {_TIMES} where it is not for the whole clip; several with ; between")
    return Marks(tuple(_mark(item, do, number if len(items) > 1 else 0) for number, item in enumerate(items, 1)))


def _mark(item: Any, do: str, number: int) -> Mark:
    name = named(do) + (f", box {number}" if number else "")
    box, _, times = item.partition("@") if isinstance(item, str) else (item, "", "")
    shape = _box(box)
    if isinstance(item, str) and "@" in item and not times:
        raise ValueError(f"give the time after @: {_TIMES}")
    begin, dash, end = times.partition("-")
    if not dash:
        return Mark(name, do, (Key(_time(times) if times else None, shape),))
    first, last = _time(begin), _time(end)
    if last < first:
        raise ValueError(f"the end, {end}, is before the beginning, {begin}: exchange them")
    return Mark(name, do, (Key(None, shape),), first, last)


def _time(text: str) -> Fraction:
    try:
        time = parse_time(text)
    except ValueError:
        time = None
    if time is None:
        raise ValueError(f"{text!r} is no time: give {_TIMES} in seconds (12.5) or mm:ss (1:02.5)")
    return time


def _box(value: Any) -> Shape:
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, Sequence) or len(parts) != 4:
        raise ValueError(f"give {_BOX}")
    percent = [isinstance(part, str) and part.strip().endswith("%") for part in parts]
    numbers = [_coordinate(part) / (100 if all(percent) else 1) for part in parts]
    if any(percent) and not all(percent):
        raise ValueError("some of its numbers are percent and some are not: give all alike")
    are_fractions = all(number <= 1 for number in numbers)
    if all(percent) and not are_fractions:
        raise ValueError("a percentage is above 100: give 0% to 100%")
    corners: tuple[Point, ...] = ((numbers[0], numbers[1]), (numbers[2], numbers[3]))
    if not (corners[0][0] < corners[1][0] and corners[0][1] < corners[1][1]):
        raise ValueError(f"left must be less than right, and top less than bottom; give {_BOX}")
    return Shape(BOX, corners, are_fractions=are_fractions)


def _coordinate(value: Any) -> float:
    try:
        if isinstance(value, Real) and not isinstance(value, bool):
            number = float(value)
        else:
            number = float(bounded_fraction(str(value).strip().removesuffix("%")))
    except ValueError:
        number = -1.0
    if not 0 <= number <= 10**6:  # NaN too
        raise ValueError(f"{str(value)[:40]!r} is no place in a picture; give {_BOX}")
    return number
