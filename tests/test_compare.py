"""Models beside each other: the same frames for all, mattes as `matte` makes them, whole files, honest messages."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from functools import cache
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from clips import write_clip
from typer.testing import CliRunner, Result

import birefvideo
from birefvideo.advice.advise import advice_from
from birefvideo.advice.measures import Measures
from birefvideo.cli import app
from birefvideo.comparison.choices import Wish
from birefvideo.comparison.command import matte_command, quoted
from birefvideo.comparison.cutouts import Cutouts, over, resized_cutout
from birefvideo.comparison.disagreement import hardest_edges, spread_of
from birefvideo.comparison.mattes import TooSlowError, chosen_frames, matted_row
from birefvideo.errors import ModelError, OptionError, OutputError
from birefvideo.frames import Span, VideoInfo
from birefvideo.jobs.loaded_model import LoadedModel
from birefvideo.jobs.options import Options
from birefvideo.media.reading.numbered_pictures import pictures_in
from birefvideo.media.reading.probe import probe

pytestmark = pytest.mark.usefixtures("empty_cache")

GetClip = Callable[[str], Path]
# The package's attribute of this name is the function.
comparing = import_module("birefvideo.comparison.compare")
TALKING_HEAD = Measures(width=128, height=72, frames=7, people=1.0, share=0.3, subjects=1, at_bottom=0.8)


@pytest.fixture
def advised(monkeypatch: pytest.MonkeyPatch) -> None:
    """Advice as of a talking head, so that no test waits for the embedded network."""

    def advise(info: VideoInfo, span: Span, device: Any) -> Any:
        return advice_from(TALKING_HEAD, info, span, device)

    monkeypatch.setattr(comparing, "advise_on", advise)


@cache
def loaded(model: str, size: object) -> LoadedModel:
    return LoadedModel(Options(model=model, size=size))  # type: ignore[arg-type]


@pytest.fixture
def loaded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every network is loaded once for all tests."""
    monkeypatch.setattr(comparing, "LoadedModel", lambda options: loaded(options.model, options.size))


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["compare", *map(str, arguments)], env={"COLUMNS": "80"})


def data_of(page: Path) -> dict[str, Any]:
    text = page.read_text(encoding="utf-8")
    start = text.index('id="data">') + len('id="data">')
    data: dict[str, Any] = json.loads(text[start : text.index("</script>", start)])
    return data


def picture_of(address: str) -> np.ndarray:
    raw = np.frombuffer(base64.b64decode(address.partition(",")[2]), np.uint8)
    return np.asarray(cv2.imdecode(raw, cv2.IMREAD_UNCHANGED))


