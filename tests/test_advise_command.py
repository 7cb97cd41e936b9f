"""`birefvideo advise`, and the model that `matte` takes by itself, from the outside."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from importlib import import_module
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from clips import write_clip
from drawn_scenes import HD, wall
from typer.testing import CliRunner, Result

import birefvideo
from birefvideo.advice import advise as advising
from birefvideo.advice.measures import Measures
from birefvideo.cli import app
from birefvideo.family.variants import EMBEDDED
from birefvideo.frames import Span
from birefvideo.jobs import choose_model, plan
from birefvideo.matting.devices import find_device
from birefvideo.media.reading.probe import probe

pytestmark = pytest.mark.usefixtures("empty_cache")

GetClip = Callable[[str], Path]
# The package's attributes of these names are the commands.
command, models_command = (import_module(f"birefvideo.cli.{name}") for name in ("advise", "models"))
SAMPLE = Path(__file__).resolve().parent.parent / "samples" / "astronaut_rgba.png"


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(app, list(map(str, arguments)), env={"COLUMNS": "80"})


@pytest.fixture
def portrait(tmp_path: Path) -> Path:
    """A person before a wall, cut off by the lower edge, as a photo."""
    rgba = cv2.imread(str(SAMPLE), cv2.IMREAD_UNCHANGED)
    ground = wall((rgba.shape[1], rgba.shape[0]), (150, 60, 40)).astype(np.float32)
    alpha = rgba[..., 3:].astype(np.float32) / 255
    photo = rgba[..., :3] * alpha + ground[..., ::-1] * (1 - alpha)
    cv2.imwrite(str(tmp_path / "photo.png"), photo.astype(np.uint8))
    return tmp_path / "photo.png"


@pytest.fixture
def room(tmp_path: Path) -> Path:
    """A photo with nobody in it."""
    cv2.imwrite(str(tmp_path / "room.png"), wall(HD, (20, 60, 90), 160))
    return tmp_path / "room.png"


def test_a_photo_of_a_person_gets_a_choice_a_reason_and_what_would_change_it(portrait: Path) -> None:
    result = invoke("advise", portrait)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0].startswith("photo.png: ")
    assert [line.split()[0] for line in lines if line.startswith("  why")] == ["why"]
    assert any(line.startswith("  get it  birefvideo models --download ") for line in lines)
    assert any(line.startswith("  unless  ") and "→" in line for line in lines)
    assert lines[-1] == f"  run     birefvideo matte {portrait} --model talk"
    assert max(len(line) for line in lines if "birefvideo" not in line) <= 80


def test_where_nobody_is_the_embedded_model_is_called_unfit(room: Path) -> None:
    result = invoke("advise", room)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("room.png: general, but its weights are not on this machine")
    assert "talk    not for this picture: it finds nobody here" in result.stdout


def test_json_has_everything_and_is_the_same_twice(room: Path) -> None:
    first, again = (invoke("advise", room, "--json", "--commercial") for _ in range(2))
    assert first.exit_code == 0 and first.stdout == again.stdout
    (found,) = json.loads(first.stdout)
    assert found["best"] == "general" and found["choice"] == EMBEDDED and found["measures"]["people"] == 0
    assert found["frames"] == 1 and found["measures"]["width"] == HD[0]


def test_several_inputs_are_told_one_after_another_and_a_bad_one_stops_no_other(room: Path) -> None:
    (room.parent / "text.mp4").write_text("no clip")
    result = invoke("advise", room.parent / "text.mp4", room)
    assert result.exit_code == 1
    assert "room.png: general" in result.stdout and "text.mp4" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.mp4"], "does not exist"),
        (["--device", "quantum"], "give one of auto, cpu"),
        (["--json", "--download"], "leave out --download"),
    ],
)
def test_bad_calls_end_in_a_line(room: Path, arguments: list[str], message: str) -> None:
    names = arguments if not arguments[0].startswith("--") else [str(room), *arguments]
    result = invoke("advise", *names)
    assert result.exit_code in (1, 2) and message in result.stderr and len(result.stderr.splitlines()) == 1


def test_nothing_is_fetched_unless_asked_for(room: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fetched: list[str] = []
    monkeypatch.setattr(models_command, "download_all", lambda names, *_: fetched.extend(names))
    assert invoke("advise", room).exit_code == 0
    assert not fetched
    assert invoke("advise", room, "--download").exit_code == 0
    assert fetched == ["general"]


@pytest.mark.parametrize(("answer", "wanted"), [("y\n", ["general"]), ("\n", [])])
def test_on_a_terminal_a_download_is_asked_for(
    room: Path, monkeypatch: pytest.MonkeyPatch, answer: str, wanted: list[str]
) -> None:
    fetched: list[str] = []
    monkeypatch.setattr(models_command, "download_all", lambda names, *_: fetched.extend(names))
    monkeypatch.setattr(command, "_on_terminal", lambda: True)
    result = CliRunner().invoke(app, ["advise", str(room)], input=answer)
    assert result.exit_code == 0, result.output
    assert "Fetch general now?" in result.stdout and fetched == wanted


def test_python_gives_the_same_advice(room: Path) -> None:
    found = birefvideo.advise(room, device="cpu")
    assert isinstance(found, birefvideo.Advice)
    assert (found.best, found.rule) == ("general", "nobody")
    with pytest.raises(birefvideo.OptionError, match="device is 'quantum'"):
        birefvideo.advise(room, device="quantum")


class TestPartOfAClip:
    """`--start` and `--end`, which mean what they mean for `matte`."""

    @pytest.fixture
    def looked(self, monkeypatch: pytest.MonkeyPatch) -> list[Span]:
        """The spans that were looked at; nothing is measured."""
        spans: list[Span] = []

        def measures_of(info: Any, span: Span, device: Any) -> list[Measures]:
            spans.append(span)
            return [Measures(people=1.0, subjects=1, at_bottom=0.9, tones=60.0)]

        monkeypatch.setattr(advising, "measures_of", measures_of)
        return spans

    def test_it_is_what_a_job_covers_and_is_in_the_command(self, copy: GetClip, looked: list[Span]) -> None:
        source = copy("short_gops")
        result = invoke("advise", source, "--start", "0.25", "--end", "0:00.5")
        assert result.exit_code == 0, result.output
        info = probe(source)
        assert looked == [plan.trimmed_span(info, Fraction(1, 4), Fraction(1, 2))]
        said = result.stdout.splitlines()
        assert f"  run     birefvideo matte {source} --model talk --start 0.25 --end 0.5" in said
        assert birefvideo.advise(source, start=0.25, end="0.5").frames == 6

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["--start", "99"], "--start 99 s is past the end of short_gops.mp4"),
            (["--end", "soon"], "--end is 'soon'"),
            (["--start", "2", "--end", "1"], "--end"),
        ],
    )
    def test_bad_times_are_one_line(self, copy: GetClip, looked: list[Span], arguments: list[str], said: str) -> None:
        result = invoke("advise", copy("short_gops"), *arguments)
        assert (result.exit_code, len(result.stderr.splitlines())) == (2, 1), result.output
        assert said in result.stderr and not looked

    def test_a_picture_is_always_whole(self, room: Path, looked: list[Span]) -> None:
        assert invoke("advise", room, "--start", "5").exit_code == 0
        assert looked == [Span()]


class TestMatte:
    """What `matte --model auto` takes."""

    @pytest.fixture
    def source(self, clip: GetClip, tmp_path: Path) -> Path:
        return Path(shutil.copy(clip("short_gops"), tmp_path / "take.mp4"))

    @pytest.fixture
    def several(self, monkeypatch: pytest.MonkeyPatch) -> list[Span]:
        """As if several variants were here, of which the embedded one is advised; the spans that were looked at."""
        looked: list[Span] = []
        measures = Measures(people=1.0, subjects=1, at_bottom=0.9, tones=60.0)

        def advise_on(info: Any, span: Span, device: Any, **more: bool) -> advising.Advice:
            looked.append(span)
            return replace(advising.advice_from(measures, info, span, device, **more), choice=EMBEDDED)

        monkeypatch.setattr(choose_model, "candidates", lambda *_, **__: [EMBEDDED, "portrait"])
        monkeypatch.setattr(choose_model, "advise_on", advise_on)
        return looked

    def receipt(self, source: Path) -> Any:
        return json.loads(source.with_name("take_alpha.json").read_text())["outputs"]["take_alpha.mov"]

    def test_nothing_is_measured_where_only_one_model_is_here(
        self, source: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(choose_model, "advise_on", None)
        result = invoke("matte", source, "--to", "prores", "--size", "64", "--end", "0.2")
        assert result.exit_code == 0, result.output
        assert "model talk (embedded; " in result.stdout
        assert "advice" not in source.with_name("take_alpha.json").read_text()

    def test_the_advice_is_told_and_kept_in_the_receipt(self, source: Path, several: list[Span]) -> None:
        result = invoke("matte", source, "--to", "prores", "--size", "64", "--end", "0.2")
        assert result.exit_code == 0, result.output
        assert "model talk (advised: talking head; portrait is not usable here)" in " ".join(result.stdout.split())
        assert len(several) == 1 and several[0].end is not None
        text = source.with_name("take_alpha.json").read_text()
        assert '"rule": "talking head"' in text and '"at_bottom": 0.9' in text

    def test_a_named_model_is_not_questioned(self, source: Path, several: list[Span]) -> None:
        birefvideo.matte(source, to="prores", model="talk", size=64, end=0.2)
        assert not several

    def test_a_stopped_job_keeps_its_model_and_its_advice(
        self, source: Path, several: list[Span], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(plan, "SEGMENT_SECONDS", Fraction(1, 6))
        monkeypatch.setattr(plan, "SHORTEST_TAIL", Fraction(1, 12))
        seen = 0

        def stop() -> None:
            nonlocal seen
            seen += 1
            if seen == 6:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            birefvideo.matte(source, to="prores", size=64, end=0.5, progress=stop)
        monkeypatch.setattr(choose_model, "advise_on", None)  # another look would fail
        result = birefvideo.matte(source, to="prores", size=64, end=0.5)
        assert result.computed < result.frames
        assert '"rule": "talking head"' in source.with_name("take_alpha.json").read_text()


def test_the_same_look_twice_gives_the_same_measures(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "clip.mp4", frames=3)
    device = find_device("cpu")
    one, other = (advising.advise_on(probe(source), Span(), device) for _ in range(2))
    assert one == other
