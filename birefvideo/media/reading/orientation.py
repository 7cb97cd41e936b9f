"""Which way up a decoded picture is."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import av
import numpy as np
from av.sidedata.sidedata import SideData, Type

from birefvideo.media.reading.picture_tags import read_picture_tags

# PyAV frees the colour profile that FFmpeg's PNG decoder puts beside a picture twice, once anything there is looked at.
_OF_PNG = frozenset(
    ["rgb24", "rgba", "rgb48be", "rgba64be", "gray", "gray16be", "ya8", "ya16be", "pal8", "monob", "monow"]
)


def orientation(picture: av.VideoFrame, path: Path) -> tuple[int, bool]:
    """Counter-clockwise quarter turns, then whether to flip left to right, that bring a decoded picture upright.

    A picture's file says so in EXIF. Anything else has a display matrix, for row vectors with y downwards; another
    angle than a right one is taken for the nearest of these.

    Args:
        picture: as the decoder gives it.
        path: the file that it is from.
    """
    tags = read_picture_tags(path)
    if tags is not None:
        return tags.quarter_turns, tags.mirrored
    alone = round(picture.rotation / 90) % 4, False
    if picture.format.name in _OF_PNG:
        return alone
    try:
        beside = list(_side_data(picture))
    except ValueError:  # PyAV does not know every kind, such as EXIF; it gives the turn alone, then
        return alone
    for data in beside:
        if data.type == Type.DISPLAYMATRIX:
            matrix = np.frombuffer(bytes(data), np.int32).reshape(3, 3)[:2, :2].astype(float)
            determinant = np.linalg.det(matrix)
            if determinant == 0:
                break
            if determinant < 0:
                matrix[:, 0] = -matrix[:, 0]
            angle = math.atan2(-matrix[0, 1], matrix[0, 0])
            return round(angle / (math.pi / 2)) % 4, bool(determinant < 0)
    return 0, False


def _side_data(picture: av.VideoFrame) -> Iterator[SideData]:
    # PyAV's annotation is a dictionary; iterating gives the data themselves, and .values() fails.
    return cast("Iterator[SideData]", iter(picture.side_data))
