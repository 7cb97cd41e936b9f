#!/usr/bin/env python
"""Train the embedded checkpoint from a folder of portraits with mattes and rooms, on a CPU or a GPU.

    python scripts/train.py --data FOLDER --run runs/talk
    python scripts/train.py --data FOLDER --run runs/talk            # again: continues where it stopped
    python scripts/train.py --data FOLDER --run runs/next --init birefvideo/weights/talk
    python scripts/train.py --data FOLDER --run runs/tuned --init NEXT --tune --steps 500 --rate 2.5e-4
    python scripts/train.py --export birefvideo/weights/talk --run runs/talk
    python scripts/train.py --export birefvideo/weights/talk --run runs/next --blend runs/earlier --share 0.75
    python scripts/train.py --score birefvideo/weights/talk --data FOLDER    # error on people seen and never seen

The run folder holds the log, the last state and the averaged weights. Batch i depends on the seed and i only.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from training.compose import Sample, compose, filmed, next_frame
from training.cutouts import Cutout, Material, load_material, surroundings
from training.losses import matting_loss
from training.muon import Muon

from birefvideo.family.checkpoints import load_folder, save_folder
from birefvideo.network.birefnet import BiRefNet, Geometry
from birefvideo.network.convnet import CONV_SIZES, ResidualBlock

LONG_SIDE = 640
"""Longer side of the network's input, written into the checkpoint."""
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
PAIRS = 1
"""How many of a batch's pictures are followed by the same scene a moment later."""
MEAN = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1) * 255
DEVIATION = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1) * 255

STAGES = (
    # (share of the run, sizes as width × height): small pictures first, then finer ones
    (0.62, ((256, 256), (352, 192), (320, 224), (192, 320))),
    (0.26, ((352, 352), (448, 256), (512, 288), (256, 448))),
    (0.12, ((640, 352), (512, 384), (640, 352), (352, 640))),
)
FROZEN = 0.4
"""Share of the run after which batch norms keep their statistics, so that the network learns with those it will use.

Before, a batch is normed by itself, and mattes depend on how like the training pictures' sharpness a clip's is.
"""


class Batches(Dataset[tuple[Tensor, Tensor, Tensor]]):
    """Item i is the i-th batch of the run: pictures (B, 3, H, W), alpha and trust (B, 1, H, W), all uint8.

    The first 2 × PAIRS are scenes, each followed by itself a moment later.
    """

    def __init__(self, material: Material, steps: int, batch: int, seed: int, tune: bool = False) -> None:
        self.material, self.steps, self.batch, self.seed = material, steps, batch, seed
        self.skipped = STAGES[0][0] if tune else 0.0

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, step: int) -> tuple[Tensor, Tensor, Tensor]:
        cv2.setNumThreads(0)
        rng = np.random.default_rng((self.seed, step))
        sizes = sizes_at(self.skipped + (1 - self.skipped) * step / self.steps)
        width, height = sizes[int(rng.integers(len(sizes)))]
        samples: list[Sample] = []
        while len(samples) < self.batch:
            scene = compose(self.material, width, height, rng)
            samples.append(filmed(scene, rng))
            if len(samples) < 2 * PAIRS:
                samples.append(filmed(next_frame(scene, rng), rng))
        pictures = torch.from_numpy(np.stack([s.picture for s in samples])).permute(0, 3, 1, 2)
        alpha, trust = (torch.from_numpy(np.stack(x)).unsqueeze(1) for x in _planes(samples))
        return pictures, alpha, trust


def sizes_at(progress: float) -> tuple[tuple[int, int], ...]:
    """Return the picture sizes in use after `progress`, 0 to 1, of the run."""
    done = 0.0
    for share, sizes in STAGES:
        done += share
        if progress < done:
            return sizes
    return STAGES[-1][1]


def _planes(samples: list[Sample]) -> tuple[list[NDArray[np.uint8]], list[NDArray[np.uint8]]]:
    return [s.alpha for s in samples], [s.trust for s in samples]


def split(material: Material) -> tuple[Material, Material]:
    """Keep every 20th person out of training, for validation."""
    held = material.cutouts[::20]
    kept = [c for i, c in enumerate(material.cutouts) if i % 20]
    return (
        Material(kept, material.rooms[:-40], _surroundings(kept)),
        Material(held, material.rooms[-40:], _surroundings(held)),
    )


def _surroundings(cutouts: list[Cutout]) -> list[NDArray[np.uint8]]:
    return [picture for cutout in cutouts if (picture := surroundings(cutout)) is not None]


def learning_rate(step: int, steps: int, peak: float) -> float:
    """Warm up over 200 steps, or a tenth of a short run, then follow a cosine to 1 % of the peak."""
    warm = min(200, max(1, steps // 10))
    if step < warm:
        return peak * (step + 1) / warm
    progress = (step - warm) / max(1, steps - warm)
    return peak * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, progress))))


