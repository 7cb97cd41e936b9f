"""Who is who, pixel by pixel, in people who touch: labels carried by motion, and colours where something is new."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from birefvideo.directing.coarse import Picture
from birefvideo.directing.layers import Layers, Shares, Way
from birefvideo.directing.pieces import colours_of
from birefvideo.matting.grid import Map, Mask
from birefvideo.matting.motion import Look, Motion, MotionSearch, length, sample

_ASTRAY = 1.0
"""Pixels that a point, brought there and back, may end off to be trusted half."""
_MOST_TRUST = 0.985
"""What motion says at most against colour: errors of the way heal."""
_FLOOR = 0.02
_RADIUS, _FLATNESS = 2, 40.0
"""Of the guided filter that lays shares along the picture's edges: pixels, and variance of luma that counts as flat."""


class Carrier:
    """Carries shares from each frame to the next, one way in time; for one thread at a time."""

    def __init__(self) -> None:
        self._search = MotionSearch()
        self._layers = Layers()

    def carried(
        self,
        shares: Shares,
        one: Picture,
        other: Picture,
        touching: Sequence[tuple[Mask, Sequence[int]]],
        looks: Mapping[int, NDArray[np.float64]],
    ) -> Shares:
        """Return the shares of people who touch.

        Args:
            shares: in the frame that they are carried from.
            one: that frame.
            other: the frame that they are carried to.
            touching: there, where people touch, and who they are.
            looks: histograms of people's colours, as far as they are known.
        """
        luma = [cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in (one, other)]
        motion = self._search.between(*(Look(plane, plane) for plane in luma))
        colours = colours_of(other)
        found: Shares = {}
        self._layers.apart([people for _, people in touching])
        for mask, people in touching:
            cut = _window(mask)
            way = _way(motion, cut)
            prior = [
                sample(shares[p], way.home + way.back) if p in shares else np.zeros_like(way.trust) for p in people
            ]
            known = np.minimum(sum(prior), np.float32(1))
            weight = np.minimum(way.trust * known, np.float32(_MOST_TRUST))
            chance = by_colour(colours[cut], people, looks)
            mixed = _mixed(prior, weight, chance)
            # Whose own motion explains a cell tells more than where the search takes it, which is wrong along edges.
            layers = self._layers.explained(shares, one, other[cut], way, mask[cut], people)
            mixed = _mixed(layers, np.minimum(np.max(layers, axis=0), np.float32(_MOST_TRUST)), mixed)
            for person, share in zip(people, settled(mixed, mask[cut], luma[1][cut]), strict=True):
                whole = found.setdefault(person, np.zeros(mask.shape, np.float32))
                np.maximum(whole[cut], share, out=whole[cut])
        return found

    def part(self) -> None:
        """Take note that nobody touches anybody in a frame."""
        self._layers.apart([])


def _window(mask: Mask) -> tuple[slice, slice]:
    """Return the part of a picture that holds those who touch, and as much around it as the filters reach."""
    left, top, columns, rows = cv2.boundingRect(mask.view(np.uint8))
    more = 2 * _RADIUS
    return np.s_[max(0, top - more) : top + rows + more, max(0, left - more) : left + columns + more]


def _way(motion: Motion, cut: tuple[slice, slice]) -> Way:
    back = motion.back[cut]
    rows, columns = back.shape[:2]
    across, down = np.arange(columns) + cut[1].start, np.arange(rows) + cut[0].start
    home = np.stack(np.meshgrid(across, down), axis=-1).astype(np.float32)
    astray = length(back + sample(motion.onward, home + back))
    return Way(home, back, 1 / (1 + np.square(astray / np.float32(_ASTRAY))))


def _mixed(shares: Sequence[Map], weight: Map, others: Sequence[Map]) -> list[Map]:
    """Return shares, scaled to add up to 1, with a weight, and others with the rest of it."""
    total = np.maximum(sum(shares), np.float32(1e-6))
    return [weight * one / total + (1 - weight) * other for one, other in zip(shares, others, strict=True)]


def by_colour(colours: NDArray[np.int32], people: Sequence[int], looks: Mapping[int, NDArray[np.float64]]) -> list[Map]:
    """Return how probable each person is at each pixel by its colour alone."""
    some = next(iter(looks.values()), np.full(512, 1 / 512))
    even = np.full_like(some, 1 / some.size)
    tables = [0.98 * looks.get(person, even) + 0.02 * even for person in people]
    total = np.sum(tables, axis=0)
    return [(table / total).astype(np.float32)[colours] for table in tables]


def settled(shares: Sequence[Map], mask: Mask, luma: NDArray[np.uint8]) -> list[Map]:
    """Return shares within a mask laid along the edges of the picture, adding up to 1, and made more decided."""
    inside = mask.astype(np.float32)
    guide = luma.astype(np.float32)
    smooth = [np.clip(_guided(share, guide, inside), 1e-3, 1) for share in shares]
    sharp = [np.square(share) for share in smooth]
    total = np.maximum(sum(sharp), np.float32(1e-6))
    return [share / total * inside for share in sharp]


def _guided(values: Map, guide: Map, weight: Map) -> Map:
    """Return values filtered with a guide, of the pixels with weight only (He et al., 2010)."""
    side = (2 * _RADIUS + 1,) * 2
    count = np.maximum(cv2.boxFilter(weight, -1, side, normalize=False), np.float32(1e-6))

    def mean(plane: Map) -> Map:
        found: Map = cv2.boxFilter(plane * weight, -1, side, normalize=False) / count
        return found

    mean_guide, mean_values = mean(guide), mean(values)
    variance = mean(guide * guide) - mean_guide * mean_guide
    slope = (mean(guide * values) - mean_guide * mean_values) / (variance + np.float32(_FLATNESS))
    rest = mean_values - slope * mean_guide
    filtered: Map = mean(slope) * guide + mean(rest)
    return filtered


def score(forward: Map | None, back: Map | None, weight: float, mask: Mask) -> Map:
    """Return how much speaks for somebody, as a logarithm."""
    total = np.zeros(mask.shape, np.float32)
    for share, part in ((forward, 1 - weight), (back, weight)):
        if part:
            total += np.float32(part) * np.log(np.float32(_FLOOR) if share is None else np.maximum(share, _FLOOR))
    return total
