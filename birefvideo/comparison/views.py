"""Everything that is shown of a comparison, at the size at which it is shown, for the sheet and the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from birefvideo.advice.look import Seen
from birefvideo.comparison.backdrop import Backdrop
from birefvideo.comparison.cutouts import RGBA, Cutouts, resized, resized_cutout, square_size
from birefvideo.comparison.disagreement import Edge, Spread, hardest_edges, heat, spread_of
from birefvideo.frames import VideoInfo
from birefvideo.matting.network_input import RGB

LONG_SIDE = 960
"""Pixels of the longer side of what is shown, at most."""
EDGES = 6
"""Parts that are looked at closely."""
_WINDOW = (200, 150)
"""Their (width, height), in source pixels, turned where the frame is upright."""
_MOST_PIXELS = 48e6
"""Pixels of all views together, which bounds the memory: with many models each is shown smaller."""


@dataclass(frozen=True, eq=False)
class View:
    """One frame as it is shown."""

    seconds: float
    """Its time from the clip's first frame."""
    why: str
    """'spread', or what it is hard by."""
    source: RGB
    """The frame itself."""
    cutouts: tuple[RGBA, ...]
    """What each row made of it."""
    spread: Spread
    """Where they differ, or of a single one where it is undecided."""
    backdrop: NDArray[np.uint8] | None
    """What the user wants under it: a picture, or a colour of shape (3,); None where nothing was said."""

    @property
    def heat(self) -> RGB:
        """The spread over the frame."""
        return heat(self.source, self.spread)


@dataclass(frozen=True, eq=False)
class CloseUp:
    """A hard edge in the source's own pixels."""

    edge: Edge
    """Where it is."""
    source: RGB
    """The source there."""
    cutouts: tuple[RGBA, ...]
    """What each row made of it."""
    whole: tuple[int, int]
    """(width, height) of the frame that it is a part of."""
    aspect: float
    """Width to height of one pixel."""


def views_of(
    seen: Sequence[Seen],
    rows: int,
    kept: Cutouts,
    info: VideoInfo,
    backdrop: Backdrop | None,
    origin: Fraction = Fraction(0),
) -> list[View]:
    """Return the frames as they are shown.

    Args:
        seen: the frames that were looked at.
        rows: how many models, each at its size, were run on them.
        kept: what they made.
        info: the clip.
        backdrop: the user's background.
        origin: time of the output's first frame, in seconds on the clip's clock.
    """
    long_side = min(LONG_SIDE, int((_MOST_PIXELS / (len(seen) * (rows + 2))) ** 0.5))
    size = square_size(info.width, info.height, info.sample_aspect_ratio, long_side)
    views = []
    for index, one in enumerate(seen):
        cutouts = tuple(resized_cutout(kept.cutout(row, index), size) for row in range(rows))
        views.append(
            View(
                seconds=float(one.frame.seconds - info.start * info.time_base),
                why=one.why,
                source=resized(kept.source(index), size),
                cutouts=cutouts,
                spread=spread_of(cutouts),
                backdrop=backdrop.at(one.frame.seconds - origin, size) if backdrop else None,
            )
        )
    return views


def close_ups(views: Sequence[View], kept: Cutouts, info: VideoInfo) -> list[CloseUp]:
    """Return the hardest edges, the hardest first."""
    window = _WINDOW if info.width >= info.height else _WINDOW[::-1]
    edges = hardest_edges([view.spread for view in views], (info.width, info.height), window, EDGES)
    found = []
    for edge in edges:
        part = np.s_[edge.top : edge.top + edge.height, edge.left : edge.left + edge.width]
        cutouts = tuple(kept.cutout(row, edge.frame)[part] for row in range(len(views[0].cutouts)))
        size, aspect = (info.width, info.height), float(info.sample_aspect_ratio)
        found.append(CloseUp(edge, kept.source(edge.frame)[part], cutouts, size, aspect))
    return found
