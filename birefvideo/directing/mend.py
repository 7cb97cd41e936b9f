"""Mended frames: the picture of a corrected alpha, and what of the correction its neighbours take."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from birefvideo.directing.carry import Clip, sureness
from birefvideo.directing.follow import Follower
from birefvideo.directing.marks import Mend
from birefvideo.directing.masks import Codes, Masks
from birefvideo.directing.read_mends import read_bytes
from birefvideo.errors import InputError
from birefvideo.frames import Alpha
from birefvideo.matting.grid import Map
from birefvideo.matting.motion import sample

REACH = Fraction(1)
"""Seconds on each side in which a mend's correction fades out."""
_DIFFERS = 0.1
"""Difference of alpha that is followed."""
_AROUND = 2
"""Cells around a difference that are followed with it."""
_HEADER = struct.Struct(">8s4x4sII")
_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def read_alpha(mend: Mend, width: int, height: int) -> Alpha:
    """Return the alpha that a mend's picture holds: its alpha channel, or where that is not there its grey.

    Args:
        mend: the mend.
        width: columns of the clip's pictures.
        height: their rows.

    Raises:
        InputError: it is no PNG of that size, has colour but no alpha, or is no longer the file that was named.
    """
    data, sha256 = read_bytes(Path(mend.path), mend.name)
    if sha256 != mend.sha256:
        raise InputError(f"{mend.name}: it was changed while the job ran; run the same command again")
    if len(data) < _HEADER.size or _HEADER.unpack_from(data)[:2] != (_SIGNATURE, b"IHDR"):
        raise InputError(f"{mend.name}: it is no PNG: save the mended alpha as one")
    size = _HEADER.unpack_from(data)[2:]
    if size != (width, height):  # looked at before pixels are made, which may be many
        has = f"it has {size[0]}×{size[1]} pixels, and the clip {width}×{height}"
        raise InputError(f"{mend.name}: {has}: save it at the clip's size")
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise InputError(f"{mend.name}: its pixels cannot be read: save it again")
    most = np.iinfo(pixels.dtype).max
    if pixels.ndim == 3 and pixels.shape[2] == 4 and (pixels[..., 3] < most).any():
        pixels = pixels[..., 3]
    elif pixels.ndim == 3:
        if (pixels[..., 0] != pixels[..., 1]).any() or (pixels[..., 0] != pixels[..., 2]).any():
            raise InputError(f"{mend.name}: it is a picture in colours without transparency: save the alpha, as grey")
        pixels = pixels[..., 0]
    alpha: Alpha = pixels.astype(np.float32) / np.float32(most)
    return alpha


def pulled(mend: Mend, clip: Clip, times: list[Fraction]) -> Iterator[tuple[int, Masks]]:
    """Yield (number of a frame, what a mend does to it) for its own frame and the neighbours that look like it."""
    number = mend.number(times)
    rows, columns = clip.alpha(number).shape
    mended = cv2.resize(read_alpha(mend, *clip.full_size), (columns, rows), interpolation=cv2.INTER_AREA)
    difference = (mended - clip.alpha(number)).astype(np.float32)
    yield number, _moved_to(difference, clip.alpha(number))
    differs = (np.abs(difference) > _DIFFERS).view(np.uint8)
    mask = cv2.dilate(differs, np.ones((2 * _AROUND + 1,) * 2, np.uint8)).astype(np.float32)
    near = [n for n, time in enumerate(times) if abs(time - times[number]) < REACH]
    for numbers in (range(number + 1, near[-1] + 1), range(number - 1, near[0] - 1, -1)):
        follower = Follower(clip.picture(number), mask, is_renewed=False)
        for neighbour in numbers:
            _, likeness = follower.next(clip.picture(neighbour))
            share = sureness(likeness) * float(1 - abs(times[neighbour] - times[number]) / REACH)
            if share <= 0:
                break
            carried = sample(difference * mask, follower.places) * np.float32(share)
            yield neighbour, _moved_to(carried, clip.alpha(neighbour))


def _moved_to(difference: Map, alpha: Alpha) -> Masks:
    """Return the masks that add a difference to coarse alpha."""
    wanted = np.clip(alpha + difference, 0, 1)
    more, less = difference > 0, difference < 0
    added = np.where(more, wanted, 0) if more.any() else None
    stays = np.where(less, wanted / np.maximum(alpha, np.float32(1 / 255)), 1) if less.any() else None
    return Masks(None if stays is None else _codes(stays), None if added is None else _codes(added))


def _codes(plane: Map) -> Codes:
    codes: Codes = np.rint(np.clip(plane, 0, 1) * 255).astype(np.uint8)
    return codes
