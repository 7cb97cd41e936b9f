"""Who stays: people followed over drawn clips in which exactly that is known."""

from __future__ import annotations

from collections.abc import Callable, Collection
from fractions import Fraction

import cv2
import numpy as np
import pytest
from drawn_crossings import DrawnClip, Walker
from numpy.typing import NDArray

from birefvideo.directing.heads import heads_of
from birefvideo.directing.marked import Marked
from birefvideo.directing.masks import Masks
from birefvideo.directing.read_marks import parse_marks
from birefvideo.directing.subject_lock import SubjectLock
from birefvideo.directing.tracks import Tracks
from birefvideo.directing.wishes import Subject
from birefvideo.errors import OptionError, with_flags
from birefvideo.jobs.option_values import parse_subject
from birefvideo.matting.grid import Mask

LEFT, RIGHT, MIDDLE, LARGEST = (Subject(word=word) for word in ("left", "right", "middle", "largest"))


def blue(way: Callable[[int], float], size: float = 1.0) -> Walker:
    return Walker((60, 70, 160), way, 1, size)


def red(way: Callable[[int], float], size: float = 1.0) -> Walker:
    return Walker((150, 60, 60), way, 2, size)


def wrong(clip: DrawnClip, masks: list[Masks], who: Collection[int]) -> float:
    """How much of the alpha that stays is wrong, in parts of the subject's."""
    errors = subject = 0.0
    for number, mask in enumerate(masks):
        alpha = clip.alpha(number)
        kept = alpha if mask.stays is None else alpha * (mask.stays / np.float32(255))
        truth = np.max([clip.truth(number, one) for one in who], axis=0)
        errors += float(np.abs(kept - truth).sum())
        subject += float(truth.sum())
    return errors / subject


def locked(clip: DrawnClip, subject: Subject | None = None, people: int | None = None) -> tuple[list[Masks], list[str]]:
    lock = SubjectLock(subject, people)
    return list(lock.masks(clip)), [with_flags(note) for note in lock.notes]


AS_ONE = "people who touch in all frames count as one: draw a remove stroke on who is to go (--marks)"
APART = DrawnClip([blue(lambda t: 90 + t), red(lambda t: 230 - 0.5 * t, 0.8)], 20)


@pytest.mark.parametrize(
    ("subject", "who"),
    [
        (LEFT, 0),
        (RIGHT, 1),
        (LARGEST, 0),
        (MIDDLE, 0),
        (Subject(x=0.72, y=0.8), 1),
        (Subject(x=400, y=600, at=Fraction(1, 4)), 0),
    ],
    ids=str,
)
def test_one_of_two_who_stand_apart_stays_exactly(subject: Subject, who: int) -> None:
    masks, notes = locked(APART, subject)
    assert wrong(APART, masks, [who]) < 1e-4
    assert notes == []


@pytest.mark.slow
@pytest.mark.parametrize(("subject", "who"), [(LEFT, 0), (RIGHT, 1)])
def test_people_who_cross_are_not_exchanged(subject: Subject, who: int) -> None:
    clip = DrawnClip([blue(lambda t: 60 + 3 * t), red(lambda t: 260 - 3 * t)], 66)
    masks, notes = locked(clip, subject)
    assert wrong(clip, masks, [who]) < 0.0035
    assert Tracks(clip).count == 2
    assert notes == []


def test_people_who_touch_are_cut_where_they_touch() -> None:
    clip = DrawnClip([blue(lambda t: 126 - 2 * abs(t - 12)), red(lambda t: 178 + 2 * abs(t - 12))], 25)
    assert (clip.alpha(12)[154, 110:200] > 0.5).all()
    masks, _ = locked(clip, LEFT)
    assert wrong(clip, masks, [0]) < 0.005
    untouched = masks[12].stays
    assert untouched is not None
    assert (untouched[:, :130] == 255).all()


def test_people_in_clothes_of_one_colour_are_parted_by_how_each_of_them_moves() -> None:
    still, passing = Walker((60, 60, 70), lambda t: 130, 1), Walker((66, 62, 60), lambda t: 206 - 3 * t, 2)
    clip = DrawnClip([still, passing], 17)
    masks, _ = locked(clip, LEFT)
    assert wrong(clip, masks, [0]) < 0.012


