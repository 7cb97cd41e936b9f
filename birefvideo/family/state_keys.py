"""The names of tensors in a state dict, freed of what the programs that wrapped the network put before them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TypeVar

_WRAPPER = re.compile(r"(^|\.)(?:(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.)+")
"""What torch.compile, FSDP and activation checkpointing leave, anywhere in a name."""
_BEFORE = re.compile(r"((?:[^.]+\.)*?)bb\.")
"""What stands before the backbone's name: DataParallel's 'module.', Lightning's 'model.' or 'net.', and others."""
_USUAL = ("", "module.", "model.", "net.", "network.", "birefnet.")
"""Names of the network itself where there is a second one, such as its moving average."""

T = TypeVar("T")


def plain_keys(state: Mapping[str, T]) -> dict[str, T]:
    """Return the entries of the network by their published names; those of other modules beside it are left out.

    Raises:
        ValueError: there are several networks, or two entries of one name; the message says which.
    """
    plain: dict[str, T] = {}
    for key, value in state.items():
        name = _WRAPPER.sub(r"\1", key)
        if name in plain:
            raise ValueError(f"{name} is there twice, wrapped and not")
        plain[name] = value
    prefixes = dict.fromkeys(found[1] for key in plain if (found := _BEFORE.match(key)))
    if not prefixes:
        return plain
    chosen = next(iter(prefixes)) if len(prefixes) == 1 else next((name for name in _USUAL if name in prefixes), None)
    if chosen is None:
        raise ValueError(f"there are several networks: {', '.join(prefixes)}")
    return {key.removeprefix(chosen): value for key, value in plain.items() if key.startswith(chosen)}
