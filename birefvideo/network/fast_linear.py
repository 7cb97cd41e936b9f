"""Linear layers for inference; on a CPU, the operation that follows is fused into the matrix product."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_FUSED: Any = getattr(torch.ops.mkldnn, "_linear_pointwise", None)
"""oneDNN's linear layer with an activation or a sum fused in, which torch's own compiler calls; None if torch was built
without it. It writes the result once, where `F.linear` in fp32 first fills it with the bias."""

_DTYPES = {torch.float32}
"""Dtypes to use it with. On a CPU without bf16 instructions oneDNN refuses bf16, and `F.linear` is only slow."""
if _FUSED is not None and torch.ops.mkldnn._is_mkldnn_bf16_supported():
    _DTYPES.add(torch.bfloat16)


def linear(x: Tensor, layer: nn.Linear) -> Tensor:
    """`layer(x)`: (n, inputs) -> (n, outputs)."""
    out: Tensor = _FUSED(x, layer.weight, layer.bias, "none", [], "") if can_fuse(x) else layer(x)
    return out


def linear_gelu(x: Tensor, layer: nn.Linear) -> Tensor:
    """`F.gelu(layer(x))`: (n, inputs) -> (n, outputs)."""
    return _FUSED(x, layer.weight, layer.bias, "gelu", [], "none") if can_fuse(x) else F.gelu(layer(x))


def add_linear(other: Tensor, x: Tensor, layer: nn.Linear) -> Tensor:
    """`other + layer(x)`: (n, inputs) -> (n, outputs), in the finer of the two dtypes."""
    if can_fuse(x) and other.dtype == x.dtype:
        out: Tensor = _FUSED.binary(x, other, layer.weight, layer.bias, "add")
        return out
    return other + linear(x, layer)


def can_fuse(x: Tensor) -> bool:
    """Return whether oneDNN's fused operations take `x` and are worth calling by name."""
    if _FUSED is None or x.device.type != "cpu" or x.dtype not in _DTYPES:
        return False
    # Compilers fuse on their own, fake tensors have no values, and oneDNN's form has no gradient.
    return not torch.compiler.is_compiling() and type(x) is Tensor and not torch.is_grad_enabled()
