"""Batches of training pictures, made by processes beside the training."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from training.compose import Sample, compose, filmed, next_frame
from training.cutouts import Material

Batch = tuple[Tensor, Tensor, Tensor]
"""Pictures (B, 3, H, W), alpha and trust (B, 1, H, W), all uint8."""

STAGES = (
    # (share of the run, sizes as width × height): small pictures first, then finer ones
    (0.35, ((256, 256), (352, 192), (320, 224), (192, 320), (192, 320))),
    (0.35, ((352, 352), (448, 256), (512, 288), (256, 448))),
    (0.3, ((640, 352), (512, 384), (640, 352), (352, 640), (480, 480))),
)


@dataclass(frozen=True)
class Clock:
    """How far a run is: by its steps, or by the time it was given."""

    steps: int
    """Number of steps of the run; the most, where there is a time."""
    seconds: float | None = None
    """Seconds that the run may take."""
    started: float = 0.0
    """Reading of the monotonic clock, the same in all processes, when it began."""

    def progress(self, step: int) -> float:
        """Return the share of the run that is over at `step`, 0 to 1."""
        if self.seconds is None:
            return step / self.steps
        return min(1.0, (time.monotonic() - self.started) / self.seconds)


@dataclass(frozen=True)
class Batches(Dataset[Batch]):
    """Item i is the i-th batch of the run; its first 2 × `pairs` pictures are scenes, each followed by itself later.

    It depends on the seed and i only, but for the size, where the clock goes by time.
    """

    material: Material
    clock: Clock
    batch: int
    seed: int
    pairs: int = 1
    tune: bool = False
    """Whether to leave out the small pictures."""

    def __len__(self) -> int:
        return self.clock.steps

    def __getitem__(self, step: int) -> Batch:
        cv2.setNumThreads(0)
        rng = np.random.default_rng((self.seed, step))
        skipped = STAGES[0][0] if self.tune else 0.0
        sizes = sizes_at(skipped + (1 - skipped) * self.clock.progress(step))
        width, height = sizes[int(rng.integers(len(sizes)))]
        return stacked(self._samples(width, height, rng))

    def _samples(self, width: int, height: int, rng: Generator) -> list[Sample]:
        samples: list[Sample] = []
        while len(samples) < self.batch:
            scene = compose(self.material, width, height, rng)
            samples.append(filmed(scene, rng))
            if len(samples) < 2 * self.pairs:
                samples.append(filmed(next_frame(scene, rng), rng))
        return samples


def stacked(samples: list[Sample]) -> Batch:
    """Make one batch of samples of one size."""
    pictures = torch.from_numpy(np.stack([s.picture for s in samples])).permute(0, 3, 1, 2)
    alpha, trust = (
        torch.from_numpy(np.stack(planes)).unsqueeze(1)
        for planes in ([s.alpha for s in samples], [s.trust for s in samples])
    )
    return pictures, alpha, trust


def sizes_at(progress: float) -> tuple[tuple[int, int], ...]:
    """Return the picture sizes in use after `progress`, 0 to 1, of the run."""
    done = 0.0
    for share, sizes in STAGES:
        done += share
        if progress < done:
            return sizes
    return STAGES[-1][1]


def batches_from(dataset: Batches, start: int, workers: int, pinned: bool = False) -> Iterator[Batch]:
    """Yield the run's batches from `start` on; by one worker in order, by several as they come."""
    loader = DataLoader(
        dataset,
        batch_size=None,
        sampler=range(start, len(dataset)),
        num_workers=workers,
        prefetch_factor=6 if workers == 1 else 2,
        pin_memory=pinned,
        in_order=workers == 1,
    )
    yield from loader
