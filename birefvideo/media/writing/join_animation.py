"""Short animations as outputs: GIF, APNG and animated WebP with alpha, scaled down, which loop for ever.

A part is a folder of whole single pictures, as of a sequence; joining puts them into one file.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from birefvideo.errors import OutputError
from birefvideo.frames import VideoInfo
from birefvideo.media.animation_containers import WRITERS
from birefvideo.media.animation_schedule import schedule
from birefvideo.media.format_table import Format
from birefvideo.media.output_format import output_size
from birefvideo.media.sequence_json import part_name
from birefvideo.media.writing.muxing import cannot_write
from birefvideo.media.writing.sequence_folder import read_part
from birefvideo.own_files import make_anew


@dataclass(frozen=True)
class Joined:
    """What was put together."""

    frames: int
    """Number of pictures."""
    origin: Fraction
    """The source's time in seconds that became the animation's 0: the first picture's."""
    coverage: tuple[float, ...]
    """Mean alpha of every picture, 0 to 1, as it was handed to the encoder."""


def join_pictures(parts: Sequence[Path], output: Path, format: Format, info: VideoInfo) -> Joined:
    """Put the pictures of `parts` that are shown into the new file `output`.

    Raises:
        OutputError: a part lacks pictures or is damaged, or the disk refuses.
    """
    read = [(part, read_part(part)) for part in parts]
    pts = [time for _, times in read for time in times.pts]
    files = [part / part_name(index, format) for part, times in read for index in range(len(times.pts))]
    coverage = [share for _, times in read for share in times.coverage]
    end = pts[-1] + read[-1][1].last_duration
    plan = schedule([time * info.time_base for time in pts], end * info.time_base, format)

    def pictures() -> Iterator[tuple[bytes, int]]:
        for index, ticks in zip(plan.indices, plan.durations, strict=True):
            yield files[index].read_bytes(), ticks

    try:
        with os.fdopen(make_anew(output), "wb") as out:
            WRITERS[format.container.muxer](out, pictures(), output_size(format, info), len(plan.indices))
    except OSError as error:
        raise cannot_write(output, error) from error
    except (ValueError, IndexError, struct.error) as error:
        raise OutputError(f"{parts[0].parent} holds a damaged picture: remove it and run again") from error
    return Joined(len(plan.indices), (info.start + pts[0]) * info.time_base, tuple(coverage[i] for i in plan.indices))