def test_people_who_touch_from_the_first_frame_on_are_parted_by_what_comes_later() -> None:
    clip = DrawnClip([blue(lambda t: 122 - 2 * max(0, t - 6)), red(lambda t: 176)], 30)
    masks, _ = locked(clip, RIGHT)
    assert wrong(clip, masks, [1]) < 0.02


def test_one_who_leaves_and_returns_is_known_again() -> None:
    clip = DrawnClip([blue(lambda t: 90), red(lambda t: 260 + 6 * t if t < 20 else 500 - 6 * (t - 8))], 56)
    assert Tracks(clip).count == 2
    masks, notes = locked(clip, RIGHT)
    assert wrong(clip, masks, [1]) < 0.005
    assert notes == []


def test_somebody_else_who_comes_later_is_not_taken_for_one_who_left() -> None:
    other = Walker((70, 140, 70), lambda t: 500 - 6 * (t - 8), 3)
    clip = DrawnClip([blue(lambda t: 90), red(lambda t: 260 + 6 * t), other], 50)
    assert Tracks(clip).count == 3
    masks, _ = locked(clip, RIGHT)
    assert wrong(clip, masks, [1]) < 0.005


def test_so_many_people_stay_and_no_others() -> None:
    clip = DrawnClip([blue(lambda t: 60), red(lambda t: 160, 0.8), Walker((70, 140, 70), lambda t: 260, 3, 0.6)], 6)
    for count, who in ((1, [0]), (2, [0, 1]), (3, [0, 1, 2])):
        masks, notes = locked(clip, people=count)
        assert wrong(clip, masks, who) < 1e-4
        assert notes == []
    assert locked(clip, people=4)[1] == [f"only 3 in this clip: --people 4 keeps all; {AS_ONE}"]


def test_one_person_alone_stays_as_they_are() -> None:
    masks, notes = locked(DrawnClip([blue(lambda t: 90 + t)], 5), LEFT)
    assert all(mask.stays is None for mask in masks)
    assert notes == [f"only one subject is in this clip: --subject left keeps it; {AS_ONE}"]


@pytest.mark.parametrize("who", [0, 1])
def test_a_point_parts_those_who_always_touch_between_their_heads(who: int) -> None:
    clip = DrawnClip([red(lambda t: 130 + 0.5 * t), blue(lambda t: 172 + 0.5 * t)], 6)
    point = Subject(x=(0.4, 0.55)[who], y=0.8)
    masks, notes = locked(clip, point)
    assert wrong(clip, masks, [who]) < 0.01
    assert notes == [
        f"people touch in all frames: --subject {point} parts them between their heads; look whether the cut "
        "between them is right, or draw a remove stroke on who is to go (--marks)"
    ]


class Badged(Walker):
    """Somebody who wears a badge of another's colours."""

    def badge(self, frame: int) -> tuple[slice, slice]:
        x = round(self.way(frame))
        return np.s_[128:158, x - 10 : x + 10]

    def picture(self, frame: int) -> NDArray[np.float32]:
        picture = super().picture(frame)
        picture[self.badge(frame)] = BLUE.picture(0)[128:158, 160:180]
        return picture


BLUE = blue(lambda t: 174 + 0.7 * t)


def test_those_who_always_touch_are_parted_by_how_each_of_them_moves_where_colours_mislead() -> None:
    badged = Badged((150, 60, 60), lambda t: 130 - 0.2 * t, 2)
    clip = DrawnClip([badged, BLUE], 7)
    masks, notes = locked(clip, Subject(x=0.4, y=0.95))
    assert "parts them" in notes[0]
    stays = [mask.stays for mask in masks]
    assert all(one is not None and one[badged.badge(n)].mean() > 230 for n, one in enumerate(stays))


