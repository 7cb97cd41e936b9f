"""Weights files of every kind: loaded where they hold a network, and said to be what they are where they do not."""

from __future__ import annotations

import argparse
import gzip
import io
import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from test_checkpoints import SMALL

from birefvideo.errors import ModelError, OptionError
from birefvideo.family.checkpoints import find, load, save_folder
from birefvideo.network.birefnet import BiRefNet

pytestmark = pytest.mark.usefixtures("empty_cache")
State = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("published")
    torch.manual_seed(5)
    save_folder(BiRefNet(SMALL).eval(), folder, long_side=96)
    return folder


@pytest.fixture
def state(published: Path) -> State:
    return load_file(published / "model.safetensors")


@pytest.fixture
def folder(published: Path, tmp_path: Path) -> Path:
    """A folder with the config alone."""
    (tmp_path / "config.json").write_text((published / "config.json").read_text())
    return tmp_path


def assert_loads(path: Path, state: State) -> None:
    loaded = load(find(str(path)), dtype=None).state_dict()
    assert all(torch.equal(loaded[key], value) for key, value in state.items())


def refused(path: Path) -> str:
    with pytest.raises(ModelError) as error:
        load(find(str(path)))
    told = error.value.for_terminal()
    assert "\n" not in told and str(path) in told
    return told


@pytest.mark.parametrize("suffix", [".pt", ".ckpt", ".bin", ".pth"])
@pytest.mark.parametrize("zipped", [True, False])
def test_what_torch_saves_loads_under_any_name(folder: Path, state: State, suffix: str, zipped: bool) -> None:
    torch.save(state, folder / f"any{suffix}", _use_new_zipfile_serialization=zipped)
    assert_loads(folder, state)


WRAPPED: dict[str, Callable[[State], Any]] = {
    "state_dict": lambda state: {"state_dict": state, "epoch": 3},
    "model": lambda state: {"optimizer": {"state": {}, "param_groups": []}, "model": state},
    "model and average": lambda state: {"ema": {"bb.x": torch.ones(1)}, "model": state},
    "two levels": lambda state: {"model": {"state_dict": state}},
    "another name": lambda state: {"generator": state, "step": 1},
    "beside a number": lambda state: {**state, "epoch": 3},
    "parameters": lambda state: {k: torch.nn.Parameter(v) if v.is_floating_point() else v for k, v in state.items()},
    "Lightning": lambda state: {
        "state_dict": {**{f"model.{k}": v for k, v in state.items()}, "loss.weight": torch.ones(2)},
        "hyper_parameters": {"lr": 1e-4},
    },
    "Lightning and torch.compile": lambda state: {
        "state_dict": {f"net.module._orig_mod.{k}": v for k, v in state.items()}
    },
    "compiled backbone": lambda state: {k.replace("bb.", "bb._orig_mod.", 1): v for k, v in state.items()},
    "DataParallel": lambda state: {f"module.{k}": v for k, v in state.items()},
}


@pytest.mark.parametrize("kind", WRAPPED)
def test_a_state_dict_is_found_in_what_training_programs_save(folder: Path, state: State, kind: str) -> None:
    torch.save(WRAPPED[kind](state), folder / "last.ckpt")
    assert_loads(folder / "last.ckpt" if kind == "none" else folder, state)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s: {"state_dict": {}}, "a dict of state_dict"),
        (lambda s: {1: torch.zeros(1)}, "not a plain state dict"),
        (lambda s: {"epoch": 3}, "a dict of epoch"),
        (lambda s: [1, 2], "but a list"),
        (lambda s: {"state_dict": s, "args": argparse.Namespace(lr=1)}, "holds argparse.Namespace"),
        (lambda s: BiRefNet(SMALL), "holds birefvideo.network.birefnet.BiRefNet"),
        (lambda s: {f"{who}.{k}": v for who in ("student", "teacher") for k, v in s.items()}, "student., teacher."),
        (lambda s: {k: v.char() if v.ndim == 4 else v for k, v in s.items()}, "as int8"),
        (lambda s: {k: v.to("meta") for k, v in s.items()}, "empty"),
        (lambda s: {k: v.to_sparse() if v.ndim == 4 else v for k, v in s.items()}, "sparse"),
        (lambda s: {k: v * float("nan") if v.ndim == 4 else v for k, v in s.items()}, "NaN"),
    ],
)
def test_what_holds_no_usable_state_dict_says_what_it_holds(
    folder: Path, state: State, change: Callable[[State], Any], words: str
) -> None:
    torch.save(change(state), folder / "last.ckpt")
    with pytest.raises(ModelError, match=words) as error:
        load(find(str(folder)))
    assert "\n" not in str(error.value)


def zip_of(name: str) -> bytes:
    with zipfile.ZipFile(buffer := io.BytesIO(), "w") as archive:
        archive.writestr(name, b"x")
    return buffer.getvalue()


LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"a" * 64 + b"\nsize 444473596\n"
FOREIGN = [
    (LFS, r"a Git LFS pointer to the weights of 444\.5 MB\): run git lfs pull"),
    (b"\n<!DOCTYPE html><html>Log in", "a web page"),
    (b"<?xml version='1.0'?><Error>", "a web page"),
    (b"Entry not found", "text: 'Entry not found'"),
    (b'{"error": "not found"}', "JSON"),
    (b"\x08\x08\x12\x07pytorch\x1a\x052.1.0:\xff\xfe", "an ONNX model"),
    (b"GGUF\x03" + bytes(99), "a GGUF model"),
    (zip_of("BiRefNet/model.safetensors"), "a zip archive that holds BiRefNet/model.safetensors"),
    (zip_of("x/code/net.py"), "a compiled PyTorch program"),
    (zip_of("x")[:40], "cut off or damaged"),
    (gzip.compress(b"x"), "a gzip archive"),
    (b"\x89PNG\r\n\x1a\n", "a picture"),
    (bytes(5000), "it begins with the bytes 00 00"),
    (b"", "empty"),
]


