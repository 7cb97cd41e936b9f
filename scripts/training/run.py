"""One training run: model, averaged model and optimiser, with their place on disk."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from birefvideo.family.checkpoints import geometry_from_config, load_folder, save_folder
from birefvideo.network.birefnet import BiRefNet, Geometry
from birefvideo.network.convnet import ContextBlock, ResidualBlock
from birefvideo.network.efficientnet import SecondBackbone
from training.batches import Batch
from training.losses import matting_loss
from training.muon import Muon
from training.precision import is_fast_in_bf16
from training.pretrained import DEVIATION, MEAN, load_pretrained

LONG_SIDE = 640
"""Longer side of the network's input, written into the checkpoint."""
MOST_PIXELS = 640 * 360
"""What squarer inputs are held to, likewise: the pictures of training were no larger."""
TALK = Geometry(
    backbone="conv_m",
    multi_scale_input="",
    attention=("aspp", "", "", "", ""),
    aspp_width=64,
    aspp_dilations=(1, 2, 4),
    reference_width=16,
    head="subpixel",
    head_width=32,
)
SECOND = "efficientnet_lite2"
"""What is put beside the backbone where weights for it are given."""
KNOWN = 0.2
"""Share of the learning rate for weights that were learnt on photos of everything, and should not forget them."""


@dataclass(frozen=True)
class Recipe:
    """What decides a run's course."""

    folder: Path
    """Where its state lies."""
    device: torch.device
    pairs: int
    """How many of a batch's pictures are followed by the same scene a moment later."""
    batch: int
    """Pictures a step."""
    init: Path | None = None
    """Checkpoint folder to start from."""
    backbone: str | None = None
    """Backbone of a new run; None takes that of `TALK`."""
    second: Path | None = None
    """Weights of an EfficientNet-Lite to put beside it; None keeps what `init` or an old run has."""
    rate: float = 2e-3
    """Peak learning rate."""
    seed: int = 1


class Run:
    """Model, averaged model and optimiser, with their place on disk."""

    def __init__(self, recipe: Recipe) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe = recipe
        self.folder = recipe.folder
        init = load_folder(recipe.init) if recipe.init else None
        model = BiRefNet(self._geometry(init))
        if init:
            grow(model, init)
        if recipe.second:
            assert model.bb2 is not None
            load_pretrained(model.bb2.net, recipe.second)
        self.model = laid_out(model, recipe.device)
        self.averaged = laid_out(BiRefNet(model.geometry), recipe.device).requires_grad_(False)
        self.averaged.load_state_dict(self.model.state_dict())
        for norm in self._norms():
            norm.momentum = 0.01  # a hundred batches: what is frozen must not be the last ten's
        borrowed = {id(p) for p in self.model.bb2.net.parameters()} if self.model.bb2 else set()
        own = [p for p in self.model.parameters() if id(p) not in borrowed]
        self.optimisers: list[torch.optim.Optimizer] = [
            Muon([p for p in own if p.ndim > 1], recipe.rate),
            torch.optim.AdamW([p for p in own if p.ndim <= 1], recipe.rate, weight_decay=0.0, fused=True),
        ]
        if self.model.bb2:
            known = [{"params": list(self.model.bb2.net.parameters()), "share": KNOWN}]
            self.optimisers.append(torch.optim.AdamW(known, recipe.rate, weight_decay=0.0, fused=True))
        self.half = is_fast_in_bf16(recipe.device)
        self.step = 0
        self.seconds = 0.0
        if self.state.exists():
            saved = torch.load(self.state, weights_only=True, map_location=recipe.device)
            self.model.load_state_dict(saved["model"])
            self.averaged.load_state_dict(saved["averaged"])
            for optimiser, state in zip(self.optimisers, saved["optimisers"], strict=True):
                optimiser.load_state_dict(state)
            self.step, self.seconds = saved["step"], saved["seconds"]

    def _geometry(self, init: BiRefNet | None) -> Geometry:
        """Return a run's geometry: an old one keeps that of its recipe; raise SystemExit if another is wanted."""
        file, wanted = self.folder / "recipe.json", self.recipe.backbone
        begun = geometry_from_config(json.loads(file.read_text())["geometry"]) if file.exists() else None
        if begun and wanted and wanted != begun.backbone:
            raise SystemExit(f"{self.folder} has the backbone {begun.backbone}; for {wanted}, choose another --run")
        if begun and self.recipe.second and not begun.second_backbone:
            raise SystemExit(f"{self.folder} has no second backbone; for one, choose another --run")
        second = SECOND if self.recipe.second else init.geometry.second_backbone if init else ""
        return begun or replace(TALK, backbone=wanted or TALK.backbone, second_backbone=second)

    def _norms(self) -> list[nn.BatchNorm2d]:
        return [m for m in self.model.modules() if isinstance(m, nn.BatchNorm2d)]

    @property
    def state(self) -> Path:
        return self.folder / "state.pt"

    def save(self, keep: Path | None = None) -> None:
        """Write the whole state, and the averaged weights to `keep`; an old state gives way to a complete one only."""
        saved = {
            "model": self.model.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
            "step": self.step,
            "seconds": self.seconds,
        }
        temporary = self.state.with_suffix(".part")
        torch.save(saved, temporary)
        temporary.replace(self.state)
        if keep:
            save_folder(self.averaged, keep, LONG_SIDE, MOST_PIXELS)

    def train_step(self, batch: Batch, rate: float, frozen: bool) -> dict[str, Tensor]:
        """Do one update, with the norms' statistics `frozen` or learnt; return the terms of the loss, on the device."""
        pictures, alpha, trust = (x.to(self.recipe.device, non_blocking=True) for x in batch)
        self.model.train()
        if frozen:
            for norm in self._norms():
                norm.eval()
        for group in (group for optimiser in self.optimisers for group in optimiser.param_groups):
            group["lr"] = rate * group.get("share", 1.0)
        with torch.autocast(self.recipe.device.type, dtype=torch.bfloat16, enabled=self.half):
            outputs = self.model.forward_training(normalise(pictures))
        terms = matting_loss(outputs, alpha.float() / 255, trust.float() / 255, self.recipe.pairs)
        loss = torch.stack(list(terms.values())).sum()
        self.model.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 5.0)
        for optimiser in self.optimisers:
            optimiser.step()
        average(self.averaged, self.model, self.step, self.recipe.batch)
        self.step += 1
        return {name: value.detach() for name, value in terms.items()}


