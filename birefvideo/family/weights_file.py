"""Files of weights, which anybody may have made: read without running what is in them, and within the memory."""

from __future__ import annotations

import pickle
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from birefvideo.errors import ModelError
from birefvideo.family.file_kinds import Kind, kind_of, unusable
from birefvideo.family.shards import STANDARD, WEIGHTS, check_shard, is_index, shards
from birefvideo.memory import check_memory

SUFFIXES = (".safetensors", ".pth", ".pt", ".ckpt", ".bin")
"""How weights files are called; what they are is told by their content."""
_FOREIGN = (".onnx", ".gguf", ".h5", ".keras", ".tflite", ".msgpack", ".pt2", ".zip", ".tar", ".gz", ".7z")
"""How files are called that hold weights in a way that is not read."""

# A damaged pickle can fail anywhere in the unpickler.
_UNPICKLING = (pickle.UnpicklingError, EOFError, ValueError, LookupError, AttributeError, TypeError)
_UNREADABLE = (OSError, SafetensorError, RuntimeError, MemoryError, zipfile.BadZipFile, *_UNPICKLING)
_WRAPPERS = ("state_dict", "model_state_dict", "model", "net", "network", "module", "params", "weights", "ema")
"""What training programs call the state dict among what else they save, in the order of preference."""
_DEEPEST = 3
"""Levels of dicts that are opened."""
_GLOBAL = re.compile(r"GLOBAL ([\w.]+)")


def read_weights(path: Path) -> dict[str, Tensor]:
    """Return the tensors in a file by name, on the CPU; of an index, those of all its files.

    What else a training checkpoint holds beside its state dict is left out.

    Raises:
        ModelError: it cannot be read, holds something else, or is larger than the memory allows.
    """
    if not is_index(path):
        return _read_file(path)
    files = shards(path)
    _check_memory(path.name, sum(file.stat().st_size for file in files))
    state: dict[str, Tensor] = {}
    for file, keys in files.items():
        part = _read_file(file)
        check_shard(file, part, keys, state)
        state |= part
    return state


def check_is_weights(path: Path) -> None:
    """Refuse what cannot be weights, by a look at its beginning.

    Raises:
        ModelError: says what it is, and what to do.
    """
    try:
        for file in shards(path) if is_index(path) else (path,):
            kind_of(file)
    except OSError as error:
        raise unusable(path, str(error.strerror or error), "check its permissions") from error


def weights_in(folder: Path) -> Path:
    """Return the weights file, or the index of several, in a folder.

    Raises:
        ModelError: there is none, or more than one.
    """
    try:
        for name in STANDARD:
            if (folder / name).is_file():
                return folder / name
        inside = sorted(path for path in folder.iterdir() if path.is_file())
    except OSError as error:
        raise ModelError(f"{folder} cannot be read ({error.strerror or error}): check its permissions") from error
    files = [path for path in inside if is_index(path)] or [path for path in inside if path.suffix in SUFFIXES]
    files = files or [path for path in inside if path.suffix in _FOREIGN][:1]  # which is then said to be what it is
    if len(files) == 1:
        return files[0]
    if files:
        raise ModelError(f"{folder} holds several weights files: name one of {', '.join(f.name for f in files[:20])}")
    if (folder / "snapshots").is_dir() and folder.name.startswith("models--"):
        name = folder.name.removeprefix("models--").replace("--", "/", 1)
        raise ModelError(f"{folder} is where the hub's client keeps {name}: pass that name, or a folder in snapshots")
    raise ModelError(f"{folder} holds no {WEIGHTS} and no other weights file: check the path")


def _read_file(path: Path) -> dict[str, Tensor]:
    try:
        kind = kind_of(path)
        _check_memory(path.name, path.stat().st_size)
        if kind is Kind.SAFETENSORS:
            return dict(load_file(path))
        state = _state_dict(torch.load(path, map_location="cpu", weights_only=True), path)
    except _UNREADABLE as error:
        if isinstance(error, pickle.UnpicklingError) and (found := _GLOBAL.search(str(error))):
            raise unusable(path, *_holds_code(found[1])) from error
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        if isinstance(error, pickle.UnpicklingError):  # whose own words advise to run the file's code
            first = "not a plain state dict"
        raise unusable(path, first) from error
    for key, value in state.items():
        if value.layout != torch.strided or value.is_quantized or value.device.type != "cpu":
            raise unusable(path, f"{key} is quantised, sparse or empty", "get the weights in float32 or float16")
    return state


def _holds_code(name: str) -> tuple[str, str]:
    """Return why a pickle is refused, and what to do."""
    return (
        f"beside weights it holds {name}, which is not opened since that can run code",
        "where it was made, save the weights alone: torch.save(model.state_dict(), 'weights.pth')",
    )


def _state_dict(loaded: object, path: Path) -> dict[str, Tensor]:
    """Return the state dict in what was loaded: itself, or among what a training program saved."""
    remedy = "save the weights alone: torch.save(model.state_dict(), 'weights.pth')"
    for _ in range(_DEEPEST):
        if not isinstance(loaded, Mapping):
            break
        state = {key: value for key, value in loaded.items() if isinstance(key, str) and isinstance(value, Tensor)}
        inner = [loaded[name] for name in _WRAPPERS if isinstance(loaded.get(name), Mapping) and loaded[name]]
        others = [value for value in loaded.values() if isinstance(value, Mapping) and _is_state_dict(value)]
        if not inner and len(others) == 1:
            inner = others
        if inner:
            loaded = inner[0]
        elif state:
            return state
        else:
            names = ", ".join(str(key) for key in list(loaded)[:5])
            raise unusable(path, f"not a plain state dict, and none in it: a dict of {names or 'nothing'}", remedy)
    raise unusable(path, f"not a plain state dict but a {type(loaded).__name__}", remedy)


def _is_state_dict(values: Mapping[object, object]) -> bool:
    return bool(values) and all(isinstance(k, str) and isinstance(v, Tensor) for k, v in values.items())


def _check_memory(name: str, size: int) -> None:
    check_memory(2 * size, f"the weights in {name}", "choose a smaller model, or close programs", ModelError)