@pytest.mark.parametrize(("content", "words"), FOREIGN, ids=range(len(FOREIGN)))
def test_a_file_that_holds_no_weights_says_what_it_is_whatever_it_is_called(
    folder: Path, content: bytes, words: str
) -> None:
    for name in ("model.safetensors", "pytorch_model.bin", "weights.pth", "model.onnx", "model"):
        path = folder / name
        path.write_bytes(content)
        with pytest.raises(ModelError, match=words) as error:
            find(str(path))  # before anything is computed or read whole
        assert str(path) in str(error.value) and "\n" not in str(error.value)
        path.unlink()


def test_a_folder_with_only_a_foreign_model_says_what_that_is(folder: Path) -> None:
    (folder / "model.onnx").write_bytes(b"\x08\x08\x12\x07pytorch")
    with pytest.raises(ModelError, match="an ONNX model"):
        find(str(folder))


def test_a_pipe_is_not_waited_for(folder: Path) -> None:
    os.mkfifo(folder / "model.safetensors")
    assert "it is no file" in refused(folder / "model.safetensors")


def test_safetensors_under_another_name_load(folder: Path, state: State) -> None:
    save_file(state, folder / "weights.pth")
    assert_loads(folder, state)


def split(folder: Path, state: State, suffix: str = "safetensors") -> dict[str, str]:
    """Writes two shards and their index; returns its table."""
    stem = "model" if suffix == "safetensors" else "pytorch_model"
    table: dict[str, str] = {}
    for number in (0, 1):
        name = f"{stem}-{number + 1:05}-of-00002.{suffix}"
        part = {key: state[key] for key in list(state)[number::2]}
        if suffix == "safetensors":
            save_file(part, folder / name)
        else:
            torch.save(part, folder / name)
        table |= dict.fromkeys(part, name)
    write_index(folder, table, f"{stem}.{suffix}")
    return table


def write_index(folder: Path, table: dict[str, Any], name: str = "model.safetensors") -> None:
    (folder / f"{name}.index.json").write_text(json.dumps({"metadata": {}, "weight_map": table}))


@pytest.mark.parametrize("suffix", ["safetensors", "bin"])
def test_weights_in_several_files_load_and_are_hashed_together(folder: Path, state: State, suffix: str) -> None:
    table = split(folder, state, suffix)
    assert_loads(folder, state)
    index = next(folder.glob("*.index.json"))
    assert_loads(index, state)
    before = find(str(folder)).digest()
    data = bytearray((folder / table[max(table)]).read_bytes())
    data[-1] ^= 1
    (folder / table[max(table)]).write_bytes(data)
    assert find(str(folder)).digest() != before


def test_a_missing_file_of_several_is_named(folder: Path, state: State) -> None:
    table = split(folder, state)
    (folder / min(table.values())).unlink()
    with pytest.raises(ModelError, match=r"lacks model-00001-of-00002\.safetensors of the 2 files"):
        find(str(folder))


@pytest.mark.parametrize(
    "name", ["../x.safetensors", "/etc/passwd", "./model-00001-of-00002.safetensors", "", 7, "a\0b", "model.index.json"]
)
def test_an_index_names_files_beside_it_only(folder: Path, state: State, name: Any) -> None:
    table: dict[str, Any] = split(folder, state)
    write_index(folder, {**table, max(table): name})
    with pytest.raises(ModelError, match="no weights file beside it"):
        find(str(folder))


def test_a_tensor_that_two_files_hold_or_none_is_named(folder: Path, state: State) -> None:
    table = split(folder, state)
    write_index(folder, {**table, "lost": max(table.values())})
    assert "lacks lost, which its index says" in told(folder)
    save_file({**load_file(folder / max(table.values())), min(table): state[min(table)]}, folder / max(table.values()))
    write_index(folder, table)
    assert f"both hold {min(k for k, v in table.items() if v == min(table.values()))}" in told(folder)


def told(folder: Path) -> str:
    with pytest.raises(ModelError) as error:
        load(find(str(folder)))
    return str(error.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"weight_map": {}}', '{"weight_map": []}'])
def test_an_index_that_is_none_is_told(folder: Path, text: str) -> None:
    (folder / "model.safetensors.index.json").write_text(text)
    assert "index" in told(folder)


@pytest.mark.parametrize("name", ["owner/name@../x", "owner/name@", "portrait@a b", "talk@v1", "massive@v1"])
def test_what_can_be_no_revision_is_refused(name: str) -> None:
    with pytest.raises(OptionError, match="revision"):
        find(name)


def test_a_revision_that_is_not_here_names_itself_in_the_ways_out() -> None:
    with pytest.raises(ModelError) as error:
        find("portrait@refs/pr/1")
    line = error.value.for_terminal()
    assert "models --download portrait@refs/pr/1" in line
    assert "/resolve/refs%2Fpr%2F1/model.safetensors" in line and "pass --model FILE" in line