@pytest.mark.usefixtures("advised", "loaded_once")
class TestCompare:
    def test_shows_every_model_at_every_size_on_the_same_frames(
        self, copy: GetClip, network: Path, other_network: Path
    ) -> None:
        source = copy("short_gops")
        found = birefvideo.compare(source, models=[network, other_network], sizes=[64, "128x64"], frames=2)
        assert (found.sheet.name, found.page.name) == ("short_gops_compare.png", "short_gops_compare.html")
        assert {path.name for path in source.parent.iterdir()} == {source.name, found.sheet.name, found.page.name}
        names = [network.name, other_network.name]
        assert [row.label for row in found.rows] == [f"{n} {size}" for n in names for size in ("64", "128×64")]
        assert [row.input for row in found.rows] == [(64, 32), (128, 64)] * 2
        assert all(row.seconds > 0 and len(row.coverage) == 2 for row in found.rows)
        assert list(found.frames) == sorted(set(found.frames)) and len(found.frames) == 2
        assert found.recommended == "" and "judge by the pictures" in found.reason
        data = data_of(found.page)
        assert [frame["seconds"] for frame in data["frames"]] == list(found.frames)
        assert all(len(frame["cutouts"]) == 4 for frame in data["frames"])
        assert data["rows"][1]["command"] == f"birefvideo matte {source} --model {network} --size 128x64"
        assert picture_of(data["frames"][0]["cutouts"][0]).shape == (data["height"], data["width"], 4)
        sheet = cv2.imread(str(found.sheet))
        assert max(sheet.shape) <= 4000

    def test_all_models_that_are_here_are_compared_by_default(self, copy: GetClip) -> None:
        found = birefvideo.compare(copy("one_frame"), sizes=[64])
        assert [row.model for row in found.rows] == ["talk"] and found.recommended == "talk 64"
        assert "portrait" in found.reason and "its weights are not on this machine" in found.reason
        assert [one.name for one in found.missing][:2] == ["general", "lite"]
        assert found.missing[0].get == "birefvideo models --download general"
        assert found.command.endswith("one_frame.mp4 --model talk --size 64")

    def test_an_unknown_and_an_absent_model_are_told_and_the_rest_compared(self, copy: GetClip, network: Path) -> None:
        source = copy("one_frame")
        result = invoke(source, "--models", f"{network},portait,hr", "--frames", "1")
        assert result.exit_code == 0, result.output
        assert "note: portait is left out: unknown model 'portait' (did you mean 'portrait'?)" in result.stdout
        assert (
            "note: hr is left out: its weights are not on this machine: birefvideo models --download hr"
            in result.stdout
        )
        assert source.with_name("one_frame_compare.html").exists()

    def test_with_no_model_left_it_is_an_error_in_one_line(self, copy: GetClip) -> None:
        source = copy("one_frame")
        for models, code in (("portait", 2), ("hr", 1), ("portait,hr", 1)):
            result = invoke(source, "--models", models)
            assert (result.exit_code, len(result.stderr.splitlines())) == (code, 1), models
        assert [path.name for path in source.parent.iterdir()] == [source.name]

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["--frames", "0"], "--frames is 0: give a number from 1 to 12"),
            (["--frames", "13"], "--frames is 13"),
            (["--sizes", "640,63"], "--sizes holds '63': give WIDTHxHEIGHT"),
            (["--models", "talk,,hr"], "--models is 'talk,,hr'"),
            (["--models", "auto"], "--models holds 'auto'"),
            (["--background", "gren"], "did you mean 'green'?"),
            (["-o", "sheet.png"], "which is no folder"),
            (["--start", "9"], "past the end"),
        ],
    )
    def test_a_bad_option_is_one_line(self, copy: GetClip, arguments: list[str], said: str) -> None:
        result = invoke(copy("one_frame"), *arguments)
        assert (result.exit_code, len(result.stderr.splitlines())) == (2, 1), result.output
        assert said in result.stderr

    def test_the_terminal_is_80_columns_wide_but_for_sentences_and_commands(self, copy: GetClip, network: Path) -> None:
        source = copy("one_frame")
        result = invoke(source, "--models", network, "--frames", "2", "--sizes", "64,1024x512")
        assert result.exit_code == 0, result.output
        table = result.stdout.split("\n\n")[0].splitlines()
        assert table[0] == "comparing 2 models on 1 frame" and max(map(len, table)) <= 80
        assert "1024×512" in table[-1]

    def test_json_is_for_programs(self, copy: GetClip, network: Path) -> None:
        result = invoke(copy("one_frame"), "--models", network, "--json")
        found = json.loads(result.stdout)
        assert found["rows"][0]["label"] == network.name and found["frames"] == [0.0]
        assert (Path(found["page"]).is_file() and found["missing"][0]["name"] == "talk") or found["missing"]

    def test_quiet_says_nothing(self, copy: GetClip, network: Path) -> None:
        assert invoke(copy("one_frame"), "--models", network, "-q").output == ""

    def test_nothing_is_overwritten_without_a_word(self, copy: GetClip, network: Path) -> None:
        source = copy("one_frame")
        mine = source.with_name("one_frame_compare.html")
        mine.write_text("mine")
        with pytest.raises(OutputError, match="exists already"):
            birefvideo.compare(source, models=[network])
        assert mine.read_text() == "mine" and not source.with_name("one_frame_compare.png").exists()
        birefvideo.compare(source, models=[network], overwrite=True)
        assert "<!doctype html>" in mine.read_text(encoding="utf-8")

    def test_both_files_appear_or_none(self, copy: GetClip, network: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        places = import_module("birefvideo.comparison.places")
        real = places.write_temporary

        def full(path: Path, data: bytes) -> Path:
            if path.suffix == ".html":
                raise OSError(28, "No space left on device", str(path))
            return real(path, data)

        monkeypatch.setattr(places, "write_temporary", full)
        source = copy("one_frame")
        with pytest.raises(OutputError, match="No space left"):
            birefvideo.compare(source, source.with_name("new"), models=[network])
        assert [path.name for path in source.parent.iterdir()] == [source.name]

    def test_a_file_that_appears_meanwhile_is_kept(
        self, copy: GetClip, network: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        source = copy("one_frame")
        mine = source.with_name("one_frame_compare.png")
        real = comparing.draw_sheet

        def drawing(*arguments: Any) -> Any:
            mine.write_text("mine")
            return real(*arguments)

        monkeypatch.setattr(comparing, "draw_sheet", drawing)
        with pytest.raises(OutputError, match="exists already"):
            birefvideo.compare(source, models=[network])
        assert mine.read_text() == "mine"
        assert {path.name for path in source.parent.iterdir()} == {source.name, mine.name}

    @pytest.mark.parametrize("name", ["rotated_90", "wide_pixels", "odd_444", "ten_bit", "vfr"])
    def test_pictures_of_every_shape_are_shown_in_theirs(self, copy: GetClip, network: Path, name: str) -> None:
        source = copy(name)
        found = birefvideo.compare(source, models=[network], frames=2)
        data, info = data_of(found.page), probe(source)
        assert data["width"] / data["height"] == pytest.approx(
            float(info.width * info.sample_aspect_ratio / info.height), rel=0.03
        )
        assert picture_of(data["frames"][-1]["source"]).shape[:2] == (data["height"], data["width"])

    def test_a_photo_and_numbered_pictures_are_inputs_too(self, tmp_path: Path, network: Path) -> None:
        rgb = np.random.default_rng(1).integers(0, 255, (48, 64, 3), np.uint8)
        (tmp_path / "frames").mkdir()
        for name in ("photo.png", "frames/1.png", "frames/2.png", "frames/3.png"):
            cv2.imwrite(str(tmp_path / name), rgb)
        assert birefvideo.compare(tmp_path / "photo.png", models=[network]).frames == (0.0,)
        found = birefvideo.compare(tmp_path / "frames", models=[network])
        assert found.sheet == tmp_path / "frames_compare.png" and len(found.frames) == 3

    def test_a_clip_with_nobody_in_it_is_shown_as_it_is(
        self, copy: GetClip, network: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def empty(self: Cutouts, row: int, index: int, frame: Any) -> None:
            keep(self, row, index, replace(frame, alpha=np.zeros_like(frame.alpha)))

        keep = Cutouts.keep
        monkeypatch.setattr(Cutouts, "keep", empty)
        data = data_of(birefvideo.compare(copy("plain"), models=[network], frames=3).page)
        assert data["edges"] == [] and len(data["frames"]) == 3

    def test_the_users_background_lies_under_the_cut_outs(self, copy: GetClip, network: Path, tmp_path: Path) -> None:
        cv2.imwrite(str(tmp_path / "red.png"), np.full((40, 40, 3), (0, 0, 255), np.uint8))
        source = copy("one_frame")
        found = birefvideo.compare(source, models=[network], background=tmp_path / "red.png")
        behind = picture_of(data_of(found.page)["frames"][0]["backdrop"])
        assert np.abs(behind.reshape(-1, 3).mean(0) - (0, 0, 255)).max() < 6
        assert f"--background {tmp_path / 'red.png'}" in found.command
        found = birefvideo.compare(source, models=[network], background="#123456", overwrite=True)
        assert data_of(found.page)["frames"][0]["backdrop"] == "#123456"
        assert found.command.endswith("--background '#123456'")

    def test_a_model_for_which_time_does_not_suffice_is_told(
        self, copy: GetClip, network: Path, other_network: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def wanted(models: object, sizes: object) -> Any:
            return [Wish("quick", str(network)), Wish("slow", str(other_network))], []

        def row(wish: Wish, *arguments: Any, most_seconds: float | None, **more: Any) -> Any:
            assert most_seconds is not None and most_seconds <= comparing.LIMIT
            if wish.label == "slow":
                raise TooSlowError(200)
            return real(wish, *arguments, most_seconds=most_seconds, **more)

        real = comparing.matted_row
        monkeypatch.setattr(comparing, "wishes", wanted)
        monkeypatch.setattr(comparing, "matted_row", row)
        result = invoke(copy("one_frame"))
        assert "comparing 2 models on 1 frame, within 10 minutes" in result.stdout
        assert "slow is left out: a frame takes 3 min here, and all would pass the limit of 10 min" in result.stdout
        assert "--models " in result.stdout

    def test_a_model_that_fails_stops_no_other(
        self, copy: GetClip, network: Path, other_network: Path, tmp_path: Path
    ) -> None:
        broken = tmp_path / "broken"
        shutil.copytree(other_network, broken)
        (broken / "model.safetensors").write_bytes(b"no weights")
        found = birefvideo.compare(copy("one_frame"), models=[broken, network])
        assert [row.label for row in found.rows] == [network.name]
        assert found.left_out[0].name.endswith("broken") and "\n" not in found.left_out[0].why
        with pytest.raises(ModelError):
            birefvideo.compare(copy("one_frame"), models=[broken], overwrite=True)

    def test_a_name_that_is_html_is_text(self, clip: GetClip, tmp_path: Path, network: Path) -> None:
        source = Path(shutil.copy(clip("one_frame"), tmp_path / "<script>alert(1)<!--{{data}}&amp;.mp4"))
        page = birefvideo.compare(source, models=[network]).page.read_text(encoding="utf-8")
        assert "<script>alert" not in page and page.count("<!--") == 0
        assert page.count("<script") == 2 and page.count("</script>") == 2


def test_mattes_are_those_of_matte_without_smoothing(copy: GetClip, network: Path, tmp_path: Path) -> None:
    source = copy("vfr")
    info, kept = probe(source), Cutouts(tmp_path)
    seen = chosen_frames(info, Span(), 5)
    frames = [one.frame for one in seen]
    model = LoadedModel(Options(model=str(network)))
    row = matted_row(Wish("a", str(network)), 0, frames, info, model, kept)
    mattes = {frame.pts: frame for frame in birefvideo.mattes(source, model=str(network), smooth=0)}
    for index, frame in enumerate(frames):
        wanted = mattes[frame.pts]
        cutout = kept.cutout(0, index)
        assert cutout.shape[:2] == (info.height, info.width)
        assert np.array_equal(cutout[..., 3], np.rint(255 * wanted.alpha).astype(np.uint8))
        assert row.coverage[index] == pytest.approx(float(wanted.alpha.mean()), abs=1e-4)


def test_a_slow_model_is_given_up_after_its_first_frames(copy: GetClip, network: Path, tmp_path: Path) -> None:
    info = probe(copy("plain"))
    frames = [one.frame for one in chosen_frames(info, Span(), 6)]
    model = LoadedModel(Options(model=str(network), batch=1))
    with pytest.raises(TooSlowError):
        matted_row(Wish("a", "a"), 0, frames, info, model, Cutouts(tmp_path), most_seconds=0.0)
    assert not list(tmp_path.glob("row_*"))


@pytest.mark.parametrize("count", [1, 2, 3, 12])
def test_so_many_frames_are_chosen_in_order_of_time(clip: GetClip, count: int) -> None:
    seen = chosen_frames(probe(clip("short_gops")), Span(), count)
    times = [one.frame.pts for one in seen]
    assert len(times) == count and times == sorted(set(times))
    with pytest.raises(OptionError, match="from 1 to 12"):
        chosen_frames(probe(clip("plain")), Span(), 13)


def test_our_sheets_are_no_pictures_of_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "shots"
    folder.mkdir()
    ours = ["photo_compare.png", "shots_compare.png", "take_preview.png"]
    theirs = ["before_compare.png", "photo.jpg", "take_01.png"]
    for name in (*ours, *theirs):
        (folder / name).write_bytes(b"")
    assert [path.name for path in pictures_in(folder)] == theirs


NAMES = ["a b.mp4", "it's.mp4", "-x.mp4", "$(touch a).mp4", "a\nb.mp4", "`a`.mp4", "ü–é.mp4", "\udcff.mp4", 'q"\\.mp4']


@pytest.mark.parametrize("name", [*NAMES, "‮gpj.exe", "a'\nb\\.mp4"])
def test_a_shell_reads_the_command_as_meant(name: str) -> None:
    options = Options(model="talk", size="128x64", background="#ff0000", start="1:02.5")
    command = matte_command(Path(name), options)
    assert "\n" not in command and "‮" not in command
    done = subprocess.run(["bash", "-c", f"printf '%s\\0' {command}"], capture_output=True, check=True)
    words = [word.decode(errors="surrogateescape") for word in done.stdout.split(b"\0")[:-1]]
    file = f"./{name}" if name.startswith("-") else name
    assert words[:5] == ["birefvideo", "matte", file, "--model", "talk"]
    assert words[5:] == ["--size", "128x64", "--background", "#ff0000", "--start", "62.5"]


def test_plain_words_are_not_quoted() -> None:
    assert quoted("clip.mp4") == "clip.mp4"


def cutout(alpha: np.ndarray, colour: tuple[int, int, int] = (200, 100, 50)) -> np.ndarray:
    return np.dstack([np.full((*alpha.shape, 3), colour, np.uint8), alpha.astype(np.uint8)])


def test_what_is_transparent_lends_no_colour_to_an_edge_that_shrinks() -> None:
    alpha = np.zeros((64, 64))
    alpha[:, :31] = 255
    picture = cutout(alpha)
    picture[:, 31:, :3] = 0  # black, as beyond the foreground's margin
    small = resized_cutout(picture, (16, 16))
    assert set(small[0, :, 3]) == {0, 191, 255}
    assert np.abs(small[small[..., 3] > 0][:, :3].astype(int) - (200, 100, 50)).max() <= 1
    assert tuple(over(small, np.array((0, 0, 0), np.uint8))[0, 0]) == (200, 100, 50)


def test_models_differ_where_one_says_subject_and_another_background() -> None:
    one, other = np.zeros((40, 60)), np.zeros((40, 60))
    one[10:20, 30:45] = 255
    spread = spread_of([cutout(one), cutout(other)])
    assert np.array_equal(spread, one.astype(np.uint8))
    single = spread_of([cutout(np.full((4, 4), 128))])
    assert single.min() >= 254 and spread_of([cutout(one)]).max() == 0


def test_the_hardest_edges_are_different_places() -> None:
    spreads = [np.zeros((90, 160), np.uint8) for _ in range(3)]
    spreads[0][20:26, 30:40] = 200
    spreads[1][20:26, 30:40] = 255
    spreads[2][70:75, 120:130] = 90
    edges = hardest_edges(spreads, (1600, 900), (200, 150), 6)
    assert [edge.frame for edge in edges] == [1, 2]
    for edge, (x, y) in zip(edges, ((350, 230), (1250, 725)), strict=True):
        assert edge.left <= x <= edge.left + edge.width and edge.top <= y <= edge.top + edge.height
        assert (edge.width, edge.height) == (200, 150)
        assert 0 <= edge.left <= 1400 and 0 <= edge.top <= 750
    tiny = hardest_edges([np.full((9, 16), 9, np.uint8)], (16, 9), (200, 150), 6)
    assert [(edge.left, edge.top, edge.width, edge.height) for edge in tiny] == [(0, 0, 16, 9)]


@pytest.mark.slow
def test_a_4k_clip_is_looked_at_at_few_places(tmp_path: Path, network: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def advise(info: VideoInfo, span: Span, device: Any) -> Any:
        return advice_from(TALKING_HEAD, info, span, device)

    monkeypatch.setattr(comparing, "advise_on", advise)
    source = write_clip(tmp_path / "uhd.mp4", size=(3840, 2160), frames=3, rate=Fraction(1), audio_tracks=0)
    found = birefvideo.compare(source, models=[network], frames=2)
    data = data_of(found.page)
    assert (data["width"], data["height"]) == (960, 540)
    assert [list(edge["of"]) for edge in data["edges"]][:1] == [[3840, 2160]]
    assert found.page.stat().st_size < 20_000_000
    assert picture_of(data["edges"][0]["source"]).shape[:2] == (150, 200)
    assert list(islice(found.frames, 2)) == sorted(found.frames)
