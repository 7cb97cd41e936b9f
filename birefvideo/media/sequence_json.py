"""The file beside the pictures of a folder of ours, which says when each is shown: one writer and one reader."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

from birefvideo.bounded_numbers import bounded_fraction, bounded_int
from birefvideo.frames import VideoInfo
from birefvideo.json_files import read_json_object
from birefvideo.media.format_table import FORMATS
from birefvideo.media.forms import ALL_FORMS
from birefvideo.media.output_format import Format, output_colour
from birefvideo.own_files import TEMPORARY, is_plain_folder, write_whole

SIDECAR = "sequence.json"
"""Its name."""
_VERSION = 1
_FIRST = 1
"""Number of the first picture."""
_ENDINGS = {row.picture_suffix for row in (*FORMATS.values(), *ALL_FORMS.values())}
_PICTURE = re.compile(rf"(?:.*_)?\d{{6,}}(?:{'|'.join(map(re.escape, sorted(_ENDINGS)))})", re.DOTALL)
_PATTERN = re.compile(r"((?:[^%/\\\0]|%%)*)%(0\d)?d((?:[^%/\\\0]|%%)*)", re.DOTALL)
"""A pattern of names, without a folder: what comes before the number, how it is padded, what comes after."""


@dataclass(frozen=True)
class Sidecar:
    """When the pictures of a folder are shown, in ticks of the source's time_base."""

    pts: tuple[int, ...]
    """Their beginnings, from the output's 0 on; in a part, from the source's first frame on."""
    last_duration: int
    """How long the last one is shown; 0 where unknown."""
    time_base: Fraction
    """Seconds a tick."""
    sample_aspect_ratio: Fraction
    """Width to height of one pixel."""
    coverage: tuple[float, ...] = ()
    """Mean alpha of each, 0 to 1, where that is not the matte's own."""
    names: tuple[str, ...] = ()
    """File names of the pictures, in order; a part, whose names are `part_name`'s, has none here."""

    @property
    def times(self) -> tuple[Fraction, ...]:
        """When the pictures begin, in seconds."""
        return tuple(pts * self.time_base for pts in self.pts)

    @property
    def end(self) -> Fraction:
        """When the last one ends, in seconds."""
        return (self.pts[-1] + self.last_duration) * self.time_base if self.pts else Fraction(0)


def is_sequence(folder: Path) -> bool:
    """Return whether a folder, and not a link to one, is an output of ours."""
    try:
        read_sidecar(folder)
        return is_plain_folder(folder) and bool(read_json_object(folder / SIDECAR).get("birefvideo_sequence"))
    except (OSError, ValueError):
        return False


def is_picture_file(name: str) -> bool:
    """Return whether a file of a folder or of a part may be ours by its name: a picture's or the sidecar's."""
    return name in (SIDECAR, SIDECAR + TEMPORARY) or bool(_PICTURE.fullmatch(name))


def own_files(folder: Path) -> list[str]:
    """Return the names of what is ours in a finished folder: pictures that its sidecar names, then the sidecar.

    Other files in it are the user's.

    Raises:
        ValueError: there is no sidecar, or it is damaged.
    """
    names = read_sidecar(folder).names
    with os.scandir(folder) as entries:  # of which there may be far fewer than the sidecar says
        there = {entry.name for entry in entries if entry.is_file(follow_symlinks=False)}
    return [*(name for name in names if name in there and is_picture_file(name)), SIDECAR]


def read_sidecar(folder: Path) -> Sidecar:
    """Return what the sidecar of a folder or a part says.

    Raises:
        ValueError: there is none, or it is damaged: no clock, times that do not increase, names of other folders.
    """
    try:
        values = read_json_object(folder / SIDECAR)
        pts = tuple(bounded_int(time) for time in values["pts"])
        if not isinstance(values["pts"], list) or any(after <= before for before, after in pairwise(pts)):
            raise ValueError("no times, or not in order")
        pattern, first = values.get("pictures"), bounded_int(values.get("first", _FIRST), 0, 10**9)
        return Sidecar(
            pts=pts,
            last_duration=bounded_int(values["last_duration"], 0),
            time_base=_positive(values["time_base"]),
            sample_aspect_ratio=_positive(values["sample_aspect_ratio"]),
            coverage=tuple(float(bounded_fraction(share)) for share in values.get("coverage", ())),
            names=_names(pattern, first, len(pts)) if pattern else (),
        )
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise ValueError(f"{folder / SIDECAR} cannot be read") from error


def _positive(value: object) -> Fraction:
    number = bounded_fraction(value)
    if number <= 0:
        raise ValueError(f"{number} is not above 0")
    return number


def _names(pattern: object, first: int, count: int) -> tuple[str, ...]:
    """Return the names that a pattern gives, which are of files in the same folder."""
    found = _PATTERN.fullmatch(pattern) if isinstance(pattern, str) else None
    if found is None:
        raise ValueError(f"{pattern!r} is no pattern of file names")
    before, digits, after = (part.replace("%%", "%") for part in found.groups(default=""))
    return tuple(f"{before}{first + index:0{digits}d}{after}" for index in range(count))


def write_sidecar(
    folder: Path,
    sidecar: Sidecar,
    format: Format,
    info: VideoInfo,
    *,
    beside: Mapping[str, Any] | None = None,
    is_part: bool = False,
) -> None:
    """Write the sidecar of a folder or of a part.

    Args:
        folder: where to.
        sidecar: the times and coverage.
        format: what the pictures are written as.
        info: the clip they came from.
        beside: what else the file is to say.
        is_part: whether the folder is a segment's, and not the finished output.

    Raises:
        OSError: the disk refuses.
    """
    colour = output_colour(format, info.colour)
    stem = _stem(folder, format).replace("%", "%%")
    values = {
        "birefvideo_sequence": _VERSION,
        **({} if is_part else {"pictures": f"{stem}_%06d{format.picture_suffix}", "first": _FIRST}),
        **({"coverage": sidecar.coverage} if sidecar.coverage else {}),
        "frames": len(sidecar.pts),
        "rate": str(info.rate),
        "time_base": str(sidecar.time_base),
        "pts": sidecar.pts,
        "last_duration": sidecar.last_duration,
        "sample_aspect_ratio": str(sidecar.sample_aspect_ratio),
        "alpha": "premultiplied" if format.premultiplied else "straight",
        "colour": {"primaries": colour.primaries, "transfer": colour.transfer, "numbers": "ITU-T H.273"},
        **(beside or {}),
    }
    text = json.dumps(values, ensure_ascii=is_part, indent=None if is_part else 1) + ("" if is_part else "\n")
    write_whole(folder / SIDECAR, text)


def picture_name(folder: Path, index: int, format: Format) -> str:
    """Return the file name of picture `index`, counted from 0, of a finished folder."""
    return f"{_stem(folder, format)}_{index + _FIRST:06d}{format.picture_suffix}"


def part_name(index: int, format: Format) -> str:
    """Return the file name of picture `index`, counted from 0, of a part."""
    return f"{index:06d}{format.picture_suffix}"


def _stem(folder: Path, format: Format) -> str:
    return folder.name.removesuffix(format.suffix)
