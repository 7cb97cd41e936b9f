"""What the user can choose about a job: one field an option, with its default, its parser and its help.

The command line and the Python API both go through `Options`, so a value means the same in both, and a bad one is
refused in the same words. To add an option, add a field here (and its type to `arguments`, so that type checkers know
the keyword); then use it where it acts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from fractions import Fraction
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Any

from birefvideo.directing.marks import Marks
from birefvideo.directing.wishes import Subject
from birefvideo.errors import OptionError, named
from birefvideo.hints import meant
from birefvideo.jobs.arguments import DIRECTIONS, JobArguments, MatteArguments
from birefvideo.jobs.mark_values import parse_garbage, parse_keep, parse_mark_file, parse_mend, parse_remove
from birefvideo.jobs.model_in_memory import KeptModel, NetworkInMemory
from birefvideo.jobs.option_values import (
    RGB,
    Levels,
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
    parse_subject,
    parse_time,
    parse_tracks,
    shown,
    whole_number,
)
from birefvideo.media.colour_names import NAMED_COLOURS

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from birefvideo.matting.edge import Edge
    from birefvideo.media.writing.background import Background

GROUPS = ("Common", "Batch", "Picture", "Direct", "Edge", "Sound", "Machine", "Expert")
"""What the help divides the options into, in order."""


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
    mirror: bool = _option(
        False, parse_flag, "Take the mean of what the network says of a picture and its mirror image.", group="Expert"
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
    subject: Subject | None = _option(
        None,
        parse_subject,
        "Keep one subject: left, right, largest, middle, or a point on it: X,Y or X,Y@TIME.",
        metavar="WHICH",
        group="Direct",
    )
    people: int | None = _option(
        None,
        optional(whole_number(1, 1000, "a number of people, from 1 to 1000")),
        "Keep the N subjects that are largest and longest in view.",
        metavar="N",
        group="Direct",
    )
    marks: Marks | None = _option(
        None,
        parse_mark_file,
        "What to keep, remove and mend, drawn by strokes and boxes: see docs/direct.md.",
        metavar="FILE",
        group="Direct",
    )
    keep: Marks | None = _option(
        None,
        parse_keep,
        "Keep what is in LEFT,TOP,RIGHT,BOTTOM[@TIME|@FROM-TO]; 10% is a share.",
        metavar="BOX",
        group="Direct",
    )
    remove: Marks | None = _option(None, parse_remove, "Remove what is in a box.", metavar="BOX", group="Direct")
    garbage: Marks | None = _option(
        None, parse_garbage, "Remove all that is outside of LEFT,TOP,RIGHT,BOTTOM.", metavar="BOX", group="Direct"
    )
    mend: Marks | None = _option(
        None, parse_mend, "Corrected alpha, as PNG named by frame number.", metavar="FILE|FOLDER", group="Direct"
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
    device: str = _option(
        "auto",
        parse_device,
        "auto, cuda, cuda:N, mps or cpu; several: cuda:0,cuda:1, or cpu:N for N processes.",
        metavar="DEVICE",
        group="Machine",
    )
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
            if unknown in MatteArguments.__annotations__:
                raise OptionError(f"{named(unknown)} is for jobs that make files: pass it to birefvideo.matte itself")
            raise OptionError(f"there is no option {unknown}{meant(unknown, names)}: choose from {', '.join(names)}")
        if isinstance(self.model, KeptModel):
            self._take_settled(self.model)
        if self.end is not None and self.end <= (self.start or 0):
            start = f"{named('start')} ({float(self.start or 0):g} s)"
            raise OptionError(f"{named('end')} ({float(self.end):g} s) is not after {start}")
        if self.wished_subject is not None and self.people is not None:
            raise OptionError(f"{named('subject')} keeps one and {named('people')} the largest: give one of them")
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
        defaults = {option.name: option.default for option in fields(self)}
        for name, (value, *same) in model.settled.items():
            own = getattr(self, name)
            is_free = name not in self.given or own in (value, *same, defaults[name])
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
    def is_directed(self) -> bool:
        """Whether something is wanted that only a look at the whole clip can tell: the job then has two passes."""
        return self.wished_subject is not None or self.people is not None or self.marked.need_whole_clip

    @property
    def directions(self) -> list[str]:
        """Names of the options that direct the matte, as far as they do."""
        return [name for name in DIRECTIONS if getattr(self, name)]

    @property
    def marked(self) -> Marks:
        """All that is marked, in pixels or shares of the picture."""
        return reduce(or_, filter(None, (self.marks, self.keep, self.remove, self.garbage, self.mend)), Marks())

    @property
    def wished_subject(self) -> Subject | None:
        """Which subject stays: that of the option, or the marked one."""
        return self.subject or self.marked.subject

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
        raise OptionError(f"{named(name)} is {shown(value)}: {error}") from None
