"""Things marked on one picture, over a clip: exact truth by construction."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import cv2
import numpy as np
import pytest
from marked_scenes import Scene, SceneClip, overlap

from birefvideo.directing.carry import claimed
from birefvideo.directing.marked import Marked
from birefvideo.directing.masks import Masks
from birefvideo.directing.read_marks import parse_marks
from birefvideo.errors import InputError
from birefvideo.frames import Alpha


def stroke(scene: Scene, number: int, do: str = "keep", **more: Any) -> dict[str, Any]:
    """A stroke across the thing in a frame."""
    x, y = scene.place(number)
    way = [[x - 15, y - 10], [x, y + 5], [x + 12, y + 12]]
    return {"do": do, "stroke": way, "width": 6, "time": number / 25, **more}


def directed(clip: SceneClip, *marks: dict[str, Any]) -> tuple[list[Masks], list[str]]:
    """The masks of every frame, and what the user is told."""
    read = parse_marks({"birefvideo_marks": 1, "marks": list(marks)}, "m")
    director = Marked(read.placed(*clip.full_size, Fraction(0), None))
    return list(director.masks(clip)), director.notes


def kept(masks: Masks, clip: SceneClip) -> Alpha:
    return np.zeros(clip.full_size[::-1], np.float32) if masks.added is None else masks.added / np.float32(255)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [3, 20])
def test_one_stroke_keeps_a_thing_that_moves_slowly_and_turns_for_100_frames(seed: int) -> None:
    clip = SceneClip(Scene(speed=0.8, turn=0.4, seed=seed), 100)
    masks, notes = directed(clip, stroke(clip.scene, 0))
    assert min(overlap(kept(mask, clip), clip.truth(number)) for number, mask in enumerate(masks)) > 0.93
    assert all(mask.stays is None for mask in masks)
    assert notes == []


def test_a_stroke_is_carried_both_ways_past_a_person() -> None:
    clip = SceneClip(Scene(speed=8, start=(110.0, 95.0)), 15)  # from beside the person to before it
    masks, notes = directed(clip, stroke(clip.scene, 6))
    assert min(overlap(kept(mask, clip), clip.truth(number)) for number, mask in enumerate(masks)) > 0.93
    assert notes == []


def test_a_thing_that_leaps_across_the_picture_is_found_again() -> None:
    clip = SceneClip(Scene(speed=24, turn=0), 8)
    masks, notes = directed(clip, stroke(clip.scene, 0))
    assert min(overlap(kept(mask, clip), clip.truth(number)) for number, mask in enumerate(masks)) > 0.9
    assert notes == []


def test_a_removed_thing_stays_removed_and_the_person_stays_as_it_is() -> None:
    clip = SceneClip(Scene(speed=1), 15, is_seen=True)
    masks, _ = directed(clip, stroke(clip.scene, 0, "remove"))
    for number, mask in enumerate(masks):
        assert mask.stays is not None
        assert mask.added is None
        left = clip.alpha(number) * (mask.stays / np.float32(255))
        thing, person = clip.truth(number), clip.person(number)
        assert float((left * (thing > 0)).sum()) < 0.005 * float(thing.sum())
        assert np.array_equal(left[person > 0], person[person > 0])


def test_what_goes_out_of_sight_is_let_go_and_told() -> None:
    clip = SceneClip(Scene(), 20, hidden_from=12)
    masks, notes = directed(clip, stroke(clip.scene, 0))
    assert [number for number, mask in enumerate(masks) if mask.added is not None] == list(range(12))
    assert notes == [
        "m: mark 1 (keep): what it is drawn on is lost from sight at 0.48 s; where it is seen again, draw it again"
    ]


@pytest.mark.parametrize("drawn", [6, 2, 12])
def test_from_and_to_limit_what_is_carried_wherever_it_is_drawn(drawn: int) -> None:
    clip = SceneClip(Scene(), 16)
    masks, _ = directed(clip, {**stroke(clip.scene, drawn), "from": 0.16, "to": 0.4})
    assert [number for number, mask in enumerate(masks) if mask.added is not None] == list(range(4, 11))


def test_between_two_drawings_both_count_and_at_them_they_alone() -> None:
    clip = SceneClip(Scene(), 13)
    keys = [{name: value for name, value in stroke(clip.scene, at).items() if name != "do"} for at in (0, 12)]
    both, _ = directed(clip, {"do": "keep", "keys": keys})
    first, last = (directed(clip, {"do": "keep", **key})[0] for key in keys)
    assert np.array_equal(kept(both[0], clip), kept(first[0], clip))
    assert np.array_equal(kept(both[12], clip), kept(last[12], clip))
    middle = (kept(first[6], clip) + kept(last[6], clip)) / 2
    assert float(np.abs(kept(both[6], clip) - middle).max()) < 0.01


def test_of_two_marks_on_one_thing_the_one_nearer_in_time_has_its_way() -> None:
    clip = SceneClip(Scene(), 13)
    masks, _ = directed(clip, stroke(clip.scene, 0), stroke(clip.scene, 12, "remove"))
    shares = [float((kept(mask, clip) * clip.truth(n)).sum() / clip.truth(n).sum()) for n, mask in enumerate(masks)]
    assert min(shares[:6]) > 0.95
    assert max(shares[6:]) < 0.02  # of two that are as near, the later one


def test_a_box_and_a_polygon_are_carried_where_that_is_asked_for() -> None:
    clip = SceneClip(Scene(), 10)
    x, y = clip.scene.place(0)
    box = {"do": "keep", "box": [x - 34, y - 34, x + 34, y + 34], "carry": True, "time": 0}
    corners = [
        (x - 32 + across, y - 32 + down) for across, down in ((8, 14), (30, 6), (56, 16), (58, 46), (40, 60), (14, 54))
    ]
    for mark in (box, {"do": "keep", "polygon": corners, "carry": True, "time": 0}):
        masks, _ = directed(clip, mark)
        assert min(overlap(kept(mask, clip), clip.truth(number)) for number, mask in enumerate(masks)) > 0.9


def test_a_mark_on_nothing_is_refused_by_its_name() -> None:
    clip = SceneClip(Scene(), 3)
    everything = {"do": "keep", "polygon": [[0, 0], [320, 0], [320, 180], [0, 180]], "carry": True, "time": 0.04}
    with pytest.raises(InputError, match=r"^m: mark 1 \(remove\): at 0.04 s it is drawn on nothing"):
        directed(clip, {"do": "remove", "box": [9, 9, 30, 30], "carry": True, "time": 0.04}, everything)


def test_the_same_marks_give_the_same_masks_whatever_was_computed_before() -> None:
    clip = SceneClip(Scene(), 4)
    one, _ = directed(clip, stroke(clip.scene, 0))
    cv2.randu(np.zeros(7, np.float32), 0, 1)  # another draw from the numbers that OpenCV seeds its colour models with
    two, _ = directed(clip, stroke(clip.scene, 0))
    assert all(np.array_equal(kept(a, clip), kept(b, clip)) for a, b in zip(one, two, strict=True))


def test_faint_pieces_beside_a_removed_thing_go_with_it() -> None:
    alpha = np.zeros((60, 80), np.float32)
    alpha[30:, 20:60] = 1  # the person
    alpha[10:20, 20:40] = 0.9  # what is removed
    alpha[11:19, 40:52] = 0.7  # the same thing, fainter
    alpha[14:20, 12:20] = 1  # a finger across it
    alpha[25:30, 50:60] = 0.5  # hair of the person
    alpha[2:5, 60:70] = 0.5  # something else
    mask = np.zeros_like(alpha)
    mask[10:20, 20:40] = 1
    stays = alpha * (1 - claimed(mask, alpha))
    assert not stays[:21, 20:55].any()
    for rows, columns in ((slice(30, 60), slice(20, 60)), (slice(25, 30), slice(50, 60)), (slice(2, 5), slice(60, 70))):
        assert (stays[rows, columns] == alpha[rows, columns]).all()
    assert (stays[14:20, 12:20] == 1).all()