@torch.no_grad()
def grow(model: BiRefNet, smaller: BiRefNet) -> None:
    """Copy every weight of `smaller`; residual blocks that it lacks start as the identity.

    Raises SystemExit if `smaller` is not a part of `model`.
    """
    taken = smaller.state_dict()
    missing, foreign = model.load_state_dict(taken, strict=False)
    blocks = {name.split(".conv")[0] for name in missing}
    strangers = [name for name in blocks if not isinstance(model.get_submodule(name), ResidualBlock)]
    if foreign or strangers:
        raise SystemExit(f"--init does not fit this geometry: {[*foreign, *strangers][:3]}")
    for name in blocks:
        nn.init.zeros_(model.get_parameter(f"{name}.conv2.1.weight"))


@torch.no_grad()
def average(target: nn.Module, source: nn.Module, step: int) -> None:
    """Move the averaged weights and statistics toward the current ones, over up to 1,000 steps."""
    decay = min(0.999, (step + 1) / (step + 10))
    pairs = list(zip(target.state_dict().values(), source.state_dict().values(), strict=True))
    old, new = zip(*(pair for pair in pairs if pair[0].is_floating_point()), strict=True)
    torch._foreach_lerp_(old, new, 1 - decay)
    for count, current in pairs:
        if not count.is_floating_point():
            count.copy_(current)


@torch.no_grad()
def blend(target: nn.Module, earlier: nn.Module, share: float) -> None:
    """Mix weights with those that they were tuned from: target ← share · target + (1 − share) · earlier.

    Keeps what the earlier ones knew better (Wortsman et al., "Robust fine-tuning of zero-shot models", 2022).
    """
    for new, old in zip(target.state_dict().values(), earlier.state_dict().values(), strict=True):
        if new.is_floating_point():
            new.lerp_(old, 1 - share)


@torch.inference_mode()
def validate(model: BiRefNet, batches: Batches) -> float:
    """Return the mean absolute error ×10³ over trusted pixels of fixed composites of people never trained on."""
    model.eval()
    error = weight = 0.0
    for i in range(len(batches)):
        pictures, alpha, trust = batches[i]
        predicted = torch.sigmoid(model(normalise(pictures)).float())
        w = trust.float() / 255
        error += float(((predicted - alpha.float() / 255).abs() * w).sum())
        weight += float(w.sum())
    return 1000 * error / weight


def normalise(pictures: Tensor) -> Tensor:
    """Normalise uint8 RGB (N, 3, H, W) by ImageNet's mean and deviation: float32, channels last."""
    return ((pictures.float() - MEAN) / DEVIATION).contiguous(memory_format=torch.channels_last)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder with index.csv, portraits/ and rooms/")
    parser.add_argument("--run", type=Path, help="folder of this run; an old run is continued")
    parser.add_argument(
        "--cache", type=Path, default=Path("runs/cache"), help="folder for estimated foreground colours"
    )
    parser.add_argument("--init", type=Path, help="start from this checkpoint folder instead of random weights")
    parser.add_argument("--export", type=Path, help="write the averaged weights as a checkpoint folder and stop")
    parser.add_argument(
        "--blend", type=Path, help="with --export: mix in this checkpoint folder, which the run started from"
    )
    parser.add_argument("--share", type=float, default=0.75, help="share of this run in the mixture")
    parser.add_argument(
        "--tune", action="store_true", help="a short run from finished weights: norms frozen, no small pictures"
    )
    parser.add_argument("--score", type=Path, help="print the error of this checkpoint folder and stop")
    parser.add_argument("--backbone", choices=CONV_SIZES, help=f"backbone of a new run (default: {TALK.backbone})")
    parser.add_argument("--steps", type=int, default=5000)
    parser.add_argument("--batch", type=int, default=12)
    parser.add_argument("--rate", type=float, default=2e-3, help="peak learning rate")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only-free", action="store_true", help="leave out share-alike (CC BY-SA) portraits")
    options = parser.parse_args()
    if not (options.run or options.score) or not (options.data or options.export):
        parser.error("name --run and --data, --run and --export, or --score and --data")
    return options


def score(checkpoint: Path, known: Material, held: Material) -> None:
    """Print the error on composites of people and rooms that training used, and on those that it did not.

    If the two are close, the network has not memorised its pictures, and more steps or a larger network would help.
    If they are far apart, it needs more people.
    """
    model = load_folder(checkpoint).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    for name, material in (("trained on", known), ("never seen", held)):
        print(f"people {name}: MAD {validate(model, Batches(material, 24, 8, seed=10_000)):.2f}", flush=True)


