"""JSON files that anybody may have written: read within limits, or refused in words."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NoReturn

MOST_BYTES = 256 << 20
"""Size from which on no file of ours is: receipts and time lists of a day's video stay far below."""
MOST_CONTAINERS = 1_000_000
"""Lists and objects in a file: each takes thirty times the memory of its two characters."""
MOST_VALUES = 32_000_000
"""Values in a file: a day's video at 60 frames a second has five million of each kind."""
DEEPEST = 50
"""Levels of lists and objects inside one another; writing JSON takes more of the stack than reading it."""


def read_json_object(path: Path) -> dict[str, Any]:
    """Return the object that a JSON file holds.

    Raises:
        OSError: it is not there or cannot be read.
        ValueError: it is no regular file, too large, no JSON, nested too deeply, or holds something else than an
            object.
    """
    if not stat.S_ISREG(path.stat().st_mode):  # reading a pipe would wait for ever
        raise ValueError(f"{path} is no file")
    with path.open("rb") as file:
        text = file.read(MOST_BYTES + 1)
    if len(text) > MOST_BYTES:
        raise ValueError(f"{path} is larger than {MOST_BYTES >> 20} MB")
    return parse_json_object(text, str(path))


def parse_json_object(text: str | bytes, name: str) -> dict[str, Any]:
    """Return the object that a JSON text called `name` holds.

    Raises:
        ValueError: it is no JSON, nested too deeply, holds too much or something else than an object.
    """
    raw = text if isinstance(text, bytes) else text.encode(errors="replace")
    if raw.count(b"[") + raw.count(b"{") > MOST_CONTAINERS or raw.count(b",") > MOST_VALUES:
        raise ValueError(f"{name} holds more values than any file of ours")
    try:
        values = json.loads(text, parse_constant=_refuse)
    except RecursionError:
        raise ValueError(f"{name} is nested too deeply") from None
    except ValueError as error:  # a bad character, UTF-8 that is none, a number of thousands of digits
        raise ValueError(f"{name} is no JSON ({error})") from error
    if not isinstance(values, dict):
        raise ValueError(f"{name} holds no JSON object")
    level: list[Any] = [values]
    for _ in range(DEEPEST):
        level = [inner for outer in level for inner in _inside(outer) if isinstance(inner, dict | list)]
        if not level:
            return values
    raise ValueError(f"{name} is nested too deeply")


def _inside(outer: dict[str, Any] | list[Any]) -> Iterable[Any]:
    return outer.values() if isinstance(outer, dict) else outer


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number of JSON")
