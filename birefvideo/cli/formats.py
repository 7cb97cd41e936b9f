"""`birefvideo formats`: what can be written, and where it opens."""

from __future__ import annotations

import json
import shutil
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import typer

_GAP = "  "


@dataclass(frozen=True)
class _Row:
    """One line of the list; its fields are what `--json` prints."""

    name: str
    file: str
    content: str
    description: str
    opens_in: str
    default: bool
    unavailable: str
    """Why this FFmpeg cannot write it, or ''."""


def formats(as_json: Annotated[bool, typer.Option("--json", help="Print for programs.")] = False) -> None:
    """List what `matte --to` can write: the file beside the input, what is in it, and where it opens."""
    from birefvideo.cli.report import quiet_libraries

    quiet_libraries()
    rows = list(_rows())
    if as_json:
        print(json.dumps([row.__dict__ for row in rows], indent=2, ensure_ascii=False))
    else:
        print("\n".join(_table(rows)))


def _rows() -> Iterator[_Row]:
    from birefvideo.jobs.plan import DEFAULT_FORMATS
    from birefvideo.media.formats import FORMATS, PAIRS
    from birefvideo.media.writing.availability import why_unavailable

    for row in FORMATS.values():
        yield _Row(
            row.name,
            f"STEM{row.suffix}",
            row.content.value,
            row.description,
            row.opens_in,
            row.name in DEFAULT_FORMATS,
            why_unavailable(row.name),
        )
    for name, parts in PAIRS.items():
        made = [FORMATS[part] for part in parts]
        yield _Row(
            name,
            ", ".join(f"STEM{row.suffix}" for row in made),
            ", ".join(row.content.value for row in made),
            "both files of a pair in one go",
            made[-1].opens_in,
            False,
            next(filter(None, (why_unavailable(part) for part in parts)), ""),
        )


def _table(rows: list[_Row]) -> Iterator[str]:
    """The list, as wide as the terminal; the last two columns share what is left."""
    cells = [("--to", "file", "content", "opens in")]
    for row in rows:
        what = f"not possible here: {row.unavailable}" if row.unavailable else row.opens_in
        cells.append((row.name, row.file, f"{row.description}{' (default)' if row.default else ''}", what))
    widths = [max(len(cell[i]) for cell in cells) for i in range(2)]
    room = max(60, shutil.get_terminal_size((140, 24)).columns - sum(widths) - 3 * len(_GAP))
    widths += [room * 3 // 5, room - room * 3 // 5]
    for cell in cells:
        columns = [textwrap.wrap(text, width) for text, width in zip(cell, widths, strict=True)]
        for i in range(max(map(len, columns))):
            texts = [column[i] if i < len(column) else "" for column in columns]
            yield _GAP.join(text.ljust(width) for text, width in zip(texts, widths, strict=True)).rstrip()
