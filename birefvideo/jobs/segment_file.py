"""The report of a finished segment as a file: what the segment gave, and by which bytes its parts are known again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from typing import Any

from birefvideo.jobs.digests import file_digest, folder_digest
from birefvideo.json_files import read_json_object
from birefvideo.matting.flicker import Curve
from birefvideo.matting.second_look import Look
from birefvideo.media.reading.decode import DecodeReport
from birefvideo.own_files import is_plain_file, is_plain_folder, sync, write_whole
from birefvideo.pipeline import SegmentReport


def write_report(path: Path, report: SegmentReport, parts: Sequence[Path]) -> None:
    """Write a segment's report once its parts are on the disk; from then on the segment counts as done.

    Raises:
        OSError: the disk refuses.
    """
    with ThreadPoolExecutor() as pool:  # hashing releases the interpreter's lock
        seals = list(pool.map(_sealed, parts))
    values = {
        "report": _plain(asdict(report)),
        "parts": {part.name: seal for part, seal in zip(parts, seals, strict=True)},
    }
    write_whole(path, json.dumps({**values, "sha256": _digest(values)}))


def read_report(path: Path) -> tuple[SegmentReport, Mapping[str, Any]] | None:
    """Return a segment's report and what its parts are known by, or None where the file is missing or damaged."""
    try:
        values = read_json_object(path)
        if values.pop("sha256") != _digest(values):
            return None
        found = values["report"]
        parsed = {"decode": DecodeReport(**found["decode"]), "curve": Curve(**found["curve"])}
        parsed["looks"] = [_look(one) for one in found["looks"]]
        return SegmentReport(**{**found, **parsed}), dict(values["parts"])
    except (OSError, ValueError, TypeError, LookupError):
        return None


def _look(values: Mapping[str, Any]) -> Look:
    pairs: dict[str, Any] = {name: tuple(value) for name, value in values.items() if isinstance(value, list)}
    return Look(**{**values, **pairs})


def is_whole(part: Path, parts: Mapping[str, Any]) -> bool:
    """Return whether a part has the bytes that its segment's report says."""
    wanted = parts.get(part.name)
    try:
        return isinstance(wanted, dict) and _size(part) == wanted.get("size") and _seal(part) == wanted
    except OSError:
        return False


def _sealed(part: Path) -> dict[str, object]:
    sync(part)
    return _seal(part)


def _seal(part: Path) -> dict[str, object]:
    return {"size": _size(part), "sha256": folder_digest(part) if is_plain_folder(part) else file_digest(part)}


def _size(part: Path) -> int:
    """Bytes of a part, -1 where there is none."""
    if is_plain_folder(part):
        return sum(file.stat().st_size for file in part.iterdir())
    return part.stat().st_size if is_plain_file(part) else -1


def _plain(value: Any) -> Any:
    """Return a value as JSON has it."""
    if isinstance(value, Fraction):
        return float(value)
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _digest(values: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
