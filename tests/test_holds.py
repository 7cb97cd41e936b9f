"""What is exact in single frames: plain areas, the garbage box and mended frames."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from marked_scenes import Scene, SceneClip

from birefvideo.directing.holds import Holds
from birefvideo.directing.marked import Marked
from birefvideo.directing.marks import BOX, Mend, Shape
from birefvideo.directing.mend import read_alpha
from birefvideo.directing.read_marks import parse_marks
from birefvideo.directing.read_mends import find_mends
from birefvideo.directing.regions import covered
from birefvideo.errors import InputError
from birefvideo.frames import Alpha

SIZE = (40, 60)


def held(alpha: Alpha, time: Fraction, *marks: dict[str, Any], **more: Any) -> Alpha:
    """Alpha of a frame at a time of a clip of 60×40 pixels."""
    read = parse_marks({"birefvideo_marks": 1, "marks": list(marks), **more}, "m").placed(60, 40, Fraction(0), None)
    return Holds(read, start=7, time_base=Fraction(1, 100)).on(alpha, 7 + int(time * 100))


def box(left: float, top: float, right: float, bottom: float) -> Alpha:
    """A box by its definition: the share of each pixel that it covers, on a grid of 1/64 pixel."""
    fine = np.arange(0, 60, 1 / 64) + 1 / 128
    across = ((fine > left) & (fine < right)).reshape(60, 64).mean(axis=1)
    down = ((fine[: 40 * 64] > top) & (fine[: 40 * 64] < bottom)).reshape(40, 64).mean(axis=1)
    return np.outer(down, across).astype(np.float32)


def test_a_box_covers_parts_of_pixels_exactly() -> None:
    for corners in ((3, 4, 20, 30), (2.5, 3.25, 10.75, 4.5), (0, 0, 60, 40), (7.25, 8.25, 7.5, 8.5)):
        shape = Shape(BOX, (corners[:2], corners[2:]))
        assert np.array_equal(covered(shape, SIZE), box(*corners))


def test_a_box_with_keys_is_exact_at_them_and_between_them() -> None:
    mark = {"do": "keep", "keys": [{"time": 0.5, "box": [4, 4, 12, 12]}, {"time": 1.5, "box": [24, 8, 40, 32]}]}
    nothing = np.zeros(SIZE, np.float32)
    assert np.array_equal(held(nothing, Fraction(1, 2), mark), box(4, 4, 12, 12))
    assert np.array_equal(held(nothing, Fraction(1), mark), box(14, 6, 26, 22))
    assert np.array_equal(held(nothing, Fraction(5, 4), mark), box(19, 7, 33, 27))
    assert np.array_equal(held(nothing, Fraction(3, 2), mark), box(24, 8, 40, 32))
    for time in (Fraction(49, 100), Fraction(151, 100)):
        assert not held(nothing, time, mark).any()
    longer = {**mark, "from": 0, "to": 2}
    assert np.array_equal(held(nothing, Fraction(0), longer), box(4, 4, 12, 12))
    assert np.array_equal(held(nothing, Fraction(2), longer), box(24, 8, 40, 32))


def test_what_is_outside_of_the_garbage_box_goes_and_the_rest_stays() -> None:
    alpha = np.random.default_rng(1).random(SIZE).astype(np.float32)
    left = held(alpha, Fraction(3), garbage=[10, 5, 50, 35])
    assert np.array_equal(left[5:35, 10:50], alpha[5:35, 10:50])
    left[5:35, 10:50] = 0
    assert not left.any()


def test_later_marks_lie_above_earlier_ones_and_a_feather_is_half_at_the_border() -> None:
    keep, remove = {"do": "keep", "box": [0, 0, 30, 40]}, {"do": "remove", "box": [10, 10, 20, 20]}
    alpha = held(np.zeros(SIZE, np.float32), Fraction(0), keep, remove)
    assert np.array_equal(alpha, np.minimum(box(0, 0, 30, 40), 1 - box(10, 10, 20, 20)))
    soft = held(np.zeros(SIZE, np.float32), Fraction(0), {**keep, "feather": 2})[20]
    assert abs(float(soft[29] + soft[30]) - 1) < 1e-6
    assert bool((np.diff(soft) <= 0).all())
    assert (float(soft[20]), float(soft[40])) == (1, 0)


def mend_of(path: Path, pixels: Any) -> Mend:
    assert cv2.imwrite(str(path), pixels)
    return find_mends(path).mends[0]


def test_a_mend_is_read_exactly_whatever_kind_of_png_it_is(tmp_path: Path) -> None:
    codes = np.random.default_rng(2).integers(0, 256, SIZE).astype(np.uint8)
    wanted = codes.astype(np.float32) / np.float32(255)
    grey = mend_of(tmp_path / "a1.png", codes)
    deep = mend_of(tmp_path / "b1.png", codes.astype(np.uint16) * 257)
    rgb = mend_of(tmp_path / "c1.png", np.dstack([codes] * 3))
    rgba = mend_of(tmp_path / "d1.png", np.dstack([np.full((*SIZE, 3), 9, np.uint8), codes]))
    opaque = mend_of(tmp_path / "e1.png", np.dstack([codes] * 3 + [np.full(SIZE, 255, np.uint8)]))
    for mend in (grey, deep, rgb, rgba, opaque):
        assert np.allclose(read_alpha(mend, 60, 40), wanted, rtol=0, atol=1e-7), mend.path
    assert np.array_equal(Holds(mends={5: grey}).on(np.zeros(SIZE, np.float32), 5), wanted)
    assert not Holds(mends={5: grey}).on(np.zeros(SIZE, np.float32), 6).any()


def test_pictures_that_are_no_mends_are_refused_in_one_line(tmp_path: Path) -> None:
    def refused(mend: Mend) -> str:
        with pytest.raises(InputError) as caught:
            read_alpha(mend, 60, 40)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    colours = np.random.default_rng(2).integers(0, 256, (*SIZE, 3)).astype(np.uint8)
    assert "is a picture in colours without transparency" in refused(mend_of(tmp_path / "a1.png", colours))
    small = mend_of(tmp_path / "b1.png", np.zeros((30, 60), np.uint8))
    assert "it has 60×30 pixels, and the clip 60×40" in refused(small)
    for name, data in (
        ("c1.png", b"no picture"),
        ("d1.png", b""),
        ("e1.png", Path(tmp_path / "a1.png").read_bytes()[:80]),
    ):
        (tmp_path / name).write_bytes(data)
        line = refused(find_mends(tmp_path / name).mends[0])
        assert "it is no PNG" in line or "cannot be read" in line
    Path(small.path).write_bytes(b"changed")
    assert "was changed while the job ran" in refused(small)


def test_neighbours_of_a_mended_frame_take_its_correction_where_they_look_alike(tmp_path: Path) -> None:
    clip = SceneClip(Scene(speed=1), 40)  # the network does not see the thing
    mended = np.maximum(clip.person(20), clip.truth(20))
    mend = mend_of(tmp_path / "21.png", np.rint(mended * 255).astype(np.uint8))
    director = Marked(parse_marks({"birefvideo_marks": 1}, "m") | find_mends(Path(mend.path)))
    masks = list(director.masks(clip))
    shares = []
    for number, mask in enumerate(masks):
        added = np.zeros(clip.full_size[::-1], np.float32) if mask.added is None else mask.added / np.float32(255)
        shares.append(float((added * clip.truth(number)).sum() / clip.truth(number).sum()))
        beside = added * (cv2.dilate(clip.truth(number), np.ones((9, 9))) == 0) * (clip.person(number) == 0)
        assert float(beside.sum()) < 0.02 * float(clip.truth(number).sum())
    assert shares[20] > 0.98
    assert shares[20] > shares[19] > shares[15] > shares[10] > shares[5] > 0.2
    assert shares[20] > shares[21] > shares[25] > shares[35] > 0.2