def test_those_who_always_touch_are_told_as_one_where_no_point_says_who_and_a_remove_stroke_parts_them() -> None:
    clip = DrawnClip([red(lambda t: 130 + 0.5 * t), blue(lambda t: 172 + 0.5 * t)], 6)
    masks, notes = locked(clip, LEFT)
    assert all(mask.stays is None for mask in masks)
    assert notes == [f"only one subject is in this clip: --subject left keeps it; {AS_ONE}"]
    stroke = {"do": "remove", "stroke": [[680, 330], [690, 480], [700, 640]], "width": 30, "time": 0}
    marks = parse_marks({"birefvideo_marks": 1, "marks": [stroke]}, "marks")
    marked = Marked(marks.placed(*clip.full_size, Fraction(0), None))
    assert wrong(clip, list(marked.masks(clip)), [0]) < 0.015


def person_with(*more: tuple[int, int, int, int]) -> Mask:
    """Somebody with more ellipses (across, down, half width, half height) beside the head."""
    drawn = np.zeros((180, 320), np.uint8)
    for x, y, a, b in ((160, 75, 16, 19), (160, 190, 50, 95), *more):
        cv2.ellipse(drawn, (x, y), (a, b), 0, 0, 360, 1, -1)
    return drawn.astype(np.bool_)


@pytest.mark.parametrize(
    ("mask", "count"),
    [
        (person_with(), 0),
        (person_with((205, 95, 6, 50)), 0),  # an arm held up
        (person_with((118, 60, 7, 45), (202, 60, 7, 45)), 0),
        (person_with((160, 50, 4, 14)), 0),  # a tuft of hair
        (person_with((240, 75, 16, 19), (240, 190, 50, 95)), 2),
        (person_with((235, 115, 12, 14), (235, 195, 36, 70)), 2),  # a child
        (person_with((90, 70, 16, 19), (90, 190, 50, 95), (230, 75, 16, 19), (230, 190, 50, 95)), 3),
    ],
)
def test_heads_that_rise_from_a_piece_are_people_and_arms_are_not(mask: Mask, count: int) -> None:
    heads = heads_of(mask)
    assert len(heads) == count
    assert [int(np.argwhere(head)[:, 1].mean()) for head in heads] == sorted(
        int(np.argwhere(head)[:, 1].mean()) for head in heads
    )


def test_a_clip_without_anybody_is_told() -> None:
    masks, notes = locked(DrawnClip([blue(lambda t: 900)], 3), LEFT)
    assert all(mask.stays is None for mask in masks)
    assert notes == ["nobody is in this clip: --subject left has no effect"]


@pytest.mark.parametrize(
    ("subject", "told"),
    [
        (
            Subject(x=0.5, y=0.1),
            r"no subject is there at 0.00 s; subjects are at 0.28,0.7\d, 0.72,0.7\d \(parts of the picture\)",
        ),
        (Subject(x=0.5, y=0.1, at=Fraction(30)), "the frames are from 0.00 s to 0.79 s: give a time in there"),
        (Subject(x=4000, y=20), "the point is outside of the picture of 1280×720"),
    ],
    ids=str,
)
def test_a_point_without_a_subject_is_told_in_one_line(subject: Subject, told: str) -> None:
    with pytest.raises(OptionError, match=told):
        locked(APART, subject)


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("left", LEFT),
        (" Middle ", MIDDLE),
        ("0.5,0.4", Subject(x=0.5, y=0.4)),
        ("50%, 40%", Subject(x=0.5, y=0.4)),
        ((640, 200), Subject(x=640, y=200)),
        ("640,200@1:02.5", Subject(x=640, y=200, at=Fraction(125, 2))),
    ],
)
def test_a_subject_is_named_in_many_ways(text: object, parsed: Subject) -> None:
    assert parse_subject(text) == parsed
    assert parse_subject(parsed) is parsed
    assert parse_subject(str(parsed)) == parsed


@pytest.mark.parametrize(
    "text", ["", "up", "1", "1,2,3", "-1,2", "0.5,0.4@", "0.5,0.4@x", "nan,1", "50%,0.4", "120%,1%", 5, True]
)
def test_what_names_no_subject_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="give left, right, largest, middle, or X,Y or X,Y@TIME"):
        parse_subject(text)
