"""How sure the network is: second looks at some frames, what they say of a matte, and what the user is told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
import torch
from predictors import predictor_of
from torch import nn

from birefvideo.directing.holds import Holds
from birefvideo.directing.marks import Marks
from birefvideo.directing.masks import Masks
from birefvideo.frames import Alpha, AlphaFrame, Frame, Span, Still
from birefvideo.jobs.doubts import Doubt, doubt_lines, find_doubts
from birefvideo.jobs.mark_values import parse_garbage, parse_keep, parse_remove
from birefvideo.matting.flicker import Curve
from birefvideo.matting.input_size import InputSize
from birefvideo.matting.second_look import APART, UNSURE, KeptLooks, Look, SecondLook, compare, settled
from birefvideo.matting.smoother import NoSmoother
from birefvideo.media.reading.decode import DecodeReport
from birefvideo.media.reading.probe import probe
from birefvideo.pipeline import SegmentReport, matted_frames

Disc = tuple[float, float, float]
"""Column, row and radius."""
BODY: Disc = (240, 200, 120)


def drawn(*discs: Disc, value: float = 1.0, soft: float = 2.0, size: tuple[int, int] = (270, 480)) -> Alpha:
    """Discs of one alpha, with an edge `soft` pixels wide."""
    y, x = np.mgrid[: size[0], : size[1]].astype(np.float32)
    alpha: Alpha = np.zeros(size, np.float32)
    for column, row, radius in discs:
        np.maximum(alpha, np.clip((radius - np.hypot(x - column, y - row)) / soft + 0.5, 0, 1) * value, out=alpha)
    return alpha


def test_a_decided_matte_is_sure() -> None:
    look = compare(7, drawn(BODY), drawn(BODY))
    assert (look.frame, look.unsure, look.apart) == (7, 0, 0)
    assert look.subject == pytest.approx(float(drawn(BODY).mean()), abs=1e-3)


def test_a_soft_edge_is_no_doubt_and_a_wide_half_transparent_area_is_one() -> None:
    soft = drawn(BODY, soft=8)
    assert compare(0, soft, soft).unsure == 0
    ghost = np.maximum(drawn(BODY), drawn((430, 40, 30), value=0.5))
    look = compare(0, ghost, ghost)
    assert look.unsure == pytest.approx(np.pi * 30**2 / (270 * 480), rel=0.1) and look.unsure > UNSURE
    assert look.place == pytest.approx((430 / 480, 40 / 270), abs=0.02)


def test_another_answer_in_the_mirror_is_doubt() -> None:
    look = compare(0, drawn(BODY, (60, 60, 40)), drawn(BODY))
    assert look.unsure == pytest.approx(np.pi * 40**2 / (270 * 480), rel=0.1)
    assert look.place == pytest.approx((60 / 480, 60 / 270), abs=0.02)


@pytest.mark.parametrize(
    ("piece", "is_told"),
    [((60, 60, 30), True), ((60, 10, 30), False), ((60, 60, 6), False), ((75, 130, 70), False)],
    ids=["apart", "at the border", "tiny", "a second subject"],
)
def test_a_piece_apart_is_seen(piece: Disc, is_told: bool) -> None:
    body: Disc = (340, 160, 100)
    alpha = drawn(body, piece)
    look = compare(0, alpha, alpha)
    assert (look.apart >= APART) == is_told
    if is_told:
        assert look.apart_at == pytest.approx((60 / 480, 60 / 270), abs=0.02)


class Leaning(nn.Module):
    """Logits that are the picture's red, and more to the right by `lean`."""

    def __init__(self, lean: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([lean]))

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return pixels[:, :1] + self.weight * torch.linspace(-1, 1, pixels.shape[-1])


def frames_of(
    path: Path, second_look: SecondLook | None, *, lean: float = 0.0, batch: int = 1, mirrored: bool = False
) -> list[Frame]:
    size, device = InputSize(fixed=(64, 64)), torch.device("cpu")
    predictor = predictor_of(Leaning(lean), size, device, dtype=torch.float32, batch=batch, mirrored=mirrored)
    info = probe(path)
    made = matted_frames(info, Span(), predictor, NoSmoother(), DecodeReport(), second_look=second_look)
    with closing(made):
        return list(made)


