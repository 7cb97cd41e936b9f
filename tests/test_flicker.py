"""Coverage and flicker of a matte, however it was cut into segments, and the frames that are pointed out."""

from __future__ import annotations

import json
from dataclasses import asdict
from itertools import pairwise

import numpy as np
import pytest

from birefvideo.frames import Alpha
from birefvideo.matting.flicker import Curve, Suspect, joined, suspects

COUNT = 40


def blob(centre: float, radius: float = 18.0, size: tuple[int, int] = (108, 192)) -> Alpha:
    """A soft disc at the column `centre`."""
    y, x = np.mgrid[: size[0], : size[1]].astype(np.float32)
    distance = np.hypot(x - centre, y - size[0] / 2)
    alpha: Alpha = np.clip((radius - distance) / 4 + 0.5, 0, 1).astype(np.float32)
    return alpha


def moving() -> list[Alpha]:
    """A disc that crosses the picture evenly."""
    return [blob(40 + 2.5 * index) for index in range(COUNT)]


def figures(mattes: list[Alpha], cuts: tuple[int, ...] = ()) -> tuple[list[float], list[float]]:
    """Coverage and flicker of mattes taken in segments that begin at 0 and at `cuts`."""
    curves = []
    for start, end in pairwise((0, *cuts, len(mattes))):
        curve = Curve()
        for alpha in mattes[start:end]:
            curve.add(alpha)
        curves.append(Curve(**json.loads(json.dumps(asdict(curve)))))  # as a job's folder keeps it
    return joined(curves)


@pytest.mark.parametrize("cuts", [(1,), (2, 3), (7, 8, 9, 30), (39,), (5, 5, 20)])
def test_segments_give_the_figures_of_the_whole(cuts: tuple[int, ...]) -> None:
    mattes = moving()
    mattes[20] = blob(90, radius=9)
    assert figures(mattes, cuts) == figures(mattes)


def test_a_curve_goes_on_after_it_was_kept() -> None:
    mattes = moving()
    first = Curve()
    for alpha in mattes[:10]:
        first.add(alpha)
    again = Curve(**asdict(first))
    for alpha in mattes[10:]:
        again.add(alpha)
    assert joined([again]) == figures(mattes)


def test_coverage_is_the_mean_of_alpha() -> None:
    mattes = moving()
    coverage, flicker = figures(mattes)
    assert coverage == pytest.approx([float(alpha.mean()) for alpha in mattes], abs=1e-6)
    assert len(flicker) == COUNT and flicker[0] == flicker[1] > 0


def test_even_motion_and_slow_growth_are_not_suspected() -> None:
    assert suspects(*figures(moving())) == []
    assert suspects(*figures([blob(90, radius=10 + 0.8 * index) for index in range(COUNT)])) == []


def test_a_subject_that_is_lost_for_a_moment_is_a_dropout() -> None:
    mattes = moving()
    mattes[20] = np.zeros_like(mattes[20])
    assert Suspect(20, "dropout") in suspects(*figures(mattes))


def test_a_step_in_coverage_is_a_jump() -> None:
    mattes = [blob(60, radius=15) for _ in range(15)] + [blob(60, radius=30) for _ in range(15)]
    assert suspects(*figures(mattes)) == [Suspect(15, "jump")]


def test_a_part_that_comes_and_goes_is_flicker() -> None:
    mattes = moving()
    mattes[12] = np.maximum(mattes[12], blob(170, radius=12))
    found = suspects(*figures(mattes))
    assert [one.frame for one in found] == [12] or Suspect(12, "flicker") in found


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_the_shortest_clips_have_figures_too(count: int) -> None:
    coverage, flicker = figures(moving()[:count])
    assert len(coverage) == len(flicker) == count
    assert suspects(coverage, flicker) == []
