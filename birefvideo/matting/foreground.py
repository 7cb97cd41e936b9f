"""Straight foreground colour: what the subject's colour is where the picture shows it mixed with the background.

A soft pixel shows I = α F + (1 - α) B. F and B are found from coarse to fine: at each level they are averaged over
their neighbours, each neighbour counting by how much of F or B it shows, then moved the least that makes them mix to I.
The levels are those of Germer et al., "Fast Multi-Level Foreground Estimation" (ICPR 2020), the weighted averages those
of Forte, "Approximate Fast Foreground Colour Estimation" (ICIP 2021). The mixing is linear in the YUV codes too, so
nothing passes through RGB. The levels end at reduced size; at full size only the last move is made, by tiles.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import av
import cv2
import numpy as np

from birefvideo.frames import Alpha, Frame
from birefvideo.matting.grid import Grid, Map, Mask, Tile
from birefvideo.planes import Codes, bit_depth, plane_array, to_444

OPAQUE = 1 - 0.5 / 255
"""From this alpha on a pixel shows the foreground alone: it rounds to 1 in 8 bits."""
EMPTY = 0.5 / 255
"""Below this alpha a pixel shows the background alone: it rounds to 0 in 8 bits."""
MARGIN = 8
"""How far colour is extended into the empty background, at least, in pixels: what a scaler or a blur may reach."""

_FULL_RANGE = 2  # AVCOL_RANGE_JPEG
_COARSEST = 4
"""The levels go down to this long side, so that colour finds its way across any gap."""
_ROUNDS = 2
"""Average-and-move rounds at each level."""
_FAITH = 0.02
"""Weight of a pixel that shows nothing of F, against 1 for one that shows only F; the same for B."""
_STIFFNESS = 0.01
"""Resistance of F and B to being moved; keeps noise out where it is large, exactness where it is small."""


def estimate(frames: Iterable[Frame]) -> Iterator[Frame]:
    """Yield the frames with their foreground colour set; see `estimate_foreground`.

    Raises:
        ValueError: a frame has no alpha, or one of another size than its picture.
    """
    for frame in frames:
        if frame.alpha is None:
            raise ValueError(f"the frame at pts {frame.pts} has no alpha: predict before estimating the foreground")
        yield replace(frame, foreground=estimate_foreground(frame.picture, frame.alpha))


def estimate_foreground(picture: av.VideoFrame, alpha: Alpha) -> av.VideoFrame:
    """Return the straight foreground colour of a picture as planar YUV 4:4:4 in its own depth, range, tags and time.

    Where alpha >= `OPAQUE` these are the picture's own codes (chroma interpolated to full size); where it is less, and
    for at least `MARGIN` pixels beyond, an estimate within the nominal range of the codes; black farther out.

    Args:
        picture: planar YUV 4:2:0, 4:2:2 or 4:4:4, 8 or 10 bit; it is not written to.
        alpha: float32 (height, width) in [0, 1].

    Raises:
        ValueError: picture and alpha differ in size.
    """
    if alpha.shape != (picture.height, picture.width):
        size = f"{alpha.shape[1]}×{alpha.shape[0]}"
        raise ValueError(f"alpha of {size} for a picture of {picture.width}×{picture.height} pixels: make them equal")
    result = to_444(picture)
    planes = [plane_array(result, index) for index in range(3)]
    grid = Grid(*alpha.shape)
    small = grid.reduce(alpha)
    near = _near(small, grid.factor)
    soft = near & ~_solid(small, grid.factor)
    nominal = _nominal_codes(picture)
    levels = _levels(small) if soft.any() else []
    colours = [
        _solve(levels, grid.reduce(codes), bound) for codes, bound in zip(planes, nominal, strict=True) if levels
    ]
    for tile in grid.tiles(soft):
        _fill(tile, planes, alpha, colours, nominal)
    for tile in grid.tiles(~near):
        far = tile.repeat(~near)
        for codes, bound in zip(planes, nominal, strict=True):
            np.copyto(codes[tile.pixels], bound.black, where=far)
    return result


@dataclass(frozen=True)
class _Nominal:
    """The codes of one plane that stand for a colour."""

    lowest: int
    """Smallest nominal code."""
    highest: int
    """Largest nominal code."""
    black: int
    """The code of black."""


def _nominal_codes(picture: av.VideoFrame) -> tuple[_Nominal, _Nominal, _Nominal]:
    """Return the nominal codes of Y, U and V (ITU-T H.273); a picture that does not tell its range is limited."""
    shift = bit_depth(picture) - 8
    if picture.color_range == _FULL_RANGE:
        top = (256 << shift) - 1
        luma, chroma = _Nominal(0, top, 0), _Nominal(0, top, 128 << shift)
    else:
        luma = _Nominal(16 << shift, 235 << shift, 16 << shift)
        chroma = _Nominal(16 << shift, 240 << shift, 128 << shift)
    return luma, chroma, chroma


def _near(small: Map, factor: int) -> Mask:
    """Mark the cells that hold any foreground, and those within `MARGIN` pixels of one."""
    # A cell with one pixel of at least EMPTY has at least this mean; so has one full of fainter haze, at no harm.
    seen = (small >= EMPTY / factor**2).astype(np.uint8)
    side = 2 * -(-MARGIN // factor) + 1
    near: Mask = cv2.dilate(seen, np.ones((side, side), np.uint8)).view(np.bool_)
    return near


def _solid(small: Map, factor: int) -> Mask:
    """Mark the cells whose every pixel is opaque."""
    return small > 1 - (1 - OPAQUE) / factor**2


@dataclass(frozen=True, eq=False)
class _Level:
    """What one level's rounds need of alpha: float32 maps of one size."""

    show_f: Map
    """How much of F a pixel shows, its weight in averages of F."""
    show_b: Map
    """The same for B."""
    norm_f: Map
    """1 / (average of show_f)."""
    norm_b: Map
    """1 / (average of show_b)."""
    alpha: Map
    """Alpha."""
    move_f: Map
    """How far F moves for each code that the mixture is off."""
    move_b: Map
    """The same for B."""


