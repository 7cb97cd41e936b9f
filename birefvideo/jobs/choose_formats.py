"""Which formats an input becomes, by what it is and by what the user asks for."""

from __future__ import annotations

from collections.abc import Sequence, Set
from pathlib import Path

from birefvideo.jobs.options import Options
from birefvideo.media.format_table import FORMATS, Format, format_for_suffix, get_formats
from birefvideo.media.forms import STILL_ENDINGS, STILLS, form_of, still_for_ending

DEFAULT_FORMATS = ("prores", "green")
"""What is made of a clip where no format is named."""
_DEFAULT_OF_STILL = ("png",)
"""What is made of a picture."""
_OF_CLIPS = {row.extension for row in FORMATS.values()} - {""}


def written_of(is_still: bool) -> tuple[Format, ...]:
    """Return what can be made of a picture, or of a clip."""
    return (*STILLS.values(), *FORMATS.values()) if is_still else tuple(FORMATS.values())


def endings(is_still: bool) -> Set[str]:
    """Return how the files end that can be made of a picture, or of a clip."""
    return _OF_CLIPS | STILL_ENDINGS if is_still else _OF_CLIPS


def default_formats(options: Options, *, is_still: bool) -> tuple[str, ...]:
    """Return the names of what is made where the user names none: of a picture a composite only over a background."""
    if not is_still:
        return DEFAULT_FORMATS
    return (*_DEFAULT_OF_STILL, "green") if "background" in options.given else _DEFAULT_OF_STILL


def formats_asked_for(names: Sequence[str], options: Options, *, is_still: bool) -> list[Format]:
    """Return what names of formats mean for an input.

    Raises:
        OptionError: a name is unknown.
    """
    over = options.asks_for_background
    return [form_of(row, is_still=is_still, over_background=over) for row in get_formats(names)]


def format_for_name(out: Path, options: Options, *, is_still: bool) -> Format:
    """Return what the name of an output asks for; a PNG is a composite where the user has chosen a background.

    Raises:
        OptionError: no format has its ending.
    """
    over = options.asks_for_background
    wanted = still_for_ending(out) if is_still else None
    if wanted is not None and out.suffix.lower() == ".png" and "background" in options.given:
        (wanted,) = formats_asked_for(["green"], options, is_still=True)
    return wanted or form_of(format_for_suffix(out), is_still=False, over_background=over)
