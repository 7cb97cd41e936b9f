"""Networks without trained weights: neither allocated nor initialised, for those of a file; or random ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from birefvideo.network.birefnet import BiRefNet, Geometry


def empty_network(geometry: Geometry) -> BiRefNet:
    """Return a network on the meta device, but for its index tables, which are no weights."""
    with torch.device("meta"), _IndexTables():
        return BiRefNet(geometry)


def random_network(backbone: str) -> BiRefNet:
    """Return a published network with random weights, in eval mode: for its speed, which does not depend on them."""
    return BiRefNet(Geometry(backbone)).eval()


class _IndexTables(TorchFunctionMode):
    """Computes what starts from `arange` on the CPU although the rest of a network is built on the meta device.

    There `arange` is written in Python, and importing that takes a second and a half.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        return func(*args, **(kwargs | {"device": "cpu"} if func is torch.arange else kwargs))
