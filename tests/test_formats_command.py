"""`birefvideo formats`, and the options of `matte` that choose what is written, from the outside."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np
import pytest
from outputs import decoded_video, rgb_and_alpha
from typer.testing import CliRunner, Result

import birefvideo
from birefvideo.cli import app
from birefvideo.cli.parse import with_values
from birefvideo.errors import OptionError
from birefvideo.media.format_table import FORMATS, PAIRS
from birefvideo.media.writing import availability

GetClip = Callable[[str], Path]


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(app, [*map(str, arguments)])


def test_the_list_names_every_format_with_its_file_and_where_it_opens() -> None:
    result = invoke("formats")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0].split()[:2] == ["--to", "file"]
    for row in FORMATS.values():
        assert any(line.startswith(f"{row.name} ") and f"STEM{row.suffix}" in line for line in lines), row.name
    assert "(default)" in result.stdout and "Resolve" in result.stdout


def test_json_says_the_same_for_programs() -> None:
    rows = json.loads(invoke("formats", "--json").stdout)
    assert [row["name"] for row in rows] == [*FORMATS, *PAIRS]
    assert [row["name"] for row in rows if row["default"]] == ["prores", "green"]
    assert all(row["file"] and row["content"] and row["opens_in"] for row in rows)


def test_a_format_is_unavailable_exactly_where_its_encoder_refuses_a_picture() -> None:
    said = {row["name"]: row["unavailable"] for row in json.loads(invoke("formats", "--json").stdout)}
    for name, row in FORMATS.items():
        try:
            context = cast(av.VideoCodecContext, av.CodecContext.create(row.codec, "w"))
            context.width = context.height = 64
            context.pix_fmt, context.time_base = row.pix_fmt, Fraction(1, 25)
            context.options = dict(row.codec_options)
            context.open()
        except (av.FFmpegError, OSError):
            assert said[name], name
        else:
            assert not said[name], name


def test_asking_for_what_the_encoder_cannot_write_names_the_alternatives(
    copy: GetClip, network: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(availability, "why_unavailable", lambda name: "no alpha" if name == "hevc-alpha" else "")
    source = copy("one_frame")
    result = invoke("matte", source, "--to", "hevc-alpha", "--model", network)
    assert result.exit_code == 2
    assert result.stderr.splitlines() == [
        line for line in result.stderr.splitlines() if "not possible here: no alpha" in line and "prores" in line
    ]
    assert sorted(path.name for path in source.parent.iterdir()) == [source.name]


def test_an_encoder_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(availability, "FORMATS", {"x": replace(FORMATS["prores"], codec="prores_of_tomorrow")})
    availability.why_unavailable.cache_clear()
    assert availability.why_unavailable("x") == "this FFmpeg has no encoder prores_of_tomorrow"
    availability.why_unavailable.cache_clear()


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["--premultiplied", "a.mp4"], ["--premultiplied", "black", "a.mp4"]),
        (["a.mp4", "--premultiplied"], ["a.mp4", "--premultiplied", "black"]),
        (["--premultiplied", "black", "a.mp4"], ["--premultiplied", "black", "a.mp4"]),
        (["--premultiplied", "#000", "a.mp4"], ["--premultiplied", "#000", "a.mp4"]),
        (["--premultiplied", "--quiet"], ["--premultiplied", "black", "--quiet"]),
        (["--", "--premultiplied"], ["--", "--premultiplied"]),
        (["a.mp4"], ["a.mp4"]),
    ],
)
def test_premultiplied_may_stand_without_its_colour(words: list[str], wanted: list[str]) -> None:
    assert with_values(words) == wanted


def test_premultiplied_reaches_the_file(copy: GetClip, network: Path) -> None:
    source = copy("one_frame")
    straight = birefvideo.matte(source, source.parent / "straight.mov", to="prores", model=str(network))
    result = invoke("matte", "--premultiplied", source, "--to", "prores", "--model", network)
    assert result.exit_code == 0, result.output
    colour, alpha = rgb_and_alpha(decoded_video(straight.outputs[0])[0])
    multiplied, same = rgb_and_alpha(decoded_video(source.with_name("one_frame_alpha.mov"))[0])
    assert np.abs(alpha - same).max() < 0.002 and 0.02 < alpha.mean() < 0.98
    assert np.abs(multiplied - colour * alpha).mean() < 0.01


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(["--premultiplied", "white", "--to", "prores"], "only black"), (["--premultiplied", "--to", "green"], "alpha")],
)
def test_what_cannot_be_premultiplied_is_refused(
    copy: GetClip, network: Path, arguments: list[str], words: str
) -> None:
    source = copy("one_frame")
    result = invoke("matte", source, *arguments, "--model", network)
    assert result.exit_code == 2 and words in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert sorted(path.name for path in source.parent.iterdir()) == [source.name]


def test_a_pair_is_two_files_of_one_size_and_times(copy: GetClip, network: Path) -> None:
    source = copy("vfr")
    made = birefvideo.matte(source, to="fill+matte", model=str(network))
    assert [path.name for path in made.outputs] == ["vfr_fill.mp4", "vfr_matte.mp4"]
    shown = []
    for path in made.outputs:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            shown.append((stream.width, stream.height, [p.pts for p in container.demux(stream) if p.pts is not None]))
    assert shown[0] == shown[1]
    with pytest.raises(OptionError, match="names one file, but 2 formats"):
        birefvideo.matte(source, source.parent / "pair.mp4", to="fill+matte", model=str(network))
