"""Checkpoints: finding one by name, folder or file, reading it into the network, and writing one.

Nothing here opens a connection. Official weights are found where `hub` keeps them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import torch
from safetensors.torch import save_file
from torch import Tensor

from birefvideo.errors import ModelError, OptionError, named
from birefvideo.family import hub
from birefvideo.family.empty_network import empty_network
from birefvideo.family.hub_place import why_unusable
from birefvideo.family.native_size import PUBLISHED_SIZE, native_size
from birefvideo.family.shards import INDEX, WEIGHTS, is_index, sha256_of
from birefvideo.family.state_keys import plain_keys
from birefvideo.family.variants import EMBEDDED, VARIANTS, Variant, known_names, named_row
from birefvideo.family.weights_file import SUFFIXES, check_is_weights, read_weights, weights_in
from birefvideo.hints import address, meant, meant_file
from birefvideo.json_files import read_json_object
from birefvideo.matting.input_size import InputSize
from birefvideo.network.birefnet import BiRefNet, Geometry
from birefvideo.network.norm import STATISTICS
from birefvideo.network.swin import SWIN_SIZES


@dataclass(frozen=True)
class Checkpoint:
    """Where weights lie and what they fit."""

    name: str
    """The variant's name, or the folder's or file's."""
    weights: Path
    """A weights file, or the index of several."""
    size: InputSize
    """The size at which the network sees pictures."""
    geometry: Geometry | None = None
    """The network's shape; None: read it off the weights' keys."""
    reason: str = ""
    """Why this one, where the choice was left to us."""
    sha256: str = ""
    """What the file's hash was when it came to this machine; '' where that is not known."""

    def digest(self) -> str:
        """Return the SHA-256 of the weights file in hex; of an index also of the files that it names.

        Raises:
            ModelError: it is not what it was when it came to this machine.
        """
        found = sha256_of(self.weights)
        if self.sha256 and found != self.sha256:
            raise ModelError(
                f"{self.weights} is damaged or was exchanged (SHA-256 {found[:12]}…, was {self.sha256[:12]}…): "
                f"run birefvideo models --download {self.name}, or birefvideo models {self.name} --from FILE"
            )
        return found


def find(name: str = "auto", *, has_gpu: bool = False) -> Checkpoint:
    """Find a checkpoint by variant name, 'auto', hub id, folder (config.json, model.safetensors) or weights file.

    A name or hub id may be followed by '@' and a branch, tag or commit of its repository. 'auto' takes official weights
    only where they are on this machine and a GPU would run them, else the embedded ones.

    Raises:
        OptionError: there is no such variant, folder or file; the message lists the variants.
        ModelError: the variant's weights are not on this machine, or the folder or file holds none.
    """
    if name == "auto":
        return _automatic(has_gpu)
    path = Path(name)
    try:
        path = path.expanduser()
        is_folder, is_file = path.is_dir(), path.exists()
    except (OSError, ValueError, RuntimeError):  # a name too long, a null character, an unknown user's home
        is_folder = is_file = False
    if name and name not in VARIANTS and (is_folder or is_file):
        found = _from_folder(path, path.name) if is_folder else _from_file(path)
        check_is_weights(found.weights)
        return found
    row = named_row(name)
    if row is None:
        raise OptionError(_unknown(name, path))
    checkpoint = stored(row)
    if checkpoint is None:
        raise ModelError(_missing(row))
    return checkpoint


def _unknown(name: str, path: Path) -> str:
    """Return what a name might have meant that is neither a variant's nor a file's."""
    if where := address(name):
        return f"{named('model', name)} {where}; birefvideo models --download fetches by name"
    likely = meant(name, VARIANTS) or (meant_file(path) if path.suffix or "/" in name else "")
    return (
        f"unknown model {name!r}{likely}: name one of {known_names()}, a hub id (owner/name, or "
        f"owner/name@revision), a checkpoint folder, or a weights file ({', '.join(SUFFIXES)})"
    )


def _missing(row: Variant) -> str:
    """Return the ways out where a variant is not on this machine, in one line."""
    fetch = f"run birefvideo models --download {row.name} (with HF_ENDPOINT=URL where only a mirror is reached), "
    where = (
        f"{row.page}/resolve/{quote(row.revision or 'main', safe='')}/{WEIGHTS}"
        if row.hub_id
        else "its .safetensors or .pth file"
    )
    take = f"run birefvideo models {row.name} --from FILE" if row.name in VARIANTS else f"pass {named('model', 'FILE')}"
    part = f", only a part of a download in {hub.cache_folder(row)}" if hub.is_begun(row) else ""
    return (
        f"the weights of {row.name!r} are not on this machine{why_unusable() or part}: {fetch if row.hub_id else ''}"
        f"or fetch {where} on another machine and {take}, or use the embedded {named('model', EMBEDDED)}"
    )


