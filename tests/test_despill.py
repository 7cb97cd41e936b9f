"""Spill suppression: a wall's coloured light leaves the edges, and everything else stays."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from outputs import decoded_video
from typer.testing import CliRunner

import birefvideo
from birefvideo.cli import app
from birefvideo.colour import Colour
from birefvideo.errors import OptionError
from birefvideo.jobs.options import Options, parse_option
from birefvideo.matting.despill import Spill
from birefvideo.matting.foreground import estimate_foreground
from birefvideo.pipeline import spill_light
from birefvideo.planes import plane_array

GetClip = Callable[[str], Path]
HEIGHT, WIDTH = 96, 128
BT709 = Colour(1, 1, 1, 1)
GREEN = spill_light((0, 255, 0), BT709)
DEPTHS = pytest.mark.parametrize("deep", [False, True], ids=["8bit", "10bit"])


def yuv(red: float, green: float, blue: float) -> NDArray[np.float64]:
    """BT.709 limited-range codes, by the formulas of H.273."""
    luma = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    return np.array([16 + 219 * luma, 128 + 224 * (blue - luma) / 1.8556, 128 + 224 * (red - luma) / 1.5748])


def disc() -> NDArray[np.float32]:
    rows, columns = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    return np.clip((36 - np.hypot(columns - WIDTH / 2, rows - HEIGHT / 2)) / 8 + 0.5, 0, 1)


def scene(subject: NDArray[np.float64], wall: NDArray[np.float64], deep: bool = False) -> av.VideoFrame:
    """A soft disc of one colour before a wall of another."""
    alpha = disc()
    picture = av.VideoFrame(WIDTH, HEIGHT, "yuv444p10le" if deep else "yuv444p")
    for index in range(3):
        codes = alpha * subject[index] + (1 - alpha) * wall[index]
        plane_array(picture, index)[:] = np.rint(codes * (4 if deep else 1))
    picture.color_range = 1
    return picture


def planes(picture: av.VideoFrame, deep: bool = False) -> NDArray[np.float64]:
    return np.stack([plane_array(picture, index) for index in range(3)]) / (4.0 if deep else 1.0)


def edge() -> NDArray[np.bool_]:
    return (disc() > 0.1) & (disc() < 1)


WALL = yuv(0.1, 0.7, 0.1)


@DEPTHS
@pytest.mark.parametrize("spill", [GREEN, Spill()], ids=["green", "auto"])
def test_green_light_on_grey_becomes_grey_at_the_edge_and_keeps_its_luma(deep: bool, spill: Spill) -> None:
    picture = scene(yuv(0.5, 0.62, 0.5), WALL, deep)
    before = planes(estimate_foreground(picture, disc()), deep)
    after = planes(estimate_foreground(picture, disc(), spill), deep)
    assert np.abs(before[1:, edge()] - 128).max() > 7
    assert np.abs(after[1:, edge()] - 128).max() < 2.5
    assert np.array_equal(after[0], before[0])


def test_the_middle_of_the_subject_keeps_its_codes() -> None:
    picture = scene(yuv(0.2, 0.6, 0.2), WALL)
    after = planes(estimate_foreground(picture, disc(), GREEN))
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    middle = np.hypot(columns - WIDTH / 2, rows - HEIGHT / 2) < 20  # a green shirt stays green
    assert np.array_equal(after[:, middle], planes(picture)[:, middle])


def test_suppression_fades_inwards_without_a_step() -> None:
    picture = scene(yuv(0.3, 0.6, 0.3), WALL)
    row = planes(estimate_foreground(picture, disc(), GREEN))[2, HEIGHT // 2, 26 : WIDTH // 2]
    assert row[0] > row[-1] + 10
    assert np.diff(row).min() > -6 and np.diff(row).max() <= 0.5


@pytest.mark.parametrize("rgb", [(0.8, 0.55, 0.45), (0.2, 0.3, 0.8), (0.8, 0.8, 0.1)], ids=["skin", "blue", "yellow"])
def test_other_hues_keep_their_colour(rgb: tuple[float, float, float]) -> None:
    picture = scene(yuv(*rgb), WALL)
    before, after = (planes(estimate_foreground(picture, disc(), spill)) for spill in (None, GREEN))
    assert np.abs(after - before)[:, edge()].max() <= 1


def test_a_grey_wall_has_no_spill_of_its_own() -> None:
    picture = scene(yuv(0.4, 0.7, 0.4), yuv(0.5, 0.5, 0.49))
    before, after = (planes(estimate_foreground(picture, disc(), spill)) for spill in (None, Spill()))
    assert np.abs(after - before).max() <= 1


def test_auto_takes_each_sides_own_wall() -> None:
    columns = np.mgrid[:HEIGHT, :WIDTH][1]
    alpha, grey = disc(), yuv(0.5, 0.5, 0.5)
    lit = [yuv(0.5, 0.62, 0.5), yuv(0.5, 0.5, 0.65)]
    walls = [yuv(0.1, 0.7, 0.1), yuv(0.1, 0.1, 0.7)]
    picture = av.VideoFrame(WIDTH, HEIGHT, "yuv444p")
    for index in range(3):
        front, behind = (np.where(columns < WIDTH / 2, a[index], b[index]) for a, b in (lit, walls))
        plane_array(picture, index)[:] = np.rint(alpha * front + (1 - alpha) * behind)
    after = planes(estimate_foreground(picture, alpha, Spill()))
    sides = edge() & (np.abs(columns - WIDTH / 2) > 20)
    assert np.abs(after[1:, sides] - grey[1:, None]).mean() < 1.5


def test_a_job_with_despill_differs_at_the_edges_of_every_output(clip: GetClip, network: Path, tmp_path: Path) -> None:
    made = {
        despill: birefvideo.matte(
            clip("plain"), tmp_path / str(despill), ["prores", "webm"], model=str(network), despill=despill
        )
        for despill in (None, "green")
    }
    for plain, treated in zip(made[None].outputs, made["green"].outputs, strict=True):
        before, after = (decoded_video(path)[0] for path in (plain, treated))
        chroma = [plane_array(before, i).astype(float) - plane_array(after, i) for i in (1, 2)]
        assert max(np.abs(difference).max() for difference in chroma) > 5
        assert np.array_equal(plane_array(before, 3), plane_array(after, 3)), "alpha is none of its business"


def test_frames_can_be_had_despilled(clip: GetClip, network: Path) -> None:
    before, after = (
        next(iter(birefvideo.mattes(clip("plain"), model=str(network), despill=d))) for d in (None, "green")
    )
    assert before.foreground is not None and after.foreground is not None
    assert (planes(before.foreground) != planes(after.foreground)).any()


def test_what_can_be_said_of_spill() -> None:
    assert parse_option("despill", None) is None
    assert parse_option("despill", "Auto") == "auto"
    assert parse_option("despill", "#00ff00") == (0, 255, 0)
    assert spill_light(None, BT709) is None
    assert spill_light("auto", BT709) == Spill()
    assert str(Options(despill="auto")) != str(Options())  # so that a job is not resumed with another choice
    for text in ("grey", "128,130,128", "no colour"):
        with pytest.raises(OptionError):
            parse_option("despill", text)


def test_a_colour_without_hue_is_a_bad_option(clip: GetClip) -> None:
    result = CliRunner().invoke(app, ["matte", str(clip("plain")), "--despill", "white"])
    assert result.exit_code == 2
    assert "--despill is 'white': it has no hue" in result.stderr
