"""What there is to choose from: output formats and models, as the commands list them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from birefvideo.family.costs import costs
from birefvideo.family.hub import stored
from birefvideo.family.variants import VARIANTS
from birefvideo.jobs.choose_formats import DEFAULT_FORMATS
from birefvideo.media.format_table import FORMATS, PAIRS
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


@dataclass(frozen=True)
class ModelInfo:
    """A model of the family: what `birefvideo models` lists. A text is '' where no source states it."""

    name: str
    """What `model` takes."""
    best_for: str
    """One line."""
    avoid: str
    """When another one is better."""
    input: str
    """Size at which it sees pictures, in words."""
    backbone: str
    """Its encoder."""
    licence: str
    """Licence of the weights."""
    access: str
    """What must be done before they can be fetched."""
    page: str
    """Where its makers describe it."""
    weights: Path | None
    """The weights on this machine, or None where they are not here."""
    download: tuple[int, int] | None
    """Least and most bytes of the weights, by their precision; equal where they are here."""
    memory: int | None
    """Bytes for a frame of 1920×1080: measured here, else about what its shape takes in fp32 on a CPU; or None."""
    seconds: float | None
    """Seconds a frame of 1920×1080, as measured on this machine by `birefvideo models --measure`; or None."""


def models() -> list[ModelInfo]:
    """Return every model that has a name, the embedded one first; no connection is opened.

    Raises:
        ModelError: the record of a download is damaged.
    """
    found = ((row, stored(row)) for row in VARIANTS.values())
    cost = costs(list(VARIANTS.values()))
    return [
        ModelInfo(
            name=row.name,
            best_for=row.best_for,
            avoid=row.avoid,
            input=row.input,
            backbone=row.backbone,
            licence=row.licence,
            access=row.access,
            page=row.page,
            weights=weights.path if weights else None,
            download=cost[row.name].download,
            memory=cost[row.name].memory,
            seconds=cost[row.name].seconds,
        )
        for row, weights in found
    ]
