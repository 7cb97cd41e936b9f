"""What is put under cut-outs: three plain colours, and the user's own."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from birefvideo.colour import BT709
from birefvideo.comparison.cutouts import resized
from birefvideo.media.colour_names import NAMED_COLOURS
from birefvideo.media.writing.background import Background, BackgroundFile, Blur
from birefvideo.media.writing.still_frames import rgb_of

PLAIN: dict[str, tuple[int, int, int]] = {
    "green": NAMED_COLOURS["green"],
    "white": NAMED_COLOURS["white"],
    "dark": (24, 26, 30),
}
"""R'G'B' codes by name: on each, other faults of an edge show."""


@dataclass(frozen=True)
class Backdrop:
    """The user's background, as it is under a clip's frames."""

    chosen: tuple[int, int, int] | Path
    """Colour or file."""

    @property
    def colour(self) -> tuple[int, int, int] | None:
        """The colour, or None where it is a file."""
        return None if isinstance(self.chosen, Path) else self.chosen

    def at(self, seconds: Fraction, size: tuple[int, int]) -> NDArray[np.uint8]:
        """Return the picture under a frame, uint8 (height, width, 3), or its colour (3,).

        Args:
            seconds: from the first frame of the output.
            size: (width, height) in square pixels.
        """
        if not isinstance(self.chosen, Path):
            return np.array(self.chosen, np.uint8)
        even = (size[0] + size[0] % 2, size[1] + size[1] % 2)
        with closing(BackgroundFile(self.chosen, even, Fraction(1), BT709)) as file:
            rgb = rgb_of(file.at(max(Fraction(0), seconds)), BT709)
        return np.asarray(resized(np.rint(255 * rgb).astype(np.uint8), size), np.uint8)


def backdrop_of(chosen: Background) -> Backdrop | None:
    """Return the background that the user has chosen; None for a blur, which is another one under each cut-out."""
    return None if isinstance(chosen, Blur) else Backdrop(chosen)
