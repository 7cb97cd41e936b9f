"""What models cost: download and memory by their shape, seconds as measured on this machine, and never invented."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from test_models_command import invoke
from typer.testing import CliRunner

import birefvideo
from birefvideo.cli import app
from birefvideo.errors import ModelError, OutputError
from birefvideo.family import costs, measured
from birefvideo.family.client import constants
from birefvideo.family.empty_network import empty_network
from birefvideo.family.measured import Measured, keep, measurements
from birefvideo.family.variants import VARIANTS
from birefvideo.jobs import measure
from birefvideo.network.birefnet import Geometry
from birefvideo.network.swin import SWIN_SIZES, SwinSize

pytestmark = pytest.mark.usefixtures("empty_cache")

ONE = Measured(1.25, 2_900_000_000, (1024, 1024), "float32", "a CPU", 2, own_weights=False)


@pytest.fixture(autouse=True)
def device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measured, "this_device", lambda device=None: ("a CPU", 2))


@pytest.mark.parametrize("backbone", costs.PARAMETERS)
def test_a_networks_weights_are_counted_right(backbone: str) -> None:
    network = empty_network(Geometry(backbone))
    assert costs.PARAMETERS[backbone] == sum(weight.numel() for weight in network.parameters())


def test_downloads_follow_from_the_shape_or_from_the_file_that_is_here() -> None:
    files = {name: costs.download_of(row) for name, row in VARIANTS.items()}
    folder = VARIANTS["talk"].folder
    assert folder and files["talk"] == ((size := (folder / "model.safetensors").stat().st_size), size)
    assert files["general"] == (440_352_996, 880_705_992)
    assert files["rmbg-2.0"] is None


def test_memory_grows_with_the_networks_input_and_is_unknown_where_the_shape_is() -> None:
    small, large = (costs.memory_of(VARIANTS["general"], size) for size in ((512, 512), (2048, 2048)))
    assert small and large and small < large
    assert costs.memory_of(VARIANTS["hr"]) == large
    assert costs.memory_of(VARIANTS["rmbg-2.0"]) is None


def test_a_measurement_counts_for_its_device_and_threads_only(monkeypatch: pytest.MonkeyPatch) -> None:
    assert measurements() == {} and costs.cost_of(VARIANTS["general"]).seconds is None
    keep("general", ONE)
    keep("general", replace(ONE, seconds=0.5, threads=4))
    keep("lite", replace(ONE, seconds=0.1, device="a GPU"))
    assert measurements() == {"general": ONE}
    assert costs.cost_of(VARIANTS["general"]).seconds == 1.25
    monkeypatch.setattr(measured, "this_device", lambda device=None: ("a CPU", 4))
    assert costs.cost_of(VARIANTS["general"]).seconds == 0.5
    monkeypatch.setattr(measured, "this_device", lambda device=None: ("a GPU", 2))
    assert list(measurements()) == ["lite"]


@pytest.mark.parametrize(
    "change",
    [
        {"seconds": "x"},
        {"seconds": -1},
        {"seconds": 1e300},
        {"memory": None},
        {"size": [1]},
        {"size": 3},
        {"threads": 0},
    ],
)
def test_a_damaged_measurement_counts_as_none(change: dict[str, object], empty_cache: Path) -> None:
    keep("general", ONE)
    path = empty_cache / "birefvideo" / "measured" / "speed.json"
    key = next(iter(json.loads(path.read_text())))
    for text in (json.dumps({key: {**asdict(ONE), **change}}), json.dumps({key: 3}), "[]", "{", ""):
        path.write_text(text)
        assert measurements() == {}
    keep("general", ONE)
    assert measurements() == {"general": ONE}


def test_a_measurement_that_cannot_be_kept_names_the_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HOME", "/proc/nowhere")
    with pytest.raises(OutputError, match="set HF_HOME"):
        keep("general", ONE)


def test_the_list_shows_costs_within_80_columns_and_seconds_only_where_they_were_measured() -> None:
    before = CliRunner().invoke(app, ["models"], env={"COLUMNS": "80"}).stdout
    assert "s a frame)" not in before and "(440 or 881 MB, about 3.5 GB of memory)" in before
    keep("general", ONE)
    after = CliRunner().invoke(app, ["models"], env={"COLUMNS": "80"}).stdout
    assert after.count("s a frame)") == 1 and "(440 or 881 MB, 2.9 GB of memory, 1.25 s a frame)" in after
    assert max(map(len, (before + after).splitlines())) <= 80
    assert "1.25 s a frame of 1920×1080 (float32, a CPU, 2 threads)" in invoke("models", "general").stdout
    keep("general", replace(ONE, busy=True))
    assert "1.25 s a frame of 1920×1080 while busy (" in invoke("models", "general").stdout
    assert "2.9 GB, measured here" in invoke("models", "general").stdout
    assert "not measured here: birefvideo models --measure lite" in invoke("models", "lite").stdout
    assert "about 1.8 GB, for 1080p in float32 on a CPU" in invoke("models", "lite").stdout


def test_programs_and_python_get_the_same_numbers() -> None:
    keep("general", ONE)
    rows = {row["name"]: row for row in json.loads(invoke("models", "--json").stdout)}
    infos = {info.name: info for info in birefvideo.models()}
    assert rows["general"]["seconds_a_frame"] == infos["general"].seconds == 1.25
    assert rows["general"]["measured"]["own_weights"] is False
    assert rows["general"]["download_bytes"] == list(infos["general"].download or ())
    assert rows["general"]["memory_bytes"] == infos["general"].memory == ONE.memory
    assert rows["lite"]["seconds_a_frame"] is rows["lite"]["measured"] is infos["lite"].seconds is None
    assert rows["rmbg-2.0"]["download_bytes"] is rows["rmbg-2.0"]["memory_bytes"] is None


def test_a_network_is_measured_without_its_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SWIN_SIZES, "swin_v1_t", SwinSize(16, (2, 2, 6, 2), (2, 2, 2, 2), 7))
    monkeypatch.setattr(measure, "_SECONDS", 0.0)
    monkeypatch.setattr(measure, "PICTURE", (64, 64))
    found = measure.measured_here(replace(VARIANTS["lite"], size=(64, 64)))
    assert found.seconds > 0 and found.memory > 1e8
    assert (found.size, found.own_weights, found.threads) == ((64, 64), False, torch.get_num_threads())
    with pytest.raises(ModelError, match="get them first"):
        measure.measured_here(VARIANTS["rmbg-2.0"])


@pytest.mark.slow
def test_measuring_runs_in_a_process_of_its_own_and_is_kept(empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HOME", str(empty_cache))
    result = invoke("models", "--measure")  # those that are here
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("talk: ") and "a frame of 1920×1080" in result.stdout
    (key,) = json.loads((empty_cache / "birefvideo" / "measured" / "speed.json").read_text())
    assert key.startswith("talk | ")


@pytest.mark.parametrize("more", [["--json"], ["--download"], ["--from", "x"]])
def test_measuring_goes_alone(more: list[str]) -> None:
    result = invoke("models", "talk", "--measure", *more)
    assert result.exit_code == 2 and "--measure goes alone" in result.stderr