@pytest.mark.parametrize("batch", [1, 4])
def test_second_looks_change_no_frame(clip: Callable[[str], Path], batch: int) -> None:
    second_look = SecondLook(every=5)
    plain, looked = frames_of(clip("short_gops"), None), frames_of(clip("short_gops"), second_look, batch=batch)
    assert [frame.pts for frame in looked] == [frame.pts for frame in plain]
    for one, other in zip(plain, looked, strict=True):
        np.testing.assert_array_equal(one.alpha, other.alpha)
    assert [look.frame for look in second_look.looks] == [0, 5, 10, 15, 20]


@pytest.mark.parametrize("batch", [1, 4])
def test_a_network_that_sees_both_sides_answers_with_their_mean(clip: Callable[[str], Path], batch: int) -> None:
    straight = frames_of(clip("short_gops"), None)
    both = frames_of(clip("short_gops"), None, lean=20.0, batch=batch, mirrored=True)
    leaning = frames_of(clip("short_gops"), None, lean=20.0)
    for even, mean, one in zip(straight, both, leaning, strict=True):
        np.testing.assert_allclose(mean.alpha, even.alpha, atol=1e-4)
        assert np.abs(one.alpha - even.alpha).max() > 0.5


def test_where_both_sides_contradict_each_other_their_mean_is_in_doubt(clip: Callable[[str], Path]) -> None:
    seen = SecondLook(every=5, mirrored=True)
    frames = frames_of(clip("short_gops"), seen, mirrored=True)
    assert len(frames) == 24 and [look.frame for look in seen.looks] == [0, 5, 10, 15, 20]
    mean = compare(0, frames[0].alpha)
    assert seen.looks[0].unsure == mean.unsure
    sure, torn = compare(0, drawn(BODY)), compare(0, np.maximum(drawn(BODY), drawn((60, 60, 40), value=0.2)))
    assert sure.unsure == 0 and torn.unsure == pytest.approx(np.pi * 40**2 / (270 * 480), rel=0.1)


def test_a_network_that_sees_the_mirror_image_alike_is_sure_and_one_that_leans_is_not(
    clip: Callable[[str], Path],
) -> None:
    alike, leaning = SecondLook(), SecondLook()
    even = frames_of(clip("short_gops"), alike)
    frames_of(clip("short_gops"), leaning, lean=20.0)
    undecided = [compare(0, frame.alpha, frame.alpha).unsure for frame in even[:1]]
    assert [look.unsure for look in alike.looks] == pytest.approx(undecided, abs=0.01)
    assert all(look.unsure > 0.5 for look in leaning.looks)


def report(unsure: Sequence[float], *, apart: float = 0.0, coverage: float = 0.3) -> SegmentReport:
    """A segment of 24 frames a look."""
    count = 24 * len(unsure)
    looks = [Look(24 * i, share, 0.3, (0.9, 0.1), apart, (0.1, 0.5)) for i, share in enumerate(unsure)]
    return SegmentReport(pts=list(range(count)), curve=Curve(coverage=[coverage] * count), looks=looks)


def test_looks_in_a_row_make_one_doubt_over_segments() -> None:
    reports = [report([0, 0.02]), report([0.05, 0])]
    assert find_doubts(reports) == [Doubt(24, 71, "unsure", 0.05, (0.9, 0.1))]


@pytest.mark.parametrize(
    ("unsure", "count"), [([0.02], 1), ([0, 0.02, 0], 0), ([UNSURE - 0.001] * 4, 0), ([0.02, 0.02, 0, 0.02, 0.02], 2)]
)
def test_one_look_alone_counts_only_where_there_is_no_other(unsure: list[float], count: int) -> None:
    assert len(find_doubts([report(unsure)])) == count


