"""Marks as data: `marks.json`, or the same in Python; read strictly, or refused in one line that names the mark."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from fractions import Fraction
from itertools import pairwise
from numbers import Real
from pathlib import Path
from typing import Any, NoReturn

from birefvideo.directing.marks import (
    BOX,
    DOES,
    POINT,
    POLYGON,
    SHAPES,
    STROKE,
    SUBJECT,
    Key,
    Mark,
    Marks,
    Point,
    Shape,
)
from birefvideo.directing.read_mends import read_mend
from birefvideo.errors import InputError
from birefvideo.hints import meant, why_missing
from birefvideo.json_files import read_json_object

MARK = "birefvideo_marks"
"""Key by which a file of marks is known, and its version."""
VERSION = 1
UNITS = {"pixels": False, "fraction": True}
"""What `units` may be, and whether these are fractions."""
_MOST_BYTES = 16 << 20
_MOST = {"marks": 1000, "mend": 1000, "keys": 10_000, "points": 20_000}
"""How many of each there may be."""
_FARTHEST = 10**6
"""Pixels, or seconds, that no clip has."""
_WIDTH = {False: 12.0, True: 0.01}
"""Width of a stroke that has none, by whether units are fractions."""
_LEAST_POINTS = {POINT: 1, BOX: 2, POLYGON: 3, STROKE: 1}
_TOP = (MARK, "units", "garbage", "marks", "mend")
_OF_MARK = ("do", *SHAPES, "width", "time", "from", "to", "keys", "carry", "feather", "note")
_OF_KEY = ("time", *SHAPES, "width")


def read_marks(path: Path) -> Marks:
    """Return the marks that a JSON file holds.

    Raises:
        InputError: it is not there, or something in it is not allowed.
    """
    if why := why_missing(path):
        raise InputError(why)
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise InputError(f"{path} is larger than {_MOST_BYTES >> 20} MB, which no file of marks is: name another")
        values = read_json_object(path)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}): check it and its permissions") from error
    except ValueError as error:
        raise InputError(f"{error}: name a file of marks as docs/direct.md describes it") from error
    return parse_marks(values, str(path), path.parent)


def parse_marks(values: Mapping[str, Any], name: str, folder: Path = Path()) -> Marks:
    """Return the marks that an object of JSON, called `name`, describes.

    Args:
        values: the object.
        name: what messages call it.
        folder: where the pictures that it names lie.

    Raises:
        InputError: something is not allowed; the line names the mark.
    """
    reader = _Reader(name)
    reader.check_names(values, _TOP)
    if values.get(MARK) != VERSION or isinstance(values.get(MARK), bool):
        reader.refuse(f'it is no file of marks of this version: its first line is {{"{MARK}": {VERSION}, …')
    units = values.get("units", "pixels")
    if not isinstance(units, str) or units not in UNITS:
        reader.refuse(f"units is {_shown(units)}: give one of {', '.join(UNITS)}")
    reader.are_fractions = UNITS[units]
    marks = tuple(
        _Reader(f"{name}: mark {number}", reader.are_fractions).mark(item)
        for number, item in enumerate(reader.items(values, "marks"), 1)
    )
    if len(subjects := [mark for mark in marks if mark.do == SUBJECT]) > 1:
        reader.refuse(f"{len(subjects)} marks name the subject: leave one of them")
    mends = tuple(
        read_mend(item, f"{name}: mend {number}", folder) for number, item in enumerate(reader.items(values, "mend"), 1)
    )
    garbage = values.get("garbage")
    return Marks(marks, None if garbage is None else reader.shape({BOX: garbage}, "garbage"), mends, values)


class _Reader:
    """Reads one mark, or what lies around them; messages begin with its name."""

    def __init__(self, name: str, are_fractions: bool = False) -> None:
        self.name = name
        self.are_fractions = are_fractions

    def refuse(self, reason: str) -> NoReturn:
        raise InputError(f"{self.name}: {reason}")

    def check_names(self, values: object, allowed: Collection[str]) -> None:
        if not isinstance(values, Mapping):
            self.refuse(f"it is {_shown(values)}: give an object, {{…}}")
        for field in values:
            if field not in allowed:
                hint = meant(str(field), allowed)
                self.refuse(f"there is no field {_shown(field)}{hint}: choose from {', '.join(allowed)}")

    def items(self, values: Mapping[str, Any], field: str) -> list[Any]:
        items = values.get(field, [])
        if not isinstance(items, list | tuple):
            self.refuse(f"{field} is {_shown(items)}: give a list, […]")
        if len(items) > _MOST[field]:
            self.refuse(f"{field} has {len(items)} entries: give at most {_MOST[field]}")
        return list(items)

    def mark(self, values: Any) -> Mark:
        self.check_names(values, _OF_MARK)
        do = values.get("do")
        if not isinstance(do, str) or do not in DOES:
            self.refuse(f"do is {_shown(do)}: give one of {', '.join(DOES)}")
        self.name += f" ({do})"
        keys = self.keys(values)
        kind = keys[0].shape.kind
        carry = values.get("carry", kind in (POINT, STROKE))
        if not isinstance(carry, bool):
            self.refuse(f"carry is {_shown(carry)}: give true or false")
        if kind == POINT and not carry:
            self.refuse("a point covers nothing unless it is carried: leave carry out, or draw a box")
        begin, end = self.time(values, "from"), self.time(values, "to")
        if begin is not None and end is not None and end < begin:
            self.refuse(f"to ({float(end):g} s) is before from ({float(begin):g} s): exchange them")
        if do == SUBJECT and (len(keys) > 1 or begin is not None or end is not None):
            self.refuse("a subject is one for the whole clip: give one shape and its time, without keys, from and to")
        feather = self.number(values.get("feather", 0), "feather", 200, "pixels from 0 to 200")
        return Mark(self.name, do, keys, begin, end, carry, feather)

    def keys(self, values: Mapping[str, Any]) -> tuple[Key, ...]:
        if "keys" not in values:
            return (Key(self.time(values, "time"), self.shape(values)),)
        for field in ("time", "width", *SHAPES):
            if field in values:
                self.refuse(f"it has both keys and {field}: put {field} into each of the keys")
        keys = []
        for number, item in enumerate(self.items(values, "keys"), 1):
            reader = _Reader(f"{self.name}, key {number}", self.are_fractions)
            reader.check_names(item, _OF_KEY)
            if item.get("time") is None:
                reader.refuse("it has no time: give the seconds at which it is drawn")
            keys.append(Key(reader.time(item, "time"), reader.shape(item)))
        if not keys:
            self.refuse("keys is empty: give at least one, with a time and a shape")
        for (at, one), (number, two) in pairwise(enumerate(keys, 1)):
            if one.time is not None and two.time is not None and two.time <= one.time:
                self.refuse(f"key {number} is not after key {at}: put them in order of time")
            if (one.shape.kind, len(one.shape.points)) != (two.shape.kind, len(two.shape.points)) and (
                not values.get("carry", one.shape.kind in (POINT, STROKE))
            ):
                self.refuse(f"keys {at} and {number} are not drawn alike: give each the same shape and as many points")
        return tuple(keys)

    def shape(self, values: Mapping[str, Any], called: str = "") -> Shape:
        found = [kind for kind in SHAPES if kind in values]
        if len(found) != 1:
            has = f"it has {' and '.join(found)}" if found else "it has no shape"
            self.refuse(f"{has}: give one of {', '.join(SHAPES)}")
        (kind,) = found
        if "width" in values and kind != STROKE:
            self.refuse(f"width is for a stroke, and this is a {kind}: leave it out")
        points = self.points(kind, values[kind], called or kind)
        width = 0.0
        if kind == STROKE:
            most = 1 if self.are_fractions else _FARTHEST
            width = self.number(values.get("width", _WIDTH[self.are_fractions]), "width", most, "a number above 0")
            if width <= 0:
                self.refuse(f"width is {width:g}: give a number above 0")
        return Shape(kind, points, width, self.are_fractions)

    def points(self, kind: str, value: Any, called: str) -> tuple[Point, ...]:
        if kind in (POINT, BOX):
            count, names = (2, "[x, y]") if kind == POINT else (4, "[left, top, right, bottom]")
            if not isinstance(value, list | tuple) or len(value) != count:
                self.refuse(f"{called} is {_shown(value)}: give {names}")
            numbers = [self.coordinate(number, called) for number in value]
            points = tuple(zip(numbers[::2], numbers[1::2], strict=True))
            if kind == BOX and not (points[0][0] < points[1][0] and points[0][1] < points[1][1]):
                self.refuse(f"{called} is {_shown(value)}: left must be less than right, and top less than bottom")
            return points
        if not isinstance(value, list | tuple) or not _LEAST_POINTS[kind] <= len(value) <= _MOST["points"]:
            allowed = f"{_LEAST_POINTS[kind]} to {_MOST['points']} points, [[x, y], …]"
            self.refuse(f"{called} is {_shown(value)}: give {allowed}")
        return tuple(self.points(POINT, point, f"a point of the {called}")[0] for point in value)

    def coordinate(self, value: Any, called: str) -> float:
        if self.are_fractions:
            allowed = 'a number from 0 to 1, as units is "fraction"'
            return self.number(value, f"{called}: a coordinate", 1, allowed)
        return self.number(value, f"{called}: a coordinate", _FARTHEST, "pixels, not negative")

    def time(self, values: Mapping[str, Any], field: str) -> Fraction | None:
        value = values.get(field)
        return None if value is None else exact_time(self.number(value, field, _FARTHEST, "seconds, not negative"))

    def number(self, value: Any, called: str, most: float, allowed: str) -> float:
        is_number = isinstance(value, Real) and not isinstance(value, bool)
        if not is_number or not 0 <= value <= most:  # which NaN is not either
            self.refuse(f"{called} is {_shown(value)}: give {allowed}")
        return float(value)


def exact_time(seconds: float) -> Fraction:
    """Return seconds as the decimals say that they were written with."""
    return Fraction(repr(seconds))


def _shown(value: object) -> str:
    """Return a value as a message quotes it."""
    try:
        text = "nothing" if value is None else repr(value)
    except ValueError:  # Python writes no number of more than 4300 digits
        text = "a number that is too long" if isinstance(value, int) else "something too long"
    return text if len(text) <= 60 else f"{text[:60]}…"
