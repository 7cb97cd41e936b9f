"""What there is to choose from: output formats and models, as the commands list them."""

from __future__ import annotations

from dataclasses import dataclass

from birefvideo.jobs.plan import DEFAULT_FORMATS
from birefvideo.media.formats import FORMATS, PAIRS
from birefvideo.media.writing.availability import why_unavailable


@dataclass(frozen=True)
class FormatInfo:
    """An output format, or a pair of them: what `birefvideo formats` lists."""

    name: str
    """What `to` takes."""
    file: str
    """What is written; STEM is the input's name without its ending."""
    content: str
    """What the pixels mean."""
    description: str
    """One line."""
    opens_in: str
    """Programs that read it."""
    default: bool
    """Whether it is made where no format is named."""
    unavailable: str
    """Why this machine's FFmpeg cannot write it, or ''."""


def formats() -> list[FormatInfo]:
    """Return every output format, in the order of the table; encoders are tried on first use."""
    rows = [
        FormatInfo(
            row.name,
            f"STEM{row.suffix}",
            row.content.value,
            row.description,
            row.opens_in,
            row.name in DEFAULT_FORMATS,
            why_unavailable(row.name),
        )
        for row in FORMATS.values()
    ]
    for name, parts in PAIRS.items():
        made = [FORMATS[part] for part in parts]
        rows.append(
            FormatInfo(
                name,
                ", ".join(f"STEM{row.suffix}" for row in made),
                ", ".join(row.content.value for row in made),
                "both files of a pair in one go",
                made[-1].opens_in,
                False,
                next(filter(None, (why_unavailable(part) for part in parts)), ""),
            )
        )
    return rows
