"""Taking weights that the user brought, on a stick or from elsewhere, as those of a variant."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from safetensors.torch import save_file

from birefvideo.errors import ModelError, OptionError, named
from birefvideo.family import hub
from birefvideo.family.checkpoints import Checkpoint, load, stored
from birefvideo.family.file_kinds import Kind, kind_of
from birefvideo.family.native_size import native_size
from birefvideo.family.shards import is_index, shards
from birefvideo.family.variants import VARIANTS
from birefvideo.family.weights_file import SUFFIXES, check_is_weights, weights_in
from birefvideo.network.birefnet import Geometry


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
    check_is_weights(file)
    geometry = Geometry(row.backbone) if row.backbone else None
    brought = Checkpoint(name, file, native_size(row), geometry)
    model = load(brought, dtype=None)
    try:
        with hub.incoming(sum(part.stat().st_size for part in (shards(file) if is_index(file) else (file,)))) as path:
            if not is_index(file) and kind_of(file) is Kind.SAFETENSORS:
                shutil.copyfile(file, path)
            else:
                save_file({k: v.contiguous() for k, v in model.state_dict().items()}, path, metadata={"format": "pt"})
            load(replace(brought, weights=path), dtype=None)
            hub.adopt(row, path)
    except OSError as error:
        raise ModelError(
            f"cannot copy {file} to {error.filename or 'HF_HOME'} ({error.strerror or error}): make room there, "
            "or set HF_HOME to another disk"
        ) from error
    found = stored(row)
    assert found is not None
    return found


def _weights_in(source: Path) -> Path:
    """Return the weights file that a path means."""
    if source.is_file():
        return source
    if source.is_dir():
        return weights_in(source)
    raise ModelError(f"{source} is no weights file ({', '.join(SUFFIXES)}), nor a folder with one: check the path")