def _levels(small: Map) -> list[_Level]:
    """Return the levels from coarse to fine; the last has the size of `small`."""
    levels = [_level(small)]
    while max(small.shape) > _COARSEST:
        small = _halve(small)
        levels.append(_level(small))
    return levels[::-1]


def _level(alpha: Map) -> _Level:
    show_f, show_b = alpha + np.float32(_FAITH), 1 - alpha + np.float32(_FAITH)
    move_f, move_b = _moves(alpha)
    return _Level(
        show_f, show_b, np.reciprocal(_average(show_f)), np.reciprocal(_average(show_b)), alpha, move_f, move_b
    )


def _moves(alpha: Map) -> tuple[Map, Map]:
    """Return how F and B share a difference of I to their mixture, for the least change of both."""
    rest = 1 - alpha
    scale = 1 / (np.square(alpha) + np.square(rest) + np.float32(_STIFFNESS))
    return alpha * scale, rest * scale


def _average(values: Map) -> Map:
    averaged: Map = cv2.blur(values, (3, 3))
    return averaged


def _halve(values: Map) -> Map:
    height, width = values.shape
    halved: Map = cv2.resize(values, (-(-width // 2), -(-height // 2)), interpolation=cv2.INTER_AREA)
    return halved


def _solve(levels: list[_Level], cells: Codes, nominal: _Nominal) -> tuple[Map, Map]:
    """Return F and F - B of one plane at reduced size, in codes."""
    mixed = [cells.astype(np.float32)]
    for _ in levels[1:]:
        mixed.append(_halve(mixed[-1]))
    f = b = mixed[-1]
    for level, seen in zip(levels, reversed(mixed), strict=True):
        size = seen.shape[::-1]
        f, b = (cv2.resize(values, size, interpolation=cv2.INTER_LINEAR) for values in (f, b))
        for _ in range(_ROUNDS):
            f = _average(f * level.show_f) * level.norm_f
            b = _average(b * level.show_b) * level.norm_b
            off = seen - b - level.alpha * (f - b)
            f += level.move_f * off
            b += level.move_b * off
        np.clip(f, nominal.lowest, nominal.highest, out=f)
        np.clip(b, nominal.lowest, nominal.highest, out=b)
    return f, f - b


def _fill(
    tile: Tile,
    planes: list[Codes],
    alpha: Alpha,
    colours: list[tuple[Map, Map]],
    nominal: tuple[_Nominal, ...],
) -> None:
    """Replace one tile of the picture's codes by F where it is not opaque."""
    a = alpha[tile.pixels]
    move, _ = _moves(a)
    slide = move * (1 - a)
    mixed = a < OPAQUE
    for codes, (colour, contrast), bound in zip(planes, colours, nominal, strict=True):
        seen, f = codes[tile.pixels], tile.enlarge(colour)
        # F + move · (I - α F - (1 - α) B), written with the contrast F - B.
        change = cv2.subtract(seen, f, dtype=cv2.CV_32F)
        change *= move
        change += slide * tile.enlarge(contrast)
        estimate = cv2.add(f, change, dtype=cv2.CV_8U if seen.dtype == np.uint8 else cv2.CV_16U)
        np.clip(estimate, bound.lowest, bound.highest, out=estimate)
        np.copyto(seen, estimate, where=mixed)
