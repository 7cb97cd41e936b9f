"""A thing followed from one picture into the next ones: where its cells went, its outline, and whether it is there.

Each picture is compared with the one before and, so that errors do not add up, with the one where the thing is known
(the anchor). Motion is trusted inside the thing only and spread from there, as what lies beside it moves otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from birefvideo.directing.coarse import Picture
from birefvideo.directing.colours import ColourModel
from birefvideo.directing.one_motion import spread_out, weighted_mean
from birefvideo.matting.grid import Map
from birefvideo.matting.motion import MotionSearch, falloff, length, sample

Box: TypeAlias = "tuple[int, int, int, int]"
"""Left, top, right and bottom, in cells."""

_MARGIN = 10
"""Cells around the thing that are looked at, at least."""
_ASTRAY = 1.0
"""A cell that, brought there and back, ends this many cells off is trusted to a quarter."""
_UNLIKE = 24.0
"""Codes that a cell's colour may differ from the anchor's before it is trusted to a quarter."""
_SPREAD = 6.0
"""Of the side of the thing, one part in so many is how far its cells move together."""
_LARGEST_STEP = 2.0
"""Cells by which the anchor corrects what came from picture to picture."""
_STALE, LOST = 0.75, 0.45
"""Likeness to the anchor below which the last picture becomes the anchor, and below which the thing is gone."""
_SOLID = 0.5
_MEAN = np.full((1, 3), 1 / 3, np.float32)
_SAME = 0.6
"""Correlation from which on a part of a picture may be the thing that has leapt there."""
_FARTHEST = 2
"""Of the side of the thing, how often it may leap in one frame."""
_LEAST_SIDE = 4
_LEAST = 6.0
"""Cells of a thing that is too small to be followed."""


@dataclass(frozen=True, eq=False)
class Anchor:
    """A picture in which the thing is known."""

    picture: Picture
    luma: NDArray[np.uint8]
    mask: Map
    colours: ColourModel

    @classmethod
    def of(cls, picture: Picture, mask: Map) -> Anchor:
        """Return the anchor that a picture and the thing's mask make."""
        return cls(picture, luma_of(picture), mask, ColourModel.of(picture, mask))


def luma_of(picture: Picture) -> NDArray[np.uint8]:
    """Return a picture's luma, as motion is searched in."""
    luma: NDArray[np.uint8] = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    return luma


