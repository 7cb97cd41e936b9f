"""What the user can choose about a job: one field an option, with its default, its parser and its help.

The command line and the Python API both go through `Options`, so a value means the same in both, and a bad one is
refused in the same words. To add an option, add a field here (and its type to `FrameArguments` or `JobArguments`, so
that type checkers know the keyword); then use it where it acts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, fields
from fractions import Fraction
from numbers import Integral, Rational, Real
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypedDict

from birefvideo.bounded_numbers import bounded_fraction
from birefvideo.errors import OptionError, named
from birefvideo.media.colour_names import parse_colour

if TYPE_CHECKING:
    import torch
    from typing_extensions import Unpack

    from birefvideo.media.writing.background import Background

RGB: TypeAlias = "tuple[int, int, int]"
"""R'G'B' codes, 0–255."""
Time: TypeAlias = "int | float | Fraction | str"
"""Seconds, or text as on the command line: '12.5', '1:02.5', '1:00:02'."""

_LONGEST_SHOWN = 500
"""Characters of a bad value that a message quotes."""
_LEAST_HUE = 32
"""How far the RGB codes of a spill's colour are apart, at least."""


def _option(
    default: object, parse: Callable[[Any], object], explanation: str, *, metavar: str = "", bare: str | None = None
) -> Any:
    """Declare an option.

    Args:
        default: its value where the user says nothing, as `parse` returns it.
        parse: returns the value for what the user gave: text, or a Python value; raises ValueError that says what is
            allowed ("give …"). It takes its own results too.
        explanation: one line for the command line and the documentation.
        metavar: how the help shows its value.
        bare: the value that a flag without a value stands for, where it may be left out.
    """
    return field(default=default, metadata={"parse": parse, "help": explanation, "metavar": metavar, "bare": bare})


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
    if len(sides) not in (1, 2) or any(not _is_whole(side) or side < 64 or side % 32 for side in sides):
        raise ValueError("give WIDTHxHEIGHT or one number, in multiples of 32 from 64 on")
    return int(sides[0]) if len(sides) == 1 else (int(sides[0]), int(sides[1]))


def parse_background(value: Any) -> Background:
    """Return the colour that a text or three codes name, or else the file."""
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
        raise ValueError(f"{reason}, or the name of a picture or video that exists")
    return path


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


def _model(value: Any) -> str:
    if not isinstance(value, str | PathLike):
        raise ValueError("give a name, a hub id, a checkpoint folder or a weights file")
    return str(fspath(value))


def _device(value: Any) -> str:
    from birefvideo.matting.devices import device_name  # torch: seconds that --help need not take

    return device_name(value)


def _dtype(value: Any) -> str:
    from birefvideo.matting.devices import DTYPES

    return _one_of(str(value).removeprefix("torch."), DTYPES)


def _tracks(value: Any) -> str:
    from birefvideo.media.writing.audio import TRACKS

    return _one_of(value, TRACKS)


def _one_of(value: Any, allowed: Collection[str]) -> str:
    if not isinstance(value, str) or value not in allowed:
        raise ValueError(f"give one of {', '.join(allowed)}")
    return str(value)


def _whole(least: int, allowed: str) -> Callable[[Any], int | None]:
    def parse(value: Any) -> int:
        if isinstance(value, str) and re.fullmatch(r"\d{1,9}", value.strip(), re.ASCII):
            value = int(value)
        if not _is_whole(value) or value < least:
            raise ValueError(f"give {allowed}")
        return int(value)

    return parse


def _optional(parse: Callable[[Any], object]) -> Callable[[Any], object]:
    return lambda value: None if value is None else parse(value)


def _flag(value: Any) -> bool:
    if not isinstance(value, bool) and value not in (0, 1):
        raise ValueError("give True or False")
    return bool(value)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name too long, a null character, a folder that may not be read
        return False


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


class FrameArguments(TypedDict, total=False):
    """The options of `birefvideo.mattes`, as keywords: the types that each takes."""

    model: str | PathLike[str]
    size: int | tuple[int, int] | str | None
    smooth: int
    despill: str | RGB | None
    fps: int | float | Fraction | str | None
    deinterlace: bool
    start: Time | None
    end: Time | None
    device: str | torch.device
    dtype: str | torch.dtype
    batch: int | None


