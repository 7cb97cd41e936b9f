"""What a user can wish for, as values of options; nothing here needs a library."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

PLACES = ("left", "right", "largest", "middle")
"""Words by which a subject is chosen."""


@dataclass(frozen=True)
class Subject:
    """Which one of the subjects stays: by a word, or by a point that it covers at a time."""

    word: str = ""
    """One of `PLACES`, or '' where a point says it."""
    x: float = 0.0
    """Across from the left: a part of the picture's width where both are at most 1, else pixels."""
    y: float = 0.0
    """Down from the top, likewise."""
    at: Fraction | None = None
    """Seconds from the clip's first frame; None is the first frame of the job."""

    def __str__(self) -> str:
        if self.word:
            return self.word
        return f"{self.x:g},{self.y:g}" + (f"@{float(self.at):g}" if self.at is not None else "")

    def point(self, width: int, height: int) -> tuple[float, float]:
        """Return the point in parts of a picture of (width, height) pixels."""
        if self.x <= 1 and self.y <= 1:
            return self.x, self.y
        return self.x / width, self.y / height
