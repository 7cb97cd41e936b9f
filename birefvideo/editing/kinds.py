"""The kinds of timeline files, as data."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType

from birefvideo.editing.cut import MADE_BY, Cut
from birefvideo.editing.edl import edl
from birefvideo.editing.fcpxml import fcpxml
from birefvideo.editing.otio import otio
from birefvideo.errors import OptionError, named
from birefvideo.hints import meant
from birefvideo.media.format_names import single_names
from birefvideo.own_files import HEAD

KINDS: Mapping[str, Callable[[Cut], str]] = MappingProxyType({"fcpxml": fcpxml, "otio": otio, "edl": edl})
"""What writes each, by the name that the user asks for it by, which is the ending of the file too."""
SUFFIX = "_timeline"
"""What is between the input's stem and the ending."""


def get_kinds(names: str | Iterable[str]) -> tuple[str, ...]:
    """Return the kinds that are asked for, each once; several may be in one word with commas between.

    Raises:
        OptionError: there is no such kind.
    """
    kinds = single_names([names] if isinstance(names, str) else names)
    for name in kinds:
        if name not in KINDS:
            raise OptionError(f"{named('timeline')} is {name!r}{meant(name, KINDS)}: choose from {', '.join(KINDS)}")
    return tuple(dict.fromkeys(kinds))


def is_timeline(path: Path, mark: str = MADE_BY) -> bool:
    """Return whether a file is a timeline that we have written, or one with such a `Cut.mark`."""
    try:
        with path.open("rb") as file:
            return mark.encode() in file.read(HEAD)
    except OSError:
        return False
