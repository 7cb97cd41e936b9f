"""Names that clients give, made safe, and names of our own that nobody guesses."""

from __future__ import annotations

import re
import secrets
import unicodedata

_MOST_BYTES = 100
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)
"""Devices, as Windows has them in every folder."""
_ID = re.compile(r"[0-9a-z]{24}")


def new_id() -> str:
    """Return a name that nobody guesses: 24 letters and digits, some 120 bits."""
    return "".join(secrets.choice("0123456789abcdefghijklmnopqrstuvwxyz") for _ in range(24))


def is_id(text: str) -> bool:
    """Return whether a text looks like one of `new_id`."""
    return bool(_ID.fullmatch(text))


def clean_name(name: str, otherwise: str = "clip") -> str:
    """Return a file's name that any file system takes and no program obeys, as like the client's as can be.

    Args:
        name: what the client calls the file; folders before it are dropped.
        otherwise: the name of a file without one.
    """
    last = re.split(r"[/\\]", unicodedata.normalize("NFC", name))[-1]
    kept = "".join(letter if letter.isalnum() or letter in " ._()+-" else "_" for letter in last)
    stem, dot, ending = kept.strip(" .").lstrip("-").rpartition(".")
    if not dot:
        stem, ending = ending, ""
    ending = ending.strip()[:10] if ending.strip().isascii() else ""
    room = _MOST_BYTES - len(ending) - 1
    stem = stem.strip(" .").encode()[:room].decode(errors="ignore").strip(" .") or otherwise
    whole = f"{stem}.{ending}" if ending else stem
    return f"_{whole}" if _RESERVED.match(whole) else whole
