"""The colours of a thing against those around it, to lay its outline where they meet."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from birefvideo.directing.coarse import Picture
from birefvideo.matting.grid import Map

_BINS, _SHIFT = 16, 4
_RING, _BAND = 6, 2
"""Cells around a thing whose colours are not its own, and those on each side of its outline that may be moved."""
_RADIUS, _STEEP = 1, 1.5
"""Of the filter that lays the outline along edges, in cells; and by how much it is made steeper after that blur."""
_FLAT = 2e-4
_MOST = 3.0
"""Logarithm of the odds that colours may give at most."""
_UNSURE, _RARE = 1e-3, 3e-4
_BELL, _ONE = np.array([0.25, 0.5, 0.25], np.float32), np.ones(1, np.float32)


@dataclass(frozen=True, eq=False)
class ColourModel:
    """How often each colour is the thing's."""

    own: Map
    """Share of the thing's cells in each of 16³ colours, softened."""

    @classmethod
    def of(cls, picture: Picture, mask: Map) -> ColourModel:
        """Return the model of what a mask covers in a picture."""
        return cls(_histogram(_codes(picture), mask))

    def odds(self, picture: Picture, others: Map, most: float) -> Map:
        """Return the odds (logarithm) that a cell's colour is the thing's, in [-most, most].

        Args:
            picture: the cells' colours.
            others: what each cell counts as one that is not the thing's.
            most: the logarithm at most.
        """
        codes = _codes(picture)
        own, other = self.own[codes], _histogram(codes, others)[codes]
        odds = np.clip(np.log((own + _RARE) / (other + _RARE)), -most, most).astype(np.float32)
        smooth: Map = cv2.blur(odds, (3, 3))
        return smooth

    def fitted(self, picture: Picture, prior: Map, alike: Map) -> Map:
        """Return the mask of a thing, where it is expected (`prior`) as the picture's colours and edges have it.

        Args:
            picture: a part of the picture.
            prior: where the thing is by its motion, in [0, 1].
            alike: how like what was expected each cell looks, in [0, 1].
        """
        solid = (prior > 0.5).view(np.uint8)
        ring = cv2.dilate(solid, _disc(_RING)) - cv2.dilate(solid, _disc(_BAND))
        codes = _codes(picture)
        others = _histogram(codes, ring.astype(np.float32))
        own, other = self.own[codes], others[codes]
        odds = np.clip(np.log((own + _UNSURE) / (other + _UNSURE)), -_MOST, _MOST).astype(np.float32)
        odds = cv2.blur(odds, (3, 3))
        band = cv2.dilate(solid, _disc(_BAND)) - cv2.erode(solid, _disc(_BAND))
        likely = np.clip(prior, 0.05, 0.95)
        logit = np.log(likely / (1 - likely)) + odds
        refit = np.where(band > 0, 1 / (1 + np.exp(-logit)), prior).astype(np.float32)
        # What neither looks as expected nor has the thing's colours lies in front of it.
        covered = cv2.blur(((alike < 0.3) & (odds < -1)).astype(np.float32), (5, 5)) > 0.5
        refit[covered] = 0
        soft = guided(_guide(picture), refit, _RADIUS, _FLAT)
        fitted: Map = np.clip((soft - np.float32(0.5)) * np.float32(_STEEP) + np.float32(0.5), 0, 1)
        return fitted


def guided(guide: Map, values: Map, radius: int, flatness: float) -> Map:
    """Return values smoothed along the edges of a guide.

    Args:
        guide: float32 (rows, columns), 0 to 1.
        values: float32, of the same size.
        radius: of the windows, in pixels.
        flatness: variance of the guide below which a window counts as flat.

    Source: He, Sun and Tang, "Guided Image Filtering" (TPAMI 2013).
    """
    window = (2 * radius + 1,) * 2

    def mean(plane: Map) -> Map:
        average: Map = cv2.boxFilter(plane, -1, window, borderType=cv2.BORDER_REFLECT)
        return average

    mean_guide, mean_values = mean(guide), mean(values)
    variance = mean(guide * guide) - mean_guide * mean_guide
    slope = (mean(guide * values) - mean_guide * mean_values) / (variance + np.float32(flatness))
    result: Map = mean(slope) * guide + mean(mean_values - slope * mean_guide)
    return result


def _guide(picture: Picture) -> Map:
    guide: Map = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32) / np.float32(255)
    return guide


def _codes(picture: Picture) -> NDArray[np.intp]:
    red, green, blue = cv2.split(picture >> _SHIFT)
    codes: NDArray[np.intp] = (red.astype(np.intp) * _BINS + green) * _BINS + blue
    return codes


def _histogram(codes: NDArray[np.intp], weights: Map) -> Map:
    """Return the share of each colour, of which a quarter lies in each neighbour along every axis."""
    counts = np.bincount(codes.ravel(), weights.ravel(), minlength=_BINS**3).astype(np.float32)
    counts = cv2.sepFilter2D(counts.reshape(_BINS, _BINS * _BINS), -1, _ONE, _BELL, borderType=cv2.BORDER_REPLICATE)
    counts = cv2.sepFilter2D(counts.reshape(_BINS * _BINS, _BINS), -1, _BELL, _ONE, borderType=cv2.BORDER_REPLICATE)
    middle = counts.reshape(_BINS, _BINS, _BINS).transpose(1, 0, 2).reshape(_BINS, _BINS * _BINS)
    middle = cv2.sepFilter2D(middle, -1, _ONE, _BELL, borderType=cv2.BORDER_REPLICATE)
    counts = middle.reshape(_BINS, _BINS, _BINS).transpose(1, 0, 2).ravel()
    soft: Map = counts / np.float32(max(cv2.sumElems(counts)[0], 1.0))
    return soft


def _disc(radius: int) -> NDArray[np.generic]:
    disc: NDArray[np.generic] = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1,) * 2)
    return disc
