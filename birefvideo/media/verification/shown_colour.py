"""What a viewer sees of two pictures whose codes mean other light, compared by a calculation of its own.

It shares nothing with the one that writes: published matrices instead of chromaticities, curves instead of tables.
"""

from __future__ import annotations

import av
import numpy as np
from numpy.typing import NDArray

from birefvideo.colour import Colour, is_hdr
from birefvideo.planes import bit_depth, plane_array, to_444

Values = NDArray[np.float64]

# Of linear RGB to CIE XYZ under D65: as BT.709, EBU Tech. 3213, SMPTE RP 145, BT.2020 and SMPTE EG 432-1 lead to.
_TO_XYZ = {
    1: ((0.4124, 0.3576, 0.1805), (0.2126, 0.7152, 0.0722), (0.0193, 0.1192, 0.9505)),
    5: ((0.4306, 0.3415, 0.1783), (0.2220, 0.7066, 0.0713), (0.0202, 0.1296, 0.9391)),
    6: ((0.3936, 0.3653, 0.1917), (0.2124, 0.7011, 0.0866), (0.0187, 0.1119, 0.9582)),
    7: ((0.3936, 0.3653, 0.1917), (0.2124, 0.7011, 0.0866), (0.0187, 0.1119, 0.9582)),
    9: ((0.6370, 0.1446, 0.1689), (0.2627, 0.6780, 0.0593), (0.0000, 0.0281, 1.0610)),
    12: ((0.4866, 0.2657, 0.1982), (0.2290, 0.6917, 0.0793), (0.0000, 0.0451, 1.0439)),
}
_KR_KB = {1: (0.2126, 0.0722), 4: (0.30, 0.11), 5: (0.299, 0.114), 6: (0.299, 0.114), 7: (0.212, 0.087)}
_KR_KB |= {9: (0.2627, 0.0593), 10: (0.2627, 0.0593)}
_CAMERAS = frozenset({1, 6, 7, 11, 12, 14, 15})
_POWERS = {4: 2.2, 5: 2.8, 8: 1.0}
_SRGB = 13
_DISPLAY = 2.4
_MOST_PIXELS = 20_000


def colour_error(
    picture: av.VideoFrame, colour: Colour, source: av.VideoFrame, meant: Colour, solid: NDArray[np.bool_]
) -> float | None:
    """Return how far the colour shown of an output is from that of its source, as R'G'B' from 0 to 1.

    It is the median over solid pixels of the channel that is farthest off; None where the light of one of them is not
    known well enough to be calculated.

    Args:
        picture: the output's picture, YUV or RGB.
        colour: what its codes mean.
        source: the source's, planar YUV of the same size.
        meant: what the source's codes mean.
        solid: the pixels to look at, bool (height, width).
    """
    codes = (colour, meant)
    if any(is_hdr(one.transfer) or one.primaries not in _TO_XYZ for one in codes):
        return None
    curves = {one.transfer for one in codes}
    if not curves <= _CAMERAS | _POWERS.keys() | {_SRGB}:
        return None
    chosen = np.flatnonzero(solid)
    chosen = chosen[:: max(1, len(chosen) // _MOST_PIXELS)]
    # Cameras' curves and sRGB's are shown alike: the codes of one do for the other.
    curve = meant.transfer if meant.transfer in _POWERS else _SRGB if meant.transfer == _SRGB else 1
    out = curve if curves <= _CAMERAS | {_SRGB} else colour.transfer
    light = _light(np.clip(_rgb(source, meant, chosen), 0, 1), curve)
    between = np.linalg.solve(np.array(_TO_XYZ[colour.primaries]), np.array(_TO_XYZ[meant.primaries]))
    wanted = np.clip(light @ between.T, 0, 1)
    got = _light(np.clip(_rgb(picture, colour, chosen), 0, 1), out)
    # As differences of signals: of light they would mean little in the dark.
    off = np.abs(np.power(wanted, 1 / _DISPLAY) - np.power(got, 1 / _DISPLAY)).max(1)
    return float(np.median(off))


def codes_differ(one: Colour, other: Colour) -> bool:
    """Return whether the same R'G'B' is other light in the two; where one is guessed, it is not."""
    curves = {one.transfer, other.transfer}
    is_one_curve = len(curves) == 1 or curves <= _CAMERAS | {_SRGB}
    is_one_gamut = _TO_XYZ.get(one.primaries, one.primaries) == _TO_XYZ.get(other.primaries, other.primaries)
    return not (one.guessed or other.guessed or (is_one_curve and is_one_gamut))


def _light(signal: Values, transfer: int) -> Values:
    light: Values
    if transfer == _SRGB:
        light = np.where(signal <= 0.04045, signal / 12.92, ((signal + 0.055) / 1.055) ** 2.4)
    else:
        light = signal ** float(_POWERS.get(transfer, _DISPLAY))
    return light


def _rgb(picture: av.VideoFrame, colour: Colour, chosen: NDArray[np.intp]) -> Values:
    """Return R'G'B' of some pixels, (count, 3), by BT.601's and BT.709's equations."""
    if not picture.format.name.startswith("yuv"):
        whole = picture.reformat(format="rgba64le", threads=1).to_ndarray().reshape(-1, 4)
        return np.asarray(whole[chosen, :3] / 65535.0, np.float64)
    bits = bit_depth(picture)
    peak, step = (1 << bits) - 1, 1 << (bits - 8)
    full = picture if "444" in picture.format.name else to_444(picture)
    y, u, v = (plane_array(full, index).ravel()[chosen].astype(np.float64) for index in range(3))
    if colour.range == 1:
        y, u, v = (y - 16 * step) / (219 * step), (u - 128 * step) / (224 * step), (v - 128 * step) / (224 * step)
    else:
        y, u, v = y / peak, (u - 128 * step) / peak, (v - 128 * step) / peak
    kr, kb = _KR_KB.get(colour.matrix, _KR_KB[1])
    red, blue = y + 2 * (1 - kr) * v, y + 2 * (1 - kb) * u
    return np.stack([red, (y - kr * red - kb * blue) / (1 - kr - kb), blue], 1)
