"""What a user may give as the value of an option, as text or in Python: one parser a kind of value.

Each returns the value that `Options` holds, and takes its own results too; for what is not allowed it raises ValueError
with a line that says what is ("give …").
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from fractions import Fraction
from numbers import Integral, Rational, Real
from os import PathLike, fsdecode, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from birefvideo.bounded_numbers import bounded_fraction
from birefvideo.directing.wishes import PLACES, Subject
from birefvideo.errors import named
from birefvideo.hints import address, meant, meant_file, nearest
from birefvideo.jobs.model_in_memory import KeptModel, NetworkInMemory
from birefvideo.media.colour_names import NAMED_COLOURS, parse_colour

if TYPE_CHECKING:
    from birefvideo.media.writing.background import Background

RGB: TypeAlias = "tuple[int, int, int]"
"""R'G'B' codes, 0–255."""
Levels: TypeAlias = "tuple[float, float, float]"
"""Alpha that becomes 0, alpha that becomes 1, gamma."""
Time: TypeAlias = "int | float | Fraction | str"
"""Seconds, or text as on the command line: '12.5', '1:02.5', '1:00:02'."""

_LONGEST_SHOWN = 500
"""Characters of a bad value that a message quotes."""
_LEAST_HUE = 32
"""How far the RGB codes of a spill's colour are apart, at least."""


def parse_time(value: Any) -> Fraction | None:
    """Return seconds of a number, or of '12.5', '1:02.5' or '1:00:02'."""
    if value is None:
        return None
    if isinstance(value, str):
        is_time = re.fullmatch(r"(\d{1,9}:){0,2}(\d{1,9}(\.\d{0,99})?|\.\d{1,99})", value.strip(), re.ASCII)
        parts = [Fraction(part) for part in value.strip().split(":")] if is_time else []
        if parts and all(part < 60 for part in parts[1:]):
            return sum((part * 60**i for i, part in enumerate(reversed(parts))), Fraction(0))
    elif isinstance(value, Real) and not isinstance(value, bool) and 0 <= value < 10**9:  # type: ignore[operator]
        return Fraction(value) if isinstance(value, Rational) else Fraction(float(value)).limit_denominator(10**6)
    raise ValueError("give seconds (12.5) or [h:]mm:ss (1:02.5), not negative")


def parse_size(value: Any) -> int | tuple[int, int] | None:
    """Return the network's input: (width, height), or one number; of '1024x576', '1024', a pair or a number."""
    if value is None:
        return None
    if isinstance(value, str):
        found = re.fullmatch(r"(\d{1,6})(?:[x×](\d{1,6}))?", value.strip().lower(), re.ASCII)
        value = tuple(int(side) for side in found.groups() if side) if found else ()
    sides = value if isinstance(value, tuple | list) else (value,)
    if len(sides) not in (1, 2) or any(not _is_whole(side) or not 64 <= side < 10**6 or side % 32 for side in sides):
        raise ValueError("give WIDTHxHEIGHT or one number, in multiples of 32 from 64 on")
    return int(sides[0]) if len(sides) == 1 else (int(sides[0]), int(sides[1]))


def parse_background(value: Any) -> Background:
    """Return the colour that a text or three codes name, the blur of 'blur' or 'blur:20', or else the file."""
    from birefvideo.media.writing.background import Blur  # PyAV, which colours need not load

    if isinstance(value, Blur):
        return value
    if isinstance(value, str) and (found := re.fullmatch(r"blur(?::(.*))?", value.strip(), re.IGNORECASE)):
        return Blur() if found[1] is None else Blur(_radius(found[1]))
    reason = "give a colour"
    if isinstance(value, str) or not isinstance(value, PathLike):
        try:
            return _rgb(value)
        except ValueError as error:
            if not isinstance(value, str):
                raise
            reason = str(error)
    path = Path(value)
    if not _is_file(path):
        raise ValueError(_no_background(path, reason))
    return path


def parse_fit(value: Any) -> str:
    """Return how a background comes to the size of the picture."""
    from birefvideo.media.writing.background import FITS

    return _one_of(value, FITS)


