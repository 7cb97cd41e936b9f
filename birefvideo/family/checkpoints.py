"""Checkpoints: finding one by name, folder or file, reading it into the network, and writing one.

Nothing here opens a connection. Official weights are found where `hub` keeps them.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from birefvideo.errors import ModelError, OptionError, named
from birefvideo.family import hub
from birefvideo.family.empty_network import empty_network
from birefvideo.family.hub import WEIGHTS
from birefvideo.family.variants import EMBEDDED, VARIANTS, Variant, is_hub_id, known_names, variant
from birefvideo.family.weights_file import read_weights
from birefvideo.hints import address, meant, meant_file
from birefvideo.json_files import read_json_object
from birefvideo.matting.input_size import InputSize
from birefvideo.network.birefnet import BiRefNet, Geometry
from birefvideo.network.norm import STATISTICS
from birefvideo.network.swin import SWIN_SIZES

PUBLISHED_SIZE = InputSize(fixed=(1024, 1024))
"""The input of most published variants, taken where no source states another."""


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
    sha256: str = ""
    """What the file's hash was when it came to this machine; '' where that is not known."""

    def digest(self) -> str:
        """Return the SHA-256 of the weights file, in hex.

        Raises:
            ModelError: it is not what it was when it came to this machine.
        """
        found = hub.sha256_of(self.weights)
        if self.sha256 and found != self.sha256:
            raise ModelError(
                f"{self.weights} is damaged or was exchanged (SHA-256 {found[:12]}…, was {self.sha256[:12]}…): "
                f"run birefvideo models --download {self.name}, or birefvideo models {self.name} --from FILE"
            )
        return found


def find(name: str = "auto", *, has_gpu: bool = False) -> Checkpoint:
    """Find a checkpoint by variant name, 'auto', hub id, folder (config.json, model.safetensors) or weights file.

    'auto' takes official weights only where they are on this machine and a GPU would run them, else the embedded ones.

    Raises:
        OptionError: there is no such variant, folder or file; the message lists the variants.
        ModelError: the variant's weights are not on this machine, or the folder holds none.
    """
    if name == "auto":
        return _automatic(has_gpu)
    path = Path(name)
    try:
        path = path.expanduser()
        is_folder, is_file = path.is_dir(), path.is_file()
    except (OSError, ValueError, RuntimeError):  # a name too long, a null character, an unknown user's home
        is_folder = is_file = False
    if name and name not in VARIANTS and is_folder:
        return _from_folder(path, path.name)
    if is_file and path.suffix in (".safetensors", ".pth"):
        return Checkpoint(path.stem, path, PUBLISHED_SIZE)
    if name not in VARIANTS and not is_hub_id(name):
        if where := address(name):
            raise OptionError(f"{named('model', name)} {where}; birefvideo models --download fetches by name")
        likely = meant(name, VARIANTS) or (meant_file(path) if path.suffix or "/" in name else "")
        raise OptionError(
            f"unknown model {name!r}{likely}: name one of {known_names()}, a hub id (owner/name), a checkpoint folder, "
            "or a .safetensors or .pth file"
        )
    row = variant(name)
    found = _stored(row)
    if found is None:
        raise ModelError(_missing(row))
    return found


def _missing(row: Variant) -> str:
    """Return the ways out where a variant is not on this machine, in one line."""
    fetch = f"run birefvideo models --download {row.name} (with HF_ENDPOINT=URL where only a mirror is reached), "
    where = f"{row.page}/resolve/main/{WEIGHTS}" if row.hub_id else "its .safetensors or .pth file"
    take = f"run birefvideo models {row.name} --from FILE" if row.name in VARIANTS else f"pass {named('model', 'FILE')}"
    return (
        f"the weights of {row.name!r} are not on this machine: {fetch if row.hub_id else ''}"
        f"or fetch {where} on another machine and {take}, or use the embedded {named('model', EMBEDDED)}"
    )


def _automatic(has_gpu: bool) -> Checkpoint:
    embedded = find(EMBEDDED)
    if not has_gpu:
        return replace(embedded, reason="embedded; no GPU for the large ones")
    for name in ("portrait", "matting", "general"):
        found = _stored(VARIANTS[name])
        if found is not None:
            return replace(found, reason="cached, and a GPU is present")
    return replace(embedded, reason="embedded; no official weights are cached")


