"""Colour as ITU-T H.273 numbers it, and the linear maps between R'G'B' and YUV codes of any matrix, range and depth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import av
import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
"""Coefficients of a linear map."""

LIMITED_RANGE, FULL_RANGE = 1, 2
"""AVColorRange: codes 16–235 for luma, or all of them."""
PQ, HLG = 16, 18
"""AVColorTransferCharacteristic of the two curves of HDR."""
LINEAR = 8
"""AVColorTransferCharacteristic of linear light."""

LUMA_WEIGHTS = {
    1: (0.2126, 0.0722),
    4: (0.30, 0.11),
    5: (0.299, 0.114),
    6: (0.299, 0.114),
    7: (0.212, 0.087),
    9: (0.2627, 0.0593),
    10: (0.2627, 0.0593),
}
"""Kr and Kb, the weights of red and blue in luma, by AVColorSpace, ITU-T H.273 table 4."""
_D65, _ILLUMINANT_C, _DCI_WHITE = (0.3127, 0.3290), (0.310, 0.316), (0.314, 0.351)
_PRIMARIES = {
    1: ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060), _D65),
    4: ((0.67, 0.33), (0.21, 0.71), (0.14, 0.08), _ILLUMINANT_C),
    5: ((0.64, 0.33), (0.29, 0.60), (0.15, 0.06), _D65),
    6: ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070), _D65),
    7: ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070), _D65),
    8: ((0.681, 0.319), (0.243, 0.692), (0.145, 0.049), _ILLUMINANT_C),
    9: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), _D65),
    11: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), _DCI_WHITE),
    12: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), _D65),
    22: ((0.630, 0.340), (0.295, 0.605), (0.155, 0.077), _D65),
}
"""CIE x and y of red, green, blue and white, by AVColorPrimaries, ITU-T H.273 table 2."""
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
_SHOWN_AS_SENT = frozenset({1, 6, 7, 11, 12, 13, 14, 15})
"""Transfer functions whose codes displays take alike: the cameras' curves, and sRGB's."""
_PLAIN_MATRICES = frozenset({1, 5, 6})
"""The matrices that 8-bit outputs are written in: BT.709 and the two names of BT.601."""


@dataclass(frozen=True)
class Colour:
    """Colour tags as the integers of FFmpeg's enums (ITU-T H.273 code points), never 'unspecified'."""

    matrix: int
    """AVColorSpace: 1 BT.709, 5 BT.470BG, 6 SMPTE 170M (both BT.601), 9 BT.2020 NCL."""
    range: int
    """AVColorRange: 1 limited (tv), 2 full (pc)."""
    primaries: int
    """AVColorPrimaries."""
    transfer: int
    """AVColorTransferCharacteristic; 16 is PQ, 18 is HLG."""
    guessed: bool = False
    """True where the file says nothing and the matrix was chosen by picture size."""

    @property
    def is_hdr(self) -> bool:
        """Whether the transfer function is PQ or HLG."""
        return is_hdr(self.transfer)


BT709 = Colour(matrix=1, range=LIMITED_RANGE, primaries=1, transfer=1)
"""Limited-range BT.709, what SDR outputs fall back to."""
SRGB = Colour(matrix=0, range=FULL_RANGE, primaries=1, transfer=13)
"""What R'G'B' is on the web."""


def is_hdr(transfer: int) -> bool:
    """Return whether a transfer function, by AVColorTransferCharacteristic, is PQ or HLG."""
    return transfer in (PQ, HLG)


def tag(picture: av.VideoFrame, colour: Colour) -> None:
    """Set the four colour tags of a picture."""
    picture.colorspace, picture.color_range = colour.matrix, colour.range
    picture.color_primaries, picture.color_trc = colour.primaries, colour.transfer


def is_plain(colour: Colour) -> bool:
    """Return whether codes are linear in BT.709's: SDR of matrix BT.709 or BT.601."""
    return colour.matrix in _PLAIN_MATRICES and not colour.is_hdr


def shows_alike(source: Colour, target: Colour) -> bool:
    """Return whether codes mean the same light in both, but for matrix and range; never so of HDR or BT.2020.

    What is guessed of a source is not held against the target.
    """
    if not (is_plain(source) and is_plain(target)):
        return False
    is_one_gamut = np.allclose(primaries_map(source.primaries, target.primaries), np.eye(3), atol=1e-6)
    return source.guessed or target.guessed or (is_one_gamut and curves_show_alike(source.transfer, target.transfer))


def curves_show_alike(one: int, other: int) -> bool:
    """Return whether displays make the same light of the codes of two AVColorTransferCharacteristics."""
    return one == other or {one, other} <= _SHOWN_AS_SENT


