"""Numbers in texts that anybody may have written: within limits, before anything computes with them.

Python counts exactly, so that `Fraction("1e999999999")` fills the memory before anything can refuse it.
"""

from __future__ import annotations

import re
from fractions import Fraction

MOST = 2**62
"""Size that no number in a file of ours reaches: ticks, counts, numerators and denominators."""

_RATIO = re.compile(r"(-?\d{1,19})(?:/(\d{1,19}))?", re.ASCII)
_DECIMAL = re.compile(r"-?\d{0,19}\.?\d{0,99}(e-?\d)?", re.ASCII | re.IGNORECASE)


def bounded_int(value: object, least: int = -MOST, most: int = MOST) -> int:
    """Return a whole number of JSON.

    Raises:
        ValueError: it is none, or not from `least` to `most`.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ValueError(f"give a whole number from {least} to {most}")
    return value


def bounded_fraction(value: object) -> Fraction:
    """Return a number of JSON, or of a text: '30000/1001', '23.976', '5e-3'.

    Raises:
        ValueError: it is none, its denominator is 0, or it is too large or too long.
    """
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= MOST:
        return Fraction(value)
    if isinstance(value, str):
        ratio = _RATIO.fullmatch(value.strip())
        if ratio and int(ratio[2] or 1):
            return Fraction(int(ratio[1]), int(ratio[2] or 1))
        if _DECIMAL.fullmatch(value.strip()) and any(letter.isdigit() for letter in value):
            return Fraction(value.strip())
    raise ValueError("give a number or a fraction of up to 19 digits")
