"""What the user can choose about a job: one field an option, with its default, its parser and its help.

The command line and the Python API both go through `Options`, so a value means the same in both, and a bad one is
refused in the same words. To add an option, add a field here (and its type to `FrameArguments` or `JobArguments`, so
that type checkers know the keyword); then use it where it acts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from fractions import Fraction
from os import PathLike
from typing import TYPE_CHECKING, Any, TypedDict

from birefvideo.errors import OptionError, named
from birefvideo.hints import meant
from birefvideo.jobs.model_in_memory import KeptModel, NetworkInMemory
from birefvideo.jobs.option_values import (
    RGB,
    Levels,
    Time,
    number,
    optional,
    parse_background,
    parse_despill,
    parse_device,
    parse_dtype,
    parse_fit,
    parse_flag,
    parse_fps,
    parse_levels,
    parse_model,
    parse_premultiplied,
    parse_size,
    parse_time,
    parse_tracks,
    whole_number,
)
from birefvideo.media.colour_names import NAMED_COLOURS

if TYPE_CHECKING:
    import torch
    from typing_extensions import Unpack

    from birefvideo.family.modeling import BiRefNetForImageSegmentation
    from birefvideo.matting.edge import Edge
    from birefvideo.media.writing.background import Background

GROUPS = ("Common", "Batch", "Picture", "Edge", "Sound", "Machine", "Expert")
"""What the help divides the options into, in order."""
_LONGEST_SHOWN = 500
"""Characters of a bad value that a message quotes."""


def _option(
    default: object,
    parse: Callable[[Any], object],
    explanation: str,
    *,
    group: str,
    metavar: str = "",
    bare: str | None = None,
) -> Any:
    """Declare an option.

    Args:
        default: its value where the user says nothing, as `parse` returns it.
        parse: returns the value for what the user gave: text, or a Python value; raises ValueError that says what is
            allowed ("give …"). It takes its own results too.
        explanation: one line for the command line and the documentation.
        group: the one of `GROUPS` under which the help shows it.
        metavar: how the help shows its value.
        bare: the value that a flag without a value stands for, where it may be left out.
    """
    shown = {"help": explanation, "group": group, "metavar": metavar, "bare": bare}
    return field(default=default, metadata={"parse": parse, **shown})


class EdgeArguments(TypedDict, total=False):
    """The options that shape the edge of mattes, as keywords: the types that each takes."""

    grow: float | str
    shrink: float | str
    feather: float | str
    levels: tuple[float, ...] | str
    fill_holes: float | str
    drop_islands: float | str


EDGE = tuple(EdgeArguments.__annotations__)
"""Their names."""


class FrameArguments(EdgeArguments, total=False):
    """The options of `birefvideo.mattes`, as keywords: the types that each takes."""

    model: str | PathLike[str] | KeptModel | NetworkInMemory | BiRefNetForImageSegmentation
    size: int | tuple[int, int] | str | None
    smooth: int
    despill: str | RGB | None
    fps: int | float | Fraction | str | None
    deinterlace: bool
    ignore_alpha: bool
    start: Time | None
    end: Time | None
    device: str | torch.device
    dtype: str | torch.dtype
    batch: int | None


class JobArguments(FrameArguments, total=False):
    """The options of `birefvideo.matte`, as keywords: those of `mattes`, and those of files."""

    background: str | PathLike[str] | RGB
    fit: str
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

    model: str | KeptModel | NetworkInMemory = _option(
        "auto",
        parse_model,
        "Name (see `birefvideo models`), hub id, checkpoint folder or weights file.",
        metavar="MODEL",
        group="Common",
    )
    size: int | tuple[int, int] | None = _option(
        None,
        parse_size,
        "What the network sees instead of the model's own: WxH, or N (its square or long side).",
        metavar="SIZE",
        group="Expert",
    )
    background: Background = _option(
        (0, 177, 64),
        parse_background,
        "Under the green output: colour name, #rrggbb or r,g,b, a picture, a video, which loops, or blur[:PIXELS].",
        metavar="COLOUR|FILE|blur",
        group="Picture",
    )
    fit: str = _option(
        "cover",
        parse_fit,
        "How a background file fills the picture: cover (cut), contain (bars) or stretch.",
        metavar="FIT",
        group="Picture",
    )
    smooth: int = _option(
        2,
        whole_number(0, 100, "0 (off) or a radius in frames, up to 100"),
        "Radius of temporal smoothing in frames; 0 is off.",
        metavar="FRAMES",
        group="Picture",
    )
    despill: RGB | str | None = _option(
        None,
        parse_despill,
        "Take a wall's coloured light out of edges: green, #rrggbb …, or auto.",
        metavar="COLOUR",
        group="Picture",
    )
    grow: float = _option(
        0.0,
        number(200),
        "Make the subject larger on every side, in pixels of the clip.",
        metavar="PIXELS",
        group="Edge",
    )
    shrink: float = _option(0.0, number(200), "Make the subject smaller on every side.", metavar="PIXELS", group="Edge")
    feather: float = _option(
        0.0, number(200), "Blur the edge: standard deviation of the blur.", metavar="PIXELS", group="Edge"
    )
    levels: Levels = _option(
        (0.0, 1.0, 1.0),
        parse_levels,
        "Alpha that becomes 0 and alpha that becomes 1: 0.05,0.9; a gamma above 1 makes soft parts denser.",
        metavar="BLACK,WHITE[,GAMMA]",
        group="Edge",
    )
    fill_holes: float = _option(
        0.0, number(10**9), "Fill holes in the subject up to this area, in pixels.", metavar="AREA", group="Edge"
    )
    drop_islands: float = _option(
        0.0,
        number(10**9),
        "Drop pieces apart from the largest one up to this area, in pixels.",
        metavar="AREA",
        group="Edge",
    )
    fps: Fraction | None = _option(
        None,
        parse_fps,
        "Pictures a second, where INPUT is pictures: 24, 29.97, …; default: 25.",
        metavar="RATE",
        group="Picture",
    )
    premultiplied: bool = _option(
        False,
        parse_premultiplied,
        "Multiply colour by alpha, over black; without it alpha is straight.",
        metavar="[black]",
        bare="black",
        group="Picture",
    )
    audio: str = _option(
        "all",
        parse_tracks,
        "Which of the input's audio tracks to keep: all, first or none.",
        metavar="TRACKS",
        group="Sound",
    )
    deinterlace: bool = _option(
        True, parse_flag, "Take frames that are flagged interlaced as they are.", group="Picture"
    )
    ignore_alpha: bool = _option(False, parse_flag, "Show what the input's own transparency hides.", group="Picture")
    start: Fraction | None = _option(
        None, parse_time, "Begin here: seconds or [h:]mm:ss.", metavar="TIME", group="Common"
    )
    end: Fraction | None = _option(None, parse_time, "End here: seconds or [h:]mm:ss.", metavar="TIME", group="Common")
    device: str = _option("auto", parse_device, "auto, cuda, cuda:N, mps or cpu.", metavar="DEVICE", group="Machine")
    dtype: str = _option(
        "auto",
        parse_dtype,
        "What the network computes in: auto (by device), float32, bfloat16 or float16.",
        metavar="DTYPE",
        group="Machine",
    )
    batch: int | None = _option(
        None,
        optional(whole_number(1, 10**9, "a number of frames, at least 1")),
        "Frames computed at once; default: by device and free memory.",
        metavar="FRAMES",
        group="Machine",
    )

    def __init__(self, **choices: Unpack[JobArguments]) -> None:
        given: dict[str, object] = dict(choices)
        object.__setattr__(self, "_given", frozenset(choices))
        for option in fields(self):
            value = given.pop(option.name, option.default)
            object.__setattr__(self, option.name, parse_option(option.name, value))
        if given:
            names, (unknown, *_) = [option.name for option in fields(self)], given
            raise OptionError(f"there is no option {unknown}{meant(unknown, names)}: choose from {', '.join(names)}")
        if isinstance(self.model, KeptModel):
            self._take_settled(self.model)
        if self.end is not None and self.end <= (self.start or 0):
            start = f"{named('start')} ({float(self.start or 0):g} s)"
            raise OptionError(f"{named('end')} ({float(self.end):g} s) is not after {start}")

        if self.grow and self.shrink:
            raise OptionError(f"{named('grow')} and {named('shrink')} undo each other: give one of them")

    def changed(self, **choices: Unpack[JobArguments]) -> Options:
        """Return these options with some of them replaced.

        Raises:
            OptionError: as the class.
        """
        given: Any = {name: getattr(self, name) for name in self.given}
        return Options(**{**given, **choices})

    def as_dict(self) -> dict[str, Any]:
        """Return every option by its name; of a model in memory what it is called."""
        values = {option.name: getattr(self, option.name) for option in fields(self)}
        return {**values, "model": str(self.model)}

    def _take_settled(self, model: KeptModel) -> None:
        """Take what was decided when a model was loaded; the batch alone may be another one from job to job."""
        for name, (value, *same) in model.settled.items():
            own = getattr(self, name)
            is_free = name not in self.given or own in (value, *same, _default(name))
            if is_free:
                object.__setattr__(self, name, value)
            elif name != "batch":
                raise OptionError(
                    f"{named(name)} is {own!r}, but the session was made with {value!r}: leave it out, or make another "
                    f"birefvideo.Session({name}=…)"
                )

    @property
    def given(self) -> frozenset[str]:
        """Names of the options that the user has given, be it with their defaults."""
        return self._given  # type: ignore[attr-defined, no-any-return]

    @property
    def edge(self) -> Edge:
        """What to do to the edge of mattes."""
        from birefvideo.matting.edge import Edge  # OpenCV, which a program that only asks for help need not load

        return Edge(self.grow - self.shrink, self.feather, self.levels, self.fill_holes, self.drop_islands)

    @property
    def asks_for_background(self) -> bool:
        """Whether something else than the chroma key's green is to be under composites."""
        return self.background != NAMED_COLOURS["green"]


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


def _default(name: str) -> object:
    return next(option.default for option in fields(Options) if option.name == name)


def _shown(value: object) -> str:
    """Return what was given as a message quotes it; a long text or number is cut."""
    try:
        text = repr(value)
    except ValueError:  # Python writes no number of more than 4300 digits
        text = f"a {type(value).__name__} that is too long"
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"
