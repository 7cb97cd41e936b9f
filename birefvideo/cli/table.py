"""Tables of text that fit the terminal."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterator, Sequence

GAP = "  "
PIPED = 80
"""Columns where the output goes to a file or another program."""
NARROWEST = 60
"""Columns under which a table is cut by the terminal rather than made narrower."""


def table(rows: Sequence[Sequence[str]], shares: Sequence[int]) -> Iterator[str]:
    """Yield the lines of a table that is as wide as the terminal; a line break in a cell is kept.

    Args:
        rows: the heads and the cells.
        shares: of every column 0 where it is as wide as its longest line, else its share of the width that is left.
    """
    longest = [max(len(line) for row in rows for line in row[i].split("\n")) for i in range(len(shares))]
    width = max(NARROWEST, shutil.get_terminal_size((PIPED, 24)).columns)
    left = (
        width
        - len(GAP) * (len(shares) - 1)
        - sum(long for long, share in zip(longest, shares, strict=True) if not share)
    )
    widths = [left * share // sum(shares) if share else long for long, share in zip(longest, shares, strict=True)]
    for row in rows:
        columns = [_wrapped(text, width) for text, width in zip(row, widths, strict=True)]
        for i in range(max(map(len, columns))):
            texts = [column[i] if i < len(column) else "" for column in columns]
            yield GAP.join(text.ljust(width) for text, width in zip(texts, widths, strict=True)).rstrip()


def _wrapped(text: str, width: int) -> list[str]:
    return [part for line in text.split("\n") for part in textwrap.wrap(line, width, break_on_hyphens=False) or [""]]
