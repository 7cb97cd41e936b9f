"""Options that change nothing in the outputs asked for: the user is told before the work begins."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import fields
from types import MappingProxyType

from birefvideo.errors import named
from birefvideo.jobs.options import Options
from birefvideo.media.format_table import Content, Format

_ACTS_ON: Mapping[str, tuple[Callable[[Format], bool], str]] = MappingProxyType(
    {
        "background": (
            lambda format: format.content is Content.COMPOSITE and format.background is None,
            f"it lies under {named('to', 'green')} only",
        ),
        "fit": (
            lambda format: format.content is Content.COMPOSITE and format.background is None,
            f"it is how {named('background')} lies under {named('to', 'green')}",
        ),
        "despill": (lambda format: format.content is not Content.MATTE, "a matte has no colour"),
        "audio": (lambda format: bool(format.audio_codec), "it has no sound"),
        **{
            name: (lambda format: not format.is_still, "it has no time")
            for name in ("smooth", "fps", "deinterlace", "start", "end")
        },
    }
)
"""For an option: the formats that it changes, and why it does not change others."""


def _called(format: Format) -> str:
    return f"a {format.extension} picture" if format.is_still else format.asked_by


def without_effect(options: Options, formats: Sequence[Format], given: Collection[str] = ()) -> list[str]:
    """Return a line for every option that the user set and that changes none of the outputs.

    Args:
        options: all of them.
        formats: of the outputs.
        given: options that the user named, be it with their default.
    """
    names = " and ".join(dict.fromkeys(map(_called, formats)))
    changed = [o.name for o in fields(options) if o.name in given or getattr(options, o.name) != o.default]
    return [
        f"{named(name)} has no effect on {names}: {why}"
        for name, (is_changed, why) in _ACTS_ON.items()
        if name in changed and not any(map(is_changed, formats))
    ]