def laid_out(model: BiRefNet, device: torch.device) -> BiRefNet:
    """Move a model to its device, channels last."""
    moved: BiRefNet = model.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return moved


def normalise(pictures: Tensor) -> Tensor:
    """Normalise uint8 RGB (N, 3, H, W) by ImageNet's mean and deviation: float32, channels last."""
    mean, deviation = MEAN.to(pictures.device), DEVIATION.to(pictures.device)
    return ((pictures.float() - mean) / deviation).contiguous(memory_format=torch.channels_last)


def learning_rate(progress: float, step: int, warm: int, peak: float) -> float:
    """Warm up over `warm` steps, then follow a cosine over the run to 1 % of the peak."""
    if step < warm:
        return peak * (step + 1) / warm
    return peak * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, progress))))


def grow(model: BiRefNet, smaller: BiRefNet) -> None:
    """Copy every weight of `smaller`; blocks that it lacks start as the identity.

    Raises SystemExit if `smaller` is not a part of `model`.
    """
    missing, foreign = model.load_state_dict(smaller.state_dict(), strict=False)
    blocks = {name: _block_of(model, name) for name in missing}
    strangers = [name for name, block in blocks.items() if block is None]
    if foreign or strangers:
        raise SystemExit(f"--init does not fit this geometry: {[*foreign, *strangers][:3]}")
    for block in blocks.values():
        assert block is not None
        block.become_identity()


def _block_of(model: BiRefNet, name: str) -> ResidualBlock | ContextBlock | SecondBackbone | None:
    """Return the block that a weight belongs to."""
    parts = name.split(".")
    owners = (model.get_submodule(".".join(parts[:end])) for end in range(len(parts) - 1, 0, -1))
    return next((owner for owner in owners if isinstance(owner, ResidualBlock | ContextBlock | SecondBackbone)), None)


@torch.no_grad()
def average(target: nn.Module, source: nn.Module, step: int, batch: int) -> None:
    """Move the averaged weights and statistics toward the current ones, over up to 12,000 pictures."""
    decay = min(0.999 ** (batch / 12), (step + 1) / (step + 10))
    pairs = list(zip(target.state_dict().values(), source.state_dict().values(), strict=True))
    old, new = zip(*(pair for pair in pairs if pair[0].is_floating_point()), strict=True)
    torch._foreach_lerp_(old, new, 1 - decay)
    for count, current in pairs:
        if not count.is_floating_point():
            count.copy_(current)


@torch.no_grad()
def blend(target: BiRefNet, earlier: BiRefNet, share: float) -> None:
    """Mix weights with those that they were tuned from: target ← share · target + (1 − share) · earlier.

    Keeps what the earlier ones knew better (Wortsman et al., "Robust fine-tuning of zero-shot models", 2022). What the
    earlier network lacks counts as it was when the run began: it added nothing.
    """
    begun = BiRefNet(target.geometry).to(next(target.parameters()).device)
    grow(begun, earlier)
    if target.bb2 and begun.bb2 and not earlier.bb2:
        begun.bb2.net.load_state_dict(target.bb2.net.state_dict())  # seen through joins of zero
    for new, old in zip(target.state_dict().values(), begun.state_dict().values(), strict=True):
        if new.is_floating_point():
            new.lerp_(old, 1 - share)
