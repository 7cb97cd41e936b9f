"""What directions do to the alpha of a frame: coarse masks, brought up to its size along the picture's own edges."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import TypeAlias

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from birefvideo.frames import Alpha
from birefvideo.matting.upsample_alpha import enlarge_alpha

Codes: TypeAlias = "NDArray[np.uint8]"
"""A coarse mask, uint8 (rows, columns): 0 is 0 and 255 is 1."""


@dataclass(frozen=True, eq=False)
class Masks:
    """The masks of one frame: alpha × `stays`, and then no less than `added`."""

    stays: Codes | None = None
    """What alpha is multiplied by: 1 where it stays as it is, 0 where it goes. None is 1 everywhere."""
    added: Codes | None = None
    """What alpha is raised to. None is 0 everywhere."""

    def decide(self, place: tuple[float, float]) -> bool:
        """Return whether they say what alpha is at a place, (across, down) in parts of the picture."""
        return any(
            codes is not None and abs(int(_at(codes, place)) - idle) > 127
            for codes, idle in ((self.stays, 255), (self.added, 0))
        )

    def digest(self) -> bytes:
        """Return what tells these masks from others that do something else."""
        found = sha256()
        for codes, idle in ((self.stays, 255), (self.added, 0)):
            found.update(b"-" if codes is None or not (codes != idle).any() else codes.tobytes())
        return found.digest()

    def then(self, later: Masks) -> Masks:
        """Return the masks that do what these do, and after it what `later` ones do."""
        kept = None if self.added is None else _product(self.added, later.stays)
        return Masks(_product(self.stays, later.stays), _larger(kept, later.added))


def directed(alpha: Alpha, masks: Masks, picture: av.VideoFrame) -> Alpha:
    """Return the alpha of a picture, float32 (height, width), with masks applied; the array given is not written to.

    Where a mask is 1 (or 0) all around a pixel, alpha comes out exactly as it was (or as 0).
    """
    stays, added = _full(masks.stays, alpha, picture, idle=255), _full(masks.added, alpha, picture, idle=0)
    if stays is not None:
        alpha = alpha * stays
    if added is not None:
        alpha = np.maximum(alpha, added)
    return alpha


def _full(codes: Codes | None, alpha: Alpha, picture: av.VideoFrame, *, idle: int) -> Alpha | None:
    """Return a mask at full size, or None where it does nothing.

    The picture's edges are followed only where a mask's own edge runs through alpha, or where it adds.
    """
    if codes is None or not (codes != idle).any():
        return None
    mask: Alpha = codes.astype(np.float32) / np.float32(255)  # of which 255 is exactly 1
    if idle == 255 and not _cuts(codes, alpha):
        full: Alpha = cv2.resize(mask, alpha.shape[::-1], interpolation=cv2.INTER_LINEAR)
        return full
    return enlarge_alpha(mask, picture)


def _at(codes: Codes, place: tuple[float, float]) -> np.uint8:
    rows, columns = codes.shape
    value: np.uint8 = codes[min(int(place[1] * rows), rows - 1), min(int(place[0] * columns), columns - 1)]
    return value


def _cuts(codes: Codes, alpha: Alpha) -> bool:
    square = np.ones((3, 3), np.uint8)
    edge = cv2.dilate(codes, square) != cv2.erode(codes, square)
    small = cv2.resize(alpha, codes.shape[::-1], interpolation=cv2.INTER_AREA)
    return bool((small[edge] > 0).any())


def _product(one: Codes | None, other: Codes | None) -> Codes | None:
    if one is None or other is None:
        return one if other is None else other
    codes: Codes = np.rint(one * (other / np.float32(255))).astype(np.uint8)
    return codes


def _larger(one: Codes | None, other: Codes | None) -> Codes | None:
    if one is None or other is None:
        return one if other is None else other
    return np.maximum(one, other)
