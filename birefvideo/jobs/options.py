"""What the user can choose about a job's pictures and sound, and how it is written."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from birefvideo.errors import OptionError
from birefvideo.matting.devices import check_dtype
from birefvideo.matting.input_size import check_size
from birefvideo.media.colour_names import parse_colour
from birefvideo.media.writing.audio import check_choice
from birefvideo.media.writing.background import Background

_LEAST_HUE = 32
"""How far the RGB codes of a spill's colour are apart, at least."""


@dataclass(frozen=True)
class Options:
    """What the user can choose about the pictures; every field decides bytes."""

    model: str = "auto"
    """Variant name, 'auto', hub id, checkpoint folder or weights file."""
    background: Background = (0, 177, 64)
    """RGB, 8 bit, under the composite, or a picture or video, which begins with the output and loops."""
    smooth: int = 2
    """Radius of temporal smoothing in frames; 0 is off."""
    start: Fraction | None = None
    """Seconds from the clip's first frame at which the output begins."""
    end: Fraction | None = None
    """Seconds from the clip's first frame at which it ends."""
    device: str = "auto"
    """auto, cuda, cuda:N, mps or cpu."""
    batch: int | None = None
    """Frames a batch; None: by device and its free memory."""
    size: int | tuple[int, int] | None = None
    """What the network sees: (width, height), or one number as `InputSize.overridden` has it; None: the model's own."""
    dtype: str = "auto"
    """What the network computes in: auto (by device), float32, bfloat16 or float16."""
    despill: tuple[int, int, int] | str | None = None
    """RGB of the light to take out of the edges, 'auto' for the background's own, or None; see `parse_despill`."""
    fps: Fraction | None = None
    """Pictures a second of an input that is pictures; None: 25."""
    premultiplied: bool = False
    """Multiply colour by alpha, over black, in outputs with alpha; they are straight otherwise."""
    audio: str = "all"
    """Which of the source's audio tracks go into the outputs: all, first or none."""
    deinterlace: bool = True
    """Make frames that are flagged interlaced progressive."""

    def __post_init__(self) -> None:
        if not isinstance(self.smooth, int) or self.smooth < 0:
            raise OptionError(f"--smooth is {self.smooth}, must be 0 (off) or a radius in frames")
        if self.batch is not None and (not isinstance(self.batch, int) or self.batch < 1):
            raise OptionError(f"--batch is {self.batch}, must be at least 1")
        if not isinstance(self.model, str):
            raise OptionError(f"model is a {type(self.model).__name__}, must be a name, a folder or a weights file")
        if self.size is not None:
            check_size(self.size)
        check_dtype(self.dtype)
        check_choice(self.audio)


def parse_despill(text: str | None) -> tuple[int, int, int] | str | None:
    """What `Options.despill` is for a colour in words, 'auto' or None.

    Raises:
        OptionError: it is no colour, or one without a hue.
    """
    if text is None or text.strip().lower() == "auto":
        return "auto" if text else None
    colour = parse_colour(text)
    if max(colour) - min(colour) < _LEAST_HUE:
        raise OptionError(f"--despill {text} has no hue to take out: name a colour such as green or blue, or auto")
    return colour


def parse_fps(value: str | float | Fraction | None) -> Fraction | None:
    """What `Options.fps` is for a number: 23.976, 29.97 and their like are the broadcast rates, 24000/1001 and so on.

    Raises:
        OptionError: it is no number from 0.001 to 1000.
    """
    if value is None:
        return None
    try:
        rate = Fraction(str(value))
    except (ValueError, ZeroDivisionError):
        rate = Fraction(0)
    if not Fraction(1, 1000) <= rate <= 1000:
        raise OptionError(f"--fps {value} is not pictures a second: give a number such as 24, 29.97 or 30000/1001")
    broadcast = Fraction(round(rate * Fraction(1001, 1000)) * 1000, 1001)
    is_broadcast = rate.denominator > 1 and abs(rate - broadcast) < Fraction(1, 500)
    return broadcast if is_broadcast else rate


def parse_premultiplied(value: bool | str | None) -> bool:
    """What `Options.premultiplied` is for a flag, or for the colour that the edges are to be mixed with: only black.

    Raises:
        OptionError: it is another colour.
    """
    if not isinstance(value, str):
        return bool(value)
    if parse_colour(value) != (0, 0, 0):
        raise OptionError(f"--premultiplied {value} is not possible, only black: for another colour see --background")
    return True
