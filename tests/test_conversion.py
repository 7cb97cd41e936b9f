"""A colour looks the same in an output that has another gamut or curve than the source."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from birefvideo.colour import BT709, Colour, primaries_map, shows_alike
from birefvideo.frames import DecodedFrame, VideoInfo
from birefvideo.media.format_table import FORMATS
from birefvideo.media.reading.probe import probe
from birefvideo.media.writing.composer import EncodeSettings, make_composer
from birefvideo.media.writing.yuv_frames import composite_420
from birefvideo.planes import plane_array, to_444
from birefvideo.rgb import to_rgb

Values = NDArray[np.float64]

# Published maps of linear RGB to BT.709's: of Display P3, BT.2020 (ITU-R BT.2407), SMPTE C and EBU.
TO_709: dict[int, list[list[float]]] = {
    12: [[1.2249, -0.2247, 0], [-0.0420, 1.0419, 0], [-0.0197, -0.0786, 1.0979]],
    9: [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]],
    6: [[0.9395, 0.0502, 0.0103], [0.0178, 0.9658, 0.0164], [-0.0016, -0.0044, 1.0060]],
    5: [[1.0440, -0.0440, 0], [0, 1, 0], [0, 0.0118, 0.9882]],
}
LIGHT: dict[int, Callable[[Values], Values]] = {
    1: lambda v: v**2.4,
    4: lambda v: v**2.2,
    5: lambda v: v**2.8,
    8: lambda v: v,
    9: lambda v: 100 ** (v - 1),
    13: lambda v: np.where(v < 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4),
}
COLOURS = [(202, 60, 52), (98, 196, 74), (39, 39, 210), (128, 128, 128), (250, 240, 235), (180, 140, 120)]
SKIN = (180, 140, 120)
WEIGHTS = {1: (0.2126, 0.0722), 6: (0.299, 0.114), 9: (0.2627, 0.0593)}


def flat(rgb: tuple[int, int, int], colour: Colour, pix_fmt: str = "yuv420p10le") -> av.VideoFrame:
    """A picture of one colour in 10-bit codes."""
    red, blue = WEIGHTS[colour.matrix]
    r, g, b = np.array(rgb) / 255
    y = red * r + (1 - red - blue) * g + blue * b
    codes = 64 + 876 * y, 512 + 896 * (b - y) / (2 - 2 * blue), 512 + 896 * (r - y) / (2 - 2 * red)
    frame = av.VideoFrame(16, 16, pix_fmt)
    for index, code in enumerate(codes):
        plane_array(frame, index)[:] = round(code)
    return frame


def shown(frame: av.VideoFrame) -> Values:
    """R'G'B' of a flat picture in BT.709 or sRGB, 0 to 255."""
    if frame.format.name == "rgba":
        return frame.to_ndarray()[8, 8, :3].astype(float)
    plain = av.VideoFrame(16, 16, "yuv420p")
    for index in range(3):
        plane_array(plain, index)[:] = plane_array(frame, index)
    return to_rgb(to_444(plain), BT709, 255)[8, 8].astype(float)


def composed(name: str, info: VideoInfo, colour: Colour, rgb: tuple[int, int, int]) -> av.VideoFrame:
    picture = flat(rgb, colour)
    frame = DecodedFrame(picture, 0, Fraction(1, 25), 1).with_alpha(np.ones((16, 16), np.float32))
    composer = make_composer(FORMATS[name], replace(info, colour=colour), EncodeSettings())
    return composer.compose(frame.with_foreground(to_444(picture)))


@pytest.fixture
def info(clip: Callable[[str], object]) -> VideoInfo:
    """What a square clip of ten bits is."""
    return replace(probe(clip("plain")), width=16, height=16, pix_fmt="yuv420p10le", bit_depth=10)  # type: ignore[arg-type]