def native_size(row: Variant) -> InputSize:
    """Return the input that a variant was trained with, as far as that is known."""
    if row.sides:
        return InputSize(sides=row.sides)
    if row.long_side:
        return InputSize(long_side=row.long_side)
    return InputSize(fixed=row.size) if row.size else PUBLISHED_SIZE


def _stored(row: Variant) -> Checkpoint | None:
    """Return a variant from the package, the hub's cache or our own, or None where it is in none of them."""
    found = hub.stored(row)
    if found is None:
        return None
    if row.embedded or (not row.backbone and not found.imported):
        # The embedded one has a config of ours beside it, and a hub id that is in no row may have one.
        known = _from_folder(found.path.parent, row.name)
        return replace(known, size=native_size(row) if row.size else known.size, sha256=found.sha256)
    geometry = Geometry(row.backbone) if row.backbone else None
    return Checkpoint(row.name, found.path, native_size(row), geometry, sha256=found.sha256)


def import_weights(name: str, source: Path) -> Checkpoint:
    """Take weights that the user brought, a file or a folder with one, as those of a variant.

    They count once they are known to fit; until then, and where this fails, what was there before stays.

    Raises:
        OptionError: there is no such variant.
        ModelError: the file is missing, unreadable, does not fit, or there is no room for it.
    """
    row = VARIANTS.get(name)
    if row is None or row.embedded:
        names = ", ".join(known.name for known in VARIANTS.values() if not known.embedded)
        raise OptionError(f"cannot import as {name!r}: name one of {names}, or use it with {named('model', 'FILE')}")
    file = _weights_in(source.expanduser())
    geometry = Geometry(row.backbone) if row.backbone else None
    brought = Checkpoint(name, file, native_size(row), geometry)
    model = load(brought, dtype=None)
    try:
        with hub.incoming(file.stat().st_size) as path:
            if file.suffix == ".pth":
                save_file({k: v.contiguous() for k, v in model.state_dict().items()}, path, metadata={"format": "pt"})
            else:
                shutil.copyfile(file, path)
            load(replace(brought, weights=path), dtype=None)
            hub.adopt(row, path)
    except OSError as error:
        raise ModelError(
            f"cannot copy {file} to {error.filename or 'HF_HOME'} ({error.strerror or error}): make room there, "
            "or set HF_HOME to another disk"
        ) from error
    found = _stored(row)
    assert found is not None
    return found


def _weights_in(source: Path) -> Path:
    """Return the weights file that a path means."""
    if source.is_file() and source.suffix in (".safetensors", ".pth"):
        return source
    files = [source / WEIGHTS] if (source / WEIGHTS).is_file() else []
    if source.is_dir() and not files:
        files = sorted(p for p in source.iterdir() if p.suffix in (".safetensors", ".pth") and p.is_file())
    if len(files) == 1:
        return files[0]
    if len(files) > 1:
        raise ModelError(f"{source} holds several weights files: name one of {', '.join(f.name for f in files)}")
    raise ModelError(f"{source} is no .safetensors or .pth file, nor a folder that holds one: check the path")


def _from_folder(folder: Path, name: str) -> Checkpoint:
    weights, config = folder / WEIGHTS, folder / "config.json"
    if not weights.is_file():
        raise ModelError(f"{folder} holds no {WEIGHTS}: is it a checkpoint folder?")
    values: dict[str, Any] = {}
    size: InputSize | None = None
    if config.is_file():
        try:
            values = read_json_object(config)
            size = InputSize.from_config(values)
        except (OSError, ValueError) as error:
            raise ModelError(f"{config} cannot be used ({error}): fetch the folder again") from error
    # The published configs carry no geometry: it is read off the weights.
    geometry = geometry_from_config(values) if "backbone" in values else None
    return Checkpoint(name, weights, size or PUBLISHED_SIZE, geometry)


