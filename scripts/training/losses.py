"""The loss: pixels, pyramid and coarse mattes, each weighted by how far the truth can be trusted."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from birefvideo.network.birefnet import TrainingOutputs


def _weighted_mean(x: Tensor, weight: Tensor) -> Tensor:
    return (x * weight).sum() / weight.sum().clamp(min=1.0)


def pyramid_loss(predicted: Tensor, truth: Tensor, weight: Tensor, levels: int = 4) -> Tensor:
    """L1 between Laplacian pyramids of (N, 1, H, W) alphas (Hou and Liu, 2019), level k weighted by 2^k."""
    difference = predicted - truth
    total = predicted.new_zeros(())
    for level in range(levels):
        coarse = F.avg_pool2d(difference, 2)
        fine = difference - F.interpolate(coarse, scale_factor=2, mode="bilinear", align_corners=False)
        total = total + 2**level * _weighted_mean(fine.abs(), weight)
        difference, weight = coarse, F.avg_pool2d(weight, 2)
    return total


def edge_map(truth: Tensor) -> Tensor:
    """Where alpha changes, (N, 1, H, W) in [0, 1]: what the decoder's gradient attention is taught to find."""
    down = F.pad((truth[..., 1:, :] - truth[..., :-1, :]).abs(), (0, 0, 0, 1))
    right = F.pad((truth[..., 1:] - truth[..., :-1]).abs(), (0, 1))
    return (3 * (down + right)).clamp(max=1.0)


def temporal_loss(alpha: Tensor, truth: Tensor, trust: Tensor, pairs: int) -> Tensor:
    """How far the change from frame to frame is from the truth's change, over the first `pairs` neighbouring pairs.

    The idea is Lin et al.'s (Robust High-Resolution Video Matting, 2021), with an absolute difference.
    """
    change, wanted = (x[1 : 2 * pairs : 2] - x[0 : 2 * pairs : 2] for x in (alpha, truth))
    weight = torch.minimum(trust[1 : 2 * pairs : 2], trust[0 : 2 * pairs : 2])
    return _weighted_mean((change - wanted).abs(), weight)


def matting_loss(outputs: TrainingOutputs, truth: Tensor, trust: Tensor, pairs: int = 0) -> dict[str, Tensor]:
    """Return the terms of the loss by name, already weighted; `truth` and `trust` are (N, 1, H, W) in [0, 1].

    The first 2 × `pairs` pictures are neighbouring frames, two by two.
    """
    logits = outputs.logits.float()
    alpha = torch.sigmoid(logits)
    # A pixel of the soft edge counts more than one of the body: there are far fewer of them.
    edge_truth = edge_map(truth)
    weight = trust * (1 + 2 * edge_truth)
    terms = {
        "pixel": _weighted_mean((alpha - truth).abs(), weight),
        "pyramid": 0.4 * pyramid_loss(alpha, truth, trust),
        "bce": 0.15 * _weighted_mean(F.binary_cross_entropy_with_logits(logits, truth, reduction="none"), trust),
    }
    if pairs:
        terms["temporal"] = 0.3 * temporal_loss(alpha, truth, trust, pairs)
    coarse = alpha.new_zeros(())
    edges = alpha.new_zeros(())
    for side, edge in zip(outputs.sides, outputs.edges, strict=True):
        size = (side.shape[-2], side.shape[-1])
        target, weight = (F.adaptive_avg_pool2d(x, size) for x in (truth, trust))
        logit = side.float()
        coarse = coarse + _weighted_mean(F.binary_cross_entropy_with_logits(logit, target, reduction="none"), weight)
        edge_target = F.adaptive_max_pool2d(edge_truth, size)
        entropy = F.binary_cross_entropy_with_logits(edge.float(), edge_target, reduction="none")
        edges = edges + _weighted_mean(entropy, weight)
    terms["coarse"] = 0.1 * coarse
    terms["edges"] = 0.03 * edges
    return terms