def told(clip: Path, *reports: SegmentReport, model: str = "talk") -> list[str]:
    return list(doubt_lines(probe(clip), reports, model))


def test_a_doubt_is_told_with_its_frames_its_place_and_what_to_do(clip: Callable[[str], Path]) -> None:
    (line,) = told(clip("short_gops"), report([0.03, 0.03]))
    assert line.startswith("frames 0–47 (0:00.0 to ")
    assert "probably wrong at the upper right (3 % of the picture)" in line
    (line,) = told(clip("short_gops"), report([0, 0], apart=0.02))
    assert "stands apart from the subject, at the left (2 % of the picture)" in line


def test_a_clip_without_anybody_is_told_in_one_line(clip: Callable[[str], Path]) -> None:
    path = clip("short_gops")
    (line,) = told(path, report([0.2, 0.2]))
    assert "is not sure that there is a person" in line and "general" in line
    (line,) = told(path, report([0.2, 0.2], coverage=0.0), model="portrait")
    assert "found no person" in line and "another" in line
    assert told(path, report([0, 0])) == []


def test_many_doubts_are_not_told_one_by_one(clip: Callable[[str], Path]) -> None:
    lines = told(clip("short_gops"), report([0.02, 0.02, 0] * 6))
    assert len(lines) == 4 and lines[-1].startswith("3 more stretches")


def test_a_picture_is_told_as_one(clip: Callable[[str], Path]) -> None:
    info = replace(probe(clip("short_gops")), still=Still(depth=8))
    (line,) = doubt_lines(info, [report([0.02])], "talk")
    assert line.startswith("the picture: ")


def test_what_a_mark_has_decided_is_no_longer_in_doubt() -> None:
    before = [Look(0, 0.05, 0.3, place=(0.9, 0.1)), Look(24, 0.05, 0.3, place=(0.2, 0.8))]
    removed = np.full((18, 32), 255, np.uint8)
    removed[:6, 24:] = 0
    cases = ((Masks(stays=removed), [True, False]), (Masks(added=removed), [False, True]), (Masks(), [False, False]))
    for masks, wanted in cases:
        found = settled(before, lambda _, place, masks=masks: masks.decide(place))  # type: ignore[misc]
        assert [look.unsure == 0 for look in found] == wanted


@pytest.mark.parametrize(
    ("marks", "wanted"),
    [
        (parse_remove("80%,0%,100%,20%"), [True, False]),
        (parse_keep("0%,60%,40%,100%@0.5-2"), [False, True]),
        (parse_keep("0%,60%,40%,100%@0-0.5"), [False, False]),
        (parse_garbage("0%,20%,100%,100%"), [True, False]),
        (None, [False, False]),
    ],
    ids=["removed", "kept", "kept at another time", "outside of the garbage box", "nothing"],
)
def test_a_plain_area_settles_a_doubt_too(marks: Marks | None, wanted: list[bool]) -> None:
    before = [Look(0, 0.05, 0.3, place=(0.9, 0.1)), Look(24, 0.05, 0.3, place=(0.2, 0.8), apart=0.02)]
    placed = (marks or Marks()).placed(480, 270, Fraction(0), None)
    holds = Holds(placed, time_base=Fraction(1, 24))
    found = settled(before, lambda frame, place: holds.decide(frame, place, (270, 480)))
    assert [look.unsure == 0 for look in found] == wanted
    assert [look.apart for look in found] == [0, 0.02]


def test_earlier_looks_are_brought_up_to_what_is_left() -> None:
    frame = cast(AlphaFrame, SimpleNamespace(alpha=drawn(BODY), core=True))
    kept = KeptLooks([Look(0, 0.05, 0.3), Look(24, 0.05, 0.3)])
    assert len(list(kept.compared([frame] * 25))) == 25
    assert [(look.frame, look.unsure) for look in kept.looks] == [(0, 0.05), (24, 0.05)]
    assert all(look.subject == pytest.approx(drawn(BODY).mean(), abs=1e-3) for look in kept.looks)
