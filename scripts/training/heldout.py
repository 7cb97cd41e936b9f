"""Which pictures training never sees: a tenth of the people of each kind, and a tenth of the backgrounds."""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Iterable

TENTH = 10
SAME_PEOPLE = "intel_asl"
"""Start of the names of frames of one video: the same five people all through, so none of them is held out."""


def held_out(rows: Iterable[tuple[str, str]]) -> set[str]:
    """Return the names held out of (name, kind) rows: the tenth of each kind, rounded up, whose names hash lowest.

    The choice depends on the names alone, so a script that makes test clips and one that trains agree on it.
    """
    kinds: dict[str, list[str]] = defaultdict(list)
    for name, kind in rows:
        if not name.split("/")[-1].startswith(SAME_PEOPLE):
            kinds[kind].append(name)
    held: set[str] = set()
    for names in kinds.values():
        names.sort(key=lambda name: (zlib.crc32(name.encode()), name))
        held.update(names[: -(-len(names) // TENTH)])
    return held
