"""The size at which the network sees a picture: a model's own, and the user's."""

from __future__ import annotations

from fractions import Fraction

import pytest

from birefvideo.errors import OptionError
from birefvideo.matting.input_size import InputSize


@pytest.mark.parametrize(
    ("picture_size", "network_size"),
    [
        ((1280, 720), (512, 288)),
        ((1920, 1080), (512, 288)),
        ((1080, 1920), (288, 512)),
        ((854, 480), (512, 288)),
        ((1440, 1080), (512, 384)),
        ((640, 640), (512, 512)),
        ((10000, 10), (512, 32)),
        ((3, 5000), (32, 512)),
        ((1, 1), (512, 512)),
        ((321, 243), (512, 384)),
    ],
)
def test_long_side_keeps_the_aspect_to_the_nearest_multiple(
    picture_size: tuple[int, int], network_size: tuple[int, int]
) -> None:
    assert InputSize(long_side=512).network_size(*picture_size) == network_size


def test_long_side_is_rounded_too() -> None:
    assert InputSize(long_side=500).network_size(1280, 720) == (512, 288)


@pytest.mark.parametrize(
    ("picture_size", "network_size"),
    [
        ((1920, 1080), (640, 352)),
        ((1080, 1920), (352, 640)),
        ((2560, 1080), (640, 256)),  # 640 is the longest, however flat the picture
        ((1080, 1080), (480, 480)),
        ((1440, 1080), (544, 416)),
        ((1080, 1440), (416, 544)),
        ((1, 1), (480, 480)),
        ((3, 5000), (32, 640)),
    ],
)
def test_a_bound_of_pixels_shortens_the_long_side_of_squarer_pictures(
    picture_size: tuple[int, int], network_size: tuple[int, int]
) -> None:
    size = InputSize(long_side=640, most_pixels=640 * 360)
    assert size.network_size(*picture_size) == network_size
    assert InputSize.from_config(size.to_config()) == size
    assert size.overridden(640) == InputSize(long_side=640)  # what a user asks for has no bound


@pytest.mark.parametrize("picture_size", [(1920, 1080), (1080, 1920), (1, 1), (10000, 10)])
def test_a_fixed_size_is_the_same_for_every_picture(picture_size: tuple[int, int]) -> None:
    assert InputSize(fixed=(1024, 768)).network_size(*picture_size) == (1024, 768)


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"fixed": (64, 64), "long_side": 64},
        {"fixed": (64, 60)},
        {"long_side": 0},
        {"fixed": (0, 32)},
        {"fixed": (64, 64), "most_pixels": 4096},
        {"long_side": 64, "most_pixels": 0},
    ],
)
def test_an_input_size_that_says_too_little_or_too_much_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(OptionError):
        InputSize(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("native", "size", "seen"),
    [
        (InputSize(fixed=(1024, 1024)), None, (1024, 1024)),
        (InputSize(fixed=(1024, 1024)), 512, (512, 512)),
        (InputSize(fixed=(1024, 1024)), (640, 352), (640, 352)),
        (InputSize(long_side=640), 320, (320, 192)),
        (InputSize(sides=(256, 2304)), 512, (512, 288)),
        (InputSize(sides=(256, 2304)), None, (1920, 1088)),
    ],
)
def test_size_overrides_the_models_own_in_its_own_way(
    native: InputSize, size: int | tuple[int, int] | None, seen: tuple[int, int]
) -> None:
    assert native.overridden(size).network_size(1920, 1080) == seen


@pytest.mark.parametrize(
    ("picture", "seen"),
    [
        ((1920, 1080), (1920, 1088)),
        ((3840, 2160), (2304, 1312)),
        ((2160, 3840), (1312, 2304)),
        ((320, 180), (448, 256)),
        ((100, 100), (256, 256)),
        ((4000, 100), (2304, 256)),
    ],
)
def test_dynamic_keeps_the_pictures_size_and_aspect_within_its_bounds(
    picture: tuple[int, int], seen: tuple[int, int]
) -> None:
    assert InputSize(sides=(256, 2304)).network_size(*picture) == seen


@pytest.mark.parametrize(
    ("size", "picture", "aspect", "seen"),
    [
        (InputSize(long_side=512), (720, 576), Fraction(64, 45), (512, 288)),  # PAL, widescreen
        (InputSize(long_side=512), (576, 720), Fraction(45, 64), (288, 512)),  # the same, turned
        (InputSize(long_side=512), (720, 480), Fraction(8, 9), (512, 384)),
        (InputSize(long_side=512), (1440, 1080), Fraction(4, 3), (512, 288)),  # HDV
        (InputSize(sides=(256, 2304)), (1440, 1080), Fraction(4, 3), (1920, 1088)),
        (InputSize(fixed=(1024, 1024)), (720, 576), Fraction(64, 45), (1024, 1024)),
    ],
)
def test_the_network_sees_the_shape_that_people_see(
    size: InputSize, picture: tuple[int, int], aspect: Fraction, seen: tuple[int, int]
) -> None:
    assert size.network_size(*picture, aspect) == seen
