"""Receipts: what went into an output and what it was found to hold, as JSON beside it.

`clip_alpha.json` belongs to `clip_alpha.mov`, and to every other output of that stem: each has its own entry.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from birefvideo.bounded_numbers import bounded_fraction, bounded_int
from birefvideo.errors import OutputError, named
from birefvideo.frames import Span
from birefvideo.jobs.digests import content_digest, input_digest
from birefvideo.json_files import read_json_object
from birefvideo.media.forms import ALL_FORMS
from birefvideo.media.verification.verify_later import Check, Claims
from birefvideo.media.verification.verify_sound import SoundClaims
from birefvideo.paths import is_file_name

_MARK = "birefvideo_receipt"
_VERSION = 1

Entry = dict[str, Any]
"""What a receipt says of one output, as JSON values."""


def receipt_path(output: Path) -> Path:
    """Where the receipt of an output lies: its name with .json for what follows the stem; of a folder, with .json."""
    known = {format.extension for format in ALL_FORMS.values()}
    is_file = output.suffix.lower() in known - {""}
    return output.with_suffix(".json") if is_file else output.with_name(f"{output.name}.json")


def receipt_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) that every receipt keeps to."""
    schema: dict[str, Any] = json.loads(Path(__file__).with_name("receipt.schema.json").read_text(encoding="utf-8"))
    return schema


def check_receipts(outputs: Sequence[Path]) -> None:
    """Refuse receipts that would replace a file of someone else's.

    Raises:
        OutputError: names the first.
    """
    for path in map(receipt_path, outputs):
        if os.path.lexists(path) and _outputs(path) is None:
            raise OutputError(
                f"{path} is in the way and is no receipt of birefvideo: move it, or pass {named('receipts', False)}"
            )


def read(output: Path) -> Entry | None:
    """Return what the receipt beside an output says of it, or None where there is none."""
    entry = (_outputs(receipt_path(output)) or {}).get(output.name)
    return entry if isinstance(entry, dict) else None


def claims_of(entry: Entry | None) -> Claims:
    """Return what a receipt's entry claims; a missing or foreign entry claims nothing."""
    if entry is None:
        return Claims()
    try:
        verified, options = entry["verified"], entry["options"]
        return Claims(
            format=ALL_FORMS.get(entry["format"]),
            frames=bounded_int(verified["frames"], 0),
            sound=SoundClaims(
                written=len(verified["sounds"]),
                wanted=None if entry["input"].get("sounds") is None else bounded_int(entry["input"]["sounds"], 0),
                tracks=str(options["audio"]) if "audio" in options else None,
            ),
            span=_span(entry["span"]),
            fps=_rate(options.get("fps")),
            premultiplied=bool(options.get("premultiplied")),
            recoloured=bool(options.get("despill")),
            deinterlaced=bool(options.get("deinterlace", True)),
        )
    except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError):
        return Claims()


def _span(times: Any) -> Span:
    start, end = (None if time is None else bounded_int(time) for time in times)
    return Span(start, end)


def _rate(value: object) -> Fraction | None:
    """Return the rate of pictures that `Options.fps` once was."""
    if value is None:
        return None
    rate = bounded_fraction(value).limit_denominator(100_000)
    if rate <= 0:
        raise ValueError(f"{rate} pictures a second")
    return rate


def still_the_same(output: Path, source: Path | None, entry: Entry | None) -> list[Check]:
    """Whether an output, and its source, have the bytes that the receipt's entry says."""
    if entry is None:
        return [Check("receipt", None, f"none beside it ({receipt_path(output).name}): no hash to compare")]
    checks = []
    if not isinstance(entry.get("sha256"), str):
        checks.append(Check("receipt", None, "the one beside it has no hash of this file to compare"))
    if claims_of(entry) == Claims():
        checks.append(Check("receipt", None, "what the one beside it says of this file cannot be read"))
    used = entry.get("input")
    for name, path, digest, wanted in (
        ("bytes", output, content_digest, entry.get("sha256")),
        ("source", source, input_digest, used.get("sha256") if isinstance(used, dict) else None),
    ):
        if path is not None and name == "source" and not isinstance(wanted, str):
            checks.append(Check(name, None, "the receipt has no hash of it to compare"))
        if path is None or not isinstance(wanted, str):
            continue
        try:
            is_same = digest(path) == wanted
        except OSError as error:
            checks.append(Check(name, False, f"{path.name} cannot be read: {error.strerror or error}"))
            continue
        if is_same:
            checks.append(Check(name, True, f"SHA-256 {wanted[:12]}…, as the receipt says"))
        else:
            checks.append(Check(name, False, f"{path.name} is not the file that the receipt is about: it was changed"))
    return checks


def merged(path: Path, entries: Mapping[str, Entry]) -> str:
    """Return the text of the receipt at `path` with the entries of some outputs added or replaced.

    Entries of files that are no longer there are dropped.
    """
    kept = {name: entry for name, entry in (_outputs(path) or {}).items() if (path.parent / name).exists()}
    return receipt_text(kept | dict(entries))


def receipt_text(entries: Mapping[str, Entry]) -> str:
    """Return the text of a receipt."""
    return json.dumps({_MARK: _VERSION, "outputs": dict(entries)}, indent=1, ensure_ascii=False) + "\n"


def _outputs(path: Path) -> dict[str, Entry] | None:
    """Return the entries of a receipt, or None where the file is none; all are of files beside it."""
    try:
        whole = read_json_object(path)
    except (OSError, ValueError):
        return None
    outputs = whole.get("outputs") if whole.get(_MARK) else None
    if not isinstance(outputs, dict) or not all(is_file_name(name) for name in outputs):
        return None
    return outputs