def parse_despill(value: Any) -> RGB | str | None:
    """Return the R'G'B' codes of a colour with a hue, 'auto', or None."""
    if value is None or (isinstance(value, str) and value.strip().lower() == "auto"):
        return None if value is None else "auto"
    colour = _rgb(value)
    if max(colour) - min(colour) < _LEAST_HUE:
        raise ValueError("it has no hue to take out; give a colour such as green or blue, or auto")
    return colour


def parse_fps(value: Any) -> Fraction | None:
    """Return pictures a second: 23.976, 29.97 and their like are the broadcast rates, 24000/1001 and so on."""
    if value is None:
        return None
    try:
        rate = Fraction(0) if isinstance(value, bool) else bounded_fraction(str(value))
    except ValueError:
        rate = Fraction(0)
    if not Fraction(1, 1000) <= rate <= 1000:
        raise ValueError("give pictures a second, such as 24, 29.97 or 30000/1001")
    broadcast = Fraction(round(rate * Fraction(1001, 1000)) * 1000, 1001)
    is_broadcast = rate.denominator > 1 and abs(rate - broadcast) < Fraction(1, 500)
    return broadcast if is_broadcast else rate


def parse_premultiplied(value: Any) -> bool:
    """Return whether to multiply, of a flag or of the colour that the edges are to be mixed with: only black."""
    if not isinstance(value, str):
        return bool(value)
    if _rgb(value) != (0, 0, 0):
        raise ValueError(f"only black is possible; for another colour see {named('background')}")
    return True


def parse_model(value: Any) -> str | KeptModel | NetworkInMemory:
    """Return the name, hub id or path of a model, whether it is there or not, or a model that is in memory."""
    if isinstance(value, KeptModel | NetworkInMemory):
        return value
    if isinstance(value, str | PathLike):
        name = fspath(value)
        return name if isinstance(name, str) else fsdecode(name)
    from birefvideo.family.modeling import (
        BiRefNetForImageSegmentation,  # transformers: seconds that names need not take
    )

    if not isinstance(value, BiRefNetForImageSegmentation):
        raise ValueError(
            "give a name, a hub id, a checkpoint folder, a weights file, a birefvideo.Session, or a network as "
            "birefvideo.load_model returns it"
        )
    return NetworkInMemory(value)


def parse_device(value: Any) -> str:
    """Return the name of a device, or 'auto'."""
    if isinstance(value, str) and value == "auto":
        return value
    from birefvideo.matting.devices import device_name  # torch: seconds that 'auto' need not take

    return device_name(value)


def parse_dtype(value: Any) -> str:
    """Return the name of a type of numbers, or 'auto'."""
    if isinstance(value, str) and value == "auto":
        return value
    from birefvideo.matting.devices import DTYPES

    return _one_of(str(value).removeprefix("torch."), DTYPES)


def parse_tracks(value: Any) -> str:
    """Return which audio tracks to keep."""
    from birefvideo.media.writing.audio import TRACKS

    return _one_of(value, TRACKS)


def _one_of(value: Any, allowed: Collection[str]) -> str:
    if not isinstance(value, str) or value not in allowed:
        raise ValueError(f"give one of {', '.join(allowed)}{meant(str(value), allowed)}")
    return str(value)


def whole_number(least: int, most: int, allowed: str) -> Callable[[Any], int | None]:
    """Return a parser of whole numbers from `least` to `most`, which `allowed` describes."""

    def parse(value: Any) -> int:
        if isinstance(value, str) and re.fullmatch(r"\d{1,9}", value.strip(), re.ASCII):
            value = int(value)
        if not _is_whole(value) or not least <= value <= most:
            raise ValueError(f"give {allowed}")
        return int(value)

    return parse


def number(most: float) -> Callable[[Any], float]:
    """Return a parser of numbers from 0 to `most`, whole or not."""

    def parse(value: Any) -> float:
        if isinstance(value, str) and re.fullmatch(r"\d{1,9}(\.\d{0,99})?|\.\d{1,99}", value.strip(), re.ASCII):
            value = float(value)
        if not isinstance(value, Real) or isinstance(value, bool) or not 0 <= float(value) <= most:
            raise ValueError(f"give a number from 0 to {most:g}")
        return float(value)

    return parse


