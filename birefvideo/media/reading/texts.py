"""Whether a file is text, such as a playlist, a script or a page, and no media at all."""

from __future__ import annotations

import codecs
from pathlib import Path

_HEAD = 4096  # bytes that are looked at
_MARKS = {  # UTF-32's begins with UTF-16's
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32-le",
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
"""The bytes that text may begin with, and what they say of its code."""
_CONTROLS = {chr(code) for code in (*range(32), 127)} - set("\t\n\r\f\x1a\x1b")
"""Characters that text does not hold; DOS ends files with \x1a."""
_PLAIN = 0.75
"""Share of ASCII in text of one byte a letter: names in another script are few in a playlist."""


def is_text(path: Path) -> bool:
    """Return whether a file begins with text, in UTF-8, UTF-16, UTF-32, or a code of one byte a letter."""
    with path.open("rb") as file:
        head = file.read(_HEAD)
    for mark, code in _MARKS.items():
        if head.startswith(mark):
            return _are_letters(head[len(mark) :].decode(code, "ignore"))
    evens, odds = head[::2], head[1::2]
    for code, zeros, letters in (("utf-16-le", odds, evens), ("utf-16-be", evens, odds)):
        if len(zeros) > 1 and zeros.count(0) > _PLAIN * len(zeros) and 0 not in letters:
            return _are_letters(head.decode(code, "ignore"))
    head = head.rstrip(b"\0")
    is_plain = sum(byte < 128 for byte in head) > _PLAIN * len(head)
    return (is_plain or _is_utf8(head)) and _are_letters(head.decode("latin-1"))


def _is_utf8(head: bytes) -> bool:
    try:
        head.decode()
    except UnicodeDecodeError as error:
        return error.start >= len(head) - 3  # a letter that is cut off by the head's end is none of a binary file
    return True


def _are_letters(text: str) -> bool:
    return bool(text) and _CONTROLS.isdisjoint(text)