def primaries_map(source: int, target: int) -> Values:
    """Return the 3x3 map of linear RGB from one AVColorPrimaries to another; white stays white.

    Between whites it adapts as Bradford's; primaries without a place in `_PRIMARIES` count as BT.709's.
    """
    if source == target:
        return np.eye(3)
    (to_xyz, white), (other, other_white) = (_xyz_of(_PRIMARIES.get(code, _PRIMARIES[1])) for code in (source, target))
    cones, other_cones = _BRADFORD @ white, _BRADFORD @ other_white
    adapted: Values = np.linalg.inv(_BRADFORD) @ np.diag(other_cones / cones) @ _BRADFORD
    return np.linalg.inv(other) @ adapted @ to_xyz


def _xyz_of(points: Sequence[tuple[float, float]]) -> tuple[Values, Values]:
    """Return the 3x3 map from linear RGB to XYZ, and the XYZ of white (SMPTE RP 177)."""
    *colours, white = (np.array([x / y, 1, (1 - x - y) / y]) for x, y in points)
    columns = np.stack(colours, 1)
    return columns * np.linalg.solve(columns, white), white


def sdr_colour(source: Colour) -> Colour:
    """Return the colour that an 8-bit composite of a source keeps: its own, unless that is HDR or wide gamut."""
    return source if is_plain(source) else BT709


def rgb_colour(source: Colour) -> Colour:
    """Return the colour of R'G'B' made from codes of `source`: its primaries and curve, full range, no matrix."""
    return Colour(matrix=0, range=FULL_RANGE, primaries=source.primaries, transfer=source.transfer)


def same_matrix(one: Colour, other: Colour) -> bool:
    """Return whether two plain colours have one matrix; BT.470BG and SMPTE 170M are two names of BT.601."""
    return LUMA_WEIGHTS[one.matrix] == LUMA_WEIGHTS[other.matrix]


def code_scale(colour_range: int, depth: int) -> tuple[Values, Values]:
    """Return (scale, offset) of Y, U and V from normal values to codes of `depth` bits (H.273, 8.3)."""
    step = 1 << (depth - 8)
    if colour_range == FULL_RANGE:
        peak = (1 << depth) - 1
        return np.array([peak, peak, peak], float), np.array([0, 128 * step, 128 * step], float)
    return np.array([219.0, 224.0, 224.0]) * step, np.array([16.0, 128.0, 128.0]) * step


def rgb_to_normal(matrix: int) -> Values:
    """Return the 3x3 map from R'G'B' in [0, 1] to Y in [0, 1] and U, V in [-1/2, 1/2] (H.273 equations 39–44).

    A matrix that H.273 does not define by luma weights counts as BT.709; BT.2020's constant luminance as the other.
    """
    red, blue = LUMA_WEIGHTS.get(matrix, LUMA_WEIGHTS[1])
    luma = np.array([red, 1 - red - blue, blue])
    return np.stack([luma, ([0, 0, 1] - luma) / (2 * (1 - blue)), ([1, 0, 0] - luma) / (2 * (1 - red))])


def normal_to_rgb(matrix: int) -> Values:
    """Return the inverse of `rgb_to_normal`."""
    red, blue = LUMA_WEIGHTS.get(matrix, LUMA_WEIGHTS[1])
    green = 1 - red - blue
    by_blue, by_red = 2 * (1 - blue), 2 * (1 - red)
    return np.array([[1, 0, by_red], [1, -by_blue * blue / green, -by_red * red / green], [1, by_blue, 0]])


def codes_to_rgb(matrix: int, colour_range: int, depth: int, peak: float) -> Values:
    """Return the affine map (3, 4) from Y, U and V codes of `depth` bits to R'G'B' whose white is `peak`."""
    scale, offset = code_scale(colour_range, depth)
    gains = peak * normal_to_rgb(matrix) / scale
    return np.column_stack([gains, -gains @ offset])


def conversion(source: Colour, target: Colour, depth: int) -> tuple[Values, Values]:
    """Return (gains 3x3, offsets 3) that take (Y, U, V) codes of `source` to 8-bit codes of `target`.

    Grey is grey in every matrix, so the first column is zero but for its head: chroma needs no luma.
    """
    scale_in, offset_in = code_scale(source.range, depth)
    scale_out, offset_out = code_scale(target.range, 8)
    normal = np.eye(3)
    if not same_matrix(source, target):
        normal = rgb_to_normal(target.matrix) @ normal_to_rgb(source.matrix)
    gains = scale_out[:, None] * normal / scale_in
    return gains, offset_out - gains @ offset_in


def rgb_to_yuv(rgb: tuple[int, int, int], colour: Colour) -> tuple[int, int, int]:
    """Return the 8-bit (Y, U, V) codes of R'G'B' codes 0–255 in the matrix and range of `colour`, BT.709 or 601."""
    scale, offset = code_scale(colour.range, 8)
    y, u, v = (int(code) for code in np.rint(rgb_to_normal(colour.matrix) @ (np.array(rgb) / 255) * scale + offset))
    return y, u, v