def parse_levels(value: Any) -> Levels:
    """Return (black, white, gamma) of 'black,white[,gamma]' or two or three numbers."""
    parts = value.split(",") if isinstance(value, str) else value
    try:
        black, white, gamma = (float(bounded_fraction(str(part).strip())) for part in (*parts, 1)[: max(3, len(parts))])
    except (TypeError, ValueError):
        black = white = gamma = 0
    if not (0 <= black < white <= 1 and 0.1 <= gamma <= 10):
        raise ValueError(
            "give BLACK,WHITE or BLACK,WHITE,GAMMA: the alpha that becomes 0 and that becomes 1, such as 0.05,0.9; "
            "gamma is from 0.1 to 10"
        )
    return black, white, gamma


def parse_subject(value: Any) -> Subject | None:
    """Return the subject that 'left', 'right', 'largest', 'middle', 'X,Y' or 'X,Y@TIME' names."""
    if value is None or isinstance(value, Subject):
        return value
    if isinstance(value, tuple | list):
        value = ",".join(map(str, value))
    text = value.strip().lower() if isinstance(value, str) else ""
    if text in PLACES:
        return Subject(word=text)
    place, _, time = text.partition("@")
    try:
        parts = [part.strip() for part in place.split(",")]
        are_percent = all(part.endswith("%") for part in parts)
        whole, most = (100, 1) if are_percent else (1, 10**6)
        x, y = (float(bounded_fraction(part.removesuffix("%") if are_percent else part)) / whole for part in parts)
        if 0 <= x <= most and 0 <= y <= most:
            return Subject(x=x, y=y, at=parse_time(time) if "@" in text else None)
    except ValueError:
        pass
    raise ValueError(
        f"give {', '.join(PLACES)}, or X,Y or X,Y@TIME: a point on the subject, in pixels or in parts of the picture "
        "(0.5,0.4 or 50%,40%), and when it is there (12.5 or 1:02.5)"
    )


def optional(parse: Callable[[Any], object]) -> Callable[[Any], object]:
    """Return a parser that takes None too."""
    return lambda value: None if value is None else parse(value)


def parse_flag(value: Any) -> bool:
    """Return True or False, which may be given as 1 or 0."""
    if not isinstance(value, bool) and value not in (0, 1):
        raise ValueError("give True or False")
    return bool(value)


def shown(value: object) -> str:
    """Return what was given as a message quotes it; a long text or number is cut."""
    try:
        text = repr(value)
    except ValueError:  # Python writes no number of more than 4300 digits
        text = f"a {type(value).__name__} that is too long"
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"


def _radius(text: str) -> float:
    try:
        radius = number(1000)(text)
    except ValueError:
        radius = 0.0
    if radius < 1:
        raise ValueError("give blur, or blur:PIXELS with the radius of the blur, from 1 to 1000")
    return radius


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name too long, a null character, a folder that may not be read
        return False


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def _no_background(path: Path, reason: str) -> str:
    """Return what to give where the background is no file, and for `reason` no colour."""
    if found := address(str(path)):
        return f"it {found}"
    if _is_there(path):
        return f"{path} is no file but a folder, a pipe or a device; name a picture or a video"
    hint = "" if nearest(str(path), NAMED_COLOURS) else meant_file(path)
    return f"{reason}, or the name of a picture or video that exists{hint}"


def _is_whole(value: object) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)


def _rgb(value: Any) -> RGB:
    """Return the codes of a colour in words, or of three numbers."""
    if isinstance(value, str):
        return parse_colour(value)
    codes = tuple(value) if isinstance(value, tuple | list) else ()
    if len(codes) != 3 or not all(_is_whole(code) and 0 <= code <= 255 for code in codes):
        raise ValueError("give a colour's name, '#rrggbb' or (red, green, blue) from 0 to 255")
    return int(codes[0]), int(codes[1]), int(codes[2])
