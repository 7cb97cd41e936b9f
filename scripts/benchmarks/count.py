"""Count what a network needs of a device, without one: operations run on tensors that have shapes but no values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

_NO_KERNEL = ("empty", "_unsafe_view", "lift", "detach", "resize_", "_reshape_alias")


@dataclass
class Count:
    """For one call."""

    flops: int = 0
    """Of matrix products, convolutions and attention; a multiply-add is two."""
    bytes: int = 0
    """Read and written by all operations, each tensor counted where it is used: what leaves the caches is less."""
    launches: int = 0
    """Operations that do work, each taken for one kernel; some take two or three, as a convolution and its bias."""
    operations: Counter[str] = field(default_factory=Counter)
    """Launches by name."""


class _Traffic(TorchDispatchMode):
    def __init__(self, count: Count) -> None:
        super().__init__()
        self._count = count

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        if not func.is_view and not name.startswith(_NO_KERNEL):
            self._count.launches += 1
            self._count.operations[name] += 1
            tensors = [leaf for leaf in tree_leaves((args, kwargs, result)) if isinstance(leaf, Tensor)]
            sizes = {id(tensor): tensor.numel() * tensor.element_size() for tensor in tensors}
            self._count.bytes += sum(sizes.values())
        return result


@torch.inference_mode()
def count(work: Callable[[], object]) -> Count:
    """Count one call of `work`, all of whose tensors are on the meta device."""
    counted = Count()
    with FlopCounterMode(display=False) as flops, _Traffic(counted):
        work()
    counted.flops = flops.get_total_flops()
    return counted
