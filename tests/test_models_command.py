"""`birefvideo models` and `matte --model --size` from the outside."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hub_server import HubServer
from typer.testing import CliRunner, Result

import birefvideo
from birefvideo.cli import app
from birefvideo.errors import OptionError
from birefvideo.family import checkpoints, importing
from birefvideo.family.variants import VARIANTS
from birefvideo.jobs.loaded_model import LoadedModel
from birefvideo.matting.input_size import InputSize

pytestmark = pytest.mark.usefixtures("empty_cache")

THEIRS = "somebody/their-model"


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(app, list(map(str, arguments)), env={"COLUMNS": "120"})


def run_models(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The program itself, since the client reads its variables when it is imported."""
    command = [sys.executable, "-m", "birefvideo", "models", *arguments]
    quiet = {"HF_HUB_DISABLE_TELEMETRY": "1", "OMP_NUM_THREADS": "1"}
    clean = {k: v for k, v in os.environ.items() if not k.startswith("HF_")}
    return subprocess.run(command, env={**clean, **quiet, **environment}, capture_output=True, text=True, timeout=120)


def test_the_list_has_every_model_and_fits_the_terminal() -> None:
    result = invoke("models")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert [line.split()[0] for line in lines if line[:1].isalpha()][1:-2] == list(VARIANTS)
    assert max(map(len, lines)) <= 120
    assert "non-commercial, gated" in result.stdout and "embedded" in result.stdout


@pytest.mark.parametrize("name", [*VARIANTS, THEIRS])
def test_one_is_explained_with_the_commands_that_get_and_use_it(name: str) -> None:
    result = invoke("models", name)
    assert result.exit_code == 0, result.output
    text, row = result.stdout, VARIANTS.get(name)
    assert f"birefvideo matte CLIP --model {name}" in text
    assert (f"birefvideo models --download {name}" in text) == (name == THEIRS or bool(row and row.hub_id))
    assert (f"birefvideo models {name} --from" in text) == (row is not None and not row.embedded)
    if row:
        told = (row.best_for, row.avoid, row.training, row.licence, row.access, *(f.source for f in row.figures))
        assert all(part in text for part in told)


def test_json_has_every_field_and_where_the_weights_lie() -> None:
    rows = {row["name"]: row for row in json.loads(invoke("models", "--json").stdout)}
    assert list(rows) == list(VARIANTS)
    assert Path(rows["talk"]["weights"]).is_file()
    embedded = checkpoints.find("talk")
    assert embedded.geometry and rows["talk"]["backbone"] == embedded.geometry.backbone
    assert rows["portrait"]["weights"] is None
    assert rows["portrait"]["figures"][0]["text"] == "P3M-500-P: S 0.983, wF 0.989"
    assert [row["name"] for row in json.loads(invoke("models", "cod", "--json").stdout)] == ["cod"]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["portret"], 2, "unknown model 'portret'"),
        (["--download"], 2, "needs a NAME"),
        (["--download", "portret"], 2, "unknown model 'portret'"),
        (["--download", "massive"], 1, "GitHub release asset"),
        (["--update", "portrait"], 2, "goes with --download only"),
        (["--from", "x"], 2, "needs one NAME"),
        (["portrait", "matting", "--from", "x"], 2, "needs one NAME"),
        (["portrait", "--from", "x", "--download"], 2, "choose one"),
        (["portrait", "--from", "nowhere"], 1, "check the path"),
        (["talk", "--from", "nowhere"], 2, "cannot import as 'talk'"),
        ([THEIRS, "--from", "nowhere"], 2, "cannot import as 'somebody/their-model'"),
    ],
)
def test_a_wrong_command_gets_one_line(arguments: list[str], code: int, words: str) -> None:
    result = invoke("models", *arguments)
    assert result.exit_code == code, result.output
    assert len(result.stderr.splitlines()) == 1
    assert words in result.stderr


def test_the_embedded_one_needs_no_download() -> None:
    result = invoke("models", "--download", "talk")
    assert (result.exit_code, result.stdout) == (0, "talk: part of the package\n")


