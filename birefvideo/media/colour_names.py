"""Colours that users name, and the linear maps between matrices, ranges and depths of YUV codes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from birefvideo.frames import LUMA_WEIGHTS, Colour
from birefvideo.media.reading.normalize import FULL_RANGE

Values = NDArray[np.float64]

BT709 = Colour(matrix=1, range=1, primaries=1, transfer=1)
"""Limited-range BT.709, what SDR outputs fall back to."""

NAMED_COLOURS = {
    "green": (0, 177, 64),  # the chroma-key paint, not the primary: it keys better against skin and clips no channel
    "blue": (0, 71, 187),
    "black": (0, 0, 0),
    "white": (255, 255, 255),
    "grey": (128, 128, 128),
    "gray": (128, 128, 128),
    "red": (255, 0, 0),
    "magenta": (255, 0, 255),
    "cyan": (0, 255, 255),
    "yellow": (255, 255, 0),
}

_LUMA_WEIGHTS = {matrix: LUMA_WEIGHTS[matrix] for matrix in (1, 5, 6)}
"""(Kr, Kb) by AVColorSpace (ITU-T H.273 table 4), of the matrices that 8-bit outputs are written in."""


def parse_colour(text: str) -> tuple[int, int, int]:
    """Returns the (red, green, blue) codes, 0–255, of a name, '#rgb', '#rrggbb' or 'r,g,b'.

    Raises:
        ValueError: `text` is none of these.
    """
    word = text.strip().lower()
    if word in NAMED_COLOURS:
        return NAMED_COLOURS[word]
    digits = word[1:]
    try:
        if word.startswith("#") and digits.isalnum() and len(digits) in (3, 6):
            step = len(digits) // 3
            red, green, blue = (int(digits[i : i + step] * (3 - step), 16) for i in range(0, len(digits), step))
            return red, green, blue
        red, green, blue = (int(part) for part in word.split(","))
        if all(0 <= code <= 255 for code in (red, green, blue)):
            return red, green, blue
    except ValueError:
        pass
    names = ", ".join(NAMED_COLOURS)
    raise ValueError(f"give #rrggbb, r,g,b (0–255) or one of {names}")


def rgb_to_yuv(rgb: tuple[int, int, int], colour: Colour) -> tuple[int, int, int]:
    """Returns the 8-bit (Y, U, V) codes of R'G'B' codes 0–255 in the matrix and range of `colour`, BT.709 or 601."""
    scale, offset = code_scale(colour.range, 8)
    y, u, v = (int(code) for code in np.rint(_rgb_to_normal(colour.matrix) @ (np.array(rgb) / 255) * scale + offset))
    return y, u, v


def sdr_colour(source: Colour) -> Colour:
    """Returns the colour that an 8-bit composite of a source keeps: its own, unless that is HDR or wide gamut."""
    return source if is_plain(source) else BT709


def is_plain(colour: Colour) -> bool:
    """Whether codes are linear in BT.709's: SDR of matrix BT.709 or BT.601."""
    return colour.matrix in _LUMA_WEIGHTS and not colour.is_hdr


def conversion(source: Colour, target: Colour, depth: int) -> tuple[Values, Values]:
    """Returns (gains 3x3, offsets 3) that take (Y, U, V) codes of `source` to 8-bit codes of `target`.

    Grey is grey in every matrix, so the first column is zero but for its head: chroma needs no luma.
    """
    scale_in, offset_in = code_scale(source.range, depth)
    scale_out, offset_out = code_scale(target.range, 8)
    normal = np.eye(3)
    if not same_matrix(source, target):
        normal = _rgb_to_normal(target.matrix) @ np.linalg.inv(_rgb_to_normal(source.matrix))
    gains = scale_out[:, None] * normal / scale_in
    return gains, offset_out - gains @ offset_in


def same_matrix(one: Colour, other: Colour) -> bool:
    """Whether two plain colours have one matrix; BT.470BG and SMPTE 170M are two names of BT.601."""
    return _LUMA_WEIGHTS[one.matrix] == _LUMA_WEIGHTS[other.matrix]


def code_scale(colour_range: int, depth: int) -> tuple[Values, Values]:
    """Returns (scale, offset) of Y, U and V from normal values to codes of `depth` bits."""
    step = 1 << (depth - 8)
    if colour_range == FULL_RANGE:
        peak = (1 << depth) - 1
        return np.array([peak, peak, peak], float), np.array([0, 128 * step, 128 * step], float)
    return np.array([219.0, 224.0, 224.0]) * step, np.array([16.0, 128.0, 128.0]) * step


def _rgb_to_normal(matrix: int) -> Values:
    """The 3x3 matrix from R'G'B' in [0, 1] to Y in [0, 1] and U, V in [-1/2, 1/2] (H.273 equations 39–44)."""
    red, blue = _LUMA_WEIGHTS[matrix]
    luma = np.array([red, 1 - red - blue, blue])
    return np.stack([luma, ([0, 0, 1] - luma) / (2 * (1 - blue)), ([1, 0, 0] - luma) / (2 * (1 - red))])
