"""Weights in several files: an index says which tensor lies in which of the files beside it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from birefvideo.errors import ModelError
from birefvideo.json_files import read_json_object
from birefvideo.paths import is_file_name

WEIGHTS = "model.safetensors"
"""What the hub calls a network's weights."""
INDEX = ".index.json"
"""How the name of an index ends."""
STANDARD = (WEIGHTS, f"{WEIGHTS}{INDEX}", "pytorch_model.bin", f"pytorch_model.bin{INDEX}")
"""Names of a network's weights in a folder; the first one found counts."""


def is_index(path: Path) -> bool:
    """Return whether a path is called as an index of weights is."""
    return path.name.endswith(INDEX)


def is_whole(path: Path) -> bool:
    """Return whether a weights file is there; of an index, whether all files are that it names."""
    try:
        return not is_index(path) or bool(shards(path))
    except ModelError:
        return False


def shards(index: Path) -> dict[Path, set[str]]:
    """Return the files that an index names, in the order of their names, with the tensors in each.

    Raises:
        ModelError: it is no index, names a file that is not beside it, or one that is not there.
    """
    try:
        table = read_json_object(index).get("weight_map")
    except (OSError, ValueError) as error:
        raise ModelError(f"{index} cannot be read as an index of weights ({error}): fetch it again") from error
    if not isinstance(table, dict) or not table:
        raise ModelError(f"{index} is no index of weights: it has no 'weight_map'; name the weights file itself")
    files: dict[str, set[str]] = {}
    for key, name in table.items():
        if not isinstance(name, str) or not is_file_name(name) or is_index(Path(name)):
            raise ModelError(f"{index} names {name!r}, which is no weights file beside it: do not trust the folder")
        files.setdefault(name, set()).add(key)
    missing = sorted(name for name in files if not (index.parent / name).is_file())
    if missing:
        raise ModelError(
            f"{index.parent} lacks {missing[0]}{f' and {len(missing) - 1} more' if missing[1:] else ''} of the "
            f"{len(files)} files with its weights: fetch the folder again"
        )
    return {index.parent / name: files[name] for name in sorted(files)}


def check_shard(path: Path, got: Mapping[str, object], wanted: set[str], before: Mapping[str, object]) -> None:
    """Refuse a file that lacks what its index says, or holds what an earlier one does.

    Raises:
        ModelError: names the first tensor.
    """
    if lacking := wanted - got.keys():
        raise ModelError(f"{path} lacks {min(lacking)}, which its index says it holds: fetch the folder again")
    if doubled := got.keys() & before.keys():
        raise ModelError(f"{path} and an earlier file both hold {min(doubled)}: fetch the folder again")


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a weights file in hex; of an index that of its own and its files', one behind the other.

    Raises:
        ModelError: it is an index that cannot be used.
    """
    if not is_index(path):
        return _sha256(path)
    parts = [_sha256(file) for file in (path, *shards(path))]
    return hashlib.sha256("".join(parts).encode()).hexdigest()


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