def geometry_from_config(values: Mapping[str, Any]) -> Geometry:
    """Return the Geometry among a config's entries; others are ignored.

    Raises:
        ModelError: a value is not allowed.
    """
    known = {f.name for f in fields(Geometry)}
    chosen: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items() if k in known}
    try:
        return Geometry(**chosen)
    except (ValueError, TypeError) as error:
        raise ModelError(f"config.json does not fit this version: {error}") from error


def geometry_from_keys(shapes: Mapping[str, Sequence[int]]) -> Geometry:
    """Return the Geometry of a published state dict, known by the width and depth of its Swin backbone.

    Raises:
        ModelError: the keys are not BiRefNet's.
    """
    embed = shapes.get("bb.patch_embed.proj.weight")
    depth = len({m[1] for k in shapes if (m := re.match(r"bb\.layers\.2\.blocks\.(\d+)\.", k))})
    for name, size in SWIN_SIZES.items():
        if embed and embed[0] == size.width and depth == size.depths[2]:
            return Geometry(name)
    raise ModelError(
        "these weights are not a published BiRefNet with a Swin backbone: add a config.json that says what"
    )


def load(checkpoint: Checkpoint, dtype: torch.dtype | None = torch.float32) -> BiRefNet:
    """Read a checkpoint into a network of `dtype` (None: the file's own) in eval mode, on the CPU.

    The norms' statistics are in fp32 whatever the dtype.

    Raises:
        ModelError: the file cannot be read, is damaged or does not fit; the message names the first differing keys.
    """
    state = {_plain(k): v for k, v in read_weights(checkpoint.weights).items()}
    geometry = checkpoint.geometry or geometry_from_keys({k: v.shape for k, v in state.items()})
    model = empty_network(geometry)  # the file's tensors take the places
    # Older files lack the index tables, and they are no weights.
    state |= {name: table for name, table in model.named_buffers() if not table.is_meta}
    _check_fit(checkpoint.weights, state, model)
    # One by one, each popped: a file is never in memory in two dtypes.
    for key in list(state):
        value = state.pop(key)
        if key.endswith(STATISTICS):
            state[key] = _whole_statistics(value, checkpoint.weights)
        else:
            state[key] = value.to(dtype) if dtype and value.is_floating_point() else value
    model.load_state_dict(state, assign=True)
    return model.eval()


def _whole_statistics(value: Tensor, weights: Path) -> Tensor:
    if not value.isfinite().all():
        raise ModelError(
            f"{weights} was saved in a precision that does not hold the range of its norms' statistics: "
            "save it again, with these in float32"
        )
    return value.float()


def _check_fit(weights: Path, state: Mapping[str, Tensor], model: BiRefNet) -> None:
    expected = {k: tuple(v.shape) for k, v in model.state_dict().items()}
    got = {k: tuple(v.shape) for k, v in state.items()}
    wrong = [k for k in (*expected, *(got.keys() - expected.keys())) if expected.get(k) != got.get(k)]
    if wrong:
        first = "; ".join(f"{k} is {got.get(k, 'missing')}, should be {expected.get(k, 'absent')}" for k in wrong[:3])
        raise ModelError(
            f"{weights} does not fit {model.geometry.backbone}: {first} ({len(wrong)} of {len(expected)} keys differ)"
        )


def _plain(key: str) -> str:
    """Return a key without the prefixes that DataParallel, torch.compile and our transformers model leave."""
    return key.replace("_orig_mod.", "").removeprefix("module.").removeprefix("birefnet.")


def load_folder(folder: Path) -> BiRefNet:
    """Read a checkpoint folder into a float32 network in eval mode."""
    return load(_from_folder(folder, folder.name))


def save_folder(model: BiRefNet, folder: Path, long_side: int) -> None:
    """Write config.json and model.safetensors, weights as fp16, the norms' statistics (of any size) as fp32."""
    folder.mkdir(parents=True, exist_ok=True)
    config = {"model_type": "birefnet", **asdict(model.geometry), "long_side": long_side}
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    whole = (*STATISTICS, "num_batches_tracked")
    weights = {k: v if k.endswith(whole) else v.half() for k, v in model.state_dict().items()}
    save_file({k: v.contiguous() for k, v in weights.items()}, folder / WEIGHTS, metadata={"format": "pt"})
    (folder / WEIGHTS).chmod(0o644)  # safetensors writes for the owner only