def test_offline_mode_makes_no_request(tmp_path: Path) -> None:
    with HubServer() as server:
        made = run_models("--download", "portrait", HF_ENDPOINT=server.url, HF_HOME=str(tmp_path), HF_HUB_OFFLINE="1")
        assert server.requests == []
    assert (made.returncode, made.stdout) == (1, "")
    assert made.stderr.startswith("birefvideo: HF_HUB_OFFLINE is set, so portrait was not fetched")
    assert len(made.stderr.splitlines()) == 1


def test_a_model_is_downloaded_from_the_endpoint_and_mattes_offline(
    clip: Callable[[str], Path], network: Path, empty_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {name: (network / name).read_bytes() for name in ("model.safetensors", "config.json")}
    with HubServer() as server:
        server.publish(THEIRS, files)
        made = run_models("--download", THEIRS, "nobody/nothing", HF_ENDPOINT=server.url, HF_HOME=str(empty_cache))
    assert made.returncode == 1
    assert f"{THEIRS}: downloaded, checked" in made.stdout
    (line,) = made.stderr.splitlines()
    assert line.startswith(f"birefvideo: {server.url} refuses nobody/nothing (401)")
    assert invoke("models", THEIRS).stdout.count("cached: ") == 1
    out = tmp_path / "out.mov"
    result = invoke("matte", clip("plain"), "--model", THEIRS, "-o", out)
    assert result.exit_code == 0, result.output
    assert out.exists()


def test_damaged_weights_are_refused_by_matte(
    clip: Callable[[str], Path], network: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    geometry = checkpoints.find(str(network)).geometry  # small, in place of Swin-T's
    for module in (checkpoints, importing):
        monkeypatch.setattr(module, "native_size", lambda row: InputSize(fixed=(64, 64)))
        monkeypatch.setattr(module, "Geometry", lambda backbone: geometry)
    result = invoke("models", "lite", "--from", network)
    assert (result.exit_code, result.stdout.split(",")[0]) == (0, "lite: imported"), result.output
    assert invoke("matte", clip("plain"), "--model", "lite", "-o", tmp_path / "out.mov").exit_code == 0
    weights = checkpoints.find("lite").weights
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    result = invoke("matte", clip("plain"), "--model", "lite", "-o", tmp_path / "again.mov")
    assert result.exit_code == 1
    assert "is damaged or was exchanged" in result.stderr
    with pytest.raises(birefvideo.BirefvideoError, match="is damaged or was exchanged"):
        birefvideo.load_model("lite")


def test_size_reaches_the_network_and_the_manifest(
    clip: Callable[[str], Path], network: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    real = LoadedModel.settings

    def settings(self: LoadedModel, info: birefvideo.frames.VideoInfo) -> object:
        seen.append(real(self, info))
        return seen[-1]

    monkeypatch.setattr(LoadedModel, "settings", settings)
    result = invoke("matte", clip("plain"), "--model", network, "--size", "96x64", "-o", tmp_path / "out.mov")
    assert result.exit_code == 0, result.output
    birefvideo.matte(clip("plain"), tmp_path / "api.mov", to="prores", model=str(network), size=64)
    assert [s["size"] for s in seen] == [(96, 64), InputSize(long_side=64).network_size(96, 64)]
    assert next(birefvideo.mattes(clip("plain"), model=str(network), size=(96, 64))).alpha is not None


@pytest.mark.parametrize("size", ["100", "1024x100", "32", "0", "10y", "1x2x3", "", "-64"])
def test_a_size_that_the_network_cannot_take_gets_one_line(clip: Callable[[str], Path], size: str) -> None:
    result = invoke("matte", clip("plain"), f"--size={size}")
    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    assert "size" in line and ("multiples of 32" in line or "WxH" in line)


def test_the_library_refuses_such_a_size_too(clip: Callable[[str], Path]) -> None:
    for size in (100, (64, 64, 64), (64.0, 64), True, "100"):
        with pytest.raises(OptionError, match="multiples of 32"):
            birefvideo.matte(clip("plain"), size=size)  # type: ignore[arg-type]
