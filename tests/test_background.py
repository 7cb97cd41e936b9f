"""Pictures and videos under a composite: they cover it, in its colours, at their own pace."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from clips import RGB, write_clip
from outputs import decoded_video
from typer.testing import CliRunner

import birefvideo
from birefvideo.cli import app
from birefvideo.colour import Colour, rgb_to_yuv
from birefvideo.errors import OptionError
from birefvideo.jobs.manifest import fingerprints
from birefvideo.jobs.options import Options
from birefvideo.jobs.plan import plan_targets
from birefvideo.jobs.receipt import read
from birefvideo.media.forms import form_of_file
from birefvideo.media.writing.background import BackgroundFile, check_background
from birefvideo.planes import plane_array

GetClip = Callable[[str], Path]
HD, SD = Colour(1, 1, 1, 1), Colour(6, 1, 6, 6, guessed=True)
RED, BLUE = (200, 30, 40), (20, 40, 210)


def halves(path: Path, width: int, height: int) -> Path:
    """A picture, red on the left and blue on the right."""
    bgr = np.full((height, width, 3), BLUE[::-1], np.uint8)
    bgr[:, : width // 2] = RED[::-1]
    cv2.imwrite(str(path), bgr)
    return path


def grey_steps(path: Path, frames: int, **more: object) -> Path:
    """A video whose picture i is of luma 40 + 20 i."""

    def grey(index: int, width: int, height: int) -> RGB:
        return np.full((height, width, 3), round((24 + 20 * index) * 255 / 219), np.uint8)

    return write_clip(path, frames=frames, audio_tracks=0, pictures=grey, options={"crf": "1"}, **more)  # type: ignore[arg-type]


def shown(backdrop: BackgroundFile, seconds: Fraction) -> int:
    return round((float(backdrop.at(seconds)[0].mean()) - 40) / 20)


@pytest.mark.parametrize("colour", [HD, SD])
@pytest.mark.parametrize("size", [(400, 100), (64, 200), (96, 64), (31, 17)])
def test_a_picture_covers_the_frame_from_its_middle_in_the_output_s_colour(
    tmp_path: Path, size: tuple[int, int], colour: Colour
) -> None:
    backdrop = BackgroundFile(halves(tmp_path / "below.png", *size), (96, 64), Fraction(1), colour)
    y, u, v = backdrop.at(Fraction(5))
    assert y.shape == (64, 96) and u.shape == v.shape == (32, 48)
    for rgb, column in ((RED, 4), (BLUE, -5)):
        wanted = rgb_to_yuv(rgb, colour)
        for plane, code in zip((y, u, v), wanted, strict=True):
            assert np.abs(plane[:, column].astype(int) - code).max() <= 1
    edge = np.flatnonzero(np.diff(y[30].astype(int) > (int(y[30, 4]) + int(y[30, -5])) / 2))
    assert abs(int(edge[0]) - 47) <= 4  # the source's pixels are up to four of the frame's
    backdrop.close()


@pytest.mark.parametrize("size", [(400, 100), (64, 200), (96, 64), (31, 17)])
def test_a_picture_is_contained_with_bars_or_stretched(tmp_path: Path, size: tuple[int, int]) -> None:
    below = halves(tmp_path / "below.png", *size)
    scale = min(96 / size[0], 64 / size[1])
    bars = [(full - scale * side) / 2 for full, side in zip((96, 64), size, strict=True)]
    for fit, (left, top) in (("contain", bars), ("stretch", (0, 0))):
        backdrop = BackgroundFile(below, (96, 64), Fraction(1), HD, fit)
        y, u, v = backdrop.at(Fraction(0))
        backdrop.close()
        assert y.shape == (64, 96) and u.shape == v.shape == (32, 48)
        is_bar = np.ones(y.shape, bool)
        is_bar[int(top) + 2 : 62 - int(top), int(left) + 2 : 94 - int(left)] = False
        inside = ~is_bar
        is_bar[max(0, int(top) - 2) : 66 - int(top), max(0, int(left) - 2) : 98 - int(left)] = False
        assert is_bar.any() == (max(left, top) > 2)
        assert (y[is_bar] == 16).all() and (u[is_bar[::2, ::2]] == 128).all() and (v[is_bar[::2, ::2]] == 128).all()
        for rgb, column in ((RED, int(left) + 4), (BLUE, 91 - int(left))):
            assert inside[32, column] and abs(int(y[32, column]) - rgb_to_yuv(rgb, HD)[0]) <= 2


def test_how_a_background_fits_reaches_the_outputs(tmp_path: Path, clip: GetClip, network: Path) -> None:
    below = halves(tmp_path / "below.png", 20, 200)
    corner = {}
    for fit in ("cover", "contain", "stretch"):
        options = {"background": below, "fit": fit, "smooth": 0, "model": str(network), "levels": (0.99, 1)}
        (made,) = birefvideo.matte(clip("one_frame"), tmp_path / f"{fit}.mp4", None, **options).outputs  # type: ignore[arg-type]
        corner[fit] = int(plane_array(decoded_video(made)[0], 0)[:, :4].mean())
    red = rgb_to_yuv(RED, HD)[0]
    assert abs(corner["cover"] - red) <= 4 and abs(corner["stretch"] - red) <= 4 and abs(corner["contain"] - 16) <= 2


def test_wide_pixels_are_shown_in_their_shape(tmp_path: Path) -> None:
    below = halves(tmp_path / "below.png", 96, 64)
    backdrop = BackgroundFile(below, (48, 64), Fraction(2), HD)  # the same shape, of half as many pixels
    y, *_ = backdrop.at(Fraction(0))
    assert abs(int(np.flatnonzero(np.diff(y[9].astype(int)))[0]) - 23) <= 1
    backdrop.close()


@pytest.mark.parametrize("name", ["hdr", "odd_420", "rotated_270", "wide_pixels", "rgb_deep", "full_range", "gray"])
def test_any_clip_can_lie_below(clip: GetClip, name: str) -> None:
    backdrop = BackgroundFile(clip(name), (75, 53), Fraction(1), HD)
    planes = backdrop.at(Fraction(1, 3))
    assert [plane.shape for plane in planes] == [(53, 75), (27, 38), (27, 38)]
    assert planes[0].dtype == np.uint8 and planes[0].std() > 3
    backdrop.close()


def test_a_video_loops_and_shows_each_picture_until_the_next(tmp_path: Path) -> None:
    below = grey_steps(tmp_path / "below.mp4", 6)
    backdrop = BackgroundFile(below, (96, 64), Fraction(1), HD)
    moments = [Fraction(i, 60) for i in range(60)]
    assert [shown(backdrop, t) for t in moments] == [int(t * 24) % 6 for t in moments]
    backdrop.close()


def test_the_picture_at_a_moment_does_not_depend_on_where_reading_began(tmp_path: Path) -> None:
    below = grey_steps(tmp_path / "below.mp4", 9, rate=Fraction(2), time_base=Fraction(1, 1000))  # 4.5 s
    for moment in (Fraction(0), Fraction(7, 2), Fraction(39, 10), Fraction(40), Fraction(49, 10)):
        backdrop = BackgroundFile(below, (96, 64), Fraction(1), HD)
        assert shown(backdrop, moment) == int(moment % Fraction(9, 2) * 2)
        backdrop.close()


def test_a_video_begins_with_the_output_where_the_start_is_trimmed(
    tmp_path: Path, clip: GetClip, network: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("birefvideo.matting.engine.solidified", lambda alpha: alpha * 0)
    below = grey_steps(tmp_path / "below.mp4", 5)
    made = birefvideo.matte(
        clip("plain"), tmp_path / "out.mp4", "green", background=below, start=0.125, smooth=0, model=str(network)
    )
    pictures = decoded_video(made.outputs[0])
    levels = [round((float(plane_array(picture, 0).mean()) - 40) / 20) for picture in pictures]
    assert levels == [i % 5 for i in range(9)]


def test_a_background_is_a_colour_or_a_file_that_holds_a_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    halves(tmp_path / "below.png", 8, 8)
    (tmp_path / "notes.txt").write_text("nothing to see\n")
    assert Options(background="#102030").background == (16, 32, 48)
    assert Options(background="below.png").background == Path("below.png")
    with pytest.raises(OptionError, match=r"background is 'lost\.png': give #rrggbb.*, or the name of a picture"):
        Options(background="lost.png")
    with pytest.raises(OptionError, match=r"background: notes\.txt is"):
        check_background(Path("notes.txt"))


def test_a_changed_background_makes_another_job(clip: GetClip, tmp_path: Path) -> None:
    below = halves(tmp_path / "below.png", 8, 8)
    options = Options(background=below)
    before = fingerprints(clip("plain"), options)
    assert fingerprints(clip("plain"), options) == before
    halves(below, 16, 8)
    assert fingerprints(clip("plain"), options) != before


@pytest.mark.parametrize(
    ("background", "name"),
    [("green", "green"), ((0, 177, 64), "green"), ("blue", "comp"), ("#102030", "comp"), (Path("below.png"), "comp")],
)
def test_a_composite_over_the_user_s_background_is_not_called_green(
    tmp_path: Path, background: object, name: str
) -> None:
    halves(tmp_path / "below.png", 32, 32)
    options = Options(background=tmp_path / background if isinstance(background, Path) else background)  # type: ignore[arg-type]
    source = tmp_path / "clip.mp4"
    default, asked, named = (
        plan_targets(source, out, names, options)[-1]
        for out, names in ((None, []), (tmp_path, ["green"]), (tmp_path / "x.mp4", []))
    )
    assert default.path == asked.path == tmp_path / f"clip_{name}.mp4" and named.path == tmp_path / "x.mp4"
    assert {target.format.name for target in (default, asked, named)} == {name}
    assert plan_targets(source, None, ["blue"], options)[0].path.name == "clip_blue.mp4"


def test_a_composite_is_verified_under_its_new_name_and_under_the_old(
    tmp_path: Path, network: Path, clip: GetClip
) -> None:
    options = {"model": str(network), "end": "0.1", "smooth": "0"}
    words = [word for name, value in options.items() for word in (f"--{name}", value)]
    matte = ["matte", str(clip("plain")), "-o", str(tmp_path), "--background", "white", "--to", "green"]
    assert CliRunner().invoke(app, [*matte, *words]).exit_code == 0
    made = tmp_path / "plain_comp.mp4"
    said = CliRunner().invoke(app, ["verify", str(made)])
    assert said.exit_code == 0 and "all good" in said.output
    assert (read(made) or {})["format"] == "comp"
    assert form_of_file(made, is_still=False).name == "comp"
    assert form_of_file(made.replace(tmp_path / "plain_green.mp4"), is_still=False).name == "green"
