"""What the marks of a clip do to its frames: each carried by itself, the one drawn nearest in time having its way."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import numpy as np

from birefvideo.directing.carry import Carried, Clip, claimed
from birefvideo.directing.marks import KEEP, REMOVE, Mark, Marks
from birefvideo.directing.masks import Codes, Masks
from birefvideo.directing.mend import pulled
from birefvideo.directing.records import packed, unpacked
from birefvideo.errors import InputError
from birefvideo.matting.grid import Map

_LEAST = 0.01


class Marked:
    """Directs by marks that are carried, and by mends; plain areas are `holds`' business.

    Args:
        marks: in pixels of the clip.
    """

    def __init__(self, marks: Marks) -> None:
        self._marks = marks
        self.notes: list[str] = []

    def masks(self, clip: Clip) -> Iterator[Masks]:
        """Yield the masks of every frame, in order.

        Raises:
            InputError: a mark lies outside of the clip, or is drawn on nothing that can be told from what is around it.
        """
        times = [Fraction(clip.seconds(number)).limit_denominator(10**6) for number in range(len(clip))]
        marks = self._marks.snapped(times)
        carried = [mark for mark in marks.marks if mark.carry and mark.do in (KEEP, REMOVE)]
        layers = [self._layer(mark, carried, clip, times) for mark in carried]
        layers += [_Layer([mend.number(times)], pulled(mend, clip, times)) for mend in marks.mends]
        for number in range(len(clip)):
            masks = Masks()
            # The last one has its way: the one whose drawing is nearest in time, or of two as near the later one.
            for layer in sorted(layers, key=lambda layer: -layer.distance(number)):
                masks = masks.then(layer.take(number))
            yield masks

    def _layer(self, mark: Mark, marks: list[Mark], clip: Clip, times: list[Fraction]) -> _Layer:
        carried = Carried(mark, marks, clip, times)
        layer = _Layer(carried.anchors(), _as_masks(carried, mark, clip))
        for number in carried.missed:
            raise InputError(
                f"{mark.name}: at {float(times[number]):g} s it is drawn on nothing that can be told from what is "
                "around it: draw a stroke along the thing, or a polygon around it"
            )
        for number in carried.lost:
            self.notes.append(
                f"{mark.name}: what it is drawn on is lost from sight at {float(times[number]):.2f} s; "
                "where it is seen again, draw it again"
            )
        return layer


class _Layer:
    """The masks of one mark, packed."""

    def __init__(self, anchors: list[int], masks: Iterator[tuple[int, Masks]]) -> None:
        self._anchors = anchors
        self._records = {number: (_record(of.stays), _record(of.added)) for number, of in masks}

    def distance(self, number: int) -> int:
        """Return how many frames lie between one and the nearest in which the mark is drawn."""
        return min(abs(number - anchor) for anchor in self._anchors)

    def take(self, number: int) -> Masks:
        """Return the masks of a frame, which are then forgotten."""
        stays, added = self._records.pop(number, (b"", b""))
        return Masks(unpacked(stays) if stays else None, unpacked(added) if added else None)


def _record(mask: Codes | None) -> bytes:
    return b"" if mask is None else packed(mask)


def _as_masks(carried: Carried, mark: Mark, clip: Clip) -> Iterator[tuple[int, Masks]]:
    for number, mask in carried.masks():
        if mask.max() < _LEAST:
            continue
        if mark.do == KEEP:
            yield number, Masks(added=_codes(mask))
        else:
            yield number, Masks(stays=_codes(1 - claimed(mask, clip.alpha(number))))


def _codes(mask: Map) -> Codes:
    codes: Codes = np.rint(np.clip(mask, 0, 1) * 255).astype(np.uint8)
    return codes
