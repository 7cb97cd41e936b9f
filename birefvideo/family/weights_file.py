"""Files of weights, which anybody may have made: read without running what is in them, and within the memory."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from birefvideo.errors import ModelError
from birefvideo.memory import check_memory

# A damaged .pth can fail anywhere in the unpickler.
_UNPICKLING = (pickle.UnpicklingError, EOFError, ValueError, LookupError, AttributeError, TypeError)
_UNREADABLE = (OSError, SafetensorError, RuntimeError, MemoryError, zipfile.BadZipFile, *_UNPICKLING)


def read_weights(path: Path) -> dict[str, Tensor]:
    """Return the tensors in a .safetensors or .pth file by name, on the CPU.

    Raises:
        ModelError: it cannot be read, holds something else, or is larger than the memory allows.
    """
    try:
        _check_weights_fit(path)
        state: dict[str, Tensor]
        if path.suffix == ".pth":
            state = dict(torch.load(path, map_location="cpu", weights_only=True))
        else:
            state = load_file(path)
        if not all(isinstance(k, str) and isinstance(v, Tensor) for k, v in state.items()):
            raise TypeError("not a plain state dict")
        return state
    except _UNREADABLE as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        if isinstance(error, pickle.UnpicklingError):  # whose own words advise to run the file's code
            first = "not a plain state dict"
        raise ModelError(f"{path} cannot be read as weights ({first}): copy or download it again") from error


def _check_weights_fit(path: Path) -> None:
    """Refuse a file that would unfold to more than it is, or to more than there is memory for.

    Raises:
        ValueError: it claims to hold more bytes than it has. PyTorch stores them as they are.
        ModelError: there is not memory enough for it.
    """
    size = path.stat().st_size
    if path.suffix == ".pth" and zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            claimed = sum(member.file_size for member in archive.infolist())
        if claimed > size:
            raise ValueError(f"{claimed / 1e6:,.0f} MB packed into {size / 1e6:,.1f} MB, which PyTorch does not do")
    check_memory(2 * size, f"the weights in {path.name}", "choose a smaller model, or close programs", ModelError)
