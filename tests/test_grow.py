"""What a stroke, a point or a box is grown to: pictures with exact truth, drawn here."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from marked_scenes import RGB, overlap
from numpy.typing import NDArray

from birefvideo.directing.apart import Beside, moving_along
from birefvideo.directing.grow import grown
from birefvideo.directing.marks import BOX, KEEP, POINT, STROKE, Shape
from birefvideo.matting.grid import Map

SIZE = (180, 320)
NOBODY = np.zeros(SIZE, np.float32)
UNCLAIMED = np.zeros(SIZE, np.bool_)
HEXAGON = np.array([(-40, -22), (-8, -46), (36, -36), (44, 20), (4, 46), (-34, 30)])
MIDDLE = (160, 90)


def motley(seed: int, size: tuple[int, int] = SIZE) -> NDArray[np.float32]:
    """Patches of all colours: no colour is that of a thing alone."""
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(20, 235, (size[0] // 9 + 2, size[1] // 9 + 2, 3)).astype(np.float32)
    return cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_CUBIC).astype(np.float32)


def seen(room: NDArray[np.float32], thing: NDArray[np.float32], moved: float, seed: int) -> tuple[RGB, Map]:
    """Return the picture of a thing that has moved to the right, and its mask."""
    fine = np.zeros((SIZE[0] * 4, SIZE[1] * 4), np.uint8)
    cv2.fillPoly(fine, [np.rint(4 * (HEXAGON + MIDDLE + (moved, 0))).astype(np.int32)], 255)
    mask = cv2.resize(fine, SIZE[::-1], interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    matrix = np.array([[1, 0, moved], [0, 1, 0]], np.float32)
    there = cv2.warpAffine(thing, matrix, SIZE[::-1], borderMode=cv2.BORDER_REFLECT)
    noise = np.random.default_rng(seed).normal(0, 2, room.shape)
    picture = room + mask[..., None] * (there - room) + noise
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8), mask


def across(reach: float, width: float) -> Shape:
    x, y = MIDDLE
    return Shape(STROKE, ((x - reach, y - 0.7 * reach), (x, y + 0.3 * reach), (x + reach, y + 0.7 * reach)), width)


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize(
    "shape",
    [across(25, 5), across(25, 1), across(12, 8), Shape(POINT, (MIDDLE,)), Shape(BOX, ((112, 38), (212, 142)))],
    ids=["stroke", "thin stroke", "short stroke", "point", "box"],
)
def test_a_thing_of_its_rooms_colours_is_found_by_how_it_moves(shape: Shape, seed: int) -> None:
    room, thing = motley(seed), motley(seed + 50)
    picture, mask = seen(room, thing, 0, seed)
    later = [seen(room, thing, moved, seed + 1)[0] for moved in (1, 4)]
    found = grown(picture, NOBODY, shape, UNCLAIMED, KEEP, [lambda: later[:1], lambda: later[1:]])
    assert overlap(found, mask) > 0.9


def test_a_thing_that_stands_while_the_camera_pans_is_found_by_it_too() -> None:
    room, thing = motley(4, (SIZE[0], SIZE[1] + 20)), motley(54)
    picture, mask = seen(room[:, :-20], thing, 0, 4)
    before, after = (seen(room[:, x : x + SIZE[1]], thing, 0, 5)[0] for x in (0, 6))
    picture = seen(room[:, 3 : 3 + SIZE[1]], thing, 0, 4)[0]
    assert overlap(grown(picture, NOBODY, across(25, 5), UNCLAIMED, KEEP, [lambda: [before, after]]), mask) > 0.9


def test_a_picture_of_another_scene_says_nothing() -> None:
    picture, _ = seen(motley(6), motley(56), 0, 6)
    another = seen(motley(7), motley(57), 0, 7)[0]
    alone = grown(picture, NOBODY, across(25, 5), UNCLAIMED, KEEP)
    assert np.array_equal(grown(picture, NOBODY, across(25, 5), UNCLAIMED, KEEP, [lambda: [another]]), alone)


@pytest.mark.parametrize("is_plain", [True, False], ids=["plain", "motley"])
def test_a_stroke_on_nothing_does_not_flood_the_picture(is_plain: bool) -> None:
    room = np.full((*SIZE, 3), 120, np.float32) if is_plain else motley(8)
    picture, still = (np.clip(room + np.random.default_rng(s).normal(0, 2, room.shape), 0, 255) for s in (1, 2))
    later = [lambda: [np.rint(still).astype(np.uint8)]]
    found = grown(np.rint(picture).astype(np.uint8), NOBODY, across(15, 5), UNCLAIMED, KEEP, later)
    assert found.mean() < 0.06


def test_a_stroke_over_a_third_of_a_tall_thing_reaches_its_ends() -> None:
    picture = np.full((*SIZE, 3), (90, 110, 90), np.uint8)
    mask = np.zeros(SIZE, np.float32)
    mask[20:, 120:180] = 1
    for top, colour in ((20, (200, 60, 40)), (74, (240, 220, 60)), (128, (40, 60, 200))):
        picture[top : top + 54, 120:180] = colour
    shape = Shape(STROKE, ((150, 60), (150, 140)), 4)
    assert overlap(grown(picture, NOBODY, shape, UNCLAIMED, KEEP), mask) > 0.99


@pytest.mark.parametrize("moved", [3, -3])
def test_what_a_thing_will_cover_is_not_taken_for_a_part_of_it(moved: int) -> None:
    ramp = np.linspace(90, 140, SIZE[1], dtype=np.float32)  # a plain wall looks alike wherever it is shifted to
    room, thing = np.broadcast_to(ramp[None, :, None], (*SIZE, 3)), motley(60)
    (picture, mask), (after, _) = (seen(room, thing, shift, seed) for shift, seed in ((0, 1), (moved, 2)))
    told = moving_along(Beside(picture, [lambda: [after]]), mask > 0.5, mask < 0.5, is_known=True)
    one, four = (cv2.dilate((mask > 0).view(np.uint8), np.ones((3, 2 * far + 1), np.uint8)) for far in (1, 4))
    assert float((told[(four - one) > 0] > 0.3).mean()) < 0.05
    assert float(np.median(told[mask > 0.99])) > 0.25
