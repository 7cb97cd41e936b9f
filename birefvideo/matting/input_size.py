"""The size at which the network sees a picture."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from birefvideo.bounded_numbers import bounded_int
from birefvideo.errors import OptionError

_LONGEST_SIDE = 65536
"""Pixels that no network was trained with."""

CONFIG_KEYS = ("long_side", "most_pixels", "input_size", "input_sides")
"""The entries of a config.json that name a size."""


@dataclass(frozen=True)
class InputSize:
    """The size of the network's input: `fixed`, or the picture's aspect with a given `long_side` or within `sides`."""

    fixed: tuple[int, int] | None = None
    """(width, height) to which every picture is squashed, whatever its aspect."""
    long_side: int | None = None
    """Length of the longer side; the shorter one follows the picture's aspect."""
    most_pixels: int | None = None
    """With `long_side`: width × height, at most, before rounding. It keeps people in squarer pictures as small as those
    that the network was trained with."""
    sides: tuple[int, int] | None = None
    """Shortest and longest side allowed: the picture keeps its own size where it can, and its aspect."""
    multiple: int = 32
    """Both sides are rounded to a multiple of this: the network's total stride."""

    def __post_init__(self) -> None:
        kinds = [kind for kind in (self.fixed, self.long_side, self.sides) if kind is not None]
        numbers = self.fixed or self.sides or (self.long_side,)
        if self.most_pixels is not None and (self.long_side is None or self.most_pixels < 1):
            raise OptionError(f"a bound of pixels goes with a long side and is above 0, not {self}")
        if len(kinds) != 1 or any(not isinstance(n, int) or n < 1 for n in numbers):
            raise OptionError(f"input size needs one of (width, height), a long side and bounds, above 0, not {self}")
        if any(n % self.multiple for n in self.fixed or self.sides or ()):
            raise OptionError(f"input size {self.fixed or self.sides} must be made of multiples of {self.multiple}")

    @classmethod
    def from_config(cls, values: Mapping[str, Any]) -> InputSize | None:
        """Return the size that a config.json names by `to_config`'s keys, or None where it names none.

        Raises:
            ValueError: what it names is no size.
        """
        try:
            if "long_side" in values:
                most = values.get("most_pixels")
                pixels = None if most is None else bounded_int(most, 32 * 32, _LONGEST_SIDE**2)
                return cls(long_side=bounded_int(values["long_side"], 32, _LONGEST_SIDE), most_pixels=pixels)
            if "input_size" in values:
                return cls(fixed=_pair(values["input_size"]))
            if "input_sides" in values:
                return cls(sides=_pair(values["input_sides"]))
        except (TypeError, ValueError, OptionError) as error:
            key = next(key for key in ("long_side", "input_size", "input_sides") if key in values)
            raise ValueError(f"{key}: {error}") from None
        return None

    def to_config(self) -> dict[str, Any]:
        """Return the entries of a config.json that `from_config` reads."""
        if self.long_side:
            bound = {} if self.most_pixels is None else {"most_pixels": self.most_pixels}
            return {"long_side": self.long_side, **bound}
        return {"input_size": list(self.fixed)} if self.fixed else {"input_sides": list(self.sides or ())}

    def overridden(self, size: int | tuple[int, int] | None) -> InputSize:
        """Return the user's choice, if any: (width, height), or one number.

        That number is the long side where this size keeps the picture's aspect, else the side of a square.
        """
        if size is None:
            return self
        if isinstance(size, tuple):
            return InputSize(fixed=size)
        return InputSize(fixed=(size, size)) if self.fixed else InputSize(long_side=size)

    def network_size(self, width: int, height: int, aspect: Fraction = Fraction(1)) -> tuple[int, int]:
        """Return the (width, height) at which the network sees a picture of `width` × `height` pixels.

        It sees the shape that people see: pixels that are `aspect` times as wide as high are made square by enlarging.
        """
        if self.fixed:
            return self.fixed
        return self._kept_shape(width * max(aspect, Fraction(1)), height / min(aspect, Fraction(1)))

    def _kept_shape(self, width: Fraction, height: Fraction) -> tuple[int, int]:
        longest, shortest = max(width, height), min(width, height)
        if self.long_side:
            long_side = self.long_side
            if self.most_pixels is not None:
                long_side = min(long_side, math.isqrt(int(self.most_pixels * longest / shortest)))
            return self._rounded(width, long_side, longest), self._rounded(height, long_side, longest)
        assert self.sides is not None
        least, most = self.sides
        wanted: Fraction | int = longest
        unit = longest
        if longest > most:
            wanted = most
        elif shortest < least:
            wanted, unit = least, shortest
        w, h = (min(most, max(least, self._rounded(side, wanted, unit))) for side in (width, height))
        return w, h

    def _rounded(self, side: Fraction, numerator: Fraction | int, denominator: Fraction) -> int:
        """Return `side` × numerator / denominator to the nearest multiple, halves up, at least one."""
        unit = denominator * self.multiple
        return max(1, int((2 * side * numerator + unit) // (2 * unit))) * self.multiple


def _pair(values: Sequence[object]) -> tuple[int, int]:
    first, second = values
    return bounded_int(first, 32, _LONGEST_SIDE), bounded_int(second, 32, _LONGEST_SIDE)
