"""Values that a shell offers when it completes a command line: names that are rows of data."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

from birefvideo.cli.presets import PRESETS
from birefvideo.editing.kinds import KINDS
from birefvideo.family.variants import VARIANTS
from birefvideo.media.format_table import FORMATS, PAIRS


def _of(names: Iterable[str]) -> Callable[[str], list[str]]:
    words = list(names)
    return lambda incomplete: [word for word in words if word.startswith(incomplete)]


def complete_formats(incomplete: str) -> list[str]:
    """Return formats, the last of several that commas part."""
    return _last_of((*FORMATS, *PAIRS), incomplete)


def complete_timelines(incomplete: str) -> list[str]:
    """Return kinds of timeline files, the last of several that commas part."""
    return _last_of(KINDS, incomplete)


def _last_of(names: Iterable[str], incomplete: str) -> list[str]:
    before, comma, last = incomplete.rpartition(",")
    taken = before.split(",")
    return [f"{before}{comma}{name}" for name in names if name.startswith(last) and name not in taken]


complete_presets = _of(PRESETS)
complete_models = _of(("auto", *VARIANTS))


def complete_tracks(incomplete: str) -> list[str]:
    """Return what --audio takes."""
    from birefvideo.media.writing.audio import TRACKS

    return _of(TRACKS)(incomplete)


def complete_fits(incomplete: str) -> list[str]:
    """Return what --fit takes."""
    from birefvideo.media.writing.background import FITS

    return _of(FITS)(incomplete)


OF_OPTIONS: Mapping[str, Callable[[str], list[str]]] = MappingProxyType(
    {"model": complete_models, "audio": complete_tracks, "fit": complete_fits}
)
"""By the names of fields of `Options`."""
