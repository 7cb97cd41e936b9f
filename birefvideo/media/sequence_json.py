"""The file beside the pictures of a folder of ours, which says when each is shown: one writer and one reader."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from birefvideo.frames import VideoInfo
from birefvideo.media.output_format import Format, output_colour

SIDECAR = "sequence.json"
"""Its name."""
_VERSION = 1
_FIRST = 1
"""Number of the first picture."""


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
    """Return whether a folder is an output of ours."""
    try:
        return bool(json.loads((folder / SIDECAR).read_text(encoding="utf-8"))["birefvideo_sequence"])
    except (OSError, ValueError, LookupError, TypeError):
        return False


def read_sidecar(folder: Path) -> Sidecar:
    """Return what the sidecar of a folder or a part says.

    Raises:
        ValueError: there is none, or it is damaged.
    """
    try:
        values = json.loads((folder / SIDECAR).read_text(encoding="utf-8"))
        pts = tuple(int(time) for time in values["pts"])
        pattern, first = values.get("pictures"), int(values.get("first", _FIRST))
        return Sidecar(
            pts=pts,
            last_duration=int(values["last_duration"]),
            time_base=Fraction(values["time_base"]),
            sample_aspect_ratio=Fraction(values["sample_aspect_ratio"]),
            coverage=tuple(float(share) for share in values.get("coverage", ())),
            names=tuple(pattern % (first + index) for index in range(len(pts))) if pattern else (),
        )
    except (OSError, ValueError, LookupError, TypeError, AttributeError, ZeroDivisionError) as error:
        raise ValueError(f"{folder / SIDECAR} cannot be read") from error


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
    # What replaces foreign bytes of a name is JSON's own escape.
    (folder / SIDECAR).write_text(text, encoding="utf-8", errors="backslashreplace")


def picture_name(folder: Path, index: int, format: Format) -> str:
    """Return the file name of picture `index`, counted from 0, of a finished folder."""
    return f"{_stem(folder, format)}_{index + _FIRST:06d}{format.picture_suffix}"


def part_name(index: int, format: Format) -> str:
    """Return the file name of picture `index`, counted from 0, of a part."""
    return f"{index:06d}{format.picture_suffix}"


def _stem(folder: Path, format: Format) -> str:
    return folder.name.removesuffix(format.suffix)
