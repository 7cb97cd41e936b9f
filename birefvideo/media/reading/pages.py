"""How many pictures a TIFF file holds: scanners and fax machines put many pages into one."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

_HEADS = (b"II*\0", b"MM\0*")
_MOST = 10_000
"""Pages after which counting ends."""
_SUBFILE_TYPE, _REDUCED_OR_MASK = 254, 0b101


def count_pages(path: Path) -> int:
    """Return the number of full pictures in a TIFF file, 1 for any other: previews and masks do not count."""
    try:
        with path.open("rb") as file:
            head = file.read(8)
            return max(1, _count(file, head)) if head.startswith(_HEADS) else 1
    except (OSError, struct.error):
        return 1


def _count(file: BinaryIO, head: bytes) -> int:
    order = "<" if head[:1] == b"I" else ">"
    (place,) = struct.unpack(f"{order}I", head[4:])
    seen: set[int] = set()
    pages = 0
    while place and place not in seen and len(seen) < _MOST:
        seen.add(place)
        file.seek(place)
        (entries,) = struct.unpack(f"{order}H", file.read(2))
        kinds = [struct.unpack(f"{order}HHII", file.read(12)) for _ in range(entries)]
        pages += not any(tag == _SUBFILE_TYPE and value & _REDUCED_OR_MASK for tag, _, _, value in kinds)
        (place,) = struct.unpack(f"{order}I", file.read(4))
    return pages
