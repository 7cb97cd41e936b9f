"""JSON files that anybody may have written: read within limits, or refused in words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NoReturn

MOST_BYTES = 256 << 20
"""Size from which on no file of ours is: receipts and time lists of a day's video stay far below."""


def read_json_object(path: Path) -> dict[str, Any]:
    """Return the object that a JSON file holds.

    Raises:
        OSError: it is not there or cannot be read.
        ValueError: it is too large, no JSON, nested too deeply, or holds something else than an object.
    """
    with path.open("rb") as file:
        text = file.read(MOST_BYTES + 1)
    if len(text) > MOST_BYTES:
        raise ValueError(f"{path} is larger than {MOST_BYTES >> 20} MB")
    return parse_json_object(text, str(path))


def parse_json_object(text: str | bytes, name: str) -> dict[str, Any]:
    """Return the object that a JSON text called `name` holds.

    Raises:
        ValueError: it is no JSON, nested too deeply, or holds something else than an object.
    """
    try:
        values = json.loads(text, parse_constant=_refuse)
    except RecursionError:
        raise ValueError(f"{name} is nested too deeply") from None
    except ValueError as error:  # a bad character, UTF-8 that is none, a number of thousands of digits
        raise ValueError(f"{name} is no JSON ({error})") from error
    if not isinstance(values, dict):
        raise ValueError(f"{name} holds no JSON object")
    return values


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number of JSON")
