"""Checkpoints: finding one by name, folder or file, reading it into the network, and writing one.

Nothing here opens a connection. Official weights are found where the hub's own client caches them.
"""

from __future__ import annotations

import hashlib
import json
import pickle
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import try_to_load_from_cache
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from birefvideo.errors import ModelError, OptionError
from birefvideo.matting.network_input import InputSize
from birefvideo.matting.variants import VARIANTS
from birefvideo.network.birefnet import BiRefNet, Geometry
from birefvideo.network.swin import SWIN_SIZES

EMBEDDED = "talk"
"""Name of the checkpoint that the package carries."""
EMBEDDED_FOLDER = Path(__file__).parent.parent / "weights" / EMBEDDED
PUBLISHED_SIZE = InputSize(fixed=(1024, 1024))
"""The input of most published variants, taken where no source says otherwise."""
_WEIGHTS = "model.safetensors"


@dataclass(frozen=True)
class Checkpoint:
    """Where weights lie and what they fit."""

    name: str
    """The variant's name, or the folder's or file's."""
    weights: Path
    """A .safetensors or .pth file."""
    size: InputSize
    """The size at which the network sees pictures."""
    geometry: Geometry | None = None
    """The network's shape; None: read it off the weights' keys."""
    reason: str = ""
    """Why this one, where the choice was left to us."""

    def digest(self) -> str:
        """SHA-256 of the weights file, in hex."""
        digest = hashlib.sha256()
        with self.weights.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
        return digest.hexdigest()


def find(name: str = "auto", *, has_gpu: bool = False) -> Checkpoint:
    """Finds a checkpoint by variant name, 'auto', folder (config.json, model.safetensors) or weights file.

    'auto' takes official weights only where they are cached and a GPU would run them, else the embedded ones.

    Raises:
        OptionError: there is no such variant, folder or file; the message lists the variants.
        ModelError: the variant's weights are not on this machine, or the folder holds none.
    """
    if name == "auto":
        return _automatic(has_gpu)
    if name == EMBEDDED:
        return _from_folder(EMBEDDED_FOLDER, EMBEDDED)
    if name in VARIANTS:
        cached = _cached(name)
        if cached is None:
            raise ModelError(
                f"the weights of {name!r} are not on this machine: pass --model FOLDER with its {_WEIGHTS}, "
                f"or use the embedded --model {EMBEDDED}"
            )
        return cached
    path = Path(name).expanduser()
    if path.is_dir():
        return _from_folder(path, path.name)
    if path.is_file() and path.suffix in (".safetensors", ".pth"):
        return Checkpoint(path.stem, path, PUBLISHED_SIZE)
    known = ", ".join([EMBEDDED, *VARIANTS])
    raise OptionError(f"unknown model {name!r}: name one of {known}, or a checkpoint folder or .safetensors file")


def _automatic(has_gpu: bool) -> Checkpoint:
    embedded = _from_folder(EMBEDDED_FOLDER, EMBEDDED)
    if not has_gpu:
        return replace(embedded, reason="embedded; no GPU for the large ones")
    for name in ("portrait", "matting", "general"):
        cached = _cached(name)
        if cached is not None:
            return replace(cached, reason="cached, and a GPU is present")
    return replace(embedded, reason="embedded; no official weights are cached")


def _cached(name: str) -> Checkpoint | None:
    """A published variant from the hub's cache, or None."""
    variant = VARIANTS[name]
    if not variant.hub_id:
        return None
    found = try_to_load_from_cache(variant.hub_id, _WEIGHTS)
    if not isinstance(found, str):
        return None
    size = InputSize(fixed=variant.size) if variant.size else PUBLISHED_SIZE
    return Checkpoint(name, Path(found), size, Geometry(variant.backbone))


def _from_folder(folder: Path, name: str) -> Checkpoint:
    weights, config = folder / _WEIGHTS, folder / "config.json"
    if not weights.is_file():
        raise ModelError(f"{folder} holds no {_WEIGHTS}: is it a checkpoint folder?")
    values: dict[str, Any] = {}
    if config.is_file():
        try:
            values = json.loads(config.read_text())
        except ValueError as error:
            raise ModelError(f"{config} is not valid JSON ({error}): fetch the folder again") from error
    size = InputSize(long_side=values["long_side"]) if "long_side" in values else PUBLISHED_SIZE
    # The published configs carry no geometry: it is read off the weights.
    geometry = geometry_from_config(values) if "backbone" in values else None
    return Checkpoint(name, weights, size, geometry)