def _automatic(has_gpu: bool) -> Checkpoint:
    embedded = find(EMBEDDED)
    if not has_gpu:
        return replace(embedded, reason="embedded; no GPU for the large ones")
    for name in ("portrait", "matting", "general"):
        found = stored(VARIANTS[name])
        if found is not None:
            return replace(found, reason="cached, and a GPU is present")
    return replace(embedded, reason="embedded; no official weights are cached")


def stored(row: Variant) -> Checkpoint | None:
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


def _from_file(path: Path) -> Checkpoint:
    """Return a file's checkpoint; a config of ours beside one that is called as in a folder counts."""
    is_plain = path.name == WEIGHTS or is_index(path)
    if is_plain and (found := _configured(path, path.parent.name)).geometry:
        return found
    return Checkpoint(path.name.removesuffix(INDEX).rpartition(".")[0] or path.name, path, PUBLISHED_SIZE)


def _from_folder(folder: Path, name: str) -> Checkpoint:
    return _configured(weights_in(folder), name)


def _configured(weights: Path, name: str) -> Checkpoint:
    """Return a checkpoint with what the config.json beside its weights says, if there is one."""
    config = weights.with_name("config.json")
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
    some = ", ".join(list(shapes)[:3])
    raise ModelError(
        f"these weights ({some or 'none'}, …) are not a published BiRefNet with a Swin backbone: if they are a "
        "BiRefNet, put the config.json that was saved with them beside them, and name the folder"
    )


def load(checkpoint: Checkpoint, dtype: torch.dtype | None = torch.float32) -> BiRefNet:
    """Read a checkpoint into a network of `dtype` (None: the file's own) in eval mode, on the CPU.

    The norms' statistics are in fp32 whatever the dtype.

    Raises:
        ModelError: the file cannot be read, is damaged or does not fit; the message names the first differing keys.
    """
    path = checkpoint.weights
    try:
        state = plain_keys(read_weights(path))
    except ValueError as error:
        raise ModelError(f"{path} is not one network ({error}): save the weights of one alone") from error
    geometry = checkpoint.geometry or geometry_from_keys({k: v.shape for k, v in state.items()})
    model = empty_network(geometry)  # the file's tensors take the places
    # Older files lack the index tables, and they are no weights.
    state |= {name: table for name, table in model.named_buffers() if not table.is_meta}
    _check_fit(path, state, model)
    # One by one, each popped: a file is never in memory in two dtypes.
    for key in list(state):
        value = state.pop(key)
        if key.endswith(STATISTICS):
            state[key] = _whole_statistics(value, path)
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
    for key in (key for key, should in model.state_dict().items() if should.is_floating_point()):
        value = state[key]
        if not value.is_floating_point():
            kind = str(value.dtype).removeprefix("torch.")
            raise ModelError(
                f"{weights} holds {key} as {kind}: only floating-point weights are read, get them in float16"
            )
        is_finite = (value if value.element_size() > 1 else value.half()).isfinite().all()
        if not is_finite and not key.endswith(STATISTICS):
            raise ModelError(f"{weights} holds NaN or infinite numbers in {key}: its training failed, take another one")


def load_folder(folder: Path) -> BiRefNet:
    """Read a checkpoint folder into a float32 network in eval mode."""
    return load(_from_folder(folder, folder.name))


def save_folder(model: BiRefNet, folder: Path, long_side: int, most_pixels: int | None = None) -> None:
    """Write config.json and model.safetensors, weights as fp16, the norms' statistics (of any size) as fp32.

    `long_side` and `most_pixels` are those of an `InputSize`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    size = InputSize(long_side=long_side, most_pixels=most_pixels)
    config = {"model_type": "birefnet", **asdict(model.geometry), **size.to_config()}
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    whole = (*STATISTICS, "num_batches_tracked")
    weights = {k: v if k.endswith(whole) else v.half() for k, v in model.state_dict().items()}
    save_file({k: v.contiguous() for k, v in weights.items()}, folder / WEIGHTS, metadata={"format": "pt"})
    (folder / WEIGHTS).chmod(0o644)  # safetensors writes for the owner only