class Follower:
    """Follows one thing; give it the pictures in order, forwards or backwards.

    Args:
        picture: where the thing is known.
        mask: its mask there, in [0, 1].
        is_renewed: whether a later picture may become the anchor, when the thing has changed.
    """

    def __init__(self, picture: Picture, mask: Map, *, is_renewed: bool = True) -> None:
        self._is_renewed = is_renewed
        self._anchor = Anchor.of(picture, mask)
        self._search = MotionSearch()
        self._picture, self._mask = picture, mask
        rows, columns = mask.shape
        self.home = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), axis=-1).astype(np.float32)
        """Place of each cell: column and row."""
        self.places: Map = self.home
        """Where each cell of the last picture lay in the anchor's: column and row."""
        self._step = np.zeros(2, np.float32)

    def next(self, picture: Picture) -> tuple[Map, float]:
        """Return the thing's mask in the next picture and how sure that is, both in [0, 1]; 0 where it is gone."""
        found = self._followed(picture)
        if found is not None and found[2] < _STALE and self._is_renewed:
            self._anchor = Anchor.of(self._picture, self._mask)
            self.places = self.home
            found = self._followed(picture)
        if found is None or found[2] < LOST:
            found = self._leapt(picture)
        if found is None or found[2] < LOST:
            return np.zeros_like(self._mask), 0.0
        mask, places, likeness, step = found
        self._picture, self._mask, self.places, self._step = picture, mask, places, step
        return mask, likeness

    def _followed(self, picture: Picture) -> tuple[Map, Map, float, Map] | None:
        """Return (mask, places in the anchor, likeness to it, step) in the next picture, or None if nothing is left."""
        box = self._window()
        if box is None:
            return None
        cut = np.s_[box[1] : box[3], box[0] : box[2]]
        spread = max(np.sqrt(float(self._mask.sum())) / _SPREAD, 1.5)
        back = self._motion(picture, cut, spread)
        home = self.home[cut]
        places = sample(self.places, home + back)
        places = self._corrected(picture, cut, places, spread)
        prior = sample(self._anchor.mask, places)
        alike = self._alike(picture, cut, places, prior)
        if cv2.sumElems(prior)[0] < _LEAST:
            return None
        mask = np.zeros_like(self._mask)
        mask[cut] = self._anchor.colours.fitted(picture[cut], prior, alike)
        whole = self.home + np.array(cv2.mean(places - home)[:2], np.float32)
        whole[cut] = places
        return mask, whole, float(weighted_mean(alike, prior)[0]), -weighted_mean(back, prior)

    def _leapt(self, picture: Picture) -> tuple[Map, Map, float, Map] | None:
        """Return as `_followed` does where the thing has moved farther than motion is searched."""
        left, top, columns, rows = cv2.boundingRect((self._mask > _SOLID).view(np.uint8))
        if min(columns, rows) < _LEAST_SIDE:
            return None
        thing = self._picture[top : top + rows, left : left + columns]
        scores = cv2.matchTemplate(picture, thing, cv2.TM_CCOEFF_NORMED)
        _, best, _, (x, y) = cv2.minMaxLoc(scores)
        step = np.array((x - left, y - top), np.float32)
        if best < _SAME or length(step) > _FARTHEST * max(columns, rows):
            return None
        self._step = step
        return self._followed(picture)

    def _window(self) -> Box | None:
        """Return the part of the picture where the thing may be next."""
        left, top, columns, rows = cv2.boundingRect((self._mask > _SOLID).view(np.uint8))
        if columns * rows < _LEAST:
            return None
        across, down = (abs(float(step)) for step in self._step)
        more = _MARGIN + max(columns, rows) // 4
        height, width = self._mask.shape
        return (
            max(0, left - more - int(across)),
            max(0, top - more - int(down)),
            min(width, left + columns + more + int(across)),
            min(height, top + rows + more + int(down)),
        )

    def _motion(self, picture: Picture, cut: tuple[slice, slice], spread: float) -> Map:
        """Return where each cell of the next picture lay in the last one, relative to its place: as the thing moves."""
        earlier, later = luma_of(self._picture[cut]), luma_of(picture[cut])
        back = self._search.search(later, earlier, -self._step)
        onward = self._search.search(earlier, later, self._step)
        home = self.home[cut] - self.home[cut][0, 0]
        ends = home + back
        astray = length(back + sample(onward, ends))
        inside = sample(_inner(self._mask[cut]), ends)
        return spread_out(back, inside * falloff(astray, _ASTRAY), spread, -self._step)

    def _corrected(self, picture: Picture, cut: tuple[slice, slice], places: Map, spread: float) -> Map:
        """Return places in the anchor, brought nearer to what the anchor itself says."""
        expected = sample(self._anchor.luma, places)
        seen = luma_of(picture[cut])
        offset = self._search.search(seen, np.clip(np.rint(expected), 0, 255).astype(np.uint8))
        too_long = np.maximum(length(offset) / _LARGEST_STEP, 1)
        offset /= too_long[..., None]
        home = self.home[cut] - self.home[cut][0, 0]
        inside = sample(_inner(self._anchor.mask), places)
        differs = np.abs(sample(expected, home + offset) - seen)
        weights = inside * falloff(differs, _UNLIKE) * (too_long == 1)
        offset = spread_out(offset, weights, spread)
        return sample(places, home + offset)

    def _alike(self, picture: Picture, cut: tuple[slice, slice], places: Map, prior: Map) -> Map:
        """Return how like the anchor each cell is, in [0, 1], but for a change of light over all of the thing."""
        expected = sample(cv2.blur(self._anchor.picture, (3, 3)), places)
        differs = expected - cv2.blur(picture[cut], (3, 3)).astype(np.float32)
        light = weighted_mean(differs, prior)
        differs -= np.clip(light, -_UNLIKE, _UNLIKE)
        return falloff(cv2.transform(np.abs(differs), _MEAN), _UNLIKE)


def _inner(mask: Map) -> Map:
    """Return the mask without its rim, whose cells see what lies beside the thing."""
    inner: Map = cv2.erode(mask, np.ones((5, 5), np.uint8))
    return inner if inner.sum() >= _LEAST else mask