class JobArguments(FrameArguments, total=False):
    """The options of `birefvideo.matte`, as keywords: those of `mattes`, and those of files."""

    background: str | PathLike[str] | RGB
    premultiplied: bool | str
    audio: str


@dataclass(frozen=True, init=False)
class Options:
    """What the user can choose about the pictures and the sound; every field decides bytes.

    Values may be given as on the command line (`start="0:05"`, `size="1024x576"`) or as Python values; the fields hold
    them parsed.

    Raises:
        OptionError: a value is not allowed; the message names the option and what is allowed.
    """

    model: str = _option(
        "auto",
        _model,
        "Name (see `birefvideo models`), hub id, checkpoint folder or weights file.",
        metavar="MODEL",
    )
    size: int | tuple[int, int] | None = _option(
        None,
        parse_size,
        "What the network sees instead of the model's own: WxH, or N (its square or long side).",
        metavar="SIZE",
    )
    background: Background = _option(
        (0, 177, 64),
        parse_background,
        "Under the green output: colour name, #rrggbb or r,g,b, a picture, or a video, which loops.",
        metavar="COLOUR|FILE",
    )
    smooth: int = _option(
        2,
        _whole(0, "0 (off) or a radius in frames"),
        "Radius of temporal smoothing in frames; 0 is off.",
        metavar="FRAMES",
    )
    despill: RGB | str | None = _option(
        None,
        parse_despill,
        "Take a wall's coloured light out of edges: green, #rrggbb …, or auto.",
        metavar="COLOUR",
    )
    fps: Fraction | None = _option(
        None, parse_fps, "Pictures a second, where INPUT is pictures: 24, 29.97, …; default: 25.", metavar="RATE"
    )
    premultiplied: bool = _option(
        False,
        parse_premultiplied,
        "Multiply colour by alpha, over black; without it alpha is straight.",
        metavar="[black]",
        bare="black",
    )
    audio: str = _option(
        "all",
        _tracks,
        "Which of the input's audio tracks to keep: all, first or none.",
        metavar="TRACKS",
    )
    deinterlace: bool = _option(True, _flag, "Take frames that are flagged interlaced as they are.")
    start: Fraction | None = _option(None, parse_time, "Begin here: seconds or [h:]mm:ss.", metavar="TIME")
    end: Fraction | None = _option(None, parse_time, "End here: seconds or [h:]mm:ss.", metavar="TIME")
    device: str = _option("auto", _device, "auto, cuda, cuda:N, mps or cpu.", metavar="DEVICE")
    dtype: str = _option(
        "auto",
        _dtype,
        "What the network computes in: auto (by device), float32, bfloat16 or float16.",
        metavar="DTYPE",
    )
    batch: int | None = _option(
        None,
        _optional(_whole(1, "a number of frames, at least 1")),
        "Frames computed at once; default: by device and free memory.",
        metavar="FRAMES",
    )

    def __init__(self, **choices: Unpack[JobArguments]) -> None:
        given: dict[str, object] = dict(choices)
        for option in fields(self):
            value = given.pop(option.name, option.default)
            object.__setattr__(self, option.name, parse_option(option.name, value))
        if given:
            raise OptionError(
                f"there is no option {', '.join(given)}: choose from {', '.join(o.name for o in fields(self))}"
            )
        if self.end is not None and self.end <= (self.start or 0):
            start = f"{named('start')} ({float(self.start or 0):g} s)"
            raise OptionError(f"{named('end')} ({float(self.end):g} s) is not after {start}")

    def changed(self, **choices: Unpack[JobArguments]) -> Options:
        """Return these options with some of them replaced.

        Raises:
            OptionError: as the class.
        """
        values: Any = {option.name: getattr(self, option.name) for option in fields(self)}
        return Options(**{**values, **choices})


def parse_option(name: str, value: object) -> Any:
    """Return the value of the option called `name` for what a user gave.

    Raises:
        OptionError: it is not allowed.
    """
    (option,) = (option for option in fields(Options) if option.name == name)
    try:
        return option.metadata["parse"](value)
    except ValueError as error:
        raise OptionError(f"{named(name)} is {_shown(value)}: {error}") from None


def _shown(value: object) -> str:
    """Return what was given as a message quotes it; a long text or number is cut."""
    try:
        text = repr(value)
    except ValueError:  # Python writes no number of more than 4300 digits
        text = f"a {type(value).__name__} that is too long"
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"