class Run:
    """Model, averaged model and optimiser, with their place on disk."""

    def __init__(self, options: argparse.Namespace) -> None:
        torch.manual_seed(options.seed)
        self.folder: Path = options.run
        self.model = BiRefNet(replace(TALK, backbone=self._backbone(options.backbone)))
        if options.init:
            grow(self.model, load_folder(options.init))
        self.model = self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.averaged = BiRefNet(self.model.geometry).to(memory_format=torch.channels_last).requires_grad_(False)  # type: ignore[call-overload]
        self.averaged.load_state_dict(self.model.state_dict())
        for norm in self._norms():
            norm.momentum = 0.01  # a hundred batches: what is frozen must not be the last ten's
        self.optimisers: list[torch.optim.Optimizer] = [
            Muon([p for p in self.model.parameters() if p.ndim > 1], options.rate),
            torch.optim.AdamW(
                [p for p in self.model.parameters() if p.ndim <= 1], options.rate, weight_decay=0.0, fused=True
            ),
        ]
        self.step = 0
        self.seconds = 0.0
        if self.state.exists():
            saved = torch.load(self.state, weights_only=True)
            self.model.load_state_dict(saved["model"])
            self.averaged.load_state_dict(saved["averaged"])
            for optimiser, state in zip(self.optimisers, saved["optimisers"], strict=True):
                optimiser.load_state_dict(state)
            self.step, self.seconds = saved["step"], saved["seconds"]

    def _backbone(self, wanted: str | None) -> str:
        """Return the backbone of a run: an old one keeps that of its recipe; raise SystemExit if `wanted` differs."""
        recipe = self.folder / "recipe.json"
        begun = json.loads(recipe.read_text())["geometry"]["backbone"] if recipe.exists() else None
        if wanted and begun and wanted != begun:
            raise SystemExit(f"{self.folder} has the backbone {begun}; for {wanted}, choose another --run")
        return begun or wanted or TALK.backbone

    def _norms(self) -> list[nn.BatchNorm2d]:
        return [m for m in self.model.modules() if isinstance(m, nn.BatchNorm2d)]

    @property
    def state(self) -> Path:
        return self.folder / "state.pt"

    def save(self) -> None:
        """Write the whole state; an old one is replaced only by a complete new one."""
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

    def train_step(self, batch: tuple[Tensor, Tensor, Tensor], rate: float, frozen: bool) -> dict[str, float]:
        """Do one update, with the norms' statistics `frozen` or learnt; return the terms of the loss."""
        pictures, alpha, trust = batch
        self.model.train()
        if frozen:
            for norm in self._norms():
                norm.eval()
        for group in (group for optimiser in self.optimisers for group in optimiser.param_groups):
            group["lr"] = rate
        with torch.autocast("cpu", dtype=torch.bfloat16):
            outputs = self.model.forward_training(normalise(pictures))
        terms = matting_loss(outputs, alpha.float() / 255, trust.float() / 255, PAIRS)
        loss = sum(terms.values(), torch.zeros(()))
        self.model.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 5.0)
        for optimiser in self.optimisers:
            optimiser.step()
        average(self.averaged, self.model, self.step)
        self.step += 1
        return {name: value.item() for name, value in terms.items()}


def batches_from(dataset: Batches, start: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Yield the run's batches from `start` on, made by one process beside the training."""
    loader = DataLoader(dataset, batch_size=None, sampler=range(start, len(dataset)), num_workers=1, prefetch_factor=6)
    yield from loader


def main() -> None:
    options = parse()
    if options.export:
        run = Run(options)
        if not run.state.exists():
            raise SystemExit(
                f"{options.run} holds no finished steps: name a folder that {Path(__file__).name} --run wrote"
            )
        weights = run.averaged
        if options.blend:
            blend(weights, load_folder(options.blend), options.share)
        save_folder(weights, options.export, LONG_SIDE)
        return
    releases = {"yes"} if options.only_free else {"yes", "sa"}
    material, held = split(load_material(options.data, options.cache, releases, min_iou=0.9, max_untrusted=0.06))
    if options.score:
        score(options.score, material, held)
        return
    options.run.mkdir(parents=True, exist_ok=True)
    run = Run(options)
    recipe = {k: str(v) if isinstance(v, Path) else v for k, v in vars(options).items()}
    recipe |= {"geometry": asdict(run.model.geometry), "people": len(material.cutouts), "rooms": len(material.rooms)}
    (options.run / "recipe.json").write_text(json.dumps(recipe, indent=1))
    dataset = Batches(material, options.steps, options.batch, options.seed, options.tune)
    validation = Batches(held, 8, 8, seed=10_000)
    started = time.monotonic()
    sums: dict[str, float] = {}
    with (options.run / "log.jsonl").open("a") as log:
        for batch in batches_from(dataset, run.step):
            rate = learning_rate(run.step, options.steps, options.rate)
            terms = run.train_step(batch, rate, frozen=options.tune or run.step >= FROZEN * options.steps)
            for name, value in terms.items():
                sums[name] = sums.get(name, 0.0) + value
            if run.step % 50 and run.step != options.steps:
                continue
            now = time.monotonic()
            run.seconds, started = run.seconds + now - started, now
            line = {"step": run.step, "minutes": round(run.seconds / 60, 1)}
            line |= {name: round(value / 50, 4) for name, value in sums.items()}
            sums = {}
            if run.step % 400 == 0 or run.step == options.steps:
                line["validation"] = round(validate(run.averaged, validation), 2)
            print(json.dumps(line), file=log, flush=True)
            if run.step % 200 == 0 or run.step == options.steps:
                run.save()


if __name__ == "__main__":
    main()
