"""The report of a finished segment as a file: what the segment gave, and by which bytes its parts are known again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from birefvideo.bounded_numbers import bounded_fraction, bounded_int
from birefvideo.jobs.digests import file_digest, folder_digest
from birefvideo.json_files import read_json_object
from birefvideo.matting.flicker import Curve
from birefvideo.matting.pulses import Pulse
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
        decode, curve = (_checked(kind, found.pop(name)) for kind, name in ((DecodeReport, "decode"), (Curve, "curve")))
        looks = [Look(**_checked(Look, one)) for one in found.pop("looks")]
        pulses = [Pulse(**_checked(Pulse, one)) for one in found.pop("pulses")]
        rest = _checked(SegmentReport, found)
        report = SegmentReport(**rest, decode=DecodeReport(**decode), curve=Curve(**curve), looks=looks, pulses=pulses)
        is_in_order = all(before < after for before, after in pairwise(report.pts))
        return (report, dict(values["parts"])) if is_in_order else None
    except (OSError, ValueError, TypeError, LookupError, AttributeError):
        return None


def _checked(kind: type, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values of JSON for the fields of a class, as the types that it says.

    Raises:
        ValueError, TypeError, LookupError: one is not, or there is no such field.
    """
    types = get_type_hints(kind)
    parsed: dict[str, Any] = {}
    for name, value in values.items():
        if get_origin(types[name]) is list:
            (parse,) = (_PARSERS[wanted] for wanted in get_args(types[name]))
            if not isinstance(value, list):
                raise ValueError(f"{name} is no list")
            parsed[name] = [parse(one) for one in value]
        else:
            parsed[name] = _PARSERS[types[name]](value)
    return parsed


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("no text")
    return value


def _number(value: object) -> float:
    return float(bounded_fraction(value))


def _pair(value: object) -> tuple[float, float]:
    if not isinstance(value, list) or len(value) != 2:
        raise ValueError("no pair")
    return _number(value[0]), _number(value[1])


_PARSERS: Mapping[Any, Callable[[object], object]] = {
    **{int: bounded_int, float: _number, str: _text},
    Fraction: bounded_fraction,
    tuple[float, float]: _pair,
}
"""What gives a value of a type, or refuses one that is none."""


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
