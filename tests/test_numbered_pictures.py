"""Pictures as input: patterns, folders and single ones, at the rate that the user says."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from clips import picture
from typer.testing import CliRunner, Result

import birefvideo
from birefvideo.cli import app
from birefvideo.errors import InputError, OptionError
from birefvideo.frames import Span
from birefvideo.jobs import plan
from birefvideo.jobs.manifest import fingerprints
from birefvideo.jobs.options import Options, parse_option
from birefvideo.jobs.receipt import read, still_the_same
from birefvideo.media.reading.decode import read_frames
from birefvideo.media.reading.numbered_pictures import at_rate, members, series_of, stem_of
from birefvideo.media.reading.probe import probe
from birefvideo.planes import plane_array

GetClip = Callable[[str], Path]


def pictures(folder: Path, names: str = "%05d.png", numbers: range = range(1, 13)) -> Path:
    """A folder of pictures, the first of which is `clips.picture(0)`."""
    folder.mkdir(parents=True)
    for index, number in enumerate(numbers):
        cv2.imwrite(str(folder / (names % number)), picture(index)[..., ::-1])
    return folder


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["matte", *map(str, arguments)])


def blob_places(path: Path) -> list[int]:
    """Where each frame's green blob is: it moves, so no two neighbours agree."""
    info = probe(path)
    greens = [plane_array(frame.picture, 1).astype(float) for frame in read_frames(info)]
    return [int(np.argmin(green[green.shape[0] // 2 :].mean(axis=0))) for green in greens]


@pytest.mark.parametrize(
    ("names", "numbers", "wanted"),
    [
        ("%05d.png", range(1, 13), "%05d.png"),
        ("take_%d.png", range(3, 15), "take_%d.png"),  # 3 … 14: not padded
        ("a1 50%% %04d.tif", range(1001, 1013), "a1 50%% %04d.tif"),
        ("shot%03dB.jpg", range(7, 19), "shot%03dB.jpg"),
    ],
)
def test_a_pattern_and_its_folder_give_every_picture_once_in_order(
    tmp_path: Path, names: str, numbers: range, wanted: str
) -> None:
    folder = pictures(tmp_path / "100% frames", names, numbers)
    for source in (folder, folder / wanted):
        assert [path.name for path in members(source)] == [names % number for number in numbers]
        places = blob_places(source)
        assert len(places) == 12 and np.corrcoef(places, [(i * 3) % 16 for i in range(12)])[0, 1] > 0.98


def test_any_stretch_of_a_series_is_read_as_in_the_whole(tmp_path: Path) -> None:
    info = at_rate(probe(pictures(tmp_path / "frames")), Fraction(24))
    whole = [(f.pts, f.duration, plane_array(f.picture, 0).copy()) for f in read_frames(info)]
    parts = [
        (f.pts, f.duration, plane_array(f.picture, 0).copy())
        for span in (Span(end=5), Span(5, 9), Span(9))
        for f in read_frames(info, span, context=2)
        if f.core
    ]
    assert [frame[:2] for frame in parts] == [frame[:2] for frame in whole] == [(i, 1) for i in range(12)]
    assert all((a[2] == b[2]).all() for a, b in zip(whole, parts, strict=True))


def test_the_rate_is_the_user_s_or_25(tmp_path: Path, clip: GetClip) -> None:
    info = probe(pictures(tmp_path / "frames"))
    assert (at_rate(info, None).rate, at_rate(info, None).duration) == (25, Fraction(12, 25))
    slow = at_rate(info, Fraction(30000, 1001))
    assert (slow.time_base, slow.rate) == (Fraction(1001, 30000), Fraction(30000, 1001))
    assert slow.duration == 12 * Fraction(1001, 30000) and slow.frame_count == 12
    with pytest.raises(OptionError, match="fps is for pictures"):
        at_rate(probe(clip("plain")), Fraction(24))


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("24", Fraction(24)),
        ("23.976", Fraction(24000, 1001)),
        ("29.97", Fraction(30000, 1001)),
        ("59.94", Fraction(60000, 1001)),
        ("12.5", Fraction(25, 2)),
        ("30000/1001", Fraction(30000, 1001)),
        (15.0, Fraction(15)),
        (None, None),
    ],
)
def test_a_rate_is_read(text: str | float | None, rate: Fraction | None) -> None:
    assert parse_option("fps", text) == rate


@pytest.mark.parametrize("text", ["0", "-5", "fast", "1/0", "1e9", ""])
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(OptionError, match="give pictures a second"):
        parse_option("fps", text)


def test_a_gap_several_series_and_missing_numbers_are_told(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "frames")
    (folder / "00004.png").unlink()
    with pytest.raises(InputError, match="picture 4 is missing between 1 and 12"):
        series_of(folder)
    pictures(tmp_path / "other", "b_%02d.png", range(2))
    (tmp_path / "other" / "c_01.png").write_bytes(b"")
    with pytest.raises(InputError, match=r"several series, b_….png and c_….png"):
        series_of(tmp_path / "other")
    assert [path.name for path in members(tmp_path / "other" / "b_%02d.png")] == ["b_00.png", "b_01.png"]
    (tmp_path / "named").mkdir()
    cv2.imwrite(str(tmp_path / "named" / "beach.png"), picture(0))
    with pytest.raises(InputError, match="has no number"):
        series_of(tmp_path / "named")
    (tmp_path / "bare").mkdir()
    with pytest.raises(InputError, match="is a folder without pictures"):
        series_of(tmp_path / "bare")
    with pytest.raises(InputError, match="there are no pictures"):
        series_of(tmp_path / "lost" / "%05d.png")


@pytest.mark.parametrize(
    ("name", "stem"),
    [("frames/%05d.png", "frames"), ("frames/take_%d.png", "take"), ("a.b/c.d.mp4", "c.d"), ("50%%_%d.png", "50%")],
)
def test_outputs_are_called_after_what_the_names_share(tmp_path: Path, name: str, stem: str) -> None:
    assert stem_of(tmp_path / name) == stem


@pytest.mark.parametrize("source", ["frames", "frames/%05d.png"])
def test_a_series_becomes_a_video_at_its_rate(tmp_path: Path, network: Path, source: str) -> None:
    pictures(tmp_path / "frames")
    out = tmp_path / "out"
    result = invoke(
        tmp_path / source, "--fps", "23.976", "-o", out, "--to", "prores", "--to", "webm", "--model", network
    )
    assert result.exit_code == 0, result.output
    for name in ("frames_alpha.mov", "frames_alpha.webm"):
        with av.open(str(out / name)) as container:
            stream = container.streams.video[0]
            times = [p.pts * stream.time_base for p in container.demux(stream) if p.pts is not None]
        assert [float(t) for t in times] == pytest.approx([i * 1001 / 24000 for i in range(12)], abs=6e-4)


def test_a_folder_of_pictures_lies_beside_its_outputs(tmp_path: Path, network: Path) -> None:
    source = pictures(tmp_path / "walk")
    assert invoke(source, "--to", "png", "--model", network).exit_code == 0
    made = sorted(path.name for path in tmp_path.iterdir() if path.is_dir())
    assert made == ["walk", "walk_png"] and len(list(source.iterdir())) == 12
    assert len(list((tmp_path / "walk_png").glob("walk_0000??.png"))) == 12


def test_a_receipt_is_about_the_pictures_and_not_about_what_else_lies_in_their_folder(
    tmp_path: Path, network: Path
) -> None:
    source = pictures(tmp_path / "walk")
    assert invoke(source, "--to", "png", "-o", source, "--model", network).exit_code == 0
    made = source / "walk_png"
    entry = read(made)
    assert all(check.passed for check in still_the_same(made, source, entry))
    next(source.glob("*.png")).write_bytes(b"another")
    assert [check.passed for check in still_the_same(made, source, entry)] == [True, False]


def test_segments_of_a_series_give_the_whole(tmp_path: Path, network: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = pictures(tmp_path / "frames")
    whole = birefvideo.matte(source, tmp_path / "whole", "png", fps=24, model=str(network)).outputs[0]
    monkeypatch.setattr(plan, "SEGMENT_SECONDS", Fraction(1, 6))
    monkeypatch.setattr(plan, "SHORTEST_TAIL", Fraction(1, 12))
    pieces = birefvideo.matte(source, tmp_path / "pieces", "png", fps=24, model=str(network)).outputs[0]
    for path in whole.glob("*.png"):
        one, other = (cv2.imread(str(folder / path.name), cv2.IMREAD_UNCHANGED) for folder in (whole, pieces))
        assert (one == other).all()


def test_a_changed_picture_makes_another_job(tmp_path: Path) -> None:
    source = pictures(tmp_path / "frames")
    for name in (source, source / "%05d.png"):
        before = fingerprints(name, Options())
        assert fingerprints(name, Options()) == before
        cv2.imwrite(str(source / "00005.png"), picture(9 if name == source else 2))
        assert fingerprints(name, Options()) != before
