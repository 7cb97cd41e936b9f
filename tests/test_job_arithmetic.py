"""What a job computes in, and in which batches: planned, kept when it goes on, and told."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

import birefvideo
from birefvideo.cli import app
from birefvideo.errors import DeviceError, OptionError
from birefvideo.jobs import plan
from birefvideo.jobs.manifest import MANIFEST
from birefvideo.matting import devices
from birefvideo.matting.engine import Engine
from birefvideo.matting.predict import Predictor
from birefvideo.matting.slots import PictureKind, Slot
from birefvideo.matting.streams import Backend

GetClip = Callable[[str], Path]


@pytest.fixture
def short_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    """Segments of four frames at 24 a second."""
    monkeypatch.setattr(plan, "SEGMENT_SECONDS", Fraction(1, 6))
    monkeypatch.setattr(plan, "SHORTEST_TAIL", Fraction(1, 12))


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int | None, str]]:
    """The batch and dtype of every job that starts."""
    seen: list[tuple[int | None, str]] = []
    plain = Predictor.__init__

    def noted(predictor: Predictor, engine: Engine, batch: int | None = None, **options: bool) -> None:
        plain(predictor, engine, batch, **options)
        seen.append((batch, predictor.report.dtype))

    monkeypatch.setattr(Predictor, "__init__", noted)
    return seen


def with_room_for(monkeypatch: pytest.MonkeyPatch, batch: int) -> None:
    def batch_for(engine: Engine, kind: PictureKind, aspect: Fraction) -> int:
        return batch

    monkeypatch.setattr(Engine, "batch_for", batch_for)


def stop_at(frame: int) -> Callable[[], None]:
    seen: list[int] = []

    def progress() -> None:
        seen.append(1)
        if len(seen) == frame:
            raise KeyboardInterrupt

    return progress


def matte(source: Path, network: Path, frames_done: list[int] | None = None, **options: object) -> None:
    counted: list[int] = [] if frames_done is None else frames_done
    birefvideo.matte(source, to="matte", model=str(network), progress=lambda: counted.append(1), **options)  # type: ignore[arg-type]


def test_a_job_that_goes_on_keeps_its_batch_though_less_memory_is_free(
    copy: GetClip,
    network: Path,
    monkeypatch: pytest.MonkeyPatch,
    short_segments: None,
    begun: list[tuple[int | None, str]],
) -> None:
    source = copy("short_gops")
    with_room_for(monkeypatch, 3)
    with pytest.raises(KeyboardInterrupt):
        birefvideo.matte(source, to="matte", model=str(network), dtype="float32", progress=stop_at(15))
    with_room_for(monkeypatch, 1)
    done: list[int] = []
    matte(source, network, done, dtype="float32")
    assert begun == [(3, "float32"), (3, "float32")]
    assert len(done) < 15, "it began from the start"


@pytest.mark.parametrize("changed", [{"dtype": "float32"}, {"batch": 2}])
def test_another_dtype_or_batch_asked_for_is_another_job(
    changed: dict[str, object],
    copy: GetClip,
    network: Path,
    monkeypatch: pytest.MonkeyPatch,
    short_segments: None,
    begun: list[tuple[int | None, str]],
) -> None:
    source = copy("short_gops")
    with_room_for(monkeypatch, 3)
    with pytest.raises(KeyboardInterrupt):
        birefvideo.matte(source, to="matte", model=str(network), dtype="bfloat16", progress=stop_at(15))
    done: list[int] = []
    matte(source, network, done, overwrite=True, **{"dtype": "bfloat16", **changed})
    assert len(done) == 24
    assert begun[1] == (changed.get("batch", 3), changed.get("dtype", "bfloat16"))


def test_a_damaged_manifest_gives_no_batch(copy: GetClip, network: Path, begun: list[tuple[int | None, str]]) -> None:
    source = copy("short_gops")
    folder = source.parent / f"{source.stem}.birefvideo"
    folder.mkdir()
    cases: list[dict[str, object]] = [{"settings": {"batch": 7}}, {"settings": 3}, {"settings": {"batch": []}}]
    cases.append({"places": 3})
    for values in cases:
        (folder / MANIFEST).write_text(json.dumps({"birefvideo_job": 1, **values}))
        birefvideo.matte(source, to="matte", model=str(network), overwrite=True, end=0.1)
        folder.mkdir()
    folder.rmdir()
    assert [batch for batch, _ in begun] == [1] * 4


def test_the_line_that_a_job_starts_with_tells_the_dtype(copy: GetClip, network: Path) -> None:
    source = copy("short_gops")
    result = CliRunner().invoke(
        app, ["matte", str(source), "--to", "matte", "--model", str(network), "--dtype", "float16", "--end", "0.1"]
    )
    assert result.exit_code == 0 and "on cpu, float16" in result.output


def test_a_dtype_that_does_not_exist_is_a_bad_option(copy: GetClip) -> None:
    result = CliRunner().invoke(app, ["matte", str(copy("short_gops")), "--dtype", "fp8"])
    assert result.exit_code == 2
    with pytest.raises(OptionError, match="auto, float32, bfloat16, float16"):
        next(birefvideo.mattes(copy("short_gops"), dtype="fp8"))


def test_a_dtype_that_the_device_cannot_do_is_an_error_before_anything_is_written(
    copy: GetClip, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = copy("short_gops")
    cpu = devices.KINDS["cpu"]
    too_old = devices.Arithmetic(torch.float16, able=(2, 0), chosen=None)
    rows = (*(row for row in cpu.arithmetic if row.dtype != torch.float16), too_old)
    monkeypatch.setitem(devices.KINDS, "cpu", replace(cpu, arithmetic=rows, level_name="level"))
    result = CliRunner().invoke(app, ["matte", str(source), "--dtype", "float16"])
    assert result.exit_code == 1
    with pytest.raises(DeviceError, match=r"float16 needs level 2\.0 or newer and cpu has"):
        birefvideo.matte(source, dtype="float16")
    assert [path.name for path in source.parent.iterdir()] == [source.name]


def test_mattes_computes_in_the_dtype_asked_for(copy: GetClip, network: Path) -> None:
    source = copy("short_gops")
    first = [next(birefvideo.mattes(source, model=str(network), dtype=name, smooth=0)) for name in devices.DTYPES[1:]]
    alphas = [frame.alpha for frame in first]
    assert all(alpha is not None for alpha in alphas)
    assert len({alpha.tobytes() for alpha in alphas if alpha is not None}) == 3


@pytest.mark.parametrize("batch", [3, None])
def test_mattes_computes_in_the_batches_asked_for(
    copy: GetClip,
    network: Path,
    begun: list[tuple[int | None, str]],
    batch: int | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[int] = []
    launch, with_default = Engine.launch, 4

    def noted(engine: Engine, slot: Slot, backend: Backend[Any]) -> object:
        event = launch(engine, slot, backend)
        seen.append(len(slot.pixels(torch.float32)))
        return event

    monkeypatch.setattr(Engine, "launch", noted)
    with_room_for(monkeypatch, with_default)
    frames = list(birefvideo.mattes(copy("short_gops"), model=str(network), batch=batch, smooth=0))
    assert len(frames) == 24 and [given for given, _ in begun] == [batch]
    size = batch or with_default
    assert seen == [size] * (24 // size)


def test_the_manifest_holds_the_dtype_and_batch(
    copy: GetClip, network: Path, monkeypatch: pytest.MonkeyPatch, short_segments: None
) -> None:
    source = copy("short_gops")
    with_room_for(monkeypatch, 3)
    with pytest.raises(KeyboardInterrupt):
        birefvideo.matte(source, to="matte", model=str(network), dtype="float16", progress=stop_at(15))
    manifest = json.loads((source.parent / f"{source.stem}.birefvideo" / MANIFEST).read_text())
    assert manifest["options"]["dtype"] == "float16"
    assert (manifest["settings"]["dtype"], manifest["settings"]["batch"]) == ("float16", 3)