def geometry_from_config(values: Mapping[str, Any]) -> Geometry:
    """The Geometry among a config's entries; others are ignored.

    Raises:
        ModelError: a value is not allowed.
    """
    known = {f.name for f in fields(Geometry)}
    chosen: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items() if k in known}
    try:
        return Geometry(**chosen)
    except ValueError as error:
        raise ModelError(f"config.json does not fit this version: {error}") from error


def geometry_from_keys(state: Mapping[str, Tensor]) -> Geometry:
    """The Geometry of a published state dict, told by the width and depth of its Swin backbone.

    Raises:
        ModelError: the keys are not BiRefNet's.
    """
    embed = state.get("bb.patch_embed.proj.weight")
    depth = len({m[1] for k in state if (m := re.match(r"bb\.layers\.2\.blocks\.(\d+)\.", k))})
    for name, size in SWIN_SIZES.items():
        if embed is not None and embed.shape[0] == size.width and depth == size.depths[2]:
            return Geometry(name)
    raise ModelError(
        "these weights are not a published BiRefNet with a Swin backbone: add a config.json that says what"
    )


def load(checkpoint: Checkpoint) -> BiRefNet:
    """Reads a checkpoint into a float32 network in eval mode, on the CPU.

    Raises:
        ModelError: the file cannot be read or does not fit; the message names the first differing key.
    """
    state = {_plain(k): v for k, v in _read(checkpoint.weights).items()}
    model = BiRefNet(checkpoint.geometry or geometry_from_keys(state))
    expected = model.state_dict()
    # Older files carry no index buffers; the network computes them.
    state = {k: v for k, v in expected.items() if k.endswith("relative_position_index")} | state
    wrong = sorted(expected.keys() ^ state.keys()) or [k for k in expected if expected[k].shape != state[k].shape]
    if wrong:
        key = wrong[0]
        got, wanted = (tuple(s[key].shape) if key in s else "nothing" for s in (state, expected))
        raise ModelError(
            f"{checkpoint.weights} does not fit {model.geometry.backbone}: {key} is {got}, should be {wanted} "
            f"({len(wrong)} keys differ)"
        )
    model.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in state.items()})
    return model.eval()


def _plain(key: str) -> str:
    """A key without the prefixes that DataParallel, torch.compile and our transformers model leave."""
    return key.replace("_orig_mod.", "").removeprefix("module.").removeprefix("birefnet.")


# A damaged .pth can fail anywhere in the unpickler.
_UNPICKLING = (pickle.UnpicklingError, EOFError, ValueError, LookupError, AttributeError, TypeError)
_UNREADABLE = (OSError, SafetensorError, RuntimeError, *_UNPICKLING)


def _read(path: Path) -> dict[str, Tensor]:
    try:
        state: dict[str, Tensor]
        if path.suffix == ".safetensors":
            state = load_file(path)
        else:
            state = dict(torch.load(path, map_location="cpu", weights_only=True))
        return state
    except _UNREADABLE as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ModelError(f"{path} cannot be read as weights ({first}): copy or download it again") from error


def load_folder(folder: Path) -> BiRefNet:
    """Reads a checkpoint folder into a float32 network in eval mode."""
    return load(_from_folder(folder, folder.name))


def save_folder(model: BiRefNet, folder: Path, long_side: int) -> None:
    """Writes config.json and model.safetensors, floating-point weights as fp16."""
    folder.mkdir(parents=True, exist_ok=True)
    config = {"model_type": "birefnet", **asdict(model.geometry), "long_side": long_side}
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    weights = {k: v.half() if v.is_floating_point() else v for k, v in model.state_dict().items()}
    save_file({k: v.contiguous() for k, v in weights.items()}, folder / _WEIGHTS, metadata={"format": "pt"})
    (folder / _WEIGHTS).chmod(0o644)  # safetensors writes for the owner only
