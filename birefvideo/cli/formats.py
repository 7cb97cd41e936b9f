"""`birefvideo formats`: what can be written, and where it opens."""

from __future__ import annotations

import json
import shutil
import textwrap
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from birefvideo.jobs.catalogue import FormatInfo

_GAP = "  "


def formats(as_json: Annotated[bool, typer.Option("--json", help="Print for programs.")] = False) -> None:
    """List what `matte --to` can write: the file beside the input, what is in it, and where it opens."""
    from birefvideo.cli.report import quiet_libraries
    from birefvideo.jobs import catalogue

    quiet_libraries()
    rows = catalogue.formats()
    if as_json:
        print(json.dumps([asdict(row) for row in rows], indent=2, ensure_ascii=False))
    else:
        print("\n".join(_table(rows)))


def _table(rows: list[FormatInfo]) -> Iterator[str]:
    """Return the list, as wide as the terminal; the last two columns share what is left."""
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
