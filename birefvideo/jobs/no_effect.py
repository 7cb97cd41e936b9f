"""Options that change nothing in the outputs asked for: the user is told before the work begins."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from types import MappingProxyType

from birefvideo.errors import named
from birefvideo.jobs.options import Options
from birefvideo.media.format_table import Content, Format
from birefvideo.media.reading.stills import is_still

_OF_TIME = frozenset({"smooth", "fps", "audio", "deinterlace", "start", "end"})
"""Options that are about time or sound."""
_ACTS_ON: Mapping[str, tuple[Callable[[Format], bool], str]] = MappingProxyType(
    {
        "background": (
            lambda format: format.content is Content.COMPOSITE and format.background is None,
            f"it lies under {named('to', 'green')} only",
        ),
        "despill": (lambda format: format.content is not Content.MATTE, "a matte has no colour"),
        "audio": (lambda format: bool(format.audio_codec), "it has no sound"),
    }
)
"""For an option: the formats that it changes, and why it does not change others."""


def without_effect(options: Options, source: Path, formats: Sequence[Format]) -> list[str]:
    """Return a line for every option that the user set and that changes nothing of an input's outputs.

    Args:
        options: all of them.
        source: the input.
        formats: of its outputs.
    """
    names = " and ".join(dict.fromkeys(format.asked_by for format in formats))
    changed = [o.name for o in fields(options) if o.name in options.given or getattr(options, o.name) != o.default]
    lines = []
    if is_still(source):
        idle = [named(name) for name in changed if name in _OF_TIME]
        have = "have" if len(idle) > 1 else "has"
        if idle:
            lines = [f"{' and '.join(idle)} {have} no effect on a picture, which has neither time nor sound"]
        changed = [name for name in changed if name not in _OF_TIME]
    return lines + [
        f"{named(name)} has no effect on {names}: {why}"
        for name, (is_changed, why) in _ACTS_ON.items()
        if name in changed and not any(map(is_changed, formats))
    ]