@pytest.mark.parametrize("rgb", COLOURS)
@pytest.mark.parametrize(
    "colour",
    [Colour(1, 1, 12, 1), Colour(1, 1, 12, 13), Colour(9, 1, 9, 14), Colour(6, 1, 6, 6), Colour(6, 1, 5, 1)],
)
@pytest.mark.parametrize("name", ["webm", "apng"])
def test_a_gamut_that_a_format_lacks_is_converted(
    info: VideoInfo, name: str, colour: Colour, rgb: tuple[int, int, int]
) -> None:
    curve = LIGHT[13 if colour.transfer == 13 else 1]
    light = np.clip(np.array(TO_709[colour.primaries]) @ curve(np.array(rgb) / 255), 0, 1)
    got = shown(composed(name, info, colour, rgb))
    assert np.abs(got - 255 * np.interp(light, curve(np.linspace(0, 1, 4096)), np.linspace(0, 1, 4096))).max() < 3


def test_display_p3_comes_back_as_the_colour_it_was_made_of(info: VideoInfo) -> None:
    p3 = Colour(1, 1, 12, 1)
    for stored, meant in (
        ((203, 63, 53), (220, 40, 40)),
        ((99, 197, 74), (31, 200, 41)),
        ((40, 40, 212), (40, 40, 220)),
    ):
        assert np.abs(shown(composed("webm", info, p3, stored)) - meant).max() < 3
        assert np.abs(shown(composed("apng", info, p3, stored)) - meant).max() < 3


@pytest.mark.parametrize("transfer", [4, 5, 8, 9])
@pytest.mark.parametrize("level", [40, 128, 220])
def test_a_curve_that_a_format_lacks_is_converted(info: VideoInfo, transfer: int, level: int) -> None:
    light = LIGHT[transfer](np.array([level / 255]))
    for name, curve in (("webm", LIGHT[1]), ("apng", LIGHT[13])):
        got = shown(composed(name, info, Colour(1, 1, 1, transfer), (level, level, level)))
        wanted = 255 * np.interp(light, curve(np.linspace(0, 1, 4096)), np.linspace(0, 1, 4096))
        assert np.abs(got - wanted).max() < 2


@pytest.mark.parametrize("name", ["prores", "green", "qtrle", "png", "ffv1"])
def test_a_format_with_tags_keeps_the_gamut(info: VideoInfo, name: str) -> None:
    p3 = Colour(1, 1, 12, 1)
    frame = composed(name, info, p3, SKIN)
    assert frame.color_primaries == 12
    if name == "green":
        assert np.abs(shown(frame) - SKIN).max() < 2


def test_a_background_is_brought_to_the_gamut_of_the_output() -> None:
    p3, opaque = Colour(1, 1, 12, 1), np.ones((16, 16), np.float32)
    frame = composite_420(flat((220, 40, 40), BT709), None, opaque, None, BT709, p3)
    assert np.abs(shown(frame) - (203, 63, 53)).max() < 3


def test_codes_stay_where_both_mean_the_same_light() -> None:
    assert shows_alike(BT709, replace(BT709, transfer=13)) and shows_alike(replace(BT709, transfer=6), BT709)
    assert shows_alike(Colour(6, 1, 6, 6, guessed=True), BT709)
    assert not shows_alike(Colour(6, 1, 6, 6), BT709) and not shows_alike(Colour(1, 1, 12, 1), BT709)
    assert shows_alike(Colour(1, 1, 12, 1), Colour(1, 1, 12, 1))


@pytest.mark.parametrize("primaries", [1, 4, 5, 6, 7, 8, 9, 11, 12, 22])
def test_white_stays_white(primaries: int) -> None:
    assert np.allclose(primaries_map(primaries, 1) @ [1, 1, 1], 1)


@pytest.mark.parametrize("primaries", [5, 6, 9, 12])
def test_maps_between_gamuts_are_the_published_ones(primaries: int) -> None:
    assert np.allclose(primaries_map(primaries, 1), TO_709[primaries], atol=2e-3)
