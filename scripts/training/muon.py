"""The optimiser: momentum made orthogonal, matrix by matrix, so that no direction is learnt faster than another."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from training.precision import is_fast_in_bf16

QUINTIC = (3.4445, -4.7750, 2.0315)
"""Coefficients of the Newton–Schulz polynomial, steep at zero."""


class Muon(torch.optim.Optimizer):
    """Muon (Jordan, 2024) for weights of two dimensions and more; a convolution is a matrix (outputs, all else).

    Steps are as large as AdamW's (Liu et al., "Muon is Scalable for LLM Training", 2025), so that both take the
    same learning rate.
    """

    def __init__(self, weights: Iterable[nn.Parameter], lr: float, momentum: float = 0.95, weight_decay: float = 0.02):
        super().__init__(weights, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]
        """One update of every weight that has a gradient."""
        for group in self.param_groups:
            alike = defaultdict(list)
            for weight in group["params"]:
                if weight.grad is not None:
                    alike[weight.shape].append(weight)
            for shape, weights in alike.items():
                matrices = torch.stack([self._direction(w, group["momentum"]).flatten(1) for w in weights])
                scale = 0.2 * math.sqrt(max(matrices.shape[1:]))
                for weight, update in zip(weights, orthogonal(matrices), strict=True):
                    weight.mul_(1 - group["lr"] * group["weight_decay"])
                    weight.sub_(update.reshape(shape), alpha=group["lr"] * scale)

    def _direction(self, weight: nn.Parameter, momentum: float) -> Tensor:
        """Return the gradient with Nesterov's momentum."""
        assert weight.grad is not None
        state = self.state[weight]
        if not state:
            state["momentum"] = torch.zeros_like(weight)
        return weight.grad.lerp(state["momentum"].lerp_(weight.grad, 1 - momentum), momentum)


def orthogonal(matrices: Tensor, steps: int = 5) -> Tensor:
    """(N, a, b) → the nearest orthogonal matrices, roughly: singular values end between 0.7 and 1.2.

    Computes in bf16 where that is fast.
    """
    wide = matrices.shape[1] <= matrices.shape[2]
    x = matrices if wide else matrices.mT
    x = x.bfloat16() if is_fast_in_bf16(x.device) else x
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    a, b, c = QUINTIC
    for _ in range(steps):
        square = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(square, square, square, beta=b, alpha=c), x, beta=a)
    return (x if wide else x.mT).to(matrices.dtype)
