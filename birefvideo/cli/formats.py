"""`birefvideo formats`: what can be written, and where it opens."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from birefvideo.cli.printing import answer_json, answer_lines
from birefvideo.cli.shared_options import AsJson
from birefvideo.cli.table import table

if TYPE_CHECKING:
    from birefvideo.jobs.catalogue import FormatInfo


def formats(as_json: AsJson = False) -> None:
    """List what `matte --to` can write: the file beside the input, what is in it, and where it opens."""
    from birefvideo.cli.report import quiet_libraries
    from birefvideo.jobs import catalogue

    quiet_libraries()
    rows = catalogue.formats()
    if as_json:
        answer_json([asdict(row) for row in rows])
    else:
        answer_lines(table([("--to", "file", "content", "opens in"), *map(_cells, rows)], (0, 0, 3, 2)))


def _cells(row: FormatInfo) -> tuple[str, str, str, str]:
    what = f"not possible here: {row.unavailable}" if row.unavailable else row.opens_in
    content = f"{row.description}{' (default)' if row.default else ''}"
    return row.name, row.file.replace(", ", ",\n"), content, what
